/*
 * mapstore_dev.hpp: mapstore-dev for the tests of C++ programs, over mapstore_dev.h. Header only, C++17.
 *
 *     mapstore::dev_server server;
 *     mapstore::options options;
 *     options.kubeconfig(server.kubeconfig());
 *     mapstore::store store("my-settings", options);
 */
#ifndef MAPSTORE_DEV_HPP
#define MAPSTORE_DEV_HPP

#include "mapstore_dev.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace mapstore {

/** A call of a dev_server failed: what() says why. */
class dev_error : public std::runtime_error {
public:
    dev_error(std::int32_t code, const std::string &what) : std::runtime_error(what), code_(code) {}
    /** MAPSTORE_DEV_INVALID_ARGUMENT, MAPSTORE_DEV_FAILED or MAPSTORE_DEV_INTERNAL. */
    std::int32_t code() const noexcept { return code_; }

private:
    std::int32_t code_;
};

/**
 * A loopback API server for ConfigMaps, stopped and forgotten when destroyed. Moves, doesn't copy. Safe from any thread
 * but for moving and destroying. Functions throw dev_error.
 */
class dev_server {
public:
    /** Answers when this returns, on 127.0.0.1. Port 0 takes any free one. */
    explicit dev_server(std::uint16_t port = 0) {
        mapstore_dev_t *started = nullptr;
        check([&](char **error) { return mapstore_dev_start(port, &started, error); });
        server_.reset(started);
    }

    /** `https://127.0.0.1:PORT` */
    std::string url() const { return mapstore_dev_url(server_.get()); }
    /** Path of the administrator's kubeconfig, which is removed with the server. */
    std::string kubeconfig() const { return mapstore_dev_kubeconfig_path(server_.get()); }

    /** One that is there is left alone. */
    void create_namespace(const std::string &name) {
        check([&](char **error) { return mapstore_dev_create_namespace(server_.get(), name.c_str(), error); });
    }
    /** For good: what it holds stays, new objects are refused. */
    void terminate_namespace(const std::string &name) {
        check([&](char **error) { return mapstore_dev_terminate_namespace(server_.get(), name.c_str(), error); });
    }
    /** How many ConfigMaps the namespace may hold. */
    void set_quota(const std::string &name, std::uint64_t configmaps) {
        check([&](char **error) { return mapstore_dev_set_quota(server_.get(), name.c_str(), configmaps, error); });
    }
    /** Refuses ConfigMaps with this key in the namespace, as an admission policy would. */
    void forbid_key(const std::string &name, const std::string &key) {
        check([&](char **error) { return mapstore_dev_forbid_key(server_.get(), name.c_str(), key.c_str(), error); });
    }
    /** A user with these rules (JSON, as a Role's `rules`) in the namespace; its token. */
    std::string add_user(const std::string &name, const std::string &in, const std::string &rules_json) {
        return text([&](char **token, char **error) {
            return mapstore_dev_add_user(server_.get(), name.c_str(), in.c_str(), rules_json.c_str(), token, error);
        });
    }
    /** The token's next request is answered 401. */
    void revoke(const std::string &token) {
        check([&](char **error) { return mapstore_dev_revoke(server_.get(), token.c_str(), error); });
    }
    /** Path of a kubeconfig with this token and namespace, which is removed with the server. */
    std::string user_kubeconfig(const std::string &token, const std::string &in) {
        return text([&](char **path, char **error) {
            return mapstore_dev_user_kubeconfig(server_.get(), token.c_str(), in.c_str(), path, error);
        });
    }
    /** Closes connections and refuses new ones; what the server holds stays. */
    void stop() noexcept { mapstore_dev_stop(server_.get()); }
    /** Answers again after stop(), on the same port, with what it held. */
    void resume() {
        check([&](char **error) { return mapstore_dev_resume(server_.get(), error); });
    }

private:
    struct free_server {
        void operator()(mapstore_dev_t *server) const noexcept { mapstore_dev_free(server); }
    };
    struct free_string {
        void operator()(char *text) const noexcept { mapstore_dev_string_free(text); }
    };
    using owned_string = std::unique_ptr<char, free_string>;

    template <typename Call> static void check(Call call) {
        char *raw = nullptr;
        const std::int32_t code = call(&raw);
        const owned_string why(raw);
        if (code != MAPSTORE_DEV_OK)
            throw dev_error(code, why ? why.get() : "mapstore-dev failed");
    }
    template <typename Call> static std::string text(Call call) {
        char *raw = nullptr;
        check([&](char **error) { return call(&raw, error); });
        const owned_string owned(raw);
        return owned.get();
    }

    std::unique_ptr<mapstore_dev_t, free_server> server_;
};

} // namespace mapstore

#endif
