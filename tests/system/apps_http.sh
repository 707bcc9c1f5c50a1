#!/bin/sh
# clowder-http: curl and wrk, ranges against the file, requests that are wrong,
# clients that are slow, a cache that is too small, memory that is too little.
. "${top_srcdir:-.}/tests/system/apps.sh"

http=$builddir/clowder-http
get=$builddir/clowder-get
raw=$builddir/tests/system/apps_http_raw
root=$tmp/root

# start_http [OPTION...]: sets $server and $port; $limit: of its pool
limit=
start_http() {
	: >"$tmp/server.out"
	: >"$tmp/server.err"
	CLOWDER_POOL_MAX_BYTES=$limit "$http" --port 0 --root "$root" "$@" >"$tmp/server.out" 2>"$tmp/server.err" &
	server=$!
	started="$started $server"
	wait_for "the server listens" server_listens
	port=$(sed -n 's/^listening on [0-9.]*:\([0-9]*\).*/\1/p' "$tmp/server.out" \
		"$tmp/server.err")
}

stop_http() {
	kill -TERM "$server"
	wait_gone "$server" || fail "the server ends with an error: $(cat "$tmp/server.err")"
}

# fetch PATH [CURL OPTION...]: prints status, length and type; the body is in $tmp/body
fetch() {
	path=$1
	shift
	curl -s --max-time 20 --path-as-is -o "$tmp/body" -D "$tmp/head" \
		-w '%{http_code} %{size_download} %{content_type}' "$@" "http://127.0.0.1:$port$path"
}

# expect_fetch "STATUS LENGTH TYPE" PATH [CURL OPTION...]: a pattern
expect_fetch() {
	want=$1
	shift
	got=$(fetch "$@")
	case $got in
	$want) ;;
	*) fail "$*: '$got', not '$want'" ;;
	esac
}

# header NAME: its value in the last answer
header() {
	tr -d '\r' <"$tmp/head" | sed -n "s/^$1: //p"
}

make_root() {
	mkdir -p "$root/sub dir"
	echo hello >"$root/a.txt"
	echo "<p>index" >"$root/index.html"
	echo "<p>sub" >"$root/sub dir/index.html"
	: >"$root/empty"
	head -c 1500007 /dev/urandom >"$root/big.bin"
	truncate -s 20M "$root/medium"
	truncate -s 200M "$root/large"
	echo secret >"$tmp/secret"
	ln -s "$tmp/secret" "$root/away"
	ln -s ../secret "$root/up"
	ln -s "$tmp" "$root/dir"
	ln -s a.txt "$root/here.txt"
	ln -s round "$root/round"
	mkfifo "$root/pipe"
	touch -d '2020-01-02 03:04:05 UTC' "$root/a.txt"
}

files() {
	start_http
	expect_fetch '200 6 text/plain; charset=utf-8' /a.txt
	cmp "$tmp/body" "$root/a.txt" || fail "a.txt"
	[ "$(header Last-Modified)" = 'Thu, 02 Jan 2020 03:04:05 GMT' ] || fail "Last-Modified"
	[ "$(header Content-Length)" = 6 ] || fail "Content-Length"
	[ "$(header Accept-Ranges)" = bytes ] || fail "Accept-Ranges"
	[ -n "$(header Date)" ] || fail "Date"
	expect_fetch '200 1500007 application/octet-stream' /big.bin
	cmp "$tmp/body" "$root/big.bin" || fail "big.bin"
	expect_fetch '200 0 *' /empty
	expect_fetch '200 9 text/html*' /
	expect_fetch '200 7 text/html*' '/sub%20dir/?query'
	expect_fetch '200 6 *' '/sub%20dir/../a.txt'
	expect_fetch '200 6 *' /here.txt
	expect_fetch '200 0 *' /big.bin --head
	[ "$(header Content-Length)" = 1500007 ] || fail "HEAD: Content-Length"
	expect_fetch '301 *' '/sub%20dir'
	[ "$(header Location)" = '/sub%20dir/' ] || fail "Location: $(header Location)"
	expect_fetch '301 *' '//sub%20dir'
	[ "$(header Location)" = '/sub%20dir/' ] || fail "Location: $(header Location)"
	# two on one connection, and one that ends it
	curl -s -o "$tmp/1" -o "$tmp/2" -w '%{num_connects} ' "http://127.0.0.1:$port/a.txt" \
		"http://127.0.0.1:$port/big.bin" >"$tmp/connects"
	[ "$(cat "$tmp/connects")" = '1 0 ' ] || fail "not kept alive: $(cat "$tmp/connects")"
	expect_fetch '200 6 *' /a.txt -H 'Connection: close'
	[ "$(header Connection)" = close ] || fail "Connection: close"
	stop_http
}

refusals() {
	start_http
	for path in /away /up /dir/secret /dir/ /pipe; do
		expect_fetch '403 *' "$path"
		grep -q secret "$tmp/body" && fail "$path leads out"
	done
	for path in /none /a.txt/ /a.txt/b /round /none/ /%ff; do
		expect_fetch '404 *' "$path"
	done
	for path in /../secret /%2e%2e/secret /sub/../../secret /%00; do
		expect_fetch '400 *' "$path"
	done
	if [ "$(id -u)" -ne 0 ]; then
		echo private >"$root/private"
		chmod 0 "$root/private"
		expect_fetch '403 *' /private
	fi
	expect_fetch '405 *' /a.txt -d x=1
	[ "$(header Allow)" = 'GET, HEAD' ] || fail "Allow: $(header Allow)"
	expect_fetch '405 *' /a.txt -X DELETE
	expect_fetch '501 *' /a.txt -X BREW
	expect_fetch '200 *' /a.txt --http1.0
	timeout 100 "$raw" requests "$port" || fail "wrong requests"
	expect_fetch '200 6 *' /a.txt
	stop_http
}

# range FIRST LAST (inclusive): of big.bin, by curl and by clowder-get
range() {
	tail -c "+$(($1 + 1))" "$root/big.bin" | head -c "$(($2 - $1 + 1))" >"$tmp/part"
	expect_fetch "206 $(($2 - $1 + 1)) *" /big.bin -r "$1-$2"
	cmp "$tmp/body" "$tmp/part" || fail "range $1-$2"
	[ "$(header Content-Range)" = "bytes $1-$2/1500007" ] || fail "$(header Content-Range)"
	works "$get" --range "$1-$2" --output "$tmp/body" "http://127.0.0.1:$port/big.bin"
	cmp "$tmp/body" "$tmp/part" || fail "clowder-get: range $1-$2"
}

ranges() {
	start_http
	range 0 0
	range 0 1500006
	range 1 262143
	range 262143 262144
	range 262144 1500005
	range 1500006 1500006
	for i in 1 2 3 4 5 6 7 8; do
		range $((i * 153456)) $((i * 153456 + i * 31234))
	done
	expect_fetch '206 7 *' /big.bin -r -7
	expect_fetch '206 1500007 *' /big.bin -r -1500008
	expect_fetch '206 6 *' /big.bin -r 1500001-9999999999
	expect_fetch '416 *' /big.bin -r 1500007-
	[ "$(header Content-Range)" = 'bytes */1500007' ] || fail "416: $(header Content-Range)"
	expect_fetch '416 *' /empty -r 0-
	expect_fetch '200 1500007 *' /big.bin -r 0-1,5-6
	expect_fetch '200 1500007 *' /big.bin -H 'Range: bytes=5-2'
	etag=$(header ETag)
	expect_fetch '206 2 *' /big.bin -r 0-1 -H "If-Range: $etag"
	expect_fetch '200 1500007 *' /big.bin -r 0-1 -H 'If-Range: "other"'
	expect_fetch '200 1500007 *' /big.bin -r 0-1 -H 'If-Range: Thu, 02 Jan 2020 03:04:05 GMT'
	expect_fetch '206 2 *' /a.txt -r 0-1 -H 'If-Range: Thu, 02 Jan 2020 03:04:05 GMT'
	stop_http
}

conditions() {
	start_http
	expect_fetch '200 6 *' /a.txt
	etag=$(header ETag)
	expect_fetch '304 0 *' /a.txt -H "If-None-Match: $etag"
	[ "$(header ETag)" = "$etag" ] || fail "304 without ETag"
	expect_fetch '200 6 *' /a.txt -H 'If-None-Match: "other"'
	expect_fetch '304 0 *' /a.txt -H 'If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT'
	expect_fetch '200 6 *' /a.txt -H 'If-Modified-Since: Thu, 02 Jan 2020 03:04:04 GMT'
	expect_fetch '412 *' /a.txt -H 'If-Match: "other"'
	# a new version is seen at once, however it came about
	echo hallo >"$root/a.txt"
	expect_fetch '200 6 *' /a.txt -H "If-None-Match: $etag"
	grep -q hallo "$tmp/body" || fail "a stale file"
	echo renamed >"$tmp/new"
	mv "$tmp/new" "$root/a.txt"
	expect_fetch '200 8 *' /a.txt
	rm "$root/a.txt"
	expect_fetch '404 *' /a.txt
	echo hello >"$root/a.txt"
	touch -d '2020-01-02 03:04:05 UTC' "$root/a.txt"
	expect_fetch '200 6 *' /a.txt
	stop_http
}

# Clients that take their time are given up; those that do not are served meanwhile.
slow() {
	start_http --timeout 1 --json
	timeout 100 "$raw" slow "$port" || fail "slow clients"
	stop_http
	"$builddir/tests/system/apps_json" timeouts=3 answers_4xx=1 <"$tmp/server.out" ||
		fail "$(cat "$tmp/server.out")"
	start_http --connections 1000
	"$raw" hold 600 "$port" >"$tmp/hold.out" &
	started="$started $!"
	wait_for "600 connections" grep -qs holding "$tmp/hold.out"
	expect_fetch '200 6 *' /a.txt
	works "$get" --json --count 3000 --connections 300 --pipeline 5 \
		"http://127.0.0.1:$port/a.txt"
	stop_http
	grep -q 'requests' "$tmp/server.out" || fail "no summary"
}

# No more than --connections at once: the others wait for their turn.
turns() {
	start_http --connections 3
	works "$get" --json --count 400 --connections 40 --close "http://127.0.0.1:$port/a.txt"
	"$builddir/tests/system/apps_json" requests=400 body=6 <"$tmp/works.out" ||
		fail "$(cat "$tmp/works.out")"
	stop_http
}

# many [OPTION...]: 60 clients, big.bin each twice
many() {
	start_http --json "$@"
	works "$get" --json --count 120 --connections 60 "http://127.0.0.1:$port/big.bin"
	"$builddir/tests/system/apps_json" requests=120 sha256="$sum" <"$tmp/works.out" ||
		fail "$*: $(cat "$tmp/works.out")"
	stop_http
}

caches() {
	sum=$(sha256sum <"$root/big.bin" | cut -d' ' -f1)
	many
	"$builddir/tests/system/apps_json" cache_misses=6 cut=0 <"$tmp/server.out" ||
		fail "$(cat "$tmp/server.out")"
	many --cache 0
	many --cache 600K
	limit=10M
	many --cache 600K
	limit=
	"$builddir/tests/system/apps_json" answers_2xx=120 cut=0 resets=0 <"$tmp/server.out" ||
		fail "$(cat "$tmp/server.out")"
}

# A file that changes while it is sent is not mended together from two versions.
changes() {
	cp "$root/big.bin" "$root/changing"
	truncate -s 60M "$root/changing"
	rm "$tmp/body"
	start_http --json --cache 1M
	curl -s --limit-rate 20M -o "$tmp/body" "http://127.0.0.1:$port/changing" &
	curl=$!
	started="$started $curl"
	wait_for "the first bytes" test -s "$tmp/body"
	truncate -s 1M "$root/changing"
	wait_gone "$curl" && fail "a file that was cut is no success"
	expect_fetch '200 1048576 *' /changing
	stop_http
	"$builddir/tests/system/apps_json" cut=1 <"$tmp/server.out" || fail "$(cat "$tmp/server.out")"
}

# Who is being sent something when the signal comes gets all of it.
ends() {
	rm "$tmp/body"
	start_http
	curl -s --limit-rate 40M -o "$tmp/body" "http://127.0.0.1:$port/medium" &
	curl=$!
	started="$started $curl"
	wait_for "the first bytes" test -s "$tmp/body"
	kill -INT "$server"
	wait_gone "$server" || fail "SIGINT: an error"
	wait "$curl" || fail "curl: $?"
	[ "$(wc -c <"$tmp/body")" -eq 20971520 ] || fail "not all of it"
	grep -q '^served 1 requests' "$tmp/server.out" || fail "no summary"
	expect 1 'refused' "$get" "http://127.0.0.1:$port/a.txt"
}

load() {
	start_http --json
	wrk -t 1 -c 100 -d 1 "http://127.0.0.1:$port/a.txt" >"$tmp/wrk" || fail "wrk"
	grep -q 'Non-2xx\|Socket errors' "$tmp/wrk" && fail "$(cat "$tmp/wrk")"
	wrk -t 1 -c 30 -d 1 "http://127.0.0.1:$port/big.bin" >"$tmp/wrk" || fail "wrk"
	grep -q 'Non-2xx\|Socket errors' "$tmp/wrk" && fail "$(cat "$tmp/wrk")"
	expect_fetch '200 6 *' /a.txt
	stop_http
	"$builddir/tests/system/apps_json" answers_4xx=0 answers_5xx=0 cut=0 timeouts=0 \
		<"$tmp/server.out" || fail "$(cat "$tmp/server.out")"
}

# Where no other program can reach: our client and our server.
between_us() {
	LIBOS=$1
	export LIBOS
	start_http
	sum=$(sha256sum <"$root/big.bin" | cut -d' ' -f1)
	works "$get" --json --count 100 --connections 20 "http://127.0.0.1:$port/big.bin"
	"$builddir/tests/system/apps_json" requests=100 sha256="$sum" libos="$1" \
		<"$tmp/works.out" || fail "$1: $(cat "$tmp/works.out")"
	works "$get" --range 5-9 --output "$tmp/body" "http://127.0.0.1:$port/big.bin"
	[ "$(wc -c <"$tmp/body")" -eq 5 ] || fail "$1: a range"
	stop_http
	unset LIBOS
}

make_root
if has_backend catnap; then
	command -v curl >/dev/null || skip "no curl"
	command -v wrk >/dev/null || skip "no wrk"
	for part in files refusals ranges conditions slow turns caches changes ends load; do
		echo "catnap: $part"
		$part
	done
fi
for backend in catmem catnip; do
	! has_backend "$backend" || between_us "$backend"
done
exit 0
