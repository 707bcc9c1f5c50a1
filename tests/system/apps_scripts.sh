#!/bin/sh
# What scripts/check and scripts/demo are made of: how results are summed and
# failures named, how packages are listed, what a wrong command line gets.
. "${top_srcdir:-.}/tests/system/apps.sh"

top=$srcdir
. "$srcdir/scripts/lib.sh"
trap cleanup EXIT

cat >"$tmp/one" <<END
PASS: tests/unit/ring.test 1 - wraps
FAIL: tests/unit/ring.test 2 - fills
ERROR: tests/unit/ring.test - exited with status 1
XPASS: tests/system/odd.sh
============================================================================
# TOTAL: 21
# PASS:  12
# SKIP:  3
# XFAIL: 1
# FAIL:  2
# XPASS: 1
# ERROR: 2
END
printf '# PASS:  100\n# FAIL:  0\n' >"$tmp/two"

[ "$(sum_tests "$tmp/one")" = "13 5 3" ] || fail "one log: $(sum_tests "$tmp/one")"
[ "$(sum_tests "$tmp/one" "$tmp/two")" = "113 5 3" ] || fail "two logs"
[ "$(sum_tests)" = "0 0 0" ] || fail "no log"
[ "$(failed_tests "$tmp/one" | wc -l)" -eq 3 ] || fail "names: $(failed_tests "$tmp/one")"

for section in build test bench; do
	[ -n "$(packages $section)" ] || fail "no package in [$section]"
	packages $section | grep -q '[^a-z0-9.+-]' && fail "[$section]: $(packages $section)"
done
packages build | grep -qx libyaml-dev || fail "a comment behind a name is cut off"
packages build | grep -qx valgrind && fail "a section ends where the next begins"
[ "$(packages build test bench | sort | uniq -d)" = "" ] || fail "a package comes twice"

step "a step" "$tmp/step.log" sh -c 'echo out; echo err >&2; exit 3' 2>"$tmp/step.err"
[ $? -eq 3 ] || fail "a step's exit status"
[ "$(cat "$tmp/step.log")" = "out
err" ] || fail "a step's output"
grep -q 'a step: FAILED' "$tmp/step.err" || fail "a step's failure is told"

for script in check demo; do
	[ -x "$srcdir/scripts/$script" ] || fail "scripts/$script cannot be run"
	"$srcdir/scripts/$script" --help | grep -q '^usage: ' || fail "scripts/$script --help"
	"$srcdir/scripts/$script" --colour >/dev/null 2>&1 && fail "scripts/$script --colour"
done

# the first program of the README is one
awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$srcdir/README.md" >"$tmp/readme.c"
[ -s "$tmp/readme.c" ] || fail "no program in the README"
${CC:-cc} -fsyntax-only -std=gnu11 -Wall -Wextra -Werror -I"$srcdir/api" "$tmp/readme.c" ||
	fail "the program of the README does not compile"
exit 0
