/* What the test programs share. A program prints only if a check fails: its
 * test takes any output, the library's included, for a failure. */
#ifndef CHECK_H
#define CHECK_H

#include <mapstore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The error of the last call, for EXPECT to look at. */
static mapstore_error_t *error = NULL;
/* What the last failure said. */
static char last_message[2048];
static char last_subject[512];

static inline void fail(const char *file, int line, const char *what, const char *detail) {
    fprintf(stderr, "%s:%d: %s%s%s\n", file, line, what, *detail ? ": " : "", detail);
    exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition, ""))

#define CHECK_TEXT(text, part) \
    (strstr((text), (part)) != NULL ? (void)0 : fail(__FILE__, __LINE__, "no \"" part "\" in", (text)))

static inline void expect(const char *file, int line, int32_t code, int32_t got) {
    char detail[2600];
    if (got != code) {
        snprintf(detail, sizeof detail, "expected %s, got %s (%s)", mapstore_code_name(code),
                 mapstore_code_name(got), mapstore_error_message(error));
        fail(file, line, "wrong code", detail);
    }
    if ((error == NULL) != (got == MAPSTORE_OK) || mapstore_error_code(error) != got)
        fail(file, line, "code and error object differ", mapstore_error_message(error));
    snprintf(last_message, sizeof last_message, "%s", mapstore_error_message(error));
    snprintf(last_subject, sizeof last_subject, "%s", mapstore_error_subject(error));
    mapstore_error_free(error);
    error = NULL;
}

/* A call with &error as its last argument returns this code. */
#define EXPECT(code, call) expect(__FILE__, __LINE__, (code), (call))
#define OK(call) EXPECT(MAPSTORE_OK, call)
/* It is refused, and the message holds this. */
#define INVALID(part, call) (EXPECT(MAPSTORE_INVALID_ARGUMENT, call), CHECK_TEXT(last_message, part))

/* A text argument with its length. */
#define Z(text) (text), MAPSTORE_NUL

static inline long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Under valgrind or ASan everything takes longer, and fewer rounds do. */
static inline int rounds(int normal) {
    const char *text = getenv("MAPSTORE_TEST_ROUNDS");
    int most = text != NULL ? atoi(text) : normal;
    return most < normal ? most : normal;
}

static inline int under_a_tool(void) { return getenv("MAPSTORE_TEST_ROUNDS") != NULL; }
/* What has to come at once comes long before a call's default deadline, 10 s,
 * on a busy machine too. */
static inline int slowness(void) { return under_a_tool() ? 20 : 1; }
#define AT_ONCE_MS (5000 * slowness())

/* A kubeconfig for a server on loopback; port 1 is nobody. The file stays in
 * HOME, an empty directory that the test removes. */
static inline const char *kubeconfig_for(int port) {
    static char path[512];
    FILE *file;
    snprintf(path, sizeof path, "%s/kubeconfig-%d-%d", getenv("HOME"), (int)getpid(), port);
    file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: c, cluster: {server: \"http://127.0.0.1:%d\"}}]\n"
            "users: [{name: u, user: {}}]\n"
            "contexts: [{name: c, context: {cluster: c, user: u, namespace: default}}]\n",
            port);
    CHECK(fclose(file) == 0);
    return path;
}

static inline mapstore_options_t *options_for(const char *kubeconfig, int32_t cache) {
    mapstore_options_t *options = mapstore_options_new();
    CHECK(options != NULL);
    OK(mapstore_options_set_kubeconfig(options, Z(kubeconfig), &error));
    OK(mapstore_options_set_cache(options, cache, &error));
    return options;
}

static inline mapstore_store_t *open_store(const char *name, const char *kubeconfig, int32_t cache) {
    mapstore_options_t *options = options_for(kubeconfig, cache);
    mapstore_store_t *store = NULL;
    OK(mapstore_open(Z(name), options, NULL, &store, &error));
    CHECK(store != NULL);
    mapstore_options_free(options);
    return store;
}

/* An open store that has nobody to talk to. */
static inline mapstore_store_t *open_nowhere(void) {
    return open_store("nowhere", kubeconfig_for(1), MAPSTORE_CACHE_NONE);
}

static inline void check_value(mapstore_store_t *store, const char *key, const void *bytes, size_t len) {
    mapstore_value_t *value = NULL;
    OK(mapstore_get(store, NULL, Z(key), &value, &error));
    CHECK(value != NULL);
    CHECK(mapstore_value_len(value) == len);
    CHECK(memcmp(mapstore_value_data(value), bytes, len) == 0);
    mapstore_value_free(value);
}

#endif
