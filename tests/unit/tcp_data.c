/* Bytes on their way: windows, Nagle, acknowledgements, probes, timestamps, keepalive. */
#include "config.h"

#include <errno.h>
#include <linux/tcp.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

#define MSS 1448u

static uint32_t window_of(const struct tbed *b)
{
	const struct tcp_conn *c = tcp_conn(b->s);

	return c->rcv_edge - c->rcv_nxt;
}

/* A whole push, far beyond MSS and window, in order, as fast as the peer acknowledges. */
START_TEST(push_goes_whole)
{
	struct tbed_opts o = { .wnd = 10000 };
	uint32_t got = 0;
	struct tseg seg;
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", &o);
	ck_assert_int_eq(tbed_send(b, 0, 300000), 0);
	while (got < 300000) {
		uint32_t flight = 0;

		while (tbed_sent(b, &seg)) {
			ck_assert_uint_eq(seg.seq - b->iss - 1, got);
			for (uint32_t i = 0; i < seg.len; i++)
				ck_assert_uint_eq(seg.data[i], tbed_byte(got + i));
			got += seg.len;
			flight += seg.len;
		}
		ck_assert_uint_gt(flight, 0);
		ck_assert_uint_le(flight, 10000);
		tbed_rel(b, ACK, 1, 1 + got, 0);
	}
	ck_assert_uint_eq(tbed_counted(b, TCP_RETRANS), 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_BYTES_OUT), 300000);
	ck_assert_uint_eq(tbed_refs(), 0);
	tbed_free(b);
}
END_TEST

START_TEST(send_buffer)
{
	struct tbed *b = tbed_connected("sndbuf=5000", NULL);

	tbed_events(b, b->s);
	ck_assert_int_eq(tbed_send(b, 0, 4999), 0);
	ck_assert_int_eq(tbed_send(b, 4999, 9000), 0); /* whatever its size */
	ck_assert_int_eq(tbed_send(b, 13999, 1), EAGAIN);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 13999);
	tbed_rel(b, ACK, 1, 1 + 2 * MSS, 0);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_WRITABLE, 0);
	tbed_rel(b, ACK, 1, 1 + 8999, 0);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_WRITABLE, 0);
	tbed_rel(b, ACK, 1, 1 + 9000, 0);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_WRITABLE, NET_WRITABLE);
	ck_assert_int_eq(tbed_send(b, 13999, 1), 0);
	tbed_free(b);
}
END_TEST

/* 100 bytes, each pushed alone; the first has gone, and the window is open now. */
static struct tbed *with_many_pieces(void)
{
	struct tbed_opts o = { .wnd = 1 };
	struct tbed *b = tbed_connected("nodelay=0", &o);

	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(tbed_send(b, i, 1), 0);
	tbed_expect_rel(b, ACK, 1, 1, 1);
	tbed_expect_nothing(b);
	b->wnd = 65535;
	return b;
}

/* More pieces than a packet has places for are one packet all the same, and sent again
 * as one. */
START_TEST(many_pieces)
{
	struct tbed *b = with_many_pieces();
	struct tseg seg;

	tbed_rel(b, ACK, 1, 2, 0);
	for (int i = 1; i <= 2; i++) {
		seg = tbed_expect_rel(b, ACK, 2, 1, 99);
		for (uint32_t k = 0; k < seg.len; k++)
			ck_assert_uint_eq(seg.data[k], tbed_byte(1 + k));
		tbed_expect_nothing(b);
		ck_assert_uint_eq(tbed_counted(b, TCP_JOINED_BYTES), 99 * i);
		if (i == 1)
			tbed_pass_until_sent(b, 2 * SECOND);
	}
	tbed_rel(b, ACK, 1, 101, 0);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 0);
	tbed_free(b);
}
END_TEST

START_TEST(many_pieces_without_memory)
{
	struct tbed *b = with_many_pieces();
	uint32_t got = 1;
	struct tseg seg;

	b->allocs = 0;
	tbed_rel(b, ACK, 1, 2, 0);
	ck_assert_uint_gt(tbed_counted(b, NO_MEMORY), 0);
	for (int i = 0; i < 100 && got < 100; i++) {
		ck_assert(tbed_sent(b, &seg));
		for (uint32_t k = 0; k < seg.len; k++)
			ck_assert_uint_eq(seg.data[k], tbed_byte(got + k));
		got += seg.len;
		tbed_rel(b, ACK, 1, 1 + got, 0);
	}
	ck_assert_uint_eq(got, 100);
	tbed_free(b);
}
END_TEST

START_TEST(tso)
{
	struct tbed_opts o = { .wnd = 65535 };
	struct tbed *b = tbed_connected("iw=40", &o);
	struct tseg seg;

	b->dev.caps = NET_DEV_TSO | NET_DEV_TCP_CSUM | NET_DEV_IP_CSUM;
	b->dev.tso_max = 8000;
	ck_assert_int_eq(tbed_send(b, 0, 20000), 0);
	for (uint32_t at = 0; at < 20000; at += seg.len) {
		ck_assert(tbed_sent(b, &seg));
		ck_assert_uint_eq(seg.seq - b->iss - 1, at);
		ck_assert_uint_eq(seg.len, at < 14480 ? 5 * MSS : 20000 - 10 * MSS);
		ck_assert_uint_eq(seg.out_mss, MSS);
		ck_assert_uint_eq(seg.out_flags & NET_OUT_TSO, NET_OUT_TSO);
	}
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* ---- Nagle, silly windows */

START_TEST(nagle)
{
	struct tbed *b = tbed_connected("nodelay=0", NULL);

	tbed_send(b, 0, 10);
	tbed_expect_rel(b, ACK, 1, 1, 10);
	tbed_send(b, 10, 20);
	tbed_send(b, 30, 30);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 11, 0);
	tbed_expect_rel(b, ACK, 11, 1, 50);
	tbed_send(b, 60, MSS + 5); /* a full one goes, the rest waits */
	tbed_expect_rel(b, ACK, 61, 1, MSS);
	tbed_expect_nothing(b);
	net_set_opt(b->s, NET_OPT_NODELAY, 1);
	tbed_flush(b);
	tbed_expect_rel(b, ACK, 61 + MSS, 1, 5);
	net_set_opt(b->s, NET_OPT_NODELAY, 0);
	tbed_send(b, 65 + MSS, 5);
	tbed_expect_nothing(b);
	net_shutdown(b->s, false, true); /* the FIN waits for nothing */
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 66 + MSS, 1, 5);
	tbed_free(b);
}
END_TEST

/* RFC 9293 3.8.6.2.1: no small segment because of a small window, but after a while. */
START_TEST(sender_waits_for_a_window)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, MSS);
	tbed_expect_rel(b, ACK, 1, 1, MSS);
	b->wnd = 100;
	tbed_rel(b, ACK, 1, 1 + MSS, 0);
	tbed_send(b, MSS, 5000);
	tbed_expect_nothing(b);
	tbed_pass(b, 150 * MS);
	tbed_expect_nothing(b);
	tbed_pass(b, 100 * MS);
	tbed_expect_rel(b, ACK, 1 + MSS, 1, 100);
	b->wnd = 2000;
	tbed_rel(b, ACK, 1, 101 + MSS, 0);
	tbed_expect_rel(b, ACK, 101 + MSS, 1, MSS);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* 3.8.6.2.2: the right edge goes on by a segment or not at all, and never back. */
START_TEST(receiver_offers_no_silly_window)
{
	struct tbed *b = tbed_connected("rcvbuf=20000 wscale=0", NULL);
	struct net_seg seg;
	uint32_t at = 1, n = 0;
	struct tseg out;

	while (window_of(b)) {
		uint32_t len = window_of(b) < 400 ? window_of(b) : 400, edge;

		edge = tcp_conn(b->s)->rcv_edge;
		tbed_give(b, .flags = ACK, .seq = b->irs + at, .ack = b->iss + 1, .len = len,
			  .at = at - 1, .has_ts = true, .tsval = ++b->tsval, .pinned = 800);
		at += len;
		while (tbed_sent(b, &out)) {
			ck_assert_uint_eq(out.ack + out.wnd, tcp_conn(b->s)->rcv_edge);
			ck_assert_int_ge((int32_t)(out.ack + out.wnd - edge), 0);
			if (out.ack + out.wnd != edge)
				ck_assert_uint_ge(out.ack + out.wnd - edge, 400);
		}
	}
	while (!net_recv(b->s, &seg, NULL)) {
		uint32_t old = window_of(b);

		tbed_put(&seg);
		tbed_flush(b);
		n++;
		if (tbed_sent(b, &out))
			ck_assert_uint_ge(out.wnd, old + 800);
	}
	ck_assert_uint_gt(n, 10);
	ck_assert_uint_ge(window_of(b), 7500);
	tbed_free(b);
}
END_TEST

/* ---- a shut window */

START_TEST(zero_window)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_send(b, 0, 100);
	tbed_expect_rel(b, ACK, 1, 1, 100);
	b->wnd = 0;
	tbed_rel(b, ACK, 1, 101, 0);
	tbed_send(b, 100, 5000);
	tbed_expect_nothing(b);
	/* for as long as they are answered */
	for (uint64_t i = 0, rto = 200; i < 60; i++, rto = rto < 60000 ? rto * 2 : 120000) {
		tbed_pass(b, rto * MS - 5 * MS);
		tbed_expect_nothing(b);
		tbed_pass_until_sent(b, 6 * MS);
		tbed_expect_rel(b, ACK, 101, 1, 1);
		tbed_rel(b, ACK, 1, 101, 0);
	}
	ck_assert_uint_eq(tbed_counted(b, TCP_PROBES), 60);
	/* what is sent meanwhile has a number that the peer takes */
	tbed_rel(b, ACK, 1, 101, 3);
	tbed_expect_rel(b, ACK, 101, 4, 0);
	b->wnd = 3000;
	tbed_rel(b, ACK, 4, 101, 0);
	tbed_expect_rel(b, ACK, 101, 4, MSS);
	tbed_expect_rel(b, ACK, 101 + MSS, 4, MSS);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* The peer takes the byte of the probe, one at a time. */
START_TEST(probes_are_taken)
{
	struct tbed *b = tbed_connected("", NULL);

	b->wnd = 0;
	tbed_rel(b, ACK, 1, 1, 0);
	tbed_send(b, 0, 1000);
	for (uint32_t i = 0; i < 5; i++) {
		tbed_pass(b, 250 * MS);
		tbed_expect_rel(b, ACK, 1 + i, 1, 1);
		tbed_rel(b, ACK, 1, 2 + i, 0);
	}
	b->wnd = 65535;
	tbed_rel(b, ACK, 1, 6, 0);
	tbed_expect_rel(b, ACK, 6, 1, 995);
	tbed_free(b);
}
END_TEST

START_TEST(probes_unanswered)
{
	struct tbed *b = tbed_connected("retries=4", NULL);

	b->wnd = 0;
	tbed_rel(b, ACK, 1, 1, 0);
	tbed_send(b, 0, 1000);
	tbed_pass(b, 60 * SECOND);
	ck_assert_uint_eq(tbed_counted(b, TCP_PROBES), 4);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_FAILED, NET_FAILED);
	ck_assert_int_eq(net_error(b->s), ETIMEDOUT);
	tbed_free(b);
}
END_TEST

/* What is out when the peer takes its window back is probed with, and not lost. */
START_TEST(window_is_taken_back)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 4000);
	tbed_forget(b);
	b->wnd = 0;
	tbed_rel(b, ACK, 1, 1, 0);
	tbed_pass(b, 201 * MS);
	tbed_expect_rel(b, ACK, 1, 1, 1);
	tbed_expect_nothing(b);
	b->wnd = 65535;
	tbed_rel(b, ACK, 1, 1, 0);
	tbed_expect_rel(b, ACK, 1, 1, MSS);
	tbed_rel(b, ACK, 1, 4001, 0);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 0);
	tbed_free(b);
}
END_TEST

/* ---- acknowledging */

/* A delay is only taken where the program answers; then the answer carries it. */
START_TEST(delayed_ack)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_in_only(b, &(struct tseg){ .flags = ACK, .seq = b->irs + 1, .ack = b->iss + 1,
					.len = 10, .has_ts = true, .tsval = ++b->tsval });
	tbed_send(b, 0, 20); /* in the same pass */
	tbed_expect_rel(b, ACK, 1, 11, 20);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 11, 21, 10); /* now it waits for the answer */
	tbed_expect_nothing(b);
	tbed_pass(b, 30 * MS);
	tbed_send(b, 20, 20);
	tbed_expect_rel(b, ACK, 21, 21, 20);
	tbed_rel(b, ACK, 21, 41, 10);
	tbed_pass(b, 20 * MS);
	tbed_rel(b, ACK, 31, 41, 10); /* puts nothing off */
	tbed_pass(b, 19 * MS);
	tbed_expect_nothing(b);
	tbed_pass(b, 3 * MS);
	tbed_expect_rel(b, ACK, 41, 41, 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_DELAYED_ACKS), 1);
	tbed_rel(b, ACK, 41, 41, 10); /* and so the next is quick */
	tbed_expect_rel(b, ACK, 41, 51, 0);
	tbed_free(b);
}
END_TEST

static struct tbed *answering(const char *config)
{
	struct tbed *b = tbed_connected(config, NULL);

	tbed_rel(b, ACK, 1, 1, 10);
	tbed_forget(b);
	tbed_send(b, 0, 20);
	tbed_forget(b);
	return b;
}

START_TEST(every_second_segment)
{
	struct tbed *b = answering("");

	for (uint32_t i = 0; i < 6; i++) {
		tbed_rel(b, ACK, 11 + i * MSS, 21, MSS);
		if (i & 1)
			tbed_expect_rel(b, ACK, 21, 11 + (i + 1) * MSS, 0);
		tbed_expect_nothing(b);
	}
	tbed_rel(b, ACK, 11 + 6 * MSS, 21, 100);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 111 + 6 * MSS, 21, 100);
	tbed_expect_nothing(b);
	net_set_opt(b->s, NET_OPT_QUICKACK, 1);
	tbed_flush(b);
	tbed_expect_rel(b, ACK, 21, 211 + 6 * MSS, 0);
	tbed_free(b);
}
END_TEST

START_TEST(no_delay_at_all)
{
	struct tbed *b = answering(_i ? "delack_ms=0" : "quickack=1");

	tbed_rel(b, ACK, 11, 21, 10);
	tbed_expect_rel(b, ACK, 21, 21, 0);
	tbed_free(b);
}
END_TEST

/* One pass may have many: an ACK stands for eight of them at most. */
START_TEST(stretched_acks)
{
	struct tbed *b = tbed_connected("", NULL);
	uint32_t n = 0;
	struct tseg seg;

	tbed_rel(b, ACK, 1, 1, MSS);
	tbed_forget(b);
	for (uint32_t i = 1; i < 20; i++)
		tbed_in_only(b, &(struct tseg){ .flags = ACK, .seq = b->irs + 1 + i * MSS,
						.ack = b->iss + 1, .len = MSS, .has_ts = true,
						.tsval = ++b->tsval, .at = i * MSS });
	tbed_flush(b);
	while (tbed_sent(b, &seg))
		n++;
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(seg.ack, 0);
	tbed_free(b);
}
END_TEST

START_TEST(fast_path)
{
	struct tbed *b = answering("");
	uint64_t before = tbed_counted(b, TCP_FAST_PATH);
	int err;

	tbed_rel(b, ACK, 11, 21, 10);		/* data, and the ACK of ours */
	tbed_send(b, 20, 5);
	tbed_rel(b, ACK, 21, 26, 0);		/* a plain ACK */
	tbed_rel(b, ACK | PSH, 21, 26, 7);	/* data */
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_PATH) - before, 3);
	tbed_rel(b, ACK, 28, 26, 0);		/* nothing new */
	tbed_rel(b, ACK, 29, 26, 1);		/* a gap */
	tbed_rel(b, ACK, 28, 26, 1);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_PATH) - before, 3);
	tbed_rel(b, ACK, 30, 26, 1);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_PATH) - before, 4);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 30);
	tbed_free(b);
}
END_TEST

static struct {
	bool wants;
	uint32_t n;
	struct net_seg seg;
} taker;

static bool take(void *user, const struct net_seg *seg, const struct net_addr *from)
{
	ck_assert_ptr_eq(user, &taker);
	ck_assert_ptr_null(from);
	taker.n++;
	taker.seg = *seg;
	return taker.wants;
}

static void expect_taken(struct tbed *b, uint32_t n, uint32_t at, uint32_t len)
{
	ck_assert_uint_eq(taker.n, n);
	ck_assert_uint_eq(taker.seg.len, len);
	for (uint32_t i = 0; i < len; i++)
		ck_assert_uint_eq(taker.seg.data[i], tbed_byte(at + i));
	ck_assert_uint_eq(net_bytes_readable(b->s), 0);
	ck_assert_uint_eq(tbed_events(b, b->s), 0);
}

/* What comes while nothing waits to be read is offered first, and charged if it is
 * taken; what is not next, and what comes behind what was left, is not. */
START_TEST(taken)
{
	struct tbed *b = answering("");
	uint32_t pinned;
	int err;

	memset(&taker, 0, sizeof(taker));
	net_set_take(b->stack, take);
	tbed_rel(b, ACK, 11, 21, 10); /* nobody's: not offered */
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 20);
	tbed_events(b, b->s);
	net_set_user(b->s, &taker);
	pinned = tcp_conn(b->s)->rq.pinned;
	taker.wants = true;
	tbed_rel(b, ACK, 21, 21, 10);
	expect_taken(b, 1, 20, 10);
	ck_assert_uint_eq(tcp_conn(b->s)->rq.pinned, pinned + taker.seg.pinned);
	ck_assert(!net_uncharge(b->s, taker.seg.pinned));
	ck_assert_uint_eq(tcp_conn(b->s)->rq.pinned, pinned);
	tbed_put(&taker.seg);
	tbed_rel(b, ACK, 41, 21, 10); /* a gap */
	ck_assert_uint_eq(taker.n, 1);
	tbed_rel(b, ACK, 31, 21, 10); /* which is filled */
	ck_assert_uint_eq(taker.n, 1);
	ck_assert_uint_eq(tbed_read(b, b->s, 30, &err), 20);
	taker.wants = false;
	tbed_rel(b, ACK, 51, 21, 10);
	ck_assert_uint_eq(taker.n, 2);
	taker.wants = true;
	tbed_rel(b, ACK, 61, 21, 10);
	ck_assert_uint_eq(taker.n, 2);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_READABLE);
	ck_assert_uint_eq(tbed_read(b, b->s, 50, &err), 20);
	tbed_rel(b, ACK, 71, 21, 10);
	expect_taken(b, 3, 70, 10);
	net_uncharge(b->s, taker.seg.pinned);
	tbed_put(&taker.seg);
	tbed_free(b);
}
END_TEST

/* Nothing is offered to who has closed. */
START_TEST(taken_no_more)
{
	struct tbed *b = tbed_connected("", NULL);

	memset(&taker, 0, sizeof(taker));
	taker.wants = true;
	net_set_take(b->stack, take);
	net_set_user(b->s, &taker);
	net_close(b->s, _i);
	tbed_rel(b, ACK, 1, 1, 10);
	ck_assert_uint_eq(taker.n, 0);
	tbed_free(b);
}
END_TEST

/* ---- timestamps (RFC 7323) */

static void give_ts(struct tbed *b, uint32_t seq, uint32_t tsval, uint32_t len)
{
	tbed_give(b, .flags = ACK, .seq = b->irs + seq, .ack = b->iss + 1, .len = len,
		  .at = seq - 1, .has_ts = true, .tsval = tsval);
}

START_TEST(paws)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("quickack=1", NULL);
	give_ts(b, 1, UINT32_MAX - 5, 0); /* before ours: it is old */
	ck_assert_uint_eq(tbed_counted(b, TCP_PAWS), 1);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	give_ts(b, 1, 8000, 10);
	tbed_expect_rel(b, ACK, 1, 11, 0);
	give_ts(b, 11, 7999, 10);
	tbed_expect_rel(b, ACK, 1, 11, 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_PAWS), 2);
	give_ts(b, 11, 8000u + INT32_MAX, 10); /* the farthest that is newer */
	ck_assert_uint_eq(tbed_expect_rel(b, ACK, 1, 21, 0).tsecr, 8000u + INT32_MAX);
	/* 24 days later it says nothing any more */
	give_ts(b, 21, 5, 10);
	tbed_expect_rel(b, ACK, 1, 31, 0);
	give_ts(b, 31, 4, 10);
	tbed_expect_rel(b, ACK, 1, 31, 0);
	tbed_pass(b, (UINT64_C(24) * 24 * 3600 + 2) * SECOND);
	give_ts(b, 31, 4, 10);
	tbed_expect_rel(b, ACK, 1, 41, 0);
	/* without one it is not of this connection, but a RST is */
	tbed_give(b, .flags = ACK, .seq = b->irs + 41, .ack = b->iss + 1, .len = 10);
	tbed_expect_nothing(b);
	tbed_give(b, .flags = RST, .seq = b->irs + 41);
	ck_assert_int_eq(net_error(b->s), ECONNRESET);
	tbed_free(b);
}
END_TEST

/* 4.3: the echo is of the earliest segment that was not acknowledged. */
START_TEST(echo)
{
	struct tbed *b = answering("");

	give_ts(b, 11, 8000, 10);
	give_ts(b, 21, 8100, 10);
	give_ts(b, 41, 8200, 10); /* a gap */
	ck_assert_uint_eq(tbed_expect_rel(b, ACK, 21, 31, 0).tsecr, 8000);
	give_ts(b, 51, 8300, 10);
	ck_assert_uint_eq(tbed_expect_rel(b, ACK, 21, 31, 0).tsecr, 8000);
	give_ts(b, 31, 8400, 10);
	ck_assert_uint_eq(tbed_expect_rel(b, ACK, 21, 61, 0).tsecr, 8400);
	tbed_free(b);
}
END_TEST

/* ---- keepalive, user timeout */

START_TEST(keepalive)
{
	struct tbed *b = tbed_connected("keepalive=1 keepidle_s=10 keepintvl_s=2 keepcnt=3", NULL);

	for (int i = 0; i < 5; i++) { /* answered */
		tbed_pass(b, 9900 * MS);
		tbed_expect_nothing(b);
		tbed_pass(b, 200 * MS);
		tbed_expect_rel(b, ACK, 0, 1, 0);
		tbed_rel(b, ACK, 1, 1, 0);
	}
	tbed_pass(b, 5 * SECOND);
	tbed_rel(b, ACK, 1, 1, 5); /* puts it off */
	tbed_forget(b);
	tbed_pass(b, 9900 * MS);
	tbed_expect_nothing(b);
	tbed_pass(b, 4500 * MS);
	for (int i = 0; i < 3; i++)
		tbed_expect_rel(b, ACK, 0, 6, 0);
	tbed_expect_nothing(b);
	tbed_pass(b, 2 * SECOND);
	tbed_expect(b, RST | ACK);
	ck_assert_int_eq(net_error(b->s), ETIMEDOUT);
	ck_assert_uint_eq(tbed_counted(b, TCP_KEEPALIVES), 8);
	tbed_free(b);
}
END_TEST

/* The interval longer than the idle time: answers still count. */
START_TEST(keepalive_answered)
{
	struct tbed *b = tbed_connected("keepidle_s=1 keepintvl_s=10 keepcnt=2", NULL);

	tbed_pass(b, 30 * SECOND);
	tbed_expect_nothing(b);
	net_set_opt(b->s, NET_OPT_KEEPALIVE, 1);
	for (int i = 0; i < 6; i++) {
		tbed_pass(b, 10100 * MS);
		tbed_expect_rel(b, ACK, 0, 1, 0);
		tbed_rel(b, ACK, 1, 1, 0);
	}
	ck_assert_int_eq(net_error(b->s), 0);
	tbed_free(b);
}
END_TEST

/* The peer's probes are answered. */
START_TEST(keepalive_of_the_peer)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_rel(b, ACK, 0, 1, 0);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	tbed_rel(b, ACK, 0, 1, 1); /* the one with a byte (RFC 1122 4.2.3.6) */
	tbed_expect_rel(b, ACK, 1, 1, 0);
	tbed_free(b);
}
END_TEST

START_TEST(user_timeout)
{
	struct tbed *b = tbed_connected("user_timeout_ms=3000", NULL);

	tbed_send(b, 0, 10);
	tbed_pass(b, 2900 * MS);
	ck_assert_int_eq(net_error(b->s), 0);
	tbed_pass(b, 200 * MS);
	ck_assert_int_eq(net_error(b->s), ETIMEDOUT);
	tbed_free(b);
}
END_TEST

/* ---- the rest */

START_TEST(tcp_info)
{
	struct tbed_opts o = { .wscale = 3 };
	struct tbed *b = tbed_connected("", &o);
	struct tcp_info info;
	int err;

	tbed_rel(b, ACK, 1, 1, 500);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 500);
	b->now += 30 * MS;
	tbed_send(b, 0, 2000);
	b->now += 30 * MS;
	tbed_rel(b, ACK, 501, 1 + MSS, 0);
	net_tcp_info(b->s, &info);
	ck_assert_uint_eq(info.tcpi_state, 1);
	ck_assert_uint_eq(info.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_WSCALE);
	ck_assert_uint_eq(info.tcpi_snd_wscale, 3);
	ck_assert_uint_eq(info.tcpi_rcv_wscale, 7);
	ck_assert_uint_eq(info.tcpi_snd_mss, MSS);
	ck_assert_uint_eq(info.tcpi_snd_cwnd, 10);
	ck_assert_uint_eq(info.tcpi_unacked, 1);
	ck_assert_uint_eq(info.tcpi_pmtu, 1500);
	ck_assert_uint_eq(info.tcpi_bytes_acked, MSS);
	ck_assert_uint_eq(info.tcpi_bytes_received, 500);
	ck_assert_uint_gt(info.tcpi_rtt, 0);
	ck_assert_uint_ge(info.tcpi_rto, 200000);
	ck_assert_ptr_eq(net_next_tcp(b->stack, NULL), b->s);
	ck_assert_ptr_null(net_next_tcp(b->stack, b->s));
	tbed_free(b);
}
END_TEST

START_TEST(options_in_range)
{
	static const struct {
		enum net_opt opt;
		int64_t good, bad;
	} opts[] = {
		{ NET_OPT_NODELAY, 0, 2 }, { NET_OPT_QUICKACK, 1, -1 },
		{ NET_OPT_KEEPALIVE, 1, 2 }, { NET_OPT_KEEPIDLE, 5, 0 },
		{ NET_OPT_KEEPINTVL, 32767, 32768 }, { NET_OPT_KEEPCNT, 127, 128 },
		{ NET_OPT_USER_TIMEOUT, 77, -1 }, { NET_OPT_LINGER, -1, -2 },
		{ NET_OPT_SNDBUF, 4096, 0 }, { NET_OPT_RCVBUF, 4096, 0 },
		{ NET_OPT_REUSEADDR, 1, 7 },
	};
	struct tbed *b = tbed_connected("", NULL);
	int64_t value;

	for (size_t i = 0; i < array_size(opts); i++) {
		ck_assert_int_eq(net_set_opt(b->s, opts[i].opt, opts[i].bad), EINVAL);
		ck_assert_int_eq(net_set_opt(b->s, opts[i].opt, opts[i].good), 0);
		ck_assert_int_eq(net_get_opt(b->s, opts[i].opt, &value), 0);
		ck_assert_int_eq(value, opts[i].good);
	}
	ck_assert_int_eq(net_set_opt(b->s, NET_OPT_MAXSEG, 87), EINVAL);
	ck_assert_int_eq(net_set_opt(b->s, NET_OPT_MAXSEG, 500), 0);
	ck_assert_int_eq(net_get_opt(b->s, NET_OPT_MAXSEG, &value), 0);
	ck_assert_int_eq(value, 488);
	tbed_free(b);
}
END_TEST

Suite *tcp_data_suite(void)
{
	Suite *s = suite_create("tcp_data");
	TCase *tc = tcase_create("data");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, push_goes_whole, 0, TBED_SEQS);
	tcase_add_test(tc, send_buffer);
	tcase_add_test(tc, many_pieces);
	tcase_add_test(tc, many_pieces_without_memory);
	tcase_add_test(tc, tso);
	tcase_add_test(tc, nagle);
	tcase_add_test(tc, sender_waits_for_a_window);
	tcase_add_test(tc, receiver_offers_no_silly_window);
	tcase_add_loop_test(tc, zero_window, 0, TBED_SEQS);
	tcase_add_test(tc, probes_are_taken);
	tcase_add_test(tc, probes_unanswered);
	tcase_add_test(tc, window_is_taken_back);
	tcase_add_loop_test(tc, delayed_ack, 0, TBED_SEQS);
	tcase_add_test(tc, every_second_segment);
	tcase_add_loop_test(tc, no_delay_at_all, 0, 2);
	tcase_add_test(tc, stretched_acks);
	tcase_add_test(tc, fast_path);
	tcase_add_test(tc, taken);
	tcase_add_loop_test(tc, taken_no_more, 0, 2);
	tcase_add_loop_test(tc, paws, 0, TBED_SEQS);
	tcase_add_test(tc, echo);
	tcase_add_test(tc, keepalive);
	tcase_add_test(tc, keepalive_answered);
	tcase_add_test(tc, keepalive_of_the_peer);
	tcase_add_test(tc, user_timeout);
	tcase_add_test(tc, tcp_info);
	tcase_add_test(tc, options_in_range);
	suite_add_tcase(s, tc);
	return s;
}
