#!/bin/sh
# dist.sh TARBALL: a C program that names every function links against the unpacked tarball, by pkg-config (shared and
# static, without a C++ runtime) and, where there is cmake, by find_package; and each of them runs.
set -eu
tar -C "$TEST_TMPDIR" -xf "$1"
cd "$TEST_TMPDIR"
P=$PWD/ringchan-0.2.0
export PKG_CONFIG_PATH="$P/lib/pkgconfig"
names=$(nm -D --defined-only "$P/lib/libringchan.so" | sed -n 's/.* T \(rc_[a-z0-9_]*\).*/(function)\1,/p')
cat >demo.c <<EOF
#include <rc.h>
#include <stdio.h>
typedef void (*function)(void);
static const function all[] = { $names };
int main(void) { return printf("%u functions\\n", (unsigned)(sizeof all / sizeof all[0])) < 0 || !all[0]; }
EOF

# shellcheck disable=SC2046  # pkg-config answers in words
cc -std=c11 demo.c $(pkg-config --cflags --libs ringchan) -o shared
LD_LIBRARY_PATH=$P/lib ./shared
if command -v cmake >/dev/null; then
  cat >CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(ringchan REQUIRED)
add_executable(shared_demo demo.c)
target_link_libraries(shared_demo ringchan::ringchan)
add_executable(static_demo demo.c)
target_link_libraries(static_demo ringchan::ringchan_static)
EOF
  cmake -S . -B b -DCMAKE_PREFIX_PATH="$P"
  cmake --build b
  b/shared_demo
  b/static_demo
fi
rm "$P/lib/libringchan.so" # so that -lringchan is the archive
# shellcheck disable=SC2046
cc -std=c11 demo.c $(pkg-config --static --cflags --libs ringchan) -o static
./static
