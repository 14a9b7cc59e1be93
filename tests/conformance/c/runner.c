/*
 * The C runner: the line protocol over mapstore.h. A pure adapter: no defaults, no checks, no retries.
 *
 * Every verb writes its whole answer into `answer`. A verb that fails goes through refuse() (the library's error) or
 * bad() (a line that this runner doesn't understand). Nothing is leaked on any path: valgrind and LeakSanitizer look.
 */
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "mapstore.h"

#define MAX_HANDLES 64

static mapstore_store_t *stores[MAX_HANDLES];
static mapstore_cancel_token_t *tokens[MAX_HANDLES];
static mapstore_batch_t *batch;
static text_t answer;

static void ok(void)
{
    text_clear(&answer);
    text_add(&answer, "ok");
}

static void bad(const char *reason)
{
    text_clear(&answer);
    text_add(&answer, "bad ");
    text_add(&answer, reason);
}

/* Answers with the error and frees it. */
static void refuse(int32_t code, mapstore_error_t *error)
{
    const char *message = mapstore_error_message(error);
    const char *subject = mapstore_error_subject(error);

    if (mapstore_error_code(error) != code) {
        bad("the returned code is not the error's");
    } else {
        text_clear(&answer);
        text_add(&answer, "err");
        text_field_number(&answer, "code", (uint64_t)code);
        text_field_string(&answer, "name", mapstore_code_name(code));
        text_field_number(&answer, "status", (uint64_t)mapstore_error_http_status(error));
        text_field_number(&answer, "retryable", (uint64_t)mapstore_error_retryable(error));
        text_field_number(&answer, "used", mapstore_error_used(error));
        text_field_number(&answer, "limit", mapstore_error_limit(error));
        text_field_string(&answer, "subject", subject);
        text_field_string(&answer, "message", message);
    }
    mapstore_error_free(error);
}

/* The small integer of a field; -1 if it is none. */
static int handle(const request_t *request, const char *name)
{
    const field_t *field = find_field(request, name);
    char *end;
    long number;

    if (field == NULL || field->len == 0) {
        return -1;
    }
    number = strtol(field->value, &end, 10);
    return *end == '\0' && number >= 0 && number < MAX_HANDLES ? (int)number : -1;
}

static mapstore_cancel_token_t *token_of(const request_t *request, const char *name)
{
    int number = handle(request, name);

    return number < 0 ? NULL : tokens[number];
}

/* Settings of one call; NULL in *call if the request has none. 0 if the answer is written already. */
static int call_of(const request_t *request, int with_timeout, mapstore_call_t **call)
{
    const field_t *timeout = with_timeout ? find_field(request, "timeout_ms") : NULL;
    mapstore_error_t *error = NULL;
    int32_t code = MAPSTORE_OK;

    *call = NULL;
    if (timeout == NULL && find_field(request, "cancel") == NULL) {
        return 1;
    }
    *call = mapstore_call_new();
    if (timeout != NULL) {
        code = mapstore_call_set_timeout_ms(*call, strtoll(timeout->value, NULL, 10), &error);
    }
    if (code == MAPSTORE_OK && find_field(request, "cancel") != NULL) {
        code = mapstore_call_set_cancel_token(*call, token_of(request, "cancel"), &error);
    }
    if (code != MAPSTORE_OK) {
        refuse(code, error);
        mapstore_call_free(*call);
    }
    return code == MAPSTORE_OK;
}

static int32_t set_option(mapstore_options_t *options, const field_t *field, mapstore_error_t **error)
{
    if (strcmp(field->name, "namespace") == 0) {
        return mapstore_options_set_namespace(options, field->value, field->len, error);
    }
    if (strcmp(field->name, "kubeconfig") == 0) {
        return mapstore_options_set_kubeconfig(options, field->value, field->len, error);
    }
    if (strcmp(field->name, "context") == 0) {
        return mapstore_options_set_context(options, field->value, field->len, error);
    }
    if (strcmp(field->name, "timeout_ms") == 0) {
        return mapstore_options_set_timeout_ms(options, strtoll(field->value, NULL, 10), error);
    }
    if (strcmp(field->name, "text_values") == 0) {
        return mapstore_options_set_text_values(options, atoi(field->value), error);
    }
    if (strcmp(field->name, "binary_only") == 0) {
        return mapstore_options_set_binary_only(options, atoi(field->value), error);
    }
    if (strcmp(field->name, "strict_lookup") == 0) {
        return mapstore_options_set_strict_lookup(options, atoi(field->value), error);
    }
    if (strcmp(field->name, "cache") == 0) {
        int exclusive = strcmp(field->value, "exclusive") == 0;
        return mapstore_options_set_cache(options, exclusive ? MAPSTORE_CACHE_EXCLUSIVE : MAPSTORE_CACHE_NONE, error);
    }
    return MAPSTORE_OK; /* store, name, cancel: not an option */
}

/* 0 if the answer is written already. */
static int options_of(const request_t *request, mapstore_options_t **options)
{
    mapstore_error_t *error = NULL;
    size_t i;

    *options = mapstore_options_new();
    for (i = 0; i < request->count; i++) {
        int32_t code = set_option(*options, &request->fields[i], &error);
        if (code != MAPSTORE_OK) {
            refuse(code, error);
            mapstore_options_free(*options);
            return 0;
        }
    }
    return 1;
}

/* open and verify_connection. */
static void open_or_verify(const request_t *request, int store)
{
    const field_t *name = find_field(request, "name");
    mapstore_options_t *options;
    mapstore_call_t *call;
    mapstore_error_t *error = NULL;
    int32_t code;

    if (name == NULL) {
        bad("no name");
        return;
    }
    if (!options_of(request, &options)) {
        return;
    }
    if (call_of(request, 0, &call)) {
        if (store >= 0) {
            code = mapstore_open(name->value, name->len, options, call, &stores[store], &error);
        } else {
            code = mapstore_verify_connection(name->value, name->len, options, call, &error);
        }
        mapstore_call_free(call);
        if (code == MAPSTORE_OK) {
            ok();
        } else {
            refuse(code, error);
        }
    }
    mapstore_options_free(options);
}

static void do_open(const request_t *request)
{
    int store = handle(request, "store");

    if (store < 0 || stores[store] != NULL) {
        bad("no store number, or one in use");
        return;
    }
    open_or_verify(request, store);
}

static void do_verify(const request_t *request)
{
    open_or_verify(request, -1);
}

static void do_free(const request_t *request)
{
    int store = handle(request, "store");

    if (store < 0 || stores[store] == NULL) {
        bad("no such store");
        return;
    }
    mapstore_store_free(stores[store]);
    stores[store] = NULL;
    ok();
}

/* One more operation of the batch that the next apply applies. */
static void do_batch(const request_t *request)
{
    const field_t *op = find_field(request, "op");
    const field_t *key = find_field(request, "key");
    const field_t *value = find_field(request, "value");
    const field_t *revision = find_field(request, "revision");
    mapstore_error_t *error = NULL;
    int32_t code = MAPSTORE_OK;

    ok();
    if (op == NULL) {
        bad("no op");
    } else if (strcmp(op->value, "new") == 0) {
        mapstore_batch_free(batch);
        batch = mapstore_batch_new();
    } else if (strcmp(op->value, "truncate") == 0) {
        code = mapstore_batch_truncate(batch, &error);
    } else if (strcmp(op->value, "if_revision") == 0 && revision != NULL) {
        code = mapstore_batch_if_revision(batch, revision->value, revision->len, &error);
    } else if (key == NULL) {
        bad("no such op, or no key");
    } else if (strcmp(op->value, "delete") == 0) {
        code = mapstore_batch_delete(batch, key->value, key->len, &error);
    } else if (strcmp(op->value, "if_absent") == 0) {
        code = mapstore_batch_if_absent(batch, key->value, key->len, &error);
    } else if (strcmp(op->value, "if_present") == 0) {
        code = mapstore_batch_if_present(batch, key->value, key->len, &error);
    } else if (value == NULL) {
        bad("no such op, or no value");
    } else if (strcmp(op->value, "set") == 0) {
        code = mapstore_batch_set(batch, key->value, key->len, value->value, value->len, &error);
    } else if (strcmp(op->value, "force_set") == 0) {
        code = mapstore_batch_force_set(batch, key->value, key->len, value->value, value->len, &error);
    } else if (strcmp(op->value, "if_equals") == 0) {
        code = mapstore_batch_if_equals(batch, key->value, key->len, value->value, value->len, &error);
    } else {
        bad("no such op");
    }
    if (code != MAPSTORE_OK) {
        refuse(code, error);
    }
}

static void do_cancel_new(const request_t *request)
{
    int token = handle(request, "token");

    if (token < 0) {
        bad("no token number");
        return;
    }
    mapstore_cancel_token_free(tokens[token]);
    tokens[token] = mapstore_cancel_token_new();
    ok();
}

static void do_cancel(const request_t *request)
{
    const mapstore_cancel_token_t *token = token_of(request, "token");

    if (token == NULL || mapstore_cancel_token_cancel(token) != MAPSTORE_OK) {
        bad("no such token");
        return;
    }
    ok();
}

/* What a verb on a store needs, and where it leaves its error. */
typedef struct {
    const mapstore_store_t *store;
    const mapstore_call_t *call;
    const field_t *key;
    const field_t *value;
    const field_t *expected;
    const field_t *append;
    mapstore_error_t *error;
} target_t;

static int32_t on_get(target_t *t)
{
    mapstore_value_t *value = NULL;
    int32_t code = mapstore_get(t->store, t->call, t->key->value, t->key->len, &value, &t->error);

    if (code == MAPSTORE_OK && value == NULL) {
        text_add(&answer, " absent=1");
    } else if (code == MAPSTORE_OK) {
        text_field(&answer, "value", mapstore_value_data(value), mapstore_value_len(value));
    }
    mapstore_value_free(value);
    return code;
}

static int32_t on_contains(target_t *t)
{
    int32_t present = 0;
    int32_t code = mapstore_contains(t->store, t->call, t->key->value, t->key->len, &present, &t->error);

    text_field_number(&answer, "present", (uint64_t)present);
    return code;
}

static int32_t on_len(target_t *t)
{
    size_t len = 0;
    int32_t code = mapstore_len(t->store, t->call, &len, &t->error);

    text_field_number(&answer, "len", len);
    return code;
}

static int32_t on_keys(target_t *t)
{
    mapstore_keys_t *keys = NULL;
    int32_t code = mapstore_keys(t->store, t->call, &keys, &t->error);
    size_t i;

    if (code != MAPSTORE_OK) {
        return code;
    }
    text_add(&answer, " keys=");
    for (i = 0; i < mapstore_keys_len(keys); i++) {
        size_t len = 0;
        const char *key = mapstore_keys_at(keys, i, &len);

        text_add(&answer, i > 0 ? "," : "");
        text_add_encoded(&answer, key, len);
    }
    mapstore_keys_free(keys);
    return code;
}

static int32_t on_snapshot(target_t *t)
{
    mapstore_snapshot_t *snapshot = NULL;
    int32_t code = mapstore_snapshot(t->store, t->call, &snapshot, &t->error);
    size_t i;

    if (code != MAPSTORE_OK) {
        return code;
    }
    text_field_string(&answer, "revision", mapstore_snapshot_revision(snapshot));
    text_field_number(&answer, "len", mapstore_snapshot_len(snapshot));
    text_add(&answer, " entries=");
    for (i = 0; i < mapstore_snapshot_len(snapshot); i++) {
        size_t key_len = 0;
        size_t value_len = 0;
        const char *key = mapstore_snapshot_key_at(snapshot, i, &key_len);
        const void *value = mapstore_snapshot_value_at(snapshot, i, &value_len);

        text_add(&answer, i > 0 ? "," : "");
        text_add_encoded(&answer, key, key_len);
        text_add(&answer, ":");
        text_add_encoded(&answer, value, value_len);
    }
    mapstore_snapshot_free(snapshot);
    return code;
}

static int32_t on_usage(target_t *t)
{
    mapstore_usage_t usage;
    int32_t code;

    memset(&usage, 0, sizeof usage);
    code = mapstore_usage(t->store, t->call, &usage, &t->error);
    text_field_number(&answer, "keys", usage.keys);
    text_field_number(&answer, "key_bytes", usage.key_bytes);
    text_field_number(&answer, "value_bytes", usage.value_bytes);
    text_field_number(&answer, "value_limit", usage.value_limit);
    text_field_number(&answer, "object_bytes", usage.object_bytes);
    text_field_number(&answer, "object_limit", usage.object_limit);
    return code;
}

static int32_t wrote(int32_t code, const mapstore_written_t *written)
{
    if (code == MAPSTORE_OK) {
        text_field_number(&answer, "changed", (uint64_t)written->changed);
        text_field_string(&answer, "revision", written->revision);
    }
    return code;
}

static int32_t on_set(target_t *t)
{
    mapstore_written_t written;

    return wrote(mapstore_set(t->store, t->call, t->key->value, t->key->len, t->value->value, t->value->len, &written,
                              &t->error),
                 &written);
}

static int32_t on_force_set(target_t *t)
{
    mapstore_written_t written;

    return wrote(mapstore_force_set(t->store, t->call, t->key->value, t->key->len, t->value->value, t->value->len,
                                    &written, &t->error),
                 &written);
}

static int32_t on_delete(target_t *t)
{
    mapstore_written_t written;

    return wrote(mapstore_delete(t->store, t->call, t->key->value, t->key->len, &written, &t->error), &written);
}

static int32_t on_truncate(target_t *t)
{
    mapstore_written_t written;

    return wrote(mapstore_truncate(t->store, t->call, &written, &t->error), &written);
}

static int32_t on_apply(target_t *t)
{
    mapstore_written_t written;

    return wrote(mapstore_apply(t->store, t->call, batch, &written, &t->error), &written);
}

static int32_t on_compare_and_set(target_t *t)
{
    const field_t *expected = t->expected;
    mapstore_written_t written;

    return wrote(mapstore_compare_and_set(t->store, t->call, t->key->value, t->key->len,
                                          expected ? expected->value : NULL, expected ? expected->len : MAPSTORE_ABSENT,
                                          t->value ? t->value->value : NULL, t->value ? t->value->len : MAPSTORE_ABSENT,
                                          &written, &t->error),
                 &written);
}

/* Commits what was there with `append` behind it, or its removal, until nobody else is faster. */
static int32_t on_update(target_t *t)
{
    mapstore_update_t *update = NULL;
    mapstore_written_t written;
    int32_t done = 0;
    int32_t code = mapstore_update_begin(t->store, t->call, t->key->value, t->key->len, &update, &t->error);

    while (code == MAPSTORE_OK && !done) {
        const void *old = NULL;
        size_t len = 0;
        size_t more = t->append ? t->append->len : 0;
        char *made;

        code = mapstore_update_value(update, &old, &len, &t->error);
        if (code != MAPSTORE_OK) {
            break;
        }
        if (len == MAPSTORE_ABSENT) {
            len = 0;
        }
        made = malloc(len + more + 1);
        if (made == NULL) {
            exit(3);
        }
        if (len > 0) {
            memcpy(made, old, len);
        }
        if (more > 0) {
            memcpy(made + len, t->append->value, more);
        }
        code = mapstore_update_commit(update, made, t->append ? len + more : MAPSTORE_ABSENT, &done, &written,
                                      &t->error);
        free(made);
    }
    mapstore_update_free(update);
    return wrote(code, &written);
}

static int32_t on_refresh(target_t *t)
{
    return mapstore_refresh(t->store, t->call, &t->error);
}

static int32_t on_close(target_t *t)
{
    return mapstore_close(t->store, &t->error);
}

typedef struct {
    const char *name;
    int needs_key;
    int needs_value;
    int32_t (*run)(target_t *target);
} store_verb_t;

static const store_verb_t store_verbs[] = {
    {"get", 1, 0, on_get},           {"contains", 1, 0, on_contains},   {"len", 0, 0, on_len},
    {"keys", 0, 0, on_keys},         {"snapshot", 0, 0, on_snapshot},   {"usage", 0, 0, on_usage},
    {"set", 1, 1, on_set},           {"force_set", 1, 1, on_force_set}, {"delete", 1, 0, on_delete},
    {"truncate", 0, 0, on_truncate}, {"refresh", 0, 0, on_refresh},     {"close", 0, 0, on_close},
    {"apply", 0, 0, on_apply},       {"update", 1, 0, on_update},       {"compare_and_set", 1, 0, on_compare_and_set},
};

static void run_on_store(const store_verb_t *verb, const request_t *request)
{
    int store = handle(request, "store");
    mapstore_call_t *call;
    target_t target;
    int32_t code;

    memset(&target, 0, sizeof target);
    target.store = store < 0 ? NULL : stores[store];
    target.key = find_field(request, "key");
    target.value = find_field(request, "value");
    target.expected = find_field(request, "expected");
    target.append = find_field(request, "append");
    if (target.store == NULL || (verb->needs_key && target.key == NULL) || (verb->needs_value && target.value == NULL)) {
        bad("no such store, or no key, or no value");
        return;
    }
    if (!call_of(request, 1, &call)) {
        return;
    }
    target.call = call;
    ok();
    code = verb->run(&target);
    if (code != MAPSTORE_OK) {
        refuse(code, target.error);
    }
    mapstore_call_free(call);
}

typedef struct {
    const char *name;
    void (*run)(const request_t *request);
} verb_t;

static const verb_t verbs[] = {
    {"open", do_open}, {"verify_connection", do_verify}, {"free", do_free},
    {"cancel_new", do_cancel_new}, {"cancel", do_cancel}, {"batch", do_batch},
};

static void run(const request_t *request)
{
    size_t i;

    for (i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, request->verb) == 0) {
            verbs[i].run(request);
            return;
        }
    }
    for (i = 0; i < sizeof store_verbs / sizeof *store_verbs; i++) {
        if (strcmp(store_verbs[i].name, request->verb) == 0) {
            run_on_store(&store_verbs[i], request);
            return;
        }
    }
    bad("unknown verb");
}

int main(void)
{
    text_t line = {NULL, 0, 0};
    request_t request;
    size_t i;

    while (read_line(stdin, &line) && strcmp(line.data, "quit") != 0) {
        if (parse_request(&line, &request)) {
            run(&request);
        } else {
            bad("not a line of the protocol");
        }
        text_add(&answer, "\n");
        fwrite(answer.data, 1, answer.len, stdout);
        fflush(stdout);
    }
    for (i = 0; i < MAX_HANDLES; i++) {
        mapstore_store_free(stores[i]);
        mapstore_cancel_token_free(tokens[i]);
    }
    mapstore_batch_free(batch);
    free(line.data);
    free(answer.data);
    return 0;
}
