/* A server that takes every connection and never answers: deadline, cancel
 * token and close end a call in time. */
#include "process.h"

static mapstore_store_t *store;
static mapstore_call_t *call;
static mapstore_cancel_token_t *token;

/* How late threads that only sleep wake up here, at worst since a call began. */
static int worst, over;

static void *watch_lateness(void *unused) {
    while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
        long long start = now_ms();
        int late;
        sleep_ms(2);
        late = (int)(now_ms() - start) - 2;
        if (late > __atomic_load_n(&worst, __ATOMIC_SEQ_CST)) __atomic_store_n(&worst, late, __ATOMIC_SEQ_CST);
    }
    return unused;
}

static long long begin(void) {
    __atomic_store_n(&worst, 0, __ATOMIC_SEQ_CST);
    return now_ms();
}

/* 100 ms is promised; the rest is this machine's: two threads wake up, the
 * library's and the caller's, or the one that ends the call and the caller's. */
static void took(long long start, long long least) {
    long long ms = now_ms() - start;
    CHECK(ms >= least - 1 && ms <= least + (100 + 50) * slowness() + 2 * __atomic_load_n(&worst, __ATOMIC_SEQ_CST));
}

static void the_deadline_ends_a_call(void) {
    mapstore_value_t *value = NULL;
    mapstore_call_t *shortly = mapstore_call_new();
    long long start = begin();
    int32_t code;
    OK(mapstore_call_set_timeout_ms(shortly, 300, &error));
    EXPECT(MAPSTORE_DEADLINE, mapstore_get(store, shortly, Z("k"), &value, &error));
    took(start, 300);
    CHECK(value == NULL);
    start = begin();
    code = mapstore_set(store, shortly, Z("k"), "v", 1, NULL, NULL);
    CHECK(code == MAPSTORE_DEADLINE || code == MAPSTORE_OUTCOME_UNKNOWN);
    took(start, 300);
    mapstore_call_free(shortly);
}

static void *cancel_soon(void *unused) {
    sleep_ms(200);
    CHECK(mapstore_cancel_token_cancel(token) == MAPSTORE_OK);
    return unused;
}

static void *close_soon(void *unused) {
    sleep_ms(200);
    CHECK(mapstore_close(store, NULL) == MAPSTORE_OK);
    return unused;
}

static void another_thread_ends_a_call(int32_t code, void *(*act)(void *)) {
    pthread_t thread;
    size_t len = 7;
    long long start = begin();
    CHECK(pthread_create(&thread, NULL, act, NULL) == 0);
    EXPECT(code, mapstore_len(store, call, &len, &error));
    took(start, 200);
    CHECK(len == 7 && pthread_join(thread, NULL) == 0);
}

int main(void) {
    int port, fd = listener(&port);
    pthread_t lateness;
    CHECK(pthread_create(&lateness, NULL, watch_lateness, NULL) == 0);
    store = open_store("waiting", kubeconfig_for(port), MAPSTORE_CACHE_NONE);
    call = mapstore_call_new();
    token = mapstore_cancel_token_new();
    /* The first call starts the library's threads. */
    OK(mapstore_call_set_timeout_ms(call, 100, &error));
    CHECK(mapstore_refresh(store, call, NULL) == MAPSTORE_DEADLINE);
    OK(mapstore_call_set_timeout_ms(call, 60000, &error));
    the_deadline_ends_a_call();
    OK(mapstore_call_set_cancel_token(call, token, &error));
    another_thread_ends_a_call(MAPSTORE_CANCELLED, cancel_soon);
    OK(mapstore_call_set_cancel_token(call, NULL, &error));
    another_thread_ends_a_call(MAPSTORE_CLOSED, close_soon);
    mapstore_store_free(store);
    mapstore_call_free(call);
    mapstore_cancel_token_free(token);
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(lateness, NULL) == 0);
    close(fd);
    return 0;
}
