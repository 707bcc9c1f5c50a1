#!/bin/sh
# What a process sees of EAL's start, over a ring and over a memif, whose driver leaves
# the server's socket behind each time.
. "$top_srcdir/tests/system/catnip_lib.sh"
guest=$top_builddir/tests/system/catnip_guest
for link in ring memif; do
	left=0
	[ $link = ring ] || left=1
	CLOWDER_CATNIP_LINK=$link timeout 60 "$guest" $left >"$tmp/said" 2>&1 &&
		! grep -q '^not ok' "$tmp/said" && grep -q '^1[.][.]10$' "$tmp/said" &&
		ok "a guest over $link" || not_ok "a guest over $link"
done
finish
