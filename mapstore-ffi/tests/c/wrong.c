/* Mistakes with the API, to prove that a tool that is meant to see them does.
 * argv[1] says which. */
#include "check.h"

/* Away from the optimiser's eyes. */
static volatile char seen;

static void leak(void) {
    CHECK(mapstore_options_new() != NULL);
}

/* The program reads what went with its handle. */
static void use_outside(void) {
    mapstore_error_t *failure = NULL;
    const char *message;
    CHECK(mapstore_refresh(NULL, NULL, &failure) != MAPSTORE_OK);
    message = mapstore_error_message(failure);
    mapstore_error_free(failure);
    seen = message[3];
}

/* The library is handed a handle that is freed. */
static void use_inside(void) {
    mapstore_call_t *call = mapstore_call_new();
    mapstore_call_free(call);
    mapstore_call_set_timeout_ms(call, 1, NULL);
}

static void free_twice(void) {
    mapstore_options_t *options = mapstore_options_new();
    mapstore_options_free(options);
    mapstore_options_free(options);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    if (strcmp(argv[1], "leak") == 0) leak();
    if (strcmp(argv[1], "use-outside") == 0) use_outside();
    if (strcmp(argv[1], "use-inside") == 0) use_inside();
    if (strcmp(argv[1], "free-twice") == 0) free_twice();
    return 0;
}
