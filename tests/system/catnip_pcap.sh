#!/bin/sh
# CLOWDER_PCAP: what crossed a port, in a file that Wireshark reads; and what happens
# when it cannot be written, or no more.
. "$top_srcdir/tests/system/catnip_lib.sh"
command -v tshark >/dev/null || { echo "1..0 # SKIP no tshark"; exit 0; }

# packets FILE FILTER: how many
packets()
{
	tshark -r "$1" -Y "$2" -T fields -e frame.number 2>"$tmp/tshark" | wc -l
}

echo_start echo memif || not_ok "an echo"
CLOWDER_CATNIP_LINK='memif ring' CLOWDER_PCAP=$tmp/a.pcapng timeout 60 "$port" push other \
	>"$tmp/said" 2>&1 && ok "a port that is watched" || not_ok "a port that is watched"
n_pushed=$(sed -n 's/^pushed \([0-9]*\) .*/\1/p' "$tmp/said")
out=$(packets "$tmp/a.pcapng" 'eth.type == 0x88b5')
back=$(packets "$tmp/a.pcapng" 'eth.type == 0x88b6')
# and a few hellos
[ "$out" -ge "$n_pushed" ] && [ "$out" -lt $((n_pushed + 100)) ] && [ "$back" -ge "$n_pushed" ] &&
	ok "all that was pushed, and all that came back" ||
	{ echo "# $n_pushed pushed, $out out, $back back"; not_ok "all that was pushed"; }
inbound=$(packets "$tmp/a.pcapng" 'frame.packet_flags_direction == 1')
[ "$inbound" = "$back" ] && ok "with its direction" || not_ok "with its direction"
# the longest whole frame, and its last byte: byte i of packet n is n * 31 + i * 7 + i / 256
tshark -r "$tmp/a.pcapng" -Y 'eth.type == 0x88b5 && frame.len == 9014' -T fields -e data.data \
	2>/dev/null | head -n 1 | awk '{
	hex = "0123456789abcdef"
	for (i = 1; i <= 8; i++)
		d[i] = index(hex, substr($1, i, 1)) - 1
	num = (d[1] * 16 + d[2]) + (d[3] * 16 + d[4]) * 256 + (d[5] * 16 + d[6]) * 65536
	len = length($1) / 2 - 4
	for (i = 0; i < len; i++) {
		got = (index(hex, substr($1, 9 + 2 * i, 1)) - 1) * 16
		got += index(hex, substr($1, 10 + 2 * i, 1)) - 1
		if (got != (num * 31 + i * 7 + int(i / 256)) % 256)
			exit 1
	}
	exit len < 8000
}' && ok "every byte" || not_ok "every byte"
first=$(tshark -r "$tmp/a.pcapng" -c 1 -T fields -e frame.time_epoch 2>/dev/null)
now=$(date +%s)
[ "${first%.*}" -gt $((now - 100)) ] && [ "${first%.*}" -le "$now" ] && ok "the time of day" ||
	not_ok "the time of day ($first)"
[ "$(packets "$tmp/a.pcapng.1" eth)" -gt 0 ] && ok "the second port has a file of its own" ||
	not_ok "the second port has a file of its own"

# ---- it cannot be written
refused "no such directory" 2 'CLOWDER_PCAP' env CLOWDER_PCAP=/nonexistent/a \
	CLOWDER_CATNIP_LINK=ring "$port" open
refused "a full disk at the start" 28 'CLOWDER_PCAP' env CLOWDER_PCAP=/dev/full \
	CLOWDER_CATNIP_LINK=ring "$port" open

# survived FILE WHAT: the push went through, said one line, and the file is whole
survived()
{
	[ "$(grep -c 'CLOWDER_PCAP.*ends here' "$tmp/said")" = 1 ] || { not_ok "$2: said"; return; }
	n_whole=$(packets "$1" eth)
	if [ "$n_whole" -gt 10 ] && [ ! -s "$tmp/tshark.err" ] && ! grep -qi 'cut short' "$tmp/tshark"; then
		ok "$2"
	else
		not_ok "$2: $n_whole packets"
	fi
}
(ulimit -f $((128 * 2048)) # blocks of 512
	CLOWDER_CATNIP_LINK=memif CLOWDER_CATNIP_MEMORY=128M CLOWDER_PCAP=$tmp/b \
	exec timeout 60 "$port" push) >"$tmp/said" 2>&1 &&
	survived "$tmp/b" "a limit of the file's size" || not_ok "a limit of the file's size"
if unshare -m true 2>/dev/null; then
	mkdir "$tmp/full"
	unshare -m sh -c 'mount -t tmpfs -o size=256k none "$1/full" &&
		CLOWDER_CATNIP_LINK=ring CLOWDER_PCAP=$1/full/c timeout 60 "$2" loop &&
		cp "$1/full/c" "$1/c"' sh "$tmp" "$port" >"$tmp/said" 2>&1 &&
		survived "$tmp/c" "a disk that fills up" || not_ok "a disk that fills up"
fi
finish
