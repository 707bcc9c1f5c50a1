#!/bin/sh
# clowder.conf(5) lists the settings and demi_stat(5) the counters of the code,
# neither more nor fewer, and the settings with the same variable, range and
# default. Sections of backends that were not built are not compared.

man=${top_srcdir:-$(dirname "$0")/..}/man
print=${top_builddir:-.}/man/print_names
failed=0

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/run"
CLOWDER_RUNTIME_DIR=$tmp/run
export CLOWDER_RUNTIME_DIR
unset LIBOS CONFIG_PATH

# keeps the lines whose section, the word before the first dot, is in the code
only_built() {
	awk -F. 'FILENAME == ARGV[1] { built[$1]; next } $1 in built' "$1" "$2"
}

# what: the name of both lists
compare() {
	sort "$tmp/code" -o "$tmp/code"
	[ -s "$tmp/code" ] || { echo "FAIL: the code has no $1"; failed=1; }
	only_built "$tmp/code" "$tmp/page" | sort >"$tmp/built"
	diff "$tmp/code" "$tmp/built" && return
	echo "FAIL: $1 of the code (<) and of the page (>) differ"
	failed=1
}

"$print" keys >"$tmp/code" || exit 1
awk '/^\.It Cm/ { name = $3; at = FNR }
	at && FNR == at + 1 { env = $3 }
	at && FNR == at + 2 { print name "\t" env "\t" $0 }' "$man/clowder.conf.5" >"$tmp/page"
compare settings

"$print" counters >"$tmp/code" || exit 1
awk '/^\.It Cm/ { print $3 }' "$man/demi_stat.5" >"$tmp/page"
compare counters

exit $failed
