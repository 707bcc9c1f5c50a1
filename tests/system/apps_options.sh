#!/bin/sh
# Command lines, right and wrong: --help, --version, and one clear line for every
# mistake, with exit status 2.
. "${top_srcdir:-.}/tests/system/apps.sh"

rpc=$builddir/clowder-rpc
stat=$builddir/clowder-stat
http=$builddir/clowder-http
get=$builddir/clowder-get

for program in "$rpc" "$stat" "$http" "$get"; do
	works "$program" --help
	grep -q '^usage: clowder-' "$tmp/works.out" || fail "$program --help"
	works "$program" --version
	grep -q '^clowder-[a-z]* [0-9]' "$tmp/works.out" || fail "$program --version"
	expect 1 'cannot write\|No space' sh -c "'$stat' --list >/dev/full"
done

# every long option of --help has its place in the manual page, and the other way
for name in clowder-rpc clowder-stat clowder-http clowder-get; do
	"$builddir/$name" --help | grep -o -e '--[a-z]*' | sort -u | sed 's/^--//' >"$tmp/help"
	grep -o 'Fl[^.]*[ ,]-[a-z]\{2,\}' "$srcdir/man/$name.1" | grep -o -e '-[a-z]*$' |
		sed 's/^-//' | sort -u >"$tmp/page"
	# another name of --count, which is another option's value elsewhere
	[ "$name" != clowder-rpc ] || echo requests >>"$tmp/page"
	sort -u "$tmp/page" -o "$tmp/page"
	diff "$tmp/help" "$tmp/page" || fail "$name: options of --help (<) and man page (>)"
done

expect 2 'server or client' "$rpc"
expect 2 'neither server nor client' "$rpc" serve
expect 2 'too many' "$rpc" client now
expect 2 'no such option' "$rpc" client --colour
expect 2 'no such option' "$rpc" client -x
expect 2 'needs a value' "$rpc" client --size
expect 2 'needs a value' "$rpc" client -s
expect 2 'takes no value' "$rpc" client --json=yes
expect 2 'not a number' "$rpc" client --size big
expect 2 'not a number' "$rpc" client --size -1
expect 2 'not a number' "$rpc" client --size 64Q
expect 2 'not a number' "$rpc" client --count 99999999999999999999
expect 2 'takes 1 to' "$rpc" client --size 0
expect 2 'takes 1 to' "$rpc" client --size 257M
expect 2 'takes 1 to' "$rpc" client --size 18014398509481985K
expect 2 'takes 1 to' "$rpc" client --connections 10001
expect 2 'takes 1 to' "$rpc" client --inflight 4097
expect 2 'takes 0 to' "$rpc" client --port 65536
expect 2 'port 0' "$rpc" client --port 0
expect 2 'takes 0.001' "$rpc" client --duration 0
expect 2 'seconds' "$rpc" client --duration 2x
expect 2 'takes 0 to' "$rpc" client --warmup -1
expect 2 'seconds' "$rpc" client --duration nan
expect 2 'tcp or udp' "$rpc" client --proto sctp
expect 2 'IPv4' "$rpc" client --addr localhost
expect 2 'with udp' "$rpc" client --proto udp --size 7
expect 2 'with udp' "$rpc" client --proto udp --size 65508

expect 2 'no such option' "$stat" --colour
expect 2 'process number' "$stat" me
expect 2 'process number' "$stat" -- -1
expect 2 'too many' "$stat" 1 2
expect 2 'watch takes' "$stat" --watch=0 1
expect 2 'watch takes' "$stat" --watch=x 1

expect 2 'too many' "$http" dir
expect 2 'IPv4' "$http" --address localhost
expect 2 'takes 0 to' "$http" --port 70000
expect 2 'takes 1 to' "$http" --connections 0
expect 2 'takes 0.1' "$http" --timeout 0
expect 2 'not a number' "$http" --cache lots
expect 1 'No such file' "$http" --root "$tmp/none"
expect 1 'Not a directory' "$http" --root "$rpc"

expect 2 'say what' "$get"
expect 2 'too many' "$get" http://127.0.0.1/ http://127.0.0.1/
expect 2 'not an http' "$get" https://127.0.0.1/
expect 2 'not an http' "$get" 127.0.0.1
expect 2 'not an http' "$get" http:///
expect 2 'not an http' "$get" http://me@127.0.0.1/
expect 2 'missing' "$get" 'http://127.0.0.1?a'
expect 2 'not for servers' "$get" 'http://127.0.0.1/#a'
expect 2 'a space' "$get" 'http://127.0.0.1/a b'
expect 2 'a space' "$get" --range '0-1
X: y' http://127.0.0.1/
expect 2 'takes 1 to' "$get" http://127.0.0.1:0/
expect 2 'takes 1 to' "$get" --count 0 http://127.0.0.1/
expect 2 'room for one' "$get" --count 2 --output "$tmp/x" http://127.0.0.1/

expect 2 'usage:' "$builddir/clowder-echo-server" nowhere
expect 2 'usage:' "$builddir/clowder-echo-client" text 127.0.0.1 0

expect 1 'cattle' "$rpc" server --libos cattle
expect 1 'cattle' env LIBOS=cattle "$builddir/clowder-echo-client"
exit 0
