#!/bin/sh
# The libraries export the interface and nothing else, and backends do not know
# each other; libraries that break this are found out.
set -eu
check=$top_srcdir/scripts/check-exports
"$check"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/.libs" "$tmp/catnap" "$tmp/catmem"

# refused WORD: with what lies in tmp the check fails, and says so.
refused()
{
	if top_builddir=$tmp "$check" >"$tmp/out" 2>&1; then
		echo "not refused: $1"
		exit 1
	fi
	grep -q "$1" "$tmp/out" || { cat "$tmp/out"; exit 1; }
}
functions=$(nm -D --defined-only "$top_builddir/.libs/libclowder.so" |
	awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }')
for f in $functions; do
	echo "int $f(void); int $f(void) { return 0; }"
done >"$tmp/good.c"
echo 'int stray(void); int stray(void) { return 0; }' >"$tmp/stray.c"
echo 'int catmem_x(void); int f(void); int f(void) { return catmem_x(); }' >"$tmp/cross.c"
cc=${CC:-gcc}
$cc -c -o "$tmp/catnap/a.o" "$tmp/stray.c"

refused "build first"
$cc -shared -fPIC -o "$tmp/.libs/libclowder.so" "$tmp/good.c" "$tmp/stray.c"
refused "exports what no header declares: stray"
sed '/demi_push(/d' "$tmp/good.c" >"$tmp/less.c"
$cc -shared -fPIC -o "$tmp/.libs/libclowder.so" "$tmp/less.c"
refused "lacks: demi_push"
$cc -shared -fPIC -o "$tmp/.libs/libclowder.so" "$tmp/good.c"
top_builddir=$tmp "$check" >/dev/null
$cc -c -o "$tmp/catnap/b.o" "$tmp/cross.c"
refused "catnap uses catmem: catmem_x"
