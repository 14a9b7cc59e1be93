/* One store, one call object, many threads. argv[1]: a kubeconfig. */
#include "process.h"

#define THREADS 8

static mapstore_store_t *store;
static mapstore_call_t *call;

static void *use(void *number) {
    char key[16];
    int i;
    snprintf(key, sizeof key, "key-%d", (int)(size_t)number);
    for (i = 0; i < rounds(20); i++) {
        mapstore_value_t *value = NULL;
        mapstore_snapshot_t *snapshot = NULL;
        char text[16];
        int len = snprintf(text, sizeof text, "%d", i);
        CHECK(mapstore_set(store, call, Z(key), text, (size_t)len, NULL, NULL) == MAPSTORE_OK);
        CHECK(mapstore_get(store, call, Z(key), &value, NULL) == MAPSTORE_OK && value != NULL);
        CHECK(strcmp(mapstore_value_data(value), text) == 0);
        mapstore_value_free(value);
        CHECK(mapstore_snapshot(store, call, &snapshot, NULL) == MAPSTORE_OK);
        CHECK(mapstore_snapshot_key_at(snapshot, 0, NULL) != NULL);
        mapstore_snapshot_free(snapshot);
        CHECK(mapstore_delete(store, call, Z("none"), NULL, NULL) == MAPSTORE_OK);
    }
    return NULL;
}

static void *look(void *shared) {
    size_t i, len;
    for (i = 0; i < mapstore_snapshot_len(shared); i++)
        CHECK(mapstore_snapshot_value_at(shared, i, &len) != NULL);
    return NULL;
}

static void all(void *(*work)(void *), void *shared) {
    pthread_t threads[THREADS];
    size_t i;
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, shared != NULL ? shared : (void *)i) == 0);
    for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void together(const char *kubeconfig, int32_t cache) {
    mapstore_snapshot_t *snapshot = NULL;
    size_t len = 0;
    store = open_store("mapstore-ffi-threads", kubeconfig, cache);
    OK(mapstore_truncate(store, NULL, NULL, &error));
    all(use, NULL);
    OK(mapstore_len(store, NULL, &len, &error));
    CHECK(len == THREADS);
    OK(mapstore_snapshot(store, NULL, &snapshot, &error));
    all(look, snapshot);
    mapstore_snapshot_free(snapshot);
    CHECK(library_threads(1) <= 4);
    OK(mapstore_truncate(store, NULL, NULL, &error));
    mapstore_store_free(store);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    call = mapstore_call_new();
    OK(mapstore_call_set_timeout_ms(call, 30000, &error));
    together(argv[1], MAPSTORE_CACHE_NONE);
    together(argv[1], MAPSTORE_CACHE_EXCLUSIVE);
    mapstore_call_free(call);
    return 0;
}
