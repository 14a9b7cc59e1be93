#!/usr/bin/env bash
# Builds all workers in release form and measures: see bench/README.md.
#
#   run.sh TARGET APISERVER RESULTS [SETTING=VALUE …]     cargo's folder, the API server's programs, where results go
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
mkdir -p "$1/bench" "$3"
target=$(cd "$1" && pwd) apiserver=$2 results=$3
shift 3
built=$target/release
workers=$target/bench

(cd "$root" && cargo build --release --lib --bins -p mapstore-ffi -p mapstore-py -p mapstore-bench)
(cd "$root" && cargo build -p mapstore-harness --bin mapstore-proxy)
cp "$target/debug/mapstore-proxy" "$built/bench-worker" "$built/bench-floor" "$workers/"
read -r -d '' -a settings < <("$root/bindings/go/env.sh" "$built" 2>/dev/null && printf '\0')
(cd "$here/go/worker" && env "${settings[@]}" go build -trimpath -o "$workers/worker-go" .)
(cd "$here/go/clientgo" && go build -trimpath -o "$workers/clientgo" .)
${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -O2 -pthread -I "$root/include" "$here/c/worker.c" \
    -L "$built/go-prefix/lib" -lmapstore "-Wl,-rpath,$built/go-prefix/lib" -o "$workers/worker-c"
"$root/tests/conformance/python/build.sh" "$built" "$workers/python"
if ! cmp -s "$here/requirements.txt" "$workers/venv/requirements.txt"; then
    rm -rf "$workers/venv"
    python3 -m venv "$workers/venv"
    "$workers/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$workers/venv/"
fi
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/apiserver
"$workers/venv/bin/python" "$here/run.py" "$workers" "$apiserver" "$results/results.json" "$@"
"$workers/venv/bin/python" "$here/report.py" "$results/results.json" "$results"
