#!/usr/bin/env bash
# The examples in docs/*.md, compiled and run; and what the documents say that
# can be checked without reading them. The README's are readme.py's.
#
#   extract.sh BUILT      BUILT is cargo's folder (target/debug), built for the workspace
#
# A ```c block is a whole program or a whole file: it is compiled with all
# warnings as errors. One marked ```c run (or cpp, go, python run) is built and
# run on a mapstore-dev that is started for it; it has to succeed and print
# nothing on stderr.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=$(cd "$1" && pwd)
cd "$root"
documents=(docs/*.md)
# shellcheck source=tests/demo/dev-server.sh
source tests/demo/dev-server.sh

die() { echo "docs: $*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'stop_dev_server; rm -rf "$scratch"' EXIT

for file in mapstore-dev libmapstore.so; do
  [ -e "$built/$file" ] || die "$built/$file is missing: run cargo build --workspace first"
done
abi=$(awk '$2 == "MAPSTORE_ABI_VERSION" { print $3 }' include/mapstore.h)
ln -s "$built/libmapstore.so" "$scratch/libmapstore.so.$abi"

# blocks FILE: writes each fenced block of a program to a file of its own and
# prints its language, whether it is to be run, where it stands and the file.
blocks() {
  awk -v out="$scratch/$(tr / - <<<"$1")" -v document="$1" '
    /^```/ && inside { close(file); inside = 0; next }
    inside { print > file; next }
    /^```(c|c run)$/ { language = "c"; run = /run/; inside = 1 }
    /^```(cpp|go|python) run$/ { language = substr($1, 4); run = 1; inside = 1 }
    inside { file = out "-" NR "." language; printf "" > file; print language, run + 0, document ":" NR, file }
    /^```/ && !inside { inside = 1; file = "/dev/null" }
  ' "$1"
}

compile_c() {
  local flags=(-std=c99 -Wall -Wextra -pedantic -Werror -I include)
  if [ "$2" = 1 ]; then
    ${CC:-cc} "${flags[@]}" "$1" -L "$built" -lmapstore "-Wl,-rpath,$scratch" -o "$1.program"
  else
    ${CC:-cc} "${flags[@]}" -c "$1" -o "$1.o"
  fi
}

compile_cpp() {
  ${CXX:-c++} -std=c++17 -Wall -Wextra -pedantic -Werror -I include "$1" -L "$built" -lmapstore "-Wl,-rpath,$scratch" -o "$1.program"
}

compile_go() {
  mkdir "$1.module"
  cp "$1" "$1.module/main.go"
  printf 'module example\n\ngo 1.25\n\nrequire mapstore v0.0.0\n\nreplace mapstore => %s/bindings/go\n' "$root" >"$1.module/go.mod"
  local settings
  read -r -d '' -a settings < <(bindings/go/env.sh "$built" 2>/dev/null && printf '\0')
  (cd "$1.module" && env "${settings[@]}" go vet . && env "${settings[@]}" go build -o "$1.program" .)
}

compile_python() {
  { printf '#!/usr/bin/env python3\nimport sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, "%s/python")\n' "$built"; cat "$1"; } >"$1.program"
  chmod +x "$1.program"
}

# In a clean environment: the cluster it finds is ours.
run() {
  env -i PATH="$PATH" HOME="$scratch" MAPSTORE_CLUSTER_CONFIG_PATH="$scratch/kubeconfig" \
    "$1.program" >"$scratch/out" 2>"$scratch/err" || die "$2: it failed: $(cat "$scratch/err")"
  [ ! -s "$scratch/err" ] || die "$2: it complained: $(cat "$scratch/err")"
  sed "s|^|  |" "$scratch/out"
}

start_dev_server "$built/mapstore-dev" "$scratch/kubeconfig" default >/dev/null

count=0 ran=0
while read -r language marked place file; do
  "compile_$language" "$file" "$marked" || die "$place: it does not compile"
  count=$((count + 1))
  if [ "$marked" = 1 ]; then
    echo "docs: $place runs:"
    run "$file" "$place"
    ran=$((ran + 1))
  fi
done < <(for document in "${documents[@]}"; do blocks "$document"; done)
# What finds nothing has not passed.
[ "$count" -ge 1 ] && [ "$ran" -ge 1 ] || die "only $count examples found, $ran of them to be run"

# Links to files of this repository.
for document in README.md "${documents[@]}" CONTRIBUTING.md SECURITY.md CHANGELOG.md; do
  while read -r link; do
    [ -e "$(dirname "$document")/${link%%#*}" ] || die "$document: it links to $link, which does not exist"
  done < <(grep -o '](\([^):]*\))' "$document" | sed -e 's/^](//' -e 's/)$//' | grep -v '^#')
done

# The numbers of the errors, as the header has them.
errors=0
while read -r name number; do
  macro=MAPSTORE_$(sed 's/\([a-z]\)\([A-Z]\)/\1_\2/g' <<<"$name" | tr '[:lower:]' '[:upper:]')
  grep -q "^#define $macro $number\$" include/mapstore.h || die "docs/contract.md: $name is not $number in mapstore.h"
  errors=$((errors + 1))
done < <(sed -n 's/^| `\([A-Za-z]*\)` | \([0-9]*\) |.*/\1 \2/p' docs/contract.md)
[ "$errors" = 18 ] || die "docs/contract.md: $errors errors in the table, 18 are expected"

echo "docs: $count examples compiled, $ran of them run; links and error numbers are right"
