#!/bin/sh
# clowder-get against nginx: ranges, keep-alive, chunks, many connections; and against
# servers that refuse, end too early, or say nothing.
. "${top_srcdir:-.}/tests/system/apps.sh"
. "${top_srcdir:-.}/tests/system/apps_nginx.sh"

has_backend catnap || skip "catnap was not built"
command -v nginx >/dev/null || skip "no nginx (Debian: nginx-light)"

get=$builddir/clowder-get
root=$tmp/root

serve() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		port=$(shuf -i 20000-29999 -n 1)
		start_nginx "$root" 127.0.0.1 "$port" && return
	done
	fail "nginx does not start: $(cat "$tmp/nginx/errors")"
}

# fetches NAME [OPTION...]: what comes is what the file in $tmp/want has
fetches() {
	name=$1
	shift
	works "$get" --output "$tmp/got" "$@" "$url/$name"
	cmp "$tmp/got" "$tmp/want" || fail "$name $*"
}

# results KEY=VALUE... -- OPTION... URL
results() {
	keys=
	while [ "$1" != -- ]; do
		keys="$keys $1"
		shift
	done
	shift
	works "$get" --json "$@"
	"$builddir/tests/system/apps_json" $keys <"$tmp/works.out" || fail "$*: $(cat "$tmp/works.out")"
}

# one_answer TEXT: the next connection to $lonely gets it, whatever it asks, and its end
one_answer() {
	printf '%b' "$1" >"$tmp/answer"
	: >"$tmp/server.out"
	"$builddir/tests/system/apps_http_raw" answer "$tmp/answer" >"$tmp/server.out" &
	server=$!
	started="$started $server"
	wait_for "a server that answers once" grep -q listening "$tmp/server.out"
	lonely=http://127.0.0.1:$(sed -n 's/^listening on //p' "$tmp/server.out")
}

mkdir -p "$root/chunked"
chmod 755 "$tmp" "$root"
# without what ssi takes for the beginning of a command, at the end, too
head -c 3000017 /dev/urandom | LC_ALL=C tr '<' '>' >"$root/big.bin"
echo hello >"$root/a.txt"
: >"$root/empty"
sum=$(sha256sum <"$root/big.bin" | cut -d' ' -f1)
serve
url=http://127.0.0.1:$port

cp "$root/big.bin" "$tmp/want"
fetches big.bin
fetches big.bin --close
fetches chunked/big.bin
[ "$("$get" --hash "$url/big.bin")" = "$sum  $url/big.bin" ] || fail "--hash"
[ "$("$get" "$url/a.txt")" = hello ] || fail "to standard output"
"$get" --head "$url/big.bin" | grep -q '^Content-Length: 3000017' || fail "--head"
: >"$tmp/want"
fetches empty
for range in 0-0 1-1000000 2999999-3000016 5-; do
	tail -c "+$((${range%-*} + 1))" "$root/big.bin" >"$tmp/want"
	[ "${range#*-}" = "" ] || head -c "$((${range#*-} - ${range%-*} + 1))" "$tmp/want" >"$tmp/cut"
	[ "${range#*-}" = "" ] || mv "$tmp/cut" "$tmp/want"
	fetches big.bin --range "$range"
done
tail -c 12345 "$root/big.bin" >"$tmp/want"
fetches big.bin --range -12345

# nginx closes each connection after 100 requests, whatever is on its way
results requests=1050 connects=11 status=200 -- --count 1050 "$url/a.txt"
results requests=1000 -- --count 1000 --connections 3 --pipeline 7 "$url/a.txt"
results requests=100 connects=100 repeats=0 -- --count 100 --connections 10 --close "$url/a.txt"
results requests=200 sha256="$sum" body=3000017 -- --count 200 --connections 50 "$url/big.bin"
results requests=1000 connects=1000 -- --count 1000 --connections 1000 "$url/a.txt"

expect 1 'answers 404$' "$get" "$url/none"
[ ! -s "$tmp/expect.out" ] || fail "the body of a 404 is printed"
expect 1 'answers 416$' "$get" --range 9999999- "$url/big.bin"
kill -STOP "$nginx"
expect 1 'not a byte came in time' "$get" --timeout 0.3 "$url/a.txt"
kill -CONT "$nginx"
kill -KILL "$nginx"
wait "$nginx" 2>/dev/null
expect 1 'refused' "$get" "$url/a.txt"

one_answer 'HTTP/1.1 200 OK\r\n\r\nto the end'
[ "$("$get" "$lonely/")" = "to the end" ] || fail "an answer that ends with its stream"
one_answer 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nto'
expect 1 'cut short' "$get" "$lonely/"
one_answer ''
expect 1 'without an answer' "$get" "$lonely/"
one_answer 'SSH-2.0\r\n\r\n'
expect 1 'not an HTTP/1 response' "$get" "$lonely/"
one_answer 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntoo much'
expect 1 "nobody asked for" "$get" "$lonely/"
one_answer 'HTTP/1.1 200 OK\r\n\r\nthe whole'
expect 1 'not the range' "$get" --range 0-1 "$lonely/"
exit 0
