#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* UDP (RFC 768, 1122 4.1) and its sockets. */

static struct bed *bed;
static struct net_sock *sock;	/* 10.0.0.1:7 */

static void setup(void)
{
	bed = bed_open("rcvbuf=10000");
	bed_learn(bed, 2);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
}

static void teardown(void)
{
	bed_close(bed);
}

static void arrive(const char *src, uint16_t sport, uint32_t len, uint32_t pinned)
{
	bed_input_pinned(bed, bed_udp(src, sport, "10.0.0.1", 7, NULL, len), pinned, 0);
}

/* ---- input */

START_TEST(test_recv)
{
	struct net_addr from;
	struct net_seg seg, peeked;
	uint32_t events;
	int user;

	ck_assert_int_eq(net_recv(sock, &seg, &from), EAGAIN);
	ck_assert_int_eq(net_peek(sock, &seg, &from), EAGAIN);
	arrive("10.0.0.2", 9, 100, 0);
	arrive("10.0.0.3", 10, 50, 0);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert_uint_eq(events, NET_READABLE);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	ck_assert_uint_eq(net_bytes_readable(sock), 150);
	ck_assert_uint_eq(net_bytes_unacked(sock), 0);
	ck_assert_int_eq(net_peek(sock, &peeked, &from), 0);
	ck_assert_int_eq(net_recv(sock, &seg, &from), 0);
	ck_assert_ptr_eq(peeked.data, seg.data);
	ck_assert_uint_eq(seg.len, 100);
	ck_assert(bed_is_pattern(seg.data, 100, 0));
	ck_assert_uint_eq(net_ip_v4(&from.ip), bed_v4("10.0.0.2"));
	ck_assert_uint_eq(ntohs(from.port), 9);
	bed_put(&seg);
	ck_assert_int_eq(net_recv(sock, &seg, &from), 0);
	ck_assert_uint_eq(net_ip_v4(&from.ip), bed_v4("10.0.0.3"));
	ck_assert_uint_eq(ntohs(from.port), 10);
	bed_put(&seg);
	ck_assert_uint_eq(net_bytes_readable(sock), 0);
	ck_assert_ptr_null(net_user(sock));
	net_set_user(sock, &user);
	ck_assert_ptr_eq(net_user(sock), &user);
}
END_TEST

START_TEST(test_empty_datagram)
{
	struct net_seg seg;

	arrive("10.0.0.2", 9, 0, 0);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), 0);
	ck_assert_uint_eq(seg.len, 0);
	ck_assert_ptr_nonnull(seg.mem);
	bed_put(&seg);
}
END_TEST

static const struct {
	uint16_t len;		/* UDP's own */
	uint32_t frame;		/* bytes of UDP that are there */
	enum net_count why;
} lengths[] = {
	{ 0, 28, NET_C_UDP_BAD },
	{ 7, 28, NET_C_UDP_BAD },
	{ 29, 28, NET_C_UDP_BAD },
	{ 65535, 28, NET_C_UDP_BAD },
	{ 28, 27, NET_C_UDP_BAD },
	{ 8, 7, NET_C_UDP_BAD },
	{ 8, 0, NET_C_UDP_BAD },
	{ 27, 28, NET_C_UDP_BAD_CSUM },	/* shorter than IP's is right, but then the sum is not */
};

START_TEST(test_length)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20);
	struct net_udp_hdr *udp = (struct net_udp_hdr *)frame_l4(f);
	struct net_seg seg;

	udp->len = htons(lengths[_i].len);
	f->len = NET_ETH_LEN + NET_IP_LEN + lengths[_i].frame;
	frame_ip(f)->len = htons((uint16_t)(NET_IP_LEN + lengths[_i].frame));
	bed_fix(f);
	bed_input(bed, f);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
	ck_assert_uint_eq(bed->count[lengths[_i].why], 1);
	ck_assert_ptr_null(bed_sent(bed));
}
END_TEST

/* IP's part may be longer; the rest is nobody's (RFC 768). */
START_TEST(test_trailing_bytes)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20);

	f->len += 4;
	frame_ip(f)->len = htons(52);
	bed_fix(f);
	bed_input(bed, f);
	bed_expect_datagram(sock, 20, 0);
}
END_TEST

START_TEST(test_checksum)
{
	struct frame *f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20);
	struct net_udp_hdr *udp = (struct net_udp_hdr *)frame_l4(f);
	struct net_seg seg;

	for (uint32_t i = NET_ETH_LEN + NET_IP_LEN; i < f->len; i++) {
		f->data[i] ^= 0x40;
		bed_input(bed, f);
		f->data[i] ^= 0x40;
	}
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
	ck_assert_uint_eq(bed_count(bed, UDP_BAD_CSUM) + bed_count(bed, UDP_BAD), 28);
	ck_assert_uint_eq(bed_count(bed, UDP_BAD), 2); /* its length */
	udp->csum = 0;	/* none: it is taken as it is */
	bed_input(bed, f);
	bed_expect_datagram(sock, 20, 0);
	udp->dport = 0;
	bed_input(bed, f);
	bed_expect_count(bed, UDP_NO_PORT, 0);
}
END_TEST

/* ---- the receive buffer counts memory */

START_TEST(test_full)
{
	for (int i = 0; i < 8; i++)
		arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_count(bed, UDP_FULL, 3);
	bed_expect_count(bed, UDP_IN, 8);
	for (int i = 0; i < 5; i++)
		bed_expect_datagram(sock, 1000, 0);
	ck_assert_uint_eq(bed_refs(), 0);
	arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_datagram(sock, 1000, 0);
}
END_TEST

/* What the program holds counts as well; and what it gives back is there again. */
START_TEST(test_charge)
{
	struct net_seg seg;

	net_charge(sock, 10000);
	arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_count(bed, UDP_FULL, 1);
	net_charge(sock, -1);
	arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_count(bed, UDP_FULL, 1);
	arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_count(bed, UDP_FULL, 2);
	net_charge(sock, -9999);
	for (int i = 0; i < 4; i++)
		arrive("10.0.0.2", 9, 1000, 2000);
	bed_expect_count(bed, UDP_FULL, 2);
	for (int i = 0; i < 5; i++)
		bed_expect_datagram(sock, 1000, 0);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
}
END_TEST

static struct {
	bool wants;
	uint32_t n;
	struct net_seg seg;
	struct net_addr from;
} taker;

static bool take(void *user, const struct net_seg *seg, const struct net_addr *from)
{
	ck_assert_ptr_eq(user, &taker);
	taker.n++;
	taker.seg = *seg;
	taker.from = *from;
	return taker.wants;
}

/* A datagram is offered before it is queued, if none is, and charged if it is taken. */
START_TEST(test_taken)
{
	uint32_t events;

	memset(&taker, 0, sizeof(taker));
	taker.wants = true;
	net_set_take(bed->stack, take);
	net_set_user(sock, &taker);
	arrive("10.0.0.2", 9, 100, 9000);
	ck_assert_uint_eq(taker.n, 1);
	ck_assert_uint_eq(taker.seg.len, 100);
	ck_assert(bed_is_pattern(taker.seg.data, 100, 0));
	ck_assert_uint_eq(net_ip_v4(&taker.from.ip), bed_v4("10.0.0.2"));
	ck_assert_uint_eq(ntohs(taker.from.port), 9);
	ck_assert_uint_eq(net_bytes_readable(sock), 0);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	bed_put(&taker.seg);
	taker.wants = false;
	arrive("10.0.0.2", 9, 600, 1000); /* one may go over it */
	ck_assert_uint_eq(taker.n, 2);
	arrive("10.0.0.2", 9, 600, 1000);
	ck_assert_uint_eq(taker.n, 2);
	bed_expect_count(bed, UDP_FULL, 1);
	ck_assert(!net_uncharge(sock, 9000));
	taker.wants = true;
	arrive("10.0.0.2", 9, 60, 1000); /* behind the one that waits */
	ck_assert_uint_eq(taker.n, 2);
	bed_expect_datagram(sock, 600, 0);
	bed_expect_datagram(sock, 60, 0);
	bed_expect_count(bed, UDP_FULL, 1);
}
END_TEST

/* Two sockets whose ports are remembered in one place, one that goes, and one that comes
 * to the port. */
START_TEST(test_found_last)
{
	struct net_sock *other = bed_udp_socket(bed, "10.0.0.1", 7 + 16), *any;

	for (int i = 0; i < 3; i++) {
		bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 7 + 16, NULL, 20));
		arrive("10.0.0.2", 9, 10, 0);
		bed_expect_datagram(other, 20, 0);
		bed_expect_datagram(sock, 10, 0);
	}
	net_close(other, false);
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 7 + 16, NULL, 20));
	bed_expect_count(bed, UDP_NO_PORT, 1);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_REUSEADDR, 1), 0);
	ck_assert_int_eq(net_connect(sock, &(struct net_addr){ net_ip4(bed_v4("10.0.0.2")),
							       htons(9) }), 0);
	arrive("10.0.0.2", 9, 10, 0);
	bed_expect_datagram(sock, 10, 0);
	any = bed_udp_socket(bed, "0.0.0.0", 7 + 32);
	arrive("10.0.0.2", 10, 10, 0); /* of nobody's */
	bed_expect_count(bed, UDP_NO_PORT, 2);
	net_close(any, false);
}
END_TEST

/* A buffer smaller than any packet takes one at a time. */
START_TEST(test_tiny_buffer)
{
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_RCVBUF, 1), 0);
	for (int i = 0; i < 3; i++) {
		arrive("10.0.0.2", 9, 1000, 2000);
		arrive("10.0.0.2", 9, 1000, 2000);
		bed_expect_datagram(sock, 1000, 0);
	}
	bed_expect_count(bed, UDP_FULL, 3);
}
END_TEST

/* Short ones of a hoarder leave the large buffers that they came in. */
START_TEST(test_hoarder_is_copied)
{
	for (int i = 0; i < 100; i++)
		arrive("10.0.0.2", 9, 10, 2000);
	bed_expect_count(bed, UDP_FULL, 0);
	bed_expect_count(bed, UDP_GATHERED_BYTES, 970);
	for (int i = 0; i < 100; i++)
		bed_expect_datagram(sock, 10, 0);
	/* who does not is not */
	arrive("10.0.0.2", 9, 10, 2000);
	bed_expect_count(bed, UDP_GATHERED_BYTES, 970);
	/* without memory for the copy it stays where it is */
	net_charge(sock, 6000);
	bed->allocs = 0;
	arrive("10.0.0.2", 9, 10, 2000);
	bed_expect_count(bed, UDP_GATHERED_BYTES, 970);
	bed_expect_datagram(sock, 10, 0);
	bed_expect_datagram(sock, 10, 0);
}
END_TEST

/* One that hoards keeps nobody else from receiving. */
START_TEST(test_hoarder_alone)
{
	struct net_sock *other = bed_udp_socket(bed, "10.0.0.1", 8);

	for (int i = 0; i < 20; i++)
		arrive("10.0.0.2", 9, 1000, 2000);
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 8, NULL, 10));
	bed_expect_datagram(other, 10, 0);
}
END_TEST

/* ---- output */

static int send_to(struct net_sock *s, const char *ip, uint16_t port, uint32_t len)
{
	struct net_addr to = bed_addr(ip, port);
	struct net_seg seg = bed_seg(len ? len : 1, 0);
	int err;

	seg.len = len;
	err = net_send(s, &seg, 1, &to);
	if (err)
		bed_put(&seg);
	bed_run(bed);
	return err;
}

START_TEST(test_send)
{
	const struct frame *f;
	struct net_udp_hdr *udp;

	ck_assert_int_eq(send_to(sock, "10.0.0.2", 9, 100), 0);
	f = bed_sent(bed);
	udp = (struct net_udp_hdr *)frame_l4(f);
	ck_assert_uint_eq(frame_ip(f)->src, bed_v4("10.0.0.1"));
	ck_assert_uint_eq(frame_ip(f)->dst, bed_v4("10.0.0.2"));
	ck_assert_uint_eq(frame_ip(f)->proto, NET_IPPROTO_UDP);
	ck_assert_uint_eq(ntohs(udp->sport), 7);
	ck_assert_uint_eq(ntohs(udp->dport), 9);
	ck_assert_uint_eq(ntohs(udp->len), 108);
	ck_assert_uint_ne(udp->csum, 0);
	ck_assert(bed_is_pattern(frame_l4(f) + 8, 100, 0));
	ck_assert_uint_eq(bed_refs(), 0);
	bed_expect_count(bed, UDP_OUT, 1);
	/* no bytes at all: the reference goes all the same */
	ck_assert_int_eq(send_to(sock, "10.0.0.2", 9, 0), 0);
	ck_assert_uint_eq(frame_l4_len(bed_sent(bed)), 8);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

START_TEST(test_send_refused)
{
	struct net_sock *s;
	struct net_seg seg, segs[NET_OUT_SEGS + 1];

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &s), 0);
	seg = bed_seg(1, 0);
	ck_assert_int_eq(net_send(s, &seg, 1, NULL), EDESTADDRREQ);
	bed_put(&seg);
	ck_assert_int_eq(send_to(s, "10.0.0.2", 0, 1), EDESTADDRREQ);
	ck_assert_int_eq(send_to(s, "10.0.0.2", 9, 65508), EMSGSIZE);
	ck_assert_int_eq(send_to(s, "11.0.0.2", 9, 1), ENETUNREACH);
	ck_assert_int_eq(send_to(s, "10.0.0.255", 9, 1), ENETUNREACH);
	for (uint32_t i = 0; i <= NET_OUT_SEGS; i++)
		segs[i] = bed_seg(1, (uint8_t)i);
	ck_assert_int_eq(net_connect(s, &(struct net_addr){ bed_ip("10.0.0.2"), htons(9) }), 0);
	ck_assert_int_eq(net_send(s, segs, NET_OUT_SEGS + 1, NULL), EMSGSIZE);
	ck_assert_int_eq(net_send(s, segs, NET_OUT_SEGS, NULL), 0);
	bed_put(&segs[NET_OUT_SEGS]);
	bed_run(bed);
	ck_assert(bed_is_pattern(frame_l4(bed_sent(bed)) + 8, NET_OUT_SEGS, 0));
}
END_TEST

/* The first send binds it, and an answer to that comes in. */
START_TEST(test_send_binds)
{
	struct net_addr name;
	struct net_sock *s;
	uint16_t port;

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &s), 0);
	ck_assert_int_eq(net_name(s, &name), ENOTCONN);
	ck_assert_int_eq(send_to(s, "10.0.0.2", 9, 10), 0);
	ck_assert_int_eq(net_name(s, &name), 0);
	ck_assert(net_ip_is_any(&name.ip));
	port = ntohs(((struct net_udp_hdr *)frame_l4(bed_sent(bed)))->sport);
	ck_assert_uint_eq(port, ntohs(name.port));
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", port, NULL, 10));
	bed_expect_datagram(s, 10, 0);
	ck_assert_int_eq(net_bind(s, &name), EINVAL);
}
END_TEST

/* ---- connected */

START_TEST(test_connected)
{
	struct net_addr peer = bed_addr("10.0.0.2", 9), other = bed_addr("10.0.0.3", 9), got;
	struct net_seg seg;

	ck_assert_int_eq(net_peer(sock, &got), ENOTCONN);
	ck_assert_int_eq(net_connect(sock, &peer), 0);
	ck_assert_int_eq(net_peer(sock, &got), 0);
	ck_assert(net_ip_equal(&got.ip, &peer.ip) && got.port == peer.port);
	arrive("10.0.0.2", 9, 10, 0);
	bed_expect_datagram(sock, 10, 0);
	arrive("10.0.0.2", 10, 10, 0);
	arrive("10.0.0.3", 9, 10, 0);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), EAGAIN);
	bed_expect_count(bed, UDP_NO_PORT, 2);
	bed_forget(bed);
	seg = bed_seg(10, 0);
	ck_assert_int_eq(net_send(sock, &seg, 1, NULL), 0);
	bed_run(bed);
	ck_assert_uint_eq(frame_ip(bed_sent(bed))->dst, bed_v4("10.0.0.2"));
	/* to somebody else for once, and to another for good */
	bed_learn(bed, 3);
	ck_assert_int_eq(send_to(sock, "10.0.0.3", 5, 10), 0);
	ck_assert_uint_eq(frame_ip(bed_sent(bed))->dst, bed_v4("10.0.0.3"));
	ck_assert_int_eq(net_connect(sock, &other), 0);
	arrive("10.0.0.3", 9, 10, 0);
	bed_expect_datagram(sock, 10, 0);
}
END_TEST

/* Unbound, it gets a port and the address that it sends from. */
START_TEST(test_connect_binds)
{
	struct net_addr peer = bed_addr("10.0.0.2", 9), far = bed_addr("9.9.9.9", 9), name;
	struct net_addr no_port = bed_addr("10.0.0.2", 0);
	struct net_sock *s;

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &s), 0);
	ck_assert_int_eq(net_connect(s, &far), ENETUNREACH);
	ck_assert_int_eq(net_connect(s, &no_port), EINVAL);
	ck_assert_int_eq(net_name(s, &name), ENOTCONN);
	ck_assert_int_eq(net_connect(s, &peer), 0);
	ck_assert_int_eq(net_name(s, &name), 0);
	ck_assert_uint_eq(net_ip_v4(&name.ip), bed_v4("10.0.0.1"));
	ck_assert_uint_ne(name.port, 0);
}
END_TEST

/* ---- the end */

START_TEST(test_shutdown)
{
	struct net_addr peer = bed_addr("10.0.0.2", 9);
	struct net_seg seg;
	uint32_t events;

	ck_assert_int_eq(net_shutdown(sock, true, false), ENOTCONN);
	ck_assert_int_eq(net_connect(sock, &peer), 0);
	arrive("10.0.0.2", 9, 10, 0);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert_int_eq(net_shutdown(sock, true, false), 0);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), sock);
	ck_assert_uint_eq(events, NET_READABLE);
	ck_assert_uint_eq(bed_refs(), 0);
	arrive("10.0.0.2", 9, 10, 0);
	ck_assert_int_eq(net_recv(sock, &seg, NULL), 0);
	ck_assert_uint_eq(seg.len, 0);
	ck_assert_ptr_null(seg.mem);
	ck_assert_int_eq(send_to(sock, "10.0.0.2", 9, 10), 0);
	ck_assert_int_eq(net_shutdown(sock, false, true), 0);
	ck_assert_int_eq(send_to(sock, "10.0.0.2", 9, 10), EPIPE);
}
END_TEST

/* What was sent is sent, what was not read is dropped, and it never comes up again. */
START_TEST(test_close)
{
	struct net_seg seg = bed_seg(10, 0);
	struct net_addr to = bed_addr("10.0.0.2", 9);
	uint32_t events;

	arrive("10.0.0.2", 9, 10, 0);
	ck_assert_int_eq(net_send(sock, &seg, 1, &to), 0);
	net_close(sock, _i);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	bed_run(bed);
	ck_assert_uint_eq(frame_l4_len(bed_sent(bed)), 18);
	ck_assert_uint_eq(bed_refs(), 0);
	arrive("10.0.0.2", 9, 10, 0);
	bed_expect_count(bed, UDP_NO_PORT, 1);
	ck_assert_uint_eq(net_n_lingering(bed->stack), 0);
}
END_TEST

/* Closed while it waits for room. */
START_TEST(test_close_blocked)
{
	struct net_addr to = bed_addr("10.0.0.2", 9);
	struct net_seg seg;
	uint32_t events;
	int err;

	bed->take = 0;
	do {
		seg = bed_seg(10, 0);
		err = net_send(sock, &seg, 1, &to);
	} while (!err);
	ck_assert_int_eq(err, EAGAIN);
	bed_put(&seg);
	net_abort(sock);
	bed->take = UINT32_MAX;
	bed_run(bed);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
}
END_TEST

START_TEST(test_options)
{
	int64_t value;

	ck_assert_int_eq(net_get_opt(sock, NET_OPT_RCVBUF, &value), 0);
	ck_assert_int_eq(value, 10000);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_SNDBUF, 4096), 0);
	ck_assert_int_eq(net_get_opt(sock, NET_OPT_SNDBUF, &value), 0);
	ck_assert_int_eq(value, 4096);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_RCVBUF, -1), EINVAL);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_RCVBUF, INT64_C(1) << 32), EINVAL);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_REUSEADDR, 1), 0);
	ck_assert_int_eq(net_get_opt(sock, NET_OPT_REUSEADDR, &value), 0);
	ck_assert_int_eq(value, 1);
	ck_assert_int_eq(net_set_opt(sock, NET_OPT_NODELAY, 1), ENOPROTOOPT);
	ck_assert_int_eq(net_get_opt(sock, NET_OPT_NODELAY, &value), ENOPROTOOPT);
}
END_TEST

Suite *net_udp_suite(void)
{
	Suite *s = suite_create("net_udp");
	TCase *t = tcase_create("udp");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_recv);
	tcase_add_test(t, test_empty_datagram);
	tcase_add_loop_test(t, test_length, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, test_trailing_bytes);
	tcase_add_test(t, test_checksum);
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_charge);
	tcase_add_test(t, test_taken);
	tcase_add_test(t, test_found_last);
	tcase_add_test(t, test_tiny_buffer);
	tcase_add_test(t, test_hoarder_is_copied);
	tcase_add_test(t, test_hoarder_alone);
	tcase_add_test(t, test_send);
	tcase_add_test(t, test_send_refused);
	tcase_add_test(t, test_send_binds);
	tcase_add_test(t, test_connected);
	tcase_add_test(t, test_connect_binds);
	tcase_add_test(t, test_shutdown);
	tcase_add_loop_test(t, test_close, 0, 2);
	tcase_add_test(t, test_close_blocked);
	tcase_add_test(t, test_options);
	suite_add_tcase(s, t);
	return s;
}
