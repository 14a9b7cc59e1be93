#!/usr/bin/env bash
# Everything that a command of this project downloads is pinned, all of it and
# by hash: Cargo.lock and --locked, go.sum, requirements with --require-hashes.
# Reads the committed files only; needs no network. It first shows, on made-up
# lines, that it can refuse.
set -euo pipefail
cd "$(dirname "$0")/.."

# Reads scripts, as "file:line:text" with continued lines joined; prints those
# that would take what no committed file pins, and fails if there are any.
check_scripts() {
  awk '
    function wrong(why) { print why ": " $0; found = 1 }
    {
      text = $0; sub(/^[^:]*:[0-9]*:/, "", text)
      # Comments, and words that are only said.
      if (text ~ /^[ \t]*(#|\/\/)/ || text ~ /(^[ \t]*|\|\| |&& )(echo|die|say|raise) /) next
    }
    text ~ /(^|[^-a-z])cargo( \+[a-z0-9.-]+)? (add|bench|build|check|clippy|deny|doc|fetch|install|machete|metadata|run|rustc|test|tree|update)([^-a-z]|$)/ &&
      text !~ /--locked|--version|--frozen/ { wrong("cargo without --locked") }
    text ~ /\.args?\(\[?"(build|rustc|test|run)"/ && text ~ /cargo|--manifest-path|--package/ && text !~ /"--locked"/ { wrong("cargo without --locked") }
    text ~ /maturin"? (build|develop|sdist)/ && text !~ /--locked|sdist/ { wrong("maturin without --locked") }
    text ~ /go (run|install) [^ ]*@/ || text ~ /go get / || text ~ /go mod (download|tidy)/ { wrong("a Go module that no go.sum pins") }
    text ~ /-mod=mod/ { wrong("go.sum is not kept") }
    text ~ /pip"?,?"? "?(install|download|wheel)/ && text !~ /--require-hashes|--no-index/ { wrong("pip without --require-hashes") }
    text ~ /(^|[ ;&|(])(npm|npx|curl|wget) / { wrong("a download that nothing pins") }
    END { exit found }
  '
}

# Reads a requirements file; every package in it has one version and a hash.
check_requirements() {
  sed -e ':join' -e '/\\$/{N;s/\\\n/ /;b join' -e '}' | awk '
    /^[ \t]*(#|$)/ || /^-r / { next }
    !/^[A-Za-z0-9._-]+(\[[a-z,]+\])? *== *[^ *]+( |$)/ { print "no exact version: " $0; wrong = 1 }
    # A hash of 64 digits after "--hash=sha256:", without counting in the expression: not every awk can.
    !(match($0, /--hash=sha256:[0-9a-f]+/) && RLENGTH == 14 + 64) { print "no hash: " $0; wrong = 1 }
    END { exit wrong }
  '
}

# Reads a go.mod: whether it takes a module from outside, and not from a folder that replaces it.
takes_modules() {
  awk '
    { sub(/^(require|replace) /, "") }
    $2 == "=>" && $3 ~ /^\./ { replaced[$1] = 1; next }
    $1 ~ /\./ && $2 ~ /^v[0-9]/ { taken[$1] = 1 }
    END { for (module in taken) if (!(module in replaced)) exit 0; exit 1 }
  '
}

# --- it can refuse, and it can accept

refuses() { if "$1" <<<"$2" >/dev/null; then echo "pinned: it does not refuse: $2" >&2; exit 1; fi; }
accepts() { if ! "$1" <<<"$2"; then echo "pinned: it refuses: $2" >&2; exit 1; fi; }

for line in 'cargo build' 'cargo +nightly test -p x' '(cd x && cargo tree)' 'go run example.com/x@v1.0.0 ./...' 'go install example.com/x@latest' \
  'pip install x==1.0' '"$venv/bin/pip" install -r requirements.txt' '[python, "-m", "pip", "download", x]' 'env GOFLAGS=-mod=mod go build' \
  'curl -O https://example.com/x' 'cargo install cargo-deny' 'maturin build --release' '.args(["build", "--package", "x"])'; do
  refuses check_scripts "a:1:$line"
done
for line in '# cargo build' 'cargo build --locked' 'cargo fmt --all' 'cargo clippy --locked -- -D warnings' 'go run .' 'go test ./...' \
  'pip install --require-hashes -r x.txt' 'pip install --no-index --no-deps x.whl' 'cargo --version' '.args(["build", "--locked", "--package", "x"])'; do
  accepts check_scripts "a:1:$line"
done
for module in 'require example.com/x v1.0.0' $'require (\n\texample.com/x v1.0.0 // indirect\n)'; do
  accepts takes_modules "$module"
done
for module in 'module x' 'require x v0.0.0' $'require example.com/x v1.0.0\nreplace example.com/x => ../x'; do
  refuses takes_modules "$module"
done
hash=--hash=sha256:$(printf '0%.0s' {1..64})
for line in 'x==1.0' "x>=1.0 $hash" "x $hash" 'x==1.* '"$hash" $'x==1.0 \\\n    --hash=md5:0'; do
  refuses check_requirements "$line"
done
for line in "x==1.0 $hash" $'# x\nx==1.0 \\\n    '"$hash"$' \\\n    '"$hash"$'\n    # via y' "x[y]==1.0 ; python_version < '3.10' $hash"; do
  accepts check_requirements "$line"
done

# --- the project

wrong=0
scripts=$(git ls-files 'Makefile' '*.sh' '*.py' '*.rs' '.ci/*' ':!tests/pinned.sh')
# shellcheck disable=SC2086 # a list
awk '
  { joined = joined $0 }
  /\\$/ { sub(/\\$/, " ", joined); next }
  { print FILENAME ":" FNR ":" joined; joined = "" }
' $scripts | check_scripts || wrong=1

lists=0
while read -r list; do
  check_requirements <"$list" || { echo "pinned: in $list" >&2; wrong=1; }
  lists=$((lists + 1))
done < <(git ls-files '*requirements*.txt')

modules=0
while read -r module; do
  if takes_modules <"$module" && [ ! -s "$(dirname "$module")/go.sum" ]; then
    echo "pinned: $module has no go.sum beside it" >&2
    wrong=1
  fi
  modules=$((modules + 1))
done < <(git ls-files '*go.mod')

# What finds nothing has not passed.
if [ "$lists" = 0 ] || [ "$modules" = 0 ] || [ -z "$scripts" ]; then
  echo "pinned: no scripts, no requirements or no go.mod found" >&2
  exit 1
fi
[ "$wrong" = 0 ] || exit 1
echo "pinned: $(wc -w <<<"$scripts") scripts and programs, $lists lists for pip, $modules Go modules: all that is downloaded is pinned"
