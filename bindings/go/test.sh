#!/usr/bin/env bash
# The Go package's tests, with libraries that were built and not installed.
#
#   test.sh BUILT            formats, vet and tests
#   test.sh BUILT all        and the race detector, cgo's pointer checks, staticcheck, messages, the seed's program,
#                            and static programs
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
for module in "$here" "$tests/go/seed" "$tests/go/beside" "$tests/conformance/go"; do
    (cd "$module" && go vet ./...)
done
cd "$here"
go test -count=1 ./...
# Each difference from the original that docs/go.md tells has its test, and each test its line.
diff <(grep -o 'TestDifference[A-Za-z]*' "$here/../../docs/go.md" | sort) <(go test -list '^TestDifference' . | grep ^Test | sort) ||
    { echo "the differences that docs/go.md tells (<) are not those that are tested (>)"; exit 1; }
[ "$all" = all ] || exit 0

# But for the memory: the race detector keeps some of its own for all that was ever touched.
go test -count=1 -race -skip TestAMillionGets ./...
GOGC=1 go test -count=1 -gcflags=all=-d=checkptr ./...
GODEBUG=cgocheck=1 go test -count=1 ./...
GOEXPERIMENT=cgocheck2 go test -count=1 ./...
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
run() { env -i MAPSTORE_CLUSTER_CONFIG_PATH="$scratch/kubeconfig" NAMESPACE=default "$@"; }
run "$scratch/seed"
cc -shared -fPIC -o "$scratch/wrong.so" "$tests/go/wrong_abi.c"
expect "a library of another ABI version" "install the library it was built with" \
    run LD_PRELOAD="$scratch/wrong.so" "$scratch/seed"

# Linked statically: with the library alone in it, without any shared library,
# and beside another library that is written in Rust, in each order.
needs() { readelf -d "$1" | sed -n 's/.*NEEDED.*\[\(.*\)\].*/\1/p'; }
go build -tags mapstore_static -o "$scratch/seed-static" .
! needs "$scratch/seed-static" | grep libmapstore || exit 1
run "$scratch/seed-static"
go build -tags mapstore_static -ldflags '-linkmode external -extldflags "-static"' -o "$scratch/seed-alone" . 2>"$scratch/linker" ||
    { cat "$scratch/linker"; exit 1; }
[ -z "$(needs "$scratch/seed-alone")" ] || { echo "it needs $(needs "$scratch/seed-alone")"; exit 1; }
run "$scratch/seed-alone"
echo "ok: no shared library at all"
cd "$tests/go/beside"
for how in thin fat; do
    # A name of its own: go builds anew only if the flags are others.
    rustc --edition 2024 --crate-type staticlib -C lto="$how" -o "$scratch/$how.a" other.rs
    for flags in "$scratch/$how.a" "$(pkg-config --libs mapstore-static) $scratch/$how.a"; do
        CGO_LDFLAGS=$flags go build -tags mapstore_static -o "$scratch/beside" .
        run "$scratch/beside"
    done
done
exec 9>&-
wait
