/* A library of another ABI version: all that the Go package asks before it refuses. */
#include <stdint.h>

uint32_t mapstore_abi_version(void);
const char *mapstore_version(void);

uint32_t mapstore_abi_version(void) { return 9999; }
const char *mapstore_version(void) { return "9.9.9"; }
