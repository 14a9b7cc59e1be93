#!/bin/sh
# Installs what a C or C++ program builds with: library, header, pkg-config
# file, CMake package, licence. `make install` calls it.
#
#   install.sh [PREFIX=/usr/local] [DESTDIR=] [PROFILE=release|dev]
#
# Builds the library first. Everything installed finds its neighbours by its own
# place, so the folder can be moved. MAPSTORE_LIBRARY=DIR installs the library
# found there instead of building one.
set -eu

PREFIX=/usr/local DESTDIR= PROFILE=release
for setting in "$@"; do
    case $setting in
        PREFIX=* | DESTDIR=* | PROFILE=*) eval "${setting%%=*}=\${setting#*=}" ;;
        *) echo "install.sh: what is '$setting'? It takes PREFIX=, DESTDIR= and PROFILE=" >&2; exit 2 ;;
    esac
done
absolute() {
    case $1 in
        "" | /*) echo "$1" ;;
        *) echo "$PWD/$1" ;;
    esac
}
PREFIX=$(absolute "$PREFIX")
DESTDIR=$(absolute "$DESTDIR")

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
header=include/mapstore.h
version=$(sed -n 's/^#define MAPSTORE_VERSION "\(.*\)"$/\1/p' "$header")
abi=$(sed -n 's/^#define MAPSTORE_ABI_VERSION //p' "$header")

if [ -n "${MAPSTORE_LIBRARY:-}" ]; then
    built=$MAPSTORE_LIBRARY
else
    command -v cargo >/dev/null || { echo "install.sh: cargo is missing: install Rust 1.95 or newer" >&2; exit 1; }
    echo "mapstore: building the library (profile $PROFILE; release takes minutes, for its link-time optimisation)" >&2
    case $PROFILE in
        dev) folder=debug ;;
        *) folder=$PROFILE ;;
    esac
    cargo build --locked --lib --package mapstore-ffi --profile "$PROFILE"
    built=${CARGO_TARGET_DIR:-target}/$folder
fi

to=$DESTDIR$PREFIX
cmake=$to/lib/cmake/mapstore
mkdir -p "$to/lib/pkgconfig" "$to/include" "$cmake" "$to/share/licenses/mapstore"

# Into a new file and then renamed: a running program keeps the old one.
place() {
    cp "$1" "$2.new"
    chmod "$3" "$2.new"
    mv -f "$2.new" "$2"
}

# A program may link another library that is written in Rust, with a standard
# library of its own in it: only the functions of mapstore.h stay visible, or the
# linker finds rust_eh_personality twice. Section groups have to go first: the
# linker keeps one of each name, and the other library would lose its own.
archive() {
    if [ -e "$2" ] && [ "$2" -nt "$1" ] && [ "$2" -nt "$root/mapstore-ffi/install.sh" ]; then return; fi
    for tool in ld objcopy ar; do
        command -v "$tool" >/dev/null || { echo "install.sh: $tool is missing: install binutils" >&2; exit 1; }
    done
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    ld -r --force-group-allocation --whole-archive "$1" -o "$scratch/mapstore.o"
    # Rust's own libraries carry LLVM bitcode, which other versions' linker plugins
    # choke on; ring's C parts carry debug information whatever the profile, and in
    # it the folder where they were compiled.
    debug=
    [ "$PROFILE" != release ] || [ -n "${MAPSTORE_LIBRARY:-}" ] || debug=--strip-debug
    objcopy $debug --remove-section=.llvmbc --remove-section=.llvmcmd \
        --keep-global-symbols="$root/mapstore-ffi/symbols.txt" "$scratch/mapstore.o"
    ar rcs "$scratch/libmapstore.a" "$scratch/mapstore.o"
    place "$scratch/libmapstore.a" "$2" 644
    rm -rf "$scratch"
    trap - EXIT
}

place "$built/libmapstore.so" "$to/lib/libmapstore.so.$version" 755
ln -sfn "libmapstore.so.$version" "$to/lib/libmapstore.so.$abi"
ln -sfn "libmapstore.so.$abi" "$to/lib/libmapstore.so"
archive "$built/libmapstore.a" "$to/lib/libmapstore.a"
for file in include/mapstore.h include/mapstore.hpp; do
    [ ! -e "$file" ] || place "$file" "$to/$file" 644
done
place LICENSE "$to/share/licenses/mapstore/LICENSE" 644

# What the static library needs (rustc --print native-static-libs) but for the
# unwinder: the compiler adds that by itself, -lgcc_s or, for a program without
# any shared library, -lgcc_eh.
native="-lutil -lrt -lpthread -lm -ldl -lc"

# A program finds the shared library where it was when it was linked. /usr/lib is
# searched anyway.
case $PREFIX in
    /usr) rpath= ;;
    *) rpath="-Wl,-rpath,\${libdir} " ;;
esac

# mapstore links the shared library, mapstore-static the static one; without a
# shared library next to it, `pkg-config --static mapstore` does so too.
pc() {
    cat > "$to/lib/pkgconfig/$1.pc" <<PC
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: $1
Description: A key/value store over one Kubernetes ConfigMap
Version: $version
Cflags: -I\${includedir}
Libs: $2
PC
}
pc mapstore "-L\${libdir} $rpath-lmapstore"
echo "Libs.private: $native" >> "$to/lib/pkgconfig/mapstore.pc"
pc mapstore-static "\${libdir}/libmapstore.a $native"

cat > "$cmake/mapstore-config.cmake" <<CMAKE
# find_package(mapstore): the targets mapstore::mapstore (shared) and
# mapstore::static.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

get_filename_component(_mapstore_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET mapstore::mapstore)
  add_library(mapstore::mapstore SHARED IMPORTED)
  set_target_properties(mapstore::mapstore PROPERTIES
    IMPORTED_LOCATION "\${_mapstore_prefix}/lib/libmapstore.so.$version"
    IMPORTED_SONAME "libmapstore.so.$abi"
    INTERFACE_INCLUDE_DIRECTORIES "\${_mapstore_prefix}/include")
endif()

if(NOT TARGET mapstore::static)
  add_library(mapstore::static STATIC IMPORTED)
  set_target_properties(mapstore::static PROPERTIES
    IMPORTED_LOCATION "\${_mapstore_prefix}/lib/libmapstore.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${_mapstore_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;$(echo "$native" | sed 's/-lpthread //; s/-l//g; s/ /;/g')")
endif()

unset(_mapstore_prefix)
CMAKE

major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}
cat > "$cmake/mapstore-config-version.cmake" <<CMAKE
# Not older than what is asked for; of the same major version, before 1.0 of
# the same minor version.
set(PACKAGE_VERSION "$version")
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION_MAJOR EQUAL $major AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)
  if($major GREATER 0 OR PACKAGE_FIND_VERSION_COUNT LESS 2 OR PACKAGE_FIND_VERSION_MINOR EQUAL $minor)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
CMAKE
echo "mapstore $version: installed in $to" >&2
