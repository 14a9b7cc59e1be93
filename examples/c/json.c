/* JSON objects in a store: one key each, changed by compare-and-set. A program brings its own JSON library; this one
 * writes so little that it needs none. */
#include <mapstore.h>

#include <stdio.h>
#include <string.h>

static int32_t visits(const mapstore_store_t *store, mapstore_error_t **error) {
    const char *first = "{\"visits\": 1}", *second = "{\"visits\": 2}";
    int32_t code = mapstore_delete(store, NULL, "dora", MAPSTORE_NUL, NULL, error);
    if (code == MAPSTORE_OK)
        code = mapstore_compare_and_set(store, NULL, "dora", MAPSTORE_NUL, NULL, MAPSTORE_ABSENT, first, strlen(first),
                                        NULL, error);
    if (code == MAPSTORE_OK)
        code = mapstore_compare_and_set(store, NULL, "dora", MAPSTORE_NUL, first, strlen(first), second,
                                        strlen(second), NULL, error);
    return code;
}

int main(void) {
    mapstore_options_t *options = mapstore_options_new();
    mapstore_store_t *store = NULL;
    mapstore_value_t *value = NULL;
    mapstore_error_t *error = NULL;
    /* Text values: `kubectl get configmap users -o yaml` shows them as they are. */
    int32_t code = mapstore_options_set_text_values(options, 1, &error);
    if (code == MAPSTORE_OK)
        code = mapstore_open("users", MAPSTORE_NUL, options, NULL, &store, &error);
    if (code == MAPSTORE_OK)
        code = visits(store, &error);
    if (code == MAPSTORE_OK)
        code = mapstore_get(store, NULL, "dora", MAPSTORE_NUL, &value, &error);
    if (code != MAPSTORE_OK)
        fprintf(stderr, "%s: %s\n", mapstore_code_name(code), mapstore_error_message(error));
    else if (value != NULL)
        printf("dora: %.*s\n", (int)mapstore_value_len(value), (const char *)mapstore_value_data(value));
    mapstore_value_free(value);
    mapstore_error_free(error);
    mapstore_store_free(store);
    mapstore_options_free(options);
    return code == MAPSTORE_OK ? 0 : 1;
}
