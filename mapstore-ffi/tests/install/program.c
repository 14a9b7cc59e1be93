/* A program outside the tree. Without an argument: the error of a kubeconfig
 * that isn't there; with one: a value there and back. */
#include <mapstore.h>

#include <stdio.h>
#include <string.h>

#define NAME "mapstore-ffi-install"

static int fails(const char *what, int32_t code, mapstore_error_t *error) {
    printf("%s: %s: %s\n", what, mapstore_code_name(code), mapstore_error_message(error));
    mapstore_error_free(error);
    return 1;
}

static int without_cluster(mapstore_options_t *options) {
    mapstore_store_t *store = NULL;
    mapstore_error_t *error = NULL;
    int32_t code;
    mapstore_options_set_kubeconfig(options, "/no/such/file", MAPSTORE_NUL, NULL);
    code = mapstore_open(NAME, MAPSTORE_NUL, options, NULL, &store, &error);
    if (code != MAPSTORE_CONFIG || strstr(mapstore_error_message(error), "/no/such/file") == NULL)
        return fails("open", code, error);
    mapstore_error_free(error);
    return 0;
}

static int with_cluster(mapstore_options_t *options, const char *kubeconfig) {
    mapstore_store_t *store = NULL;
    mapstore_error_t *error = NULL;
    char value[16] = "";
    size_t len = 0;
    int32_t code = mapstore_options_set_kubeconfig(options, kubeconfig, MAPSTORE_NUL, &error);
    if (code == MAPSTORE_OK) code = mapstore_open(NAME, MAPSTORE_NUL, options, NULL, &store, &error);
    if (code == MAPSTORE_OK) code = mapstore_set(store, NULL, "colour", MAPSTORE_NUL, "blue", 4, NULL, &error);
    if (code == MAPSTORE_OK)
        code = mapstore_get_into(store, NULL, "colour", MAPSTORE_NUL, value, sizeof value, &len, &error);
    if (code == MAPSTORE_OK) code = mapstore_truncate(store, NULL, NULL, &error);
    mapstore_store_free(store);
    if (code != MAPSTORE_OK) return fails("set and get", code, error);
    return len == 4 && strcmp(value, "blue") == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    mapstore_options_t *options = mapstore_options_new();
    int status = argc > 1 ? with_cluster(options, argv[1]) : without_cluster(options);
    mapstore_options_free(options);
    if (status != 0) return status;
    printf("mapstore %s, %s\n", mapstore_version(), argc > 1 ? "used" : "no cluster");
    return strcmp(mapstore_version(), MAPSTORE_VERSION) == 0 && mapstore_abi_version() == MAPSTORE_ABI_VERSION ? 0 : 1;
}
