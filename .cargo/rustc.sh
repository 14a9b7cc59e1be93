#!/usr/bin/env bash
# How cargo calls rustc in these sources (config.toml): no library, and no
# message of one, holds a path of the machine that built it. Paths in messages of
# the compiler and in debug information stay as they are.
#
# bash and no other shell: cargo's variables may have a "-" in their names
# (CARGO_BIN_EXE_mapstore-proxy), and dash doesn't hand such ones on.
#
# RUSTC_WRAPPER in the environment takes this one's place, paths included.
rustc=$1
shift
root=${0%/.cargo/*}
# The last one that fits counts.
exec "$rustc" "$@" --remap-path-scope=macro \
    --remap-path-prefix="$root=mapstore" \
    --remap-path-prefix="${RUSTUP_HOME:-$HOME/.rustup}/toolchains=rust" \
    --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=cargo" \
    ${OUT_DIR:+--remap-path-prefix="$OUT_DIR=out"}
