#!/bin/sh
# The model of catmem's ring: right as it is, wrong without any one of its orderings.
set -u

src=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
model=$src/tests/models/ring.pml
for tool in spin gcc; do
	command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/models.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir" || exit 1
failed=0

# What spin says, in words.
in_words() {
	sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' log |
		sed -e 's/^invalid end state$/a wake-up is lost/' \
		    -e 's/^non-progress cycle.*/a cycle without progress/' \
		    -e 's/^assertion violated.*n_read.*/a slot is overwritten before it is read/' \
		    -e 's/^assertion violated.*(d==.*/a wrong or torn message is read/'
}

# check KIND SWITCHES: what the search finds, in $found, and how far it went, in
# $states. KIND is SAFETY or NP (cycles without progress).
check() {
	kind=$1
	shift
	found="no answer"
	states=0
	option=
	[ "$kind" = NP ] && option=-l
	rm -f pan pan.*
	if ! spin "$@" -a "$model" >log 2>&1 ||
	   ! gcc $optimize -w -D"$kind" -DCOLLAPSE -DMEMLIM=2048 -o pan pan.c >>log 2>&1; then
		cat log
		return
	fi
	timeout 60 ./pan $option -m400000 >log 2>&1
	states=$(awk '/states, stored/ { print $1 }' log)
	if grep -q -e 'max search depth too small' -e 'Search not completed' log &&
	   ! grep -q '^pan:1:' log; then
		found="no answer: the search did not end"
	elif grep -q '^pan:1:' log; then
		found=$(in_words)
	elif grep -q 'errors: 0' log; then
		found=right
	fi
}

must_hold() {
	optimize=-O1
	check "$@"
	echo "$*: $found, ${states:-0} states"
	[ "$found" = right ] || failed=1
}

must_break() {
	what=$1
	shift
	optimize=-O0	# short searches: the compiler would take longest
	check "$@"
	case $found in
	right | "no answer"*)
		echo "$what: NOT MISSED, $found"
		failed=1
		;;
	*) echo "$what: $found" ;;
	esac
}

must_hold SAFETY -DN=1
must_hold SAFETY -DN=2
must_hold SAFETY -DN=3 -DLAZY=2
must_hold NP -DN=2 -DM=5
must_break "at the producer's sleep" SAFETY -DREACH_sleep=0
must_break "at the consumer's sleep" SAFETY -DREACH_sleep=1
must_break "without sleeping (a livelock)" NP -DWITHOUT_bell

# Every ordering that the source has, and every step that the model can leave out.
names=$(sed -n 's/.*ord:\([a-z_]*\) .*/\1/p' "$src/catmem/ring.c" "$src/catmem/ring.h")
[ -n "$names" ] || { echo "no orderings found in catmem/ring.[ch]"; exit 1; }
for name in $names; do
	must_break "without $name" SAFETY -DWEAK_"$name"
done
must_break "without second_look" SAFETY -DWITHOUT_second_look
exit $failed
