// The header in C++17: handles in unique_ptr.
#include <mapstore.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#define CHECK(condition) \
    ((condition) ? (void)0 : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::exit(1)))

template <auto free>
struct Free {
    template <class T>
    void operator()(T *handle) const { free(handle); }
};
using Store = std::unique_ptr<mapstore_store_t, Free<mapstore_store_free>>;
using Value = std::unique_ptr<mapstore_value_t, Free<mapstore_value_free>>;
using Error = std::unique_ptr<mapstore_error_t, Free<mapstore_error_free>>;
using Options = std::unique_ptr<mapstore_options_t, Free<mapstore_options_free>>;

static_assert(sizeof(mapstore_written_t) == 56 && sizeof(mapstore_usage_t) == 96);
static_assert(MAPSTORE_NUL == static_cast<size_t>(-1));

int main(int argc, char **argv) {
    Options options{mapstore_options_new()};
    mapstore_store_t *opened = nullptr;
    mapstore_error_t *failed = nullptr;
    const std::string_view path = argc > 1 ? argv[1] : "/no/such/file", name = "mapstore-ffi-raii";
    CHECK(std::strcmp(mapstore_version(), MAPSTORE_VERSION) == 0);
    CHECK(mapstore_options_set_kubeconfig(options.get(), path.data(), path.size(), nullptr) == MAPSTORE_OK);
    const int32_t code = mapstore_open(name.data(), name.size(), options.get(), nullptr, &opened, &failed);
    Store store{opened};
    Error error{failed};
    if (argc == 1) {
        CHECK(code == MAPSTORE_CONFIG && !store);
        CHECK(std::string{mapstore_error_message(error.get())}.find(path) != std::string::npos);
        return 0;
    }
    CHECK(code == MAPSTORE_OK && !error);
    CHECK(mapstore_set(store.get(), nullptr, "k", 1, "value", 5, nullptr, nullptr) == MAPSTORE_OK);
    mapstore_value_t *got = nullptr;
    CHECK(mapstore_get(store.get(), nullptr, "k", 1, &got, nullptr) == MAPSTORE_OK);
    Value value{got};
    CHECK(value && static_cast<const char *>(mapstore_value_data(value.get())) == std::string_view{"value"});
    CHECK(mapstore_truncate(store.get(), nullptr, nullptr, nullptr) == MAPSTORE_OK);
    return 0;
}
