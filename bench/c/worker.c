/* Sets keys for a while: worker KUBECONFIG NAMESPACE NAME none|exclusive THREADS SECONDS ID. See bench/README.md. */
#define _POSIX_C_SOURCE 200809L
#include <mapstore.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
    mapstore_store_t *store;
    char key[64];
    double seconds;
    size_t sets, room;
    long *took; /* microseconds */
    pthread_barrier_t *gate;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void must(int32_t code, mapstore_error_t *error) {
    if (code == MAPSTORE_OK) return;
    fprintf(stderr, "%d: %s\n", code, error ? mapstore_error_message(error) : "");
    exit(1);
}

static void set(struct worker *w, const char *value) {
    mapstore_error_t *error = NULL;
    must(mapstore_set(w->store, NULL, w->key, MAPSTORE_NUL, value, strlen(value), NULL, &error), error);
}

static void *run(void *argument) {
    struct worker *w = argument;
    set(w, "0000000000000000");
    pthread_barrier_wait(w->gate);
    pthread_barrier_wait(w->gate);
    for (double started = now(), before = started; before - started < w->seconds; before = now()) {
        char value[32];
        if (w->sets == w->room) {
            w->room = w->room ? 2 * w->room : 1024;
            w->took = realloc(w->took, w->room * sizeof *w->took);
            if (!w->took) abort();
        }
        snprintf(value, sizeof value, "%016zu", w->sets + 1);
        set(w, value);
        w->took[w->sets++] = (long)((now() - before) * 1e6);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: worker KUBECONFIG NAMESPACE NAME HOW THREADS SECONDS ID\n");
        return 2;
    }
    mapstore_error_t *error = NULL;
    mapstore_store_t *store = NULL;
    mapstore_options_t *options = mapstore_options_new();
    int cached = strcmp(argv[4], "exclusive") == 0;
    must(mapstore_options_set_kubeconfig(options, argv[1], MAPSTORE_NUL, &error), error);
    must(mapstore_options_set_namespace(options, argv[2], MAPSTORE_NUL, &error), error);
    must(mapstore_options_set_cache(options, cached ? MAPSTORE_CACHE_EXCLUSIVE : MAPSTORE_CACHE_NONE, &error), error);
    must(mapstore_options_set_write_budget(options, MAPSTORE_UNLIMITED, &error), error);
    must(mapstore_open(argv[3], MAPSTORE_NUL, options, NULL, &store, &error), error);
    mapstore_options_free(options);

    int threads = atoi(argv[5]);
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    if (!workers || !ids) abort();
    for (int number = 0; number < threads; number++) {
        struct worker *w = &workers[number];
        w->store = store;
        w->seconds = atof(argv[6]);
        w->gate = &gate;
        snprintf(w->key, sizeof w->key, "w%s-%d", argv[7], number);
        if (pthread_create(&ids[number], NULL, run, w)) abort();
    }
    pthread_barrier_wait(&gate);
    puts("ready");
    fflush(stdout);
    (void)getchar();
    double started = now();
    pthread_barrier_wait(&gate);
    for (int number = 0; number < threads; number++) pthread_join(ids[number], NULL);
    printf("%ld\n", (long)((now() - started) * 1e6));
    for (int number = 0; number < threads; number++) {
        for (size_t set = 0; set < workers[number].sets; set++) printf("%ld\n", workers[number].took[set]);
        free(workers[number].took);
    }
    free(workers);
    free(ids);
    pthread_barrier_destroy(&gate);
    mapstore_store_free(store);
    return 0;
}
