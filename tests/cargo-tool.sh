#!/usr/bin/env bash
# One of cargo's tools from the registry, of one version and with its own
# Cargo.lock; built once, in a folder of its own.
#
#   cargo-tool.sh TARGET NAME VERSION     prints the program; TARGET is cargo's folder
set -euo pipefail
folder=$1/tools/$2-$3
if [ ! -x "$folder/bin/$2" ]; then
  echo "building $2 $3, once (a minute or two)" >&2
  # Its sources are no part of this workspace: cargo's settings here aren't its own.
  (cd / && cargo install --locked --quiet --version "$3" --root "$folder" --target-dir "$1/tools/build" "$2")
  rm -rf "$1/tools/build"
fi
echo "$folder/bin/$2"
