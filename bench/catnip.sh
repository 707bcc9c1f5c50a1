# The figures of catnip, for bench/run.

# Where each end of a program runs, and with which settings: what stands before its
# command. The server is end b.
end_a=() end_b=()
# ... and behind it.
ends_behind=() ends_behind_server=()

# ends SECONDS COMMAND...: the same program as server and as client, each pinned; the
# client's stdout in $tmp/out
ends() {
	local limit=$1 pid status
	shift
	: >"$tmp/out"
	start_end "$limit" "$@" || return
	pid=${servers##* }
	measure "$limit" "${end_a[@]}" "$@" client --cpu "$cpu_a" "${ends_behind[@]}"
	status=$?
	stop_end "$pid"
	# A server that has failed says why the client did.
	[ $status -eq 0 ] || [ ! -s "$tmp/err.end" ] || cp "$tmp/err.end" "$tmp/err"
	return $status
}
# start_end SECONDS COMMAND...: the server alone, until it says that it listens
start_end() {
	local limit=$1 i
	shift
	: >"$tmp/server.end"
	timeout -k 1 $((limit + 10)) "${end_b[@]}" "$@" server --cpu "$cpu_b" \
		"${ends_behind_server[@]}" \
		>"$tmp/server.end" 2>"$tmp/err.end" &
	servers="$servers $!"
	for i in $(seq 250); do
		grep -q '^listening on' "$tmp/server.end" && return
		kill -0 $! 2>/dev/null || break
		sleep 0.02
	done
	cp "$tmp/err.end" "$tmp/err"
	[ -s "$tmp/err" ] || echo "its server did not start" >"$tmp/err"
	stop_end $!
	return 1
}
stop_end() {
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	servers=${servers% $1}
}
on_memif() {
	end_a=(env LIBOS=catnip) end_b=(env LIBOS=catnip)
}
# on_xdp: catnip takes the interfaces over while it runs; nobody else has its addresses
on_xdp() {
	end_a=(ip netns exec $ns_a env LIBOS=catnip CLOWDER_CATNIP_LINK=af_xdp:va
		CLOWDER_DEMIKERNEL_LOCAL_IPV4_ADDR=10.99.0.11)
	end_b=(ip netns exec $ns_b env LIBOS=catnip CLOWDER_CATNIP_LINK=af_xdp:vb
		CLOWDER_DEMIKERNEL_LOCAL_IPV4_ADDR=10.99.0.12)
}
on_kernel() { end_a=(ip netns exec $ns_a) end_b=(ip netns exec $ns_b); }

# p50 NAME...: what the last program printed, as $NAME
p50() { printf -v "$1" %s "$(figure p50_ns)"; [ -n "${!1}" ]; }
line_now() {
	measure 10 "$build/bench/floors/cacheline" 20 || return
	p50 "$1"
}
# steady FILE: of its rounds, whose first two columns are the line before and after,
# those in which the cores stayed where they were; the line's mean, and the rest
steady() {
	awk '$1 < 1.25 * $2 && $2 < 1.25 * $1 {
		line = ($1 + $2) / 2; $1 = ""; sub(/^ /, ""); $1 = ""; print line $0 }' "$tmp/$1" >"$tmp/$1.steady"
}
# column FILE N
column() { awk -v n="$2" '{ print $n }' "$tmp/$1" >"$tmp/values"; }
# row_us FIGURE FILE N: the median of a column of nanoseconds
row_us() {
	column "$2" "$3"
	row "$1" "$(printf %.2f "$(calc "$(median <"$tmp/values") / 1000")") us" "" "-" \
		"$(spread "$tmp/values" %.0f) ns"
}

# ---- catnip-latency

# raw_pong OPTIONS-OF-L2PINGPONG... -- VDEV-A VDEV-B: Ethernet frames over two ports
raw_pong() {
	local options=() status
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	[ -x "$build/bench/floors/l2pingpong" ] || { echo "built without catnip" >"$tmp/err"; return 1; }
	eal=(--no-huge --no-pci --no-telemetry --no-shconf --single-file-segments -m 256 --log-level=1)
	ends_behind=(-- "${eal[@]}" --vdev="$2")
	ends_behind_server=(-- "${eal[@]}" --vdev="$3")
	ends 20 "$build/bench/floors/l2pingpong" "${options[@]}"
	status=$?
	ends_behind=() ends_behind_server=()
	return $status
}
raw_memif() {
	local vdev=net_memif0,socket=$tmp/raw.sock,socket-abstract=no,bsize=9216,rsize=9
	rm -f "$tmp/raw.sock"
	end_a=() end_b=()
	raw_pong --ms 80 --room 9216 -- $vdev,role=client,zero-copy=yes $vdev,role=server
}
raw_xdp() {
	on_kernel
	raw_pong --ms 150 --batch 1 -- net_af_xdp0,iface=va net_af_xdp0,iface=vb
}
memif_round() {
	local before after raw udp tcp
	line_now before || return
	raw_memif && p50 raw || return
	on_memif
	ends 20 "$build/bench/roundtrip" --ms 80 --proto udp && p50 udp || return
	ends 20 "$build/bench/roundtrip" --ms 80 --proto tcp && p50 tcp || return
	line_now after || return
	echo "$before $after $raw $udp $tcp" >>"$tmp/memif"
	progress "memif: line $before, $after ns, raw $raw, UDP $udp, TCP $tcp ns"
}
xdp_round() {
	local before after raw tcp recv epoll block how
	line_now before || return
	raw_xdp && p50 raw || return
	on_xdp
	ends 20 "$build/bench/roundtrip" --ms 150 --batch 1 --addr 10.99.0.12 && p50 tcp || return
	on_kernel
	for how in recv epoll block; do
		ends 20 "$build/bench/floors/sockpong" --ms 150 --batch 1 --addr $veth_b --wait $how &&
			p50 $how || return
	done
	line_now after || return
	echo "$before $after $raw $tcp $recv $epoll $block" >>"$tmp/xdp"
	progress "AF_XDP: line $before, $after ns, raw $raw, TCP $tcp, kernel $recv, $epoll, $block ns"
}
bench_catnip_latency() {
	local i
	: >"$tmp/memif"
	: >"$tmp/xdp"
	for i in $(seq "${rounds:-7}"); do
		memif_round || { failed "catnip over memif, 64 B"; break; }
	done
	[ ! -s "$tmp/memif" ] || memif_rows
	if ! veth_open || ! veth_offloads off; then
		failed "catnip over AF_XDP, 64 B"
		return
	fi
	for i in $(seq "${rounds:-7}"); do
		xdp_round || { failed "catnip over AF_XDP, 64 B"; break; }
	done
	[ ! -s "$tmp/xdp" ] || xdp_rows
}
memif_rows() {
	steady memif
	row_us "memif, 64 B, p50: raw L2" memif.steady 2
	row_us "memif, 64 B, p50: catnip UDP" memif.steady 3
	row_us "memif, 64 B, p50: catnip TCP" memif.steady 4
	latency_judge memif.steady "memif: catnip UDP / raw L2" '$3 / $2' "<=" 1.5
	latency_judge memif.steady "memif: catnip TCP / raw L2" '$4 / $2' "<=" 2
}
xdp_rows() {
	local with
	with=$(veth_congestion)
	steady xdp
	row_us "AF_XDP on veth, 64 B, p50: raw L2" xdp.steady 2
	row_us "AF_XDP on veth, 64 B, p50: catnip TCP" xdp.steady 3
	row_us "veth, 64 B, p50: kernel TCP ($with), recv spins" xdp.steady 4
	row_us "veth, 64 B, p50: kernel TCP ($with), epoll spins" xdp.steady 5
	row_us "veth, 64 B, p50: kernel TCP ($with), blocking" xdp.steady 6
	latency_judge xdp.steady "AF_XDP: catnip TCP / raw L2" '$3 / $2' "<=" 1.3
	latency_judge xdp.steady "AF_XDP: catnip TCP / kernel TCP, recv spins" '$3 / $4' "<=" 0.75
}

# ---- catnip-cost

# The layer of each function that callgrind lists: by the file that its lines stand
# in, so that what is inlined counts where it was written.
layers='DPDK: driver, mbufs, mempools
catnip
net: Ethernet, ARP, IP
net: TCP, UDP in
net: TCP, UDP out
net: other
libos core
api
libc and the rest'
by_layer() {
	callgrind_annotate --auto=no --threshold=100 --show-percs=no "$tmp/callgrind" 2>/dev/null |
		awk -v n="$1" '
		{ number = $1; gsub(",", "", number) }
		number !~ /^[0-9]+$/ || $2 !~ /:/ || $0 ~ /PROGRAM TOTALS/ { next }
		{ file = $2; sub(/:.*/, "", file) }
		/\[.*librte_/ || file ~ /\/rte_[a-z0-9_]*\.h$/ || file ~ /\/dpdk\// { sum["DPDK: driver, mbufs, mempools"] += number; next }
		file ~ /(^|\/)catnip\// { sum["catnip"] += number; next }
		file ~ /(^|\/)net\/(eth|neigh|arp|ip|icmp|reass|csum|wire|out)[a-z0-9_]*\.[ch]$/ { sum["net: Ethernet, ARP, IP"] += number; next }
		file ~ /(^|\/)net\/(tcp_out|tcp_send|udp_out)[a-z0-9_]*\.[ch]$/ { sum["net: TCP, UDP out"] += number; next }
		file ~ /(^|\/)net\/(tcp|udp)[a-z0-9_]*\.[ch]$/ { sum["net: TCP, UDP in"] += number; next }
		file ~ /(^|\/)net\// { sum["net: other"] += number; next }
		file ~ /(^|\/)(libos|base)\// { sum["libos core"] += number; next }
		file ~ /(^|\/)api\// { sum["api"] += number; next }
		file ~ /servecost\.c$/ { next }
		{ sum["libc and the rest"] += number }
		END { for (layer in sum) printf "%s\t%.1f\n", layer, sum[layer] / n }' >"$tmp/layers"
}
# request_cost PROTO TARGET
request_cost() {
	local n=1024 total layer
	progress "$1, under callgrind"
	LD_BIND_NOW=1 LIBOS=catnip CLOWDER_CATNIP_LINK=ring measure 120 "$build/libtool" --mode=execute \
		valgrind --tool=callgrind --callgrind-out-file="$tmp/callgrind" --collect-atstart=no \
		--toggle-collect=servecost_serve "$build/bench/servecost" "$1" $n ||
		{ failed "instructions of a 64 B request, $1"; return; }
	by_layer $n
	total=$(awk -F '\t' '{ sum += $2 } END { printf "%.0f", sum }' "$tmp/layers")
	judge "64 B request at the server, $1, instructions" "$total" "" "<=" "$2" "exact"
	while read -r layer; do
		row "  $1: $layer" "$(awk -F '\t' -v l="$layer" '$1 == l { v = $2 } END { print v + 0 }' "$tmp/layers")" \
			"" "-" ""
	done <<<"$layers"
}
bench_catnip_cost() {
	have valgrind "Debian: valgrind" || { failed "instructions of a 64 B request"; return; }
	request_cost tcp 1500
	request_cost udp 700
}

# ---- catnip-bulk

# iperf OPTIONS...: Mbit/s over the veth pair, from a to b
iperf() {
	local pid status
	timeout -k 1 20 ip netns exec $ns_b iperf3 -s -1 >"$tmp/server.end" 2>&1 &
	pid=$!
	servers="$servers $pid"
	await_port_in $ns_b 5201 && measure 20 ip netns exec $ns_a iperf3 -c $veth_b -t 1 -f m "$@"
	status=$?
	stop_end $pid
	[ $status -eq 0 ] || return
	mbps=$(awk '/receiver/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ /bits\/sec/) print $i }' "$tmp/out")
	[ -n "$mbps" ]
}
await_port_in() {
	local i
	for i in $(seq 100); do
		[ -z "$(ip netns exec "$1" ss -Hltn "sport = :$2")" ] || return 0
		sleep 0.02
	done
	echo "nobody listens on port $2" >"$tmp/err"
	return 1
}
# iperf_best: of every congestion control; $best and $best_with
iperf_best() {
	local with mbps
	best=0 best_with=
	for with in $(ip netns exec $ns_a sysctl -n net.ipv4.tcp_available_congestion_control); do
		iperf -C "$with" || continue
		holds "$mbps > $best" && best=$mbps best_with=$with
	done
	[ -n "$best_with" ]
}
bulk_round() {
	local ours best best_with off mbps
	on_memif
	ends 30 "$build/bench/bulk" --ms 1000 || return
	ours=$(calc "$(figure gbps) * 1000")
	veth_offloads on && iperf_best || return
	on=$best on_with=$best_with
	iperf -C "$on_with" -Z || mbps=0
	veth_offloads off && iperf_best || return
	off=$best
	echo "$ours $on $off $mbps" >>"$tmp/bulk"
	progress "catnip $ours, iperf3 $on Mbit/s ($on_with; sendfile $mbps), without offloads $off ($best_with)"
}
# row_gbps FIGURE N
row_gbps() {
	column bulk "$2"
	row "$1" "$(printf %.1f "$(calc "$(median <"$tmp/values") / 1000")") Gbit/s" "" "-" \
		"$(spread "$tmp/values" %.0f) Mbit/s"
}
bench_catnip_bulk() {
	local i on on_with
	push_copies
	: >"$tmp/bulk"
	if ! have iperf3 "Debian: iperf3" || ! veth_open; then
		failed "one TCP connection, bulk"
		return
	fi
	for i in $(seq "${rounds:-5}"); do
		bulk_round || { failed "one TCP connection, bulk"; break; }
	done
	[ -s "$tmp/bulk" ] || return
	row_gbps "bulk, catnip over memif" 1
	row_gbps "bulk, iperf3 over veth, its best ($on_with)" 2
	row_gbps "bulk, iperf3 over veth, no offloads" 3
	row_gbps "bulk, iperf3 -Z over veth (sendfile)" 4
	awk '{ print $1 / $2 }' "$tmp/bulk" >"$tmp/ratios"
	judge_file "bulk, catnip / iperf3" ratios ">=" 1.2
	awk '{ print $1 / $3 }' "$tmp/bulk" >"$tmp/ratios"
	judge_file "bulk, catnip / iperf3, no offloads" ratios ">=" 4
}

# The instructions that write data (callgrind's Dw) in whatever copies memory, in the
# client of bench/bulk: a vector of 32 bytes each at most. What DPDK's driver does
# behind the stack is not in it: memif's own copy into the link is in its library.
copy_writes() {
	callgrind_annotate --auto=no --threshold=100 --show-percs=no --show=Dw "$tmp/callgrind" 2>/dev/null |
		awk '{ number = $1; gsub(",", "", number) }
			number !~ /^[0-9]+$/ || /\[.*librte_/ { next }
			/:[_a-z]*mem(p?cpy|move)/ || /rte_memcpy\.h:/ || /\/copy\.h:/ { sum += number }
			END { print sum + 0 }'
}
# push_writes COUNT TOUCH: $writes of a client that pushes 1 MiB so often
push_writes() {
	local pid status
	on_memif
	start_end 60 "$build/bench/bulk" || return
	pid=${servers##* }
	LD_BIND_NOW=1 LIBOS=catnip measure 60 "$build/libtool" --mode=execute valgrind --tool=callgrind \
		--cache-sim=yes --callgrind-out-file="$tmp/callgrind" \
		"$build/bench/bulk" client --cpu "$cpu_a" --count "$1" --touch "$2"
	status=$?
	stop_end "$pid"
	[ $status -eq 0 ] || return
	writes=$(copy_writes)
}
push_copies() {
	local writes few many copied
	if ! have valgrind "Debian: valgrind"; then
		failed "bytes copied by a push of 1 MiB"
		return
	fi
	progress "pushes of 1 MiB, under callgrind"
	push_writes 4 no && few=$writes && push_writes 12 no && many=$writes &&
		push_writes 4 copy && copied=$writes || { failed "bytes copied by a push of 1 MiB"; return; }
	judge "bytes copied in the stack by a push of 1 MiB" "$(calc "int(32 * ($many - $few) / 8)")" "" "<=" 32768 \
		"headers; a memcpy() in the program adds $(awk "BEGIN { printf \"%d\", 32 * ($copied - $few) / 4 }")"
}

# ---- catnip-idle

# A pair of its own for each round: closed connections keep their ports for a minute.
many_idle() {
	local i what="10,000 idle"
	: >"$tmp/ratios"
	for i in $(seq "${rounds:-7}"); do
		LIBOS=catnip measure 60 "$build/bench/pingpong" --next-n --ms 120 --idle 10000 ||
			{ failed "catnip, $what"; return; }
		awk '{ print $4 / $2 }' "$tmp/out" >>"$tmp/ratios"
		progress "$what: $(cat "$tmp/out") ns"
	done
	judge_file "catnip p50 with $what / without" ratios "<" 1.1
}
bench_catnip_idle() {
	many_idle
	catnip_idle_bytes
	connects
	idle_server
}
catnip_idle_bytes() {
	idle_cost catnip 10000 || return
	judge_bytes "catnip idle connection: the worse of both ends" rss 768
}
connects_round() {
	local ours kernel one
	on_memif
	ends 20 "$build/bench/connects" --ms 300 || return
	ours=$(figure connects_per_s)
	on_kernel
	ends 20 "$build/bench/floors/sockconnects" --ms 300 --addr $veth_b || return
	kernel=$(figure connects_per_s)
	ends 20 "$build/bench/floors/sockconnects" --ms 300 --addr $veth_b --inflight 1 || return
	one=$(figure connects_per_s)
	echo "$ours $(printf '%s\n' "$kernel" "$one" | most)" >>"$tmp/connects"
	progress "connects a second: catnip $ours, kernel $kernel, one at a time $one"
}
connects() {
	local i
	: >"$tmp/connects"
	veth_open || { failed "connects a second"; return; }
	veth_offloads on
	for i in $(seq "${rounds:-5}"); do
		connects_round || { failed "connects a second"; break; }
	done
	[ -s "$tmp/connects" ] || return
	for i in 1:catnip "2:kernel over veth"; do
		column connects "${i%%:*}"
		row "connects a second, ${i#*:}" "$(median <"$tmp/values")" "" "-" "$(spread "$tmp/values" %.0f)"
	done
	awk '{ print $1 / $2 }' "$tmp/connects" >"$tmp/ratios"
	judge_file "connects a second, catnip / kernel" ratios ">=" 5
}
# busy_ns PID: what all its threads have had of a core
busy_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f", sum }'; }
# busy_share PID: adds to $tmp/idle how much of a core it takes, three times
busy_share() {
	local i from
	for i in 1 2 3; do
		from=$(busy_ns "$1")
		sleep 1
		calc "($(busy_ns "$1") - $from) / 1e7" >>"$tmp/idle"
		echo >>"$tmp/idle"
	done
}
# An idle server: before anybody has come, and with a client that is connected and
# says nothing.
idle_server() {
	local pid client
	progress "an idle server"
	on_memif
	start_end 30 "$build/bench/roundtrip" || { failed "an idle server"; return; }
	pid=${servers##* }
	: >"$tmp/idle"
	busy_share "$(pgrep -P "$pid")"
	judge "an idle server over memif, alone: of a core" "$(printf %.1f "$(median <"$tmp/idle")")" " %" "<" 5 "$(spread "$tmp/idle" %.1f) %"
	"${end_a[@]}" "$build/bench/roundtrip" client --ms 50 --hold 4000 >/dev/null 2>"$tmp/err" &
	client=$!
	servers="$servers $client"
	sleep 1
	: >"$tmp/idle"
	busy_share "$(pgrep -P "$pid")"
	kill -0 $client 2>/dev/null || { failed "an idle server with a client"; stop_servers; return; }
	judge "an idle server over memif, connected: of a core" "$(printf %.1f "$(median <"$tmp/idle")")" " %" "<" 5 "$(spread "$tmp/idle" %.1f) %"
	stop_servers
}
