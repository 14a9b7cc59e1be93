// The basics: a value, a counter that every replica increments, all of it at once.
#include <mapstore.hpp>

#include <iostream>

int main() try {
    const mapstore::store store("my-settings");
    store.set("colour", "blue");
    store.update("visits", [](std::optional<std::string_view> old) {
        return std::to_string(old ? std::stoi(std::string(*old)) + 1 : 1);
    });
    const auto all = store.snapshot();
    for (const auto &[key, value] : all)
        std::cout << key << " = " << value << '\n';
    store.apply(mapstore::batch().if_present("colour").erase("colour").set("previous", "blue"));
    return 0;
} catch (const mapstore::error &e) {
    std::cerr << e.name() << ": " << e.what() << '\n';
    return 1;
}
