#!/usr/bin/env bash
# Checks the checks: builds the Rust client on a core with one mistake, for each patch in mutants/, and expects the
# checker to find it within the seeds of the short form. The core without a mistake passes the same seeds. The builds
# have a copy of the sources and a target folder of their own: the daily loop never sees them.
#
#   mutants.sh TARGET APISERVER [NAME...]     cargo's folder, the API server's; only these mutants
#
# A patch's first lines say, behind "rule:", which rules may find it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$(cd "$1" && pwd)
apiserver=$(cd "$2" && pwd)
shift 2
work=$target/mutants
seeds=${MUTANT_SEEDS:-24}
mkdir -p "$work"

# build NAME [PATCH]: the client as $work/NAME
build() {
  rm -rf "$work/source"
  mkdir "$work/source"
  # What was built stays valid for files that haven't changed: their times are kept.
  tar -C "$root" --exclude=./target --exclude=./.build --exclude=./.git -cf - . | tar -C "$work/source" -xf -
  if [ $# = 2 ] && ! patch -s -p1 -d "$work/source" <"$2"; then
    echo "mutants: $2 doesn't apply any more: make it anew" >&2
    exit 1
  fi
  (cd "$work/source" && CARGO_TARGET_DIR=$work/target cargo build --quiet --locked -p mapstore-faults-traffic)
  cp "$work/target/debug/faults-traffic" "$work/$1"
}

# histories NAME FLAG...: runs them; whether none broke a rule
histories() {
  local name=$1
  shift
  rm -rf "$work/histories/$name"
  MAPSTORE_APISERVER_DIR=$apiserver "$target/debug/faults" --built "$target/debug" --sources "$here/traffic" --languages rust \
    --rust "$work/$name" --out "$work/histories/$name" --seed 1 --count "$seeds" "$@" >"$work/$name.log" 2>&1
}

failed=0
echo "without a mistake, $seeds seeds:"
build none
if histories none --jobs 2; then
  tail -1 "$work/none.log"
else
  cat "$work/none.log"
  echo "  NOT SOUND: what finds mistakes below proves nothing"
  failed=1
fi
for patch in "$here"/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  expected=$(sed -n 's/^rule: //p' "$patch")
  build "$name" "$patch"
  start=$SECONDS
  if histories "$name" --stop; then
    printf '%-40s NOT FOUND in %s seeds\n' "$name" "$seeds"
    failed=1
    continue
  fi
  found=$(sed -n 's/^  \([a-z-]*\): .*/\1/p' "$work/$name.log" | sort -u | tr '\n' ' ')
  how=''
  for rule in $found; do [[ " $expected " == *" $rule "* ]] && how=$rule; done
  printf '%-40s %s, history %s, after %s s\n' "$name" "${how:-by another rule than expected: $found}" \
    "$(grep -c '^seed ' "$work/$name.log")" "$((SECONDS - start))"
  [ -n "$how" ] || failed=1
done
exit "$failed"
