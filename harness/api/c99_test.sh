#!/bin/sh
# Compiles a C99 program against rc.h and libringchan.a with the system's cc and no C++ library, and runs it.
set -eu
source=$1
header=$2
archive=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

set -x
cc -std=c99 -pedantic -Wall -Wextra -Werror -I "$(dirname "$header")" -o "$work/c99_test" "$source" "$archive" -pthread
set +x
if LC_ALL=C objdump -p "$work/c99_test" | grep 'NEEDED.*stdc++'; then
  echo 'the program needs libstdc++' >&2
  exit 1
fi
"$work/c99_test"
