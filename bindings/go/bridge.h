/* What Go calls: each function is one of mapstore.h, its results returned by
 * value, so that nothing of Go's has to be given a place on the heap. No
 * parameter is a void pointer: cgo checks the whole object that one points into,
 * and panics where an array of bytes stands beside a pointer. */
#ifndef MAPSTORE_GO_BRIDGE_H
#define MAPSTORE_GO_BRIDGE_H

#include <mapstore.h>

#if MAPSTORE_ABI_VERSION != 0
#error "this Go package is for ABI version 0 of mapstore: install the package and the library of one version"
#endif

typedef struct {
    mapstore_error_t *error;
    void *handle;
    size_t len;
    int32_t code;
    int32_t flag;
} go_result_t;

typedef struct {
    mapstore_error_t *error;
    mapstore_written_t written;
    int32_t code;
    int32_t done;
} go_written_t;

typedef struct {
    mapstore_error_t *error;
    mapstore_usage_t usage;
    int32_t code;
} go_usage_t;

static inline go_result_t go_open(const char *name, size_t name_len, const mapstore_options_t *options,
                                  const mapstore_call_t *call) {
    go_result_t r = {0};
    mapstore_store_t *store = NULL;
    r.code = mapstore_open(name, name_len, options, call, &store, &r.error);
    r.handle = store;
    return r;
}

static inline go_result_t go_verify(const char *name, size_t name_len, const mapstore_options_t *options,
                                    const mapstore_call_t *call) {
    go_result_t r = {0};
    r.code = mapstore_verify_connection(name, name_len, options, call, &r.error);
    return r;
}

static inline go_result_t go_get(const mapstore_store_t *store, const mapstore_call_t *call, const char *key,
                                 size_t key_len) {
    go_result_t r = {0};
    mapstore_value_t *value = NULL;
    r.code = mapstore_get(store, call, key, key_len, &value, &r.error);
    r.handle = value;
    return r;
}

static inline go_result_t go_get_into(const mapstore_store_t *store, const char *key, size_t key_len,
                                      unsigned char *buffer, size_t capacity) {
    go_result_t r = {0};
    r.code = mapstore_get_into(store, NULL, key, key_len, buffer, capacity, &r.len, &r.error);
    return r;
}

static inline go_result_t go_contains(const mapstore_store_t *store, const mapstore_call_t *call,
                                      const char *key, size_t key_len) {
    go_result_t r = {0};
    r.code = mapstore_contains(store, call, key, key_len, &r.flag, &r.error);
    return r;
}

static inline go_result_t go_len(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_result_t r = {0};
    r.code = mapstore_len(store, call, &r.len, &r.error);
    return r;
}

static inline go_result_t go_keys(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_result_t r = {0};
    mapstore_keys_t *keys = NULL;
    r.code = mapstore_keys(store, call, &keys, &r.error);
    r.handle = keys;
    return r;
}

static inline go_usage_t go_usage(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_usage_t r = {0};
    r.code = mapstore_usage(store, call, &r.usage, &r.error);
    return r;
}

static inline go_result_t go_snapshot(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_result_t r = {0};
    mapstore_snapshot_t *snapshot = NULL;
    r.code = mapstore_snapshot(store, call, &snapshot, &r.error);
    r.handle = snapshot;
    return r;
}

static inline go_result_t go_refresh(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_result_t r = {0};
    r.code = mapstore_refresh(store, call, &r.error);
    return r;
}

static inline go_result_t go_close(const mapstore_store_t *store) {
    go_result_t r = {0};
    r.code = mapstore_close(store, &r.error);
    return r;
}

static inline go_written_t go_set(const mapstore_store_t *store, const mapstore_call_t *call, const char *key,
                                  size_t key_len, const unsigned char *value, size_t value_len, int force) {
    go_written_t r = {0};
    if (force)
        r.code = mapstore_force_set(store, call, key, key_len, value, value_len, &r.written, &r.error);
    else
        r.code = mapstore_set(store, call, key, key_len, value, value_len, &r.written, &r.error);
    return r;
}

static inline go_written_t go_delete(const mapstore_store_t *store, const mapstore_call_t *call,
                                     const char *key, size_t key_len) {
    go_written_t r = {0};
    r.code = mapstore_delete(store, call, key, key_len, &r.written, &r.error);
    return r;
}

static inline go_written_t go_truncate(const mapstore_store_t *store, const mapstore_call_t *call) {
    go_written_t r = {0};
    r.code = mapstore_truncate(store, call, &r.written, &r.error);
    return r;
}

static inline go_written_t go_apply(const mapstore_store_t *store, const mapstore_call_t *call,
                                    const mapstore_batch_t *batch) {
    go_written_t r = {0};
    r.code = mapstore_apply(store, call, batch, &r.written, &r.error);
    return r;
}

static inline go_written_t go_compare_and_set(const mapstore_store_t *store, const mapstore_call_t *call,
                                              const char *key, size_t key_len, const unsigned char *expected,
                                              size_t expected_len, const unsigned char *value, size_t value_len) {
    go_written_t r = {0};
    r.code = mapstore_compare_and_set(store, call, key, key_len, expected, expected_len, value, value_len,
                                      &r.written, &r.error);
    return r;
}

static inline go_result_t go_update_begin(const mapstore_store_t *store, const mapstore_call_t *call,
                                          const char *key, size_t key_len) {
    go_result_t r = {0};
    mapstore_update_t *update = NULL;
    r.code = mapstore_update_begin(store, call, key, key_len, &update, &r.error);
    r.handle = update;
    return r;
}

/* The value stays the update's: handle points at it, flag says whether there is one. */
static inline go_result_t go_update_value(const mapstore_update_t *update) {
    go_result_t r = {0};
    const void *value = NULL;
    r.code = mapstore_update_value(update, &value, &r.len, &r.error);
    r.handle = (void *)value;
    r.flag = r.len != MAPSTORE_ABSENT;
    return r;
}

static inline go_written_t go_update_commit(mapstore_update_t *update, const unsigned char *value, size_t value_len) {
    go_written_t r = {0};
    r.code = mapstore_update_commit(update, value, value_len, &r.done, &r.written, &r.error);
    return r;
}

/* One step of a batch: what is an operation or a condition by its name in batch.go. */
enum { GO_SET, GO_FORCE_SET, GO_DELETE, GO_TRUNCATE, GO_IF_ABSENT, GO_IF_PRESENT, GO_IF_EQUALS, GO_IF_REVISION };

static inline go_result_t go_batch_add(mapstore_batch_t *batch, int step, const char *key, size_t key_len,
                                       const unsigned char *value, size_t value_len) {
    go_result_t r = {0};
    switch (step) {
    case GO_SET: r.code = mapstore_batch_set(batch, key, key_len, value, value_len, &r.error); break;
    case GO_FORCE_SET: r.code = mapstore_batch_force_set(batch, key, key_len, value, value_len, &r.error); break;
    case GO_DELETE: r.code = mapstore_batch_delete(batch, key, key_len, &r.error); break;
    case GO_TRUNCATE: r.code = mapstore_batch_truncate(batch, &r.error); break;
    case GO_IF_ABSENT: r.code = mapstore_batch_if_absent(batch, key, key_len, &r.error); break;
    case GO_IF_PRESENT: r.code = mapstore_batch_if_present(batch, key, key_len, &r.error); break;
    case GO_IF_EQUALS: r.code = mapstore_batch_if_equals(batch, key, key_len, value, value_len, &r.error); break;
    default: r.code = mapstore_batch_if_revision(batch, key, key_len, &r.error); break;
    }
    return r;
}

static inline go_result_t go_option_text(mapstore_options_t *options, int which, const char *text, size_t len) {
    go_result_t r = {0};
    switch (which) {
    case 0: r.code = mapstore_options_set_namespace(options, text, len, &r.error); break;
    case 1: r.code = mapstore_options_set_kubeconfig(options, text, len, &r.error); break;
    default: r.code = mapstore_options_set_context(options, text, len, &r.error); break;
    }
    return r;
}

static inline go_result_t go_option_number(mapstore_options_t *options, int which, int64_t number) {
    go_result_t r = {0};
    switch (which) {
    case 0: r.code = mapstore_options_set_cache(options, (int32_t)number, &r.error); break;
    case 1: r.code = mapstore_options_set_timeout_ms(options, number, &r.error); break;
    case 2: r.code = mapstore_options_set_text_values(options, number != 0, &r.error); break;
    case 3: r.code = mapstore_options_set_binary_only(options, number != 0, &r.error); break;
    case 4: r.code = mapstore_options_set_strict_lookup(options, number != 0, &r.error); break;
    default: r.code = mapstore_options_set_write_budget(options, (uint64_t)number, &r.error); break;
    }
    return r;
}

static inline go_result_t go_call_settings(mapstore_call_t *call, int64_t timeout_ms,
                                           const mapstore_cancel_token_t *token) {
    go_result_t r = {0};
    if (timeout_ms > 0)
        r.code = mapstore_call_set_timeout_ms(call, timeout_ms, &r.error);
    if (r.code == MAPSTORE_OK && token != NULL)
        r.code = mapstore_call_set_cancel_token(call, token, &r.error);
    return r;
}

#endif
