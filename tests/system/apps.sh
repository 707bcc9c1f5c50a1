# Shared by the scripts that test the programs: source it.
#
# A fresh runtime directory, removed at the end together with what was started.

set -u
builddir=${top_builddir:-.}
srcdir=${top_srcdir:-.}
tmp=$(mktemp -d) || exit 1
CLOWDER_RUNTIME_DIR=$tmp/run
export CLOWDER_RUNTIME_DIR
unset LIBOS CONFIG_PATH
started=

cleanup() {
	for pid in $started; do
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP PIPE

fail() {
	echo "FAIL: $*"
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

# has_backend NAME: whether it was built
has_backend() {
	grep -q "^#define WITH_$(echo "$1" | tr '[:lower:]' '[:upper:]') 1" "$builddir/config.h"
}

backends() {
	for backend in catnap catmem; do
		! has_backend "$backend" || echo "$backend"
	done
}

# wait_for WHAT COMMAND...: tries again for ten seconds
wait_for() {
	what=$1
	shift
	for _ in $(seq 200); do
		"$@" && return
		sleep 0.05
	done
	fail "waited in vain: $what"
}

# wait_gone PID: it was ours to start; its exit status is the result
wait_gone() {
	for _ in $(seq 200); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -0 "$1" 2>/dev/null && fail "process $1 does not end"
	wait "$1"
}

server_listens() {
	grep -qs '^listening on ' "$tmp/server.out" "$tmp/server.err" && return
	kill -0 "$server" 2>/dev/null || fail "the server has ended: $(cat "$tmp/server.err")"
	return 1
}

# start_server PROGRAM [ARG...]: sets $server (its pid) and $port
start_server() {
	: >"$tmp/server.out"
	: >"$tmp/server.err"
	"$builddir/$1" server --port 0 $(shift; echo "$@") >"$tmp/server.out" 2>"$tmp/server.err" &
	server=$!
	started="$started $server"
	wait_for "the server listens" server_listens
	port=$(sed -n 's/^listening on [0-9.]*:\([0-9]*\).*/\1/p' "$tmp/server.out" \
		"$tmp/server.err")
	[ -n "$port" ] || fail "no port in the server's line"
}

# expect STATUS PATTERN COMMAND...: its exit status, and one line on stderr that
# matches PATTERN. (catmem says in another where it has looked for a listener.)
expect() {
	status=$1 pattern=$2
	shift 2
	timeout 60 "$@" >"$tmp/expect.out" 2>"$tmp/expect.err"
	got=$?
	[ "$got" -eq "$status" ] || fail "$*: exit $got, not $status: $(cat "$tmp/expect.err")"
	[ "$(grep -vc '^clowder: catmem: nobody listens' "$tmp/expect.err")" -eq 1 ] ||
		fail "$*: not one line on stderr: $(cat "$tmp/expect.err")"
	grep -q -e "$pattern" "$tmp/expect.err" ||
		fail "$*: no '$pattern' in: $(cat "$tmp/expect.err")"
}

# works COMMAND...: exit 0, nothing on stderr
works() {
	timeout 60 "$@" >"$tmp/works.out" 2>"$tmp/works.err" ||
		fail "$*: exit $?: $(cat "$tmp/works.err")"
	[ ! -s "$tmp/works.err" ] || fail "$*: on stderr: $(cat "$tmp/works.err")"
}
