#!/usr/bin/env bash
# The Python package's tests, with the native module that cargo built.
#
#   test.sh BUILT            formats, types, stubs and tests
#
# BUILT: cargo's folder with lib_native.so and mapstore-dev. The tools come from
# PyPI into a folder beside it, once, each file checked by its hash.
set -euo pipefail
built=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
tools=$built/python-tools
"$here/../tests/venv.sh" "$tools" "$here/requirements-dev.txt"
"$here/../tests/conformance/python/build.sh" "$built" "$built/python"
export PYTHONPATH=$built/python MAPSTORE_DEV=$built/mapstore-dev PYTHONDONTWRITEBYTECODE=1
cd "$here"
others=(../tests/conformance/python ../tests/many ../tests/apiserver ../tests/examples ../examples ../bench)
"$tools/bin/ruff" check --no-cache . "${others[@]}"
"$tools/bin/ruff" format --no-cache --check . "${others[@]}"
(cd "$built/python" && "$tools/bin/mypy" --config-file "$here/pyproject.toml" --cache-dir "$tools/mypy" -p mapstore)
(cd "$built/python" && "$tools/bin/pyright" -p "$here/pyproject.toml" mapstore)
# As a user runs it: with no settings of ours.
(cd "$built/python" && MYPY_CACHE_DIR=$tools/stubtest "$tools/bin/python" -m mypy.stubtest mapstore)
"$tools/bin/python" tests/typing/check.py
"$tools/bin/python" -m pytest -p mapstore._pytest
