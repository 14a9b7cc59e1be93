#!/usr/bin/env bash
# Builds apiserver (the real kube-apiserver with etcd inside), kubectl and launcher.
#
#   build.sh [OUTDIR]      OUTDIR is .build/apiserver at the repo's root unless given
#
# Does nothing if OUTDIR holds binaries of the same sources, versions and Go. A first build takes
# 4 to 6 minutes on two cores, and 3 GB for Go's caches. GOPROXY, GOFLAGS, GOCACHE and so on are the user's.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../../.build/apiserver}
programs=(apiserver kubectl launcher)
progress_seconds=15

say() { echo "apiserver: $*"; }
die() { echo "apiserver: $*" >&2; exit 1; }

# The version of a module as go.mod requires it: the one place where versions are written.
required() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' "$here/go.mod"; }

# Go reports its own version as go1.26.8; go.mod says 1.26.0.
check_go() {
  local need have
  need=$(awk '$1 == "go" { print $2; exit }' "$here/go.mod")
  command -v go >/dev/null || die "the command go is missing: install Go $need or newer (see https://go.dev/doc/install)"
  have=$(cd "$here" && go env GOVERSION 2>&1) || die "go does not run here: $have"
  have=${have#go}
  have=${have%% *}
  [ "$(printf '%s\n' "$need" "$have" | sort -V | head -n 1)" = "$need" ] ||
    die "Go $have is too old: install Go $need or newer (see https://go.dev/doc/install), or set GOTOOLCHAIN=auto"
}

# One hash over everything that decides what the binaries are.
fingerprint() {
  {
    go env GOVERSION GOOS GOARCH GOFLAGS
    find . -type f \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum -o -name build.sh \) -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

# Runs go build into $into as $pid and says every few seconds that it is still alive.
build() {
  local log=$into/build.log kubernetes version start status=0 seconds next=$progress_seconds
  kubernetes=$(required k8s.io/kubernetes)
  version=k8s.io/component-base/version
  local ldflags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${kubernetes:3:2}"
  ldflags+=" -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"

  start=$SECONDS
  CGO_ENABLED=0 go build -v -trimpath -buildvcs=false -ldflags "$ldflags" -o "$into/" "${programs[@]/#/./cmd/}" 2>"$log" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    seconds=$((SECONDS - start))
    if [ "$seconds" -ge "$next" ]; then
      next=$((seconds + progress_seconds))
      say "building, ${seconds} s, $(wc -l <"$log") steps so far, now: $(tail -n 1 "$log")"
    fi
  done
  wait "$pid" || status=$?
  pid=
  if [ "$status" -ne 0 ]; then
    tail -n 40 "$log" >&2
    die "go build failed with status $status after $((SECONDS - start)) s"
  fi
  say "built ${programs[*]} ($kubernetes) in $((SECONDS - start)) s"
}

check_go
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$here"

# Several test runners may call this at the same time.
exec 9>"$out/lock"
flock --nonblock 9 || { say "waiting for another build into $out"; flock 9; }

want=$(fingerprint)
complete=1
for program in "${programs[@]}"; do
  [ -x "$out/$program" ] || complete=0
done
if [ "$complete" = 1 ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ]; then
  say "up to date in $out"
  exit 0
fi

say "building with $(go env GOVERSION); the first time takes 4 to 6 minutes on two cores"
rm -rf "$out"/building.*  # of a build that was killed
into=$(mktemp -d "$out/building.XXXXXX")
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi; rm -rf "$into"' EXIT
trap 'exit 130' INT TERM
build
rm -f "$out/stamp"
for program in "${programs[@]}"; do
  mv -f "$into/$program" "$out/$program"
done
echo "$want" >"$out/stamp"
