#!/bin/sh
# Behind the suite: every row of errnos.txt was provoked, in each of these modes;
# a row that was not, and one that is not in the table, are found out.
set -eu
check=$top_srcdir/scripts/check-errnos
# catnip_ring, alone with itself, cannot provoke all of catnip's
modes='catmem catnap_epoll catnap_uring catnip_memif'
status=0
# shellcheck disable=SC2086
"$check" $modes || status=$?
[ $status -eq 0 ] || exit $status

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/tests/conform"
for mode in $modes; do
	log=$top_builddir/tests/conform/errnos-$mode.log
	[ -s "$log" ] || continue
	for edit in '/^demi_pop ECONNRESET/d' '$a demi_pop EIO never' '/./d'; do
		sed "$edit" "$log" >"$tmp/tests/conform/errnos-$mode.log"
		if top_builddir=$tmp "$check" "$mode" >/dev/null; then
			echo "$mode: not found out: $edit"
			exit 1
		fi
	done
done
