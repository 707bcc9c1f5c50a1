#!/bin/sh
# The table of catnip/driver.c, driver by driver: buffers of every kind are pushed, and
# every byte compared, in both roles where a link has two.
. "$top_srcdir/tests/system/catnip_lib.sh"

# ---- pairs WHAT LINK-OF-THE-ECHO LINK-OF-THE-PUSHER [PREFIX...]
pairs()
{
	what=$1 echo=$2 push=$3
	shift 3
	if echo_start echo "$echo" "$@"; then
		push_ok "$what" "$push ring" "$@" "$port" push other
	else
		not_ok "$what"
	fi
	stop $pid
}

# later WHAT LINK-OF-THE-PUSHER LINK-OF-THE-ECHO [PREFIX...]: the echo is second
later()
{
	what=$1 push=$2 echo=$3
	shift 3
	(sleep 1; CLOWDER_CATNIP_LINK=$echo exec "$@" "$port" echo >/dev/null 2>&1) &
	later=$!
	pids="$pids $later"
	push_ok "$what" "$push ring" "$@" "$port" push other
	stop $later
}

# A few hugepages make one more kind of buffer, if they can be had.
pages=/sys/kernel/mm/hugepages/hugepages-2048kB
had=$(cat $pages/nr_hugepages 2>/dev/null || echo 0)
free=$(cat $pages/free_hugepages 2>/dev/null || echo 0)
if [ "$free" -lt 64 ] && [ -w $pages/nr_hugepages ]; then
	echo $((had + 64)) >$pages/nr_hugepages || :
	trap 'echo $had >$pages/nr_hugepages; cleanup' EXIT
fi

push_ok "ring with itself" ring "$port" loop
push_ok "ring of two" "ring:a ring:a" "$port" pair
pairs "memif, pushed by the client" memif memif
later "memif, pushed by the server" memif memif
pairs "vhost, pushed by virtio" "vhost:$tmp/vhost" "virtio:$tmp/vhost"

netns=clwd-$$
if ! ip netns add $netns 2>/dev/null; then
	echo "# no network namespaces: neither af_xdp nor af_packet nor tap"
	finish
fi
in_ns="ip netns exec $netns"
ip -n $netns link add va type veth peer name vb
for i in va vb; do
	ip -n $netns link set $i up
	$in_ns ethtool -K $i tx off rx off tso off gso off gro off >/dev/null 2>&1
done
pairs "af_packet" af_packet:va af_packet:vb $in_ns
pairs "af_xdp" af_xdp:va af_xdp:vb $in_ns
pairs "af_xdp, pushed by af_packet" af_xdp:va af_packet:vb $in_ns
later "tap, pushed by it" tap:ta af_packet:ta $in_ns
if echo_start echo tap:tb $in_ns; then
	ip -n $netns link set tb up
	push_ok "tap, pushed by af_packet" "af_packet:tb ring" $in_ns "$port" push other
else
	not_ok "tap, pushed by af_packet"
fi
grep -q ' 0 hugepages' "$tmp/said" && echo "# without hugepages"
finish
