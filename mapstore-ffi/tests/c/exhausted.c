/* No thread, or no file descriptor, is to be had: an error that names the
 * limit and is worth a retry, 200 times, and nothing stays behind. Once there
 * is one again everything works. */
#include "process.h"

#include <sys/resource.h>
#include <sys/stat.h>

static const char *kubeconfig;

/* Of a call; short where most of them come to their deadline. */
static uint64_t timeout_ms = 2000;

static int32_t try_open(mapstore_store_t **store) {
    mapstore_options_t *options = options_for(kubeconfig, MAPSTORE_CACHE_NONE);
    int32_t code;
    OK(mapstore_options_set_timeout_ms(options, timeout_ms, &error));
    code = mapstore_open(Z("m"), options, NULL, store, &error);
    mapstore_options_free(options);
    return code;
}

static void set_limit(int resource, rlim_t soft) {
    struct rlimit limit;
    CHECK(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = soft;
    CHECK(setrlimit(resource, &limit) == 0);
}

static void names_the_limit(const char *limit) {
    CHECK(mapstore_error_retryable(error));
    if (strstr(mapstore_error_message(error), limit) == NULL)
        fail(__FILE__, __LINE__, limit, mapstore_error_message(error));
}

/* Whether there is a server or not: the call goes all its way. */
static void works(void) {
    mapstore_store_t *store = NULL;
    mapstore_value_t *value = NULL;
    int32_t code;
    OK(try_open(&store));
    code = mapstore_get(store, NULL, Z("k"), &value, &error);
    if (code != MAPSTORE_UNAVAILABLE) EXPECT(MAPSTORE_DEADLINE, code);
    mapstore_error_free(error);
    error = NULL;
    mapstore_store_free(store);
}

static void wait_for_the_end_of_threads(void) {
    long long until = now_ms() + 10000LL * slowness();
    while (library_threads(1) > 0 && now_ms() < until) sleep_ms(2);
    CHECK(library_threads(1) == 0);
}

/* RLIMIT_NPROC doesn't hold for root, and counts all of a user's threads. */
static void become_somebody(void) {
    if (getuid() != 0) return;
    CHECK(chmod(getenv("HOME"), 0755) == 0);
    CHECK(setresgid(60998, 60998, 60998) == 0 && setresuid(60998, 60998, 60998) == 0);
}

static void no_thread(void) {
    int round, count = rounds(200), before;
    rlim_t normal;
    struct rlimit limit;
    mapstore_store_t *store = NULL;
    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
    normal = limit.rlim_cur;
    /* A process' first store leaves a pair of sockets behind, tokio's. */
    works();
    wait_for_the_end_of_threads();
    before = descriptors();
    set_limit(RLIMIT_NPROC, 1);
    for (round = 0; round < count; round++) {
        CHECK(try_open(&store) == MAPSTORE_UNAVAILABLE && store == NULL);
        names_the_limit("RLIMIT_NPROC");
        EXPECT(MAPSTORE_UNAVAILABLE, mapstore_error_code(error));
    }
    CHECK(descriptors() == before && library_threads(1) == 0);
    /* One thread, for I/O, and none to read the kubeconfig. */
    set_limit(RLIMIT_NPROC, 2);
    for (round = 0; round < count; round++) {
        CHECK(try_open(&store) == MAPSTORE_UNAVAILABLE && store == NULL);
        names_the_limit("RLIMIT_NPROC");
        EXPECT(MAPSTORE_UNAVAILABLE, mapstore_error_code(error));
        wait_for_the_end_of_threads();
    }
    CHECK(descriptors() == before);
    set_limit(RLIMIT_NPROC, normal);
    works();
}

/* With so many descriptors left a call gets so far, and no further. */
static void no_descriptor(int left, rlim_t normal) {
    int round, count = rounds(200) / 10 + 1;
    timeout_ms = 60;
    for (round = 0; round < count; round++) {
        mapstore_store_t *store = NULL;
        mapstore_value_t *value = NULL;
        int32_t code;
        int fd = dup(0);
        CHECK(fd >= 0 && close(fd) == 0);
        set_limit(RLIMIT_NOFILE, (rlim_t)(fd + left));
        code = try_open(&store);
        if (code == MAPSTORE_OK) code = mapstore_get(store, NULL, Z("k"), &value, &error);
        CHECK(code != MAPSTORE_OK && code != MAPSTORE_INTERNAL && code != MAPSTORE_CONFIG);
        CHECK(mapstore_error_retryable(error));
        if (left < 8) names_the_limit("RLIMIT_NOFILE");
        mapstore_error_free(error);
        error = NULL;
        mapstore_store_free(store);
        set_limit(RLIMIT_NOFILE, normal);
        wait_for_the_end_of_threads();
    }
}

static void no_descriptors(void) {
    struct rlimit limit;
    int before, left;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    before = descriptors();
    for (left = 0; left < 12; left++) {
        no_descriptor(left, limit.rlim_cur);
        CHECK(descriptors() == before);
    }
    timeout_ms = 2000;
    works();
}

int main(void) {
    kubeconfig = kubeconfig_for(1);
    become_somebody();
    no_thread();
    no_descriptors();
    return 0;
}
