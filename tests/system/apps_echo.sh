#!/bin/sh
# The two programs to learn from, over every backend: several clients one after
# another, a text of 100 KB, a client with no server, more clients than descriptors.
. "${top_srcdir:-.}/tests/system/apps.sh"

# A port that nobody has: the kernel's choice for somebody else, just given back.
free_port() {
	start_server clowder-rpc --libos "$1"
	kill "$server"
	wait_gone "$server" || fail "clowder-rpc server"
}

round_trip() {
	text=$1
	works "$builddir/clowder-echo-client" "$text" 127.0.0.1 "$port"
	[ "$(cat "$tmp/works.out")" = "$text" ] || fail "$LIBOS: not what was sent"
}

# More clients than there are descriptors: those left over wait for one to go.
out_of_descriptors() {
	(ulimit -n 24 && exec "$builddir/clowder-echo-server" 127.0.0.1 "$port") \
		>"$tmp/echo.out" 2>&1 &
	server=$!
	started="$started $server"
	wait_for "the server listens" grep -qs '^listening on ' "$tmp/echo.out"
	"$builddir/clowder-rpc" client --port "$port" --connections 40 --duration 60 \
		>"$tmp/crowd.out" 2>&1 &
	crowd=$!
	started="$started $crowd"
	sleep 1
	kill -0 "$server" || fail "$LIBOS: no descriptor: $(cat "$tmp/echo.out")"
	kill -KILL "$crowd"
	wait "$crowd" 2>/dev/null
	round_trip 'Room again.'
	kill -0 "$server" || fail "$LIBOS: no descriptor: $(cat "$tmp/echo.out")"
	kill "$server"
	wait "$server" 2>/dev/null
}

for port in 0 65536 73376 -57696 -1 7840x 7O ''; do
	expect 2 'usage:' "$builddir/clowder-echo-client" hello 127.0.0.1 "$port"
	expect 2 'usage:' timeout 5 "$builddir/clowder-echo-server" 127.0.0.1 "$port"
done
for backend in $(backends); do
	free_port "$backend"
	LIBOS=$backend
	export LIBOS
	expect 1 'refused' "$builddir/clowder-echo-client" hello 127.0.0.1 "$port"
	"$builddir/clowder-echo-server" 127.0.0.1 "$port" >"$tmp/echo.out" 2>&1 &
	server=$!
	started="$started $server"
	wait_for "the server listens" grep -qs '^listening on ' "$tmp/echo.out"
	round_trip 'Hello, herd.'
	round_trip x
	round_trip "$(yes 'a text of some length' | head -c 100000)"
	expect 2 'usage:' "$builddir/clowder-echo-client" '' 127.0.0.1 "$port"
	kill -0 "$server" || fail "the server has died: $(cat "$tmp/echo.out")"
	kill "$server"
	wait "$server" 2>/dev/null
	out_of_descriptors
	unset LIBOS
done
exit 0
