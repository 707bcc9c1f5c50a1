#!/bin/sh
# The table of settings in doc/net.md says what net/conf.c does: keys, defaults, ranges.
set -u
cd "${top_srcdir:-$(dirname "$0")/../..}" || exit 1

code=$(sed -n '
s/^	NUMBER(\([a-z0-9_]*\), \([0-9]*\), \([0-9]*\), \([0-9]*\)),$/\1 \2 \3 to \4/p
s/^	FLAG(\([a-z0-9_]*\), \([01]\)),$/\1 \2 0 to 1/p' net/conf.c | sort)
page=$(sed -n 's/^| `\([a-z0-9_]*\)` | \([0-9]*\) | \([0-9]* to [0-9]*\) | .*/\1 \2 \3/p' \
	doc/net.md | sort)
n=$(echo "$code" | wc -l)

if [ "$n" -lt 30 ]; then
	echo "only $n keys found in net/conf.c: has its table another form?"
	exit 1
fi
if [ "$code" != "$page" ]; then
	echo "net/conf.c has:"
	echo "$code"
	echo "doc/net.md has:"
	echo "$page"
	exit 1
fi
echo "$n keys are as doc/net.md has them"
