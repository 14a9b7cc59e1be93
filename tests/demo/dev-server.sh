# Sourced: a mapstore-dev of the sourcing script's own, and nobody else's cluster.

# start_dev_server PROGRAM KUBECONFIG NAMESPACE: returns when it is ready. It
# ends when this shell ends, however that happens: then its input ends.
start_dev_server() {
  local line
  # The loopback server holds no data beyond its own life and needs nothing of the environment.
  coproc DEV_SERVER { exec env -i "$1" --write-kubeconfig "$2" --namespace "$3" --exit-with-stdin; }
  # shellcheck disable=SC2034 # for stop_dev_server
  dev_server_pid=$DEV_SERVER_PID
  # bash closes its copies when the process ends; these are ours.
  exec {dev_server_out}<&"${DEV_SERVER[0]}" {dev_server_in}>&"${DEV_SERVER[1]}"
  if ! IFS= read -r -t 30 line <&"$dev_server_out"; then
    echo "mapstore-dev did not start" >&2
    return 1
  fi
  echo "$line"
}

# Safe to call twice, and if it never started.
stop_dev_server() {
  [ -n "${dev_server_pid:-}" ] || return 0
  kill "$dev_server_pid" 2>/dev/null || true
  wait "$dev_server_pid" 2>/dev/null || true
  dev_server_pid=
}
