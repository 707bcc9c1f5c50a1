#!/bin/sh
# Each installed header compiles alone, as C99, C11 and C++, without a warning,
# with every compiler that is here; the types have the sizes they must have.
set -eu
flags="-Wall -Wextra -Werror -pedantic -fsyntax-only -I$top_srcdir/api"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

# compile COMPILER STANDARD FILE
compile()
{
	# shellcheck disable=SC2086
	$1 $flags -std=$2 "$3" || { echo "$1 -std=$2: $3 does not compile"; exit 1; }
	n=$((n + 1))
}
for header in "$top_srcdir"/api/demi/*.h; do
	name=$(basename "$header")
	printf '#include <demi/%s>\n#include <demi/%s>\nint main(void) { return 0; }\n' \
		"$name" "$name" >"$tmp/$name.c"
	cp "$tmp/$name.c" "$tmp/$name.cc"
done
cp "$top_srcdir/tests/system/sizes.c" "$tmp/sizes.c"
cp "$tmp/sizes.c" "$tmp/sizes.cc"
for cc in gcc clang; do
	command -v $cc >/dev/null || { echo "no $cc here"; continue; }
	for file in "$tmp"/*.h.c; do
		compile $cc c99 "$file"
		compile $cc c11 "$file"
		compile $cc c17 "$file"
	done
	compile $cc c11 "$tmp/sizes.c"
done
for cxx in g++ clang++; do
	command -v $cxx >/dev/null || { echo "no $cxx here"; continue; }
	for file in "$tmp"/*.cc; do
		compile $cxx c++11 "$file"
		compile $cxx c++17 "$file"
	done
done
[ $n -gt 0 ] || exit 77
echo "compiled $n times"
