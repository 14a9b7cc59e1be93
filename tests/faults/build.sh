#!/usr/bin/env bash
# Builds what cargo doesn't: the clients in Go and Python, and the checker.
#
#   build.sh BUILT     cargo's folder, with libmapstore.so and lib_native.so in it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=$(cd "$1" && pwd)
"$root/tests/conformance/python/build.sh" "$built" "$built/python"
read -r -d '' -a settings < <("$root/bindings/go/env.sh" "$built" 2>/dev/null && printf '\0')
(cd "$here/traffic/go" && env "${settings[@]}" go vet . && env "${settings[@]}" go build -o "$built/faults-go" .)
(cd "$here/check" && go vet ./... && go build -o "$built/faults-check" .)
