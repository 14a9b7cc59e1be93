// Every function of mapstore_dev.hpp, with good and with bad arguments.
#include "mapstore_dev.hpp"
#include "mapstore_dev.hpp" // twice is fine

#include <fstream>
#include <iostream>
#include <utility>

namespace {

void check(bool held, const char *what) {
    if (!held)
        throw std::logic_error(what);
}

template <typename Call> void refused(const char *words, Call call) {
    try {
        call();
    } catch (const mapstore::dev_error &e) {
        check(std::string(e.what()).find(words) != std::string::npos, e.what());
        check(e.code() != MAPSTORE_DEV_OK, "an error without a code");
        return;
    }
    throw std::logic_error(words);
}

} // namespace

int main() try {
    const std::string rules = R"([{"apiGroups":[""],"resources":["configmaps"],"verbs":["get"]}])";
    std::string admin;
    {
        mapstore::dev_server first;
        const std::string url = first.url();
        check(url.rfind("https://127.0.0.1:", 0) == 0, "the url");
        const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(18)));
        refused("can't listen", [&] { mapstore::dev_server taken(port); });
        mapstore::dev_server server = std::move(first);
        check(server.url() == url, "a moved server is the same");
        admin = server.kubeconfig();
        check(std::ifstream(admin).good(), "the kubeconfig");
        server.create_namespace("team");
        server.create_namespace("going");
        server.terminate_namespace("going");
        server.set_quota("team", 3);
        server.forbid_key("team", "forbidden");
        refused("", [&] { server.create_namespace("Not A Name"); });
        refused("", [&] { server.add_user("app", "team", "no JSON"); });
        const std::string token = server.add_user("app", "team", rules);
        const std::string path = server.user_kubeconfig(token, "team");
        check(std::ifstream(path).good() && path != admin, "the user's kubeconfig");
        server.revoke(token);
        server.stop();
        server.resume();
    }
    check(!std::ifstream(admin).good(), "the kubeconfig goes with the server");
    std::cout << "ok\n";
    return 0;
} catch (const std::exception &e) {
    std::cerr << e.what() << '\n';
    return 1;
}
