#!/bin/sh
# A library of one backend: any other value of LIBOS is EINVAL and one line that
# names the value and what there is instead; its own name and none at all work.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CLOWDER_RUNTIME_DIR=$tmp/run
export CLOWDER_RUNTIME_DIR LIBOS
unset CONFIG_PATH
EINVAL=22
ran=0

# expect STATUS PROGRAM LIBOS
expect()
{
	status=0
	LIBOS=$3
	"$2" 2>"$tmp/said" || status=$?
	[ $status -eq "$1" ] && return
	echo "$2, LIBOS=$3: status $status, not $1"
	cat "$tmp/said"
	exit 1
}

for own in catnap catmem; do
	program=$top_builddir/tests/system/single_$own
	[ -x "$program" ] || continue
	for other in catnap catmem catfish catnap+catmem "$own+" "$own+$own"; do
		[ $other != $own ] || continue
		expect $EINVAL "$program" "$other"
		if [ "$(wc -l <"$tmp/said")" -ne 1 ] || ! grep -q "LIBOS.*$own" "$tmp/said"; then
			echo "$program, LIBOS=$other said:"
			cat "$tmp/said"
			exit 1
		fi
	done
	expect 0 "$program" $own
	expect 0 "$program" ''
	[ ! -s "$tmp/said" ] || { cat "$tmp/said"; exit 1; }
	ran=$((ran + 1))
done
[ $ran -gt 0 ]
