/* mapstore.hpp, all of it: alone what needs no server, with a kubeconfig the rest. Prints only if a check fails. */
#include <mapstore.hpp>
#include <mapstore.hpp>

#include <cstdio>
#include <cstdlib>
#include <thread>

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

[[noreturn]] static void fail(int line, const char *what) {
    std::fprintf(stderr, "store.cpp:%d: %s\n", line, what);
    std::exit(1);
}

template <typename Error, typename Work> static std::string throws(int line, Work work) {
    try {
        work();
    } catch (const Error &e) {
        return e.what();
    } catch (const std::exception &e) {
        fail(line, e.what());
    }
    fail(line, "nothing was thrown");
}

static void without_a_server() {
    mapstore::options options;
    options.kubeconfig("/nowhere").namespace_name("n").timeout(std::chrono::seconds(1)).text_values(true);
    throws<mapstore::config>(__LINE__, [&] { mapstore::store("m", options); });
    throws<mapstore::invalid_argument>(__LINE__, [&] { mapstore::store("A", options); });
    throws<mapstore::invalid_argument>(__LINE__, [&] { mapstore::batch().set("a/b", ""); });
    throws<mapstore::too_large>(__LINE__, [&] { mapstore::batch().set("k", std::string(1048577, 'x')); });
    mapstore::batch batch;
    mapstore::batch moved = std::move(batch);
    const auto said = throws<mapstore::invalid_argument>(__LINE__, [&] { batch.truncate(); });
    CHECK(said.find("moved from") != std::string::npos);
    batch = std::move(moved);
    batch.truncate();
}

static void everything(const mapstore::options &options) {
    mapstore::verify_connection("cpp", options);
    mapstore::store store("cpp", options);
    store.truncate();
    CHECK(!store.get("a") && store.len() == 0 && store.keys().empty());
    const auto first = store.set("a", std::string_view("b\0c", 3));
    CHECK(first.changed && !store.set("a", std::string_view("b\0c", 3)).changed);
    CHECK(store.force_set("a", std::string_view("b\0c", 3)).revision != first.revision);
    store.set("empty", {});
    CHECK(store.get("a")->str() == std::string("b\0c", 3) && store.get("empty")->size() == 0);
    CHECK(store.contains("a") && !store.contains("x"));

    const auto snapshot = store.snapshot();
    store.erase("empty");
    std::string seen;
    for (const auto &[key, value] : snapshot)
        seen += std::string(key) + "=" + std::to_string(value.size()) + " ";
    CHECK(seen == "a=3 empty=0 " && snapshot.size() == 2 && !snapshot.revision().empty());
    CHECK(snapshot.get("empty") && !snapshot.get("x") && !store.contains("empty"));
    CHECK(store.usage().keys == 1 && store.usage().budget_limit == std::uint64_t(128) << 20);

    mapstore::batch batch;
    batch.if_absent("lock").set("lock", "me").force_set("x", "").erase("x");
    store.apply(batch);
    try {
        store.apply(batch);
        fail(__LINE__, "a batch whose condition doesn't hold");
    } catch (const mapstore::conflict &e) {
        CHECK(e.code() == MAPSTORE_CONFLICT && e.subject().find("lock") != std::string::npos && !e.retryable());
    }
    store.compare_and_set("lock", "me", std::nullopt);
    store.compare_and_set("lock", std::nullopt, "");
    throws<mapstore::conflict>(__LINE__, [&] { store.compare_and_set("lock", std::nullopt, "x"); });

    std::vector<std::thread> threads;
    for (int worker = 0; worker < 4; worker++)
        threads.emplace_back([&] {
            for (int round = 0; round < 10; round++)
                store.update("n", [](std::optional<std::string_view> old) {
                    return std::to_string((old ? std::stoi(std::string(*old)) : 0) + 1);
                });
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(store.get("n")->view() == "40");
    throws<std::runtime_error>(__LINE__, [&] {
        store.update("n", [](auto) -> std::optional<std::string> { throw std::runtime_error("no"); });
    });

    mapstore::cancel_token token;
    const auto call = mapstore::call(std::chrono::seconds(5)).cancel(token);
    store.set("c", "1", call);
    token.cancel();
    throws<mapstore::cancelled>(__LINE__, [&] { store.set("c", "2", call); });
    auto moved = std::move(store);
    throws<mapstore::invalid_argument>(__LINE__, [&] { store.len(); });
    moved.refresh();
    moved.close();
    moved.close();
    throws<mapstore::closed>(__LINE__, [&] { moved.get("a"); });
}

int main(int argc, char **argv) {
    without_a_server();
    for (const auto cache : {mapstore::cache::none, mapstore::cache::exclusive})
        if (argc == 2)
            everything(mapstore::options().kubeconfig(argv[1]).cache(cache));
    return 0;
}
