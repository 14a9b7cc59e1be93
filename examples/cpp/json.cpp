// JSON objects in a store: one key each, changed by compare-and-set. A program brings its own JSON library; this
// one writes so little that it needs none.
#include <mapstore.hpp>

#include <iostream>

int main() try {
    // Text values: `kubectl get configmap users -o yaml` shows them as they are.
    const mapstore::store store("users", mapstore::options().text_values(true));
    const std::string first = R"({"visits": 1})", second = R"({"visits": 2})";
    store.erase("berta");
    store.compare_and_set("berta", std::nullopt, first);
    store.compare_and_set("berta", first, second);
    std::cout << "berta: " << store.get("berta")->view() << '\n';
    return 0;
} catch (const mapstore::error &e) {
    std::cerr << e.name() << ": " << e.what() << '\n';
    return 1;
}
