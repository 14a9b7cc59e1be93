/* Values and texts of a size that can't be meant: refused at once, before
 * anything is sent (there is nobody to send it to). */
#include "check.h"

#define GIB ((size_t)1 << 30)

int main(void) {
    mapstore_store_t *store = open_nowhere();
    void *huge = calloc(1, GIB);
    mapstore_written_t written = {"r", 7, 7};
    mapstore_error_t *refusal = NULL;
    long long start = now_ms();
    CHECK(huge != NULL);
    CHECK(mapstore_set(store, NULL, Z("k"), huge, GIB, &written, &refusal) == MAPSTORE_TOO_LARGE);
    CHECK(mapstore_error_used(refusal) == GIB);
    CHECK(mapstore_error_limit(refusal) == MAPSTORE_MAX_VALUES_BYTES);
    CHECK(mapstore_error_retryable(refusal) == 0);
    CHECK_TEXT(mapstore_error_message(refusal), "1073741824");
    CHECK_TEXT(mapstore_error_message(refusal), "1048576");
    CHECK_TEXT(mapstore_error_subject(refusal), "k");
    mapstore_error_free(refusal);
    EXPECT(MAPSTORE_TOO_LARGE, mapstore_force_set(store, NULL, Z("k"), huge, GIB, &written, &error));
    EXPECT(MAPSTORE_TOO_LARGE,
           mapstore_set(store, NULL, Z("k"), huge, MAPSTORE_MAX_VALUES_BYTES + 1, &written, &error));
    /* A key of NULs, and one of 64 MiB. */
    INVALID("key", mapstore_delete(store, NULL, huge, 64, &written, &error));
    memset(huge, 'k', (size_t)64 << 20);
    INVALID("key", mapstore_delete(store, NULL, huge, (size_t)64 << 20, &written, &error));
    CHECK(strlen(last_message) < 500);
    INVALID("name", mapstore_open(huge, (size_t)64 << 20, NULL, NULL, &store, &error));
    CHECK(strlen(last_message) < 500);
    CHECK(written.changed == 7 && strcmp(written.revision, "r") == 0);
    /* Sending it, or waiting for somebody to send it to, would be a deadline each. */
    CHECK(now_ms() - start < 4 * AT_ONCE_MS);
    free(huge);
    mapstore_store_free(store);
    return 0;
}
