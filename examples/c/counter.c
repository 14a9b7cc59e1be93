/* A counter that every replica increments: read-modify-write, exact whoever else writes. */
#include <mapstore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number in a value that isn't NUL-terminated. */
static long number(const void *value, size_t len) {
    char text[32] = "0";
    if (len != MAPSTORE_ABSENT && len < sizeof text) {
        memcpy(text, value, len);
        text[len] = '\0';
    }
    return strtol(text, NULL, 10);
}

static int32_t increment(const mapstore_store_t *store, long *count, mapstore_error_t **error) {
    mapstore_update_t *update = NULL;
    const void *old = NULL;
    size_t old_len = 0;
    int32_t done = 0;
    int32_t code = mapstore_update_begin(store, NULL, "visits", MAPSTORE_NUL, &update, error);
    while (code == MAPSTORE_OK && !done) {
        char text[32];
        code = mapstore_update_value(update, &old, &old_len, error);
        if (code == MAPSTORE_OK) {
            *count = number(old, old_len) + 1;
            code = mapstore_update_commit(update, text, (size_t)snprintf(text, sizeof text, "%ld", *count), &done,
                                          NULL, error);
        }
    }
    mapstore_update_free(update);
    return code;
}

int main(void) {
    mapstore_store_t *store = NULL;
    mapstore_error_t *error = NULL;
    long count = 0;
    int32_t code = mapstore_open("my-settings", MAPSTORE_NUL, NULL, NULL, &store, &error);
    if (code == MAPSTORE_OK)
        code = increment(store, &count, &error);
    if (code == MAPSTORE_OK)
        printf("visits = %ld\n", count);
    else
        fprintf(stderr, "%s: %s\n", mapstore_code_name(code), mapstore_error_message(error));
    mapstore_error_free(error);
    mapstore_store_free(store);
    return code == MAPSTORE_OK ? 0 : 1;
}
