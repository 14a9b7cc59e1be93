/*
 * Half of `make demo`: writes text and bytes into a ConfigMap that the other
 * half, mapstore/examples/demo.rs, then reads and changes.
 *
 *     demo KUBECONFIG NAMESPACE NAME       NAMESPACE "" is the kubeconfig's
 *
 * A ConfigMap that the demo didn't make is left alone: the key MARK tells.
 */
#include <mapstore.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "made-by"

/* The last parameter of every call; check looks after it. */
static mapstore_error_t *error = NULL;

static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("[c] ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* Ends the program with the library's own words. */
static void check(int32_t code) {
    if (code == MAPSTORE_OK) return;
    fprintf(stderr, "[c] %s (%d): %s\n", mapstore_code_name(code), (int)code, mapstore_error_message(error));
    mapstore_error_free(error);
    exit(1);
}

static mapstore_store_t *open_store(const char *kubeconfig, const char *namespace_name, const char *name) {
    mapstore_options_t *options = mapstore_options_new();
    mapstore_store_t *store = NULL;
    check(mapstore_options_set_kubeconfig(options, kubeconfig, MAPSTORE_NUL, &error));
    if (*namespace_name != '\0')
        check(mapstore_options_set_namespace(options, namespace_name, MAPSTORE_NUL, &error));
    /* New keys with text go where kubectl shows them as text. */
    check(mapstore_options_set_text_values(options, 1, &error));
    check(mapstore_open(name, MAPSTORE_NUL, options, NULL, &store, &error));
    mapstore_options_free(options);
    return store;
}

/* Empties what an earlier demo left; ends the program before anything else is touched. */
static void clear_own(mapstore_store_t *store, const char *name) {
    mapstore_snapshot_t *snapshot = NULL;
    const void *mark = NULL;
    size_t mark_len = 0;
    check(mapstore_snapshot(store, NULL, &snapshot, &error));
    check(mapstore_snapshot_get(snapshot, MARK, MAPSTORE_NUL, &mark, &mark_len, &error));
    if (*mapstore_snapshot_revision(snapshot) == '\0') {
        say("there is no configmap %s yet: the first write makes it", name);
    } else if (mark != NULL) {
        check(mapstore_truncate(store, NULL, NULL, &error));
        say("emptied configmap %s, which an earlier demo left", name);
    } else {
        fprintf(stderr, "[c] configmap %s is not the demo's (no key " MARK "): left alone\n", name);
        exit(1);
    }
    mapstore_snapshot_free(snapshot);
}

static void set_text(mapstore_store_t *store, const char *key, const char *text) {
    mapstore_written_t written;
    check(mapstore_set(store, NULL, key, MAPSTORE_NUL, text, strlen(text), &written, &error));
    if (written.changed)
        say("set %s = %s (revision %s)", key, text, written.revision);
    else
        say("set %s = %s once more: it is stored, nothing was written (revision %s)", key, text, written.revision);
}

static void set_bytes(mapstore_store_t *store, const char *key, const unsigned char *bytes, size_t len) {
    mapstore_written_t written;
    check(mapstore_set(store, NULL, key, MAPSTORE_NUL, bytes, len, &written, &error));
    say("set %s = %u bytes that are no text (revision %s)", key, (unsigned)len, written.revision);
}

int main(int argc, char **argv) {
    static const unsigned char cursor[] = {0x00, 0xff, 0x10, 0xfe, 0x20, 0xfd, 0x30, 0xfc};
    mapstore_store_t *store;
    if (argc != 4) {
        fprintf(stderr, "usage: demo KUBECONFIG NAMESPACE NAME\n");
        return 2;
    }
    if (mapstore_abi_version() != MAPSTORE_ABI_VERSION) {
        fprintf(stderr, "[c] the library is not the one this program was built for\n");
        return 1;
    }
    store = open_store(argv[1], argv[2], argv[3]);
    clear_own(store, argv[3]);
    set_text(store, MARK, "mapstore's demo");
    set_text(store, "colour", "blue");
    set_text(store, "colour", "blue");
    set_text(store, "retries", "3");
    set_bytes(store, "cursor", cursor, sizeof cursor);
    check(mapstore_close(store, &error));
    mapstore_store_free(store);
    return 0;
}
