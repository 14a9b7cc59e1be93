#!/usr/bin/env bash
# Builds all workers and measures: see bench/README.md.
#
#   run.sh TARGET APISERVER RESULTS [SETTING=VALUE …]     in release form; writes results, tables and plots to RESULTS
#   run.sh TARGET APISERVER check                         in dev form; requests and bytes only, which have to be right
#
# TARGET is cargo's folder, APISERVER that of the API server's programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
target=$(cd "$1" && pwd) apiserver=$2 results=$3
shift 3
if [ "$results" = check ]; then
    built=$target/debug needed=requirements-check.txt
else
    built=$target/release needed=requirements.txt
    (cd "$root" && cargo build --locked --release --lib --bins -p mapstore-ffi -p mapstore-py -p mapstore-bench)
fi
(cd "$root" && cargo build --locked --workspace --all-targets)
workers=$built/bench
mkdir -p "$workers"
cp "$target/debug/mapstore-proxy" "$built/bench-worker" "$built/bench-floor" "$workers/"
read -r -d '' -a settings < <("$root/bindings/go/env.sh" "$built" 2>/dev/null && printf '\0')
(cd "$here/go/worker" && env "${settings[@]}" go build -trimpath -o "$workers/worker-go" .)
unformatted=$(gofmt -l "$here/go")
[ -z "$unformatted" ] || { echo "not formatted: $unformatted"; exit 1; }
(cd "$here/go/clientgo" && go vet ./... && go build -trimpath -o "$workers/clientgo" .)
${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -O2 -pthread -I "$root/include" "$here/c/worker.c" \
    -L "$built/go-prefix/lib" -lmapstore "-Wl,-rpath,$built/go-prefix/lib" -o "$workers/worker-c"
"$root/tests/conformance/python/build.sh" "$built" "$workers/python"
"$root/tests/venv.sh" "$workers/venv" "$here/$needed"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/apiserver
if [ "$results" = check ]; then
    exec "$workers/venv/bin/python" "$here/run.py" "$workers" "$apiserver" check
fi
mkdir -p "$results"
"$workers/venv/bin/python" "$here/run.py" "$workers" "$apiserver" "$results/results.json" "$@"
"$workers/venv/bin/python" "$here/report.py" "$results/results.json" "$results"
