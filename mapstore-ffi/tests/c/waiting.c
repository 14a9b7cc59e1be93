/* A server that takes every connection and never answers: deadline, cancel
 * token and close end a call in time. */
#include "process.h"

static mapstore_store_t *store;
static mapstore_call_t *call;
static mapstore_cancel_token_t *token;

/* 100 ms is promised; the rest is this machine's. */
static void took(long long start, long long least) {
    long long ms = now_ms() - start;
    CHECK(ms >= least - 1 && ms <= least + (100 + 150) * slowness());
}

static void the_deadline_ends_a_call(void) {
    mapstore_value_t *value = NULL;
    mapstore_call_t *shortly = mapstore_call_new();
    long long start = now_ms();
    int32_t code;
    OK(mapstore_call_set_timeout_ms(shortly, 300, &error));
    EXPECT(MAPSTORE_DEADLINE, mapstore_get(store, shortly, Z("k"), &value, &error));
    took(start, 300);
    CHECK(value == NULL);
    start = now_ms();
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
    long long start = now_ms();
    CHECK(pthread_create(&thread, NULL, act, NULL) == 0);
    EXPECT(code, mapstore_len(store, call, &len, &error));
    took(start, 200);
    CHECK(len == 7 && pthread_join(thread, NULL) == 0);
}

int main(void) {
    int port, fd = listener(&port);
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
    close(fd);
    return 0;
}
