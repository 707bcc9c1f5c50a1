#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* ICMP (RFC 792, 1122 3.2.2). */

static struct bed *bed;
static struct net_sock *sock;	/* 10.0.0.1:7, connected to 10.0.0.2:9 */

static void open_with(const char *config)
{
	struct net_ip ip = bed_ip("10.0.0.2");

	bed = bed_open(config);
	ck_assert_int_eq(net_neigh_add(bed->stack, &ip, bed_mac(2)), 0);
}

static void setup(void)
{
	struct net_addr peer = bed_addr("10.0.0.2", 9);

	open_with("icmp_rate=5");
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	ck_assert_int_eq(net_connect(sock, &peer), 0);
}

static void teardown(void)
{
	bed_close(bed);
}

static void expect_nothing(void)
{
	ck_assert_ptr_null(bed_sent(bed));
}

/* ---- echo */

static struct frame *ping(uint32_t len)
{
	static uint8_t data[65535];

	memcpy(data + 4, "\x12\x34\x56\x78", 4);
	for (uint32_t i = 8; i < len; i++)
		data[i] = (uint8_t)i;
	return bed_icmp("10.0.0.2", "10.0.0.1", NET_ICMP_ECHO, 0, data, len);
}

static const uint32_t ping_lengths[] = { 8, 9, 64, 1480 };

START_TEST(test_echo)
{
	uint32_t len = ping_lengths[_i];
	const struct frame *f;

	bed_input(bed, ping(len));
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(frame_ip(f)->src, bed_v4("10.0.0.1"));
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("10.0.0.2"));
	ck_assert_uint_eq(frame_ip(f)->proto, NET_IPPROTO_ICMP);
	ck_assert_uint_eq(frame_l4_len(f), len);
	ck_assert_uint_eq(frame_l4(f)[0], NET_ICMP_ECHO_REPLY);
	ck_assert(!memcmp(frame_l4(f) + 4, "\x12\x34\x56\x78", 4));
	ck_assert(bed_is_pattern(frame_l4(f) + 8, len - 8, 8));
	expect_nothing();
	bed_expect_count(bed, ICMP_ECHOS, 1);
}
END_TEST

/* In pieces there, in pieces back. */
START_TEST(test_long_echo)
{
	struct frame *f = ping(3008);
	uint8_t all[3008];

	memcpy(all, frame_l4(f), 3008);
	for (uint32_t at = 0; at < 3008; at += 1504) {
		f = bed_ip_packet(NET_IPPROTO_ICMP, "10.0.0.2", "10.0.0.1", all + at, 1504);
		frame_ip(f)->frag = htons((uint16_t)(at / 8 | (at ? 0 : NET_IP_MF)));
		bed_fix(f);
		bed_input(bed, f);
	}
	bed_expect_count(bed, ICMP_ECHOS, 1);
	ck_assert_uint_eq(bed->n_sent, 3);
}
END_TEST

START_TEST(test_bad_echo)
{
	struct frame *f = ping(64);

	f->data[f->len - 1] ^= 1;
	bed_input(bed, f);
	bed_expect_count(bed, ICMP_BAD, 1);
	bed_input(bed, bed_ip_packet(NET_IPPROTO_ICMP, "10.0.0.2", "10.0.0.1", "\10\0\0\0\0\0\0",
				     7));
	bed_expect_count(bed, ICMP_BAD, 2);
	bed_input(bed, bed_icmp("10.0.0.2", "10.0.0.1", NET_ICMP_ECHO, 1, NULL, 8));
	bed_input(bed, bed_icmp("10.0.0.2", "10.0.0.1", NET_ICMP_ECHO_REPLY, 0, NULL, 8));
	bed_input(bed, bed_icmp("10.0.0.2", "10.0.0.1", 13, 0, NULL, 20));
	f = bed_icmp("10.0.0.2", "10.0.0.255", NET_ICMP_ECHO, 0, NULL, 8);
	memset(f->data, 0xff, 6);
	bed_input(bed, f);
	bed_expect_count(bed, ICMP_ECHOS, 0);
	expect_nothing();
}
END_TEST

/* A flood of them takes no place that acknowledgements need. */
START_TEST(test_echo_flood)
{
	bed->take = 0;
	for (int i = 0; i < 200; i++)
		bed_input(bed, ping(64));
	ck_assert_uint_ge(bed->stack->out.n_free, NET_OUT_RESERVE);
	ck_assert_uint_gt(bed_count(bed, TX_NO_ROOM), 0);
	bed->take = UINT32_MAX;
	bed_run(bed);
	bed_forget(bed);
	bed_input(bed, ping(64));
	ck_assert_ptr_nonnull(bed_sent(bed));
}
END_TEST

/* ---- errors that go out */

static void expect_unreachable(uint8_t code, const struct frame *about)
{
	const struct frame *f = bed_sent(bed);
	uint32_t quote = about->len - NET_ETH_LEN;

	ck_assert_ptr_nonnull(f);
	if (quote > 548)
		quote = 548;
	ck_assert_uint_eq(frame_ip(f)->src, bed_v4("10.0.0.1"));
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("10.0.0.2"));
	ck_assert_uint_eq(frame_l4(f)[0], NET_ICMP_UNREACH);
	ck_assert_uint_eq(frame_l4(f)[1], code);
	ck_assert_uint_eq(frame_l4_len(f), NET_ICMP_LEN + quote);
	ck_assert(!memcmp(frame_l4(f) + 4, "\0\0\0\0", 4));
	ck_assert(!memcmp(frame_l4(f) + NET_ICMP_LEN, about->data + NET_ETH_LEN, quote));
}

static const uint32_t udp_lengths[] = { 0, 20, 520, 521, 1400 };

START_TEST(test_port_unreachable)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, udp_lengths[_i]);

	bed_input(bed, f);
	expect_unreachable(NET_ICMP_UNREACH_PORT, f);
	expect_nothing();
	bed_expect_count(bed, UDP_NO_PORT, 1);
	bed_expect_count(bed, ICMP_UNREACH_OUT, 1);
}
END_TEST

START_TEST(test_protocol_unreachable)
{
	struct frame *f = bed_ip_packet(99, "10.0.0.2", "10.0.0.1", NULL, 30);

	bed_input(bed, f);
	expect_unreachable(NET_ICMP_UNREACH_PROTO, f);
	bed_expect_count(bed, IP_NO_PROTO, 1);
}
END_TEST

/* RFC 1122 3.2.2: about these nothing is said. */
START_TEST(test_no_error)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.255", 1, NULL, 20);

	memset(f->data, 0xff, 6);
	bed_input(bed, f);
	f = bed_ip_packet(99, "10.0.0.2", "255.255.255.255", NULL, 30);
	memset(f->data, 0xff, 6);
	bed_input(bed, f);
	bed_input(bed, bed_udp("224.0.0.5", 9, "10.0.0.1", 1, NULL, 20));
	bed_input(bed, bed_udp("10.0.0.255", 9, "10.0.0.1", 1, NULL, 20));
	bed_input(bed, bed_udp("0.0.0.0", 9, "10.0.0.1", 1, NULL, 20));
	f = bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20);
	f->data[f->len - 1] ^= 1;
	bed_input(bed, f);
	/* a later fragment of what has no first */
	f = bed_ip_packet(99, "10.0.0.2", "10.0.0.1", NULL, 30);
	frame_ip(f)->frag = htons(4);
	bed_fix(f);
	bed_input(bed, f);
	bed_pass(bed, 20 * BED_SECOND);
	expect_nothing();
	bed_expect_count(bed, ICMP_UNREACH_OUT, 0);
}
END_TEST

/* No more than five a second here, and never saved up for longer. */
START_TEST(test_rate)
{
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++)
			bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
		ck_assert_uint_eq(bed->n_sent, 5);
		bed_expect_count(bed, ICMP_LIMITED, 15u * (unsigned)(round + 1));
		bed_forget(bed);
		bed_pass(bed, 1001 * BED_MS * (round ? 1 : 100));
	}
	/* one at a time: what is asked between two of them takes nothing away */
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
	bed_pass(bed, 10 * BED_SECOND);
	for (int i = 0; i < 5; i++)
		bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
	bed_forget(bed);
	for (int i = 0; i < 100; i++) {
		bed_pass(bed, 150 * BED_MS);
		bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
	}
	ck_assert_uint_ge(bed->n_sent, 74);
	ck_assert_uint_le(bed->n_sent, 75);
}
END_TEST

START_TEST(test_rate_zero)
{
	bed_close(bed);
	open_with("icmp_rate=0");
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
	bed_pass(bed, 100 * BED_SECOND);
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 1, NULL, 20));
	expect_nothing();
	bed_expect_count(bed, ICMP_LIMITED, 2);
}
END_TEST

/* ---- errors that come in */

/* About a datagram from src:sport to dst:dport; the first n bytes of it. */
static struct frame *error_about(uint8_t type, uint8_t code, const char *src, uint16_t sport,
				 const char *dst, uint16_t dport, uint32_t n)
{
	uint8_t rest[8 + 28] = { 0 };
	struct frame *f = bed_udp(src, sport, dst, dport, NULL, 0);

	memcpy(rest + 8, f->data + NET_ETH_LEN, 28);
	return bed_icmp("10.0.0.77", "10.0.0.1", type, code, rest, 8 + n);
}

static const struct {
	uint8_t type, code;
	int err;
} errors[] = {
	{ NET_ICMP_UNREACH, 0, ENETUNREACH },
	{ NET_ICMP_UNREACH, 1, EHOSTUNREACH },
	{ NET_ICMP_UNREACH, 2, ENOPROTOOPT },
	{ NET_ICMP_UNREACH, 3, ECONNREFUSED },
	{ NET_ICMP_UNREACH, 4, EMSGSIZE },
	{ NET_ICMP_UNREACH, 5, EHOSTUNREACH },
	{ NET_ICMP_UNREACH, 9, ENETUNREACH },
	{ NET_ICMP_UNREACH, 13, EHOSTUNREACH },
	{ NET_ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH },
	{ NET_ICMP_PARAM_PROBLEM, 0, EPROTO },
};

START_TEST(test_error)
{
	struct net_seg seg = bed_seg(5, 0);
	uint32_t events;

	bed_input(bed, error_about(errors[_i].type, errors[_i].code, "10.0.0.1", 7, "10.0.0.2",
				   9, 28));
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert(events & NET_READABLE);
	/* told once, by whichever call comes first */
	ck_assert_int_eq(net_send(sock, &seg, 1, NULL), errors[_i].err);
	ck_assert_int_eq(net_send(sock, &seg, 1, NULL), 0);
	ck_assert_int_eq(net_error(sock), 0);
	bed_expect_count(bed, ICMP_UNREACH_IN, 1);
}
END_TEST

START_TEST(test_error_told_by_recv)
{
	struct net_seg seg;

	bed_input(bed, error_about(NET_ICMP_UNREACH, 3, "10.0.0.1", 7, "10.0.0.2", 9, 28));
	ck_assert_int_eq(net_recv(sock, &seg, NULL), ECONNREFUSED);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
}
END_TEST

/* What nobody here can have sent, or what is not quoted enough. */
START_TEST(test_error_about_others)
{
	struct net_sock *open = bed_udp_socket(bed, "10.0.0.1", 8);
	struct frame *f;

	bed_input(bed, error_about(3, 3, "10.0.0.1", 7, "10.0.0.2", 10, 28));
	bed_input(bed, error_about(3, 3, "10.0.0.1", 7, "10.0.0.3", 9, 28));
	bed_input(bed, error_about(3, 3, "10.0.0.1", 8, "10.0.0.2", 9, 28));
	bed_input(bed, error_about(3, 3, "10.0.0.1", 99, "10.0.0.2", 9, 28));
	bed_expect_count(bed, ICMP_BAD, 0);
	bed_input(bed, error_about(3, 3, "10.0.0.4", 7, "10.0.0.2", 9, 28));
	bed_expect_count(bed, ICMP_BAD, 1);
	for (uint32_t n = 0; n < 28; n++)
		bed_input(bed, error_about(3, 3, "10.0.0.1", 7, "10.0.0.2", 9, n));
	bed_expect_count(bed, ICMP_BAD, 29);
	f = error_about(3, 3, "10.0.0.1", 7, "10.0.0.2", 9, 28);
	f->data[NET_ETH_LEN + NET_IP_LEN + 8] = 0x4f; /* quoted: options that are not there */
	frame_l4(f)[2] = frame_l4(f)[3] = 0;
	bed_input_pinned(bed, f, 0, NET_PKT_L4_GOOD);
	bed_expect_count(bed, ICMP_BAD, 30);
	f->data[NET_ETH_LEN + NET_IP_LEN + 8] = 0x45;
	f->data[NET_ETH_LEN + NET_IP_LEN + 8 + 7] = 1; /* quoted: a later fragment */
	bed_input_pinned(bed, f, 0, NET_PKT_L4_GOOD);
	bed_expect_count(bed, ICMP_BAD, 31);
	ck_assert_int_eq(net_error(sock), 0);
	ck_assert_int_eq(net_error(open), 0);
	expect_nothing();
}
END_TEST

Suite *net_icmp_suite(void)
{
	Suite *s = suite_create("net_icmp");
	TCase *t = tcase_create("icmp");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_echo, 0, sizeof(ping_lengths) / sizeof(ping_lengths[0]));
	tcase_add_test(t, test_long_echo);
	tcase_add_test(t, test_bad_echo);
	tcase_add_test(t, test_echo_flood);
	tcase_add_loop_test(t, test_port_unreachable, 0,
			    sizeof(udp_lengths) / sizeof(udp_lengths[0]));
	tcase_add_test(t, test_protocol_unreachable);
	tcase_add_test(t, test_no_error);
	tcase_add_test(t, test_rate);
	tcase_add_test(t, test_rate_zero);
	tcase_add_loop_test(t, test_error, 0, sizeof(errors) / sizeof(errors[0]));
	tcase_add_test(t, test_error_told_by_recv);
	tcase_add_test(t, test_error_about_others);
	suite_add_tcase(s, t);
	return s;
}
