#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs a build, moves the installation, and uses it as a stranger would: every file is there, programs find the shared
# and the static library through pkg-config and CMake, and process workers start from the place it was moved to. (That
# examples/module builds both ways from an installation is a test of examples/.)
# usage: tests/install_test.sh BUILD LIBDIR CC
set -eu
build=$(cd "$1" && pwd)
libdir=$2
cc=$3
source=$(cd "$(dirname "$0")/.." && pwd)
# The tests' environment says where the worker program is; an installation must find its own.
unset BRIGADE_WORKER

fail() {
    echo "install_test: $*" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What goes below DESTDIR is what goes below the prefix.
DESTDIR=$work/staged cmake --install "$build" --prefix /opt/brigade >"$work/log" || fail "cmake --install failed"
mv "$work/staged/opt/brigade" "$work/moved"
prefix=$work/moved
version=$(sed -n 's/^#define BRG_VERSION "\(.*\)"$/\1/p' "$source/include/brigade/export.h")

# ---- every file ------------------------------------------------------------------------------------------------

present() { [ -e "$prefix/$1" ] || fail "$1 is not installed"; }
for header in "$source"/include/brigade.h "$source"/include/brigade/*.h; do
    present "include/${header#"$source"/include/}"
done
present "$libdir/libbrigade.so"
present "$libdir/libbrigade.so.0"
present "$libdir/libbrigade.so.$version"
present "$libdir/libbrigade.a"
present "$libdir/brigade/modules/analyze.so"
present "$libdir/brigade/modules/image.so"
present "$libdir/brigade/modules/work.so"
present libexec/brigade/brigade-worker
[ -x "$prefix/libexec/brigade/brigade-worker" ] || fail "brigade-worker may not be executed"
for page in "$source"/docs/man/*.[1-9]; do
    present "share/man/man${page##*.}/${page##*/}"
done
while read -r name page; do
    present "share/man/man${page##*.}/$name.${page##*.}"
done <"$source/docs/man/links.txt"
soname=$(objdump -p "$prefix/$libdir/libbrigade.so" | awk '$1 == "SONAME" { print $2 }')
[ "$soname" = libbrigade.so.0 ] || fail "the soname is $soname"

if [ -x "$build/brigade" ]; then
    present bin/brigade
    said=$("$prefix/bin/brigade" --version) || fail "the installed command does not run"
    case $said in *"$version"*) ;; *) fail "brigade --version says $said" ;; esac
    # A picture of 8x8 dots, through the module and a worker program that are where the installation was moved.
    base64 -d >"$work/picture.png" <<'PNG'
iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mM4kWKEFTEMLQkAVkZXgUFSAJcAAAAASUVORK5CYII=
PNG
    "$prefix/bin/brigade" image --timeout 1h --thumbnail -o "$work/thumbs" "$work/picture.png" >"$work/log" 2>&1 ||
        { cat "$work/log"; fail "the installed command does not process a picture"; }
    [ -n "$(ls "$work/thumbs")" ] || fail "the installed command wrote no picture"
fi
if [ -e "$source/cmd/brigade/completion.bash" ]; then
    present share/bash-completion/completions/brigade
fi

# ---- pkg-config ------------------------------------------------------------------------------------------------

PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
LD_LIBRARY_PATH=$prefix/$libdir
export PKG_CONFIG_PATH LD_LIBRARY_PATH
[ "$(pkg-config --modversion brigade)" = "$version" ] || fail "pkg-config does not say $version"
case $(pkg-config --libs brigade) in *uv*) fail "pkg-config links private libraries without --static" ;; esac

cp -R "$source/examples/module" "$work/module"
make -s -C "$work/module" CC="$cc" >"$work/log" 2>&1 || { cat "$work/log"; fail "examples/module does not build"; }
echo "Many cooks, one broth." >"$work/poem.txt"
"$work/module/word_count" "$work/module/word_count.so" "$work/poem.txt" >"$work/said" ||
    fail "a process worker does not start from where the installation was moved"
grep -q 4 "$work/said" || fail "examples/module counts wrong: $(cat "$work/said")"

cat >"$work/program.c" <<'C'
#include <brigade.h>
#include <stdio.h>

static brg_status answer(brg_context *context, void *argument)
{
    (void)context;
    *(int *)argument = 42;
    return BRG_OK;
}

int main(void)
{
    brg_pool *pool = NULL;
    brg_task *task = NULL;
    int number = 0;
    if (brg_pool_create(&pool, brg_pool_opts(.workers_max = 1), NULL) != BRG_OK)
        return 1;
    if (brg_pool_submit_call(pool, answer, &number, NULL, &task) != BRG_OK || brg_task_wait(task, BRG_FOREVER) != BRG_OK)
        return 1;
    brg_task_unref(task);
    brg_pool_destroy(pool);
    printf("%s %d\n", brg_version(), number);
    return 0;
}
C

# runs PROGRAM WHAT: it prints what it should.
runs() { [ "$("$1")" = "$version 42" ] || fail "$2: the program does not run"; }
needs_library() { objdump -p "$1" | grep -q 'NEEDED.*libbrigade'; }

# shellcheck disable=SC2046
"$cc" -o "$work/static" "$work/program.c" $(pkg-config --cflags brigade) "$prefix/$libdir/libbrigade.a" \
    $(pkg-config --static --libs brigade | sed 's/-lbrigade//') || fail "pkg-config --static: does not link"
needs_library "$work/static" && fail "pkg-config --static: links the shared library"
runs "$work/static" "pkg-config --static"

# ---- CMake -----------------------------------------------------------------------------------------------------

mkdir "$work/cmake"
cat >"$work/cmake/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.18)
project(stranger C)
find_package(brigade 0.1 REQUIRED)
if(NOT EXISTS "${brigade_MODULE_DIR}/image.so")
    message(FATAL_ERROR "brigade_MODULE_DIR is ${brigade_MODULE_DIR}")
endif()
add_executable(with_shared ../program.c)
target_link_libraries(with_shared PRIVATE brigade::brigade)
add_executable(with_static ../program.c)
target_link_libraries(with_static PRIVATE brigade::brigade_static)
CMAKE
{
    cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" &&
        cmake --build "$work/cmake/build"
} >"$work/log" 2>&1 || { cat "$work/log"; fail "find_package: a stranger's project does not build"; }
needs_library "$work/cmake/build/with_shared" || fail "brigade::brigade is not the shared library"
needs_library "$work/cmake/build/with_static" && fail "brigade::brigade_static links the shared library"
runs "$work/cmake/build/with_shared" "brigade::brigade"
runs "$work/cmake/build/with_static" "brigade::brigade_static"
echo "install_test: good"
