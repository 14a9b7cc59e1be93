/* A panic inside the library becomes an error code, prints nothing and leaves
 * the library usable. Linked with a library built for this test. */
#include "process.h"

int32_t mapstore_test_panic(mapstore_error_t **error);

static void *panics_here_too(void *unused) {
    CHECK(mapstore_test_panic(NULL) == MAPSTORE_INTERNAL);
    return unused;
}

int main(void) {
    pthread_t thread;
    mapstore_store_t *store;
    int i;
    for (i = 0; i < 3; i++) {
        EXPECT(MAPSTORE_INTERNAL, mapstore_test_panic(&error));
        CHECK_TEXT(last_message, "mapstore_test_panic was called");
        CHECK_TEXT(last_message, "panic_test.rs:");
    }
    CHECK(mapstore_test_panic(NULL) == MAPSTORE_INTERNAL);
    CHECK(pthread_create(&thread, NULL, panics_here_too, NULL) == 0 && pthread_join(thread, NULL) == 0);
    store = open_nowhere();
    mapstore_store_free(store);
    return 0;
}
