/* Versions, code numbers, limits and struct sizes: fixed for ever. */
#include "check.h"

#include <stddef.h>

static void codes_have_their_numbers_and_names(void) {
    static const struct {
        int32_t code, number;
        const char *name;
    } codes[] = {
        {MAPSTORE_OK, 0, "OK"},
        {MAPSTORE_INVALID_ARGUMENT, 1, "InvalidArgument"},
        {MAPSTORE_TOO_LARGE, 2, "TooLarge"},
        {MAPSTORE_CONFLICT, 3, "Conflict"},
        {MAPSTORE_OUTCOME_UNKNOWN, 4, "OutcomeUnknown"},
        {MAPSTORE_FORBIDDEN, 5, "Forbidden"},
        {MAPSTORE_REJECTED, 6, "Rejected"},
        {MAPSTORE_UNAUTHORIZED, 7, "Unauthorized"},
        {MAPSTORE_NAMESPACE_NOT_FOUND, 8, "NamespaceNotFound"},
        {MAPSTORE_IMMUTABLE, 9, "Immutable"},
        {MAPSTORE_UNAVAILABLE, 10, "Unavailable"},
        {MAPSTORE_OVERLOADED, 11, "Overloaded"},
        {MAPSTORE_DEADLINE, 12, "Deadline"},
        {MAPSTORE_CANCELLED, 13, "Cancelled"},
        {MAPSTORE_STALE, 14, "Stale"},
        {MAPSTORE_CLOSED, 15, "Closed"},
        {MAPSTORE_FORKED, 16, "Forked"},
        {MAPSTORE_CONFIG, 17, "Config"},
        {MAPSTORE_INTERNAL, 18, "Internal"},
    };
    static const int32_t others[] = {-1, 19, INT32_MIN, INT32_MAX};
    size_t i;
    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        CHECK(codes[i].code == codes[i].number);
        CHECK(strcmp(mapstore_code_name(codes[i].code), codes[i].name) == 0);
    }
    CHECK(i == 19);
    for (i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(strcmp(mapstore_code_name(others[i]), "Unknown") == 0);
}

static void structs_have_their_layout(void) {
    CHECK(sizeof(mapstore_written_t) == 56);
    CHECK(offsetof(mapstore_written_t, revision) == 0);
    CHECK(offsetof(mapstore_written_t, changed) == 48);
    CHECK(offsetof(mapstore_written_t, reserved) == 52);
    CHECK(sizeof(mapstore_usage_t) == 96);
    CHECK(offsetof(mapstore_usage_t, keys) == 0);
    CHECK(offsetof(mapstore_usage_t, key_bytes) == 8);
    CHECK(offsetof(mapstore_usage_t, value_bytes) == 16);
    CHECK(offsetof(mapstore_usage_t, value_limit) == 24);
    CHECK(offsetof(mapstore_usage_t, object_bytes) == 32);
    CHECK(offsetof(mapstore_usage_t, object_limit) == 40);
    CHECK(offsetof(mapstore_usage_t, budget_used) == 48);
    CHECK(offsetof(mapstore_usage_t, budget_limit) == 56);
    CHECK(offsetof(mapstore_usage_t, reserved) == 64);
}

int main(void) {
    CHECK(mapstore_abi_version() == MAPSTORE_ABI_VERSION);
    CHECK(strcmp(mapstore_version(), MAPSTORE_VERSION) == 0);
    CHECK(MAPSTORE_NUL == SIZE_MAX && MAPSTORE_ABSENT == SIZE_MAX);
    CHECK(MAPSTORE_CACHE_NONE == 0 && MAPSTORE_CACHE_EXCLUSIVE == 1);
    CHECK(MAPSTORE_REVISION_SIZE == 48);
    CHECK(MAPSTORE_MAX_VALUES_BYTES == 1048576 && MAPSTORE_MAX_OBJECT_BYTES == 1572864);
    CHECK(MAPSTORE_MAX_KEY_BYTES == 253);
    codes_have_their_numbers_and_names();
    structs_have_their_layout();
    return 0;
}
