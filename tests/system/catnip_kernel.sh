#!/bin/sh
# catnip and the Linux kernel, each in either role: echo, requests, bulk transfers,
# crowds, http; a kernel that is killed, that refuses, whose link is cut for a while.
# Over AF_XDP on a veth pair, and over a tap. Every byte is compared
# with its place in a pattern, and the SHA-256 of what was sent with that of what came.
. "${top_srcdir:-.}/tests/system/apps.sh"
. "${top_srcdir:-.}/tests/system/netns.sh"
. "${top_srcdir:-.}/tests/system/apps_nginx.sh"

has_backend catnip || skip "catnip was not built"
kpeer=$builddir/tests/system/kpeer
dpeer=$builddir/tests/system/dpeer
rpc=$builddir/clowder-rpc
http=$builddir/clowder-http
get=$builddir/clowder-get
ours=$tmp/ours

gib=1073741824 much=60000000
if grep -q '^#define CLOWDER_SANITIZED' "$builddir/config.h"; then
	gib=100000000 much=20000000
	# DPDK's driver never frees it
	echo 'leak:xsk_umem__create' >"$tmp/lsan"
	LSAN_OPTIONS=suppressions=$tmp/lsan:print_suppressions=0
	export LSAN_OPTIONS
fi

# use_xdp, use_tap: $ours COMMAND runs it over that link, and $iface is the kernel's end;
# $ways and $some: what it can move in a few seconds
use_xdp() {
	veth_start
	iface=k0 ways="put get" some=$much
	cat >"$ours" <<-END
		#!/bin/sh
		CLOWDER_CATNIP_LINK=af_xdp:d0
		export CLOWDER_CATNIP_LINK
		exec $in_d "\$@"
	END
}

# It makes its tap, which is then given the kernel's address; until then nobody answers.
use_tap() {
	iface=t0 ways=both some=20000000
	cat >"$ours" <<-END
		#!/bin/sh
		CLOWDER_CATNIP_LINK=tap:t0
		CLOWDER_CATNIP_STACK='arp_retry_ms=50 arp_retries=100'
		export CLOWDER_CATNIP_LINK CLOWDER_CATNIP_STACK
		( . $srcdir/tests/system/netns.sh
		  netns_k=$netns_k in_k="$in_k"
		  tap_configure ) >/dev/null 2>&1 &
		exec $in_k "\$@"
	END
}

# start NAME COMMAND...: in the background, its output in $tmp/NAME; sets $pid
start() {
	out=$tmp/$1
	shift
	: >"$out"
	"$@" >"$out" 2>&1 &
	pid=$!
	started="$started $pid"
}

says() {
	grep -q "$1" "$tmp/$2" && return
	kill -0 "$pid" 2>/dev/null || fail "$2 has ended: $(cat "$tmp/$2")"
	return 1
}

# kernel NAME COMMAND..., mine NAME COMMAND...: a server; sets $pid. The kernel's listen
# on all addresses, for a tap has none before our program is there.
kernel() {
	start "$1" $in_k "$kpeer" $(shift; echo "$@")
	wait_for "$1 listens" says '^listening' "$1"
}

mine() {
	mine=$1
	shift
	start "$mine" "$ours" "$@"
	wait_for "$mine listens" says '^listening' "$mine"
	[ "$iface" = k0 ] || wait_for "the tap's address" tap_is_up
}

tap_is_up() {
	$in_k ip -4 -o addr show dev t0 up 2>/dev/null | grep -q "$k_addr"
}

stop() {
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# good COMMAND...: succeeds; its last line is the report
good() {
	timeout 60 "$@" >"$tmp/good" 2>&1 || fail "$link: $*: exit $?: $(cat "$tmp/good")"
	echo "$link: $part: $(tail -n 1 "$tmp/good")"
}

# bad PATTERN COMMAND...: fails, and says PATTERN
bad() {
	pattern=$1
	shift
	timeout 60 "$@" >"$tmp/bad" 2>&1 && fail "$link: $*: no failure"
	grep -q "$pattern" "$tmp/bad" || fail "$link: $*: no '$pattern' in: $(cat "$tmp/bad")"
}

# ---- the programs of ours, and plain ones

echoes() {
	kernel echo echo tcp 0.0.0.0 7
	good "$ours" "$builddir/clowder-echo-client" hello "$k_addr" 7
	[ "$(cat "$tmp/good")" = hello ] || fail "$link: echo: $(cat "$tmp/good")"
	CLOWDER_PCAP=$tmp/pcap good "$ours" "$rpc" client --addr "$k_addr" --port 7 --count 2000 \
		--size 64 --json
	[ "$(wc -c <"$tmp/pcap")" -gt 300000 ] || fail "$link: the capture is short"
	good "$ours" "$rpc" client --addr "$k_addr" --port 7 --count 300 --connections 30 \
		--size 20000 --inflight 3 --json
	stop "$pid"
	kernel uecho echo udp 0.0.0.0 7
	good "$ours" "$rpc" client --addr "$k_addr" --port 7 --proto udp --count 2000 --json
	# longer than a packet: in fragments
	good "$ours" "$rpc" client --addr "$k_addr" --port 7 --proto udp --count 200 --size 9000 \
		--json
	stop "$pid"
	mine dserve "$builddir/clowder-echo-server" "$d_addr" 7
	good $in_k "$kpeer" ping tcp "$d_addr" 7 2000 100
	good $in_k "$kpeer" ping tcp "$d_addr" 7 5 300000
	stop "$pid"
	mine dserve "$rpc" server --addr "$d_addr" --port 7
	good $in_k "$kpeer" ping tcp "$d_addr" 7 2000 64
	stop "$pid"
	mine dserve "$rpc" server --addr "$d_addr" --port 7 --proto udp
	good $in_k "$kpeer" ping udp "$d_addr" 7 2000 1400
	good $in_k "$kpeer" ping udp "$d_addr" 7 200 9000
	bad ECONNREFUSED $in_k "$kpeer" ping udp "$d_addr" 8 1 100
	bad ECONNREFUSED $in_k "$kpeer" ping tcp "$d_addr" 8 1 100
	stop "$pid"
}

refused() {
	# something of the kernel's has to answer: the tap is up when the address is
	bad ECONNREFUSED "$ours" "$dpeer" transfer "$k_addr" 8 put 3 1000
	bad 'Connection refused' "$ours" "$rpc" client --addr "$k_addr" --port 8
	# a datagram's sender is told nothing, as on every backend
	bad 'no answer to' "$ours" "$rpc" client --addr "$k_addr" --port 8 --proto udp --count 1
}

# ---- bulk, crowds

# A GiB each way: one after the other, or at once.
bulk() {
	kernel kserve serve 0.0.0.0 7
	kserve=$pid
	for op in $ways; do
		good "$ours" "$dpeer" transfer "$k_addr" 7 $op 1 $gib
	done
	good "$ours" "$dpeer" transfer "$k_addr" 7 both 20 2000011
	stop "$kserve"
	mine dserve "$dpeer" serve "$d_addr" 7
	good $in_k "$kpeer" transfer "$d_addr" 7 both 1 $gib
	for cc in bbr reno; do
		good $in_k env CC=$cc "$kpeer" transfer "$d_addr" 7 both 1 $((some + 17))
	done
	grep lost "$tmp/dserve" && fail "$link: connections are lost"
	stop "$pid"
}

at_once() {
	grep -q '^all 1000 at once' "$tmp/good" || fail "$link: one after the other"
}

# A thousand connections, all of which are in the middle of it at one moment.
crowds() {
	kernel kserve serve 0.0.0.0 7
	kserve=$pid
	good "$ours" "$dpeer" transfer "$k_addr" 7 both 1000 50021
	at_once
	stop "$kserve"
	mine dserve "$dpeer" serve "$d_addr" 7
	good $in_k "$kpeer" transfer "$d_addr" 7 both 1000 50021
	at_once
	grep lost "$tmp/dserve" && fail "$link: connections are lost"
	stop "$pid"
}

# ---- a kernel that goes

killed() {
	kernel kserve serve 0.0.0.0 7
	kserve=$pid
	start victim "$ours" "$dpeer" transfer "$k_addr" 7 both 5 $((2 * some))
	wait_for "bytes" says 'under way' victim
	stop "$kserve"
	wait_gone "$pid" && fail "$link: a transfer without a server is no success"
	grep -q 'lost: ECONNRESET' "$tmp/victim" || fail "$link: killed: $(cat "$tmp/victim")"
	mine dserve "$dpeer" serve "$d_addr" 7
	dserve=$pid
	start victim $in_k "$kpeer" transfer "$d_addr" 7 both 5 $((2 * some))
	wait_for "bytes" says 'under way' victim
	stop "$pid"
	wait_for "resets" grep -q 'lost: ECONNRESET' "$tmp/dserve"
	# and the server is none the worse for it
	good $in_k "$kpeer" transfer "$d_addr" 7 both 10 100003
	stop "$dserve"
}

# A cut that is long enough for several timeouts; then all of it arrives.
cut_down() {
	$in_k ip link set "$iface" down
	sleep 1
	$in_k ip link set "$iface" up
}

cut_dropped() {
	$in_k nft -f - <<-END
		table inet cut {
			chain in { type filter hook input priority 0; policy drop; }
			chain out { type filter hook output priority 0; policy drop; }
		}
	END
	sleep 1
	$in_k nft delete table inet cut
}

# survives HOW LENGTH: in both roles
survives() {
	kernel kserve serve 0.0.0.0 7
	kserve=$pid
	start victim "$ours" "$dpeer" transfer "$k_addr" 7 both 5 "$2"
	wait_for "bytes" says 'under way' victim
	"$1"
	kill -0 "$pid" 2>/dev/null || fail "$link: $1: it was over before"
	wait_gone "$pid" || fail "$link: $1: $(cat "$tmp/victim")"
	echo "$link: $1: $(tail -n 1 "$tmp/victim")"
	stop "$kserve"
}

cuts() {
	survives cut_down $some
	command -v nft >/dev/null || { echo "no nft (Debian: nftables)"; return; }
	survives cut_dropped $some
}

# ---- http

make_root() {
	mkdir -p "$tmp/root"
	head -c 3000017 /dev/urandom >"$tmp/root/big.bin"
	echo hello >"$tmp/root/a.txt"
	chmod 755 "$tmp" "$tmp/root"
	sum=$(sha256sum <"$tmp/root/big.bin" | cut -d' ' -f1)
}

http_serves() {
	mine dhttp "$http" --root "$tmp/root" --address "$d_addr" --port 80
	url=http://$d_addr
	[ "$($in_k curl -s --max-time 20 $url/a.txt)" = hello ] || fail "$link: curl a.txt"
	$in_k curl -s --max-time 20 -o "$tmp/1" -o "$tmp/2" $url/big.bin $url/big.bin
	cmp "$tmp/1" "$tmp/root/big.bin" && cmp "$tmp/2" "$tmp/root/big.bin" ||
		fail "$link: curl big.bin"
	$in_k curl -s --max-time 20 -r 1000000-2000000 -o "$tmp/1" $url/big.bin
	tail -c +1000001 "$tmp/root/big.bin" | head -c 1000001 | cmp - "$tmp/1" ||
		fail "$link: a range"
	code=$($in_k curl -s --max-time 20 -o /dev/null -w '%{http_code}' $url/none)
	[ "$code" = 404 ] || fail "$link: $code, not 404"
	for load in "50 a.txt" "10 big.bin"; do
		$in_k timeout 30 wrk -t 1 -c "${load% *}" -d 1 "$url/${load#* }" >"$tmp/wrk" ||
			fail "$link: wrk: $(cat "$tmp/wrk")"
		grep -q 'Non-2xx\|Socket errors' "$tmp/wrk" && fail "$link: $(cat "$tmp/wrk")"
		echo "$link: http: $(grep '^Requests/sec' "$tmp/wrk") of ${load#* }"
	done
	kill -TERM "$pid"
	wait_gone "$pid" || fail "$link: http ends with an error: $(cat "$tmp/dhttp")"
}

http_gets() {
	start_nginx "$tmp/root" 0.0.0.0 80 $in_k || fail "nginx: $(cat "$tmp/nginx/errors")"
	url=http://$k_addr
	good "$ours" "$get" --output "$tmp/1" $url/big.bin
	cmp "$tmp/1" "$tmp/root/big.bin" || fail "$link: clowder-get"
	good "$ours" "$get" --json --count 400 --connections 50 --pipeline 3 $url/a.txt
	good "$ours" "$get" --json --count 50 --connections 20 $url/big.bin
	"$builddir/tests/system/apps_json" requests=50 sha256="$sum" <"$tmp/good" ||
		fail "$link: $(cat "$tmp/good")"
	good "$ours" "$get" --json --count 100 --connections 10 --close $url/a.txt
	stop "$nginx"
	bad refused "$ours" "$get" $url/a.txt
}

# part NAME COMMAND...: with the time it took
part() {
	part=$1
	[ -z "$only" ] || [ "$only" = "$part" ] || return 0
	began=$(date +%s%N)
	shift
	"$@"
	echo "$link: $part took $((($(date +%s%N) - began) / 1000000)) ms"
}

netns_start
make_root
LIBOS=catnip
CLOWDER_DEMIKERNEL_LOCAL_IPV4_ADDR=$d_addr
export LIBOS CLOWDER_DEMIKERNEL_LOCAL_IPV4_ADDR
echo "the kernel's congestion control: $(netns_cc)"
# [LINK [PART]]: only these
only=${2:-}
for link in ${1:-xdp tap}; do
	"use_$link"
	chmod +x "$ours"
	part echo echoes
	part refused refused
	part crowd crowds
	part killed killed
	part cut cuts
	part get http_gets
	part http http_serves
	part bulk bulk
	[ "$link" = tap ] || veth_stop
done
exit 0
