/* A closed store says so, to every operation, and can still be freed. */
#include "check.h"

int main(void) {
    mapstore_store_t *store = open_nowhere();
    mapstore_value_t *value = NULL;
    mapstore_keys_t *keys = NULL;
    mapstore_snapshot_t *snapshot = NULL;
    mapstore_usage_t usage;
    mapstore_written_t written = {"r", 7, 7};
    size_t len = 7;
    int32_t present = 7;
    char buffer[4];
    OK(mapstore_close(store, &error));
    OK(mapstore_close(store, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_get(store, NULL, Z("k"), &value, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_get_into(store, NULL, Z("k"), buffer, 4, &len, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_contains(store, NULL, Z("k"), &present, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_len(store, NULL, &len, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_keys(store, NULL, &keys, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_snapshot(store, NULL, &snapshot, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_set(store, NULL, Z("k"), "v", 1, &written, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_force_set(store, NULL, Z("k"), "v", 1, &written, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_delete(store, NULL, Z("k"), &written, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_truncate(store, NULL, &written, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_refresh(store, NULL, &error));
    EXPECT(MAPSTORE_CLOSED, mapstore_usage(store, NULL, &usage, &error));
    CHECK(value == NULL && keys == NULL && snapshot == NULL);
    CHECK(len == 7 && present == 7 && written.changed == 7);
    OK(mapstore_close(store, &error));
    mapstore_store_free(store);
    return 0;
}
