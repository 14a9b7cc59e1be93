#!/usr/bin/env bash
# Makes the wheel, in release form and with the licences of all that is in it,
# and the source package; says what the wheel needs of the system, and runs the
# package's tests with it in a fresh environment of every Python that is found here.
#
#   wheel.sh TARGET DEV      cargo's folder; the folder of mapstore-dev, for the tests
#
# The wheel comes to TARGET/wheels. Pythons: python3.9 and newer on PATH or of
# pyenv; PYTHONS="/usr/bin/python3 …" names others.
set -euo pipefail
target=$(mkdir -p "$1" && cd "$1" && pwd)
dev=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
wheels=$target/wheels tools=$target/wheel-tools
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

pythons() {
    if [ -n "${PYTHONS:-}" ]; then
        printf '%s\n' $PYTHONS
        return
    fi
    local minor found
    for minor in 9 10 11 12 13 14; do
        for found in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor."*/bin/python3; do
            if "$found" -c 'import venv' 2>/dev/null; then
                echo "$found"
                break
            fi
        done
    done
}

"$here/../tests/venv.sh" "$tools" "$here/requirements-wheel.txt"
# Both lie in the sources, so that whoever builds the package has them in it.
python3 "$here/notices.py" "$scratch/notices"
cmp "$scratch/notices" "$here/THIRD-PARTY-NOTICES.txt" ||
    { echo "wheel: other packages are linked in than THIRD-PARTY-NOTICES.txt says: make bless" >&2; exit 1; }
cmp "$here/../LICENSE" "$here/LICENSE"
rm -rf "$wheels"
CARGO_TARGET_DIR=$target "$tools/bin/maturin" build --quiet --release --locked --manifest-path "$here/Cargo.toml" --out "$wheels"
"$tools/bin/maturin" sdist --manifest-path "$here/Cargo.toml" --out "$wheels"
wheel=$(echo "$wheels"/*.whl) source=$(echo "$wheels"/*.tar.gz)
"$tools/bin/twine" check --strict "$wheel" "$source"

# holds ARCHIVE PATTERN …: the contents, one a line, have each of these.
holds() {
    local archive=$1 part
    shift
    for part; do
        grep -qxE "$part" "$scratch/contents" || { echo "wheel: $part is missing in $archive" >&2; exit 1; }
    done
}
"$tools/bin/python" -m zipfile -l "$wheel" | awk '{ print $1 }' >"$scratch/contents"
holds "$wheel" mapstore/_native.abi3.so mapstore/py.typed mapstore/_native.pyi \
    'mapstore-[^/]*/licenses/LICENSE' 'mapstore-[^/]*/licenses/THIRD-PARTY-NOTICES.txt'
tar tzf "$source" >"$scratch/contents"
holds "$source" '[^/]*/PKG-INFO' '[^/]*/(mapstore-py/)?LICENSE' '[^/]*/(mapstore-py/)?THIRD-PARTY-NOTICES.txt' \
    '[^/]*/(mapstore-py/)?README.md' '[^/]*/Cargo.lock'
echo "wheel: $(basename "$wheel"), $(stat -c %s "$wheel") bytes"
# What auditwheel says of symbol versions is the oldest glibc that it runs on.
"$tools/bin/auditwheel" show "$wheel"

tested=0
while read -r python; do
    version=$("$python" -c 'import platform; print(platform.python_version())')
    environment=$scratch/$version
    PYTHON=$python "$here/../tests/venv.sh" "$environment" "$here/requirements-pytest.txt"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheel"
    echo "wheel: the tests on Python $version"
    (cd "$here" && MAPSTORE_DEV=$dev/mapstore-dev PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" -m pytest)
    tested=$((tested + 1))
done < <(pythons)
[ "$tested" -gt 0 ] || { echo "wheel: no Python 3.9 or newer with venv was found" >&2; exit 1; }
echo "wheel: ok on $tested versions of Python"
