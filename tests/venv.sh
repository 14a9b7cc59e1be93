#!/usr/bin/env bash
# A Python environment with these packages; made anew only if the list has changed.
#
#   venv.sh FOLDER REQUIREMENTS.txt
set -euo pipefail
cmp -s "$2" "$1/requirements.txt" && exit
rm -rf "$1"
python3 -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
cp "$2" "$1/requirements.txt"
