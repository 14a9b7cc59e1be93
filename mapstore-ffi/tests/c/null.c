/* NULL and zero lengths, in every argument of every function: refused with the
 * parameter's name, or harmless; outputs stay as they were. */
#include "check.h"

/* Outputs no failed call may touch. */
static char mark;
#define UNTOUCHED(type, name) type *name = (type *)(void *)&mark
#define STILL(name) CHECK((void *)(name) == (void *)&mark)

static void freeing_null_does_nothing(void) {
    mapstore_options_free(NULL);
    mapstore_call_free(NULL);
    mapstore_cancel_token_free(NULL);
    mapstore_store_free(NULL);
    mapstore_value_free(NULL);
    mapstore_keys_free(NULL);
    mapstore_snapshot_free(NULL);
    mapstore_error_free(NULL);
}

static void getters_of_null_are_harmless(void) {
    size_t len = 7;
    CHECK(mapstore_value_data(NULL) == NULL && mapstore_value_len(NULL) == 0);
    CHECK(mapstore_keys_len(NULL) == 0);
    CHECK(mapstore_keys_at(NULL, 0, &len) == NULL && mapstore_keys_at(NULL, 0, NULL) == NULL);
    CHECK(mapstore_snapshot_len(NULL) == 0 && *mapstore_snapshot_revision(NULL) == '\0');
    CHECK(mapstore_snapshot_key_at(NULL, 0, &len) == NULL);
    CHECK(mapstore_snapshot_value_at(NULL, 0, &len) == NULL);
    CHECK(len == 7);
    CHECK(mapstore_error_code(NULL) == MAPSTORE_OK && mapstore_error_http_status(NULL) == 0);
    CHECK(*mapstore_error_message(NULL) == '\0' && *mapstore_error_subject(NULL) == '\0');
    CHECK(mapstore_error_retryable(NULL) == 0);
    CHECK(mapstore_error_used(NULL) == 0 && mapstore_error_limit(NULL) == 0);
    CHECK(mapstore_cancel_token_cancel(NULL) == MAPSTORE_INVALID_ARGUMENT);
}

static void settings_refuse_null(void) {
    mapstore_options_t *options = mapstore_options_new();
    mapstore_call_t *call = mapstore_call_new();
    CHECK(options != NULL && call != NULL);
    INVALID("options: it is NULL", mapstore_options_set_namespace(NULL, Z("n"), &error));
    INVALID("options: it is NULL", mapstore_options_set_kubeconfig(NULL, Z("p"), &error));
    INVALID("options: it is NULL", mapstore_options_set_context(NULL, Z("c"), &error));
    INVALID("options: it is NULL", mapstore_options_set_cache(NULL, 0, &error));
    INVALID("options: it is NULL", mapstore_options_set_timeout_ms(NULL, 1, &error));
    INVALID("options: it is NULL", mapstore_options_set_text_values(NULL, 1, &error));
    INVALID("options: it is NULL", mapstore_options_set_binary_only(NULL, 1, &error));
    INVALID("options: it is NULL", mapstore_options_set_strict_lookup(NULL, 1, &error));
    INVALID("namespace: it is NULL", mapstore_options_set_namespace(options, NULL, 0, &error));
    INVALID("path: it is NULL", mapstore_options_set_kubeconfig(options, NULL, 3, &error));
    INVALID("context: it is NULL", mapstore_options_set_context(options, NULL, MAPSTORE_NUL, &error));
    INVALID("call: it is NULL", mapstore_call_set_timeout_ms(NULL, 1, &error));
    INVALID("call: it is NULL", mapstore_call_set_cancel_token(NULL, NULL, &error));
    OK(mapstore_call_set_cancel_token(call, NULL, &error));
    CHECK(strcmp(last_subject, "") == 0);
    mapstore_call_free(call);
    mapstore_options_free(options);
}

static void open_refuses_null(void) {
    UNTOUCHED(mapstore_store_t, store);
    INVALID("name: it is NULL", mapstore_open(NULL, 0, NULL, NULL, &store, &error));
    INVALID("name", mapstore_open("", 0, NULL, NULL, &store, &error));
    INVALID("name", mapstore_open("abc", 0, NULL, NULL, &store, &error));
    INVALID("store: it is NULL", mapstore_open(Z("a"), NULL, NULL, NULL, &error));
    INVALID("name: it is NULL", mapstore_verify_connection(NULL, 1, NULL, NULL, &error));
    INVALID("name", mapstore_verify_connection("", 0, NULL, NULL, &error));
    CHECK(mapstore_open(NULL, 0, NULL, NULL, NULL, NULL) == MAPSTORE_INVALID_ARGUMENT);
    STILL(store);
}

static void operations_refuse_a_null_store(void) {
    UNTOUCHED(mapstore_value_t, value);
    UNTOUCHED(mapstore_keys_t, keys);
    UNTOUCHED(mapstore_snapshot_t, snapshot);
    size_t len = 7;
    int32_t present = 7;
    char buffer[4] = "abc";
    mapstore_written_t written = {"r", 7, 7};
    mapstore_usage_t usage = {7, 7, 7, 7, 7, 7, 7, 7, {7}};
    mapstore_batch_t *batch = mapstore_batch_new();
    UNTOUCHED(mapstore_update_t, update);
    INVALID("store: it is NULL", mapstore_get(NULL, NULL, Z("k"), &value, &error));
    INVALID("store: it is NULL", mapstore_get_into(NULL, NULL, Z("k"), buffer, 4, &len, &error));
    INVALID("store: it is NULL", mapstore_contains(NULL, NULL, Z("k"), &present, &error));
    INVALID("store: it is NULL", mapstore_len(NULL, NULL, &len, &error));
    INVALID("store: it is NULL", mapstore_keys(NULL, NULL, &keys, &error));
    INVALID("store: it is NULL", mapstore_snapshot(NULL, NULL, &snapshot, &error));
    INVALID("store: it is NULL", mapstore_set(NULL, NULL, Z("k"), "v", 1, &written, &error));
    INVALID("store: it is NULL", mapstore_force_set(NULL, NULL, Z("k"), "v", 1, &written, &error));
    INVALID("store: it is NULL", mapstore_delete(NULL, NULL, Z("k"), &written, &error));
    INVALID("store: it is NULL", mapstore_truncate(NULL, NULL, &written, &error));
    INVALID("store: it is NULL", mapstore_apply(NULL, NULL, batch, &written, &error));
    INVALID("store: it is NULL",
            mapstore_compare_and_set(NULL, NULL, Z("k"), NULL, 0, "v", 1, &written, &error));
    INVALID("store: it is NULL", mapstore_update_begin(NULL, NULL, Z("k"), &update, &error));
    INVALID("store: it is NULL", mapstore_refresh(NULL, NULL, &error));
    INVALID("store: it is NULL", mapstore_usage(NULL, NULL, &usage, &error));
    INVALID("store: it is NULL", mapstore_close(NULL, &error));
    STILL(value);
    STILL(keys);
    STILL(snapshot);
    STILL(update);
    mapstore_batch_free(batch);
    CHECK(len == 7 && present == 7 && strcmp(buffer, "abc") == 0);
    CHECK(written.changed == 7 && written.reserved == 7 && strcmp(written.revision, "r") == 0);
    CHECK(usage.keys == 7 && usage.reserved[0] == 7);
}

static void operations_refuse_null_outputs(mapstore_store_t *store) {
    size_t len = 7;
    char buffer[4];
    INVALID("value: it is NULL", mapstore_get(store, NULL, Z("k"), NULL, &error));
    INVALID("value_len: it is NULL", mapstore_get_into(store, NULL, Z("k"), buffer, 4, NULL, &error));
    INVALID("buffer: it is NULL, but its capacity is 4",
            mapstore_get_into(store, NULL, Z("k"), NULL, 4, &len, &error));
    INVALID("capacity: ", mapstore_get_into(store, NULL, Z("k"), buffer, SIZE_MAX, &len, &error));
    INVALID("present: it is NULL", mapstore_contains(store, NULL, Z("k"), NULL, &error));
    INVALID("len: it is NULL", mapstore_len(store, NULL, NULL, &error));
    INVALID("keys: it is NULL", mapstore_keys(store, NULL, NULL, &error));
    INVALID("snapshot: it is NULL", mapstore_snapshot(store, NULL, NULL, &error));
    INVALID("usage: it is NULL", mapstore_usage(store, NULL, NULL, &error));
    INVALID("batch: it is NULL", mapstore_apply(store, NULL, NULL, NULL, &error));
    INVALID("update: it is NULL", mapstore_update_begin(store, NULL, Z("k"), NULL, &error));
    INVALID("value: it is NULL, but its length is 1",
            mapstore_compare_and_set(store, NULL, Z("k"), NULL, 1, "v", 1, NULL, &error));
    INVALID("value: it is NULL, but its length is 1",
            mapstore_compare_and_set(store, NULL, Z("k"), "v", 1, NULL, 1, NULL, &error));
    CHECK(len == 7);
}

static void batches_and_updates_refuse_null(void) {
    mapstore_batch_t *batch = mapstore_batch_new();
    const void *value = "x";
    size_t len = 7;
    int32_t done = 7;
    CHECK(batch != NULL);
    INVALID("batch: it is NULL", mapstore_batch_set(NULL, Z("k"), "v", 1, &error));
    INVALID("batch: it is NULL", mapstore_batch_force_set(NULL, Z("k"), "v", 1, &error));
    INVALID("batch: it is NULL", mapstore_batch_delete(NULL, Z("k"), &error));
    INVALID("batch: it is NULL", mapstore_batch_truncate(NULL, &error));
    INVALID("batch: it is NULL", mapstore_batch_if_absent(NULL, Z("k"), &error));
    INVALID("batch: it is NULL", mapstore_batch_if_present(NULL, Z("k"), &error));
    INVALID("batch: it is NULL", mapstore_batch_if_equals(NULL, Z("k"), "v", 1, &error));
    INVALID("batch: it is NULL", mapstore_batch_if_revision(NULL, Z("1"), &error));
    INVALID("key: it is NULL", mapstore_batch_set(batch, NULL, 0, "v", 1, &error));
    INVALID("value: it is NULL", mapstore_batch_set(batch, Z("k"), NULL, 1, &error));
    INVALID("value: it is NULL", mapstore_batch_if_equals(batch, Z("k"), NULL, 1, &error));
    INVALID("revision: it is NULL", mapstore_batch_if_revision(batch, NULL, 0, &error));
    INVALID("revision \"\"", mapstore_batch_if_revision(batch, Z(""), &error));
    INVALID("revision \"0\"", mapstore_batch_if_revision(batch, Z("0"), &error));
    INVALID("key \"a b\"", mapstore_batch_delete(batch, Z("a b"), &error));
    OK(mapstore_batch_set(batch, Z("k"), NULL, 0, &error));
    OK(mapstore_batch_truncate(batch, &error));
    INVALID("update: it is NULL", mapstore_update_value(NULL, &value, &len, &error));
    INVALID("update: it is NULL", mapstore_update_commit(NULL, "v", 1, &done, NULL, &error));
    CHECK(len == 7 && done == 7 && strcmp(value, "x") == 0);
    INVALID("options: it is NULL", mapstore_options_set_write_budget(NULL, MAPSTORE_UNLIMITED, &error));
    mapstore_batch_free(batch);
    mapstore_batch_free(NULL);
    mapstore_update_free(NULL);
}

/* Each way a key can be wrong, in each function that takes one. */
static void operations_refuse_bad_keys(mapstore_store_t *store) {
    static const struct {
        const char *key;
        size_t len;
        const char *says;
    } keys[] = {
        {NULL, 0, "key: it is NULL"},
        {NULL, 1, "key: it is NULL"},
        {NULL, MAPSTORE_NUL, "key: it is NULL"},
        {"", 0, "empty"},
        {"", MAPSTORE_NUL, "empty"},
        {"k", 0, "empty"},
        {"a\xff", 2, "key \"a\\xff\": not UTF-8 at byte 1"},
        {"k", (size_t)1 << 63, "key_len: 9223372036854775808 can't be a length"},
        {"k", MAPSTORE_NUL - 1, "key_len: "},
        {"a b", 3, "key \"a b\""},
        {"a\0b", 3, "key \"a\\0b\""},
        {"..", MAPSTORE_NUL, "key \"..\""},
        {"\xc3\xbc", MAPSTORE_NUL, "key \"\xc3\xbc\""},
    };
    UNTOUCHED(mapstore_value_t, value);
    size_t i, len = 7;
    int32_t present = 7;
    char buffer[4];
    mapstore_written_t written = {"r", 7, 7};
    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *key = keys[i].key;
        size_t key_len = keys[i].len;
#define REFUSED(call) \
    EXPECT(MAPSTORE_INVALID_ARGUMENT, call); \
    if (strstr(last_message, keys[i].says) == NULL) fail(__FILE__, __LINE__, keys[i].says, last_message)
        REFUSED(mapstore_get(store, NULL, key, key_len, &value, &error));
        REFUSED(mapstore_get_into(store, NULL, key, key_len, buffer, 4, &len, &error));
        REFUSED(mapstore_contains(store, NULL, key, key_len, &present, &error));
        REFUSED(mapstore_set(store, NULL, key, key_len, "v", 1, &written, &error));
        REFUSED(mapstore_force_set(store, NULL, key, key_len, "v", 1, &written, &error));
        REFUSED(mapstore_delete(store, NULL, key, key_len, &written, &error));
#undef REFUSED
    }
    STILL(value);
    CHECK(len == 7 && present == 7 && written.changed == 7);
}

static void sets_refuse_bad_values(mapstore_store_t *store) {
    mapstore_written_t written = {"r", 7, 7};
    INVALID("value: it is NULL, but its length is 3",
            mapstore_set(store, NULL, Z("k"), NULL, 3, &written, &error));
    INVALID("value: it is NULL", mapstore_force_set(store, NULL, Z("k"), NULL, MAPSTORE_NUL, NULL, &error));
    INVALID("value_len: a value needs its length",
            mapstore_set(store, NULL, Z("k"), "v", MAPSTORE_NUL, &written, &error));
    INVALID("value_len: ", mapstore_force_set(store, NULL, Z("k"), "v", (size_t)1 << 63, NULL, &error));
    CHECK(written.changed == 7 && strcmp(written.revision, "r") == 0);
}

/* A failure goes over whatever was there; success touches nothing. */
static void an_error_pointer_is_written_on_failure_only(mapstore_store_t *store) {
    UNTOUCHED(mapstore_error_t, slot);
    mapstore_options_t *options = mapstore_options_new();
    CHECK(mapstore_options_set_cache(options, 0, &slot) == MAPSTORE_OK);
    STILL(slot);
    CHECK(mapstore_len(store, NULL, NULL, &slot) == MAPSTORE_INVALID_ARGUMENT);
    CHECK((void *)slot != (void *)&mark && mapstore_error_code(slot) == MAPSTORE_INVALID_ARGUMENT);
    CHECK(strcmp(mapstore_error_subject(slot), "len") == 0);
    CHECK(mapstore_error_retryable(slot) == 0 && mapstore_error_http_status(slot) == 0);
    CHECK(mapstore_error_used(slot) == 0 && mapstore_error_limit(slot) == 0);
    mapstore_error_free(slot);
    mapstore_options_free(options);
}

int main(void) {
    mapstore_store_t *store;
    freeing_null_does_nothing();
    getters_of_null_are_harmless();
    settings_refuse_null();
    INVALID("snapshot: it is NULL", mapstore_snapshot_get(NULL, Z("k"), NULL, NULL, &error));
    open_refuses_null();
    operations_refuse_a_null_store();
    batches_and_updates_refuse_null();
    store = open_nowhere();
    operations_refuse_null_outputs(store);
    operations_refuse_bad_keys(store);
    sets_refuse_bad_values(store);
    an_error_pointer_is_written_on_failure_only(store);
    mapstore_store_free(store);
    return 0;
}
