#!/bin/sh
# Puts the Python package and its native module together, as a wheel would.
#
#   build.sh LIB OUT     the folder of lib_native.so, the folder to make (a PYTHONPATH)
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
rm -rf "$2/mapstore"
mkdir -p "$2"
cp -r "$root/mapstore-py/python/mapstore" "$2/mapstore"
cp "$1/lib_native.so" "$2/mapstore/_native.abi3.so"
