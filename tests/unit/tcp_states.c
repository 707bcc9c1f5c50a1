/*
 * Every state against every kind of segment (RFC 9293 3.10.7.4): what is answered, and
 * which state comes of it. A row says what the peer's segment is, relative to what is
 * expected; the same rows run with both sequence numbers about to wrap.
 */
#include "config.h"

#include <errno.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

#define SENT 20u	/* bytes of ours, acknowledged but in FIN_WAIT_1 and CLOSING: the FIN */
#define GOT 30u		/* bytes of the peer's */
#define WND 2097152u	/* about what we announce */

/* A connection in that state; b->s may be NULL in TIME_WAIT. next_seq, next_ack: the
 * numbers of a segment that acknowledges everything and is the next. */
struct conn {
	struct tbed *b;
	uint32_t next_seq, next_ack;
	enum tcp_state state;
};

static void settle(struct tbed *b)
{
	tbed_flush(b);
	tbed_forget(b);
}

static struct tbed *established(void)
{
	struct tbed *b = tbed_connected("", NULL);
	int err;

	net_set_opt(b->s, NET_OPT_QUICKACK, 1);
	tbed_rel(b, ACK, 1, 1, GOT);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), GOT);
	ck_assert_int_eq(tbed_send(b, 0, SENT), 0);
	tbed_rel(b, ACK, 1 + GOT, 1 + SENT, 0);
	settle(b);
	return b;
}

static void in_state(struct conn *c, enum tcp_state state)
{
	uint32_t seq = 1 + GOT, ack = 1 + SENT;
	struct tbed *b = established();

	*c = (struct conn){ .b = b, .state = state, .next_seq = seq, .next_ack = ack };
	switch (state) {
	case TCPS_ESTABLISHED:
		break;
	case TCPS_CLOSE_WAIT:
		tbed_rel(b, FIN | ACK, seq, ack, 0);
		c->next_seq++;
		break;
	case TCPS_LAST_ACK:
		tbed_rel(b, FIN | ACK, seq, ack, 0);
		net_shutdown(b->s, false, true);
		c->next_seq++;
		c->next_ack++;
		break;
	case TCPS_FIN_WAIT_1:
		net_shutdown(b->s, false, true);
		c->next_ack++;
		break;
	case TCPS_FIN_WAIT_2:
		net_shutdown(b->s, false, true);
		tbed_rel(b, ACK, seq, ack + 1, 0);
		c->next_ack++;
		break;
	case TCPS_CLOSING:
		net_shutdown(b->s, false, true);
		tbed_rel(b, FIN | ACK, seq, ack, 0);
		c->next_seq++;
		c->next_ack++;
		break;
	case TCPS_TIME_WAIT:
		net_shutdown(b->s, false, true);
		tbed_rel(b, FIN | ACK, seq, ack + 1, 0);
		c->next_seq++;
		c->next_ack++;
		break;
	case TCPS_SYN_SENT:
	case TCPS_SYN_RECEIVED:
	case TCPS_CLOSED:
	case TCPS_LISTEN:
		ck_abort();
	}
	settle(b);
	ck_assert_uint_eq(tcp_conn(b->s)->state, state);
}

static const enum tcp_state states[] = {
	TCPS_ESTABLISHED, TCPS_CLOSE_WAIT, TCPS_LAST_ACK, TCPS_FIN_WAIT_1, TCPS_FIN_WAIT_2,
	TCPS_CLOSING, TCPS_TIME_WAIT,
};
#define N_STATES ((int)array_size(states))

static enum tcp_state begin(struct conn *c, int i)
{
	tbed_wrap = i / N_STATES;
	in_state(c, states[i % N_STATES]);
	return c->state;
}

static void expect_state(const struct conn *c, enum tcp_state state)
{
	ck_assert_uint_eq(tcp_conn(c->b->s)->state, state);
}

/* ACK with our next and the peer's next number. */
static void expect_ack(const struct conn *c)
{
	/* in FIN_WAIT_1 and CLOSING our FIN is out, and counts */
	tbed_expect_rel(c->b, ACK, c->next_ack, c->next_seq, 0);
	tbed_expect_nothing(c->b);
}

/* What has only left TIME_WAIT is still the program's until it closes. */
static void expect_end(const struct conn *c, int error)
{
	struct net_seg seg;

	if (error) {
		ck_assert_int_eq(net_error(c->b->s), error);
		ck_assert_uint_eq(tbed_events(c->b, c->b->s) & NET_FAILED, NET_FAILED);
	}
	expect_state(c, TCPS_CLOSED);
	ck_assert_uint_eq(c->b->stack->tcp.flow.n, 0);
	if (tcp_conn(c->b->s)->fin_rcvd) { /* the end that had come stays the end */
		ck_assert_int_eq(net_recv(c->b->s, &seg, NULL), 0);
		ck_assert_uint_eq(seg.len, 0);
	} else {
		ck_assert_int_eq(net_recv(c->b->s, &seg, NULL), error);
		ck_assert_int_eq(net_recv(c->b->s, &seg, NULL), error);
	}
}

/* ---- first: sequence numbers */

START_TEST(old_data)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, ACK, 1, c.next_ack, 10);
	expect_ack(&c);
	expect_state(&c, c.state);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_OUT_OF_WINDOW), 1);
	tbed_free(c.b);
}
END_TEST

START_TEST(beyond_the_window)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, ACK, c.next_seq + 2 * WND, c.next_ack, 10);
	expect_ack(&c);
	expect_state(&c, c.state);
	tbed_free(c.b);
}
END_TEST

/* RFC 9293 3.10.7.4, the table: to the byte, at either edge. */
static const struct edge {
	bool right;
	int32_t off;		/* from that edge */
	uint32_t len;
	bool acceptable;
} edges[] = {
	{ false, -10, 10, false }, { false, -10, 11, true }, { false, -2, 0, false },
	{ false, 0, 0, true }, { false, 0, 1, true },
	{ true, -1, 1, true }, { true, -1, 20, true }, { true, 0, 0, true },
	{ true, 0, 1, false }, { true, 0, 20, false }, { true, 1, 0, false },
};

START_TEST(window_edges)
{
	const struct edge *e = &edges[_i];
	struct conn c;
	uint32_t seq;

	in_state(&c, TCPS_ESTABLISHED);
	seq = c.next_seq + (e->right ? tcp_conn(c.b->s)->rcv_edge - tcp_conn(c.b->s)->rcv_nxt : 0);
	tbed_rel(c.b, ACK, seq + (uint32_t)e->off, c.next_ack, e->len);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_OUT_OF_WINDOW), !e->acceptable);
	if (e->len || !e->acceptable)
		tbed_expect(c.b, ACK);
	tbed_expect_nothing(c.b);
	tbed_free(c.b);
}
END_TEST

/* Empty ones are answered twice a second at most. */
START_TEST(empty_outside)
{
	struct conn c;

	if (begin(&c, _i) != TCPS_TIME_WAIT) {
		for (int i = 0; i < 3; i++)
			tbed_rel(c.b, ACK, c.next_seq - 2, c.next_ack, 0);
		expect_ack(&c);
		tbed_pass(c.b, 550 * MS);
		tbed_forget(c.b); /* our FIN again */
		tbed_rel(c.b, ACK, c.next_seq - 2, c.next_ack, 0);
		expect_ack(&c);
	}
	tbed_free(c.b);
}
END_TEST

/* ---- second: RST (RFC 5961 3.2, RFC 1337) */

START_TEST(rst_exact)
{
	struct conn c;
	bool waits = begin(&c, _i) == TCPS_TIME_WAIT;

	tbed_rel(c.b, RST, c.next_seq, 0, 0);
	tbed_expect_nothing(c.b);
	if (waits)
		ck_assert_uint_eq(c.b->stack->tcp.waits.flow.n, 1);
	else
		expect_end(&c, ECONNRESET);
	tbed_free(c.b);
}
END_TEST

START_TEST(rst_in_the_window)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, RST, c.next_seq + 1, 0, 0);
	if (c.state == TCPS_TIME_WAIT)
		tbed_expect_nothing(c.b);
	else
		expect_ack(&c);
	expect_state(&c, c.state);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_RST_BAD), 1);
	tbed_free(c.b);
}
END_TEST

static bool has_fin(const struct conn *c)
{
	return c->next_seq != 1 + GOT;
}

START_TEST(rst_outside)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, RST, c.next_seq - (has_fin(&c) ? 2 : 1), 0, 0);
	tbed_rel(c.b, RST | ACK, c.next_seq + 2 * WND, c.next_ack, 0);
	tbed_expect_nothing(c.b);
	expect_state(&c, c.state);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_RST_BAD), 2);
	tbed_free(c.b);
}
END_TEST

/* With the number of the FIN: it is asked, once, and believed with the right number. */
START_TEST(rst_of_the_fin)
{
	enum tcp_state state;
	struct conn c;

	state = begin(&c, _i);
	tbed_rel(c.b, RST, c.next_seq - 1, 0, 0);
	if (has_fin(&c) && state != TCPS_TIME_WAIT)
		expect_ack(&c);
	tbed_rel(c.b, RST, c.next_seq - 1, 0, 0);
	tbed_expect_nothing(c.b);
	expect_state(&c, state);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_RST_BAD), 2);
	tbed_rel(c.b, RST, c.next_seq, 0, 0);
	tbed_expect_nothing(c.b);
	if (state != TCPS_TIME_WAIT)
		expect_end(&c, ECONNRESET);
	tbed_free(c.b);
}
END_TEST

/* ---- fourth: SYN */

START_TEST(syn_in_the_window)
{
	struct conn c;

	begin(&c, _i);
	if (c.state != TCPS_TIME_WAIT) {
		tbed_rel(c.b, SYN, c.next_seq, 0, 0);
		expect_ack(&c);
		tbed_rel(c.b, SYN | ACK, c.next_seq + 5, c.next_ack, 3);
		expect_ack(&c);
		expect_state(&c, c.state);
	}
	tbed_free(c.b);
}
END_TEST

/* The very SYN that it began with, late: an ACK, and no SYN,ACK once more. */
START_TEST(syn_again)
{
	struct tbed *b = _i ? tbed_accepted("", NULL) : tbed_connected("", NULL);

	tbed_rel(b, SYN, 0, 0, 0);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(tbed_counted(b, TCP_OUT_OF_WINDOW), 1);
	ck_assert_uint_eq(tcp_conn(b->s)->state, TCPS_ESTABLISHED);
	tbed_free(b);
}
END_TEST

START_TEST(syn_outside)
{
	struct conn c;

	begin(&c, _i);
	c.b->tsval -= 100; /* older than all: TIME_WAIT takes no new connection of it */
	tbed_rel(c.b, SYN, 0, 0, 0);
	expect_ack(&c);
	expect_state(&c, c.state);
	tbed_free(c.b);
}
END_TEST

/* ---- fifth: ACK */

START_TEST(no_ack)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, 0, c.next_seq, 0, 10);
	if (c.state != TCPS_TIME_WAIT)
		tbed_expect_nothing(c.b);
	expect_state(&c, c.state);
	ck_assert_uint_eq(net_bytes_readable(c.b->s), 0);
	tbed_free(c.b);
}
END_TEST

START_TEST(ack_of_the_unsent)
{
	struct conn c;

	begin(&c, _i);
	if (c.state != TCPS_TIME_WAIT) {
		tbed_rel(c.b, ACK, c.next_seq, c.next_ack + 1, 0);
		expect_ack(&c);
		tbed_rel(c.b, ACK, c.next_seq, c.next_ack - 70000, 5); /* RFC 5961 5.2 */
		expect_ack(&c);
		expect_state(&c, c.state);
		ck_assert_uint_eq(tbed_counted(c.b, TCP_ACK_BAD), 2);
	}
	tbed_free(c.b);
}
END_TEST

START_TEST(old_ack)
{
	struct conn c;

	begin(&c, _i);
	if (c.state != TCPS_TIME_WAIT) {
		tbed_rel(c.b, ACK, c.next_seq, 1, 0);
		tbed_expect_nothing(c.b);
		expect_state(&c, c.state);
	}
	tbed_free(c.b);
}
END_TEST

/* RFC 5961 5.2: to the number. */
START_TEST(old_ack_edges)
{
	struct conn c;
	uint32_t most;

	in_state(&c, TCPS_ESTABLISHED);
	most = tcp_conn(c.b->s)->snd_wnd_max;
	tbed_rel(c.b, ACK, c.next_seq, c.next_ack - most - (uint32_t)_i, 0);
	if (_i)
		tbed_expect(c.b, ACK);
	tbed_expect_nothing(c.b);
	ck_assert_uint_eq(tbed_counted(c.b, TCP_ACK_BAD), _i);
	tbed_free(c.b);
}
END_TEST

/* Of two that probe each other neither knows whether its byte was taken: what an old
 * one acknowledges counts, that of anything else from before the window does not. */
static const struct old_probe {
	uint32_t before, len;
	uint8_t flags;
	bool counts;
} old_probes[] = {
	{ 1, 0, ACK, true }, { 1, 1, ACK, true }, { 1, 1, ACK | PSH, true },
	{ 2, 0, ACK, false }, { 2, 1, ACK, false }, { 2, 2, ACK, false }, { 1, 0, 0, false },
	{ 1, 0, ACK | RST, false }, { 1, 0, ACK | SYN, false },
};

START_TEST(old_probe)
{
	const struct old_probe *o = &old_probes[_i];
	struct conn c;

	in_state(&c, TCPS_ESTABLISHED);
	tbed_send(c.b, SENT, 20);
	tbed_forget(c.b);
	tbed_rel(c.b, o->flags, c.next_seq - o->before, c.next_ack + 20, o->len);
	ck_assert_uint_eq(net_bytes_unacked(c.b->s), o->counts ? 0 : 20);
	expect_state(&c, TCPS_ESTABLISHED);
	tbed_free(c.b);
}
END_TEST

/* RFC 9293 3.10.7.4: SND.WL1 and WL2; the later in the peer's data is the newer. */
START_TEST(window_of_the_latest)
{
	struct conn c;
	uint32_t later;

	in_state(&c, TCPS_ESTABLISHED);
	c.b->wnd = 100;
	tbed_rel(c.b, ACK, c.next_seq + 10, c.next_ack, 10);
	later = tcp_conn(c.b->s)->snd_wnd;
	c.b->wnd = 200;
	tbed_rel(c.b, ACK, c.next_seq, c.next_ack, 10);
	ck_assert_uint_eq(tcp_conn(c.b->s)->snd_wnd, later);
	tbed_rel(c.b, ACK, c.next_seq + 20, c.next_ack, 0);
	ck_assert_uint_eq(tcp_conn(c.b->s)->snd_wnd, 2 * later);
	tbed_free(c.b);
}
END_TEST

START_TEST(ack_of_all)
{
	struct conn c;

	begin(&c, _i);
	tbed_rel(c.b, ACK, c.next_seq, c.next_ack, 0);
	tbed_expect_nothing(c.b);
	switch (c.state) {
	case TCPS_FIN_WAIT_1:
		expect_state(&c, TCPS_FIN_WAIT_2);
		ck_assert_uint_eq(tbed_events(c.b, c.b->s) & NET_ACKED, NET_ACKED);
		break;
	case TCPS_CLOSING:
		expect_state(&c, TCPS_TIME_WAIT);
		ck_assert_uint_eq(c.b->stack->tcp.waits.flow.n, 1);
		break;
	case TCPS_LAST_ACK:
		expect_end(&c, 0);
		break;
	case TCPS_ESTABLISHED:
	case TCPS_CLOSE_WAIT:
	case TCPS_FIN_WAIT_2:
	case TCPS_TIME_WAIT:
	case TCPS_SYN_SENT:
	case TCPS_SYN_RECEIVED:
	case TCPS_CLOSED:
	case TCPS_LISTEN:
		expect_state(&c, c.state);
	}
	tbed_free(c.b);
}
END_TEST

/* ---- seventh: text; eighth: FIN */

static bool may_receive(enum tcp_state state)
{
	return state == TCPS_ESTABLISHED || state == TCPS_FIN_WAIT_1 ||
	       state == TCPS_FIN_WAIT_2;
}

START_TEST(text)
{
	struct conn c;
	int err;

	begin(&c, _i);
	if (c.state != TCPS_TIME_WAIT) {
		tbed_rel(c.b, ACK, c.next_seq, c.next_ack - 1, 40);
		if (may_receive(c.state)) {
			c.next_seq += 40;
			expect_ack(&c);
			ck_assert_uint_eq(tbed_read(c.b, c.b->s, GOT, &err), 40);
		} else {
			ck_assert_uint_eq(net_bytes_readable(c.b->s), 0);
		}
		expect_state(&c, c.state);
	}
	tbed_free(c.b);
}
END_TEST

/* With text in front, whose end it is; our FIN is acknowledged in every second. */
START_TEST(fin)
{
	static const struct {
		enum tcp_state old, new, new_acked;
	} moves[] = {
		{ TCPS_ESTABLISHED, TCPS_CLOSE_WAIT, TCPS_CLOSE_WAIT },
		{ TCPS_FIN_WAIT_1, TCPS_CLOSING, TCPS_TIME_WAIT },
		{ TCPS_FIN_WAIT_2, TCPS_TIME_WAIT, TCPS_TIME_WAIT },
	};
	struct net_seg seg;
	struct conn c;
	int err;

	for (int acked = 0; acked < 2; acked++) {
		begin(&c, _i);
		for (size_t i = 0; i < array_size(moves); i++) {
			if (moves[i].old != c.state)
				continue;
			tbed_rel(c.b, FIN | ACK, c.next_seq, c.next_ack - !acked, 40);
			c.next_seq += 41;
			expect_ack(&c);
			expect_state(&c, acked ? moves[i].new_acked : moves[i].new);
			ck_assert_uint_eq(tbed_read(c.b, c.b->s, GOT, &err), 40);
			ck_assert_int_eq(net_recv(c.b->s, &seg, NULL), 0);
			ck_assert_uint_eq(seg.len, 0);
		}
		tbed_free(c.b);
	}
}
END_TEST

/* A FIN again is answered with the ACK again, and starts TIME_WAIT anew. */
START_TEST(fin_again)
{
	struct conn c;

	begin(&c, _i);
	if (c.state == TCPS_TIME_WAIT || c.state == TCPS_CLOSE_WAIT) {
		tbed_pass(c.b, 50 * SECOND);
		tbed_rel(c.b, FIN | ACK, c.next_seq - 1, c.next_ack, 0);
		expect_ack(&c);
		tbed_pass(c.b, 50 * SECOND);
		expect_state(&c, c.state);
		ck_assert_uint_eq(c.b->stack->tcp.waits.flow.n, c.state == TCPS_TIME_WAIT);
		tbed_pass(c.b, 11 * SECOND);
		ck_assert_uint_eq(c.b->stack->tcp.waits.flow.n, 0);
	}
	tbed_free(c.b);
}
END_TEST

/* What is in flight when our end is closed is sent again until it is acknowledged. */
START_TEST(fin_is_sent_again)
{
	struct conn c;

	begin(&c, _i);
	if (c.state == TCPS_FIN_WAIT_1 || c.state == TCPS_CLOSING || c.state == TCPS_LAST_ACK) {
		tbed_pass(c.b, 250 * MS);
		tbed_expect_rel(c.b, FIN | ACK, c.next_ack - 1, c.next_seq, 0);
		tbed_expect_nothing(c.b);
		tbed_rel(c.b, ACK, c.next_seq, c.next_ack, 0);
		ck_assert_uint_eq(net_n_lingering(c.b->stack), 0);
	}
	tbed_pass(c.b, 2 * SECOND);
	tbed_expect_nothing(c.b);
	tbed_free(c.b);
}
END_TEST

/* ---- our calls in every state */

START_TEST(calls)
{
	struct net_seg seg = tbed_seg(SENT, 5);
	struct conn c;
	int err;

	begin(&c, _i);
	err = net_send(c.b->s, &seg, 1, NULL);
	net_flush(c.b->stack);
	if (c.state == TCPS_ESTABLISHED || c.state == TCPS_CLOSE_WAIT) {
		ck_assert_int_eq(err, 0);
		tbed_expect_rel(c.b, ACK, c.next_ack, c.next_seq, 5);
		ck_assert_int_eq(net_shutdown(c.b->s, false, true), 0);
		net_flush(c.b->stack);
		tbed_expect_rel(c.b, FIN | ACK, c.next_ack + 5, c.next_seq, 0);
		expect_state(&c, c.state == TCPS_ESTABLISHED ? TCPS_FIN_WAIT_1 : TCPS_LAST_ACK);
	} else {
		ck_assert_int_eq(err, EPIPE);
		tbed_put(&seg);
	}
	tbed_expect_nothing(c.b);
	net_abort(c.b->s);
	tbed_flush(c.b);
	if (c.state != TCPS_TIME_WAIT)
		tbed_expect(c.b, RST | ACK);
	tbed_expect_nothing(c.b);
	ck_assert_uint_eq(c.b->stack->tcp.conns.n_used, 0);
	tbed_free(c.b);
}
END_TEST

Suite *tcp_states_suite(void)
{
	const TTest *all[] = {
		old_data, beyond_the_window, empty_outside, rst_exact, rst_in_the_window,
		rst_outside, rst_of_the_fin, syn_in_the_window, syn_outside, no_ack, ack_of_the_unsent, old_ack,
		ack_of_all, text, fin, fin_again, fin_is_sent_again, calls,
	};
	Suite *s = suite_create("tcp_states");
	TCase *tc = tcase_create("states");

	for (size_t i = 0; i < array_size(all); i++)
		tcase_add_loop_test(tc, all[i], 0, N_STATES * TBED_SEQS);
	tcase_add_loop_test(tc, window_edges, 0, (int)array_size(edges));
	tcase_add_loop_test(tc, syn_again, 0, 2);
	tcase_add_loop_test(tc, old_ack_edges, 0, 2);
	tcase_add_loop_test(tc, old_probe, 0, (int)array_size(old_probes));
	tcase_add_test(tc, window_of_the_latest);
	suite_add_tcase(s, tc);
	return s;
}
