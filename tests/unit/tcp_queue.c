/* The receive queue: order out of disorder, and memory that stays bounded whatever comes
 * and whatever the program keeps. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

/* Every order of five segments, overlapping by 3 on each side: read once, whole. */
START_TEST(orders)
{
	uint32_t order[5], left = (uint32_t)_i % 120;
	bool used[5] = { false };
	struct tbed *b;
	int err;

	tbed_wrap = _i >= 120;
	for (uint32_t i = 0; i < 5; i++) { /* the permutation of that number */
		uint32_t nth = left % (5 - i), k = 0;

		left /= 5 - i;
		for (;; k++)
			if (!used[k] && !nth--)
				break;
		used[k] = true;
		order[i] = k;
	}
	b = tbed_connected("", NULL);
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t from = order[i] ? order[i] * 200 - 3 : 0;

		tbed_rel(b, ACK, 1 + from, 1, order[i] ? 206 : 203);
		/* each is answered at once, but perhaps the last */
		if (i || order[i])
			tbed_expect(b, ACK);
		tbed_forget(b);
	}
	ck_assert_ptr_null(tcp_conn(b->s)->rq.ooo);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 1003);
	ck_assert_uint_eq(tcp_conn(b->s)->rq.pinned, 0);
	ck_assert_uint_eq(tbed_refs(), 0);
	tbed_free(b);
}
END_TEST

/* Random pieces of a stream, until all of it has come. */
START_TEST(pieces)
{
	uint32_t seed = (uint32_t)_i * 7919 + 13, total = 5000, got = 0;
	struct tbed *b;
	int err;

	tbed_wrap = _i & 1;
	b = tbed_connected(_i & 2 ? "rcvbuf=30000" : "", NULL);
	for (int i = 0; i < 20000 && got < total; i++) {
		uint32_t at, len;

		seed = seed * 1664525 + 1013904223;
		at = (seed >> 8) % total;
		seed = seed * 1664525 + 1013904223;
		len = 1 + (seed >> 8) % (_i & 4 ? 700 : 40);
		if (i % 5 == 0)
			at = tcp_conn(b->s)->rcv_nxt - b->irs - 1;
		if (at >= total)
			break;
		tbed_rel(b, ACK, 1 + at, 1, at + len > total ? total - at : len);
		tbed_forget(b);
		got += tbed_read(b, b->s, got, &err);
		ck_assert_int_eq(err, EAGAIN);
		ck_assert_uint_le(tcp_conn(b->s)->rq.pinned, tcp_conn(b->s)->rcvbuf + 2304);
	}
	ck_assert_uint_eq(got, total);
	ck_assert_uint_eq(tbed_refs(), 0);
	tbed_free(b);
}
END_TEST

/* One-byte segments that nobody reads: gathered, and bounded. */
START_TEST(one_byte_segments)
{
	struct tbed *b = tbed_connected("rcvbuf=65536", NULL);
	uint32_t n = tcp_conn(b->s)->rcv_edge - tcp_conn(b->s)->rcv_nxt;
	int err;

	for (uint32_t i = 0; i < n; i++) {
		tbed_rel(b, ACK, 1 + i, 1, 1);
		tbed_forget(b);
		ck_assert_uint_le(tcp_conn(b->s)->rq.pinned, 65536 + 2304);
	}
	ck_assert_uint_eq(net_bytes_readable(b->s), n);
	ck_assert_uint_gt(tbed_counted(b, TCP_GATHERED_BYTES), n / 2);
	ck_assert_uint_eq(tbed_counted(b, TCP_RCV_FULL), 0);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), n);
	tbed_free(b);
}
END_TEST

/* Every second byte, then the others. */
START_TEST(one_byte_segments_out_of_order)
{
	struct tbed *b = tbed_connected("rcvbuf=65536", NULL);
	uint32_t got = 0;
	int err;

	for (uint32_t i = 1; i < 4000; i += 2) {
		tbed_rel(b, ACK, 1 + i, 1, 1);
		tbed_forget(b);
		ck_assert_uint_le(tcp_conn(b->s)->rq.pinned, 65536);
	}
	ck_assert_uint_gt(tbed_counted(b, TCP_OOO_DROPPED), 100);
	for (uint32_t i = 0; i < 4000; i++) {
		tbed_rel(b, ACK, 1 + i, 1, 1);
		tbed_forget(b);
		got += tbed_read(b, b->s, got, &err);
	}
	ck_assert_uint_eq(got, 4000);
	tbed_free(b);
}
END_TEST

/* What lies out of order goes for what is in order. */
START_TEST(order_comes_first)
{
	struct tbed *b = tbed_connected("rcvbuf=20000", NULL);
	int err;

	for (uint32_t i = 0; i < 8; i++)
		tbed_rel(b, ACK, 2001 + i * 500, 1, 400);
	ck_assert_ptr_nonnull(tcp_conn(b->s)->rq.ooo);
	for (uint32_t i = 0; i < 5; i++)
		tbed_rel(b, ACK, 1 + i * 400, 1, 400);
	ck_assert_uint_ge(net_bytes_readable(b->s), 2000);
	ck_assert_uint_eq(tbed_counted(b, TCP_RCV_FULL), 0);
	tbed_read(b, b->s, 0, &err);
	tbed_free(b);
}
END_TEST

/* A program that keeps what it reads shuts its own window; what it gives back opens it
 * again, and the peer is told. */
START_TEST(hoarder)
{
	struct tbed *b = tbed_connected("rcvbuf=65536", NULL);
	struct net_seg segs[200];
	uint32_t n = 0, seq = 1;
	struct tseg seg = { .wnd = 1 };

	for (int i = 0; i < 200 && seg.wnd; i++) {
		uint32_t wnd = tcp_conn(b->s)->rcv_edge - tcp_conn(b->s)->rcv_nxt;

		if (!wnd)
			break;
		tbed_rel(b, ACK, seq, 1, wnd < 100 ? wnd : 100);
		if (!net_recv(b->s, &segs[n], NULL)) {
			seq += segs[n].len;
			net_charge(b->s, segs[n++].pinned);
		}
		tbed_flush(b);
		while (tbed_sent(b, &seg))
			;
		seg.wnd = (uint16_t)(tcp_conn(b->s)->rcv_zeroed ? 0 : 1);
	}
	ck_assert_uint_ge(n, 65536 / 2304);
	ck_assert_uint_lt(n, 65536 / 2304 + 30);
	ck_assert(tcp_conn(b->s)->rcv_zeroed);
	/* the data that comes all the same is refused, and answered */
	tbed_rel(b, ACK, seq, 1, 100);
	ck_assert_uint_eq(tbed_expect(b, ACK).wnd, 0);
	ck_assert_uint_gt(tbed_counted(b, TCP_RCV_FULL), 0);
	while (n) {
		net_charge(b->s, -(int64_t)segs[--n].pinned);
		tbed_put(&segs[n]);
	}
	tbed_flush(b);
	seg = tbed_expect(b, ACK);
	ck_assert_uint_gt(seg.wnd, 0);
	ck_assert_uint_eq(seg.ack - b->irs, seq);
	tbed_rel(b, ACK, seq, 1, 100);
	ck_assert_uint_eq(net_bytes_readable(b->s), 100);
	tbed_free(b);
}
END_TEST

/* A reader that comes late: one update when it is worth it. */
START_TEST(window_update)
{
	struct tbed *b = tbed_connected("rcvbuf=40000", NULL);
	struct net_seg seg;
	uint32_t at = 1, updates = 0;
	struct tseg out;

	while (tcp_conn(b->s)->rcv_edge != tcp_conn(b->s)->rcv_nxt) {
		uint32_t wnd = tcp_conn(b->s)->rcv_edge - tcp_conn(b->s)->rcv_nxt;
		uint32_t len = wnd < 1448 ? wnd : 1448;

		tbed_rel(b, ACK, at, 1, len);
		at += len;
	}
	tbed_forget(b);
	while (!net_recv(b->s, &seg, NULL)) {
		tbed_put(&seg);
		tbed_flush(b);
		while (tbed_sent(b, &out)) {
			ck_assert_uint_gt(out.wnd, 0);
			updates++;
		}
	}
	ck_assert_uint_ge(updates, 1);
	ck_assert_uint_le(updates, 4);
	tbed_free(b);
}
END_TEST

START_TEST(peek)
{
	struct tbed *b = tbed_connected("", NULL);
	struct net_seg a, c;

	tbed_rel(b, ACK, 1, 1, 10);
	tbed_rel(b, ACK, 11, 1, 20);
	ck_assert_uint_eq(net_bytes_readable(b->s), 30);
	ck_assert_int_eq(net_peek(b->s, &a, NULL), 0);
	ck_assert_int_eq(net_peek(b->s, &c, NULL), 0);
	ck_assert_ptr_eq(a.data, c.data);
	ck_assert_uint_eq(a.len, 10);
	ck_assert_int_eq(net_recv(b->s, &c, NULL), 0);
	ck_assert_ptr_eq(a.data, c.data);
	tbed_put(&c);
	ck_assert_uint_eq(net_bytes_readable(b->s), 20);
	tbed_free(b);
}
END_TEST

Suite *tcp_queue_suite(void)
{
	Suite *s = suite_create("tcp_queue");
	TCase *tc = tcase_create("queue");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, orders, 0, 240);
	tcase_add_loop_test(tc, pieces, 0, 24);
	tcase_add_test(tc, one_byte_segments);
	tcase_add_test(tc, one_byte_segments_out_of_order);
	tcase_add_test(tc, order_comes_first);
	tcase_add_test(tc, hoarder);
	tcase_add_test(tc, window_update);
	tcase_add_test(tc, peek);
	suite_add_tcase(s, tc);
	return s;
}
