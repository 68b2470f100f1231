#!/usr/bin/env bash
# Checks doorbell.pml with Spin, every state of it; then plants each fault and wants it found.
set -euo pipefail
model=$(readlink -f "${1:?usage: doorbell_spin_test.sh doorbell.pml}")

for tool in spin cc; do
  command -v "$tool" >/dev/null || {
    echo "SKIP: no $tool (Debian packages: spin, gcc)"
    exit 0
  }
done

work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/spinXXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

# search NAME "SPIN DEFINES" "CC DEFINES" "PAN OPTIONS": sets $errors and $states; shows what pan said if it did not finish.
search() {
  local name=$1
  # The options are lists of words.
  # shellcheck disable=SC2086
  {
    spin -a $2 "$model" && cc -O1 -w -DNOREDUCE $3 -o pan pan.c && ./pan -m100000 $4
  } </dev/null >"$name.log" 2>&1 || true
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$name.log")
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$name.log")
  if [ -z "$errors" ] || [ -z "$states" ] || [ "$states" = 0 ] || grep -q 'max search depth too small' "$name.log"; then
    cat "$name.log"
    errors=none
    states=0
  fi
}

sound() {
  search "$@"
  if [ "$errors" = 0 ]; then
    echo "ok: $1: $states states"
  else
    echo "FAILED: $1: errors: $errors"
    cat "$1.log"
    # The steps that lead there.
    spin -t -p -k ./*.trail "$model" 2>/dev/null | tail -60 || true
    failed=1
  fi
}

found() {
  search "$@"
  if [[ $errors =~ ^[1-9] ]]; then
    echo "ok: $1: found, $(grep -m1 '^pan:1' "$1.log")"
  else
    echo "FAILED: $1: the fault was not found, errors: $errors, $states states"
    failed=1
  fi
}

# Invalid end states and assertions ...
safety='-DSAFETY -DNOCLAIM'
sound full-fences '' "$safety" ''
sound membarrier -DMEMBARRIER "$safety" ''
sound membarrier-capacity-2 '-DMEMBARRIER -DCAPACITY=2' "$safety" ''
# ... and, with fair scheduling, that both leave in the end.
sound full-fences-both-leave '-DMESSAGES=2' '' '-a -f'
sound membarrier-both-leave '-DMEMBARRIER -DMESSAGES=2' '' '-a -f'

for fault in NO_SLEEPER_FENCE NO_RINGER_FENCE NO_LAST_LOOK EAT_AFTER_LOOK RING_FIRST NO_HANGUP NO_FINAL_LOOK; do
  found "full-fences-$fault" "-DFAULT_$fault" "$safety" ''
  found "membarrier-$fault" "-DMEMBARRIER -DFAULT_$fault" "$safety" ''
done
exit $failed
