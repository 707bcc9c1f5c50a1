/* How connections end: what close and shutdown promise, resets, TIME_WAIT. */
#include "config.h"

#include <errno.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

static void expect_gone(struct tbed *b)
{
	tbed_flush(b);
	ck_assert_uint_eq(b->stack->tcp.conns.n_used, 0);
	ck_assert_uint_eq(b->stack->tcp.flow.n, 0);
	ck_assert_uint_eq(net_n_lingering(b->stack), 0);
	ck_assert_ptr_null(net_next_tcp(b->stack, NULL));
}

/* What was sent is delivered, then the FIN, then TIME_WAIT; the socket has gone. */
START_TEST(close_delivers)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_send(b, 0, 2000);
	tbed_expect_rel(b, ACK, 1, 1, 1448);
	tbed_expect_rel(b, ACK, 1449, 1, 552);
	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 2001, 1, 0);
	ck_assert_uint_eq(net_n_lingering(b->stack), 1);
	tbed_rel(b, ACK, 1, 2001, 0);
	ck_assert_uint_eq(net_n_lingering(b->stack), 1);
	tbed_rel(b, ACK, 1, 2002, 0);
	ck_assert_uint_eq(net_n_lingering(b->stack), 0);
	tbed_rel(b, FIN | ACK, 1, 2002, 0);
	tbed_expect_rel(b, ACK, 2002, 2, 0);
	expect_gone(b);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 1);
	tbed_pass(b, 61 * SECOND);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 0);
	ck_assert_uint_eq(tbed_events(b, NULL), 0);
	tbed_free(b);
}
END_TEST

/* Both at once: the peer's FIN and, in one batch with it, its ACK of ours. Its FIN is
 * acknowledged none the less. */
START_TEST(close_meets_close)
{
	struct tbed *b = tbed_connected("", &(struct tbed_opts){ .no_ts = true });

	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 1, 1, 0);
	tbed_in_only(b, &(struct tseg){ .flags = FIN | ACK, .seq = b->irs + 1, .ack = b->iss + 1 });
	tbed_in_only(b, &(struct tseg){ .flags = ACK, .seq = b->irs + 2, .ack = b->iss + 2 });
	tbed_flush(b);
	tbed_expect_rel(b, ACK, 2, 2, 0);
	tbed_expect_nothing(b);
	expect_gone(b);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 1);
	tbed_free(b);
}
END_TEST

START_TEST(close_reports)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 10);
	net_close(b->s, true);
	tbed_flush(b);
	ck_assert_uint_eq(tbed_events(b, b->s), 0);
	tbed_rel(b, ACK, 1, 12, 0);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_ACKED); /* and asked again: gone */
	b->s = NULL;
	ck_assert_uint_eq(b->stack->tcp.conns.n_used, 1);
	tbed_pass(b, 61 * SECOND); /* FIN_WAIT_2 has an end */
	expect_gone(b);
	tbed_free(b);
}
END_TEST

START_TEST(close_reports_failure)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 10);
	net_close(b->s, true);
	tbed_flush(b);
	tbed_rel(b, RST, 1, 0, 0);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_FAILED);
	b->s = NULL;
	expect_gone(b);
	tbed_free(b);
}
END_TEST

/* Nothing to wait for: at once, in the states where nothing is. */
START_TEST(close_reports_at_once)
{
	struct net_addr peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_new("");
	struct net_sock *s;

	for (int connecting = 0; connecting < 2; connecting++) {
		ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &s), 0);
		if (connecting)
			ck_assert_int_eq(net_connect(s, &peer), 0);
		net_close(s, true);
		ck_assert_uint_eq(tbed_events(b, s), NET_ACKED);
		expect_gone(b);
	}
	tbed_free(b);
}
END_TEST

/* RFC 1122 4.2.2.13: bytes that nobody read, or that come after, are a reset. */
START_TEST(close_with_unread)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_rel(b, ACK, 1, 1, 10);
	tbed_forget(b);
	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_expect_rel(b, RST | ACK, 1, 11, 0);
	tbed_expect_nothing(b);
	expect_gone(b);
	tbed_free(b);
}
END_TEST

START_TEST(data_after_close)
{
	struct tbed *b = tbed_connected("", NULL);
	struct net_sock *s = b->s;

	net_close(s, _i & 1);
	if (!(_i & 1))
		b->s = NULL;
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 1, 1, 0);
	if (_i & 2) {
		tbed_rel(b, ACK, 1, 2, 0);
		ck_assert_uint_eq(tbed_events(b, s), _i & 1 ? NET_ACKED : 0);
		if (_i & 1)
			b->s = NULL;
	}
	tbed_rel(b, ACK, 1, 1, 5);
	tbed_expect(b, RST | ACK);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(tbed_events(b, s), _i == 1 ? NET_FAILED : 0);
	expect_gone(b);
	tbed_free(b);
}
END_TEST

START_TEST(linger_0)
{
	struct tbed *b = tbed_connected("", NULL);

	net_set_opt(b->s, NET_OPT_LINGER, 0);
	tbed_send(b, 0, 10);
	tbed_forget(b);
	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_expect_rel(b, RST | ACK, 11, 1, 0);
	expect_gone(b);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 0);
	tbed_free(b);
}
END_TEST

/* A push to a peer that has half-closed still arrives, and so does what it sends after
 * our own half-close. */
START_TEST(half_closed)
{
	struct net_seg seg;
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_rel(b, FIN | ACK, 1, 1, 10);
	tbed_expect_rel(b, ACK, 1, 12, 0);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 10);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(tbed_send(b, 0, 3000), 0);
	tbed_expect_rel(b, ACK, 1, 12, 1448);
	tbed_expect_rel(b, ACK, 1449, 12, 1448);
	tbed_expect_rel(b, ACK, 2897, 12, 104);
	tbed_rel(b, ACK, 12, 3001, 0);
	net_shutdown(b->s, false, true);
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 3001, 12, 0);
	ck_assert_int_eq(tbed_send(b, 0, 1), EPIPE);
	tbed_rel(b, ACK, 12, 3002, 0);
	ck_assert_int_eq(net_recv(b->s, &seg, NULL), 0);
	ck_assert_uint_eq(seg.len, 0);
	net_close(b->s, false);
	b->s = NULL;
	expect_gone(b);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 0); /* the peer has that */
	tbed_free(b);
}
END_TEST

START_TEST(receive_after_shutdown)
{
	struct tbed *b = tbed_connected("", NULL);
	int err;

	net_shutdown(b->s, false, true);
	tbed_flush(b);
	tbed_expect_rel(b, FIN | ACK, 1, 1, 0);
	tbed_rel(b, ACK, 1, 2, 2000);
	tbed_expect_rel(b, ACK, 2, 2001, 0);
	tbed_rel(b, FIN | ACK, 2001, 2, 100);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 2100);
	ck_assert_int_eq(err, 0);
	tbed_free(b);
}
END_TEST

/* SHUT_RD: what comes is acknowledged and dropped. */
START_TEST(shut_rd)
{
	struct tbed *b = tbed_connected("", NULL);
	int err;

	tbed_rel(b, ACK, 1, 1, 100);
	net_shutdown(b->s, true, false);
	tbed_forget(b);
	tbed_rel(b, ACK, 101, 1, 100);
	tbed_expect_rel(b, ACK, 1, 201, 0);
	tbed_rel(b, ACK, 301, 1, 100);
	tbed_expect_rel(b, ACK, 1, 201, 0);
	tbed_rel(b, ACK, 201, 1, 100);
	tbed_expect_rel(b, ACK, 1, 401, 0);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 0);
	ck_assert_int_eq(err, 0);
	ck_assert_uint_eq(tbed_refs(), 0);
	ck_assert_int_eq(tbed_send(b, 0, 10), 0);
	tbed_expect_rel(b, ACK, 1, 401, 10);
	tbed_free(b);
}
END_TEST

/* After a reset what had arrived is given out, then the cause, for ever. */
START_TEST(reset_keeps_data)
{
	struct tbed *b = tbed_connected("", NULL);
	struct net_seg seg;
	int err;

	tbed_rel(b, ACK, 1, 1, 100);
	tbed_rel(b, ACK, 201, 1, 100); /* with a gap: lost */
	tbed_rel(b, RST, 101, 0, 0);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_FAILED, NET_FAILED);
	ck_assert_uint_eq(net_bytes_readable(b->s), 100);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 100);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(net_recv(b->s, &seg, NULL), ECONNRESET);
		ck_assert_int_eq(tbed_send(b, 0, 1), ECONNRESET);
	}
	ck_assert_int_eq(net_error(b->s), ECONNRESET);
	ck_assert_int_eq(net_error(b->s), 0);
	net_close(b->s, false);
	b->s = NULL;
	expect_gone(b);
	tbed_free(b);
}
END_TEST

/* FIN before the bytes that it follows. */
START_TEST(early_fin)
{
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_rel(b, FIN | ACK, 101, 1, 0);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	tbed_rel(b, FIN | ACK, 51, 1, 50);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->state, TCPS_ESTABLISHED);
	tbed_rel(b, ACK, 1, 1, 50);
	tbed_expect_rel(b, ACK, 1, 102, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->state, TCPS_CLOSE_WAIT);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 100);
	ck_assert_int_eq(err, 0);
	tbed_free(b);
}
END_TEST

/* A FIN is taken at a shut window, for it takes no room. */
START_TEST(fin_at_a_shut_window)
{
	struct tbed *b = tbed_connected("rcvbuf=2048", NULL);
	uint32_t seq = 1;

	while (tcp_conn(b->s)->rcv_edge != tcp_conn(b->s)->rcv_nxt) {
		uint32_t len = tcp_conn(b->s)->rcv_edge - tcp_conn(b->s)->rcv_nxt;

		tbed_rel(b, ACK, seq, 1, len);
		seq += len;
		tbed_forget(b);
	}
	tbed_rel(b, ACK, seq, 1, 1);
	ck_assert_uint_eq(tbed_expect_rel(b, ACK, 1, seq, 0).wnd, 0);
	tbed_rel(b, FIN | ACK, seq, 1, 0);
	tbed_expect_rel(b, ACK, 1, seq + 1, 0);
	tbed_free(b);
}
END_TEST

/* ---- TIME_WAIT */

static struct tbed *waiting(const char *config, const struct tbed_opts *o)
{
	struct tbed *b = tbed_accepted(config, o);

	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_rel(b, FIN | ACK, 1, 2, 0);
	tbed_forget(b);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 1);
	ck_assert_uint_eq(b->stack->tcp.conns.n_used, 1); /* the listener */
	return b;
}

static void give_syn(struct tbed *b, uint32_t seq, uint32_t tsval)
{
	tbed_give(b, .flags = SYN, .seq = b->irs + seq, .has_ts = b->ts, .tsval = tsval);
}

/* RFC 6191, RFC 1122 4.2.2.13: by the timestamp, or by the sequence number. */
START_TEST(time_wait_syn)
{
	struct tbed_opts o = { .no_ts = _i & 1 };
	struct tseg seg;
	struct tbed *b;
	uint32_t old;

	tbed_wrap = _i >> 1;
	b = waiting("", &o);
	old = b->iss;
	give_syn(b, o.no_ts ? 1 : 1000, b->tsval - 1);
	seg = tbed_expect(b, ACK);
	ck_assert_uint_eq(seg.seq - b->iss, 2);
	ck_assert_uint_eq(seg.ack - b->irs, 2);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 1);
	give_syn(b, o.no_ts ? 3 : (uint32_t)-5000, b->tsval + 1);
	seg = tbed_expect(b, SYN | ACK);
	ck_assert_int_gt((int32_t)(seg.seq - old), 65535);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 0);
	ck_assert_uint_eq(b->stack->tcp.n_half, 1);
	tbed_free(b);
}
END_TEST

START_TEST(time_wait_data)
{
	struct tbed *b = waiting("", NULL);

	tbed_rel(b, ACK, 2, 2, 10);
	tbed_expect_rel(b, ACK, 2, 2, 0);
	tbed_rel(b, ACK, 2, 2, 0);
	tbed_rel(b, RST, 2, 0, 0);
	tbed_expect_nothing(b);
	b->tsval = 0; /* an old duplicate of the FIN does not start it anew */
	tbed_pass(b, 50 * SECOND);
	tbed_rel(b, FIN | ACK, 1, 2, 0);
	tbed_expect_rel(b, ACK, 2, 2, 0);
	tbed_pass(b, 11 * SECOND);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 0);
	tbed_free(b);
}
END_TEST

START_TEST(time_waits_are_bounded)
{
	struct tbed *b = tbed_accepted("time_waits=1", NULL);
	struct net_sock *s;
	struct tseg seg;

	net_close(b->s, false);
	b->s = NULL;
	tbed_flush(b);
	tbed_rel(b, FIN | ACK, 1, 2, 0);
	tbed_forget(b);
	tbed_give(b, .flags = SYN, .seq = 7, .sport = 99);
	seg = tbed_expect(b, SYN | ACK);
	tbed_give(b, .flags = ACK, .seq = 8, .ack = seg.seq + 1, .sport = 99);
	ck_assert_int_eq(net_accept(b->listener, NULL, &s, NULL), 0);
	net_close(s, false);
	tbed_give(b, .flags = ACK | FIN, .seq = 8, .ack = seg.seq + 2, .sport = 99);
	ck_assert_uint_eq(tbed_counted(b, TCP_TIME_WAIT_FULL), 1);
	ck_assert_uint_eq(b->stack->tcp.waits.flow.n, 1);
	tbed_free(b);
}
END_TEST

/* The port is taken as long as somebody waits at it, but for who says he knows. */
START_TEST(time_wait_holds_its_port)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b = waiting("", NULL);
	struct net_sock *s;

	net_close(b->listener, false);
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &s), 0);
	ck_assert_int_eq(net_bind(s, &mine), EADDRINUSE);
	net_set_opt(s, NET_OPT_REUSEADDR, 1);
	ck_assert_int_eq(net_bind(s, &mine), 0);
	ck_assert_int_eq(net_connect(s, &peer), EADDRINUSE); /* the very same */
	net_close(s, false);
	tbed_pass(b, 61 * SECOND);
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &s), 0);
	ck_assert_int_eq(net_bind(s, &mine), 0);
	ck_assert_int_eq(net_connect(s, &peer), 0);
	tbed_free(b);
}
END_TEST

Suite *tcp_close_suite(void)
{
	Suite *s = suite_create("tcp_close");
	TCase *tc = tcase_create("close");

	tcase_add_loop_test(tc, close_delivers, 0, TBED_SEQS);
	tcase_add_test(tc, close_meets_close);
	tcase_add_test(tc, close_reports);
	tcase_add_test(tc, close_reports_failure);
	tcase_add_test(tc, close_reports_at_once);
	tcase_add_test(tc, close_with_unread);
	tcase_add_loop_test(tc, data_after_close, 0, 4);
	tcase_add_test(tc, linger_0);
	tcase_add_loop_test(tc, half_closed, 0, TBED_SEQS);
	tcase_add_test(tc, receive_after_shutdown);
	tcase_add_test(tc, shut_rd);
	tcase_add_test(tc, reset_keeps_data);
	tcase_add_loop_test(tc, early_fin, 0, TBED_SEQS);
	tcase_add_test(tc, fin_at_a_shut_window);
	tcase_add_loop_test(tc, time_wait_syn, 0, 4);
	tcase_add_test(tc, time_wait_data);
	tcase_add_test(tc, time_waits_are_bounded);
	tcase_add_test(tc, time_wait_holds_its_port);
	suite_add_tcase(s, tc);
	return s;
}
