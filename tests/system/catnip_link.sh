#!/bin/sh
# The link between two processes: who has which end, whoever comes first, whoever is
# killed; who is too many; and what is said about links that cannot be.
. "$top_srcdir/tests/system/catnip_lib.sh"

# ---- in either order
echo_start a memif || not_ok "a first process"
a=$pid
push_ok "the second is the client" memif "$port" push

# ---- a third
echo_start b memif || not_ok "a second process"
b=$pid
refused "a third is told of catnip.link" $EBUSY 'catnip[.]link' "$port" open
refused "a third thread, too" $EBUSY 'catnip[.]link' env CLOWDER_CATNIP_LINK='memif:x memif' \
	"$port" push other
push_ok "a link of another name is free" 'ring' "$port" loop

# ---- callers who leave before they are greeted, or talk nonsense
stop $b
sock=$tmp/run/catnip/memif-.sock
"$port" knock 3000 "$sock" >"$tmp/said" 2>&1 & k=$!
"$port" knock 3000 "$sock" >"$tmp/said2" 2>&1 && wait $k && kill -0 $a 2>/dev/null &&
	ok "callers who leave" || not_ok "callers who leave"
push_ok "and a peer after them" memif "$port" push
echo_start b memif || not_ok "a second process again"
b=$pid

# ---- EAL's thread is busy with something else: what it has to do at the end is given
# up, and does not come later
stop $b
push_ok "a client's end that is given up" memif "$port" slow 4000
stop $a
rm -f "$sock" # of the dead: the next is the server's
CLOWDER_CATNIP_LINK=memif "$port" slow 4000 >"$tmp/slow" 2>&1 & s=$!
pids="$pids $s"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -S "$sock" ] && break
	sleep 0.1
done
echo_start b memif || not_ok "a second process again"
b=$pid
status=0
wait $s || status=$?
forget $s
cp "$tmp/slow" "$tmp/said"
[ $status = 0 ] && ok "and a server's" || not_ok "and a server's"
echo_start a memif || not_ok "a first process again"
a=$pid

# ---- killed, and back. b is the client
stop $b
push_ok "a killed client is replaced" memif "$port" push
stop $a
[ -S "$tmp/run/catnip/memif-.sock" ] && ok "a dead server leaves its socket" ||
	not_ok "a dead server leaves its socket"
echo_start a memif || not_ok "a replaced server"
a=$pid
push_ok "a killed server is replaced" memif "$port" push

# ---- one end stays, the other comes and goes: server, then client
for end in server client stolen; do
	stop $a
	steal=
	if [ $end != client ]; then
		[ $end = server ] || steal=steal
		echo_start a memif || not_ok "a server"
		a=$pid
		CLOWDER_CATNIP_LINK=memif "$port" survive 5 $steal >"$tmp/said" 2>&1 &
		s=$!
	else
		CLOWDER_CATNIP_LINK=memif "$port" survive 5 $steal >"$tmp/said" 2>&1 &
		s=$!
		sleep 0.5
		echo_start a memif || not_ok "a client"
		a=$pid
	fi
	pids="$pids $s"
	for i in 1 2 3 4; do
		# it has to see each of them
		for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			grep -q "^up $i" "$tmp/said" && break
			sleep 0.1
		done
		sleep 0.3
		stop $a
		echo_start a memif || not_ok "an echo again"
		a=$pid
	done
	what="a $end that is killed again and again"
	[ $end != stolen ] || what="a server that comes back to one who cannot show its memory any more"
	status=0
	wait $s || status=$?
	forget $s
	if [ $status = 0 ] && { [ $end != stolen ] || grep -q 'packets are copied' "$tmp/said"; }; then
		ok "$what"
	else
		not_ok "$what"
	fi
done
stop $a

# ---- a long name of the runtime directory
CLOWDER_RUNTIME_DIR=$tmp/$(printf '%0150d' 0)/$(printf '%0150d' 0)
mkdir -p "$(dirname "$CLOWDER_RUNTIME_DIR")"
echo_start a memif || not_ok "an echo in a long path"
push_ok "a path longer than a Unix socket's" memif "$port" push
CLOWDER_RUNTIME_DIR=$tmp/run

# ---- what cannot be
bad() { refused "catnip.link $1" "$2" "$3" env CLOWDER_CATNIP_LINK="$1" "$port" open; }
bad memf $EINVAL 'memf'
bad memif: $EINVAL 'memif:'
bad memif:../x $EINVAL 'memif:[.][.]/x'
bad af_xdp $EINVAL 'af_xdp'
bad tap:a,b $EINVAL 'tap:a,b'
bad af_packet:nosuch0 $ENODEV 'no interface nosuch0'
bad af_xdp:nosuch0 $ENODEV 'no interface nosuch0'
bad vdev:net_nosuch0 $ENODEV 'net_nosuch0'
bad virtio:/nonexistent/sock $EIO 'virtio:/nonexistent/sock'
bad vhost:/nonexistent/sock $EIO 'vhost:/nonexistent/sock'
refused "the same ring three times" $EINVAL 'three times' \
	env CLOWDER_CATNIP_LINK='ring:a ring:a ring:a' "$port" open 3
refused "more MTU than the link has" $EINVAL 'inetstack_config[.]mtu' \
	env CLOWDER_INETSTACK_CONFIG_MTU=20000 "$port" open
refused "too little memory" 12 'catnip[.]memory' \
	env CLOWDER_CATNIP_MEMORY=64M CLOWDER_CATNIP_RX_BUFFERS=100000 "$port" open

refused "more memory than a file may have" 27 'catnip[.]memory' \
	sh -c 'ulimit -f 1000; exec "$0" open' "$port"

# ---- EAL's own arguments
given() { want=$2; refused "dpdk.eal_init $1" "$want" "$3" \
	env CLOWDER_DPDK_EAL_INIT="$1" "$port" open; }
given '--no-huge --no-pci --nosuch' $EINVAL 'dpdk[.]eal_init'
given '--no-huge --no-pci --no-telemetry --no-shconf' $ENODEV 'no port'
push_ok "dpdk.eal_init as it is given" x env CLOWDER_DPDK_EAL_INIT="--no-huge --no-pci \
--no-telemetry --no-shconf -m 256 --vdev=net_null0" "$port" open

# ---- nobody
if [ "$(id -u)" = 0 ] && runuser -u nobody true 2>/dev/null; then
	mkdir -m 700 "$tmp/nobody"
	chown nobody "$tmp/nobody"
	chmod 711 "$tmp"
	CLOWDER_RUNTIME_DIR=$tmp/nobody
	as="runuser -u nobody --"
	if $as test -x "$port"; then
		echo_start a memif $as || not_ok "an echo without root"
		push_ok "no root" memif $as "$port" push
		refused "tap without root" $EPERM 'no permission' env \
			CLOWDER_CATNIP_LINK=tap:clwd0 $as "$port" open
		refused "af_packet without root" $EPERM 'no permission' env \
			CLOWDER_CATNIP_LINK=af_packet:lo $as "$port" open
		refused "af_xdp without root" $EPERM 'no permission' env \
			CLOWDER_CATNIP_LINK=af_xdp:lo $as "$port" open
	fi
fi
finish
