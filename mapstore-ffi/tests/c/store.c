/* Every operation on a server, in both cache modes. argv[1]: a kubeconfig. */
#include "check.h"

#define NAME "mapstore-ffi-store"

static mapstore_written_t written;

static void reads_of_an_empty_store(mapstore_store_t *store) {
    mapstore_value_t *value = (mapstore_value_t *)(void *)&written;
    mapstore_keys_t *keys = NULL;
    mapstore_snapshot_t *snapshot = NULL;
    const void *bytes = &written;
    size_t len = 7;
    int32_t present = 7;
    OK(mapstore_get(store, NULL, Z("k"), &value, &error));
    CHECK(value == NULL);
    OK(mapstore_get_into(store, NULL, Z("k"), NULL, 0, &len, &error));
    CHECK(len == MAPSTORE_ABSENT);
    OK(mapstore_contains(store, NULL, Z("k"), &present, &error));
    CHECK(present == 0);
    OK(mapstore_len(store, NULL, &len, &error));
    CHECK(len == 0);
    OK(mapstore_keys(store, NULL, &keys, &error));
    CHECK(keys != NULL && mapstore_keys_len(keys) == 0 && mapstore_keys_at(keys, 0, &len) == NULL);
    mapstore_keys_free(keys);
    OK(mapstore_snapshot(store, NULL, &snapshot, &error));
    CHECK(mapstore_snapshot_len(snapshot) == 0);
    CHECK(mapstore_snapshot_key_at(snapshot, 0, &len) == NULL);
    CHECK(mapstore_snapshot_value_at(snapshot, 0, &len) == NULL);
    OK(mapstore_snapshot_get(snapshot, Z("k"), &bytes, &len, &error));
    CHECK(bytes == NULL && len == 0);
    mapstore_snapshot_free(snapshot);
}

static void writes_say_what_they_did(mapstore_store_t *store) {
    char first[MAPSTORE_REVISION_SIZE];
    OK(mapstore_set(store, NULL, Z("b"), "two", 3, &written, &error));
    CHECK(written.changed == 1 && written.reserved == 0 && strlen(written.revision) > 0);
    strcpy(first, written.revision);
    OK(mapstore_set(store, NULL, "bulk", 1, "two", 3, &written, &error));
    CHECK(written.changed == 0 && strcmp(written.revision, first) == 0);
    OK(mapstore_force_set(store, NULL, Z("b"), "two", 3, &written, &error));
    CHECK(written.changed == 1 && strcmp(written.revision, first) != 0);
    OK(mapstore_set(store, NULL, Z("a"), "\0\xff\n", 3, NULL, &error));
    OK(mapstore_set(store, NULL, Z("empty"), NULL, 0, NULL, &error));
    OK(mapstore_set(store, NULL, Z("gone"), "x", 1, NULL, &error));
    OK(mapstore_delete(store, NULL, Z("gone"), &written, &error));
    CHECK(written.changed == 1);
    OK(mapstore_delete(store, NULL, Z("gone"), &written, &error));
    CHECK(written.changed == 0);
}

/* Now: a = 00 ff 0a, b = two, empty = nothing. */
static void reads_give_what_was_written(mapstore_store_t *store) {
    static const char *const names[] = {"a", "b", "empty"};
    mapstore_value_t *value = NULL;
    mapstore_keys_t *keys = NULL;
    mapstore_usage_t usage;
    size_t i, len = 7;
    int32_t present = 7;
    check_value(store, "a", "\0\xff\n", 3);
    check_value(store, "b", "two", 3);
    OK(mapstore_get(store, NULL, Z("empty"), &value, &error));
    CHECK(value != NULL && mapstore_value_len(value) == 0 && mapstore_value_data(value) != NULL);
    mapstore_value_free(value);
    OK(mapstore_contains(store, NULL, Z("a"), &present, &error));
    CHECK(present == 1);
    OK(mapstore_keys(store, NULL, &keys, &error));
    CHECK(mapstore_keys_len(keys) == 3);
    for (i = 0; i < 3; i++) {
        CHECK(strcmp(mapstore_keys_at(keys, i, &len), names[i]) == 0 && len == strlen(names[i]));
        CHECK(mapstore_keys_at(keys, i, NULL) != NULL);
    }
    CHECK(mapstore_keys_at(keys, 3, &len) == NULL && mapstore_keys_at(keys, SIZE_MAX, NULL) == NULL);
    mapstore_keys_free(keys);
    OK(mapstore_usage(store, NULL, &usage, &error));
    CHECK(usage.keys == 3 && usage.key_bytes == 7 && usage.value_bytes == 6);
    CHECK(usage.value_limit == MAPSTORE_MAX_VALUES_BYTES);
    CHECK(usage.object_bytes > 13 && usage.object_limit == MAPSTORE_MAX_OBJECT_BYTES);
    CHECK(usage.budget_used > 0 && usage.budget_limit == 128 << 20);
    for (i = 0; i < 4; i++)
        CHECK(usage.reserved[i] == 0);
}

static void get_into_copies_what_fits(mapstore_store_t *store) {
    char buffer[8] = "-------";
    size_t len = 7;
    OK(mapstore_get_into(store, NULL, Z("b"), NULL, 0, &len, &error));
    CHECK(len == 3);
    OK(mapstore_get_into(store, NULL, Z("b"), buffer, 2, &len, &error));
    CHECK(len == 3 && strcmp(buffer, "-------") == 0);
    OK(mapstore_get_into(store, NULL, Z("b"), buffer, 3, &len, &error));
    CHECK(len == 3 && strcmp(buffer, "two----") == 0);
    OK(mapstore_get_into(store, NULL, Z("empty"), buffer, 0, &len, &error));
    CHECK(len == 0);
    OK(mapstore_get_into(store, NULL, Z("none"), buffer, sizeof buffer, &len, &error));
    CHECK(len == MAPSTORE_ABSENT && strcmp(buffer, "two----") == 0);
}

/* What is handed out may be written to and changes nothing. */
static void a_value_can_be_scribbled_on(mapstore_store_t *store) {
    mapstore_value_t *value = NULL;
    OK(mapstore_get(store, NULL, Z("b"), &value, &error));
    CHECK(strcmp(mapstore_value_data(value), "two") == 0);
    memset(mapstore_value_data(value), '!', mapstore_value_len(value) + 1);
    check_value(store, "b", "two", 3);
    OK(mapstore_set(store, NULL, Z("b"), "two", 3, &written, &error));
    CHECK(written.changed == 0);
    mapstore_value_free(value);
}

static void a_snapshot_stays_as_it_was(mapstore_store_t *store) {
    mapstore_snapshot_t *snapshot = NULL;
    const void *bytes = NULL, *again = NULL;
    size_t i, len = 7;
    OK(mapstore_snapshot(store, NULL, &snapshot, &error));
    OK(mapstore_set(store, NULL, Z("c"), "three", 5, &written, &error));
    CHECK(mapstore_snapshot_len(snapshot) == 3);
    CHECK(strlen(mapstore_snapshot_revision(snapshot)) > 0);
    CHECK(strcmp(mapstore_snapshot_revision(snapshot), written.revision) != 0);
    OK(mapstore_snapshot_get(snapshot, Z("b"), &bytes, &len, &error));
    CHECK(len == 3 && memcmp(bytes, "two", 3) == 0);
    OK(mapstore_snapshot_get(snapshot, "bulk", 1, &again, &len, &error));
    CHECK(again == bytes);
    OK(mapstore_snapshot_get(snapshot, Z("empty"), &again, &len, &error));
    CHECK(again != NULL && len == 0);
    OK(mapstore_snapshot_get(snapshot, Z("c"), &again, &len, &error));
    CHECK(again == NULL && len == 0);
    for (i = 0; i < 3; i++) {
        const char *key = mapstore_snapshot_key_at(snapshot, i, &len);
        CHECK(key != NULL && strlen(key) == len);
        again = mapstore_snapshot_value_at(snapshot, i, &len);
        CHECK(again != NULL && (strcmp(key, "b") != 0 || (again == bytes && len == 3)));
    }
    CHECK(mapstore_snapshot_key_at(snapshot, 3, NULL) == NULL);
    CHECK(mapstore_snapshot_value_at(snapshot, 3, NULL) == NULL);
    INVALID("key: it is NULL", mapstore_snapshot_get(snapshot, NULL, 0, &bytes, &len, &error));
    INVALID("value: it is NULL", mapstore_snapshot_get(snapshot, Z("b"), NULL, &len, &error));
    INVALID("value_len: it is NULL", mapstore_snapshot_get(snapshot, Z("b"), &bytes, NULL, &error));
    OK(mapstore_delete(store, NULL, Z("c"), NULL, &error));
    mapstore_snapshot_free(snapshot);
}

static void a_refused_set_leaves_nothing_behind(mapstore_store_t *store) {
    size_t size = MAPSTORE_MAX_VALUES_BYTES;
    char *large = calloc(1, size + 1);
    mapstore_error_t *refusal = NULL;
    CHECK(mapstore_set(store, NULL, Z("b"), large, size, NULL, &refusal) == MAPSTORE_TOO_LARGE);
    CHECK(mapstore_error_limit(refusal) == size);
    mapstore_error_free(refusal);
    check_value(store, "b", "two", 3);
    OK(mapstore_refresh(store, NULL, &error));
    check_value(store, "b", "two", 3);
    free(large);
}

static void another_store_sees_it(mapstore_store_t *store, const char *kubeconfig) {
    mapstore_store_t *other = open_store(NAME, kubeconfig, MAPSTORE_CACHE_NONE);
    OK(mapstore_set(other, NULL, Z("foreign"), "f", 1, NULL, &error));
    OK(mapstore_refresh(store, NULL, &error));
    check_value(store, "foreign", "f", 1);
    mapstore_store_free(other);
}

static void batches_are_all_or_nothing(mapstore_store_t *store) {
    mapstore_batch_t *batch = mapstore_batch_new();
    mapstore_written_t later;
    OK(mapstore_truncate(store, NULL, NULL, &error));
    OK(mapstore_batch_if_absent(batch, Z("lock"), &error));
    OK(mapstore_batch_set(batch, Z("lock"), "me", 2, &error));
    OK(mapstore_batch_force_set(batch, Z("old"), "", 0, &error));
    OK(mapstore_batch_delete(batch, Z("old"), &error));
    OK(mapstore_apply(store, NULL, batch, &written, &error));
    CHECK(written.changed == 1);
    EXPECT(MAPSTORE_CONFLICT, mapstore_apply(store, NULL, batch, &later, &error));
    CHECK_TEXT(last_subject, "lock");
    mapstore_batch_free(batch);

    batch = mapstore_batch_new();
    OK(mapstore_batch_if_revision(batch, Z(written.revision), &error));
    OK(mapstore_batch_if_present(batch, Z("lock"), &error));
    OK(mapstore_batch_if_equals(batch, Z("lock"), "me", 2, &error));
    OK(mapstore_batch_truncate(batch, &error));
    OK(mapstore_batch_set(batch, Z("only"), "1", 1, &error));
    OK(mapstore_apply(store, NULL, batch, &later, &error));
    CHECK(later.changed == 1 && strcmp(later.revision, written.revision) != 0);
    EXPECT(MAPSTORE_CONFLICT, mapstore_apply(store, NULL, batch, NULL, &error));
    mapstore_batch_free(batch);
}

static void a_swap_needs_the_expected_value(mapstore_store_t *store) {
    mapstore_value_t *value = NULL;
    OK(mapstore_compare_and_set(store, NULL, Z("s"), NULL, MAPSTORE_ABSENT, "1", 1, NULL, &error));
    EXPECT(MAPSTORE_CONFLICT,
           mapstore_compare_and_set(store, NULL, Z("s"), NULL, MAPSTORE_ABSENT, "2", 1, NULL, &error));
    EXPECT(MAPSTORE_CONFLICT, mapstore_compare_and_set(store, NULL, Z("s"), "2", 1, "3", 1, NULL, &error));
    OK(mapstore_compare_and_set(store, NULL, Z("s"), "1", 1, NULL, MAPSTORE_ABSENT, NULL, &error));
    OK(mapstore_get(store, NULL, Z("s"), &value, &error));
    CHECK(value == NULL);
}

/* Somebody else is faster once; the second commit goes through. */
static void an_update_goes_on_from_the_newer_value(mapstore_store_t *store) {
    mapstore_update_t *update = NULL;
    const void *value = "untouched";
    size_t len = 7;
    int32_t done = 7;
    OK(mapstore_delete(store, NULL, Z("n"), NULL, &error));
    OK(mapstore_update_begin(store, NULL, Z("n"), &update, &error));
    OK(mapstore_update_value(update, &value, &len, &error));
    CHECK(value == NULL && len == MAPSTORE_ABSENT);
    OK(mapstore_set(store, NULL, Z("n"), "theirs", 6, NULL, &error));
    OK(mapstore_update_commit(update, "mine", 4, &done, &written, &error));
    CHECK(done == 0);
    OK(mapstore_update_value(update, &value, &len, &error));
    CHECK(len == 6 && memcmp(value, "theirs", 6) == 0);
    OK(mapstore_update_commit(update, "mine", 4, &done, &written, &error));
    CHECK(done == 1 && written.changed == 1);
    mapstore_update_free(update);
    OK(mapstore_update_begin(store, NULL, Z("n"), &update, &error));
    OK(mapstore_update_commit(update, NULL, MAPSTORE_ABSENT, &done, NULL, &error));
    CHECK(done == 1);
    mapstore_update_free(update);
}

static void everything(const char *kubeconfig, int32_t cache) {
    mapstore_options_t *options = options_for(kubeconfig, cache);
    mapstore_store_t *store = open_store(NAME, kubeconfig, cache);
    mapstore_snapshot_t *snapshot = NULL;
    const void *bytes = NULL;
    size_t len = 7;
    OK(mapstore_verify_connection(Z(NAME), options, NULL, &error));
    mapstore_options_free(options);
    OK(mapstore_truncate(store, NULL, NULL, &error));
    reads_of_an_empty_store(store);
    writes_say_what_they_did(store);
    reads_give_what_was_written(store);
    get_into_copies_what_fits(store);
    a_value_can_be_scribbled_on(store);
    a_snapshot_stays_as_it_was(store);
    a_refused_set_leaves_nothing_behind(store);
    another_store_sees_it(store, kubeconfig);
    OK(mapstore_snapshot(store, NULL, &snapshot, &error));
    OK(mapstore_truncate(store, NULL, &written, &error));
    CHECK(written.changed == 1);
    OK(mapstore_truncate(store, NULL, &written, &error));
    CHECK(written.changed == 0);
    batches_are_all_or_nothing(store);
    a_swap_needs_the_expected_value(store);
    an_update_goes_on_from_the_newer_value(store);
    OK(mapstore_close(store, &error));
    mapstore_store_free(store);
    /* It needs no store. */
    OK(mapstore_snapshot_get(snapshot, Z("b"), &bytes, &len, &error));
    CHECK(len == 3 && memcmp(bytes, "two", 3) == 0);
    mapstore_snapshot_free(snapshot);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    everything(argv[1], MAPSTORE_CACHE_NONE);
    everything(argv[1], MAPSTORE_CACHE_EXCLUSIVE);
    return 0;
}
