/*
 * mapstore for C++17: a key/value store over one Kubernetes ConfigMap.
 *
 * A thin layer over mapstore.h, which documents what every call means: objects
 * own what C frees by hand, failures are exceptions, a missing key is an empty
 * std::optional. Nothing but the standard library is needed; link with
 * libmapstore (pkg-config mapstore, or find_package(mapstore) in CMake).
 *
 *   mapstore::store store("settings");
 *   store.set("colour", "blue");
 *   if (auto colour = store.get("colour"))
 *       std::cout << colour->view() << '\n';
 *
 * Blocking: calls on a store block until their answer, at most until their
 * deadline (10 s unless options or call say otherwise); on a cached store reads
 * don't block. Threads: one store may be used by any number of threads, but not
 * while it is moved from or destroyed; other objects by one thread at a time.
 * Ownership: all objects are move-only, but call and cancel_token, which share
 * what they hold. A moved-from object may be destroyed and assigned to; any
 * other use throws invalid_argument. Errors: mapstore::error or one of its
 * subclasses, one for each code of mapstore.h; destructors never throw.
 */
#ifndef MAPSTORE_HPP
#define MAPSTORE_HPP

#include <mapstore.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mapstore {

/** Why a call failed. what() says what happened and what to do; it holds no stored value. */
class error : public std::runtime_error {
public:
    error(std::int32_t code, const mapstore_error_t *from)
        : std::runtime_error(from == nullptr ? mapstore_code_name(code) : mapstore_error_message(from)),
          code_(code), subject_(mapstore_error_subject(from)), status_(mapstore_error_http_status(from)),
          retryable_(mapstore_error_retryable(from) != 0), used_(mapstore_error_used(from)),
          limit_(mapstore_error_limit(from)) {}

    error(std::int32_t code, const std::string &message)
        : std::runtime_error(message), code_(code), status_(0), retryable_(false), used_(0), limit_(0) {}

    /** MAPSTORE_TOO_LARGE and so on. */
    std::int32_t code() const noexcept { return code_; }
    /** The name of the code, as in the documentation: "TooLarge". */
    const char *name() const noexcept { return mapstore_code_name(code_); }
    /** What it is about: a key, a map, a file, a variable. */
    const std::string &subject() const noexcept { return subject_; }
    /** The HTTP status of the API server's refusal; 0 if it was none. */
    int http_status() const noexcept { return status_; }
    /** The same call may succeed later without anybody changing anything. */
    bool retryable() const noexcept { return retryable_; }
    /** Of a too_large, in bytes; 0 where not known. */
    std::uint64_t used() const noexcept { return used_; }
    std::uint64_t limit() const noexcept { return limit_; }

private:
    std::int32_t code_;
    std::string subject_;
    int status_;
    bool retryable_;
    std::uint64_t used_, limit_;
};

/** One class for each code, to be caught by it. */
template <std::int32_t Code> class error_of : public error {
public:
    using error::error;
};

using invalid_argument = error_of<MAPSTORE_INVALID_ARGUMENT>;
using too_large = error_of<MAPSTORE_TOO_LARGE>;
using conflict = error_of<MAPSTORE_CONFLICT>;
using outcome_unknown = error_of<MAPSTORE_OUTCOME_UNKNOWN>;
using forbidden = error_of<MAPSTORE_FORBIDDEN>;
using rejected = error_of<MAPSTORE_REJECTED>;
using unauthorized = error_of<MAPSTORE_UNAUTHORIZED>;
using namespace_not_found = error_of<MAPSTORE_NAMESPACE_NOT_FOUND>;
using immutable = error_of<MAPSTORE_IMMUTABLE>;
using unavailable = error_of<MAPSTORE_UNAVAILABLE>;
using overloaded = error_of<MAPSTORE_OVERLOADED>;
using deadline = error_of<MAPSTORE_DEADLINE>;
using cancelled = error_of<MAPSTORE_CANCELLED>;
using stale = error_of<MAPSTORE_STALE>;
using closed = error_of<MAPSTORE_CLOSED>;
using forked = error_of<MAPSTORE_FORKED>;
using config = error_of<MAPSTORE_CONFIG>;
using internal = error_of<MAPSTORE_INTERNAL>;

namespace detail {

template <typename T, void (*Free)(T *)> struct deleter {
    void operator()(T *handle) const noexcept { Free(handle); }
};
template <typename T, void (*Free)(T *)> using handle = std::unique_ptr<T, deleter<T, Free>>;

using error_handle = handle<mapstore_error_t, mapstore_error_free>;

[[noreturn]] inline void raise(std::int32_t code, mapstore_error_t *raw) {
    const error_handle owned(raw);
    switch (code) {
    case MAPSTORE_INVALID_ARGUMENT: throw invalid_argument(code, raw);
    case MAPSTORE_TOO_LARGE: throw too_large(code, raw);
    case MAPSTORE_CONFLICT: throw conflict(code, raw);
    case MAPSTORE_OUTCOME_UNKNOWN: throw outcome_unknown(code, raw);
    case MAPSTORE_FORBIDDEN: throw forbidden(code, raw);
    case MAPSTORE_REJECTED: throw rejected(code, raw);
    case MAPSTORE_UNAUTHORIZED: throw unauthorized(code, raw);
    case MAPSTORE_NAMESPACE_NOT_FOUND: throw namespace_not_found(code, raw);
    case MAPSTORE_IMMUTABLE: throw immutable(code, raw);
    case MAPSTORE_UNAVAILABLE: throw unavailable(code, raw);
    case MAPSTORE_OVERLOADED: throw overloaded(code, raw);
    case MAPSTORE_DEADLINE: throw deadline(code, raw);
    case MAPSTORE_CANCELLED: throw cancelled(code, raw);
    case MAPSTORE_STALE: throw stale(code, raw);
    case MAPSTORE_CLOSED: throw closed(code, raw);
    case MAPSTORE_FORKED: throw forked(code, raw);
    case MAPSTORE_CONFIG: throw config(code, raw);
    case MAPSTORE_INTERNAL: throw internal(code, raw);
    default: throw error(code, raw);
    }
}

/** Calls work(&error) and throws what it says. */
template <typename Work> void check(Work work) {
    mapstore_error_t *failure = nullptr;
    const std::int32_t code = work(&failure);
    if (code != MAPSTORE_OK)
        raise(code, failure);
}

/** The handle of an object that was not moved from. */
template <typename Handle> auto get(const Handle &owned) -> decltype(owned.get()) {
    if (owned == nullptr)
        throw invalid_argument(MAPSTORE_INVALID_ARGUMENT, std::string("object: it was moved from"));
    return owned.get();
}

/** A view never has a NULL pointer: the library takes one for a mistake. */
inline const char *data(std::string_view text) noexcept { return text.data() == nullptr ? "" : text.data(); }
inline const void *data(const std::optional<std::string_view> &value) noexcept {
    return value ? data(*value) : nullptr;
}
inline std::size_t size(const std::optional<std::string_view> &value) noexcept {
    return value ? value->size() : MAPSTORE_ABSENT;
}
inline std::int64_t count(std::chrono::milliseconds time) noexcept { return time.count(); }

/** What was built has to be what is loaded. */
inline void check_abi() {
    if (mapstore_abi_version() != MAPSTORE_ABI_VERSION)
        throw config(MAPSTORE_CONFIG, "libmapstore: the program was built for ABI version " +
                                          std::to_string(MAPSTORE_ABI_VERSION) + " and found version " +
                                          std::to_string(mapstore_abi_version()) + " (library " + mapstore_version() +
                                          "): install the library it was built with, or build it again");
}

} // namespace detail

/** Cancels the calls it was given to, from any thread and for good. Copies are the same token. */
class cancel_token {
public:
    cancel_token() : token_(mapstore_cancel_token_new(), mapstore_cancel_token_free) {}
    /** Never blocks: calls under way return within 100 ms. */
    void cancel() const noexcept { mapstore_cancel_token_cancel(token_.get()); }
    const mapstore_cancel_token_t *c_handle() const noexcept { return token_.get(); }

private:
    std::shared_ptr<mapstore_cancel_token_t> token_;
};

/** The settings of single calls: deadline and cancel token. Set before it is shared by threads. */
class call {
public:
    call() : call_(mapstore_call_new(), mapstore_call_free) {}
    explicit call(std::chrono::milliseconds timeout) : call() { this->timeout(timeout); }
    /** 1 ms to 24 h. */
    call &timeout(std::chrono::milliseconds timeout) {
        detail::check([&](auto e) { return mapstore_call_set_timeout_ms(call_.get(), detail::count(timeout), e); });
        return *this;
    }
    call &cancel(const cancel_token &token) {
        detail::check([&](auto e) { return mapstore_call_set_cancel_token(call_.get(), token.c_handle(), e); });
        return *this;
    }
    const mapstore_call_t *c_handle() const noexcept { return call_.get(); }

private:
    std::shared_ptr<mapstore_call_t> call_;
};

/** Where reads come from. */
enum class cache : std::int32_t { none = MAPSTORE_CACHE_NONE, exclusive = MAPSTORE_CACHE_EXCLUSIVE };

/** How a store is to be opened; what isn't set is the library's default. */
class options {
public:
    options() : options_(mapstore_options_new()) {}

    options &namespace_name(std::string_view name) {
        return set([&](auto o, auto e) { return mapstore_options_set_namespace(o, detail::data(name), name.size(), e); });
    }
    options &kubeconfig(std::string_view path) {
        return set([&](auto o, auto e) { return mapstore_options_set_kubeconfig(o, detail::data(path), path.size(), e); });
    }
    options &context(std::string_view name) {
        return set([&](auto o, auto e) { return mapstore_options_set_context(o, detail::data(name), name.size(), e); });
    }
    options &cache(enum cache mode) {
        return set([&](auto o, auto e) { return mapstore_options_set_cache(o, static_cast<std::int32_t>(mode), e); });
    }
    /** Of every call that sets no other, 1 ms to 24 h. */
    options &timeout(std::chrono::milliseconds timeout) {
        return set([&](auto o, auto e) { return mapstore_options_set_timeout_ms(o, detail::count(timeout), e); });
    }
    /** New values are stored as text, readable for kubectl, if they survive its YAML: see mapstore.h. */
    options &text_values(bool text) {
        return set([&](auto o, auto e) { return mapstore_options_set_text_values(o, text ? 1 : 0, e); });
    }
    /** Sees, counts, sets and truncates the ConfigMap's binaryData only; data is left alone. */
    options &binary_only(bool only) {
        return set([&](auto o, auto e) { return mapstore_options_set_binary_only(o, only ? 1 : 0, e); });
    }
    /** Cluster and namespace by MAPSTORE_CLUSTER_CONFIG_PATH, NAMESPACE and the service account only. */
    options &strict_lookup(bool strict) {
        return set([&](auto o, auto e) { return mapstore_options_set_strict_lookup(o, strict ? 1 : 0, e); });
    }
    /** Bytes this process may have stored in five minutes, however long it runs; MAPSTORE_UNLIMITED for no limit. */
    options &write_budget(std::uint64_t bytes) {
        return set([&](auto o, auto e) { return mapstore_options_set_write_budget(o, bytes, e); });
    }
    const mapstore_options_t *c_handle() const { return detail::get(options_); }

private:
    template <typename Set> options &set(Set set) {
        detail::check([&](auto e) { return set(detail::get(options_), e); });
        return *this;
    }
    detail::handle<mapstore_options_t, mapstore_options_free> options_;
};

/** The bytes of one value, a copy of its own. */
class value {
public:
    explicit value(mapstore_value_t *raw) noexcept : value_(raw) {}
    /** Valid as long as this object. A NUL that isn't counted follows the bytes. */
    std::string_view view() const {
        auto raw = detail::get(value_);
        return {static_cast<const char *>(mapstore_value_data(raw)), mapstore_value_len(raw)};
    }
    operator std::string_view() const { return view(); }
    std::string str() const { return std::string(view()); }
    std::size_t size() const { return view().size(); }

private:
    detail::handle<mapstore_value_t, mapstore_value_free> value_;
};

/** What a write did. */
struct written {
    /** The revision it made, or was compared at; empty if the map doesn't exist and nothing had to be written. */
    std::string revision;
    bool changed;
};

/** How full a store is: see mapstore_usage_t. */
using usage = mapstore_usage_t;

/** The whole map at one revision: it never changes and needs no store. */
class snapshot {
public:
    using entry = std::pair<std::string_view, std::string_view>;

    class iterator {
    public:
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using reference = entry;
        using pointer = void;
        using iterator_category = std::input_iterator_tag;

        iterator(const mapstore_snapshot_t *map, std::size_t index) noexcept : map_(map), index_(index) {}
        entry operator*() const noexcept {
            std::size_t key_len = 0, value_len = 0;
            const char *key = mapstore_snapshot_key_at(map_, index_, &key_len);
            const void *value = mapstore_snapshot_value_at(map_, index_, &value_len);
            return {{key, key_len}, {static_cast<const char *>(value), value_len}};
        }
        iterator &operator++() noexcept { ++index_; return *this; }
        iterator operator++(int) noexcept { auto old = *this; ++index_; return old; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.index_ == b.index_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.index_ != b.index_; }

    private:
        const mapstore_snapshot_t *map_;
        std::size_t index_;
    };

    explicit snapshot(mapstore_snapshot_t *raw) noexcept : map_(raw) {}
    std::size_t size() const { return mapstore_snapshot_len(detail::get(map_)); }
    bool empty() const { return size() == 0; }
    /** Empty if the map didn't exist. */
    std::string_view revision() const { return mapstore_snapshot_revision(detail::get(map_)); }
    /** A view that is valid as long as this snapshot. */
    std::optional<std::string_view> get(std::string_view key) const {
        const void *bytes = nullptr;
        std::size_t len = 0;
        detail::check([&](auto e) {
            return mapstore_snapshot_get(detail::get(map_), detail::data(key), key.size(), &bytes, &len, e);
        });
        if (bytes == nullptr)
            return std::nullopt;
        return std::string_view(static_cast<const char *>(bytes), len);
    }
    /** Keys and values, sorted by key; views that are valid as long as this snapshot. */
    iterator begin() const { return {detail::get(map_), 0}; }
    iterator end() const { return {detail::get(map_), size()}; }

private:
    detail::handle<mapstore_snapshot_t, mapstore_snapshot_free> map_;
};

/** Changes that are made together or not at all, by store::apply, if all conditions hold. */
class batch {
public:
    batch() : batch_(mapstore_batch_new()) {}

    batch &set(std::string_view key, std::string_view value) {
        return add([&](auto b, auto e) {
            return mapstore_batch_set(b, detail::data(key), key.size(), detail::data(value), value.size(), e);
        });
    }
    /** The batch then makes a new revision in any case. */
    batch &force_set(std::string_view key, std::string_view value) {
        return add([&](auto b, auto e) {
            return mapstore_batch_force_set(b, detail::data(key), key.size(), detail::data(value), value.size(), e);
        });
    }
    /** `delete` of the other languages. */
    batch &erase(std::string_view key) {
        return add([&](auto b, auto e) { return mapstore_batch_delete(b, detail::data(key), key.size(), e); });
    }
    /** Every key goes, those set earlier in this batch too. */
    batch &truncate() {
        return add([&](auto b, auto e) { return mapstore_batch_truncate(b, e); });
    }
    batch &if_absent(std::string_view key) {
        return add([&](auto b, auto e) { return mapstore_batch_if_absent(b, detail::data(key), key.size(), e); });
    }
    batch &if_present(std::string_view key) {
        return add([&](auto b, auto e) { return mapstore_batch_if_present(b, detail::data(key), key.size(), e); });
    }
    batch &if_equals(std::string_view key, std::string_view value) {
        return add([&](auto b, auto e) {
            return mapstore_batch_if_equals(b, detail::data(key), key.size(), detail::data(value), value.size(), e);
        });
    }
    batch &if_revision(std::string_view revision) {
        return add([&](auto b, auto e) {
            return mapstore_batch_if_revision(b, detail::data(revision), revision.size(), e);
        });
    }
    const mapstore_batch_t *c_handle() const { return detail::get(batch_); }

private:
    template <typename Add> batch &add(Add add) {
        detail::check([&](auto e) { return add(detail::get(batch_), e); });
        return *this;
    }
    detail::handle<mapstore_batch_t, mapstore_batch_free> batch_;
};

/** A key/value store over one ConfigMap. */
class store {
public:
    /** mapstore_open: with cache::exclusive the map is read once, else nothing is sent. */
    explicit store(std::string_view name, const options &options = {}, const call &call = {}) {
        detail::check_abi();
        mapstore_store_t *raw = nullptr;
        detail::check([&](auto e) {
            return mapstore_open(detail::data(name), name.size(), options.c_handle(), call.c_handle(), &raw, e);
        });
        store_.reset(raw);
    }

    std::optional<value> get(std::string_view key, const call &call = {}) const {
        mapstore_value_t *raw = nullptr;
        detail::check([&](auto e) {
            return mapstore_get(handle(), call.c_handle(), detail::data(key), key.size(), &raw, e);
        });
        if (raw == nullptr)
            return std::nullopt;
        return value(raw);
    }

    bool contains(std::string_view key, const call &call = {}) const {
        std::int32_t present = 0;
        detail::check([&](auto e) {
            return mapstore_contains(handle(), call.c_handle(), detail::data(key), key.size(), &present, e);
        });
        return present != 0;
    }

    /** How many keys there are. */
    std::size_t len(const call &call = {}) const {
        std::size_t len = 0;
        detail::check([&](auto e) { return mapstore_len(handle(), call.c_handle(), &len, e); });
        return len;
    }

    /** All keys, sorted. */
    std::vector<std::string> keys(const call &call = {}) const {
        mapstore_keys_t *raw = nullptr;
        detail::check([&](auto e) { return mapstore_keys(handle(), call.c_handle(), &raw, e); });
        const detail::handle<mapstore_keys_t, mapstore_keys_free> owned(raw);
        std::vector<std::string> keys;
        for (std::size_t index = 0; index < mapstore_keys_len(raw); index++) {
            std::size_t len = 0;
            const char *key = mapstore_keys_at(raw, index, &len);
            keys.emplace_back(key, len);
        }
        return keys;
    }

    mapstore::snapshot snapshot(const call &call = {}) const {
        mapstore_snapshot_t *raw = nullptr;
        detail::check([&](auto e) { return mapstore_snapshot(handle(), call.c_handle(), &raw, e); });
        return mapstore::snapshot(raw);
    }

    mapstore::usage usage(const call &call = {}) const {
        mapstore::usage usage{};
        detail::check([&](auto e) { return mapstore_usage(handle(), call.c_handle(), &usage, e); });
        return usage;
    }

    /** Stores a value, unless it is stored already. */
    written set(std::string_view key, std::string_view value, const call &call = {}) const {
        return write([&](auto w, auto e) {
            return mapstore_set(handle(), call.c_handle(), detail::data(key), key.size(), detail::data(value),
                                value.size(), w, e);
        });
    }

    /** Stores a value in a new revision, even if it is stored already. */
    written force_set(std::string_view key, std::string_view value, const call &call = {}) const {
        return write([&](auto w, auto e) {
            return mapstore_force_set(handle(), call.c_handle(), detail::data(key), key.size(), detail::data(value),
                                      value.size(), w, e);
        });
    }

    /** Removes a key; a missing one is fine. `delete` of the other languages. */
    written erase(std::string_view key, const call &call = {}) const {
        return write([&](auto w, auto e) {
            return mapstore_delete(handle(), call.c_handle(), detail::data(key), key.size(), w, e);
        });
    }

    /** Removes every key, other writers' too, in one write. */
    written truncate(const call &call = {}) const {
        return write([&](auto w, auto e) { return mapstore_truncate(handle(), call.c_handle(), w, e); });
    }

    /** All changes in one revision or none; a condition that doesn't hold throws conflict. */
    written apply(const batch &batch, const call &call = {}) const {
        return write([&](auto w, auto e) { return mapstore_apply(handle(), call.c_handle(), batch.c_handle(), w, e); });
    }

    /** std::nullopt: `expected` to be missing, `value` to be removed. Else throws conflict. */
    written compare_and_set(std::string_view key, std::optional<std::string_view> expected,
                            std::optional<std::string_view> value, const call &call = {}) const {
        return write([&](auto w, auto e) {
            return mapstore_compare_and_set(handle(), call.c_handle(), detail::data(key), key.size(),
                                            detail::data(expected), detail::size(expected), detail::data(value),
                                            detail::size(value), w, e);
        });
    }

    /**
     * Replaces a value by what change(std::optional<std::string_view>) makes of it, whoever else writes:
     * change is called again if somebody was faster. It returns what converts to
     * std::optional<std::string>; std::nullopt removes the key. An exception of it ends the update.
     * Stops at outcome_unknown: the change may have been made.
     */
    template <typename Change> written update(std::string_view key, Change change, const call &call = {}) const {
        mapstore_update_t *raw = nullptr;
        detail::check([&](auto e) {
            return mapstore_update_begin(handle(), call.c_handle(), detail::data(key), key.size(), &raw, e);
        });
        const detail::handle<mapstore_update_t, mapstore_update_free> update(raw);
        for (;;) {
            const void *bytes = nullptr;
            std::size_t len = 0;
            detail::check([&](auto e) { return mapstore_update_value(raw, &bytes, &len, e); });
            std::optional<std::string_view> old;
            if (len != MAPSTORE_ABSENT)
                old.emplace(static_cast<const char *>(bytes), len);
            const std::optional<std::string> made = change(old);
            std::optional<std::string_view> value;
            if (made)
                value = *made;
            std::int32_t done = 0;
            const auto done_with = write([&](auto w, auto e) {
                return mapstore_update_commit(raw, detail::data(value), detail::size(value), &done, w, e);
            });
            if (done != 0)
                return done_with;
        }
    }

    /** Makes a cached store at least as new as the server is at the call. */
    void refresh(const call &call = {}) const {
        detail::check([&](auto e) { return mapstore_refresh(handle(), call.c_handle(), e); });
    }

    /** Ends the calls under way, and every later one, with closed. A second time does nothing. */
    void close() const {
        detail::check([&](auto e) { return mapstore_close(handle(), e); });
    }

    const mapstore_store_t *c_handle() const { return handle(); }

private:
    const mapstore_store_t *handle() const { return detail::get(store_); }

    template <typename Write> static written write(Write write) {
        mapstore_written_t done{};
        detail::check([&](auto e) { return write(&done, e); });
        return {done.revision, done.changed != 0};
    }

    detail::handle<mapstore_store_t, mapstore_store_free> store_;
};

/** Whether a store opened like this could work. Changes nothing, whoever owns the name. */
inline void verify_connection(std::string_view name, const options &options = {}, const call &call = {}) {
    detail::check_abi();
    detail::check([&](auto e) {
        return mapstore_verify_connection(detail::data(name), name.size(), options.c_handle(), call.c_handle(), e);
    });
}

} // namespace mapstore

#endif
