# Builds the simulator without autotools, whole or with a few files in place of
# others: for tests/sim/mutations and tests/sim/mutate, which source it with $top set
# and are in a directory of their own.

sim_cc="${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -w"

# sim_compile OBJECT FILE [FLAG...]: what is found through a flag goes before the tree
sim_compile() {
	sim_object=$1 sim_file=$2
	shift 2
	case $sim_file in
	*/net/*.c) set -- "$@" -include "$top/tests/sim/netheap.h" ;;
	esac
	$sim_cc "$@" -I. -I"$top" -I"$top/api" -c -o "$sim_object" "$sim_file"
}

# sim_compile_all DIR
sim_compile_all() {
	mkdir -p "$1" || return
	: >config.h
	for sim_source in "$top"/net/*.c "$top"/base/*.c "$top"/tests/sim/*.c; do
		sim_name=$(basename "$(dirname "$sim_source")")_$(basename "$sim_source" .c)
		sim_compile "$1/$sim_name.o" "$sim_source" || return
	done
}

# sim_link PROGRAM DIR OTHER: the objects of DIR, but those that are in OTHER from there
sim_link() {
	sim_objects=
	for sim_object in "$2"/*.o; do
		sim_name=$(basename "$sim_object")
		[ ! -f "$3/$sim_name" ] || sim_object=$3/$sim_name
		sim_objects="$sim_objects $sim_object"
	done
	$sim_cc -o "$1" $sim_objects -lsodium -lpthread
}

# sim_why LOG STATUS: the first failure of a run, "seed N: what"
sim_why() {
	[ "$2" -ne 124 ] || { echo "hangs"; return; }
	awk '
	/^seed [0-9]+: FAILED at / && !why { why = $0; sub(/FAILED at [0-9.]+ s: /, "", why) }
	/Assertion/ && !assertion { assertion = $0; sub(/^.*Assertion/, "assertion", assertion) }
	/^seed [0-9]+: / && !why { why = $0 ~ /Aborted/ && assertion ? $1 " " $2 " " assertion : $0 }
	END { print why ? why : "it ended badly" }' "$1" | cut -c1-120
}
