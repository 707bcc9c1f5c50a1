#!/bin/sh
# clowder-stat on a real server, on processes that are none, and on files with
# one thing wrong each; and on the connections of catnip.
. "${top_srcdir:-.}/tests/system/apps.sh"

stat=$builddir/clowder-stat
rpc=$builddir/clowder-rpc
backend=$(backends | head -n 1)

# value NAME: of clowder-stat's last output
value() {
	awk -v name="$1" '$1 == name { print $2 }' "$tmp/works.out"
}

real_server() {
	expect 1 'has no counters' "$stat" $$
	works "$stat"
	[ "$(wc -l <"$tmp/works.out")" -eq 1 ] || fail "a list of nothing: $(cat "$tmp/works.out")"
	start_server clowder-rpc --libos "$backend"
	works "$stat" "$server"
	grep -q "^clowder-rpc, process $server, instance 0, $backend, up " "$tmp/works.out" ||
		fail "no heading: $(cat "$tmp/works.out")"
	before=$(value libos.pops)
	works "$rpc" client --libos "$backend" --port "$port" --count 500
	works "$stat" "$server"
	after=$(value libos.pops)
	[ "$((after - before))" -ge 500 ] || fail "pops went from $before to $after"
	works "$stat" --list
	awk -v pid="$server" -v be="$backend" '$1 == pid && $4 == be && $5 == "clowder-rpc" { n++ }
		END { exit n != 1 }' "$tmp/works.out" || fail "list: $(cat "$tmp/works.out")"
	works "$stat" --json "$server"
	"$builddir/tests/system/apps_json" instances <"$tmp/works.out" ||
		fail "json: $(cat "$tmp/works.out")"
	grep -q "\"libos.pops\":$after[,}]" "$tmp/works.out" || fail "json: $(cat "$tmp/works.out")"
	works "$stat" --json
}

# It ends by itself when the process does, and shows rates until then.
watching() {
	"$stat" "$server" --watch 0.1 >"$tmp/watch.out" 2>"$tmp/watch.err" &
	watcher=$!
	started="$started $watcher"
	wait_for "rates" grep -qs '/s$' "$tmp/watch.out"
	kill "$server"
	wait_gone "$server" || fail "the server ended with an error"
	wait_gone "$watcher" || fail "--watch ended with an error: $(cat "$tmp/watch.err")"
	grep -q "process $server has ended" "$tmp/watch.err" || fail "$(cat "$tmp/watch.err")"
	expect 1 'no such process' "$stat" "$server"
}

# Killed, a process leaves its file behind, without the lock.
stale() {
	start_server clowder-rpc --libos "$backend"
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	[ -e "$CLOWDER_RUNTIME_DIR/stat/$server.0" ] || fail "the file of a killed process is gone"
	expect 1 'no such process' "$stat" "$server"
	works "$stat" --list
	! grep -q clowder-rpc "$tmp/works.out" || fail "a dead process is listed"
}

# made FAULT: sets $maker to the process that has made such a file
made() {
	: >"$tmp/made" # what the last one said is not meant
	"$builddir/tests/system/apps_stat_file" "$CLOWDER_RUNTIME_DIR/stat" "$1" >"$tmp/made" &
	maker=$!
	started="$started $maker"
	wait_for "the file" grep -q . "$tmp/made"
}

unmake() {
	kill -KILL "$maker"
	wait "$maker" 2>/dev/null
	rm -f "$CLOWDER_RUNTIME_DIR/stat/$maker.0"
}

faults() {
	made none
	works "$stat" "$maker"
	[ "$(value test.events)" = 123456789012345 ] || fail "value: $(cat "$tmp/works.out")"
	grep -q '^made?\[2Jup, ' "$tmp/works.out" || fail "escapes: $(cat "$tmp/works.out")"
	unmake
	made starting
	expect 1 'has no counters' "$stat" "$maker"
	unmake
	for fault in magic version pid size offset odd count name kind value edge text short cut; do
		made "$fault"
		expect 1 "^clowder-stat: .*/$maker.0: " "$stat" "$maker"
		expect 1 "^clowder-stat: .*/$maker.0: " "$stat" --list
		unmake
	done
}

not_files() {
	sleep 60 &
	other=$!
	started="$started $other"
	file=$CLOWDER_RUNTIME_DIR/stat/$other.0
	mkfifo "$file"
	expect 1 'not a regular file' "$stat" "$other"
	rm "$file"
	ln -s /etc/passwd "$file"
	expect 1 'symbolic link' "$stat" "$other"
	rm "$file"
	: >"$file"
	expect 1 'has no counters' "$stat" "$other"
	rm "$file"
	: >"$CLOWDER_RUNTIME_DIR/stat/$other.0x"
	: >"$CLOWDER_RUNTIME_DIR/stat/0$other.0"
	expect 1 'has no counters' "$stat" "$other"
	kill "$other"
}

# ---- the connections of catnip

# rows STATE COLUMN: of clowder-stat's last table
rows() {
	awk -v state="$1" -v column="$2" '$3 == state { print $column }' "$tmp/works.out"
}

# all_rows CONDITION: N rows that are ESTABLISHED, all of which meet awk's CONDITION
all_rows() {
	[ "$(awk '$3 == "ESTABLISHED" && ('"$2"')' "$tmp/works.out" | wc -l)" -eq "$1" ] &&
		[ "$(rows ESTABLISHED 1 | wc -l)" -eq "$1" ]
}

# shows PID N CONDITION: its table, now
shows() {
	works "$stat" --connections "$1"
	all_rows "$2" "$3"
}

# start_crowd N: a client of $server with N connections; sets $crowd
start_crowd() {
	"$rpc" client --libos catnip --port "$port" --connections "$1" --inflight 4 --size 20000 \
		--duration 60 >"$tmp/crowd.out" 2>&1 &
	crowd=$!
	started="$started $crowd"
	wait_for "the table of $1" shows "$server" "$1" '$4 > 0'
}

# asked PID: how often somebody did
asked() {
	od -An -tu4 -j28 -N4 "$CLOWDER_RUNTIME_DIR/conns/$1.0" | tr -d ' '
}

has_asked() {
	[ "$(asked "$1")" -ne "$asked" ]
}

# asking PID [ARG...]: a clowder-stat that waits for that process' answer, and is
# stopped while it does; sets $asker
asking() {
	asked=$(asked "$1")
	waits_for=$1
	shift
	"$stat" --connections "$@" >"$tmp/works.out" 2>"$tmp/works.err" &
	asker=$!
	started="$started $asker"
	wait_for "the question" has_asked "$waits_for"
	kill -STOP "$asker"
}

# What both say of the same connections, live.
table() {
	start_server clowder-rpc --libos catnip
	start_crowd 3
	[ "$(rows LISTEN 2)" = '*' ] || fail "the listener: $(cat "$tmp/works.out")"
	[ "$(rows LISTEN 1)" = "127.0.0.1:$port" ] || fail "the listener: $(cat "$tmp/works.out")"
	awk '$3 == "ESTABLISHED" { print $1, $2 }' "$tmp/works.out" | sort >"$tmp/ends"
	grep -q '(of an earlier' "$tmp/works.out" && fail "no answer: $(cat "$tmp/works.out")"
	wait_for "the client's table" shows "$crowd" 3 '$4 > 0 && $5 >= 10 && $8 == 0 &&
		$11 == "reno"'
	awk '$3 == "ESTABLISHED" { print $2, $1 }' "$tmp/works.out" | sort | cmp - "$tmp/ends" ||
		fail "not the same connections: $(cat "$tmp/works.out" "$tmp/ends")"
	works "$stat" --connections --json "$crowd"
	"$builddir/tests/system/apps_json" instances/0/connections_total=3 \
		instances/0/connections_answered=true instances/0/connections/2/state=ESTABLISHED \
		instances/0/connections/2/remote="127.0.0.1:$port" <"$tmp/works.out" ||
		fail "json: $(cat "$tmp/works.out")"
}

# A server that stands still: what is sent to it is sent again, the window is one
# segment. Once the client is still as well, both outputs are of the same moment.
retransmissions() {
	kill -STOP "$server"
	wait_for "retransmissions" shows "$crowd" 3 '$5 == 1 && $6 < 10000 && $7 > 0 && $8 > 0 &&
		$9 > 0'
	kill -STOP "$crowd"
	works "$stat" --connections "$crowd"
	grep -q '(of an earlier time: the program makes no calls now)' "$tmp/works.out" ||
		fail "an answer of a stopped process: $(cat "$tmp/works.out")"
	set -- $(awk '$3 == "ESTABLISHED" {
		i = n++
		at = "instances/0/connections/" i "/"
		print at "local=" $1, at "remote=" $2, at "state=" $3, at "srtt_us=" $4
		print at "cwnd=" $5, at "ssthresh=" $6, at "unacked=" $7, at "retrans=" $8
		print at "unacked_bytes=" $9, at "readable_bytes=" $10, at "congestion=" $11
	}' "$tmp/works.out")
	works "$stat" --connections --json "$crowd"
	"$builddir/tests/system/apps_json" "$@" instances/0/connections_answered=false \
		<"$tmp/works.out" || fail "json: $(cat "$tmp/works.out")"
	kill -CONT "$server" "$crowd"
	wait_for "the window" shows "$crowd" 3 '$5 > 1 && $8 > 0'
}

# Killed while its table is asked for, a process leaves the last one; one that ends
# between its counters and its table has left nothing.
ends_meanwhile() {
	kill -STOP "$crowd"
	asking "$crowd" "$crowd"
	kill -KILL "$crowd"
	wait "$crowd" 2>/dev/null
	kill -CONT "$asker"
	wait_gone "$asker" || fail "an end meanwhile: $(cat "$tmp/works.err")"
	all_rows 3 1 && grep -q '(of an earlier time: the program has ended)' "$tmp/works.out" ||
		fail "an end meanwhile: $(cat "$tmp/works.out")"
	expect 1 'no such process' "$stat" --connections "$crowd"
	first=$server
	start_server clowder-rpc --libos catnip
	[ "$first" -lt "$server" ] || return 0 # numbers begin again; the order is by them
	kill -STOP "$first"
	asking "$first"
	kill "$server"
	wait_gone "$server" || fail "the server ended with an error"
	kill -CONT "$asker"
	wait_gone "$asker" || fail "an end meanwhile: $(cat "$tmp/works.err")"
	[ "$(tail -n 1 "$tmp/works.out")" = '  has ended' ] ||
		fail "an end meanwhile: $(cat "$tmp/works.out")"
	kill -CONT "$first"
	kill "$first"
	wait_gone "$first" || fail "the server ended with an error"
}

# Of a backend without a TCP of its own.
no_table() {
	start_server clowder-rpc --libos "$1"
	works "$stat" --connections "$server"
	grep -q '^  has no TCP of its own$' "$tmp/works.out" || fail "$1: $(cat "$tmp/works.out")"
	kill "$server"
	wait_gone "$server" || fail "the server ended with an error"
}

connections() {
	table
	retransmissions
	ends_meanwhile
}

[ -n "$backend" ] || skip "no backend was built"
real_server
watching
stale
faults
not_files
no_table "$backend"
! has_backend catnip || connections
exit 0
