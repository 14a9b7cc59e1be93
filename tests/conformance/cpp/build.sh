#!/bin/sh
# Builds the C++ runner.
#
#   build.sh INCLUDE LIB OUT     the folder of mapstore.hpp, the folder of libmapstore.so, the program to make
#
# CXX and CXXFLAGS are the user's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lib=$(cd "$2" && pwd)
# shellcheck disable=SC2086 # CXXFLAGS is a list
${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -O1 -g ${CXXFLAGS:-} -I "$1" \
    "$here/runner.cpp" -L "$lib" -lmapstore "-Wl,-rpath,$lib" -o "$3"
