#!/usr/bin/env bash
# Runs a command beside busy loops: no test may depend on an idle machine.
#
#   busy.sh LOOPS COMMAND…
#
# The loops end with this script, by their ids; left alone, after an hour.
set -euo pipefail
loops=()
trap 'kill "${loops[@]}" 2>/dev/null || true' EXIT
for _ in $(seq "$1"); do
  bash -c 'until [ "$SECONDS" -ge 3600 ]; do :; done' </dev/null &
  loops+=("$!")
done
shift
echo "busy: ${#loops[@]} loops on $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
status=0
"$@" || status=$?
for loop in "${loops[@]}"; do
  kill -0 "$loop" || { echo "busy: a loop has ended before the command" >&2; exit 1; }
done
echo "busy: load $(cut -d' ' -f1 /proc/loadavg) at the end, status $status"
exit "$status"
