/* A configuration that can't work: a clear error that names what is wrong. */
#include "check.h"

static mapstore_options_t *options;
static mapstore_store_t *store;

static void opens_as(int32_t code, const char *name) {
    EXPECT(code, mapstore_open(Z(name), options, NULL, &store, &error));
    CHECK(store == NULL);
}

static const char *file_with(const char *text) {
    static char path[512];
    FILE *file;
    snprintf(path, sizeof path, "%s/given", getenv("HOME"));
    file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static void nothing_is_configured(void) {
    EXPECT(MAPSTORE_CONFIG, mapstore_open(Z("a"), NULL, NULL, &store, &error));
    CHECK_TEXT(last_message, "MAPSTORE_CLUSTER_CONFIG_PATH");
    CHECK_TEXT(last_message, "KUBECONFIG");
    CHECK_TEXT(last_message, ".kube/config");
    EXPECT(MAPSTORE_CONFIG, mapstore_verify_connection(Z("a"), NULL, NULL, &error));
    CHECK(store == NULL);
}

static void the_kubeconfig_is_no_good(void) {
    OK(mapstore_options_set_kubeconfig(options, Z("/no/such/file"), &error));
    opens_as(MAPSTORE_CONFIG, "a");
    CHECK_TEXT(last_message, "/no/such/file");
    EXPECT(MAPSTORE_CONFIG, mapstore_verify_connection(Z("a"), options, NULL, &error));
    CHECK_TEXT(last_message, "/no/such/file");
    OK(mapstore_options_set_kubeconfig(options, "/no/\xff", 5, &error));
    opens_as(MAPSTORE_CONFIG, "a");
    OK(mapstore_options_set_kubeconfig(options, "/no\0file", 8, &error));
    opens_as(MAPSTORE_CONFIG, "a");
    OK(mapstore_options_set_kubeconfig(options, Z(file_with("clusters: [{")), &error));
    opens_as(MAPSTORE_CONFIG, "a");
    CHECK_TEXT(last_message, "/given");
    OK(mapstore_options_set_kubeconfig(options, Z(file_with("")), &error));
    opens_as(MAPSTORE_CONFIG, "a");
    OK(mapstore_options_set_kubeconfig(options, Z(kubeconfig_for(1)), &error));
    OK(mapstore_options_set_context(options, Z("elsewhere"), &error));
    opens_as(MAPSTORE_CONFIG, "a");
    CHECK_TEXT(last_message, "elsewhere");
}

static void names_are_no_good(void) {
    static const char *const names[] = {"A", "a/b", "../a", "a b", "-a", "a%2fb", "a?x=y"};
    size_t i;
    mapstore_options_free(options);
    options = options_for(kubeconfig_for(1), MAPSTORE_CACHE_NONE);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        opens_as(MAPSTORE_INVALID_ARGUMENT, names[i]);
        OK(mapstore_options_set_namespace(options, Z("n"), &error));
        OK(mapstore_options_set_namespace(options, Z(names[i]), &error));
        opens_as(MAPSTORE_INVALID_ARGUMENT, "a");
        CHECK_TEXT(last_message, "namespace");
        OK(mapstore_options_set_namespace(options, Z("default"), &error));
    }
}

int main(void) {
    options = mapstore_options_new();
    nothing_is_configured();
    the_kubeconfig_is_no_good();
    names_are_no_good();
    mapstore_options_free(options);
    return 0;
}
