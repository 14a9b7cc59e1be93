#!/usr/bin/env bash
# Writes the locked lists of Python packages (requirements*.txt) anew from what
# is asked for (requirements*.in): every package that comes with them, for every
# Python they may meet, each file by its hash. Versions move only here.
#
#   lock.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/lock-tools
"$root/tests/venv.sh" "$tools" "$root/tests/lock/requirements.txt"

# The oldest Python that the list is for; the folder; the list.
lock() {
    cd "$root/$2"
    "$tools/bin/uv" pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header \
        --python-version "$1" "$3.in" -o "$3.new"
    { echo "# Made by tests/lock.sh from $3.in."; cat "$3.new"; } >"$3.txt"
    rm "$3.new"
}

lock 3.9 tests/lock requirements
lock 3.9 mapstore-py requirements-dev
lock 3.9 mapstore-py requirements-pytest
lock 3.9 mapstore-py requirements-wheel
lock 3.10 bench requirements-check
lock 3.11 bench requirements
