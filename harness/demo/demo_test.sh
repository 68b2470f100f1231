#!/bin/bash
# The demo as a user runs it, on files of several sizes; not on a terminal.
set -eu
demo=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

fail() {
  echo "demo_test: $*" >&2
  [ ! -e "$work/out" ] || cat "$work/out" >&2
  exit 1
}
# expect REGEX: a line of the last run matches.
expect() { grep -Eq "$1" "$work/out" || fail "no line matches $1"; }

"$demo" --help >"$work/out" || fail "--help failed"
expect '^usage: demo \[--backend shm\|tcp\|rdma\] \[FILE\]$'

if "$demo" "$work/no-such-file" >"$work/out" 2>&1; then fail "a missing file was accepted"; fi
expect 'no-such-file: No such file'
if "$demo" --nonsense >"$work/out" 2>&1; then fail "an unknown option was accepted"; fi
expect 'nonsense'

# Larger than the ring, and not a multiple of anything.
head -c 20000003 /dev/urandom >"$work/large"
"$demo" "$work/large" >"$work/out" 2>&1 || fail "it failed"
expect '^Received \[1, 2, 3, 4, 5\]$'
expect '^    75 %  14\.3 MiB$'
expect '^   sent      20,000,003 bytes, CRC-32C [0-9a-f]{8}$'
expect '^   received  20,000,003 bytes, CRC-32C [0-9a-f]{8}: equal$'
expect 'round trip 8 B +p50 +[0-9]+ ns +[0-9]+ ns +flag ping-pong +[0-9.]+ x$'
expect ' +p99\.9 +[0-9]+ ns'
expect 'stream 64 KiB .*GB/s.* memcpy +[0-9.]+ x$'
expect '^   \$ cc -std=c99 .*hello\.c libringchan\.a '
expect '^   C client:   sent "hello from C", the server answered "hello from C\+\+"$'
expect '^All four parts went well\.$'
if grep -q $'\r' "$work/out"; then fail "a progress bar where there is no terminal"; fi

"$demo" --backend tcp "$work/large" >"$work/out" 2>&1 || fail "it failed over tcp"
expect '^1\. Five bytes .* tcp://127\.[0-9.]+:[0-9]+$'
expect '^   received  20,000,003 bytes, CRC-32C [0-9a-f]{8}: equal$'
expect 'round trip 8 B +p50 +[0-9]+ ns +[0-9]+ ns +bare TCP +[0-9.]+ x$'
expect 'stream 1 MiB .*GB/s.* bare TCP +[0-9.]+ x$'
expect '^All four parts went well\.$'
if "$demo" --backend smoke >"$work/out" 2>&1; then fail "an unknown backend was accepted"; fi
expect 'smoke'

: >"$work/empty"
"$demo" "$work/empty" >"$work/out" 2>&1 || fail "it failed on an empty file"
expect '^   sent      0 bytes, CRC-32C 00000000$'
expect 'equal$'
