/* Options and call settings: good, negative, zero and absurd. */
#include "check.h"

static void timeouts(void) {
    static const int64_t negative[] = {-1, -10000, INT64_MIN};
    static const int64_t absurd[] = {0, 86400001, INT64_MAX};
    const char *kubeconfig = kubeconfig_for(1);
    mapstore_options_t *options = options_for(kubeconfig, MAPSTORE_CACHE_NONE);
    mapstore_store_t *store = open_nowhere(), *other = NULL;
    mapstore_call_t *call = mapstore_call_new();
    size_t i, len = 7;
    for (i = 0; i < 3; i++) {
        INVALID("is negative", mapstore_options_set_timeout_ms(options, negative[i], &error));
        INVALID("is negative", mapstore_call_set_timeout_ms(call, negative[i], &error));
        CHECK(strcmp(last_subject, "timeout_ms") == 0);
    }
    /* Refused: nothing was set. */
    OK(mapstore_open(Z("nowhere"), options, call, &other, &error));
    mapstore_store_free(other);
    other = NULL;
    for (i = 0; i < 3; i++) {
        OK(mapstore_options_set_timeout_ms(options, absurd[i], &error));
        INVALID("not between 1 ms and 24 h", mapstore_open(Z("nowhere"), options, NULL, &other, &error));
        INVALID("not between 1 ms and 24 h",
                mapstore_verify_connection(Z("nowhere"), options, NULL, &error));
        OK(mapstore_call_set_timeout_ms(call, absurd[i], &error));
        INVALID("not between 1 ms and 24 h", mapstore_len(store, call, &len, &error));
        INVALID("not between 1 ms and 24 h", mapstore_set(store, call, Z("k"), "v", 1, NULL, &error));
    }
    CHECK(other == NULL && len == 7);
    OK(mapstore_options_set_timeout_ms(options, 86400000, &error));
    OK(mapstore_open(Z("nowhere"), options, NULL, &other, &error));
    mapstore_store_free(other);
    mapstore_store_free(store);
    mapstore_call_free(call);
    mapstore_options_free(options);
}

static void cache_modes(void) {
    static const int32_t unknown[] = {-1, 2, 3, INT32_MIN, INT32_MAX};
    mapstore_options_t *options = mapstore_options_new();
    size_t i;
    for (i = 0; i < sizeof unknown / sizeof *unknown; i++)
        INVALID("is no cache mode", mapstore_options_set_cache(options, unknown[i], &error));
    CHECK(strcmp(last_subject, "cache") == 0);
    OK(mapstore_options_set_cache(options, MAPSTORE_CACHE_EXCLUSIVE, &error));
    OK(mapstore_options_set_text_values(options, 0, &error));
    OK(mapstore_options_set_text_values(options, 1, &error));
    OK(mapstore_options_set_text_values(options, -5, &error));
    OK(mapstore_options_set_binary_only(options, -5, &error));
    OK(mapstore_options_set_binary_only(options, 0, &error));
    OK(mapstore_options_set_strict_lookup(options, -5, &error));
    OK(mapstore_options_set_strict_lookup(options, 0, &error));
    mapstore_options_free(options);
}

static void texts(void) {
    mapstore_options_t *options = mapstore_options_new();
    INVALID("namespace \"\\xff\": not UTF-8",
            mapstore_options_set_namespace(options, "\xff", 1, &error));
    INVALID("context \"\\xff\": not UTF-8", mapstore_options_set_context(options, Z("\xff"), &error));
    INVALID("path_len: ", mapstore_options_set_kubeconfig(options, "p", (size_t)1 << 63, &error));
    INVALID("namespace_len: ", mapstore_options_set_namespace(options, "n", SIZE_MAX - 1, &error));
    OK(mapstore_options_set_namespace(options, "team-a and more", 6, &error));
    OK(mapstore_options_set_context(options, "c and more", 1, &error));
    OK(mapstore_options_set_kubeconfig(options, "/no/such \xff file", 8, &error));
    mapstore_options_free(options);
}

/* A token and a call may go while others keep what they need. */
static void a_cancelled_token_stays_cancelled(void) {
    mapstore_store_t *store = open_nowhere();
    mapstore_call_t *call = mapstore_call_new();
    mapstore_cancel_token_t *token = mapstore_cancel_token_new();
    size_t len = 7;
    long long start = now_ms();
    OK(mapstore_call_set_cancel_token(call, token, &error));
    CHECK(mapstore_cancel_token_cancel(token) == MAPSTORE_OK);
    CHECK(mapstore_cancel_token_cancel(token) == MAPSTORE_OK);
    mapstore_cancel_token_free(token);
    EXPECT(MAPSTORE_CANCELLED, mapstore_len(store, call, &len, &error));
    EXPECT(MAPSTORE_CANCELLED, mapstore_set(store, call, Z("k"), "v", 1, NULL, &error));
    CHECK(len == 7 && now_ms() - start < AT_ONCE_MS);
    /* Without the token the call goes out, to nobody. */
    OK(mapstore_call_set_cancel_token(call, NULL, &error));
    OK(mapstore_call_set_timeout_ms(call, 300, &error));
    CHECK(mapstore_len(store, call, &len, NULL) != MAPSTORE_CANCELLED);
    mapstore_call_free(call);
    mapstore_store_free(store);
}

int main(void) {
    timeouts();
    cache_modes();
    texts();
    a_cancelled_token_stays_cancelled();
    return 0;
}
