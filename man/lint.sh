#!/bin/sh
# Holds the manual pages against the headers and themselves: mandoc finds no
# fault, every call has a page with its very declaration and the errnos of its
# comment, link pages and cross references lead somewhere, every page is
# installed, every example compiles. Exit 0, 1, or 77 without mandoc.

src=${top_srcdir:-$(dirname "$0")/..}
man=$src/man
failed=0

if ! command -v mandoc >/dev/null 2>&1; then
	echo "SKIP: no mandoc (Debian: mandoc)"
	exit 77
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

fail() {
	echo "FAIL: $*"
	failed=1
}

pages=$(grep -L '^\.so ' "$man"/*.[1-9])
links=$(grep -l '^\.so ' "$man"/*.[1-9])

mandoc_clean() {
	mandoc -Tlint -Wwarning $pages || fail "mandoc has warnings"
}

# .so man3/x.3, whose NAME section knows the link by name
links_lead() {
	for link in $links; do
		name=$(basename "${link%.?}")
		to=$man/$(sed 's,^\.so man./,,' "$link")
		[ "$(wc -l <"$link")" -eq 1 ] || fail "$link has more than its .so line"
		grep -q "^\.Nm $name\( ,\)*\$" "$to" 2>/dev/null ||
			fail "$link leads to $to, which does not name it"
	done
}

calls_match() {
	awk -f "$man/header.awk" "$src"/api/demi/*.h | sort -u >"$tmp/headers"
	awk -f "$man/page.awk" $pages | sort -u >"$tmp/pages"
	[ -s "$tmp/headers" ] || fail "no call found in the headers"
	diff "$tmp/headers" "$tmp/pages" >"$tmp/diff" && return
	fail "headers (<) and pages (>) differ:"
	cat "$tmp/diff"
}

# every call has a page of its own name, and every page of a call its call
names_match() {
	cut -f1 "$tmp/headers" | sort -u >"$tmp/calls"
	(cd "$man" && ls demi_*.3) | sed 's/\.3$//' | sort >"$tmp/files"
	diff "$tmp/calls" "$tmp/files" || fail "calls (<) without page, pages (>) without call"
}

# .Xr to what is ours
references_lead() {
	cat $pages | awk '/^\.(Xr|It Xr|It .*Xr|Pq see Xr)/ {
		for (i = 1; i < NF; i++)
			if ($i ~ /Xr$/ && $(i + 1) ~ /^(demi|clowder)/)
				print $(i + 1) "." $(i + 2)
	}' | sort -u >"$tmp/xrefs"
	while read -r page; do
		[ -f "$man/$page" ] || fail "a page refers to $page, which is not there"
	done <"$tmp/xrefs"
}

pages_installed() {
	for page in $pages $links; do
		grep -q "$(basename "$page")" "$src"/*/*.am ||
			fail "$page is in no make fragment"
	done
}

example_prologue='#include <arpa/inet.h>
#include <demi/ext.h>
#include <demi/libos.h>
#include <demi/stat.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>'

# each page in section 3, 5 or 7 with C in EXAMPLES: whole functions that compile
examples_compile() {
	for page in $(ls $pages | grep '/demi[^/]*$'); do
		c=$tmp/$(basename "$page").c
		awk '/^\.Sh/ { on = $2 == "EXAMPLES" }
			/^\.Ed/ { code = 0 }
			on && code { gsub(/\\e/, "\\"); print }
			/^\.Bd -literal/ { code = 1 }' "$page" >"$tmp/code"
		[ -s "$tmp/code" ] || continue
		{ echo "$example_prologue"; cat "$tmp/code"; } >"$c"
		${CC:-cc} -fsyntax-only -std=gnu11 -Wall -Wextra -Werror -Wno-unused-function \
			-Wno-address-of-packed-member -I"$src/api" "$c" ||
			fail "the example of $page does not compile"
	done
}

mandoc_clean
links_lead
calls_match
names_match
references_lead
pages_installed
examples_compile
exit $failed
