# Two network namespaces and what joins them: source it behind apps.sh. One is the
# kernel's ($in_k COMMAND), in the other a program of ours runs over whatever backend
# ($in_d COMMAND). Their names have this script's pid, and they end with it.

netns_k=clwk$$
netns_d=clwd$$
k_addr=10.77.0.1
d_addr=10.77.0.2
in_k="ip netns exec $netns_k"
in_d="ip netns exec $netns_d"

netns_cleanup() {
	for ns in "$netns_k" "$netns_d"; do
		ip netns del "$ns" 2>/dev/null
	done
	cleanup
}

# netns_start: both namespaces, with a loopback
netns_start() {
	[ "$(id -u)" -eq 0 ] || skip "network namespaces need root"
	for tool in ip ethtool; do
		command -v "$tool" >/dev/null || skip "no $tool (Debian: iproute2, ethtool)"
	done
	trap netns_cleanup EXIT
	ip netns add "$netns_k" 2>"$tmp/netns" || skip "no network namespaces: $(cat "$tmp/netns")"
	ip netns add "$netns_d" || fail "no second namespace"
	$in_k ip link set lo up
	$in_d ip link set lo up
	# what a connection has learnt is not the next one's
	$in_k sysctl -qw net.ipv4.tcp_no_metrics_save=1
}

# What it sends is what is on a wire: whole checksums, no packet longer than the MTU.
# offloads_off NAMESPACE INTERFACE
offloads_off() {
	ip netns exec "$1" ethtool -K "$2" rx off tx off sg off tso off gso off gro off \
		>/dev/null 2>&1
}

# veth_start: k0 in the one, with $k_addr, and d0 in the other, without an address
veth_start() {
	ip link add k0 netns "$netns_k" type veth peer name d0 netns "$netns_d" ||
		fail "no veth pair"
	offloads_off "$netns_k" k0
	offloads_off "$netns_d" d0
	$in_d sysctl -qw net.ipv6.conf.d0.disable_ipv6=1 2>/dev/null
	$in_k sysctl -qw net.ipv6.conf.k0.disable_ipv6=1 2>/dev/null
	$in_k ip addr add "$k_addr/24" dev k0
	$in_k ip link set k0 up
	$in_d ip link set d0 up
}

veth_stop() {
	$in_k ip link del k0
}

# tap_configure: t0, which a program of ours makes in the kernel's namespace when it
# starts, and which goes with it, gets $k_addr
tap_configure() {
	for _ in $(seq 500); do
		! $in_k ip link show dev t0 >/dev/null 2>&1 || break
		sleep 0.02
	done
	offloads_off "$netns_k" t0
	$in_k sysctl -qw net.ipv6.conf.t0.disable_ipv6=1 2>/dev/null
	$in_k ip addr add "$k_addr/24" dev t0
	$in_k ip link set t0 up
}

# The congestion control of the kernel's side.
netns_cc() {
	$in_k sysctl -n net.ipv4.tcp_congestion_control
}
