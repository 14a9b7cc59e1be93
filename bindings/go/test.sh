#!/usr/bin/env bash
# The Go package's tests, with libraries that were built and not installed.
#
#   test.sh BUILT            formats, vet and tests
#   test.sh BUILT all        and the race detector, checkptr, staticcheck, messages, the seed's program
#
# BUILT: cargo's folder with libmapstore.so and mapstore-dev.
set -euo pipefail
built=$(cd "$1" && pwd)
all=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
tests=$here/../../tests
export MAPSTORE_DEV=$built/mapstore-dev
read -r -d '' -a settings < <("$here/env.sh" "$built" 2>/dev/null && printf '\0')
export "${settings[@]}"

unformatted=$(gofmt -l "$here" "$tests/go" "$tests/conformance/go")
[ -z "$unformatted" ] || { echo "not formatted: $unformatted"; exit 1; }
for module in "$here" "$tests/go/seed" "$tests/conformance/go"; do
    (cd "$module" && go vet ./...)
done
cd "$here"
go test -count=1 ./...
[ "$all" = all ] || exit 0

# But for the memory: the race detector keeps some of its own for all that was ever touched.
go test -count=1 -race -skip TestAMillionGets ./...
GOGC=1 go test -count=1 -gcflags=all=-d=checkptr ./...
(cd "$tests/go/tools" && go build -mod=readonly -o "$built/staticcheck" honnef.co/go/tools/cmd/staticcheck)
"$built/staticcheck" ./...

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A build that can't work says what to do.
expect() {
    local what=$1 said=$2
    shift 2
    if "$@" >"$scratch/said" 2>&1; then
        echo "$what: it worked"
        exit 1
    fi
    grep -q "$said" "$scratch/said" || { echo "$what: no '$said' in:"; cat "$scratch/said"; exit 1; }
    echo "ok: $what"
}
expect "without cgo" SET_CGO_ENABLED_1_AND_INSTALL_A_C_COMPILER env CGO_ENABLED=0 go build .
# Other flags than ever before: go would take the package from its cache and not ask pkg-config.
expect "without the library" "PKG_CONFIG_PATH" env PKG_CONFIG_PATH="$scratch" PKG_CONFIG_LIBDIR="$scratch" go build -gcflags=-N .

# The seed's program, by its replace line alone; then with a library of another version.
cd "$tests/go/seed"
go build -o "$scratch/seed" .
mkfifo "$scratch/stdin"
"$MAPSTORE_DEV" --write-kubeconfig "$scratch/kubeconfig" --exit-with-stdin <"$scratch/stdin" >"$scratch/dev" &
exec 9>"$scratch/stdin"
for _ in $(seq 200); do grep -q "listening on" "$scratch/dev" && break; sleep 0.05; done
MAPSTORE_CLUSTER_CONFIG_PATH=$scratch/kubeconfig "$scratch/seed"
cc -shared -fPIC -o "$scratch/wrong.so" "$tests/go/wrong_abi.c"
expect "a library of another ABI version" "install the library it was built with" \
    env LD_PRELOAD="$scratch/wrong.so" MAPSTORE_CLUSTER_CONFIG_PATH="$scratch/kubeconfig" "$scratch/seed"
exec 9>&-
wait
