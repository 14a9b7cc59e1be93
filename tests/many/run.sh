#!/usr/bin/env bash
# Builds the workers and runs the test: see run.py.
#
#   run.sh BUILT APISERVER [KEYS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=$(cd "$1" && pwd)
"$root/tests/conformance/python/build.sh" "$built" "$built/python"
read -r -d '' -a settings < <("$root/bindings/go/env.sh" "$built" 2>/dev/null && printf '\0')
(cd "$here/go" && env "${settings[@]}" go vet . && env "${settings[@]}" go build -o "$built/many-go" .)
${CXX:-c++} -std=c++17 -Wall -Wextra -pedantic -Werror -O1 -I "$root/include" "$here/worker.cpp" -L "$built/go-prefix/lib" \
  -lmapstore "-Wl,-rpath,$built/go-prefix/lib" -o "$built/many-cpp"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/apiserver python3 "$here/run.py" "$built" "$2" "${3:-150}"
