#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* Local ports and the addresses that sockets may have. */

static struct bed *bed;

static void setup(void)
{
	struct net_ip second = bed_ip("10.0.0.5");

	bed = bed_open("port_min=40000,port_max=40009");
	ck_assert_int_eq(net_local_add(bed->stack, &second, 24, false), 0);
}

static void teardown(void)
{
	bed_close(bed);
}

static struct net_sock *new_socket(void)
{
	struct net_sock *s;

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &s), 0);
	return s;
}

static int bind_to(struct net_sock *s, const char *ip, uint16_t port)
{
	struct net_addr addr = bed_addr(ip, port);

	return net_bind(s, &addr);
}

static uint16_t port_of(struct net_sock *s)
{
	struct net_addr addr;

	ck_assert_int_eq(net_name(s, &addr), 0);
	return ntohs(addr.port);
}

static const struct {
	const char *first, *second;
	bool reuse_first, reuse_second;
	int err;
} pairs[] = {
	{ "10.0.0.1", "10.0.0.5", false, false, 0 },
	{ "10.0.0.1", "10.0.0.1", false, false, EADDRINUSE },
	{ "0.0.0.0", "10.0.0.1", false, false, EADDRINUSE },
	{ "10.0.0.1", "0.0.0.0", false, false, EADDRINUSE },
	{ "0.0.0.0", "0.0.0.0", false, false, EADDRINUSE },
	{ "10.0.0.1", "10.0.0.1", true, false, EADDRINUSE },
	{ "10.0.0.1", "10.0.0.1", false, true, EADDRINUSE },
	{ "10.0.0.1", "10.0.0.1", true, true, 0 },
	{ "0.0.0.0", "10.0.0.1", true, true, 0 },
};

START_TEST(test_pairs)
{
	struct net_sock *a = new_socket(), *b = new_socket();
	struct net_addr name;

	ck_assert_int_eq(net_set_opt(a, NET_OPT_REUSEADDR, pairs[_i].reuse_first), 0);
	ck_assert_int_eq(net_set_opt(b, NET_OPT_REUSEADDR, pairs[_i].reuse_second), 0);
	ck_assert_int_eq(bind_to(a, pairs[_i].first, 80), 0);
	ck_assert_int_eq(bind_to(b, pairs[_i].second, 80), pairs[_i].err);
	if (!pairs[_i].err)
		return;
	ck_assert_int_eq(net_name(b, &name), ENOTCONN);
	net_close(a, false);
	ck_assert_int_eq(bind_to(b, pairs[_i].second, 80), 0);
	ck_assert_uint_eq(port_of(b), 80);
}
END_TEST

START_TEST(test_bind)
{
	struct net_sock *s = new_socket();

	ck_assert_int_eq(bind_to(s, "10.0.0.9", 80), EADDRNOTAVAIL);
	ck_assert_int_eq(bind_to(s, "127.0.0.1", 80), EADDRNOTAVAIL);
	ck_assert_int_eq(bind_to(s, "10.0.0.255", 80), EADDRNOTAVAIL);
	ck_assert_int_eq(bind_to(s, "10.0.0.5", 80), 0);
	ck_assert_int_eq(bind_to(s, "10.0.0.5", 81), EINVAL);
	ck_assert_int_eq(net_listen(s, 5), EOPNOTSUPP);
}
END_TEST

/* All of the range is given out, each once, and then there is none. */
START_TEST(test_ephemeral)
{
	struct net_sock *s[10], *more = new_socket();
	uint32_t seen = 0;

	for (int i = 0; i < 10; i++) {
		s[i] = new_socket();
		ck_assert_int_eq(bind_to(s[i], i % 2 ? "0.0.0.0" : "10.0.0.1", 0), 0);
		ck_assert_uint_ge(port_of(s[i]), 40000);
		ck_assert_uint_le(port_of(s[i]), 40009);
		seen |= 1u << (port_of(s[i]) - 40000);
	}
	ck_assert_uint_eq(seen, 0x3ff);
	ck_assert_int_eq(bind_to(more, "0.0.0.0", 0), EADDRINUSE);
	net_close(s[4], false);
	ck_assert_int_eq(bind_to(more, "0.0.0.0", 0), 0);
}
END_TEST

/* RFC 6056: where it begins is not to be guessed; from the seed alone in a test. */
START_TEST(test_ephemeral_is_random)
{
	uint16_t first[40];
	bool differ = false;

	for (uint64_t seed = 0; seed < 40; seed++) {
		bed_close(bed);
		bed = bed_prepare();
		bed_start(bed, NULL, seed / 2);
		first[seed] = 0;
		struct net_sock *s = new_socket();

		ck_assert_int_eq(bind_to(s, "0.0.0.0", 0), 0);
		first[seed] = port_of(s);
		if (seed % 2)
			ck_assert_uint_eq(first[seed], first[seed - 1]);
		else if (seed)
			differ |= first[seed] != first[seed - 1];
	}
	ck_assert(differ);
}
END_TEST

/* More ports than the table begins with; none is lost when it grows. */
START_TEST(test_many)
{
	static struct net_sock *s[2000];
	struct net_addr local = bed_addr("10.0.0.1", 0);

	for (int i = 0; i < 2000; i++) {
		s[i] = new_socket();
		ck_assert_int_eq(bind_to(s[i], "10.0.0.1", (uint16_t)(i + 1)), 0);
	}
	for (int i = 0; i < 2000; i++) {
		local.port = htons((uint16_t)(i + 1));
		ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &local, NULL), s[i]);
	}
	for (int i = 0; i < 2000; i += 2)
		net_close(s[i], false);
	for (int i = 0; i < 2000; i++) {
		local.port = htons((uint16_t)(i + 1));
		ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &local, NULL),
				 i % 2 ? s[i] : NULL);
	}
}
END_TEST

/* The one that fits best gets it. */
START_TEST(test_best)
{
	struct net_sock *any = new_socket(), *exact = new_socket(), *connected = new_socket();
	struct net_addr local = bed_addr("10.0.0.1", 80), other = bed_addr("10.0.0.5", 80);
	struct net_addr peer = bed_addr("10.0.0.2", 9), stranger = bed_addr("10.0.0.3", 9);
	struct net_sock *all[] = { any, exact, connected };

	for (int i = 0; i < 3; i++) { /* the order does not matter */
		struct net_sock *s = all[_i ? 2 - i : i];

		ck_assert_int_eq(net_set_opt(s, NET_OPT_REUSEADDR, 1), 0);
		ck_assert_int_eq(bind_to(s, s == any ? "0.0.0.0" : "10.0.0.1", 80), 0);
	}
	ck_assert_int_eq(net_connect(connected, &peer), 0);
	ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &local, &peer), connected);
	ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &local, &stranger), exact);
	ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &other, &peer), any);
	net_close(exact, false);
	ck_assert_ptr_eq(net_port_find(bed->stack, NET_UDP, &local, &stranger), any);
	net_close(any, false);
	ck_assert_ptr_null(net_port_find(bed->stack, NET_UDP, &local, &stranger));
}
END_TEST

/* Connections hold a port without being bound: it is taken for who will not share. */
START_TEST(test_held)
{
	struct net_addr local = bed_addr("10.0.0.1", 80);
	struct net_sock s = { .stack = bed->stack, .type = NET_TCP };
	struct net_sock other = s;

	list_init(&s.ready);
	ck_assert_int_eq(net_port_hold(bed->stack, &local, 1), 0);
	ck_assert_int_eq(net_port_hold(bed->stack, &local, 1), 0);
	ck_assert_int_eq(net_port_bind(&s, &local), EADDRINUSE);
	s.reuse = true;
	ck_assert_int_eq(net_port_bind(&s, &local), 0);
	ck_assert(!net_port_has_listener(&s));
	s.listens = true;
	other.reuse = true;
	ck_assert_int_eq(net_port_bind(&other, &local), EADDRINUSE); /* it listens */
	ck_assert_ptr_eq(net_port_find(bed->stack, NET_TCP, &local, NULL), &s);
	other.local = local;
	ck_assert(net_port_has_listener(&other));
	other.local.ip = bed_ip("10.0.0.5");
	ck_assert(!net_port_has_listener(&other));
	net_port_unbind(&s);
	net_port_unbind(&s);
	ck_assert_ptr_null(net_port_find(bed->stack, NET_TCP, &local, NULL));
	net_port_hold(bed->stack, &local, -1);
	other.reuse = false;
	ck_assert_int_eq(net_port_bind(&other, &local), EADDRINUSE);
	net_port_hold(bed->stack, &local, -1);
	ck_assert_int_eq(net_port_bind(&other, &local), 0);
	net_port_unbind(&other);
	ck_assert_uint_eq(bed->stack->ports.n, 0);
}
END_TEST

/* A UDP port and a TCP port of the same number are two. */
START_TEST(test_types)
{
	struct net_addr local = bed_addr("10.0.0.1", 80);

	ck_assert_int_eq(net_port_hold(bed->stack, &local, 1), 0);
	ck_assert_int_eq(bind_to(new_socket(), "10.0.0.1", 80), 0);
	net_port_hold(bed->stack, &local, -1);
}
END_TEST

static bool even_is_taken(struct net_sock *s, uint16_t port)
{
	(void)s;
	return ntohs(port) % 2 == 0;
}

static bool all_are_taken(struct net_sock *s, uint16_t port)
{
	(void)s;
	(void)port;
	return true;
}

START_TEST(test_pick)
{
	struct net_sock s = { .stack = bed->stack, .type = NET_UDP };

	for (uint16_t port = 40001; port < 40009; port += 2)
		ck_assert_int_eq(bind_to(new_socket(), "10.0.0.1", port), 0);
	ck_assert_int_eq(net_port_pick(&s, even_is_taken), 0);
	ck_assert_uint_eq(ntohs(s.local.port), 40009);
	ck_assert_int_eq(net_port_pick(&s, all_are_taken), EADDRNOTAVAIL);
}
END_TEST

/* ---- any address (memif and other links between two) */

START_TEST(test_any_addr)
{
	struct net_ip localhost = bed_ip("127.0.0.1");
	struct net_sock *a, *b;
	const struct frame *f;

	bed_close(bed);
	bed = bed_open("any_addr=1");
	a = new_socket();
	b = new_socket();
	ck_assert_int_eq(bind_to(a, "224.0.0.1", 80), EADDRNOTAVAIL);
	ck_assert_int_eq(bind_to(a, "127.0.0.1", 80), 0);
	ck_assert_int_eq(bind_to(b, "127.0.0.1", 80), EADDRINUSE);
	ck_assert_int_eq(bind_to(b, "127.0.0.1", 81), 0);
	ck_assert(net_local_has(bed->stack, &localhost));
	net_flush(bed->stack);
	f = bed_sent(bed);
	ck_assert_uint_eq(frame_arp(f)->spa, bed_v4("127.0.0.1"));
	ck_assert_uint_eq(frame_arp(f)->tpa, bed_v4("127.0.0.1"));
	ck_assert_ptr_null(bed_sent(bed));
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "127.0.0.9", 0, "127.0.0.1"));
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->op, htons(NET_ARP_REPLY));
	bed_input(bed, bed_udp("127.0.0.9", 9, "127.0.0.1", 80, NULL, 33));
	bed_expect_datagram(a, 33, 0);
	/* it is ours as long as somebody has it */
	net_close(a, false);
	ck_assert(net_local_has(bed->stack, &localhost));
	net_close(b, false);
	ck_assert(!net_local_has(bed->stack, &localhost));
	bed_input(bed, bed_udp("127.0.0.9", 9, "127.0.0.1", 80, NULL, 33));
	bed_expect_count(bed, IP_NOT_OURS, 1);
}
END_TEST

/* Every destination is on such a link, and what is not bound sends as the first. */
START_TEST(test_any_addr_everywhere)
{
	static const char *const dsts[] = { "127.0.0.1", "8.8.8.8", "192.168.1.1" };

	bed_close(bed);
	bed = bed_open("any_addr=1");
	for (int i = 0; i < 3; i++) {
		struct net_addr to = bed_addr(dsts[i], 9);
		struct net_seg seg = bed_seg(10, 0);
		const struct frame *f;

		ck_assert_int_eq(net_send(new_socket(), &seg, 1, &to), 0);
		bed_run(bed);
		f = bed_sent(bed);
		ck_assert_uint_eq(frame_arp(f)->tpa, bed_v4(dsts[i]));
		ck_assert_uint_eq(frame_arp(f)->spa, bed_v4("10.0.0.1"));
		bed_input(bed, bed_arp(NET_ARP_REPLY, 2, dsts[i], 1, "10.0.0.1"));
		f = bed_sent(bed);
		ck_assert_uint_eq(frame_ip(f)->src, bed_v4("10.0.0.1"));
		ck_assert_uint_eq(frame_ip(f)->dst, bed_v4(dsts[i]));
	}
}
END_TEST

static uint32_t send_to_port(struct net_sock *s, uint16_t port)
{
	struct net_addr to = bed_addr("127.0.0.1", port);
	struct net_seg seg = bed_seg(10, 0);
	uint32_t n = 0;

	ck_assert_int_eq(net_send(s, &seg, 1, &to), 0);
	bed_run(bed);
	while (bed_sent(bed))
		n++;
	return n;
}

/* An address that both ends have is ours for what a socket of ours has bound there, and
 * the other end's for the rest; what answers goes back to where the question came from. */
START_TEST(test_shared_address)
{
	struct net_addr mine = bed_addr("127.0.0.1", 80), his = bed_addr("127.0.0.1", 81);
	struct net_sock *a, *b, *c;
	struct net_addr from;
	struct net_seg seg;
	const struct frame *f;

	bed_close(bed);
	bed = bed_open("any_addr=1");
	a = new_socket();
	b = new_socket();
	c = new_socket();
	ck_assert_int_eq(bind_to(a, "127.0.0.1", 80), 0);
	ck_assert_int_eq(bind_to(b, "127.0.0.1", 82), 0);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "127.0.0.1", 0, "127.0.0.1"));
	bed_expect_count(bed, ARP_CONFLICTS, 0);
	bed_forget(bed);
	/* ours */
	ck_assert_uint_eq(send_to_port(b, 80), 0);
	bed_expect_datagram(a, 10, 0);
	/* his */
	seg = bed_seg(10, 0);
	ck_assert_int_eq(net_send(b, &seg, 1, &his), 0);
	bed_run(bed);
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert(!memcmp(frame_eth(f)->dst, bed_mac(2), 6));
	ck_assert_uint_eq(frame_ip(f)->src, bed_v4("127.0.0.1"));
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("127.0.0.1"));
	/* from him; and nobody is at our port 99: he is told, not we */
	bed_input(bed, bed_udp("127.0.0.1", 81, "127.0.0.1", 80, NULL, 20));
	ck_assert_int_eq(net_recv(a, &seg, &from), 0);
	ck_assert_uint_eq(from.port, his.port);
	bed_put(&seg);
	bed_input(bed, bed_udp("127.0.0.1", 81, "127.0.0.1", 99, NULL, 20));
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(frame_ip(f)->proto, NET_IPPROTO_ICMP);
	/* a socket that comes later has what is sent from then on */
	ck_assert_int_eq(bind_to(c, "127.0.0.1", 81), 0);
	bed_forget(bed);
	ck_assert_uint_eq(send_to_port(b, 81), 0);
	bed_expect_datagram(c, 10, 0);
	net_close(c, false);
	ck_assert_uint_eq(send_to_port(b, 81), 1);
	/* alone, all is ours */
	net_link_lost(bed->stack, ECONNRESET);
	c = new_socket();
	ck_assert_int_eq(net_connect(c, &mine), 0);
	ck_assert_int_eq(net_connect(c, &his), 0);
	seg = bed_seg(10, 0);
	ck_assert_int_eq(net_send(c, &seg, 1, NULL), 0);
	bed_pass(bed, BED_MS);
	ck_assert_int_eq(net_error(c), ECONNREFUSED);
}
END_TEST

Suite *net_port_suite(void)
{
	Suite *s = suite_create("net_port");
	TCase *t = tcase_create("port");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_pairs, 0, sizeof(pairs) / sizeof(pairs[0]));
	tcase_add_test(t, test_bind);
	tcase_add_test(t, test_ephemeral);
	tcase_add_test(t, test_ephemeral_is_random);
	tcase_add_test(t, test_many);
	tcase_add_loop_test(t, test_best, 0, 2);
	tcase_add_test(t, test_held);
	tcase_add_test(t, test_types);
	tcase_add_test(t, test_pick);
	tcase_add_test(t, test_any_addr);
	tcase_add_test(t, test_any_addr_everywhere);
	tcase_add_test(t, test_shared_address);
	suite_add_tcase(s, t);
	return s;
}
