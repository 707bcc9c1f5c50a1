#!/bin/sh
# The kernel programs and the namespaces that other backends are tested with, held
# against catnap: what fails there is the harness' fault, not a stack's.
. "${top_srcdir:-.}/tests/system/apps.sh"
. "${top_srcdir:-.}/tests/system/netns.sh"

has_backend catnap || skip "catnap was not built"
kpeer=$builddir/tests/system/kpeer
dpeer=$builddir/tests/system/dpeer
LIBOS=catnap
export LIBOS

# start NAME COMMAND...: in the background, its output in $tmp/NAME; sets $pid
start() {
	out=$tmp/$1
	shift
	: >"$out"
	"$@" >"$out" 2>&1 &
	pid=$!
	started="$started $pid"
}

start_server() {
	start "$@"
	wait_for "$1 listens" grep -q '^listening' "$tmp/$1"
}

stop() {
	kill -KILL "$1"
	wait "$1" 2>/dev/null
}

# good COMMAND...: succeeds
good() {
	timeout 60 "$@" >"$tmp/good" 2>&1 || fail "$*: $(cat "$tmp/good")"
	tail -n 1 "$tmp/good"
}

# bad PATTERN COMMAND...: fails, and says PATTERN
bad() {
	pattern=$1
	shift
	timeout 60 "$@" >"$tmp/bad" 2>&1 && fail "$*: no failure"
	grep -q "$pattern" "$tmp/bad" || fail "$*: no '$pattern' in: $(cat "$tmp/bad")"
}

transfers() { # CLIENT-PREFIX ADDRESS
	for op in put get both; do
		good $1 transfer "$2" 7 "$op" 1 50000003
		good $1 transfer "$2" 7 "$op" 500 20001
	done
}

netns_start
veth_start
$in_d ip addr add "$d_addr/24" dev d0

start_server kserve $in_k "$kpeer" serve "$k_addr" 7
kserve=$pid
transfers "$in_d $kpeer" "$k_addr"
transfers "$in_d $dpeer" "$k_addr"
start_server dserve $in_d "$dpeer" serve "$d_addr" 7
transfers "$in_k $kpeer" "$d_addr"
stop "$pid"
bad ECONNREFUSED $in_k "$kpeer" transfer "$d_addr" 7 put 1 1000
bad ECONNREFUSED $in_d "$dpeer" transfer "$k_addr" 8 put 1 1000

for proto in tcp udp; do
	start_server "echo-$proto" $in_k "$kpeer" echo "$proto" "$k_addr" 9
	good $in_d "$kpeer" ping "$proto" "$k_addr" 9 1000 1000
	good $in_d "$builddir/clowder-rpc" client --addr "$k_addr" --port 9 --proto "$proto" \
		--count 1000 --size 1000
	stop "$pid"
done

# a server that goes is noticed, and so is one that is silent
start victim $in_d "$dpeer" transfer "$k_addr" 7 put 4 300000000
wait_for "bytes" grep -q 'under way' "$tmp/victim"
stop "$kserve"
wait_gone "$pid" && fail "a transfer without a server is no success"
grep -q 'lost: ECONNRESET' "$tmp/victim" || fail "$(cat "$tmp/victim")"
start_server kserve $in_k "$kpeer" serve "$k_addr" 7
start victim $in_d "$dpeer" transfer "$k_addr" 7 both 4 300000000 1
wait_for "bytes" grep -q 'under way' "$tmp/victim"
$in_k ip link set k0 down
wait_gone "$pid" && fail "a transfer without a link is no success"
grep -q 'stalled' "$tmp/victim" || fail "$(cat "$tmp/victim")"
$in_k ip link set k0 up

exit 0
