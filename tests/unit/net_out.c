#include "config.h"

#include "tests/unit/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* The transmit ring: bounded, in order, and nothing in it is lost. */

static struct bed *bed;
static struct net_sock *sock;
static struct net_addr to;

static void setup(void)
{
	bed = bed_open(NULL);
	bed_learn(bed, 2);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	to = bed_addr("10.0.0.2", 9);
}

static void teardown(void)
{
	bed_close(bed);
}

static int send_one(uint32_t len, uint8_t first)
{
	struct net_seg seg = bed_seg(len, first);
	int err = net_send(sock, &seg, 1, &to);

	if (err)
		bed_put(&seg);
	return err;
}

static void expect_datagram_sent(uint32_t len, uint8_t first)
{
	const struct frame *f = bed_sent(bed);

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(frame_l4_len(f), NET_UDP_LEN + len);
	ck_assert(bed_is_pattern(frame_l4(f) + NET_UDP_LEN, len, first));
}

/* A device that takes _i packets at a time gets all of them, in order, and the one
 * who was told EAGAIN hears of the room. */
START_TEST(test_device_takes_few)
{
	uint32_t n = 0, events;

	bed->take = 0;
	while (!send_one(20, (uint8_t)n))
		n++;
	ck_assert_uint_eq(n, NET_OUT_RING - NET_OUT_RESERVE);
	ck_assert_int_eq(send_one(20, 0), EAGAIN);
	ck_assert(!net_flush(bed->stack));
	ck_assert(net_has_unsent(bed->stack));
	net_poll(bed->stack, bed->now);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	bed->take = (uint32_t)_i;
	while (!net_flush(bed->stack))
		;
	ck_assert(!net_has_unsent(bed->stack));
	for (uint32_t i = 0; i < n; i++)
		expect_datagram_sent(20, (uint8_t)i);
	ck_assert_ptr_null(bed_sent(bed));
	net_poll(bed->stack, bed->now);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert_uint_eq(events, NET_WRITABLE);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	ck_assert_int_eq(send_one(20, 1), 0);
	bed_expect_count(bed, TX_NO_ROOM, 0);
	ck_assert_uint_gt(bed_count(bed, TX_STALLS), 0);
}
END_TEST

/* Places for data, and for the rest. */
START_TEST(test_places)
{
	struct net_out *outs[NET_OUT_RING];
	uint32_t n = 0;

	while (n < NET_OUT_RING && (outs[n] = net_out_new(bed->stack, 8, false)))
		n++;
	ck_assert_uint_eq(n, NET_OUT_RING - NET_OUT_RESERVE);
	ck_assert_uint_eq(net_outs_room(&bed->stack->out), 0);
	bed_expect_count(bed, TX_NO_ROOM, 0);
	while (n < NET_OUT_RING && (outs[n] = net_out_new(bed->stack, 8, true)))
		n++;
	ck_assert_uint_eq(n, NET_OUT_RING);
	ck_assert_ptr_null(net_out_new(bed->stack, 8, true));
	bed_expect_count(bed, TX_NO_ROOM, 1);
	while (n)
		net_out_drop(bed->stack, outs[--n]);
	ck_assert_uint_eq(net_outs_room(&bed->stack->out), NET_OUT_RING - NET_OUT_RESERVE);
}
END_TEST

/* What the ring keeps for itself: an answer to ARP goes out though data fills it. */
START_TEST(test_reserve)
{
	bed->take = 0;
	while (!send_one(20, 0))
		;
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 3, "10.0.0.3", 0, "10.0.0.1"));
	bed->take = UINT32_MAX;
	bed_run(bed);
	for (uint32_t i = 0; i < NET_OUT_RING - NET_OUT_RESERVE; i++)
		expect_datagram_sent(20, 0);
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->op, __builtin_bswap16(NET_ARP_REPLY));
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* The reserve is bounded too: what finds no place is counted. */
START_TEST(test_reserve_full)
{
	uint32_t n = NET_OUT_RING + 5;

	bed->take = 0;
	for (uint32_t i = 0; i < n; i++)
		bed_input(bed, bed_arp(NET_ARP_REQUEST, 3, "10.0.0.3", 0, "10.0.0.1"));
	bed_expect_count(bed, TX_NO_ROOM, 5);
	bed_expect_count(bed, ARP_REPLIES, NET_OUT_RING + 1); /* one to learn */
	bed->take = UINT32_MAX;
	bed_run(bed);
	ck_assert_uint_eq(bed->n_sent, NET_OUT_RING);
}
END_TEST

/* A datagram in more fragments than are free waits for room rather than lose some. */
START_TEST(test_fragments_wait)
{
	uint32_t events;

	bed->take = 0;
	for (uint32_t i = 0; i < 60; i++)
		ck_assert_int_eq(send_one(20, (uint8_t)i), 0);
	ck_assert_int_eq(send_one(65507, 0), EAGAIN);
	bed->take = 10;
	net_flush(bed->stack);
	net_poll(bed->stack, bed->now);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert_int_eq(send_one(65507, 0), 0);
	bed->take = UINT32_MAX;
	bed_run(bed);
	ck_assert_uint_eq(bed->n_sent, 60 + 45);
	bed_expect_count(bed, IP_FRAGS_OUT, 45);
}
END_TEST

/* One that has more fragments than the ring ever has places for data. */
START_TEST(test_more_fragments_than_data_places)
{
	struct net_addr other = bed_addr("10.0.0.2", 9);

	bed_close(bed);
	bed = bed_open("mtu=576");
	bed_learn(bed, 2);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	to = other;
	ck_assert_int_eq(send_one(65507, 0), 0);
	bed_run(bed);
	ck_assert_uint_eq(bed->n_sent, (65507 + 8 + 551) / 552);
	ck_assert_int_eq(send_one(20, 0), 0);
	ck_assert_int_eq(send_one(65507, 0), EAGAIN); /* only when it is empty */
	bed_run(bed);
	ck_assert_int_eq(send_one(65507, 0), 0);
	bed_run(bed);
	bed_expect_count(bed, TX_NO_ROOM, 0);
}
END_TEST

/* Freed with packets in it, and with packets that wait for ARP: bed_close() asserts
 * that their memory comes back. */
START_TEST(test_free_full)
{
	struct net_addr unknown = bed_addr("10.0.0.77", 9);
	struct net_seg seg = bed_seg(100, 0);

	bed->take = 0;
	while (!send_one(20, 0))
		;
	ck_assert_int_eq(net_send(sock, &seg, 1, &unknown), EAGAIN);
	bed->take = 1;
	net_flush(bed->stack);
	ck_assert_int_eq(net_send(sock, &seg, 1, &unknown), 0);
	ck_assert_uint_gt(bed_refs(), 0);
}
END_TEST

/* What the device offers to do is left to it, and the rest is done here; the bed
 * checks every sum. */
START_TEST(test_offloads)
{
	static const uint32_t flags[] = {
		0, NET_OUT_IP_CSUM, NET_OUT_UDP_CSUM, NET_OUT_IP_CSUM | NET_OUT_UDP_CSUM,
	};
	const struct frame *f;
	struct net_seg segs[3];

	bed->dev.caps = (_i & 1 ? (uint32_t)NET_DEV_IP_CSUM : 0) |
			(_i & 2 ? (uint32_t)NET_DEV_UDP_CSUM : 0);
	segs[0] = bed_seg(33, 0);
	segs[1] = bed_seg(1, 33);
	segs[2] = bed_seg(700, 34);
	ck_assert_int_eq(net_send(sock, segs, 3, &to), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_uint_eq(f->flags, flags[_i]);
	ck_assert(bed_is_pattern(frame_l4(f) + NET_UDP_LEN, 734, 0));
	ck_assert_int_eq(send_one(3000, 0), 0);
	bed_run(bed);	/* in pieces: nobody but us can sum up the whole */
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(bed_sent(bed)->flags, flags[_i] & NET_OUT_IP_CSUM);
}
END_TEST

/* The fragments of what waited find no room: none of them goes, and it is counted. */
START_TEST(test_fragments_without_room)
{
	struct net_addr unknown = bed_addr("10.0.0.77", 9);
	struct net_seg seg = bed_seg(65507, 0);

	ck_assert_int_eq(net_send(sock, &seg, 1, &unknown), 0);
	bed_run(bed);
	bed_forget(bed);
	bed->take = 0;
	while (!send_one(20, 0))
		;
	bed_input(bed, bed_arp(NET_ARP_REPLY, 7, "10.0.0.77", 1, "10.0.0.1"));
	bed_expect_count(bed, TX_NO_ROOM, 1);
	bed_expect_count(bed, IP_FRAGS_OUT, 0);
	ck_assert_uint_eq(bed->stack->out.n, NET_OUT_RING - NET_OUT_RESERVE);
	/* with a device that takes some of what is in the way they do */
	ck_assert_int_eq(send_one(20, 0), EAGAIN);
	seg = bed_seg(65507, 0);
	bed->take = 40;
	ck_assert_int_eq(net_send(sock, &seg, 1, &(struct net_addr){ bed_ip("10.0.0.78"), 9 }),
			 EAGAIN);
	net_flush(bed->stack);
	net_flush(bed->stack);
	ck_assert_int_eq(net_send(sock, &seg, 1, &(struct net_addr){ bed_ip("10.0.0.78"), 9 }), 0);
	bed->take = 0;
	while (!send_one(20, 0))
		;
	bed->take = 40;
	bed_input(bed, bed_arp(NET_ARP_REPLY, 8, "10.0.0.78", 1, "10.0.0.1"));
	bed_expect_count(bed, IP_FRAGS_OUT, 45);
	bed_expect_count(bed, TX_NO_ROOM, 1);
}
END_TEST

/* What a device cuts itself may be longer than the mtu; its sum leaves the length out. */
START_TEST(test_tso)
{
	struct net_ip any = net_ip4(0);
	struct net_path path;
	struct net_tcp_hdr *tcp;
	const struct frame *f;
	struct net_out *out;
	uint32_t sum;

	bed->dev.caps = NET_DEV_IP_CSUM | NET_DEV_TCP_CSUM | NET_DEV_TSO;
	ck_assert_int_eq(net_path_find(bed->stack, &any, &to.ip, &path), 0);
	out = net_out_new(bed->stack, NET_TCP_LEN, false);
	memset(out->hdr, 0, NET_TCP_LEN);
	out->flags = NET_OUT_TSO;
	out->mss = 1460;
	out->segs[0] = bed_seg(20000, 0);
	out->n_segs = 1;
	out->len = 20000;
	ck_assert_int_eq(net_ip_output(bed->stack, &path, out, NET_IPPROTO_TCP, 0, false), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_uint_eq(f->len, NET_ETH_LEN + NET_IP_LEN + NET_TCP_LEN + 20000);
	ck_assert_uint_eq(f->flags, NET_OUT_TSO | NET_OUT_TCP_CSUM | NET_OUT_IP_CSUM);
	tcp = (struct net_tcp_hdr *)frame_l4(f);
	sum = bed_sum(&frame_ip(f)->src, 8, __builtin_bswap16(NET_IPPROTO_TCP));
	ck_assert_uint_eq(tcp->csum, sum);
	ck_assert_uint_eq(frame_ip(f)->frag, __builtin_bswap16(NET_IP_DF));
}
END_TEST

/* A way that was found before something changed is looked for again. */
START_TEST(test_old_path)
{
	struct net_ip any = net_ip4(0), other = bed_ip("10.0.0.4"), first = bed_ip("10.0.0.1");
	struct net_path path;
	struct net_out *out;

	ck_assert_int_eq(net_path_find(bed->stack, &any, &to.ip, &path), 0);
	ck_assert_int_eq(net_local_add(bed->stack, &other, 24, false), 0);
	out = net_out_new(bed->stack, NET_UDP_LEN, false);
	memset(out->hdr, 0, NET_UDP_LEN);
	ck_assert_int_eq(net_ip_output(bed->stack, &path, out, NET_IPPROTO_UDP, 0, true), 0);
	bed_run(bed);
	ck_assert_ptr_nonnull(bed_sent(bed));
	ck_assert_uint_eq(path.gen, bed->stack->ip.gen);
	ck_assert_int_eq(net_local_del(bed->stack, &first), 0);
	out = net_out_new(bed->stack, NET_UDP_LEN, false);
	memset(out->hdr, 0, NET_UDP_LEN);
	out->segs[0] = bed_seg(10, 0);
	out->n_segs = 1;
	out->len = 10;
	ck_assert_int_eq(net_ip_output(bed->stack, &path, out, NET_IPPROTO_UDP, 0, true),
			 EHOSTUNREACH);
	bed_expect_count(bed, IP_NO_ROUTE, 1);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* A sum of 0 would say that there is none (RFC 768). */
START_TEST(test_zero_checksum_is_sent_as_ones)
{
	uint16_t word = 0;
	struct net_mem *mem;
	struct net_seg seg;
	const struct frame *f;

	/* what the datagram sums up to without its payload decides on that */
	ck_assert_int_eq(send_one(2, 0), 0);
	bed_run(bed);
	f = bed_sent(bed);
	memcpy(&word, frame_l4(f) + 6, 2);
	mem = bed->dev.ops->alloc(&bed->dev, 2, &seg);
	ck_assert_ptr_nonnull(mem);
	/* the payload that was 0, 1: one that adds what was missing */
	word = bed_sum("\0\1", 2, word);
	memcpy(seg.data, &word, 2);
	seg.len = 2;
	ck_assert_int_eq(net_send(sock, &seg, 1, &to), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_uint_eq(frame_l4(f)[6], 0xff);
	ck_assert_uint_eq(frame_l4(f)[7], 0xff);
}
END_TEST

/* Without Ethernet: bare IP, no ARP. */
START_TEST(test_no_ethernet)
{
	struct frame in;
	const struct frame *f;

	bed_close(bed);
	bed = bed_prepare();
	bed->dev.ethernet = false;
	bed_start(bed, NULL, 1);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	net_announce(bed->stack);
	ck_assert_int_eq(send_one(300, 3), 0);
	ck_assert_int_eq(send_one(3000, 3), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_uint_eq(f->len, NET_IP_LEN + NET_UDP_LEN + 300);
	ck_assert(bed_is_pattern(frame_l4(f) + NET_UDP_LEN, 300, 3));
	ck_assert_uint_eq(bed->n_sent, 3);
	bed_expect_count(bed, ARP_REQUESTS, 0);
	in = *bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 40);
	in.data += NET_ETH_LEN;
	in.len -= NET_ETH_LEN;
	bed_input(bed, &in);
	bed_expect_datagram(sock, 40, 0);
}
END_TEST

Suite *net_out_suite(void)
{
	Suite *s = suite_create("net_out");
	TCase *t = tcase_create("out");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_device_takes_few, 1, 40);
	tcase_add_test(t, test_places);
	tcase_add_test(t, test_reserve);
	tcase_add_test(t, test_reserve_full);
	tcase_add_test(t, test_fragments_wait);
	tcase_add_test(t, test_more_fragments_than_data_places);
	tcase_add_test(t, test_free_full);
	tcase_add_loop_test(t, test_offloads, 0, 4);
	tcase_add_test(t, test_fragments_without_room);
	tcase_add_test(t, test_tso);
	tcase_add_test(t, test_old_path);
	tcase_add_test(t, test_zero_checksum_is_sent_as_ones);
	tcase_add_test(t, test_no_ethernet);
	suite_add_tcase(s, t);
	return s;
}
