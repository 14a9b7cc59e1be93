// Writes its own keys and increments what all share: worker KUBECONFIG NAMESPACE ID KEYS CACHE.
#include <mapstore.hpp>

#include <iostream>

int main(int, char **argv) try {
    const std::string own = argv[3];
    const bool cached = std::string_view(argv[5]) == "exclusive";
    mapstore::options options;
    options.kubeconfig(argv[1]).namespace_name(argv[2]).timeout(std::chrono::minutes(2));
    options.cache(cached ? mapstore::cache::exclusive : mapstore::cache::none);
    const mapstore::store store("many", options);
    for (int number = 0, keys = std::stoi(argv[4]); number < keys; number++) {
        const auto text = std::to_string(number);
        store.set("p" + own + "-" + text, own + "." + text);
        if (number % 5 == 0)
            store.update("counter", [](std::optional<std::string_view> old) {
                return std::to_string((old ? std::stoi(std::string(*old)) : 0) + 1);
            });
    }
    return 0;
} catch (const mapstore::error &e) {
    std::cerr << e.name() << ": " << e.what() << '\n';
    return 1;
}
