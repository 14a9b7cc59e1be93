#!/bin/sh
# C programs outside the tree, built from the installed files alone: by
# pkg-config and by CMake, shared and static, and run.
#
#   tests/install.sh [PREFIX] [KUBECONFIG]
#
# PREFIX is a folder installed to before; without it the library is built and
# installed to a scratch place (in the dev profile unless PROFILE=release; with
# MAPSTORE_LIBRARY as for install.sh). With a kubeconfig the programs use that
# cluster, else they expect the error of a missing one.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
installed= kubeconfig=
for argument in "$@"; do
    case $argument in
        /*) ;;
        *) argument=$PWD/$argument ;;
    esac
    if [ -d "$argument" ]; then installed=$argument; else kubeconfig=$argument; fi
done

for tool in cc c++ cmake pkg-config readelf; do
    command -v "$tool" >/dev/null || { echo "install test: $tool is missing (Debian: gcc g++ cmake pkg-config binutils)" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Used from another place: nothing may remember where it was installed.
prefix=$work/moved
if [ -n "$installed" ]; then
    cp -a "$installed" "$prefix"
else
    installed=$work/stage/opt/first
    "$here/../install.sh" PREFIX=/opt/first DESTDIR="$work/stage" PROFILE="${PROFILE:-dev}"
    mv "$installed" "$prefix"
fi
cp -r "$here/install/." "$work/src"
cd "$work/src"
PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export PKG_CONFIG_PATH

failed=0
# Runs a program in a clean environment and looks at what it is linked with.
check() {
    what=$1 program=$2 kind=$3
    needs=$(readelf -d "$program" | sed -n 's/.*NEEDED.*\[\(libmapstore[^]]*\)\]/\1/p')
    case $kind in
        shared) [ "$needs" = "libmapstore.so.$abi" ] || { echo "FAILED $what: needs '$needs'"; failed=1; return; } ;;
        static) [ -z "$needs" ] || { echo "FAILED $what: needs $needs"; failed=1; return; } ;;
    esac
    if answer=$(env -i HOME="$work/home" PATH="$PATH" NAMESPACE="${MAPSTORE_TEST_NAMESPACE:-}" \
        "$program" ${kubeconfig:+"$kubeconfig"} 2>&1); then
        echo "ok $what: $answer"
    else
        echo "FAILED $what: $answer"
        failed=1
    fi
}
mkdir "$work/home"
abi=$(sed -n 's/^#define MAPSTORE_ABI_VERSION //p' "$prefix/include/mapstore.h")

strict="-std=c99 -Wall -Wextra -pedantic -Werror"
cc $strict program.c $(pkg-config --cflags --libs mapstore) -o by-pkg-config
check "pkg-config, shared" ./by-pkg-config shared
cc $strict program.c $(pkg-config --cflags --libs mapstore-static) -o by-pkg-config-static
check "pkg-config, static (mapstore-static)" ./by-pkg-config-static static
cp -r "$prefix" "$work/only-static"
rm "$work/only-static/lib/"libmapstore.so*
cc $strict program.c $(PKG_CONFIG_PATH=$work/only-static/lib/pkgconfig pkg-config --static --cflags --libs mapstore) \
    -o by-pkg-config-only
check "pkg-config --static, no shared library installed" ./by-pkg-config-only static

cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >cmake.log 2>&1 && cmake --build build >>cmake.log 2>&1 || {
    cat cmake.log
    exit 1
}
check "find_package, shared" build/shared shared
check "find_package, static" build/static static
check "find_package, C++, shared" build/shared_cpp shared
for wrong in 0.0 0.2 1 99.0; do
    if cmake -S . -B "build-$wrong" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED="$wrong" >/dev/null 2>&1; then
        echo "FAILED find_package(mapstore $wrong) found $(pkg-config --modversion mapstore)"
        failed=1
    fi
done

# What a user reads who has a program but not its library.
expect() {
    what=$1 said=$2
    shift 2
    answer=$(env -i HOME="$work/home" PATH="$PATH" "$@" 2>&1) && { echo "FAILED $what: it ran"; failed=1; return; }
    case $answer in
        *"$said"*) echo "ok $what: $answer" ;;
        *) echo "FAILED $what doesn't say '$said': $answer"; failed=1 ;;
    esac
}
cp -r "$prefix" "$work/taken-away"
cc $strict program.c $(PKG_CONFIG_PATH=$work/taken-away/lib/pkgconfig pkg-config --cflags --libs mapstore) -o taken-away
rm -r "$work/taken-away"
expect "the library taken away" "libmapstore.so.$abi" ./taken-away
expect "not installed, pkg-config" "mapstore" env PKG_CONFIG_LIBDIR="$work" pkg-config --cflags --libs mapstore
c++ -std=c++17 -Wall -Wextra -pedantic -Werror abi.cpp $(pkg-config --cflags --libs mapstore) -o abi
cc -shared -fPIC "$here/../../tests/go/wrong_abi.c" -o wrong.so
expect "another ABI version, C++" "install the library it was built with" env LD_PRELOAD=./wrong.so ./abi

[ -s "$prefix/share/licenses/mapstore/LICENSE" ] || { echo "FAILED no licence"; failed=1; }
if grep -rlIF -e "$work" -e "$installed" -e /opt/first "$prefix/lib/pkgconfig" "$prefix/lib/cmake" "$prefix/include"; then
    echo "FAILED these files know where they were installed"
    failed=1
fi
exit "$failed"
