# Two network namespaces joined by a veth pair, for bench/run: ns_a has va with
# 10.99.0.1, ns_b has vb with 10.99.0.2. They and all in them go with veth_close.

veth_a=10.99.0.1 veth_b=10.99.0.2
ns_a= ns_b=

# veth_open: false, with the reason in $tmp/err, where that cannot be had
veth_open() {
	local n
	[ -z "$ns_a" ] || return 0
	have ip "Debian: iproute2" && have ethtool "Debian: ethtool" || return
	if [ "$(id -u)" -ne 0 ]; then
		echo "it wants root, for network namespaces" >"$tmp/err"
		return 1
	fi
	ns_a=clowder-bench-a-$$ ns_b=clowder-bench-b-$$
	{
		ip netns add $ns_a && ip netns add $ns_b || return
		for n in $ns_a $ns_b; do
			# Nobody speaks unasked; reno is the quickest of those that
			# any namespace may choose.
			ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
				net.ipv6.conf.default.disable_ipv6=1 net.ipv4.tcp_congestion_control=reno
			ip -n $n link set lo up
		done
		ip link add va netns $ns_a type veth peer name vb netns $ns_b &&
			ip -n $ns_a addr add $veth_a/24 dev va && ip -n $ns_b addr add $veth_b/24 dev vb &&
			ip -n $ns_a link set va up && ip -n $ns_b link set vb up
	} 2>"$tmp/err"
}
veth_close() {
	[ -z "$ns_a" ] || { ip netns del $ns_a; ip netns del $ns_b; } 2>/dev/null
	ns_a= ns_b=
}
# veth_offloads on|off: checksums, segmentation, and all that lets a frame be larger
# than the wire's
veth_offloads() {
	ip netns exec $ns_a ethtool -K va tx "$1" rx "$1" sg "$1" tso "$1" gso "$1" gro "$1" &&
		ip netns exec $ns_b ethtool -K vb tx "$1" rx "$1" sg "$1" tso "$1" gso "$1" gro "$1"
} >"$tmp/err" 2>&1
veth_congestion() { ip netns exec $ns_a sysctl -n net.ipv4.tcp_congestion_control; }
