#!/bin/sh
# A program written for the original API builds unchanged with what pkg-config
# says of each library, shared and static, and runs.
set -eu
command -v pkg-config >/dev/null || { echo "no pkg-config here"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
port=$((10000 + $$ % 20000))
built=0

${MAKE:-make} -s -C "$top_builddir" DESTDIR="$tmp/root" install-libLTLIBRARIES \
	install-staticDATA install-pkgconfigDATA install-demiincludeHEADERS \
	>"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
sanitize=$(sed -n 's/^SANITIZE_CFLAGS = //p' "$top_builddir/Makefile")
libdir=$tmp/root$(PKG_CONFIG_PATH=$top_builddir pkg-config --variable=libdir clowder)
PKG_CONFIG_SYSROOT_DIR=$tmp/root
PKG_CONFIG_PATH=$libdir/pkgconfig
LD_LIBRARY_PATH=$libdir
CLOWDER_RUNTIME_DIR=$tmp/run
unset LIBOS
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH LD_LIBRARY_PATH CLOWDER_RUNTIME_DIR

# A server, and the client as soon as it listens; 2: the port is somebody's.
try_port()
{
	"$1" server 127.0.0.1 $port 1000 2>"$tmp/server" &
	server=$!
	tries=0
	until "$1" client 127.0.0.1 $port 1000 2>"$tmp/client"; do
		tries=$((tries + 1))
		if ! kill -0 $server 2>/dev/null; then
			grep -q 'already in use' "$tmp/server" && return 2
			return 1
		fi
		if [ $tries -gt 100 ]; then
			kill $server
			return 1
		fi
		sleep 0.05
	done
	wait $server
}

# run WHAT PROGRAM
run()
{
	for again in 1 2 3 4 5 6 7 8; do
		port=$((port + 1))
		result=0
		try_port "$2" || result=$?
		[ $result -eq 2 ] || break
	done
	if [ $result -ne 0 ]; then
		echo "$1: failed at try $again"
		cat "$tmp/server" "$tmp/client"
		exit 1
	fi
	echo "$1: ran"
	built=$((built + 1))
}

for pc in "$top_builddir"/clowder*.pc; do
	name=$(basename "$pc" .pc)
	[ -e "$libdir/lib$name.so" ] || continue
	for compiler in gcc clang; do
		command -v $compiler >/dev/null || continue
		[ $compiler = gcc ] || [ -z "$sanitize" ] || continue
		# shellcheck disable=SC2046,SC2086
		$compiler -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wno-address $sanitize \
			-o "$tmp/$name-$compiler" "$top_srcdir/tests/system/original.c" \
			$(pkg-config --cflags --libs "$name")
		run "$name, shared, $compiler" "$tmp/$name-$compiler"
	done
	# shellcheck disable=SC2046,SC2086
	gcc -std=c99 -D_POSIX_C_SOURCE=200809L $sanitize -o "$tmp/$name-static" \
		"$top_srcdir/tests/system/original.c" $(pkg-config --cflags "$name") \
		"$libdir/lib$name.a" \
		$(pkg-config --static --libs "$name" | tr ' ' '\n' | grep -v "^-l$name\$" | tr '\n' ' ')
	if ldd "$tmp/$name-static" | grep -q libclowder; then
		echo "$name-static still needs the shared library"
		exit 1
	fi
	run "$name, static" "$tmp/$name-static"
done
[ $built -gt 0 ]
