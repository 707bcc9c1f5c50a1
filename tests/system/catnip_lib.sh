# For scripts about catnip's ports: $port, start, and no trace left behind.
set -eu
port=$top_builddir/tests/system/catnip_port
tmp=$(mktemp -d)
CLOWDER_RUNTIME_DIR=$tmp/run
export CLOWDER_RUNTIME_DIR
unset CONFIG_PATH CLOWDER_PCAP CLOWDER_LOG LIBOS || :
# libxdp's own, when a socket is closed
echo 'leak:xsk_umem__create' >"$tmp/lsan"
LSAN_OPTIONS=suppressions=$tmp/lsan:print_suppressions=0
export LSAN_OPTIONS
pids=
EIO=5 EBUSY=16 ENODEV=19 EINVAL=22 EPERM=1


cleanup()
{
	stop $pids
	[ -z "${netns:-}" ] || ip netns del "$netns" 2>/dev/null || :
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# forget PID: it has been waited for, and its number may be another's
forget()
{
	left=
	for q in $pids; do
		[ "$q" = "$1" ] || left="$left $q"
	done
	pids=$left
}

# stop PID...: of our children
stop()
{
	for p in "$@"; do
		kill -9 "$p" 2>/dev/null || :
		wait "$p" 2>/dev/null || :
		forget "$p"
	done
}

n=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok()
{
	n=$((n + 1))
	echo "not ok $n - $1"
	sed 's/^/# /' "$tmp/said" 2>/dev/null || :
	failed=1
}
failed=0
finish() { echo "1..$n"; exit $failed; }

# echo_start NAME LINKS [PREFIX...]: an echo in the background, ready; its pid in $pid
echo_start()
{
	name=$1 links=$2
	shift 2
	rm -f "$tmp/$name"
	CLOWDER_CATNIP_LINK=$links "$@" "$port" echo >"$tmp/$name" 2>&1 &
	pid=$!
	pids="$pids $pid"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		grep -qs ready "$tmp/$name" && return 0
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	cp "$tmp/$name" "$tmp/said"
	return 1
}

# push_ok WHAT LINKS HOW...: a line of TAP about a pusher that has to succeed
push_ok()
{
	what=$1 links=$2
	shift 2
	if CLOWDER_CATNIP_LINK=$links timeout 60 "$@" >"$tmp/said" 2>&1; then
		ok "$what"
	else
		not_ok "$what"
	fi
}

# refused WHAT STATUS WORDS COMMAND...: fails with that errno after one line
refused()
{
	what=$1 want=$2 words=$3
	shift 3
	status=0
	timeout 60 "$@" >"$tmp/said" 2>&1 || status=$?
	grep -v 'bare: cannot start' "$tmp/said" >"$tmp/lines" || :
	if [ $status -eq "$want" ] && [ "$(wc -l <"$tmp/lines")" -eq 1 ] &&
	   grep -q -- "$words" "$tmp/lines"; then
		ok "$what"
	else
		echo "# status $status, wanted $want and: $words"
		not_ok "$what"
	fi
}
