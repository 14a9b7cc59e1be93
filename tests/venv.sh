#!/usr/bin/env bash
# A Python environment with exactly these packages, each checked by its hash;
# made anew only if the list has changed.
#
#   venv.sh FOLDER REQUIREMENTS.txt      the list: see lock.sh
#
# PYTHON: the one to make it with, else python3.
set -euo pipefail
cmp -s "$2" "$1/requirements.txt" && exit
rm -rf "$1"
"${PYTHON:-python3}" -m venv "$1"
# Wheels only: what a source package needs for its build is in no list.
"$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: -r "$2"
"$1/bin/python" -m pip --disable-pip-version-check check >/dev/null
cp "$2" "$1/requirements.txt"
