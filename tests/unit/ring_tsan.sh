#!/bin/sh
# The ring under ThreadSanitizer, both ends as threads over one mapping: clean as
# it is, and a report for each release and acquire that is weakened to relaxed.
# The orderings are the lines of catmem/ring.[ch] with a tag `ord:NAME`. Those of
# the sleep protocol (seq_cst) order a store before a load, which no race detector
# sees; tests/models/run.sh judges them.
set -u

src=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${top_builddir:-$src}
cc=${CC:-$(sed -n 's/^CC = //p' "$build/Makefile" 2>/dev/null)}
cc=${cc:-cc}
model=$src/tests/models/ring.pml
dir=$(mktemp -d "${TMPDIR:-/tmp}/ring_tsan.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
TSAN_OPTIONS="halt_on_error=1 exitcode=66"
export TSAN_OPTIONS
[ -f "$build/config.h" ] || { mkdir -p "$dir/conf" && : >"$dir/conf/config.h"; }

# build OUT: from the copy of the ring in $dir/ring
build() {
	$cc -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=thread -fno-omit-frame-pointer \
		-I"$dir/ring" -I"$dir/conf" -I"$build" -I"$src" -o "$1" \
		"$src/tests/unit/ring_tsan.c" "$src/tests/unit/ring_pair.c" \
		"$dir/ring/catmem/ring.c" -lpthread
}

copy() {
	rm -rf "$dir/ring"
	mkdir -p "$dir/ring/catmem"
	cp "$src/catmem/ring.c" "$src/catmem/ring.h" "$dir/ring/catmem"
}

skip() {
	echo "skipped: $1"
	cat "$dir/log"
	exit 77
}

# Some kernels' address space layouts are too random for TSan's shadow.
run=
can_run() {
	printf '#include <pthread.h>\nint main(void) { return 0; }\n' >"$dir/try.c"
	$cc -fsanitize=thread -o "$dir/try" "$dir/try.c" -lpthread 2>"$dir/log" ||
		skip "$cc cannot link -fsanitize=thread"
	"$dir/try" >"$dir/log" 2>&1 && return
	run="setarch $(uname -m) -R"
	$run "$dir/try" >"$dir/log" 2>&1 || skip "ThreadSanitizer does not start"
}

# outcome PROGRAM [sleeping]: clean, race, or what else went wrong
outcome() {
	# shellcheck disable=SC2086
	timeout 100 $run "$@" >"$dir/log" 2>&1
	case $? in
	0) echo clean ;;
	66) grep -q 'data race' "$dir/log" && echo race || echo "a report of another kind" ;;
	124) echo "hangs" ;;
	*) echo "fails ($(grep '^ring:' "$dir/log" | head -n 1))" ;;
	esac
}

# Every ordering must have a name.
untagged=$(grep -n 'memory_order_[a-z]' "$src/catmem/ring.c" "$src/catmem/ring.h" |
	grep -v -e 'memory_order_relaxed' -e 'ord:[a-z]')
if [ -n "$untagged" ]; then
	echo "not ok: orderings without a tag:"
	echo "$untagged"
	exit 1
fi

can_run
failed=0
copy
build "$dir/as_it_is" || exit 1
for how in '' sleeping; do
	result=$(outcome "$dir/as_it_is" $how)
	echo "as it is ${how:-spinning}: $result"
	[ "$result" = clean ] || { failed=1; cat "$dir/log"; }
done

names=$(sed -n 's/.*memory_order_.*ord:\([a-z_]*\).*/\1/p' "$src/catmem/ring.c" "$src/catmem/ring.h")
[ -n "$names" ] || { echo "not ok: no orderings found"; exit 1; }
for name in $names; do
	if grep -h "ord:$name " "$src/catmem/ring.c" "$src/catmem/ring.h" | grep -q seq_cst; then
		if grep -q "WEAK_$name\>" "$model"; then
			echo "$name to relaxed: a store before a load, for tests/models/run.sh to judge"
		else
			failed=1
			echo "$name: NOT JUDGED, neither here nor by $model"
		fi
		continue
	fi
	copy
	sed -i "/ord:$name /s/memory_order_[a-z_]*/memory_order_relaxed/" "$dir"/ring/catmem/ring.[ch]
	build "$dir/weak" || exit 1
	result=$(outcome "$dir/weak")
	if [ "$result" = clean ]; then
		failed=1
		echo "$name to relaxed: NOT CAUGHT"
	else
		echo "$name to relaxed: caught, $result"
	fi
done
exit $failed
