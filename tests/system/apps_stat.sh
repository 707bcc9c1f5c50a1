#!/bin/sh
# clowder-stat on a real server, on processes that are none, and on files with
# one thing wrong each.
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

[ -n "$backend" ] || skip "no backend was built"
real_server
watching
stale
faults
not_files
exit 0
