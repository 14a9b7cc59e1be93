// A program that meets a library of another ABI version: says so and ends.
#include <mapstore.hpp>

#include <iostream>

int main() try {
    const mapstore::store store("my-settings");
    return 0;
} catch (const mapstore::error &e) {
    std::cout << e.what() << '\n';
    return 1;
}
