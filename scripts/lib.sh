# Shared by scripts/demo and scripts/check: source it with $top set to the top of
# the tree. People read stderr, where the steps go; stdout is for the result.

began=$(date +%s)
jobs=$(nproc 2>/dev/null || echo 1)
step_pid=

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# The step under way ends with us. (A shell starts it deaf to the interrupt key.)
stop_step() {
	[ -z "$step_pid" ] || kill -TERM "$step_pid" 2>/dev/null
}

trap 'stop_step; exit 130' INT
trap 'stop_step; exit 143' TERM HUP

elapsed() {
	seconds=$(($(date +%s) - began))
	printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}

# tell TEXT: one line about how it goes
tell() {
	[ ! -t 2 ] || printf '\r\033[K' >&2
	printf '[%s] %s\n' "$(elapsed)" "$*" >&2
}

# Once a second on a terminal, every half minute elsewhere.
still() {
	if [ -t 2 ]; then
		printf '\r\033[K[%s] %s' "$(elapsed)" "$1" >&2
	elif [ $(($2 % 30)) -eq 0 ]; then
		tell "$1: still at it"
	fi
}

# step TITLE LOG COMMAND...: runs it with its output in LOG, and shows that it
# runs. Its exit status is the command's.
step() {
	step_title=$1 step_log=$2
	shift 2
	[ -t 2 ] || tell "$step_title"
	"$@" >"$step_log" 2>&1 </dev/null &
	step_pid=$!
	step_seconds=0
	while kill -0 "$step_pid" 2>/dev/null; do
		[ "$step_seconds" -eq 0 ] && [ ! -t 2 ] || still "$step_title" "$step_seconds"
		sleep 1
		step_seconds=$((step_seconds + 1))
	done
	wait "$step_pid"
	step_status=$?
	step_pid=
	if [ "$step_status" -eq 0 ]; then
		[ ! -t 2 ] || tell "$step_title: done"
	else
		tell "$step_title: FAILED (all of it: $step_log)"
	fi
	return "$step_status"
}

# packages SECTION...: the names in those sections of scripts/packages
packages() {
	awk -v want=" $* " '
		/^# \[.*\]/ { on = index(want, " " substr($2, 2, length($2) - 2) " ") }
		{ sub(/#.*/, "") }
		on && NF { print $1 }' "$top/scripts/packages"
}

# missing_packages SECTION...
missing_packages() {
	for package in $(packages "$@"); do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
			grep -qx installed || echo "$package"
	done
}

install_packages() {
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	apt-get update && apt-get install -y --no-install-recommends "$@"
}

# need_packages LOG SECTION...: installs what is missing, or says what and ends
need_packages() {
	need_log=$1
	shift
	if ! command -v dpkg-query >/dev/null 2>&1; then
		tell "not a Debian system: taking it that what scripts/packages lists is there"
		return
	fi
	missing=$(missing_packages "$@" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		die "packages are missing; as root: apt-get install ${missing% }"
	fi
	step "installing ${missing% }" "$need_log" install_packages $missing ||
		{ tail -n 5 "$need_log" >&2; die "cannot install ${missing% }"; }
}

# The configure script is there, and no older than what it is made of.
configure_is_new() {
	[ -x "$top/configure" ] && [ -z "$(find "$top" -path "$top/build*" -prune -o \
		\( -name '*.am' -o -name configure.ac -o -path '*/m4/clowder*.m4' \) \
		-newer "$top/configure" -print)" ]
}

configure_dir() {
	configure_is_new || (cd "$top" && autoreconf -fi) || return
	[ ! -f "$1/config.status" ] || [ "$top/configure" -nt "$1/config.status" ] || return 0
	configure_in=$1
	shift
	(cd "$configure_in" && "$top/configure" "$@")
}

# build DIR LOG "TARGETS" [OPTION...]: configures with the options where that has
# not been done, and makes the targets ("": all)
build() {
	build_dir=$1 build_log=$2 build_targets=$3
	shift 3
	mkdir -p "$build_dir" || return
	step "configuring $build_dir" "$build_log" configure_dir "$build_dir" "$@" || return
	step "building $build_dir" "$build_log" make -C "$build_dir" -j"$jobs" $build_targets
}

# sum_tests LOG...: "passed failed skipped" of all summaries of make check in them
sum_tests() {
	awk '/^# (PASS|XFAIL): / { passed += $3 }
		/^# (FAIL|XPASS|ERROR): / { failed += $3 }
		/^# SKIP: / { skipped += $3 }
		END { print passed + 0, failed + 0, skipped + 0 }' "$@" /dev/null
}

# failed_tests LOG: their names, a line each
failed_tests() {
	sed -n 's/^\(FAIL\|XPASS\|ERROR\): /\1: /p' "$1"
}
