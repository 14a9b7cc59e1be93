/* The host process is left alone: threads, signals, descriptors and memory,
 * also after 10,000 opens and closes. argv[1]: a kubeconfig, or nobody. */
#include "process.h"

static const char *kubeconfig;
static int served;

static void *nothing(void *unused) { return unused; }

/* One life of a store; with a server it is used as well. */
static void one(int use) {
    mapstore_store_t *store = open_store("mapstore-ffi-life", kubeconfig, MAPSTORE_CACHE_NONE);
    size_t len;
    if (use) {
        OK(mapstore_len(store, NULL, &len, &error));
        CHECK(library_threads(1) <= 4);
    }
    mapstore_store_free(store);
}

/* What whoever started this program had set: some signals may be ignored. */
static struct sigaction at_start[NSIG];

static void note_signals(void) {
    int number;
    for (number = 1; number < NSIG; number++) sigaction(number, NULL, &at_start[number]);
}

static void no_signal_is_touched(void) {
    int number;
    for (number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0) CHECK(action.sa_handler == at_start[number].sa_handler);
    }
}

/* Idle threads end, and what they held is given back, within seconds. */
static void settles(int fds, int tasks, size_t bytes) {
    long long end = now_ms() + 20000;
    char detail[200];
    while (now_ms() < end) {
        if (descriptors() <= fds && threads() <= tasks && heap() <= bytes) return;
        sleep_ms(50);
    }
    snprintf(detail, sizeof detail, "descriptors %d of %d, threads %d of %d, heap %zu of %zu", descriptors(), fds,
             threads(), tasks, heap(), bytes);
    fail(__FILE__, __LINE__, "not back where it was", detail);
}

static void many(int count, int use) {
    int i, fds, tasks;
    size_t bytes;
    for (i = 0; i < 100; i++) one(use);
    settles(1 << 20, 2, (size_t)-1);
    fds = descriptors();
    tasks = threads();
    bytes = heap();
    for (i = 0; i < count; i++) one(use);
    /* Less than two bytes per life. */
    settles(fds, tasks, bytes + 16384);
}

/* malloc counts what a thread keeps for its next calls as in use: without
 * that cache the count is exact. Not under a tool that has its own malloc. */
static void without_malloc_cache(char **argv) {
    if (getenv("GLIBC_TUNABLES") != NULL || under_a_tool()) return;
    CHECK(setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1) == 0);
    execv("/proc/self/exe", argv);
    CHECK(!"exec");
}

int main(int argc, char **argv) {
    pthread_t thread;
    without_malloc_cache(argv);
    served = argc > 1;
    kubeconfig = served ? argv[1] : kubeconfig_for(1);
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
    note_signals();
    one(served);
    no_signal_is_touched();
    many(rounds(served ? 600 : 10000), served);
    no_signal_is_touched();
    return 0;
}
