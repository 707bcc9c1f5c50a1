#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* Reassembly (RFC 791 3.2, 1122 3.3.2, and 5722 in its spirit): whatever the order,
 * never more memory than is allowed, and nothing that overlaps. */

static struct bed *bed;
static struct net_sock *sock;
static uint8_t whole[65536 + 64];	/* a UDP datagram, header and payload */

#define PAYLOAD 52u		/* 60 bytes in all: fragments of 24, 24, 12 */

static void open_with(const char *config)
{
	bed = bed_open(config);
	bed_learn(bed, 2);
	sock = bed_udp_socket(bed, "0.0.0.0", 7);
}

static void setup(void)
{
	open_with("reass_ms=1000,reass_bytes=65536");
}

static void teardown(void)
{
	bed_close(bed);
}

/* Makes `whole` a datagram of len payload bytes that count up from 0. */
static void prepare(uint32_t len)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, len);

	memcpy(whole, frame_l4(f), NET_UDP_LEN + len);
}

/* Bytes [at, at + len) of `whole`, as a fragment. */
static void fragment_from(const char *src, uint16_t id, uint32_t at, uint32_t len, bool more,
			  uint32_t pinned)
{
	struct frame *f = bed_ip_packet(NET_IPPROTO_UDP, src, "10.0.0.1", whole + at, len);

	frame_ip(f)->id = htons(id);
	frame_ip(f)->frag = htons((uint16_t)(at / 8 | (more ? NET_IP_MF : 0)));
	bed_fix(f);
	bed_input_pinned(bed, f, pinned, 0);
}

static void fragment(uint16_t id, uint32_t at, uint32_t len, bool more)
{
	fragment_from("10.0.0.2", id, at, len, more, 0);
}

static bool arrived(void)
{
	struct net_seg seg;

	if (net_recv(sock, &seg, NULL))
		return false;
	ck_assert(bed_is_pattern(seg.data, seg.len, 0));
	bed_put(&seg);
	return true;
}

/* ---- whole ones */

static const struct {
	uint32_t at, len;
} thirds[] = { { 0, 24 }, { 24, 24 }, { 48, 12 } };

static const uint8_t orders[][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

START_TEST(test_every_order)
{
	prepare(PAYLOAD);
	for (int i = 0; i < 3; i++) {
		uint8_t k = orders[_i][i];

		ck_assert(!arrived());
		fragment(1, thirds[k].at, thirds[k].len, k != 2);
	}
	bed_expect_datagram(sock, PAYLOAD, 0);
	bed_expect_count(bed, IP_FRAGS_IN, 3);
	bed_expect_count(bed, IP_REASSEMBLED, 1);
	bed_expect_count(bed, IP_REASS_BAD, 0);
	ck_assert_uint_eq(bed->stack->reass.n, 0);
	ck_assert_uint_eq(bed->stack->reass.pinned, 0);
}
END_TEST

/* Every one of them twice, as links do: it does no harm. */
START_TEST(test_every_order_twice)
{
	prepare(PAYLOAD);
	for (int i = 0; i < 2; i++) {
		uint8_t k = orders[_i][i];

		fragment(1, thirds[k].at, thirds[k].len, k != 2);
		fragment(1, thirds[k].at, thirds[k].len, k != 2);
	}
	fragment(1, thirds[orders[_i][2]].at, thirds[orders[_i][2]].len, orders[_i][2] != 2);
	bed_expect_datagram(sock, PAYLOAD, 0);
	bed_expect_count(bed, IP_REASS_BAD, 0);
}
END_TEST

/* Many at once, a fragment of each in turn. */
START_TEST(test_interleaved)
{
	prepare(PAYLOAD);
	for (int i = 0; i < 3; i++)
		for (uint16_t id = 0; id < 50; id++)
			fragment(id, thirds[i].at, thirds[i].len, i != 2);
	for (int i = 0; i < 50; i++)
		bed_expect_datagram(sock, PAYLOAD, 0);
	ck_assert(!arrived());
}
END_TEST

/* Same identification, but from another, or of another protocol: not one datagram. */
START_TEST(test_not_mixed)
{
	struct frame *f;

	prepare(PAYLOAD);
	fragment_from("10.0.0.2", 1, 0, 24, true, 0);
	fragment_from("10.0.0.3", 1, 24, 24, true, 0);
	fragment_from("10.0.0.2", 2, 24, 24, true, 0);
	f = bed_ip_packet(NET_IPPROTO_ICMP, "10.0.0.2", "10.0.0.1", whole + 24, 24);
	frame_ip(f)->id = htons(1);
	frame_ip(f)->frag = htons(3 | NET_IP_MF);
	bed_fix(f);
	bed_input(bed, f);
	fragment_from("10.0.0.2", 1, 48, 12, false, 0);
	ck_assert(!arrived());
	ck_assert_uint_eq(bed->stack->reass.n, 4);
	fragment_from("10.0.0.2", 1, 24, 24, true, 0);
	bed_expect_datagram(sock, PAYLOAD, 0);
}
END_TEST

START_TEST(test_longest)
{
	bed_close(bed);
	open_with(NULL);
	prepare(65507);
	for (uint32_t at = 0; at < 65515; at += 1480)
		fragment(1, at, at + 1480 < 65515 ? 1480 : 65515 - at, at + 1480 < 65515);
	bed_expect_datagram(sock, 65507, 0);
}
END_TEST

/* The checksum of the whole is looked at, whatever the device said of its pieces. */
START_TEST(test_bad_checksum)
{
	struct frame *f;

	prepare(PAYLOAD);
	whole[30] ^= 1;
	fragment(1, 0, 24, true);
	f = bed_ip_packet(NET_IPPROTO_UDP, "10.0.0.2", "10.0.0.1", whole + 24, 36);
	frame_ip(f)->id = htons(1);
	frame_ip(f)->frag = htons(3);
	bed_fix(f);
	bed_input_pinned(bed, f, 0, NET_PKT_L4_GOOD);
	ck_assert(!arrived());
	bed_expect_count(bed, IP_REASSEMBLED, 1);
	bed_expect_count(bed, UDP_BAD_CSUM, 1);
}
END_TEST

/* The first fragment may have options; they are not part of the datagram. */
START_TEST(test_options)
{
	struct frame *f;
	uint8_t data[4 + 24];

	prepare(PAYLOAD);
	fragment(1, 24, 36, false);
	memcpy(data, "\1\1\1\0", 4);
	memcpy(data + 4, whole, 24);
	f = bed_ip_packet(NET_IPPROTO_UDP, "10.0.0.2", "10.0.0.1", data, 28);
	frame_ip(f)->ver_ihl = 0x46;
	frame_ip(f)->id = htons(1);
	frame_ip(f)->frag = htons(NET_IP_MF);
	bed_fix(f);
	bed_input(bed, f);
	bed_expect_datagram(sock, PAYLOAD, 0);
}
END_TEST

/* ---- bad ones: never delivered, and their memory is not kept */

struct piece {
	uint32_t at, len;
	bool more;
};

static const struct piece bad[][4] = {
	{ { 0, 24, true }, { 16, 24, true }, { 40, 20, false } },	/* overlap: from the left */
	{ { 24, 36, false }, { 0, 32, true } },				/* ... to the right */
	{ { 0, 60, true }, { 24, 24, true } },				/* not a multiple of 8 */
	{ { 0, 48, true }, { 24, 8, true }, { 48, 12, false } },	/* teardrop: inside */
	{ { 24, 8, true }, { 0, 48, true }, { 48, 12, false } },	/* ... around */
	{ { 0, 24, true }, { 0, 32, true }, { 32, 28, false } },	/* same place, longer */
	{ { 0, 24, true }, { 0, 16, true }, { 24, 36, false } },	/* ... shorter */
	{ { 0, 24, true }, { 24, 0, true } },				/* nothing, and more to come */
	{ { 48, 12, false }, { 24, 20, false } },			/* two ends */
	{ { 24, 20, false }, { 48, 12, true } },			/* behind the end */
	{ { 48, 8, true }, { 24, 12, false } },				/* an end before what is there */
	{ { 24, 32, true }, { 24, 24, false } },
};

START_TEST(test_bad)
{
	prepare(PAYLOAD);
	for (int i = 0; i < 4 && (bad[_i][i].len || bad[_i][i].at); i++)
		fragment(1, bad[_i][i].at, bad[_i][i].len, bad[_i][i].more);
	ck_assert(!arrived());
	ck_assert_uint_ge(bed_count(bed, IP_REASS_BAD), 1);
	bed_pass(bed, 2 * BED_SECOND);
	ck_assert_uint_eq(bed_refs(), 0);
	ck_assert_uint_eq(bed->stack->reass.n, 0);
	ck_assert_uint_eq(bed->stack->reass.pinned, 0);
}
END_TEST

/* The ping of death: an offset that leads past the longest datagram. */
START_TEST(test_too_long)
{
	prepare(PAYLOAD);
	fragment(1, 0, 24, true);
	fragment(1, 65512, 24, false);
	bed_expect_count(bed, IP_REASS_BAD, 1);
	fragment(2, 65504, 24, true);
	bed_expect_count(bed, IP_REASS_BAD, 2);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* ... and with options in its header it is too long earlier. */
START_TEST(test_too_long_with_options)
{
	static uint8_t data[40 + 65508];
	struct frame *f;

	bed_close(bed);
	open_with(NULL);
	prepare(65507);
	fragment(1, 65480, 35, false);
	for (uint32_t at = 1480; at < 65480; at += 1480)
		fragment(1, at, at + 1480 < 65480 ? 1480 : 65480 - at, true);
	memcpy(data + 40, whole, 1480);
	memset(data, 1, 40);
	f = bed_ip_packet(NET_IPPROTO_UDP, "10.0.0.2", "10.0.0.1", data, 40 + 1480);
	frame_ip(f)->ver_ihl = 0x4f;
	frame_ip(f)->id = htons(1);
	frame_ip(f)->frag = htons(NET_IP_MF);
	bed_fix(f);
	bed_input(bed, f);
	ck_assert(!arrived());
	bed_expect_count(bed, IP_REASS_BAD, 1);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* ---- time */

START_TEST(test_timeout)
{
	const struct frame *f;

	prepare(PAYLOAD);
	fragment(1, 0, 24, true);
	bed_pass(bed, 999 * BED_MS);
	ck_assert_uint_eq(bed->stack->reass.n, 1);
	fragment(1, 24, 24, true);	/* does not give it more time */
	bed_pass(bed, 2 * BED_MS);
	ck_assert_uint_eq(bed->stack->reass.n, 0);
	ck_assert_uint_eq(bed_refs(), 0);
	bed_expect_count(bed, IP_REASS_TIMEOUT, 1);
	/* RFC 1122 3.3.2: the sender is told */
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(frame_l4(f)[0], NET_ICMP_TIME_EXCEEDED);
	ck_assert_uint_eq(frame_l4(f)[1], 1);
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("10.0.0.2"));
	ck_assert_uint_eq(frame_l4_len(f), NET_ICMP_LEN + NET_IP_LEN + 24);
	ck_assert(!memcmp(frame_l4(f) + NET_ICMP_LEN + NET_IP_LEN, whole, 24));
	fragment(1, 48, 12, false);
	ck_assert(!arrived());
}
END_TEST

/* Without the first fragment nobody could make anything of it. */
START_TEST(test_timeout_without_first)
{
	prepare(PAYLOAD);
	fragment(1, 24, 24, true);
	bed_pass(bed, 1001 * BED_MS);
	bed_expect_count(bed, IP_REASS_TIMEOUT, 1);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* ---- memory */

START_TEST(test_memory_is_bounded)
{
	char src[16];

	prepare(PAYLOAD);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(src, sizeof(src), "10.0.0.%u", 2 + i % 100);
		fragment_from(src, (uint16_t)i, 0, 24, true, 2048);
		ck_assert_uint_le(bed->stack->reass.pinned, 65536);
		ck_assert_uint_le(bed_refs(), 32);
	}
	ck_assert_uint_gt(bed_count(bed, IP_REASS_BAD), 0);
	/* the last ones are there still */
	fragment_from(src, 999, 24, 36, false, 2048);
	bed_expect_count(bed, IP_REASSEMBLED, 1);
}
END_TEST

/* Who sends a flood of first fragments has his share, and the other gets through. */
START_TEST(test_one_source_cannot_take_all)
{
	prepare(PAYLOAD);
	fragment_from("10.0.0.3", 1, 0, 24, true, 2048);
	for (unsigned i = 0; i < 500; i++)
		fragment_from("10.0.0.66", (uint16_t)i, 0, 24, true, 2048);
	ck_assert_uint_le(bed->stack->reass.pinned, 65536 / 4 + 2048);
	fragment_from("10.0.0.3", 1, 24, 36, false, 2048);
	bed_expect_count(bed, IP_REASSEMBLED, 1);
	bed_expect_count(bed, UDP_BAD_CSUM, 1); /* the sum is over another address */
}
END_TEST

/* ... in number either, with fragments that pin next to nothing. */
START_TEST(test_number_is_bounded)
{
	prepare(PAYLOAD);
	fragment_from("10.0.0.3", 1, 0, 24, true, 1);
	for (unsigned i = 0; i < 1000; i++)
		fragment_from("10.0.0.66", (uint16_t)i, 0, 24, true, 1);
	ck_assert_uint_le(bed->stack->reass.n, 256);
	fragment_from("10.0.0.3", 1, 24, 36, false, 1);
	bed_expect_count(bed, IP_REASSEMBLED, 1);
}
END_TEST

/* A datagram in very many small pieces is given up. */
START_TEST(test_pieces_are_bounded)
{
	prepare(8000);
	for (uint32_t at = 0; at < 4000; at += 8)
		fragment_from("10.0.0.2", 1, at, 8, true, 8);
	ck_assert_uint_gt(bed_count(bed, IP_REASS_BAD), 0);
	ck_assert_uint_le(bed_refs(), 128);
}
END_TEST

START_TEST(test_larger_than_share)
{
	prepare(PAYLOAD);
	fragment_from("10.0.0.2", 1, 0, 24, true, 65536 / 4 + 1);
	bed_expect_count(bed, IP_REASS_BAD, 1);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* One that grows over its source's share: it goes, and only it. */
START_TEST(test_grows_over_share)
{
	prepare(8000);
	fragment_from("10.0.0.3", 7, 0, 24, true, 2048);
	for (uint32_t at = 0; at < 8000; at += 800)
		fragment_from("10.0.0.2", 1, at, 800, true, 2048);
	ck_assert_uint_gt(bed_count(bed, IP_REASS_BAD), 0);
	ck_assert_uint_le(bed->stack->reass.pinned, 65536 / 4 + 2048);
	fragment_from("10.0.0.3", 7, 24, 36, false, 2048);
	bed_expect_count(bed, IP_REASSEMBLED, 1);
}
END_TEST

/* To everybody, in pieces: still to everybody. */
START_TEST(test_broadcast)
{
	struct net_sock *exact = bed_udp_socket(bed, "10.0.0.1", 8);
	struct net_seg seg;
	struct frame *f;

	for (uint16_t port = 7; port <= 8; port++) {
		memcpy(whole, frame_l4(bed_udp("10.0.0.2", 9, "10.0.0.255", port, NULL, PAYLOAD)),
		       NET_UDP_LEN + PAYLOAD);
		for (uint32_t at = 0; at < 48; at += 24) {
			f = bed_ip_packet(NET_IPPROTO_UDP, "10.0.0.2", "10.0.0.255", whole + at,
					  at ? 36 : 24);
			frame_ip(f)->id = htons(port);
			frame_ip(f)->frag = htons((uint16_t)(at / 8 | (at ? 0 : NET_IP_MF)));
			bed_fix(f);
			memset(f->data, 0xff, 6);
			bed_input(bed, f);
		}
	}
	bed_expect_datagram(sock, PAYLOAD, 0);
	ck_assert_int_eq(net_recv(exact, &seg, NULL), EAGAIN);
	bed_expect_count(bed, UDP_NO_PORT, 1);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

START_TEST(test_none_allowed)
{
	bed_close(bed);
	open_with("reass_bytes=0");
	prepare(PAYLOAD);
	fragment(1, 0, 24, true);
	ck_assert_uint_eq(bed_refs(), 0);
	bed_expect_count(bed, IP_REASS_BAD, 1);
}
END_TEST

/* No memory to put it together in: dropped, counted, and all goes on. */
START_TEST(test_no_memory)
{
	prepare(PAYLOAD);
	bed->allocs = 0;
	for (int i = 0; i < 3; i++)
		fragment(1, thirds[i].at, thirds[i].len, i != 2);
	ck_assert(!arrived());
	bed_expect_count(bed, NO_MEMORY, 1);
	ck_assert_uint_eq(bed_refs(), 0);
	bed->allocs = 1;
	for (int i = 0; i < 3; i++)
		fragment(2, thirds[i].at, thirds[i].len, i != 2);
	bed_expect_datagram(sock, PAYLOAD, 0);
}
END_TEST

/* Freed with some begun: bed_close() asserts that they come back. */
START_TEST(test_free)
{
	prepare(PAYLOAD);
	for (uint16_t id = 0; id < 20; id++)
		fragment(id, 24 * (id % 2), 24, true);
	ck_assert_uint_eq(bed_refs(), 20);
}
END_TEST

/* Whatever comes: no crash, no leak, no more memory than is allowed. */
START_TEST(test_noise)
{
	unsigned seed = (unsigned)_i;

	prepare(2000);
	for (int i = 0; i < 3000; i++) {
		uint32_t at = (uint32_t)(rand_r(&seed) % 8) * 8;
		uint32_t len = (uint32_t)(rand_r(&seed) % 5) * 8 + (rand_r(&seed) % 4 ? 0 : 3);

		fragment((uint16_t)(rand_r(&seed) % 3), at, len, rand_r(&seed) % 3);
		ck_assert_uint_le(bed->stack->reass.pinned, 65536);
		bed_pass(bed, (uint64_t)(rand_r(&seed) % 3) * BED_MS);
		bed_forget(bed);
	}
}
END_TEST

Suite *net_reass_suite(void)
{
	Suite *s = suite_create("net_reass");
	TCase *t = tcase_create("reass");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_every_order, 0, 6);
	tcase_add_loop_test(t, test_every_order_twice, 0, 6);
	tcase_add_test(t, test_interleaved);
	tcase_add_test(t, test_not_mixed);
	tcase_add_test(t, test_longest);
	tcase_add_test(t, test_bad_checksum);
	tcase_add_test(t, test_options);
	tcase_add_loop_test(t, test_bad, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, test_too_long);
	tcase_add_test(t, test_too_long_with_options);
	tcase_add_test(t, test_timeout);
	tcase_add_test(t, test_timeout_without_first);
	tcase_add_test(t, test_memory_is_bounded);
	tcase_add_test(t, test_one_source_cannot_take_all);
	tcase_add_test(t, test_number_is_bounded);
	tcase_add_test(t, test_pieces_are_bounded);
	tcase_add_test(t, test_larger_than_share);
	tcase_add_test(t, test_grows_over_share);
	tcase_add_test(t, test_broadcast);
	tcase_add_test(t, test_none_allowed);
	tcase_add_test(t, test_no_memory);
	tcase_add_test(t, test_free);
	tcase_add_loop_test(t, test_noise, 1, 5);
	suite_add_tcase(s, t);
	return s;
}
