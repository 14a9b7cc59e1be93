#!/usr/bin/env bash
# What is shipped holds no path of the machine that built it: the home folder,
# cargo's and rustup's, these sources, cargo's target folder.
#
#   paths.sh FILE…      libraries, stripped or not; wheels
#
# It first shows that it can find one.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for path in "$HOME" "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}" "$root" "${CARGO_TARGET_DIR:-$root/target}"; do
  # A home folder that is "/" would be found everywhere.
  [ "$path" = / ] || printf '%s/\n' "${path%/}"
done >"$scratch/paths"

# found FILE: its strings that hold one of the paths
found() { strings -a -n 4 "$1" | grep -F -f "$scratch/paths"; }

printf 'panicked at %s/registry/src/lib.rs\0' "${CARGO_HOME:-$HOME/.cargo}" >"$scratch/planted"
found "$scratch/planted" >/dev/null || { echo "paths: it doesn't find a path that was planted" >&2; exit 1; }

wrong=0
for file in "$@"; do
  looked=$file
  case $file in
    *.whl)
      mkdir -p "$scratch/wheel"
      python3 -m zipfile -e "$file" "$scratch/wheel"
      cat "$scratch/wheel"/*/*.so >"$scratch/of-wheel"
      looked=$scratch/of-wheel
      ;;
  esac
  if found "$looked" >"$scratch/found"; then
    echo "paths: $file holds $(wc -l <"$scratch/found") paths of this machine, of: $(sort -u "$scratch/found" | head -n 5)" >&2
    echo "paths: what was compiled before .cargo/rustc.sh was there keeps them: cargo clean --release" >&2
    wrong=1
  fi
done
[ "$wrong" = 0 ] || exit 1
echo "paths: none of this machine in $(basename -a "$@" | tr '\n' ' ')"
