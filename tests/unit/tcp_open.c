/* How connections begin, or do not: handshakes, options, backlog, resets. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "net/tcp_conn.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

static uint8_t state_of(const struct net_sock *s)
{
	return tcp_conn(s)->state;
}

START_TEST(connect_and_talk)
{
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	ck_assert_int_eq(tbed_send(b, 0, 100), 0);
	tbed_expect_rel(b, ACK, 1, 1, 100);
	tbed_rel(b, ACK, 1, 101, 50);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_READABLE);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 50);
	ck_assert_int_eq(err, EAGAIN);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 0);
	tbed_free(b);
}
END_TEST

START_TEST(accept_and_talk)
{
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_accepted("", NULL);
	tbed_rel(b, ACK, 1, 1, 50);
	tbed_expect_rel(b, ACK, 1, 51, 0);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 50);
	ck_assert_int_eq(tbed_send(b, 0, 100), 0);
	tbed_expect_rel(b, ACK, 1, 51, 100);
	tbed_free(b);
}
END_TEST

/* ---- options */

static const struct {
	const char *config;
	uint32_t len;
	uint8_t first[4];	/* of mss, ts, wscale: what the option words are */
	bool ts, wscale;
	uint16_t mss;
	uint8_t shift;
} syns[] = {
	{ "", 20, { 2, 4, 1460 >> 8, 1460 & 255 }, true, true, 1460, 7 },
	{ "timestamps=0", 8, { 2, 4, 1460 >> 8, 1460 & 255 }, false, true, 1460, 7 },
	{ "wscale=0", 16, { 2, 4, 1460 >> 8, 1460 & 255 }, true, false, 1460, 0 },
	{ "timestamps=0 wscale=0 mss=1000", 4, { 2, 4, 1000 >> 8, 1000 & 255 }, false, false, 1000,
	  0 },
	{ "wscale=3 mtu=576", 20, { 2, 4, 536 >> 8, 536 & 255 }, true, true, 536, 3 },
	{ "rcvbuf=65535", 20, { 2, 4, 1460 >> 8, 1460 & 255 }, true, true, 1460, 0 },
	{ "rcvbuf=1073741824", 20, { 2, 4, 1460 >> 8, 1460 & 255 }, true, true, 1460, 14 },
};

/* mss, two nops, timestamps, nop, wscale: the order that Linux has without SACK. */
START_TEST(syn_options)
{
	struct net_addr peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_new(syns[_i].config);
	struct tseg syn;
	uint32_t at = 4;

	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->s), 0);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	syn = tbed_expect(b, SYN);
	ck_assert_uint_eq(syn.opts_len, syns[_i].len);
	ck_assert_mem_eq(syn.opts, syns[_i].first, 4);
	ck_assert_uint_eq(syn.has_ts, syns[_i].ts);
	ck_assert(!syn.has_sack_ok);
	if (syn.has_ts) {
		ck_assert_mem_eq(syn.opts + at, ((uint8_t[]){ 1, 1, 8, 10 }), 4);
		ck_assert_uint_eq(syn.tsecr, 0);
		at += 12;
	}
	ck_assert_uint_eq(syn.has_wscale, syns[_i].wscale);
	if (syn.has_wscale) {
		uint8_t wscale[4] = { 1, 3, 3, syns[_i].shift };

		ck_assert_mem_eq(syn.opts + at, wscale, 4);
	}
	ck_assert_uint_eq(syn.mss, syns[_i].mss);
	tbed_free(b);
}
END_TEST

static const struct {
	const char *config;
	struct tbed_opts peer;
	uint32_t mss;
} pairs[] = {
	{ "", { .mss = 1460 }, 1448 },
	{ "", { .no_ts = true }, 1460 },
	{ "timestamps=0", { .no_ts = true }, 1460 },
	{ "", { .no_wscale = true, .mss = 600 }, 588 },
	{ "wscale=0", { .no_wscale = true, .no_ts = true, .mss = 9000 }, 1460 },
	{ "mss=700", { .no_ts = true }, 700 },
	{ "", { .no_ts = true, .mss = 1 }, 48 },
};

/* A full segment goes out as long as both allow, by whoever opened. */
START_TEST(option_pairs)
{
	for (int accepted = 0; accepted < 2; accepted++) {
		struct tbed *b = accepted ?
			tbed_accepted(pairs[_i].config, &pairs[_i].peer) :
			tbed_connected(pairs[_i].config, &pairs[_i].peer);
		int64_t mss;

		ck_assert_int_eq(tbed_send(b, 0, 5000), 0);
		tbed_expect_rel(b, ACK, 1, 1, pairs[_i].mss);
		ck_assert_int_eq(net_get_opt(b->s, NET_OPT_MAXSEG, &mss), 0);
		ck_assert_int_eq(mss, pairs[_i].mss);
		tbed_free(b);
	}
}
END_TEST

/* RFC 7323: the SYN's window is not scaled, all others are, if both said so. */
START_TEST(window_scale)
{
	struct tbed_opts o = { .wscale = 2, .wnd = 1000, .no_wscale = _i };
	struct tbed *b = tbed_connected("", &o);

	ck_assert_int_eq(tbed_send(b, 0, 8000), 0);
	tbed_expect_rel(b, ACK, 1, 1, 1000);
	tbed_expect_nothing(b);
	tbed_rel(b, ACK, 1, 1001, 0);
	tbed_expect_rel(b, ACK, 1001, 1, _i ? 1000 : 1448);
	tbed_free(b);
}
END_TEST

/* An MSS default of 536 (RFC 9293 MUST-15), options that lie about their length. */
START_TEST(no_mss_option)
{
	struct tbed *b = tbed_new("");
	struct net_addr mine = tbed_addr(1, MINE);

	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->listener), 0);
	ck_assert_int_eq(net_bind(b->listener, &mine), 0);
	ck_assert_int_eq(net_listen(b->listener, 5), 0);
	b->irs = 77;
	tbed_give(b, .flags = SYN, .seq = b->irs);
	b->iss = tbed_expect(b, SYN | ACK).seq;
	tbed_rel(b, ACK, 1, 1, 0);
	ck_assert_int_eq(net_accept(b->listener, NULL, &b->s, NULL), 0);
	ck_assert_int_eq(tbed_send(b, 0, 2000), 0);
	tbed_expect_rel(b, ACK, 1, 1, 536);
	tbed_free(b);
}
END_TEST

/* ---- opening */

START_TEST(simultaneous_open)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b;
	struct tseg syn;

	tbed_wrap = _i & 1;
	b = tbed_new("timestamps=0");
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->s), 0);
	ck_assert_int_eq(net_bind(b->s, &mine), 0);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	b->iss = tbed_expect(b, SYN).seq;
	b->irs = 9000;
	tbed_give(b, .flags = SYN, .seq = b->irs, .has_mss = true, .mss = 1460);
	syn = tbed_expect(b, SYN | ACK);
	ck_assert_uint_eq(syn.seq, b->iss);
	ck_assert_uint_eq(syn.ack, b->irs + 1);
	ck_assert_uint_eq(state_of(b->s), TCPS_SYN_RECEIVED);
	ck_assert_uint_eq(tbed_events(b, b->s), 0);
	if (_i < 2)
		tbed_rel(b, SYN | ACK, 0, 1, 0);
	else
		tbed_rel(b, ACK, 1, 1, 0);
	ck_assert_uint_eq(state_of(b->s), TCPS_ESTABLISHED);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_CONNECTED, NET_CONNECTED);
	ck_assert_int_eq(tbed_send(b, 0, 10), 0);
	tbed_expect_rel(b, ACK, 1, 1, 10);
	tbed_free(b);
}
END_TEST

static struct tbed *connecting(const char *config)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_new(config);

	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->s), 0);
	ck_assert_int_eq(net_bind(b->s, &mine), 0);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	b->iss = tbed_expect(b, SYN).seq;
	return b;
}

/* RFC 9293 3.10.7.3: what a SYN may be answered with, and then the socket is as new. */
START_TEST(refused)
{
	struct net_addr peer = tbed_addr(2, PEERS);
	struct tbed *b;
	struct tseg rst;

	tbed_wrap = _i;
	b = connecting("");
	tbed_give(b, .flags = RST, .seq = 5);
	tbed_give(b, .flags = RST | ACK, .seq = 5, .ack = b->iss);
	tbed_give(b, .flags = RST | ACK, .seq = 5, .ack = b->iss + 2);
	tbed_give(b, .flags = ACK, .seq = 5, .ack = b->iss + 1);
	tbed_expect_nothing(b);
	tbed_give(b, .flags = SYN | ACK, .seq = 5, .ack = b->iss + 2);
	rst = tbed_expect(b, RST);
	ck_assert_uint_eq(rst.seq, b->iss + 2);
	ck_assert_uint_eq(state_of(b->s), TCPS_SYN_SENT);
	tbed_give(b, .flags = RST | ACK, .seq = 0, .ack = b->iss + 1);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_FAILED);
	ck_assert_int_eq(net_error(b->s), ECONNREFUSED);
	ck_assert_int_eq(net_error(b->s), 0);
	tbed_expect_nothing(b);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	tbed_expect(b, SYN);
	net_connect_cancel(b->s);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	tbed_expect(b, SYN);
	tbed_free(b);
}
END_TEST

/* What is taken back has not failed, even if it just has. */
START_TEST(failed_and_cancelled)
{
	struct tbed *b = connecting("");

	tbed_give(b, .flags = RST | ACK, .seq = 0, .ack = b->iss + 1);
	net_connect_cancel(b->s);
	ck_assert_uint_eq(tbed_events(b, b->s), 0);
	ck_assert_int_eq(net_error(b->s), 0);
	tbed_free(b);
}
END_TEST

/* 1 s, doubled each time; an ICMP error on the way says why in the end. */
START_TEST(syn_times_out)
{
	struct tbed *b = connecting("syn_retries=3");
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	uint32_t second = 1;

	for (int i = 0; i < 3; i++, second *= 2) {
		tbed_pass(b, second * SECOND - 10 * MS);
		tbed_expect_nothing(b);
		tbed_pass(b, 11 * MS);
		ck_assert_uint_eq(tbed_expect(b, SYN).seq, b->iss);
	}
	tbed_pass(b, second * SECOND + MS);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_FAILED);
	ck_assert_int_eq(net_error(b->s), ETIMEDOUT);
	ck_assert_uint_eq(tbed_counted(b, TCP_DROPPED), 1);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	b->iss = tbed_expect(b, SYN).seq;
	net_tcp_unreachable(b->stack, &mine, &peer, b->iss + 1, EHOSTUNREACH, false);
	ck_assert_uint_eq(tbed_events(b, b->s), 0);
	net_tcp_unreachable(b->stack, &mine, &peer, b->iss, EHOSTUNREACH, false);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_FAILED);
	ck_assert_int_eq(net_error(b->s), EHOSTUNREACH);
	tbed_free(b);
}
END_TEST

/* After the loss of a SYN: one segment (RFC 5681 3.1), and an RTO of 3 s without an RTT
 * (RFC 6298 5.7). */
START_TEST(syn_was_lost)
{
	struct tbed *b = connecting("timestamps=0");

	tbed_pass(b, 1100 * MS);
	tbed_expect(b, SYN);
	b->irs = 50;
	tbed_give(b, .flags = SYN | ACK, .seq = 50, .ack = b->iss + 1, .has_mss = true, .mss = 1000);
	tbed_expect(b, ACK);
	ck_assert_int_eq(tbed_send(b, 0, 5000), 0);
	tbed_expect_rel(b, ACK, 1, 1, 1000);
	tbed_expect_nothing(b);
	tbed_pass(b, 2900 * MS);
	tbed_expect_nothing(b);
	tbed_pass(b, 200 * MS);
	tbed_expect_rel(b, ACK, 1, 1, 1000);
	tbed_free(b);
}
END_TEST

/* ---- listeners */

static struct tbed *listening(const char *config, int backlog)
{
	struct net_addr mine = tbed_addr(1, MINE);
	struct tbed *b = tbed_new(config);

	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->listener), 0);
	ck_assert_int_eq(net_bind(b->listener, &mine), 0);
	ck_assert_int_eq(net_listen(b->listener, backlog), 0);
	return b;
}

static uint32_t give_syn(struct tbed *b, uint16_t port)
{
	struct tseg seg;

	tbed_give(b, .flags = SYN, .seq = 100, .sport = port);
	return tbed_sent(b, &seg) ? seg.seq : 0;
}

START_TEST(backlog)
{
	struct tbed *b = listening("", 2);
	struct net_sock *s;
	uint32_t iss[4];

	for (uint16_t i = 0; i < 3; i++) {
		iss[i] = give_syn(b, 3000 + i);
		ck_assert_uint_ne(iss[i], 0); /* half open: not waiting for accept yet */
	}
	for (uint16_t i = 0; i < 2; i++)
		tbed_give(b, .flags = ACK, .seq = 101, .ack = iss[i] + 1, .sport = 3000 + i);
	ck_assert_uint_eq(tbed_counted(b, TCP_PASSIVE_OPENS), 2);
	/* full: neither the third's ACK nor a SYN */
	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss[2] + 1, .sport = 3002);
	ck_assert_uint_eq(tbed_counted(b, TCP_BACKLOG_FULL), 1);
	ck_assert_uint_eq(give_syn(b, 3003), 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_BACKLOG_FULL), 2);
	ck_assert_int_eq(net_accept(b->listener, NULL, &s, NULL), 0);
	ck_assert_uint_eq(s->peer.port, __builtin_bswap16(3000));
	/* with room again the third comes in by its next segment */
	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss[2] + 1, .len = 5, .sport = 3002);
	ck_assert_uint_eq(tbed_counted(b, TCP_PASSIVE_OPENS), 3);
	ck_assert_int_eq(net_accept(b->listener, NULL, &s, NULL), 0);
	ck_assert_int_eq(net_accept(b->listener, NULL, &s, NULL), 0);
	ck_assert_uint_eq(net_bytes_readable(s), 5);
	ck_assert_uint_eq(tbed_events(b, s), NET_READABLE);
	ck_assert_int_eq(net_accept(b->listener, NULL, &s, NULL), EAGAIN);
	tbed_free(b);
}
END_TEST

START_TEST(half_open_are_bounded)
{
	struct tbed *b = listening("half_open=3 synack_retries=1", 10);

	for (uint16_t i = 0; i < 3; i++)
		ck_assert_uint_ne(give_syn(b, 3000 + i), 0);
	ck_assert_uint_eq(give_syn(b, 3003), 0);
	ck_assert_uint_eq(tbed_counted(b, TCP_BACKLOG_FULL), 1);
	ck_assert_uint_eq(b->stack->tcp.n_half, 3);
	tbed_pass(b, 10 * SECOND); /* given up after one more SYN,ACK each */
	for (int i = 0; i < 3; i++)
		tbed_expect(b, SYN | ACK);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(b->stack->tcp.n_half, 0);
	ck_assert_uint_ne(give_syn(b, 3003), 0);
	tbed_free(b);
}
END_TEST

/* In SYN-RECEIVED: the SYN again, its RST, a wrong ACK, another SYN. */
START_TEST(syn_received)
{
	struct tbed *b = listening("", 10);
	uint32_t iss = give_syn(b, PEERS);
	struct tseg seg;

	tbed_give(b, .flags = SYN, .seq = 100);
	seg = tbed_expect(b, SYN | ACK);
	ck_assert_uint_eq(seg.seq, iss);
	tbed_give(b, .flags = ACK, .seq = 100, .ack = iss + 1); /* before the window */
	tbed_expect(b, ACK);
	ck_assert_uint_eq(b->stack->tcp.n_half, 1);
	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss + 2);
	seg = tbed_expect(b, RST);
	ck_assert_uint_eq(seg.seq, iss + 2);
	ck_assert_uint_eq(b->stack->tcp.n_half, 1);
	tbed_give(b, .flags = RST, .seq = 102);	/* in the window only: a challenge */
	tbed_expect(b, ACK);
	tbed_give(b, .flags = RST, .seq = 101);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(b->stack->tcp.n_half, 0);
	give_syn(b, PEERS);
	tbed_give(b, .flags = SYN, .seq = 200);	/* back to LISTEN */
	tbed_expect_nothing(b);
	ck_assert_uint_eq(b->stack->tcp.n_half, 0);
	ck_assert_uint_eq(tbed_events(b, b->listener), 0);
	tbed_free(b);
}
END_TEST

START_TEST(listener_closes)
{
	struct tbed *b = listening("", 10);
	uint32_t iss = give_syn(b, 3000);

	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss + 1, .sport = 3000);
	give_syn(b, 3001);
	net_close(b->listener, false);
	tbed_flush(b);
	for (int i = 0; i < 2; i++)
		tbed_expect(b, RST | ACK);
	tbed_expect_nothing(b);
	ck_assert_uint_eq(b->stack->tcp.flow.n, 0);
	ck_assert_uint_eq(b->stack->tcp.conns.n_used, 0);
	tbed_give(b, .flags = SYN, .seq = 1);
	tbed_expect(b, RST | ACK);
	tbed_free(b);
}
END_TEST

/* One that fails in the queue is given out all the same, with what it had. */
START_TEST(fails_before_accept)
{
	struct tbed *b = listening("", 10);
	uint32_t iss = give_syn(b, PEERS);
	int err;

	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss + 1, .len = 7);
	tbed_give(b, .flags = RST, .seq = 108);
	ck_assert_int_eq(net_accept(b->listener, NULL, &b->s, NULL), 0);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_READABLE | NET_FAILED);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 7);
	ck_assert_int_eq(err, ECONNRESET);
	net_close(b->s, false);
	tbed_free(b);
}
END_TEST

/* In the queue it is a connection like others. */
START_TEST(syn_before_accept)
{
	struct tbed *b = listening("", 1);
	uint32_t iss = give_syn(b, PEERS);

	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss + 1);
	tbed_give(b, .flags = SYN, .seq = 105);
	tbed_expect(b, ACK);
	ck_assert_int_eq(net_accept(b->listener, NULL, &b->s, NULL), 0);
	tbed_free(b);
}
END_TEST

/* One of which nothing had come makes room in the backlog for another. */
START_TEST(fails_with_nothing)
{
	struct tbed *b = listening("", 1);
	uint32_t iss = give_syn(b, PEERS);

	tbed_give(b, .flags = ACK, .seq = 101, .ack = iss + 1);
	tbed_give(b, .flags = RST, .seq = 101);
	ck_assert_int_eq(net_accept(b->listener, NULL, &b->s, NULL), EAGAIN);
	iss = give_syn(b, PEERS + 1);
	ck_assert_uint_ne(iss, 0);
	tbed_free(b);
}
END_TEST

/* ---- RFC 9293 3.10.7.1 and .2 */

static const struct {
	bool listener;
	struct tseg in;
	bool answered;
	struct tseg out;
} strays[] = {
	{ false, { .flags = SYN, .seq = 10 }, true, { .flags = RST | ACK, .ack = 11 } },
	{ false, { .flags = SYN, .seq = UINT32_MAX, .len = 2 }, true,
	  { .flags = RST | ACK, .ack = 2 } },
	{ false, { .flags = 0, .seq = 10, .len = 4 }, true, { .flags = RST | ACK, .ack = 14 } },
	{ false, { .flags = FIN, .seq = 10, .len = 4 }, true, { .flags = RST | ACK, .ack = 15 } },
	{ false, { .flags = ACK, .seq = 10, .ack = 99, .len = 4 }, true,
	  { .flags = RST, .seq = 99 } },
	{ false, { .flags = SYN | ACK, .seq = 10, .ack = 0 }, true, { .flags = RST, .seq = 0 } },
	{ false, { .flags = RST, .seq = 10 }, false, { .flags = 0 } },
	{ false, { .flags = RST | ACK, .seq = 10, .ack = 5 }, false, { .flags = 0 } },
	{ true, { .flags = ACK, .seq = 10, .ack = 99 }, true, { .flags = RST, .seq = 99 } },
	{ true, { .flags = SYN | ACK, .seq = 10, .ack = 98 }, true, { .flags = RST, .seq = 98 } },
	{ true, { .flags = FIN, .seq = 10 }, false, { .flags = 0 } },
	{ true, { .flags = 0, .seq = 10, .len = 3 }, false, { .flags = 0 } },
	{ true, { .flags = RST, .seq = 10 }, false, { .flags = 0 } },
	{ true, { .flags = RST | SYN, .seq = 10 }, false, { .flags = 0 } },
};

START_TEST(stray_segments)
{
	struct tbed *b = strays[_i].listener ? listening("", 5) : tbed_new("");
	struct tseg seg;

	tbed_in(b, &strays[_i].in);
	if (strays[_i].answered) {
		seg = tbed_expect(b, strays[_i].out.flags);
		ck_assert_uint_eq(seg.seq, strays[_i].out.seq);
		ck_assert_uint_eq(seg.ack, strays[_i].out.ack);
		ck_assert_uint_eq(seg.sport, MINE);
		ck_assert_uint_eq(seg.dport, PEERS);
		ck_assert_uint_eq(tbed_counted(b, TCP_RST_OUT), 1);
	}
	tbed_expect_nothing(b);
	ck_assert_uint_eq(b->stack->tcp.conns.n_used, strays[_i].listener);
	tbed_free(b);
}
END_TEST

/* ---- bad input */

static void give_raw(struct tbed *b, const uint8_t *tcp, uint32_t len)
{
	struct net_seg seg;
	struct net_pkt pkt = { .flags = NET_PKT_L4_GOOD };
	struct net_ip_in ip = { .src = tbed_addr(2, 0).ip, .dst = tbed_addr(1, 0).ip,
				.len = (uint16_t)len };

	b->dev.ops->alloc(&b->dev, len + 1, &seg);
	memcpy(seg.data, tcp, len);
	seg.len = len;
	pkt.seg = seg;
	net_tcp_input(b->stack, &pkt, &ip);
	tbed_flush(b);
}

START_TEST(malformed)
{
	struct tbed *b = listening("", 5);
	uint8_t hdr[60] = { PEERS >> 8, PEERS & 255, MINE >> 8, MINE & 255, 0, 0, 0, 9 };

	hdr[13] = SYN;
	hdr[12] = 5 << 4;
	give_raw(b, hdr, 19);
	hdr[12] = 4 << 4;
	give_raw(b, hdr, 20);
	hdr[12] = 6 << 4;
	give_raw(b, hdr, 20);
	ck_assert_uint_eq(tbed_counted(b, TCP_BAD), 3);
	tbed_give(b, .flags = SYN, .bad_csum = true);
	ck_assert_uint_eq(tbed_counted(b, TCP_BAD_CSUM), 1);
	tbed_expect_nothing(b);
	/* options that lie end the list, and nothing else (RFC 9293 MUST-7) */
	hdr[12] = 15 << 4;
	for (int last = 0; last < 256; last++) {
		for (int i = 20; i < 59; i++)
			hdr[i] = (uint8_t)(last * 7 + i * i);
		hdr[59] = (uint8_t)last;
		hdr[1] = (uint8_t)last;
		give_raw(b, hdr, 60);
	}
	tbed_forget(b);
	tbed_free(b);
}
END_TEST

/* ---- errors of calls */

START_TEST(wrong_calls)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS), other;
	struct tbed *b = tbed_new("");
	struct net_sock *s, *t;
	struct net_seg seg = tbed_seg(0, 10);

	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &s), 0);
	ck_assert_int_eq(net_send(s, &seg, 1, NULL), ENOTCONN);
	ck_assert_int_eq(net_recv(s, &seg, NULL), ENOTCONN);
	ck_assert_int_eq(net_shutdown(s, true, true), ENOTCONN);
	ck_assert_int_eq(net_peer(s, &other), ENOTCONN);
	ck_assert_int_eq(net_accept(s, NULL, &t, NULL), EINVAL);
	ck_assert_int_eq(net_bind(s, &mine), 0);
	ck_assert_int_eq(net_bind(s, &mine), EINVAL);
	ck_assert_int_eq(net_connect(s, &peer), 0);
	ck_assert_int_eq(net_connect(s, &peer), EALREADY);
	ck_assert_int_eq(net_listen(s, 1), EISCONN);
	ck_assert_int_eq(net_send(s, &seg, 1, NULL), ENOTCONN);
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &t), 0);
	ck_assert_int_eq(net_bind(t, &mine), EADDRINUSE);
	ck_assert_int_eq(net_listen(t, 1), 0); /* anywhere */
	ck_assert_int_eq(net_connect(t, &peer), EOPNOTSUPP);
	ck_assert_int_eq(net_accept(t, NULL, &s, NULL), EAGAIN);
	ck_assert_int_eq(net_set_congestion(t, "none such"), ENOENT);
	ck_assert_int_eq(net_set_congestion(t, "newreno"), 0);
	ck_assert_str_eq(net_congestion(t), "reno");
	tbed_put(&seg);
	tbed_free(b);
}
END_TEST

Suite *tcp_open_suite(void)
{
	Suite *s = suite_create("tcp_open");
	TCase *tc = tcase_create("open");

	tcase_add_loop_test(tc, connect_and_talk, 0, TBED_SEQS);
	tcase_add_loop_test(tc, accept_and_talk, 0, TBED_SEQS);
	tcase_add_loop_test(tc, syn_options, 0, (int)array_size(syns));
	tcase_add_loop_test(tc, option_pairs, 0, (int)array_size(pairs));
	tcase_add_loop_test(tc, window_scale, 0, 2);
	tcase_add_test(tc, no_mss_option);
	tcase_add_loop_test(tc, simultaneous_open, 0, 4);
	tcase_add_loop_test(tc, refused, 0, TBED_SEQS);
	tcase_add_test(tc, failed_and_cancelled);
	tcase_add_test(tc, syn_times_out);
	tcase_add_test(tc, syn_was_lost);
	tcase_add_test(tc, backlog);
	tcase_add_test(tc, half_open_are_bounded);
	tcase_add_test(tc, syn_received);
	tcase_add_test(tc, listener_closes);
	tcase_add_test(tc, fails_before_accept);
	tcase_add_test(tc, syn_before_accept);
	tcase_add_test(tc, fails_with_nothing);
	tcase_add_loop_test(tc, stray_segments, 0, (int)array_size(strays));
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, wrong_calls);
	suite_add_tcase(s, tc);
	return s;
}
