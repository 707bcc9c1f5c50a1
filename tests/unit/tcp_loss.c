/* What is lost: timeouts and their back-off, fast retransmit and recovery, windows of
 * congestion, a ring without room, no memory. */
#include "config.h"

#include <errno.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

#define MSS 1448u

static uint32_t cwnd(const struct tbed *b)
{
	return tcp_conn(b->s)->cwnd;
}

/* All segments from `at` on, full ones, n of them. */
static void expect_full(struct tbed *b, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		tbed_expect_rel(b, ACK, at + i * MSS, 1, MSS);
}

/* Sent again after the RTO and not before, n times. */
static void expect_backed_off(struct tbed *b, uint64_t rto_ms, int n, uint32_t len)
{
	for (int i = 0; i < n; i++, rto_ms *= 2) {
		tbed_pass(b, rto_ms * MS - 2 * MS);
		tbed_expect_nothing(b);
		tbed_pass_until_sent(b, 3 * MS);
		tbed_expect_rel(b, ACK, 1, 1, len);
		tbed_expect_nothing(b);
	}
}

START_TEST(back_off)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("retries=6", NULL);
	tbed_send(b, 0, 500); /* the program's reference has gone: the stack's stays */
	tbed_expect_rel(b, ACK, 1, 1, 500);
	expect_backed_off(b, 200, 6, 500);
	ck_assert_uint_eq(tbed_counted(b, TCP_TIMEOUTS), 6);
	ck_assert_uint_eq(tbed_counted(b, TCP_RETRANS), 6);
	tbed_pass(b, 12900 * MS);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_FAILED, NET_FAILED);
	ck_assert_int_eq(net_error(b->s), ETIMEDOUT);
	ck_assert_uint_eq(tbed_refs(), 0);
	tbed_free(b);
}
END_TEST

START_TEST(soft_error_is_the_cause)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_connected("retries=2", NULL);
	struct net_seg seg;

	tbed_send(b, 0, 500);
	net_tcp_unreachable(b->stack, &mine, &peer, b->iss + 1, ECONNREFUSED, true);
	net_tcp_unreachable(b->stack, &mine, &peer, b->iss + 1, EHOSTUNREACH, false);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_FAILED, 0);
	tbed_pass(b, 10 * SECOND);
	ck_assert_int_eq(net_recv(b->s, &seg, NULL), EHOSTUNREACH);
	tbed_free(b);
}
END_TEST

/* Without timestamps an ACK of what went twice tells nothing: the back-off stays until
 * something that went once is acknowledged. */
START_TEST(karn)
{
	struct tbed_opts o = { .no_ts = true };
	struct tbed *b = tbed_connected("", &o);

	tbed_send(b, 0, 100);
	tbed_expect_rel(b, ACK, 1, 1, 100);
	expect_backed_off(b, 200, 3, 100);
	tbed_rel(b, ACK, 1, 101, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->backoff, 3);
	tbed_send(b, 100, 100);
	tbed_expect_rel(b, ACK, 101, 1, 100);
	tbed_pass(b, 1590 * MS);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 201, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->backoff, 0);
	ck_assert_uint_gt(tcp_conn(b->s)->srtt >> 3, 150000);
	tbed_free(b);
}
END_TEST

/* With them it tells which of both arrived. */
START_TEST(rtt_by_timestamp)
{
	struct tbed *b = tbed_connected("", NULL);
	uint32_t srtt = tcp_conn(b->s)->srtt;
	struct tseg seg;

	tbed_send(b, 0, 100);
	tbed_expect_rel(b, ACK, 1, 1, 100);
	tbed_pass(b, 201 * MS);
	seg = tbed_expect_rel(b, ACK, 1, 1, 100);
	b->now += 80 * MS;
	tbed_give(b, .flags = ACK, .seq = b->irs + 1, .ack = b->iss + 101, .has_ts = true,
		  .tsval = ++b->tsval, .tsecr = seg.tsval);
	ck_assert_uint_eq(tcp_conn(b->s)->backoff, 0);
	ck_assert_uint_ge((tcp_conn(b->s)->srtt - srtt), 70000);
	ck_assert_uint_le((tcp_conn(b->s)->srtt - srtt), 90000);
	tbed_free(b);
}
END_TEST

/* srtt and rttvar as RFC 6298 2.2 and 2.3 have them, the floor off. */
START_TEST(rto_follows_rtt)
{
	struct tbed *b = tbed_connected("rto_min_ms=1", NULL);
	struct tcp_conn *c = tcp_conn(b->s);

	c->srtt = c->rttvar = 0;
	for (uint32_t i = 0; i < 2; i++) {
		tbed_send(b, i * 10, 10);
		b->now += (i ? 60 : 100) * MS;
		tbed_rel(b, ACK, 1, 11 + i * 10, 0);
	}
	ck_assert_uint_eq(c->srtt >> 3, 95000);		/* 7/8 100 + 1/8 60 */
	ck_assert_uint_eq(c->rttvar >> 2, 47500);	/* 3/4 50 + 1/4 40 */
	ck_assert_uint_eq(c->rto, 95000 + 4 * 47500);
	tbed_free(b);
}
END_TEST

/* ---- windows of congestion */

START_TEST(slow_start)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_send(b, 0, 100 * MSS);
	expect_full(b, 1, 10);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 1 + 2 * MSS, 0);
	expect_full(b, 1 + 10 * MSS, 4);
	tbed_rel(b, ACK, 1, 1 + 10 * MSS, 0);
	ck_assert_uint_eq(cwnd(b), 20 * MSS);
	expect_full(b, 1 + 14 * MSS, 16);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

START_TEST(congestion_avoidance)
{
	struct tbed *b = tbed_connected("", NULL);
	uint32_t una = 0;

	tcp_conn(b->s)->ssthresh = 4 * MSS;
	tcp_conn(b->s)->cwnd = 4 * MSS;
	tbed_send(b, 0, 200 * MSS);
	for (uint32_t round = 4; round < 10; round++) { /* one segment more each round */
		expect_full(b, 1 + una * MSS, round);
		tbed_expect_nothing(b);
		una += round;
		tbed_rel(b, ACK, 1, 1 + una * MSS, 0);
	}
	tbed_free(b);
}
END_TEST

/* A window that is not used does not grow. */
START_TEST(unused_window)
{
	struct tbed *b = tbed_connected("", NULL);

	for (uint32_t i = 0; i < 50; i++) {
		tbed_send(b, i * 100, 100);
		tbed_expect_rel(b, ACK, 1 + i * 100, 1, 100);
		tbed_rel(b, ACK, 1, 101 + i * 100, 0);
	}
	ck_assert_uint_eq(cwnd(b), 10 * MSS);
	tbed_free(b);
}
END_TEST

START_TEST(restart_after_idle)
{
	struct tbed *b = tbed_connected("", NULL);

	tcp_conn(b->s)->cwnd = 30 * MSS;
	tbed_pass(b, SECOND);
	tbed_send(b, 0, 60 * MSS);
	expect_full(b, 1, 10);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

START_TEST(after_a_timeout)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	tbed_send(b, 0, 20 * MSS);
	expect_full(b, 1, 10);
	tbed_pass(b, 201 * MS);
	expect_full(b, 1, 1);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(cwnd(b), MSS);
	ck_assert_uint_eq(tcp_conn(b->s)->ssthresh, 5 * MSS);
	tbed_rel(b, ACK, 1, 1 + MSS, 0);
	expect_full(b, 1 + MSS, 2);
	tbed_expect_nothing(b);
	/* only the first two were lost: no more of it again */
	tbed_rel(b, ACK, 1, 1 + 10 * MSS, 0);
	tbed_expect_rel(b, ACK, 1 + 10 * MSS, 1, MSS);
	ck_assert_uint_eq(tcp_conn(b->s)->ca, TCP_CA_IS_OPEN);
	tbed_free(b);
}
END_TEST

/* ---- RFC 5681 3.2, RFC 3042, RFC 6582 */

static struct tbed *with_ten_out(void)
{
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 40 * MSS);
	expect_full(b, 1, 10);
	return b;
}

START_TEST(fast_retransmit)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = with_ten_out();
	tbed_rel(b, ACK, 1, 1, 0);
	expect_full(b, 1 + 10 * MSS, 1);	/* limited transmit */
	tbed_rel(b, ACK, 1, 1, 0);
	expect_full(b, 1 + 11 * MSS, 1);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 1, 0);
	expect_full(b, 1, 1);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(tcp_conn(b->s)->ssthresh, 6 * MSS);
	for (uint32_t i = 0; i < 9; i++)	/* 6 + 3 + 9 - 12 */
		tbed_rel(b, ACK, 1, 1, 0);
	expect_full(b, 1 + 12 * MSS, 6);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_RETRANS), 1);
	ck_assert_uint_eq(tbed_counted(b, TCP_RETRANS), 1);
	tbed_rel(b, ACK, 1, 1 + 12 * MSS, 0);	/* all that was out */
	ck_assert_uint_eq(tcp_conn(b->s)->ca, TCP_CA_IS_OPEN);
	ck_assert_uint_eq(cwnd(b), 6 * MSS);
	ck_assert_uint_eq(tbed_counted(b, TCP_TIMEOUTS), 0);
	tbed_free(b);
}
END_TEST

/* Segments 0, 3 and 6 are lost: a hole a round, without a timeout. */
START_TEST(partial_acks)
{
	struct tbed *b;

	tbed_wrap = _i;
	b = with_ten_out();
	for (int i = 0; i < 3; i++)
		tbed_rel(b, ACK, 1, 1, 0);
	expect_full(b, 1 + 10 * MSS, 2);
	expect_full(b, 1, 1);
	tbed_rel(b, ACK, 1, 1 + 3 * MSS, 0);
	expect_full(b, 1 + 3 * MSS, 1);
	ck_assert_uint_eq(tcp_conn(b->s)->ca, TCP_CA_IS_RECOVERY);
	tbed_forget(b);
	tbed_rel(b, ACK, 1, 1 + 6 * MSS, 0);
	expect_full(b, 1 + 6 * MSS, 1);
	tbed_forget(b);
	tbed_rel(b, ACK, 1, 1 + 12 * MSS, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->ca, TCP_CA_IS_OPEN);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_RETRANS), 1);
	ck_assert_uint_eq(tbed_counted(b, TCP_TIMEOUTS), 0);
	tbed_free(b);
}
END_TEST

/* RFC 6582 3.2 2: what is out since before a timeout starts no recovery. */
START_TEST(no_recovery_of_the_old)
{
	struct tbed *b = with_ten_out();

	tbed_pass(b, 201 * MS);
	expect_full(b, 1, 1);
	tbed_rel(b, ACK, 1, 1 + MSS, 0);
	tbed_forget(b);
	for (int i = 0; i < 6; i++)
		tbed_rel(b, ACK, 1, 1 + MSS, 0);
	tbed_forget(b);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_RETRANS), 0);
	tbed_free(b);
}
END_TEST

/* RFC 5681 2: data, another window, or nothing out make no duplicate. */
START_TEST(not_duplicates)
{
	struct tbed *b = with_ten_out();

	for (uint32_t i = 0; i < 5; i++) {
		b->wnd -= 100;
		tbed_rel(b, ACK, 1, 1, 0);
	}
	for (uint32_t i = 0; i < 5; i++)
		tbed_rel(b, ACK, 1 + i * 10, 1, 10);
	ck_assert_uint_eq(tbed_counted(b, TCP_ACK_DUP), 0);
	tbed_rel(b, ACK, 51, 1 + 10 * MSS, 0);
	tbed_forget(b);
	tbed_rel(b, ACK, 51, 1 + 30 * MSS, 0);
	tbed_forget(b);
	tbed_rel(b, ACK, 51, 1 + 40 * MSS, 0);
	for (int i = 0; i < 5; i++)
		tbed_rel(b, ACK, 51, 1 + 40 * MSS, 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_FAST_RETRANS), 0);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* ---- a path that takes less (RFC 1191) */

START_TEST(path_shrinks)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 5 * MSS);
	expect_full(b, 1, 5);
	ck_assert(!net_tcp_has_sent(b->stack, &mine, &peer, b->iss));
	ck_assert(net_tcp_has_sent(b->stack, &mine, &peer, b->iss + 1));
	net_ip_shrink(b->stack, net_ip_v4(&peer.ip), 1000, 1500);
	tbed_flush(b);
	for (uint32_t at = 0; at < 5 * MSS; at += 948)
		tbed_expect_rel(b, ACK, 1 + at, 1, 5 * MSS - at < 948 ? 5 * MSS - at : 948);
	net_tcp_unreachable(b->stack, &mine, &peer, b->iss + 1, EMSGSIZE, false); /* known */
	tbed_flush(b);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 1 + 5 * MSS, 0);
	ck_assert_uint_eq(tcp_conn(b->s)->ca, TCP_CA_IS_OPEN);
	ck_assert_uint_ge(cwnd(b), 10 * MSS);
	tbed_free(b);
}
END_TEST

/* Found out by whatever else was sent there: it is so for all, and for so long. */
START_TEST(path_shrinks_for_all)
{
	struct net_addr peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_connected("", NULL);

	net_ip_shrink(b->stack, net_ip_v4(&peer.ip), 1000, 1500);
	tbed_send(b, 0, 4 * 948);
	for (uint32_t at = 0; at < 4 * 948; at += 948)
		tbed_expect_rel(b, ACK, 1 + at, 1, 948);
	tbed_rel(b, ACK, 1, 1 + 4 * 948, 0);
	tbed_pass(b, 601 * SECOND);
	tbed_send(b, 4 * 948, 2 * MSS);
	expect_full(b, 1 + 4 * 948, 2);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* What is out and fits goes on. */
START_TEST(path_shrinks_above_what_is_out)
{
	struct net_addr peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_connected("", NULL);

	tbed_send(b, 0, 500);
	tbed_expect_rel(b, ACK, 1, 1, 500);
	net_ip_shrink(b->stack, net_ip_v4(&peer.ip), 1000, 1500);
	tbed_flush(b);
	tbed_expect_nothing(b);
	tbed_free(b);
}
END_TEST

/* ---- no room, no memory */

/* What the device does not take stays, in order, and the rest follows. */
START_TEST(ring_is_full)
{
	struct tbed_opts o = { .no_ts = true };
	struct tbed *b = tbed_connected("mss=100", &o);
	uint32_t got = 0;
	struct tseg seg;

	tcp_conn(b->s)->cwnd = 60000;
	b->take = 0;
	ck_assert_int_eq(tbed_send(b, 0, 60000), 0);
	tbed_expect_nothing(b);
	ck_assert(net_has_unsent(b->stack));
	for (int i = 0; got < 60000 && i < 500; i++) {
		b->take = 7;
		tbed_flush(b);
		while (tbed_sent(b, &seg)) {
			ck_assert_uint_eq(seg.seq - b->iss - 1, got);
			got += seg.len;
		}
	}
	ck_assert_uint_eq(got, 60000);
	ck_assert_uint_eq(tbed_counted(b, TCP_RETRANS), 0);
	tbed_free(b);
}
END_TEST

/* ACKs have places of their own; when those are gone too, they are owed. */
START_TEST(ring_is_full_of_acks)
{
	struct tbed *b = tbed_connected("", NULL);
	struct tseg seg, last = { .ack = 0 };
	uint32_t n = 0;

	b->take = 0;
	for (uint32_t i = 0; i < 300; i++)
		tbed_rel(b, ACK, 11 + i, 1, 1); /* a gap: each at once */
	ck_assert_uint_gt(tbed_counted(b, TX_NO_ROOM), 0);
	tbed_rel(b, ACK, 1, 1, 10);
	b->take = UINT32_MAX;
	tbed_flush(b);
	tbed_flush(b);
	for (; tbed_sent(b, &seg); n++)
		last = seg;
	ck_assert_uint_ge(n, 128);
	ck_assert_uint_eq(last.ack - b->irs, 311);
	tbed_free(b);
}
END_TEST

START_TEST(without_memory)
{
	struct tbed *b = tbed_connected("rcvbuf=20000", NULL);
	int err;

	b->allocs = 0;
	tbed_send(b, 0, 5 * MSS);
	tbed_forget(b);
	tbed_rel(b, ACK, 1, 1 + 5 * MSS, 0);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 0);
	for (uint32_t i = 0; i < 20; i++)
		tbed_rel(b, ACK, 1 + i, 1 + 5 * MSS, 1);
	ck_assert_uint_gt(tbed_counted(b, NO_MEMORY), 0);
	ck_assert_uint_gt(net_bytes_readable(b->s), 5);
	tbed_read(b, b->s, 0, &err);
	ck_assert_int_eq(err, EAGAIN);
	net_close(b->s, false);
	b->s = NULL;
	tbed_free(b);
}
END_TEST

Suite *tcp_loss_suite(void)
{
	Suite *s = suite_create("tcp_loss");
	TCase *tc = tcase_create("loss");

	tcase_add_loop_test(tc, back_off, 0, TBED_SEQS);
	tcase_add_test(tc, soft_error_is_the_cause);
	tcase_add_test(tc, karn);
	tcase_add_test(tc, rtt_by_timestamp);
	tcase_add_test(tc, rto_follows_rtt);
	tcase_add_loop_test(tc, slow_start, 0, TBED_SEQS);
	tcase_add_test(tc, congestion_avoidance);
	tcase_add_test(tc, unused_window);
	tcase_add_test(tc, restart_after_idle);
	tcase_add_loop_test(tc, after_a_timeout, 0, TBED_SEQS);
	tcase_add_loop_test(tc, fast_retransmit, 0, TBED_SEQS);
	tcase_add_loop_test(tc, partial_acks, 0, TBED_SEQS);
	tcase_add_test(tc, no_recovery_of_the_old);
	tcase_add_test(tc, not_duplicates);
	tcase_add_test(tc, path_shrinks);
	tcase_add_test(tc, path_shrinks_for_all);
	tcase_add_test(tc, path_shrinks_above_what_is_out);
	tcase_add_test(tc, ring_is_full);
	tcase_add_test(tc, ring_is_full_of_acks);
	tcase_add_test(tc, without_memory);
	suite_add_tcase(s, tc);
	return s;
}
