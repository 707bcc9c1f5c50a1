#!/bin/sh
# clowder-rpc over every backend: tcp and udp, sizes from 1 byte to 1 MiB, many
# connections and requests in flight, clients and servers that die, JSON.
. "${top_srcdir:-.}/tests/system/apps.sh"

rpc=$builddir/clowder-rpc
keys='proto size connections inflight seconds requests errors rps p50_us p90_us p99_us
	p999_us max_us'

# client REQUESTS [OPTION...]: that many answers, in valid JSON with its keys
client() {
	requests=$1
	shift
	works "$rpc" client --json --libos "$backend" --port "$port" --count "$requests" "$@"
	"$builddir/tests/system/apps_json" $keys requests="$requests" errors=0 \
		<"$tmp/works.out" || fail "$backend: client $*: $(cat "$tmp/works.out")"
}

# counter NAME: of the server
counter() {
	"$builddir/clowder-stat" "$server" | awk -v name="$1" '$1 == name { print $2 }'
}

has_popped() {
	[ "$(counter libos.pops)" -gt 0 ]
}

has_accepted() {
	[ "$(counter libos.accepts)" -ge "$1" ]
}

stop_server() {
	kill "$server"
	wait_gone "$server" || fail "$backend: the server ended with an error: $(cat "$tmp/server.err")"
}

tcp() {
	start_server clowder-rpc --libos "$backend"
	client 1
	client 2000
	client 2000 --size 1
	client 500 --size 4099 --inflight 7
	client 30 --size 1M --inflight 3
	client 3000 --connections 20 --inflight 5 --size 300
	client 600 --connections 200
	client 3 --connections 5
	client 1000 --warmup 0.1 --inflight 3
	client 5 --warmup 0.1 --inflight 64
	stop_server
	grep -q '^served [1-9][0-9]* requests' "$tmp/server.out" || fail "$backend: no summary"
}

# On one machine nothing is lost as long as the receiver's buffer holds what is
# under way at once.
udp() {
	start_server clowder-rpc --libos "$backend" --proto udp
	client 2000 --proto udp --timeout 20000
	client 1000 --proto udp --timeout 20000 --size 8 --connections 3 --inflight 4
	client 200 --proto udp --timeout 20000 --size 1400 --inflight 4
	client 5 --proto udp --timeout 20000 --warmup 0.1 --inflight 8
	stop_server
}

# A datagram without answer is counted, and the client goes on and ends.
udp_lost() {
	start_server clowder-rpc --libos "$backend" --proto udp
	kill -STOP "$server"
	expect 1 'no answer to 2 requests' "$rpc" client --libos "$backend" --port "$port" \
		--proto udp --count 2 --timeout 50
	kill -CONT "$server"
	stop_server
}

text_output() {
	start_server clowder-rpc --libos "$backend"
	works "$rpc" client --libos "$backend" --port "$port" --duration 0.2
	grep -q '^requests/s  [1-9]' "$tmp/works.out" || fail "$backend: $(cat "$tmp/works.out")"
	grep -q '^latency us  p50 .* p99.9 .* max [0-9]' "$tmp/works.out" ||
		fail "$backend: $(cat "$tmp/works.out")"
	stop_server
}

# The server survives the client's death, the client reports the server's.
deaths() {
	start_server clowder-rpc --libos "$backend"
	for n in 1 2 3; do
		"$rpc" client --libos "$backend" --port "$port" --duration 60 --connections 4 \
			>/dev/null 2>&1 &
		victim=$!
		started="$started $victim"
		wait_for "client $n" has_accepted $((n * 4))
		kill -0 "$victim" || fail "$backend: the client has ended"
		kill -KILL "$victim"
		wait "$victim" 2>/dev/null
	done
	client 100
	"$rpc" client --libos "$backend" --port "$port" --duration 60 >/dev/null \
		2>"$tmp/orphan.err" &
	orphan=$!
	started="$started $orphan"
	wait_for "the last client" has_accepted 14
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	wait_gone "$orphan" && fail "$backend: a client without server is no success"
	grep -q "^clowder-rpc: 127.0.0.1:$port: " "$tmp/orphan.err" ||
		fail "$backend: no clear line: $(cat "$tmp/orphan.err")"
	expect 1 'refused' "$rpc" client --libos "$backend" --port "$port"
}

ends_by_itself() {
	start_server clowder-rpc --libos "$backend" --requests 10 --json
	client 10
	wait_gone "$server" || fail "$backend: --requests: $(cat "$tmp/server.err")"
	"$builddir/tests/system/apps_json" requests=10 bytes=640 connections=1 \
		<"$tmp/server.out" || fail "$backend: server: $(cat "$tmp/server.out")"
	start_server clowder-rpc --libos "$backend" --once
	client 10 --connections 3
	wait_gone "$server" || fail "$backend: --once: $(cat "$tmp/server.err")"
}

port_taken() {
	start_server clowder-rpc --libos "$backend"
	expect 1 'in use' "$rpc" server --libos "$backend" --port "$port"
	stop_server
}

# expect_interrupted PATTERN READY COMMAND...: once READY, its SIGTERM makes it fail
expect_interrupted() {
	pattern=$1 ready=$2
	shift 2
	"$@" >"$tmp/int.out" 2>"$tmp/int.err" &
	victim=$!
	started="$started $victim"
	wait_for "a request" "$ready"
	kill -TERM "$victim"
	wait_gone "$victim" && fail "$*: no failure"
	[ ! -s "$tmp/int.out" ] || fail "$*: results: $(cat "$tmp/int.out")"
	grep -q -e "$pattern" "$tmp/int.err" || fail "$*: no '$pattern' in: $(cat "$tmp/int.err")"
}

interrupted() {
	start_server clowder-rpc --libos "$backend"
	"$rpc" client --libos "$backend" --port "$port" --duration 60 >"$tmp/int.out" 2>&1 &
	victim=$!
	started="$started $victim"
	wait_for "a request" has_popped
	kill -TERM "$victim"
	wait_gone "$victim" || fail "$backend: an interrupted client has results: $(cat "$tmp/int.out")"
	grep -q '^requests/s' "$tmp/int.out" || fail "$backend: $(cat "$tmp/int.out")"
	stop_server
	start_server clowder-rpc --libos "$backend"
	expect_interrupted 'interrupted$' has_popped \
		"$rpc" client --libos "$backend" --port "$port" --warmup 60
	stop_server
}

# start_slow ARG...: sets $port and $slow_out
start_slow() {
	slow_out=$(mktemp "$tmp/slow.XXXXXX")
	"$builddir/tests/system/apps_slow" "$@" >"$slow_out" &
	started="$started $!"
	wait_for "the slow server listens" grep -qs '^listening on ' "$slow_out"
	port=$(sed -n 's/^listening on .*://p' "$slow_out")
}

slow_asked() {
	grep -qs '^asked' "$slow_out"
}

# A server that takes its time is heard; one that is silent can be left.
slow() {
	backend=catnap
	start_slow 60000 12 1000
	"$rpc" client --libos catnap --port "$port" --size 60000 --count 1 >"$tmp/slow.log" 2>&1 &
	slow_client=$!
	started="$started $slow_client"
	start_slow 64 1 0
	"$rpc" client --libos catnap --port "$port" >"$tmp/left.out" 2>"$tmp/left.err" &
	left=$!
	started="$started $left"
	wait_for "a request" slow_asked
	sleep 1 # for its answer
	kill -TERM "$left"
	sleep 6
	kill -0 "$left" 2>/dev/null && fail "a client does not leave a silent server"
	wait "$left" && fail "a client without answers is no success"
	grep -q '^requests/s' "$tmp/left.out" || fail "no results: $(cat "$tmp/left.err")"
	grep -q ': interrupted, 1 requests have no answer$' "$tmp/left.err" ||
		fail "$(cat "$tmp/left.err")"
	start_slow 64 0 0
	expect_interrupted 'interrupted$' slow_asked "$rpc" client --libos catnap --port "$port"
	wait_gone "$slow_client" || fail "a slow server: $(cat "$tmp/slow.log")"
}

! has_backend catnap || slow
for backend in $(backends); do
	for part in tcp udp udp_lost text_output deaths ends_by_itself port_taken interrupted; do
		echo "$backend: $part"
		$part
	done
done
exit 0
