#!/usr/bin/env bash
# Builds every example and runs it, on a mapstore-dev that is started for it,
# and the basic ones under the rights of examples/pod on the real API server.
#
#   run.sh BUILT APISERVER      BUILT is cargo's folder (target/debug), with the runners' parts in it
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
built=$(cd "$1" && pwd)
cd "$root"
# shellcheck source=tests/demo/dev-server.sh
source tests/demo/dev-server.sh
scratch=$(mktemp -d)
trap 'stop_dev_server; rm -rf "$scratch"' EXIT
start_dev_server "$built/mapstore-dev" "$scratch/kubeconfig" default >/dev/null

prefix=$built/go-prefix
read -r -d '' -a settings < <(bindings/go/env.sh "$built" 2>/dev/null && printf '\0')
(cd examples/go && env "${settings[@]}" go vet ./... && env "${settings[@]}" go build -o "$scratch/" ./...)
unformatted=$(gofmt -l examples/go)
[ -z "$unformatted" ] || { echo "not formatted: $unformatted"; exit 1; }
mv "$scratch/basic" "$scratch/go-basic"
mv "$scratch/json" "$scratch/go-json"
warnings=(-Wall -Wextra -pedantic -Werror)
library=(-I include -L "$prefix/lib" -lmapstore "-Wl,-rpath,$prefix/lib")
for source in examples/c/*.c; do
  ${CC:-cc} -std=c99 "${warnings[@]}" "$source" "${library[@]}" -o "$scratch/c-$(basename "$source" .c)"
done
for source in examples/cpp/*.cpp; do
  ${CXX:-c++} -std=c++17 "${warnings[@]}" "$source" "${library[@]}" -o "$scratch/cpp-$(basename "$source" .cpp)"
done

# run NAME WHAT-IT-SAYS COMMAND...
run() {
  local name=$1 said=$2
  shift 2
  env -i PATH="$PATH" HOME="$scratch" PYTHONPATH="$built/python" PYTHONDONTWRITEBYTECODE=1 \
    MAPSTORE_CLUSTER_CONFIG_PATH="$scratch/kubeconfig" "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out"; echo "$name failed"; exit 1; }
  grep -q "$said" "$scratch/out" || { cat "$scratch/out"; echo "$name didn't say '$said'"; exit 1; }
  echo "ok: $name: $said"
}
# All of them count the same visits.
run c/counter "visits = 1" "$scratch/c-counter"
run cpp/basic "visits = 2" "$scratch/cpp-basic"
run go/basic "visits = 3" "$scratch/go-basic"
run python/basic "visits = 4" python3 examples/python/basic.py
run c/counter "visits = 5" "$scratch/c-counter"
run rust/basic "visits = 6" "$built/examples/basic"
run rust/json 'carla: {"visits":2}' "$built/examples/json"
run c/json 'dora: {"visits": 2}' "$scratch/c-json"
run go/json 'anna: {"visits":2}' "$scratch/go-json"
run python/json_objects "anna: 4 visits" python3 examples/python/json_objects.py
run cpp/json 'berta: {"visits": 2}' "$scratch/cpp-json"

PYTHONPATH=$root/tests/apiserver:$built/python PYTHONDONTWRITEBYTECODE=1 python3 tests/examples/pod.py "$2" docs/kubernetes.md \
  "$scratch/c-counter" "$scratch/cpp-basic" "$scratch/go-basic" "$built/examples/basic" "python3 examples/python/basic.py"
