#!/bin/sh
# Builds the C runner.
#
#   build.sh INCLUDE LIB OUT     the folder of mapstore.h, the folder of libmapstore.so, the program to make
#
# LIB may be a folder of cargo's, which lacks the library under its soname: a link is made there.
# CC and CFLAGS are the user's: CFLAGS="-fsanitize=address" builds it under AddressSanitizer and LeakSanitizer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
include=$1 out=$3
lib=$(cd "$2" && pwd)
abi=$(awk '$2 == "MAPSTORE_ABI_VERSION" { print $3 }' "$include/mapstore.h")
[ -e "$lib/libmapstore.so.$abi" ] || ln -s libmapstore.so "$lib/libmapstore.so.$abi"
# shellcheck disable=SC2086 # CFLAGS is a list
${CC:-cc} -std=c99 -Wall -Wextra -pedantic -Werror -O1 -g ${CFLAGS:-} -I "$include" \
  "$here/runner.c" "$here/line.c" -L "$lib" -lmapstore "-Wl,-rpath,$lib" -o "$out"
