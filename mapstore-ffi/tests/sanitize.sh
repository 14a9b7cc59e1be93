#!/bin/bash
# The C programs and the conformance table's C runner, under tools that see
# what a test can't: valgrind (bad accesses and leaks, in the library too),
# AddressSanitizer with LeakSanitizer in the programs, and, with a nightly
# compiler, AddressSanitizer in the library itself. Each tool first has to see
# mistakes made on purpose.
#
#   tests/sanitize.sh [valgrind|asan|library] …     by default all there are
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
supp=$root/tests/conformance/c/valgrind.supp
triple=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n=== %s\n' "$*"; }
missing() {
    echo "sanitize: $1" >&2
    exit 1
}
command -v valgrind >/dev/null || missing "valgrind is missing (Debian: apt-get install valgrind)"

# Fewer rounds, and patience.
export MAPSTORE_TEST_ROUNDS=10
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
# The library in use; cargo's folder gets the soname's link.
abi=$(sed -n 's/^#define MAPSTORE_ABI_VERSION //p' include/mapstore.h)
library=$target/debug

compile() { # program, then flags and sources
    cc -std=c99 -D_GNU_SOURCE -O1 -g -pthread -I include "${@:2}" -o "$1" \
        -L "$library" -lmapstore "-Wl,-rpath,$library"
}
runner=("$root/tests/conformance/c/runner.c" "$root/tests/conformance/c/line.c")

# The tool has to report this mistake in these words, and fail.
active() { # name, program with its tool…, then mistake, words
    local name=$1 mistake=${*: -2:1} words=${*: -1} said status=0
    said=$(HOME=$work "${@:2:$#-3}" "$mistake" 2>&1) || status=$?
    if [ "$status" = 0 ] || [[ $said != *"$words"* ]]; then
        printf '%s\n' "$said"
        missing "$name didn't see '$mistake': it is not active"
    fi
    echo "$name sees $mistake: $words"
}

programs() {
    cargo test --locked --workspace --test c_programs
}

with_valgrind() {
    say "valgrind"
    local run="valgrind -q --vgdb=no --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect"
    run+=" --show-leak-kinds=definite,indirect --suppressions=$supp"
    compile "$work/wrong" "$here/c/wrong.c"
    # shellcheck disable=SC2086
    {
        active valgrind $run "$work/wrong" leak "definitely lost"
        active valgrind $run "$work/wrong" use-outside "Invalid read"
        active valgrind $run "$work/wrong" use-inside "Invalid write"
        active valgrind $run "$work/wrong" free-twice "Invalid free"
    }
    MAPSTORE_TEST_RUNNER=$run programs
    compile "$work/runner" "${runner[@]}"
    "$target/debug/conformance" --server dev --slow 6 --jobs 2 --runner "valgrind=$run $work/runner"
}

with_asan() {
    say "AddressSanitizer and LeakSanitizer in the programs"
    compile "$work/wrong" -fsanitize=address "$here/c/wrong.c"
    active asan "$work/wrong" leak "LeakSanitizer: detected memory leaks"
    active asan "$work/wrong" use-outside "heap-use-after-free"
    active asan "$work/wrong" free-twice "ERROR: AddressSanitizer"
    MAPSTORE_TEST_CFLAGS=-fsanitize=address programs
    compile "$work/runner" -fsanitize=address "${runner[@]}"
    "$target/debug/conformance" --server dev --slow 2 --jobs 2 --runner "asan=$work/runner"
}

with_library() {
    say "AddressSanitizer in the library, by a nightly compiler"
    local built=$target/sanitize/$triple/debug
    RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$target/sanitize \
        cargo +nightly build --locked --package mapstore-ffi --target "$triple"
    local library=$target/sanitize/library
    mkdir -p "$library"
    cp -f "$built/libmapstore.so" "$built/libmapstore.a" "$library"
    ln -sfn libmapstore.so "$library/libmapstore.so.$abi"
    compile "$work/wrong" -fsanitize=address "$here/c/wrong.c"
    active library "$work/wrong" leak "LeakSanitizer: detected memory leaks"
    active library "$work/wrong" use-outside "heap-use-after-free"
    active library "$work/wrong" use-inside "heap-use-after-free"
    active library "$work/wrong" free-twice "heap-use-after-free"
    MAPSTORE_TEST_LIBRARY=$library MAPSTORE_TEST_CFLAGS=-fsanitize=address programs
    compile "$work/runner" -fsanitize=address "${runner[@]}"
    "$target/debug/conformance" --server dev --slow 3 --jobs 2 --runner "library=$work/runner"
}

build() {
    # The selection of `make test`: with another one cargo compiles the dependencies again.
    cargo build --locked --workspace --all-targets
    ln -sfn libmapstore.so "$library/libmapstore.so.$abi"
}

tools=("$@")
if [ $# = 0 ]; then
    tools=(valgrind asan)
    if cargo +nightly --version >/dev/null 2>&1; then
        tools+=(library)
    else
        echo "sanitize: no nightly compiler (rustup toolchain install nightly): the library itself stays without ASan" >&2
    fi
fi
build
for tool in "${tools[@]}"; do "with_$tool"; done
say "sanitize: nothing found by ${tools[*]}"
