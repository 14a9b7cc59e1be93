/* A child uses options, call settings and a cancel token that it inherited,
 * while its parent's threads are in the middle of using them. */
#include "process.h"

#include <sys/wait.h>

/* AddressSanitizer's own malloc keeps its locks over a fork: a child whose
 * parent's threads were inside hangs in it, whatever the library does. */
#ifdef __SANITIZE_ADDRESS__
#define THREADS 1
static const int users = 0;
#else
#define THREADS 16
static const int users = THREADS;
#endif

static mapstore_store_t *store;
static mapstore_options_t *options;
static mapstore_cancel_token_t *token;
static mapstore_call_t *quick;
static volatile int stop;

static void *use(void *unused) {
    char bytes[8];
    size_t len;
    while (!stop) mapstore_get_into(store, quick, Z("k"), bytes, sizeof bytes, &len, NULL);
    return unused;
}

static int child(void) {
    mapstore_store_t *own = NULL;
    mapstore_value_t *value = NULL;
    if (mapstore_get(store, quick, Z("k"), &value, NULL) != MAPSTORE_FORKED) return 1;
    if (mapstore_close(store, NULL) != MAPSTORE_OK) return 2;
    mapstore_store_free(store);
    if (mapstore_call_set_timeout_ms(quick, 15000, NULL) != MAPSTORE_OK) return 3;
    if (mapstore_open(Z("m"), options, quick, &own, NULL) != MAPSTORE_OK) return 4;
    if (mapstore_call_set_timeout_ms(quick, 5, NULL) != MAPSTORE_OK) return 5;
    if (mapstore_get(own, quick, Z("k"), &value, NULL) != MAPSTORE_DEADLINE) return 6;
    if (mapstore_cancel_token_cancel(token) != MAPSTORE_OK) return 7;
    if (mapstore_get(own, quick, Z("k"), &value, NULL) != MAPSTORE_CANCELLED) return 8;
    mapstore_store_free(own);
    mapstore_call_free(quick);
    mapstore_cancel_token_free(token);
    mapstore_options_free(options);
    return 0;
}

int main(void) {
    int port, fd = listener(&port), round, count = rounds(200), i;
    pthread_t threads[THREADS];
    CHECK(fd >= 0);
    options = options_for(kubeconfig_for(port), MAPSTORE_CACHE_NONE);
    OK(mapstore_open(Z("m"), options, NULL, &store, &error));
    token = mapstore_cancel_token_new();
    quick = mapstore_call_new();
    OK(mapstore_call_set_cancel_token(quick, token, &error));
    OK(mapstore_call_set_timeout_ms(quick, 1, &error));
    for (i = 0; i < users; i++) CHECK(pthread_create(&threads[i], NULL, use, NULL) == 0);
    for (round = 0; round < count; round++) {
        long long until = now_ms() + 20000LL * slowness();
        int status = 0;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(child());
        while (waitpid(pid, &status, WNOHANG) == 0) {
            if (now_ms() > until) kill(pid, SIGKILL);
            sleep_ms(1);
        }
        CHECK(WIFEXITED(status));
        if (WEXITSTATUS(status) != 0) {
            char step[32];
            snprintf(step, sizeof step, "step %d of the child", WEXITSTATUS(status));
            fail(__FILE__, __LINE__, step, "");
        }
    }
    stop = 1;
    for (i = 0; i < users; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    EXPECT(MAPSTORE_DEADLINE, mapstore_len(store, quick, &(size_t){0}, &error));
    mapstore_store_free(store);
    mapstore_options_free(options);
    mapstore_call_free(quick);
    mapstore_cancel_token_free(token);
    close(fd);
    return 0;
}
