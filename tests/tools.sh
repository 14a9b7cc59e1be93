#!/usr/bin/env bash
# Checks that the tools named as arguments are on this machine and new enough;
# says of each missing one how to get it.
set -euo pipefail

how() {
  case $1 in
    cargo) echo "Rust $2 or newer: https://rustup.rs, then: rustup toolchain install stable --component rustfmt,clippy" ;;
    go) echo "Go $2 or newer: https://go.dev/dl" ;;
    python3) echo "Python $2 or newer with venv: apt-get install python3-venv" ;;
    cc | c++) echo "a C and C++ compiler: apt-get install build-essential (Debian), dnf install gcc-c++ (Fedora)" ;;
    nm | readelf) echo "binutils: apt-get install binutils" ;;
    *) echo "$1: apt-get install $1" ;;
  esac
}

# newer HAVE WANT: whether HAVE is at least WANT
newer() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

missing=0
need() {
  local tool=$1 wanted=${2:-} have=${3:-}
  if ! command -v "$tool" >/dev/null; then
    echo "missing: $(how "$tool" "$wanted")" >&2
    missing=1
  elif [ -n "$wanted" ] && ! newer "$have" "$wanted"; then
    echo "too old: $tool is $have; $(how "$tool" "$wanted")" >&2
    missing=1
  fi
}

for tool in "$@"; do
  case $tool in
    cargo) need cargo 1.95 "$(cargo --version 2>/dev/null | cut -d' ' -f2)" ;;
    go) need go 1.26 "$(go env GOVERSION 2>/dev/null | sed 's/^go//')" ;;
    python3) need python3 3.9 "$(python3 -c 'import venv, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" ;;
    *) need "$tool" ;;
  esac
done
exit "$missing"
