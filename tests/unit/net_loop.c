#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* To ourselves: around inside the stack, or out on a link that brings it back. */

static struct bed *bed;
static struct net_sock *sock;

static void open_with(const char *config)
{
	bed = bed_open(config);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
}

static void setup(void)
{
	open_with(NULL);
}

static void teardown(void)
{
	bed_close(bed);
}

static int send_self(uint32_t len, uint8_t first)
{
	struct net_addr to = bed_addr("10.0.0.1", 7);
	struct net_seg seg = bed_seg(len, first);
	int err = net_send(sock, &seg, 1, &to);

	if (err)
		bed_put(&seg);
	return err;
}

static const uint32_t lengths[] = { 1, 100, 1473, 16384, 65507 };

/* It comes with the next poll, which says that there is something to do until then. */
START_TEST(test_comes_back)
{
	uint32_t len = lengths[_i];
	struct net_seg seg;

	ck_assert_int_eq(send_self(len, 3), 0);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
	ck_assert(net_flush(bed->stack));
	ck_assert(net_has_unsent(bed->stack));
	ck_assert_uint_le(net_deadline(bed->stack), bed->now);
	net_poll(bed->stack, bed->now);
	bed_expect_datagram(sock, len, 3);
	ck_assert(!net_has_unsent(bed->stack));
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* ... or with the next packet. */
START_TEST(test_comes_with_input)
{
	ck_assert_int_eq(send_self(10, 3), 0);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.9"));
	bed_expect_datagram(sock, 10, 3);
}
END_TEST

START_TEST(test_many)
{
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(send_self(10, (uint8_t)i), 0);
	net_poll(bed->stack, bed->now);
	for (uint32_t i = 0; i < 1000; i++)
		bed_expect_datagram(sock, 10, (uint8_t)i);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* Much, but not at a time. */
START_TEST(test_much)
{
	for (uint32_t i = 0; i < 300; i++) {
		ck_assert_int_eq(send_self(65507, (uint8_t)i), 0);
		net_poll(bed->stack, bed->now);
		bed_expect_datagram(sock, 65507, (uint8_t)i);
	}
	bed_expect_count(bed, NO_MEMORY, 0);
}
END_TEST

/* As many as there may be, and then they are dropped and counted. */
START_TEST(test_bounded)
{
	for (uint32_t i = 0; i < 10000; i++)
		ck_assert_int_eq(send_self(1, 0), 0);
	ck_assert_uint_le(bed_refs(), 4096);
	bed_expect_count(bed, NO_MEMORY, 10000 - 4096);
	net_poll(bed->stack, bed->now);
	for (uint32_t i = 0; i < 4096; i++)
		bed_expect_datagram(sock, 1, 0);
	/* ... and as many bytes */
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(send_self(65507, 0), 0);
	ck_assert_uint_le(bed_refs(), 8388608 / 65507 + 1);
}
END_TEST

START_TEST(test_no_memory)
{
	bed->allocs = 0;
	ck_assert_int_eq(send_self(10, 0), 0);
	bed_expect_count(bed, NO_MEMORY, 1);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* Nobody there: the error comes around, too. */
START_TEST(test_refused)
{
	struct net_addr nobody = bed_addr("10.0.0.1", 99);
	struct net_seg seg = bed_seg(10, 0);

	ck_assert_int_eq(net_connect(sock, &nobody), 0);
	ck_assert_int_eq(net_send(sock, &seg, 1, NULL), 0);
	bed_pass(bed, BED_MS);
	ck_assert_int_eq(net_error(sock), ECONNREFUSED);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* To "any address" is to ourselves. */
START_TEST(test_any)
{
	struct net_addr any = { net_ip4(0), htons(7) };
	struct net_seg seg = bed_seg(10, 4);

	ck_assert_int_eq(net_send(sock, &seg, 1, &any), 0);
	net_poll(bed->stack, bed->now);
	bed_expect_datagram(sock, 10, 4);
}
END_TEST

/* Ourselves, from outside: somebody lies. */
START_TEST(test_spoofed)
{
	bed_input(bed, bed_udp("10.0.0.1", 9, "10.0.0.1", 7, NULL, 10));
	bed_expect_count(bed, IP_BAD_SOURCE, 1);
	/* also after one that was right */
	ck_assert_int_eq(send_self(10, 0), 0);
	net_poll(bed->stack, bed->now);
	bed_expect_datagram(sock, 10, 0);
	bed_input(bed, bed_udp("10.0.0.1", 9, "10.0.0.1", 7, NULL, 10));
	bed_expect_count(bed, IP_BAD_SOURCE, 2);
}
END_TEST

/* Freed while they are on their way: bed_close() asserts that they come back. */
START_TEST(test_free)
{
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(send_self(10, 0), 0);
}
END_TEST

/* A ring: out with our own link address, without a question, and in again. */
START_TEST(test_link_loop)
{
	const struct frame *f;
	struct frame back;
	uint8_t data[2000];

	bed_close(bed);
	open_with("link_loop=1");
	ck_assert_int_eq(send_self(100, 9), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert(!memcmp(frame_eth(f)->dst, bed_mac(1), 6));
	ck_assert(!memcmp(frame_eth(f)->src, bed_mac(1), 6));
	back = (struct frame){ .data = data, .len = f->len };
	memcpy(data, f->data, f->len);
	bed_input(bed, &back);
	bed_expect_datagram(sock, 100, 9);
	ck_assert_int_eq(send_self(3000, 9), 0);
	bed_run(bed);
	ck_assert_uint_eq(bed->n_sent, 3);
	bed_expect_count(bed, ARP_REQUESTS, 0);
}
END_TEST

/* Without Ethernet it goes out bare, too. */
START_TEST(test_link_loop_bare)
{
	const struct frame *f;
	struct frame back;
	uint8_t data[2000];

	bed_close(bed);
	bed = bed_prepare();
	bed->dev.ethernet = false;
	bed_start(bed, "link_loop=1", 1);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	ck_assert_int_eq(send_self(100, 9), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->len, 128);
	ck_assert_uint_eq(f->data[0], 0x45);
	back = (struct frame){ .data = data, .len = f->len };
	memcpy(data, f->data, f->len);
	bed_input(bed, &back);
	bed_expect_datagram(sock, 100, 9);
}
END_TEST

Suite *net_loop_suite(void)
{
	Suite *s = suite_create("net_loop");
	TCase *t = tcase_create("loop");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_comes_back, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, test_comes_with_input);
	tcase_add_test(t, test_many);
	tcase_add_test(t, test_much);
	tcase_add_test(t, test_bounded);
	tcase_add_test(t, test_no_memory);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_any);
	tcase_add_test(t, test_spoofed);
	tcase_add_test(t, test_free);
	tcase_add_test(t, test_link_loop);
	tcase_add_test(t, test_link_loop_bare);
	suite_add_tcase(s, t);
	return s;
}
