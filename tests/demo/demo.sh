#!/usr/bin/env bash
# What `make demo` runs once everything is built: programs in C, Rust, Go and
# Python that share the ConfigMap mapstore-demo, and what it then looks like. Go
# and Python are left out, and that is said, where their tools are missing.
#
#   demo.sh BUILT [KUBECONFIG]     BUILT is cargo's folder (target/debug)
#
# With a kubeconfig on that cluster, in its context's namespace; else on a
# mapstore-dev that is started for it and stopped afterwards.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=$(cd "$1" && pwd)
cluster=${2:-}
name=mapstore-demo
# shellcheck source=tests/demo/dev-server.sh
source "$here/dev-server.sh"

# Whatever the environment names is not meant.
unset KUBECONFIG MAPSTORE_CLUSTER_CONFIG_PATH NAMESPACE KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT

step() { printf '\n--- %s\n' "$*"; }

scratch=$(mktemp -d)
trap 'stop_dev_server; rm -rf "$scratch"' EXIT

# The library stands under its soname where the linker's rpath says.
abi=$(awk '$2 == "MAPSTORE_ABI_VERSION" { print $3 }' "$root/include/mapstore.h")
ln -s "$built/libmapstore.so" "$scratch/libmapstore.so.$abi"
${CC:-cc} -std=c99 -Wall -Wextra -pedantic -Werror -I "$root/include" "$root/mapstore-ffi/examples/demo.c" \
  -L "$built" -lmapstore "-Wl,-rpath,$scratch" -o "$scratch/demo-c"

if [ -n "$cluster" ]; then
  [ -r "$cluster" ] || { echo "can't read the kubeconfig CLUSTER=$cluster" >&2; exit 1; }
  step "on your cluster: kubeconfig $cluster, configmap $name"
  kubeconfig=$cluster
else
  step "a loopback API server, in memory"
  kubeconfig=$scratch/kubeconfig
  start_dev_server "$built/mapstore-dev" "$kubeconfig" default
fi

step "the C program writes (mapstore-ffi/examples/demo.c)"
"$scratch/demo-c" "$kubeconfig" "" "$name"
step "the Rust program reads and changes (mapstore/examples/demo.rs)"
"$built/examples/demo" "$kubeconfig" "" "$name"
if command -v go >/dev/null; then
  step "the Go program reads, and writes two keys at once (examples/go/demo)"
  read -r -d '' -a settings < <("$root/bindings/go/env.sh" "$built" 2>/dev/null && printf '\0')
  (cd "$root/examples/go" && env "${settings[@]}" go build -o "$scratch/demo-go" ./demo)
  "$scratch/demo-go" "$kubeconfig" "" "$name"
else
  step "no Go program: there is no go on the PATH (https://go.dev/dl)"
fi
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
  step "the Python program reads and increments (examples/python/demo.py)"
  "$root/tests/conformance/python/build.sh" "$built" "$scratch/python"
  PYTHONPATH=$scratch/python python3 "$root/examples/python/demo.py" "$kubeconfig" "" "$name"
else
  step "no Python program: there is no python3 of 3.9 or newer on the PATH"
fi
step "the ConfigMap, as the API server has it"
"$built/examples/show" "$kubeconfig" "" "$name"

if [ -n "$cluster" ]; then
  printf '\nIt stays there. To remove it: kubectl --kubeconfig %q delete configmap %s\n' "$cluster" "$name"
fi
