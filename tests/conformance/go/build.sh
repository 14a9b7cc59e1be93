#!/bin/sh
# Builds the Go runner.
#
#   build.sh LIB OUT     the folder of libmapstore.so, the program to make
#
# GOFLAGS are the user's: GOFLAGS=-race builds it under the race detector.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lib=$(cd "$1" && pwd)
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$here"
# shellcheck disable=SC2046 # a list of settings
env $("$here/../../../bindings/go/env.sh" "$lib") go build -trimpath -o "$out" .
