#!/bin/bash
# The mesh program as a user runs it: two hosts in either order, a host list, hosts of their own, mpirun.
set -eu
mesh=$(readlink -f "$1")
work=$(mktemp -d)
ns=rcmesh-$$
clean_up() {
  for i in 0 1 2 bridge; do ip netns del "$ns-$i" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
cd "$work"
export LC_ALL=C

fail() {
  echo "program_test: $*" >&2
  head -50 out* >&2
  exit 1
}
# expect FILE REGEX: a line matches.
expect() { grep -Eq "$2" "$1" || fail "no line of $1 matches $2"; }
skip() { echo "SKIP: $*"; }

# wait_line FILE REGEX: until a line matches, at most 20 s.
wait_line() {
  for _ in $(seq 2000); do
    if grep -Eqs "$2" "$1"; then return; fi
    sleep 0.01
  done
  fail "no line of $1 matches $2 in time"
}

# expect_strings FILE COUNT SLOTS: so many strings have arrived, in one slot after the other.
expect_strings() {
  local file=$1 count=$2 slots=$3 k=0 line
  grep '^Received data' "$file" >lines || fail "$file has received nothing"
  [ "$(wc -l <lines)" = "$count" ] || fail "$file has received $(wc -l <lines), not $count"
  while read -r line; do
    [[ $line =~ ^Received\ data\ at\ in_mr\[$k\]\ address\ 0x[0-9a-f]+:\ [a-z]{9}$ ]] || fail "$file: slot $k: $line"
    k=$(((k + 1) % slots))
  done <lines
}

port=$((20000 + $$ % 10000))

two_hosts() { # FIRST SECOND
  timeout 60 "$mesh" "$1" 2 --port $port --count 10 --interval 20 --slots 4 >"out$1" 2>&1 &
  local first=$!
  wait_line "out$1" "^Host $1: listening at tcp://127.0.0.1:$((port + $1))$"
  timeout 60 "$mesh" "$2" 2 --port $port --count 10 --interval 20 --slots 4 >"out$2" 2>&1 || fail "host $2 failed"
  wait $first || fail "host $1 failed"
  expect out1 '^Host 1: listening at '
  expect out1 '^Host 1: connect request from host 0$'
  expect out1 '^Host 1: accepted host 0$'
  expect out1 '^Host 1: established with host 0$'
  expect out0 '^After retried [0-9]+ connect, Host 0: Connected to host 1$'
  expect out0 '^Connection setup with host 1$'
  expect_strings out0 10 4
  expect_strings out1 10 4
  port=$((port + 2))
}

two_hosts 1 0
two_hosts 0 1

# A host list with two backends; ids are found.
printf '# two of one machine\n0 127.0.0.1:%d\n1 shm:program-test-%d\n' "$port" $$ >list
for i in 0 1; do timeout 60 "$mesh" --hosts list --count 3 --interval 20 >"out$i" 2>&1 & done
wait
[ "$(cat out0 out1 | grep -c '^Host [01]: sent 3, received 3, lost 0$')" = 2 ] || fail "the members of a list do not meet"
echo "0 127.0.0.1" >bad
if timeout 60 "$mesh" 0 1 --hosts bad >out 2>&1; then fail "a bad list was accepted"; fi
expect out 'bad, line 1: "127.0.0.1" is no HOST:PORT'

# A member that does not know the token is told so, and those who know it meet.
timeout 60 "$mesh" 1 2 --port "$port" --token secret --count 3 --interval 20 >out1 2>&1 &
first=$!
wait_line out1 '^Host 1: listening at '
if timeout 60 "$mesh" 0 2 --port "$port" --token guess >out0 2>&1; then fail "a wrong token was accepted"; fi
expect out0 'RC_E_NO_PERMISSION.*the token is missing or not the'
timeout 60 "$mesh" 0 2 --port "$port" --token secret --count 3 --interval 20 >out0 2>&1 || fail "host 0 with a token failed"
wait $first || fail "host 1 with a token failed"
expect out0 '^Host 0: sent 3, received 3, lost 0$'
port=$((port + 2))

# Hosts are network namespaces: each finds its id by its address.
make_hosts() {
  local i
  ip netns add "$ns-bridge" || return 1
  ip -n "$ns-bridge" link add name bridge0 type bridge || return 1
  ip -n "$ns-bridge" link set bridge0 up || return 1
  for i in 0 1 2; do
    ip netns add "$ns-$i" || return 1
    ip -n "$ns-$i" link add eth0 type veth peer name "port$i" netns "$ns-bridge" || return 1
    ip -n "$ns-bridge" link set "port$i" master bridge0 up || return 1
    ip -n "$ns-$i" addr add "10.77.0.$((i + 1))/24" dev eth0 || return 1
    ip -n "$ns-$i" link set eth0 up || return 1
    ip -n "$ns-$i" link set lo up || return 1
  done
}
hosts=yes
if ! make_hosts 2>why; then
  hosts=
  skip "own ids in network namespaces: $(tail -n1 why)"
else
  for i in 2 0 1; do echo "$i 10.77.0.$((i + 1)):7000"; done >list
  for i in 0 1 2; do
    ip netns exec "$ns-$i" timeout 60 "$mesh" --hosts list --count 3 --interval 20 >"out$i" 2>&1 &
  done
  wait
  for i in 0 1 2; do expect "out$i" "^Host $i: sent 6, received 6, lost 0$"; done
  echo "three hosts found their ids by their addresses"
fi

# A launcher that people have already.
if ! command -v mpirun >/dev/null; then
  skip "mpirun: not installed (Debian's openmpi-bin)"
  exit 0
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
for n in 4 8; do
  if ! timeout 120 mpirun --oversubscribe -n $n "$mesh" --count 3 --interval 20 >out 2>&1; then
    grep -q 'without libpmix-dev' out || fail "mpirun -n $n failed"
    skip "mpirun: the program was built without libpmix-dev"
    exit 0
  fi
  sent=$((3 * (n - 1)))
  [ "$(grep -Ec "^Host [0-9]+: sent $sent, received $sent, lost 0$" out)" = $n ] ||
    fail "mpirun -n $n: not everyone exchanged with everyone"
  [ "$(grep -c 'Connected to host' out)" = $((n * (n - 1) / 2)) ] || fail "mpirun -n $n: not a full mesh"
  echo "mpirun -n $n: a full mesh"
done

# The same launcher, and hosts that have an address each: its daemons are started on them by a script instead of ssh.
if [ -z "$hosts" ] || ! unshare --uts true 2>why; then
  skip "mpirun across addresses: no network namespaces, or no host names of their own"
  exit 0
fi
cat >agent <<END
#!/bin/bash
# agent ADDRESS COMMAND...: runs it on that host, under a name and with temporary files of the host's own
i=\$((\${1##*.} - 1)) && shift && mkdir -p "$work/tmp\$i" && export TMPDIR="$work/tmp\$i"
exec ip netns exec "$ns-\$i" unshare --uts sh -c "hostname host\$i && \$*"
END
chmod +x agent
./agent 10.77.0.1 timeout 120 mpirun --mca plm_rsh_agent "$work/agent" --host 10.77.0.1:2,10.77.0.2:2,10.77.0.3:2 \
  -n 6 "$mesh" --count 3 --interval 20 >out 2>&1 || fail "mpirun across addresses failed"
[ "$(grep -Ec '^Host [0-5]: sent 15, received 15, lost 0$' out)" = 6 ] ||
  fail "mpirun across addresses: not everyone exchanged with everyone"
for i in 0 1 2; do
  [ "$(grep -Ec "^Host [0-5]: listening at tcp://10\.77\.0\.$((i + 1)):" out)" = 2 ] ||
    fail "mpirun across addresses: host $i does not have two members"
done
echo "mpirun -n 6 on three hosts: a full mesh"
