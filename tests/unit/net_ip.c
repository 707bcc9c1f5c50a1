#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* IPv4: what is taken in (RFC 791, 1122 3.2.1), and where packets go. */

static struct bed *bed;
static struct net_sock *any;

static void setup(void)
{
	bed = bed_open(NULL);
	bed_learn(bed, 2);
	any = bed_udp_socket(bed, "0.0.0.0", 7);
}

static void teardown(void)
{
	bed_close(bed);
}

static bool arrived(void)
{
	struct net_seg seg;

	if (net_recv(any, &seg, NULL))
		return false;
	bed_put(&seg);
	return true;
}

static struct frame *datagram(void)
{
	return bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20);
}

/* ---- input */

START_TEST(test_good)
{
	bed_input(bed, datagram());
	bed_expect_datagram(any, 20, 0);
	bed_expect_count(bed, UDP_IN, 1);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

enum fixed { AS_IT_IS, FIXED };

/* One byte of the IP header is another; with a checksum that is right again. */
static const struct {
	uint32_t at;
	uint8_t value;
	enum fixed fixed;
	enum net_count why;
} headers[] = {
	{ 0, 0x55, FIXED, NET_C_IP_BAD },	/* version */
	{ 0, 0x05, FIXED, NET_C_IP_BAD },
	{ 0, 0x65, FIXED, NET_C_IP_BAD },
	{ 0, 0x44, FIXED, NET_C_IP_BAD },	/* header length */
	{ 0, 0x40, FIXED, NET_C_IP_BAD },
	{ 0, 0x4f, FIXED, NET_C_IP_BAD },	/* options that are none */
	{ 2, 1, FIXED, NET_C_IP_BAD },		/* longer than the frame */
	{ 3, 49, FIXED, NET_C_IP_BAD },
	{ 3, 19, FIXED, NET_C_IP_BAD },		/* shorter than its header */
	{ 3, 0, FIXED, NET_C_IP_BAD },
	{ 3, 27, FIXED, NET_C_UDP_BAD },	/* no room for UDP's */
	{ 1, 1, AS_IT_IS, NET_C_IP_BAD_CSUM },
	{ 8, 1, AS_IT_IS, NET_C_IP_BAD_CSUM },
	{ 10, 0, AS_IT_IS, NET_C_IP_BAD_CSUM },
	{ 9, 200, FIXED, NET_C_IP_NO_PROTO },
	{ 12, 224, FIXED, NET_C_IP_BAD_SOURCE }, /* multicast */
	{ 12, 240, FIXED, NET_C_IP_BAD_SOURCE }, /* reserved */
	{ 12, 127, FIXED, NET_C_IP_BAD_SOURCE }, /* loopback */
	{ 12, 0, FIXED, NET_C_IP_BAD_SOURCE },	/* "this network" */
	{ 15, 255, FIXED, NET_C_IP_BAD_SOURCE }, /* everybody on ours */
	{ 15, 1, FIXED, NET_C_IP_BAD_SOURCE },	/* ourselves */
	{ 16, 11, FIXED, NET_C_IP_NOT_OURS },
	{ 19, 9, FIXED, NET_C_IP_NOT_OURS },
	{ 16, 224, FIXED, NET_C_IP_NOT_OURS },
	{ 16, 127, FIXED, NET_C_IP_NOT_OURS },
	{ 16, 0, FIXED, NET_C_IP_NOT_OURS },
};

START_TEST(test_bad_header)
{
	struct frame *f = datagram();

	f->data[NET_ETH_LEN + headers[_i].at] = headers[_i].value;
	if (headers[_i].fixed)
		bed_fix(f);
	bed_input(bed, f);
	ck_assert(!arrived());
	ck_assert_uint_eq(bed->count[headers[_i].why], 1);
	bed_input(bed, datagram());
	ck_assert(arrived());
}
END_TEST

/* The hot path's memory of the last packet does not let a bad one in. */
START_TEST(test_bad_header_after_good_one)
{
	struct frame *f;

	bed_input(bed, datagram());
	ck_assert(arrived());
	f = datagram();
	f->data[NET_ETH_LEN + headers[_i].at] = headers[_i].value;
	if (headers[_i].fixed)
		bed_fix(f);
	bed_input(bed, f);
	ck_assert(!arrived());
	ck_assert_uint_eq(bed->count[headers[_i].why], 1);
}
END_TEST

/* Many who send in turn, among them some who cannot. */
START_TEST(test_many_sources)
{
	static const char *const bad[] = { "0.0.0.0", "0.0.0.1", "10.0.0.1", "10.0.0.255",
					   "255.255.255.255", "127.0.0.1", "224.1.1.1" };
	uint64_t n = 0;
	char src[16];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(src, sizeof(src), "%u.%u.%u.%u", 1 + i % 120, i / 120, i % 7, i % 250);
		bed_input(bed, bed_udp(src, 9, "10.0.0.1", 7, NULL, 20));
		ck_assert(arrived());
		bed_input(bed, bed_udp(bad[i % 7], 9, "10.0.0.1", 7, NULL, 20));
		ck_assert(!arrived());
		bed_expect_count(bed, IP_BAD_SOURCE, ++n);
	}
}
END_TEST

/* Who was in order before may be ourselves now. */
START_TEST(test_source_becomes_ours)
{
	struct net_ip ip = bed_ip("10.0.0.2");

	bed_input(bed, datagram());
	ck_assert(arrived());
	ck_assert_int_eq(net_local_add(bed->stack, &ip, 24, false), 0);
	bed_input(bed, datagram());
	ck_assert(!arrived());
	bed_expect_count(bed, IP_BAD_SOURCE, 1);
}
END_TEST

START_TEST(test_all_zero)
{
	struct frame *f = datagram();

	memset(f->data + NET_ETH_LEN, 0, f->len - NET_ETH_LEN);
	bed_input(bed, f);
	bed_expect_count(bed, IP_BAD, 1);
	f = datagram();
	memset(f->data + NET_ETH_LEN + 12, 0, 8);
	bed_fix(f);
	bed_input(bed, f);	/* from 0.0.0.0 to it */
	bed_expect_count(bed, IP_NOT_OURS, 1);
}
END_TEST

/* Time to live is for routers (RFC 1122 3.2.1.7); the type of service is not looked
 * at, nor is the bit that has no meaning. */
START_TEST(test_does_not_matter)
{
	struct frame *f = datagram();

	f->data[NET_ETH_LEN + 8] = (uint8_t)_i;
	f->data[NET_ETH_LEN + 1] = 0xff;
	f->data[NET_ETH_LEN + 6] = _i ? 0x80 : 0x40;
	bed_fix(f);
	bed_input(bed, f);
	bed_expect_datagram(any, 20, 0);
}
END_TEST

/* Every length that the frame may be cut to. */
START_TEST(test_truncated)
{
	struct frame *f = datagram();

	for (f->len--; f->len; f->len--)
		bed_input(bed, f);
	ck_assert(!arrived());
	bed_expect_count(bed, ETH_BAD, NET_ETH_LEN - 1);
	bed_expect_count(bed, IP_BAD, 48);
}
END_TEST

/* Ethernet pads what is short; IP's length counts. */
START_TEST(test_padding)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 5);

	memset(f->data + f->len, 0xaa, 13);
	f->len += 13;
	bed_input(bed, f);
	bed_expect_datagram(any, 5, 0);
}
END_TEST

START_TEST(test_ethernet)
{
	struct frame *f = datagram();

	f->data[5] = 9; /* to another */
	bed_input(bed, f);
	bed_expect_count(bed, ETH_BAD, 1);
	f = datagram();
	f->data[12] = 0x86; /* IPv6 */
	f->data[13] = 0xdd;
	bed_input(bed, f);
	bed_expect_count(bed, ETH_BAD, 2);
	f = datagram();
	memset(f->data, 0xff, 6); /* a single host's packet to everybody: RFC 1122 3.3.6 */
	bed_input(bed, f);
	bed_expect_count(bed, IP_NOT_OURS, 1);
	ck_assert(!arrived());
}
END_TEST

/* What the device says of checksums is believed. */
START_TEST(test_checksum_by_device)
{
	struct frame *f = datagram();

	f->data[NET_ETH_LEN + 10] ^= 1;
	f->data[NET_ETH_LEN + NET_IP_LEN + 6] ^= 1;
	bed_input_pinned(bed, f, 0, NET_PKT_IP_GOOD | NET_PKT_L4_GOOD);
	ck_assert(arrived());
	bed_input_pinned(bed, f, 0, NET_PKT_IP_GOOD);
	bed_expect_count(bed, UDP_BAD_CSUM, 1);
	bed_input_pinned(bed, datagram(), 0, NET_PKT_IP_BAD);
	bed_expect_count(bed, IP_BAD_CSUM, 1);
	bed_input_pinned(bed, datagram(), 0, NET_PKT_IP_GOOD | NET_PKT_L4_BAD);
	bed_expect_count(bed, UDP_BAD_CSUM, 2);
	ck_assert(!arrived());
}
END_TEST

/* ---- options */

static const struct {
	uint8_t len;
	uint8_t bytes[40];
	bool good;
} options[] = {
	{ 4, { 1, 1, 1, 0 }, true },
	{ 4, { 0, 255, 255, 255 }, true },	/* behind the end is nothing */
	{ 8, { 7, 7, 4, 0, 0, 0, 0, 0 }, true }, /* record route */
	{ 12, { 1, 68, 8, 5, 0, 0, 0, 0, 0 }, true }, /* timestamps */
	{ 4, { 148, 4, 0, 0 }, true },		/* router alert */
	{ 40, { 200, 40 }, true },		/* unknown */
	{ 4, { 1, 1, 1, 7 }, false },		/* no length */
	{ 4, { 7, 0, 0, 0 }, false },
	{ 4, { 7, 1, 0, 0 }, false },
	{ 4, { 7, 5, 0, 0 }, false },		/* too long */
	{ 8, { 1, 7, 8, 0, 0, 0, 0, 0 }, false },
	{ 8, { 131, 7, 4, 10, 0, 0, 9, 0 }, false }, /* source routes */
	{ 8, { 137, 7, 4, 10, 0, 0, 9, 0 }, false },
};

START_TEST(test_options)
{
	struct frame *f = datagram();
	uint32_t n = options[_i].len;
	uint8_t *ip = f->data + NET_ETH_LEN;

	memmove(ip + NET_IP_LEN + n, ip + NET_IP_LEN, 28);
	memcpy(ip + NET_IP_LEN, options[_i].bytes, n);
	f->len += n;
	ip[0] = (uint8_t)(0x45 + n / 4);
	ip[3] = (uint8_t)(48 + n);
	bed_fix(f);
	bed_input(bed, f);
	if (options[_i].good)
		bed_expect_datagram(any, 20, 0);
	else
		bed_expect_count(bed, IP_BAD, 1);
	ip[19 + n] ^= 1;	/* the checksum is over the options too */
	bed_input(bed, f);
	ck_assert(!arrived());
	bed_expect_count(bed, IP_BAD_CSUM, (uint32_t)options[_i].good);
}
END_TEST

/* ---- broadcast */

START_TEST(test_broadcast)
{
	struct net_sock *exact = bed_udp_socket(bed, "10.0.0.1", 8);
	struct frame *f = bed_udp("10.0.0.2", 9, _i ? "10.0.0.255" : "255.255.255.255", 7, NULL,
				  20);
	struct net_seg seg;

	memset(f->data, 0xff, 6);
	bed_input(bed, f);
	bed_expect_datagram(any, 20, 0);
	/* not for a socket of one address, and nothing is said of that */
	f = bed_udp("10.0.0.2", 9, _i ? "10.0.0.255" : "255.255.255.255", 8, NULL, 20);
	memset(f->data, 0xff, 6);
	bed_input(bed, f);
	ck_assert_int_eq(net_recv(exact, &seg, NULL), EAGAIN);
	bed_expect_count(bed, UDP_NO_PORT, 1);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* ---- where packets go */

static void expect_path(const char *dst, const char *src, const char *hop)
{
	struct net_ip any_ip = net_ip4(0), to = bed_ip(dst), from = bed_ip(src);
	struct net_path path;
	struct net_ip next;

	ck_assert_int_eq(net_path_find(bed->stack, &any_ip, &to, &path), 0);
	ck_assert_int_eq(net_path_hop(bed->stack, &path, &next), 0);
	ck_assert_uint_eq(net_ip_v4(&next), bed_v4(hop));
	ck_assert_uint_eq(path.src, net_ip_v4(&from));
}

static int path_error(const char *src, const char *dst)
{
	struct net_ip from = bed_ip(src), to = bed_ip(dst);
	struct net_path path;

	return net_path_find(bed->stack, &from, &to, &path);
}

static void route(const char *net, unsigned prefix, const char *gateway)
{
	struct net_ip n = bed_ip(net), g = gateway ? bed_ip(gateway) : net_ip4(0);

	ck_assert_int_eq(net_route_add(bed->stack, &n, prefix, gateway ? &g : NULL), 0);
}

START_TEST(test_routes)
{
	struct net_ip second = bed_ip("172.16.0.1"), bad = bed_ip("224.0.0.1");

	ck_assert_int_eq(path_error("0.0.0.0", "8.8.8.8"), ENETUNREACH);
	ck_assert_int_eq(net_local_add(bed->stack, &second, 16, false), 0);
	ck_assert_int_eq(net_local_add(bed->stack, &second, 16, false), EEXIST);
	ck_assert_int_eq(net_local_add(bed->stack, &bad, 16, false), EINVAL);
	ck_assert_int_eq(net_route_add(bed->stack, &second, 33, NULL), EINVAL);
	ck_assert_int_eq(net_route_add(bed->stack, &second, 16, &bad), EINVAL);
	expect_path("10.0.0.9", "10.0.0.1", "10.0.0.9");
	expect_path("172.16.9.9", "172.16.0.1", "172.16.9.9");
	route("0.0.0.0", 0, "10.0.0.254");
	route("192.168.0.0", 16, "172.16.0.254");
	route("192.168.7.0", 24, "10.0.0.253");
	route("192.168.7.8", 32, NULL);
	expect_path("8.8.8.8", "10.0.0.1", "10.0.0.254");
	expect_path("192.168.1.1", "172.16.0.1", "172.16.0.254");
	expect_path("192.168.7.1", "10.0.0.1", "10.0.0.253");
	expect_path("192.168.7.8", "10.0.0.1", "192.168.7.8");
	expect_path("10.0.0.9", "10.0.0.1", "10.0.0.9");
	expect_path("172.16.0.1", "172.16.0.1", "172.16.0.1"); /* ours */
}
END_TEST

static const struct {
	const char *src, *dst;
	int err;
} ways[] = {
	{ "10.0.0.1", "10.0.0.2", 0 },
	{ "10.0.0.5", "10.0.0.2", EADDRNOTAVAIL },
	{ "0.0.0.0", "0.0.0.0", ENETUNREACH },
	{ "0.0.0.0", "0.1.2.3", ENETUNREACH },
	{ "0.0.0.0", "127.0.0.1", ENETUNREACH },
	{ "0.0.0.0", "224.0.0.1", ENETUNREACH },
	{ "0.0.0.0", "255.255.255.255", ENETUNREACH },
	{ "0.0.0.0", "10.0.0.255", ENETUNREACH },
	{ "0.0.0.0", "11.0.0.1", ENETUNREACH },
};

START_TEST(test_ways)
{
	ck_assert_int_eq(path_error(ways[_i].src, ways[_i].dst), ways[_i].err);
}
END_TEST

START_TEST(test_no_address)
{
	struct net_ip ip = bed_ip("10.0.0.1"), v6 = { .b = { 0x20, 1, [15] = 1 } };
	struct net_ip none = net_ip4(0);
	struct net_path path;

	ck_assert_int_eq(net_path_find(bed->stack, &none, &v6, &path), ENETUNREACH);
	ck_assert_int_eq(net_local_del(bed->stack, &ip), 0);
	ck_assert_int_eq(path_error("0.0.0.0", "10.0.0.2"), ENETUNREACH);
}
END_TEST

/* To the gateway's link address, with the destination's own IP address; and a better
 * route takes over at once. */
START_TEST(test_gateway)
{
	struct net_addr to = bed_addr("8.8.8.8", 9);
	struct net_seg seg = bed_seg(10, 0), again = bed_seg(10, 0);
	const struct frame *f;

	route("0.0.0.0", 0, "10.0.0.2");
	ck_assert_int_eq(net_send(any, &seg, 1, &to), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert(!memcmp(frame_eth(f)->dst, bed_mac(2), 6));
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("8.8.8.8"));
	bed_learn(bed, 3);
	route("8.0.0.0", 8, "10.0.0.3");
	ck_assert_int_eq(net_send(any, &again, 1, &to), 0);
	bed_run(bed);
	ck_assert(!memcmp(frame_eth(bed_sent(bed))->dst, bed_mac(3), 6));
}
END_TEST

/* Its address is taken away: what is bound to it sends no more. */
START_TEST(test_address_goes)
{
	struct net_sock *s = bed_udp_socket(bed, "10.0.0.1", 8);
	struct net_addr to = bed_addr("10.0.0.2", 9);
	struct net_ip ip = bed_ip("10.0.0.1"), other = bed_ip("10.0.0.4");
	struct net_seg seg = bed_seg(10, 0);

	ck_assert_int_eq(net_send(s, &seg, 1, &to), 0);
	bed_input(bed, datagram());
	ck_assert(arrived());
	bed_forget(bed);
	ck_assert_int_eq(net_local_add(bed->stack, &other, 24, false), 0);
	ck_assert_int_eq(net_local_del(bed->stack, &ip), 0);
	seg = bed_seg(10, 0);
	ck_assert_int_eq(net_send(s, &seg, 1, &to), EADDRNOTAVAIL);
	bed_put(&seg);
	bed_input(bed, datagram());
	bed_expect_count(bed, IP_NOT_OURS, 1);
	ck_assert_ptr_null(bed_sent(bed));
	net_close(s, false);	/* what it held is gone already */
}
END_TEST

/* ---- output */

/* Of a destination's packets the identification does not come again soon, and the
 * header says that they may not be cut if nobody has to expect it. */
START_TEST(test_identification)
{
	static bool seen[65536];
	struct net_addr to = bed_addr("10.0.0.2", 9);

	for (int i = 0; i < 500; i++) {
		struct net_seg seg = bed_seg(10, 0);
		uint16_t id;

		ck_assert_int_eq(net_send(any, &seg, 1, &to), 0);
		net_flush(bed->stack);
		id = ntohs(frame_ip(bed_sent(bed))->id);
		ck_assert(!seen[id]);
		seen[id] = true;
	}
}
END_TEST

static uint8_t joined[65536];

/* Puts what was sent together again; its fragments have to fit one behind the other. */
static uint32_t join(uint32_t mtu, uint32_t *n_out)
{
	const struct frame *f;
	uint32_t at = 0;
	uint16_t id = 0;
	bool more = true;

	for (*n_out = 0; (f = bed_sent(bed)); ++*n_out) {
		struct net_ip_hdr *ip = frame_ip(f);
		uint16_t frag = ntohs(ip->frag);

		ck_assert(more);
		ck_assert_uint_le(NET_IP_LEN + frame_l4_len(f), mtu);
		ck_assert_uint_eq((frag & NET_IP_OFFSET) * 8u, at);
		ck_assert(!(frag & NET_IP_DF));
		ck_assert(*n_out == 0 || ip->id == id);
		ck_assert_uint_eq(ip->proto, NET_IPPROTO_UDP);
		id = ip->id;
		more = frag & NET_IP_MF;
		ck_assert(!more || frame_l4_len(f) % 8 == 0);
		memcpy(joined + at, frame_l4(f), frame_l4_len(f));
		at += frame_l4_len(f);
	}
	ck_assert(!more);
	return at;
}

START_TEST(test_number_of_fragments)
{
	ck_assert_uint_eq(net_ip_n_fragments(1500, 1480), 1);
	ck_assert_uint_eq(net_ip_n_fragments(1500, 1481), 2);
	ck_assert_uint_eq(net_ip_n_fragments(1500, 2960), 2);
	ck_assert_uint_eq(net_ip_n_fragments(1500, 2961), 3);
	ck_assert_uint_eq(net_ip_n_fragments(576, 1104), 2);
	ck_assert_uint_eq(net_ip_n_fragments(576, 1105), 3);
}
END_TEST

static const uint32_t lengths[] = {
	0, 1, 1471, 1472, 1473, 1480, 1481, 2952, 2953, 2960, 4000, 9000, 65500, 65507,
};

/* Every length that matters, in segments of odd lengths. */
START_TEST(test_fragments)
{
	struct net_addr to = bed_addr("10.0.0.2", 9);
	uint32_t len = lengths[_i], n = 0, cut = len / 3 | 1, sum, frames, total;
	struct net_seg segs[3];

	if (len) {
		segs[n++] = bed_seg(cut < len ? cut : len, 0);
		if (len > 2 * cut)
			segs[n++] = bed_seg(cut, (uint8_t)cut);
		cut = len;
		for (uint32_t i = 0; i < n; i++)
			cut -= segs[i].len;
		if (cut)
			segs[n++] = bed_seg(cut, (uint8_t)(len - cut));
	}
	ck_assert_int_eq(net_send(any, segs, n, &to), 0);
	bed_run(bed);
	total = join(1500, &frames);
	ck_assert_uint_eq(total, NET_UDP_LEN + len);
	ck_assert_uint_eq(frames, len <= 1472 ? 1 : (len + 8 + 1479) / 1480);
	ck_assert(bed_is_pattern(joined + NET_UDP_LEN, len, 0));
	sum = bed_sum((uint32_t[]){ bed_v4("10.0.0.1"), bed_v4("10.0.0.2") }, 8,
		      htons(NET_IPPROTO_UDP)) + htons((uint16_t)total);
	ck_assert_uint_eq(bed_sum(joined, total, sum), 0xffff);
	bed_expect_count(bed, IP_FRAGS_OUT, frames > 1 ? frames : 0);
}
END_TEST

/* ---- what fits the way (RFC 1191) */

static void too_long(uint16_t mtu, uint16_t len)
{
	uint8_t rest[8 + 28] = { [6] = (uint8_t)(mtu >> 8), [7] = (uint8_t)mtu };
	struct frame *f = bed_udp("10.0.0.1", 7, "10.0.0.2", 9, NULL, 0);

	memcpy(rest + 8, f->data + NET_ETH_LEN, 28);
	rest[8 + 2] = (uint8_t)(len >> 8);
	rest[8 + 3] = (uint8_t)len;
	bed_input(bed, bed_icmp("10.0.0.77", "10.0.0.1", NET_ICMP_UNREACH,
				NET_ICMP_UNREACH_FRAG, rest, sizeof(rest)));
}

static uint32_t mtu_now(void)
{
	struct net_ip none = net_ip4(0), to = bed_ip("10.0.0.2");
	struct net_path path;

	ck_assert_int_eq(net_path_find(bed->stack, &none, &to, &path), 0);
	return path.mtu;
}

START_TEST(test_path_mtu)
{
	struct net_addr to = bed_addr("10.0.0.2", 9);
	struct net_seg seg = bed_seg(1472, 0);
	uint32_t frames;

	net_close(any, false);
	too_long(1000, 1500);	/* who is not there has sent nothing */
	ck_assert_uint_eq(mtu_now(), 1500);
	any = bed_udp_socket(bed, "0.0.0.0", 7);
	too_long(1600, 1500);	/* no news */
	ck_assert_uint_eq(mtu_now(), 1500);
	too_long(1000, 1500);
	ck_assert_uint_eq(mtu_now(), 1000);
	too_long(1200, 1500);	/* it does not grow by that */
	ck_assert_uint_eq(mtu_now(), 1000);
	ck_assert_int_eq(net_send(any, &seg, 1, &to), 0);
	bed_run(bed);
	ck_assert_uint_eq(join(1000, &frames), 1480);
	ck_assert_uint_eq(frames, 2);
	bed_pass(bed, 599 * BED_SECOND);
	ck_assert_uint_eq(mtu_now(), 1000);
	bed_pass(bed, 2 * BED_SECOND);
	ck_assert_uint_eq(mtu_now(), 1500);
	too_long(0, 1500);	/* an old router: the next lower usual one */
	ck_assert_uint_eq(mtu_now(), 1492);
	too_long(0, 1492);
	ck_assert_uint_eq(mtu_now(), 1006);
	too_long(68, 1006);	/* nobody is that small */
	ck_assert_uint_eq(mtu_now(), NET_PMTU_MIN);
}
END_TEST

/* What many routers say is kept of some. */
START_TEST(test_path_mtus_are_bounded)
{
	for (uint32_t i = 1; i < 100; i++) {
		net_ip_shrink(bed->stack, htonl(0x0a000000 + i), 1000 + i, 1500);
		ck_assert_uint_eq(net_ip_mtu(bed->stack, htonl(0x0a000000 + i)), 1000 + i);
		bed_pass(bed, BED_MS);
	}
	ck_assert_uint_eq(net_ip_mtu(bed->stack, htonl(0x0a000001)), 1500);
	/* each ends at its own time */
	bed_pass(bed, 600 * BED_SECOND - 10 * BED_MS);
	ck_assert_uint_eq(net_ip_mtu(bed->stack, htonl(0x0a000044)), 1500);
	ck_assert_uint_eq(net_ip_mtu(bed->stack, htonl(0x0a000063)), 1099);
	bed_pass(bed, 100 * BED_SECOND);
	ck_assert_uint_eq(net_ip_mtu(bed->stack, htonl(0x0a000063)), 1500);
	ck_assert(!bed->stack->ip.has_pmtus);
}
END_TEST

/* ---- whatever comes */

static struct frame *some_frame(unsigned *seed)
{
	uint8_t data[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand_r(seed);
	switch (rand_r(seed) % 6) {
	case 0:
		return bed_arp((uint16_t)(1 + rand_r(seed) % 2), 2, "10.0.0.2", 1, "10.0.0.1");
	case 1:
		return bed_icmp("10.0.0.2", "10.0.0.1", (uint8_t)(rand_r(seed) % 16),
				(uint8_t)(rand_r(seed) % 16), data, 8 + rand_r(seed) % 56u);
	case 2:
		return bed_ip_packet(NET_IPPROTO_TCP, "10.0.0.2", "10.0.0.1", data,
				     20 + rand_r(seed) % 44u);
	case 3:
		return bed_ip_packet((uint8_t)rand_r(seed), "10.0.0.2", "10.0.0.1", data, 30);
	default:
		return bed_udp("10.0.0.2", 9, "10.0.0.1", (uint16_t)(7 + rand_r(seed) % 2), NULL,
			       rand_r(seed) % 64u);
	}
}

/* Frames with some bytes changed, cut or padded, half of them with a header whose
 * checksum is right, or said to be right by the device: no byte beyond the frame is
 * looked at (a sanitizer sees to that), nothing is lost, and all goes on. */
START_TEST(test_noise)
{
	unsigned seed = (unsigned)_i * 7919 + 1;

	for (int i = 0; i < 4000; i++) {
		struct frame *f = some_frame(&seed);
		uint32_t len = f->len;

		for (int n = rand_r(&seed) % 4; n > 0; n--)
			f->data[14 + (uint32_t)rand_r(&seed) % (len - 14)] = (uint8_t)rand_r(&seed);
		if (frame_eth(f)->type == htons(NET_ETHERTYPE_IPV4) && rand_r(&seed) % 2 &&
		    (frame_ip(f)->ver_ihl & 0xfu) * 4 <= len - 14)
			bed_fix(f);
		if (rand_r(&seed) % 4 == 0)
			f->len = 1 + (uint32_t)rand_r(&seed) % (len + 8);
		bed_input_pinned(bed, f, 0, rand_r(&seed) % 2 ? NET_PKT_L4_GOOD : 0);
		if (rand_r(&seed) % 8 == 0)
			bed_pass(bed, (uint64_t)(rand_r(&seed) % 500) * BED_MS);
		bed_forget(bed);
		while (arrived())
			;
	}
	bed_learn(bed, 2);
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20));
	bed_expect_datagram(any, 20, 0);
}
END_TEST

Suite *net_ip_suite(void)
{
	Suite *s = suite_create("net_ip");
	TCase *t = tcase_create("ip");
	int n_headers = sizeof(headers) / sizeof(headers[0]);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_good);
	tcase_add_loop_test(t, test_bad_header, 0, n_headers);
	tcase_add_loop_test(t, test_bad_header_after_good_one, 0, n_headers);
	tcase_add_test(t, test_many_sources);
	tcase_add_test(t, test_source_becomes_ours);
	tcase_add_test(t, test_all_zero);
	tcase_add_loop_test(t, test_does_not_matter, 0, 2);
	tcase_add_test(t, test_truncated);
	tcase_add_test(t, test_padding);
	tcase_add_test(t, test_ethernet);
	tcase_add_test(t, test_checksum_by_device);
	tcase_add_loop_test(t, test_options, 0, sizeof(options) / sizeof(options[0]));
	tcase_add_loop_test(t, test_broadcast, 0, 2);
	tcase_add_test(t, test_routes);
	tcase_add_loop_test(t, test_ways, 0, sizeof(ways) / sizeof(ways[0]));
	tcase_add_test(t, test_no_address);
	tcase_add_test(t, test_gateway);
	tcase_add_test(t, test_address_goes);
	tcase_add_test(t, test_identification);
	tcase_add_test(t, test_number_of_fragments);
	tcase_add_loop_test(t, test_fragments, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, test_path_mtu);
	tcase_add_test(t, test_path_mtus_are_bounded);
	tcase_add_loop_test(t, test_noise, 0, 8);
	suite_add_tcase(s, t);
	return s;
}
