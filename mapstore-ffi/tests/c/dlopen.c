/* A host that loads the library and drops it again while the library's
 * threads live. argv[1]: the library, argv[2]: a kubeconfig. Not linked with
 * the library. */
#include <mapstore.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

/* ISO C has no cast from an object pointer to a function pointer; POSIX says
 * that this works. */
#define LOAD(name) *(void **)(&name##_) = find(library, #name)

#define TIMES 5

/* Kept, so that a leak checker sees no leak. */
mapstore_store_t *volatile stores[TIMES];
mapstore_options_t *volatile opened[TIMES];

static void once(int number, const char *path, const char *kubeconfig) {
    struct timespec moment = {0, 50 * 1000 * 1000};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    mapstore_options_t *(*mapstore_options_new_)(void);
    int32_t (*mapstore_options_set_kubeconfig_)(mapstore_options_t *, const char *, size_t, mapstore_error_t **);
    int32_t (*mapstore_open_)(const char *, size_t, const mapstore_options_t *, const mapstore_call_t *,
                              mapstore_store_t **, mapstore_error_t **);
    int32_t (*mapstore_len_)(const mapstore_store_t *, const mapstore_call_t *, size_t *, mapstore_error_t **);
    mapstore_options_t *options;
    mapstore_store_t *store = NULL;
    size_t len;
    CHECK(library != NULL);
    LOAD(mapstore_options_new);
    LOAD(mapstore_options_set_kubeconfig);
    LOAD(mapstore_open);
    LOAD(mapstore_len);
    options = mapstore_options_new_();
    CHECK(mapstore_options_set_kubeconfig_(options, kubeconfig, MAPSTORE_NUL, NULL) == MAPSTORE_OK);
    CHECK(mapstore_open_("mapstore-ffi-dlopen", MAPSTORE_NUL, options, NULL, &store, NULL) == MAPSTORE_OK);
    CHECK(mapstore_len_(store, NULL, &len, NULL) == MAPSTORE_OK);
    stores[number] = store;
    opened[number] = options;
    /* The rudest host: nothing is freed, and the code is gone under the threads. */
    CHECK(dlclose(library) == 0);
    nanosleep(&moment, NULL);
}

int main(int argc, char **argv) {
    int i;
    CHECK(argc == 3);
    for (i = 0; i < TIMES; i++) once(i, argv[1], argv[2]);
    return 0;
}
