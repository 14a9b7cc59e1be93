#!/usr/bin/env bash
# Dependencies that nothing uses (cargo-machete), and licences and sources of the
# others, against deny.toml, offline once that tool is built: the second with
# `cargo deny` where it is installed, else with what stands here, which needs
# cargo and awk only. It first shows, on made-up packages, that it can refuse.
#
# Checked here: every package that this workspace builds, tests or is built
# with on this platform; in Cargo.lock the sources of all platforms'.
#
#   audit.sh TARGET      cargo's folder, for the tool
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd)
target=$1

# Reads "name v1.2.3 (where from)|licences", one package a line, and deny.toml.
# Prints what is wrong with each; fails if anything is.
check_packages() {
  awk -v root="$root" '
    # --- deny.toml: one quoted licence a line under allow, one crate a line under exceptions
    FILENAME == "deny.toml" {
      if ($0 ~ /^\[/) section = $0
      if (section != "[licenses]" || $0 ~ /^ *#/) next
      if ($1 == "allow" || $1 == "exceptions") list = $1
      if (list == "allow" && match($0, /^ +"[^"]+"/)) {
        text = substr($0, RSTART, RLENGTH); gsub(/^ +"|"$/, "", text); allowed[text] = 1
      }
      if (list == "exceptions" && split($0, part, "\"") >= 5) allowed[part[2] ": " part[4]] = 1
      next
    }

    # --- licence expressions (SPDX): OR binds weaker than AND, AND weaker than WITH
    function next_token(  t) {
      sub(/^ +/, "", rest)
      if (rest == "") return ""
      if (rest ~ /^[()]/) t = substr(rest, 1, 1)
      else { match(rest, /^[^ ()]+/); t = substr(rest, 1, RLENGTH) }
      rest = substr(rest, length(t) + 1)
      return t
    }
    function any_of(  ok) { ok = all_of(); while (token == "OR") { token = next_token(); ok = all_of() || ok } return ok }
    function all_of(  ok) { ok = one(); while (token == "AND") { token = next_token(); ok = one() && ok } return ok }
    function one(  ok, name) {
      if (token == "(") { token = next_token(); ok = any_of(); if (token != ")") bad = 1; token = next_token(); return ok }
      name = token; if (name == "" || name == ")" || name == "OR" || name == "AND") bad = 1
      token = next_token()
      if (token == "WITH") { name = name " WITH " next_token(); token = next_token() }
      return (name in allowed) || ((crate ": " name) in allowed)
    }
    function fits(text,  ok) {
      rest = text; gsub(/\//, " OR ", rest); bad = 0
      token = next_token(); ok = any_of()
      return ok && !bad && token == ""
    }

    # --- packages
    {
      bar = index($0, "|"); package = substr($0, 1, bar - 1); licences = substr($0, bar + 1)
      sub(/ \(\*\)$/, "", licences); sub(/ \(proc-macro\)/, "", package)
      crate = package; sub(/ .*/, "", crate)
      seen++
      if (match(package, / \(.*\)$/)) {
        from = substr(package, RSTART + 2, RLENGTH - 3)
        if (from != root && index(from, root "/") != 1) { print "source not allowed: " package; wrong = 1 }
      }
      if (licences == "") { print "no licence given: " package; wrong = 1 }
      else if (!fits(licences)) { print "licence not allowed: " package ": " licences; wrong = 1 }
    }
    END { if (!seen) { print "no packages"; wrong = 1 } exit wrong }
  ' deny.toml -
}

# Reads a Cargo.lock: all sources are one and the same registry. That it is
# the default one, check_packages sees, where cargo names every other.
check_lock() {
  awk '
    $1 == "source" && $3 !~ /^"registry\+/ { print "source not allowed: " $3; wrong = 1 }
    $1 == "source" && !($3 in seen) { seen[$3] = 1; if (++sources > 1) { print "a second registry: " $3; wrong = 1 } }
    END { exit wrong }
  '
}

# --- it can refuse, and it can accept

refuses() { if "$1" <<<"$2" >/dev/null; then echo "audit: it does not refuse: $2" >&2; exit 1; fi; }
accepts() { if ! "$1" <<<"$2" >/dev/null; then echo "audit: it refuses: $2" >&2; exit 1; fi; }

for line in 'a v1.0.0|GPL-3.0-only' 'a v1.0.0|' 'a v1.0.0|MIT AND GPL-3.0-only' 'a v1.0.0|MIT AND (GPL-3.0-only OR AGPL-3.0-only)' \
  'a v1.0.0|(MIT' 'a v1.0.0|MIT Apache-2.0' 'a v1.0.0|MPL-2.0' 'a v1.0.0|GPL-2.0-only WITH Classpath-exception-2.0' \
  'a v1.0.0 (https://example.com/a?rev=1#abcdef)|MIT' 'a v1.0.0 (registry `other`)|MIT' 'a v1.0.0 (/elsewhere/a)|MIT' \
  "a v1.0.0 (${root}2/a)|MIT" ''; do
  refuses check_packages "$line"
done
for line in 'a v1.0.0|MIT' 'a v1.0.0|MIT (*)' 'a v1.0.0|GPL-3.0-only OR MIT' 'a v1.0.0|Unlicense/MIT' 'cbindgen v1.0.0|MPL-2.0' \
  'a v1.0.0|(MIT OR GPL-3.0-only) AND Apache-2.0' 'a v1.0.0|Apache-2.0 WITH LLVM-exception OR GPL-3.0-only' \
  'a v1.0.0 (proc-macro)|MIT' "a v1.0.0 ($root/a)|MIT"; do
  accepts check_packages "$line"
done
refuses check_lock 'source = "git+https://example.com/a#abcdef"'
refuses check_lock $'source = "registry+one"\nsource = "registry+two"'
accepts check_lock $'source = "registry+one"\nsource = "registry+one"'

# --- the workspace

machete=$(tests/cargo-tool.sh "$target" cargo-machete 0.9.2)
"$machete" . >"$target/machete.txt" 2>&1 || { cat "$target/machete.txt" >&2; exit 1; }

if cargo deny --version >/dev/null 2>&1; then
  exec cargo deny --locked --offline check licenses sources bans
fi
check_lock <Cargo.lock
packages=$(cargo tree --offline --locked --workspace --all-features --edges normal,build,dev --prefix none --format '{p}|{l}' |
  sed -e '/^$/d' -e 's/ (\*)$//' | sort -u)
check_packages <<<"$packages"
echo "audit: $(wc -l <<<"$packages") packages, all used, licences and sources as in deny.toml (cargo deny is not installed)"
