/* The option text_values: kubectl can read what is text. argv[1]: a kubeconfig. */
#include "check.h"

int main(int argc, char **argv) {
    mapstore_options_t *options;
    mapstore_store_t *store = NULL;
    CHECK(argc == 2);
    options = options_for(argv[1], MAPSTORE_CACHE_NONE);
    OK(mapstore_options_set_text_values(options, 1, &error));
    OK(mapstore_open(Z("mapstore-ffi-text"), options, NULL, &store, &error));
    OK(mapstore_truncate(store, NULL, NULL, &error));
    OK(mapstore_set(store, NULL, Z("text"), "gr\xc3\xbcn", 5, NULL, &error));
    OK(mapstore_set(store, NULL, Z("bytes"), "\xff", 1, NULL, &error));
    check_value(store, "text", "gr\xc3\xbcn", 5);
    check_value(store, "bytes", "\xff", 1);
    OK(mapstore_set(store, NULL, Z("text"), "\xfe", 1, NULL, &error));
    check_value(store, "text", "\xfe", 1);
    OK(mapstore_truncate(store, NULL, NULL, &error));
    mapstore_store_free(store);
    mapstore_options_free(options);
    return 0;
}
