/* A child that is forked while another thread is anywhere in the process'
 * first call opens a store of its own, and nothing in it hangs. */
#include "process.h"

#include <sys/wait.h>

static const char *kubeconfig;

/* Nobody listens: what counts is that it ends, by itself. */
static int first_call(void) {
    mapstore_options_t *options = options_for(kubeconfig, MAPSTORE_CACHE_NONE);
    mapstore_call_t *call = mapstore_call_new();
    mapstore_store_t *store = NULL;
    mapstore_value_t *value = NULL;
    int32_t code;
    OK(mapstore_call_set_timeout_ms(call, 5, &error));
    OK(mapstore_open(Z("m"), options, NULL, &store, &error));
    code = mapstore_get(store, call, Z("k"), &value, NULL);
    mapstore_store_free(store);
    mapstore_options_free(options);
    mapstore_call_free(call);
    return code == MAPSTORE_DEADLINE || code == MAPSTORE_UNAVAILABLE;
}

static void *thread(void *unused) {
    return first_call() ? NULL : unused;
}

/* Waits for a child that a hang must not keep. */
static int ends_well(pid_t child) {
    long long until = now_ms() + 20000LL * slowness();
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now_ms() > until) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return 0;
        }
        sleep_ms(1);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void pause_us(unsigned us) {
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - end.tv_sec) * 1000000L + (now.tv_nsec - end.tv_nsec) / 1000 < (long)us);
}

/* In a process that has never used the library. */
static int fresh(unsigned delay) {
    int well = 1;
    pthread_t other;
    void *bad = NULL;
    pid_t child;
    if (pthread_create(&other, NULL, thread, &well) != 0) return 0;
    pause_us(delay);
#ifdef __SANITIZE_ADDRESS__
    /* AddressSanitizer's own malloc keeps its locks over a fork: a child whose
     * parent's threads were inside hangs in it, whatever the library does. */
    pthread_join(other, &bad);
#endif
    child = fork();
    if (child == 0) _exit(first_call() ? 0 : 1);
    well = ends_well(child);
#ifndef __SANITIZE_ADDRESS__
    pthread_join(other, &bad);
#endif
    return well && bad == NULL && first_call();
}

int main(void) {
    int round, count = rounds(200);
    unsigned seed = 7;
    kubeconfig = kubeconfig_for(1);
    for (round = 0; round < count; round++) {
        unsigned delay = (unsigned)(rand_r(&seed) % 500) * (unsigned)slowness();
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) _exit(fresh(delay) ? 0 : 1);
        CHECK(ends_well(child));
    }
    return 0;
}
