#!/bin/sh
# Prints what the go command needs in its environment to build with a library
# that was built but not installed:
#
#   env $(bindings/go/env.sh target/debug) go test ./...
#
# The library's folder is written into what is built. CGO_LDFLAGS repeats what
# mapstore.pc says: go keeps what pkg-config said for as long as the rest is the
# same, and another tree's library would come out of its cache.
set -eu
built=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
prefix=$built/go-prefix
MAPSTORE_LIBRARY=$built "$root/mapstore-ffi/install.sh" PREFIX="$prefix" >&2
echo "PKG_CONFIG_PATH=$prefix/lib/pkgconfig"
echo "CGO_LDFLAGS=-Wl,-rpath,$prefix/lib"
