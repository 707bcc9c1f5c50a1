/*
 * The client: a closed loop. Every connection has `inflight` slots, each with at
 * most one request under way, and an answer makes its slot send the next.
 *
 * A request's number says whose it is: connection + 1 (14 bits), slot (12 bits),
 * how many the slot has sent (38 bits). A stream's answers come in the order of
 * the requests, that is slot after slot, round and round; a datagram's answer is
 * found by the number it carries.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/clock.h"
#include "apps/fail.h"
#include "apps/histogram.h"
#include "apps/instance.h"
#include "apps/option.h"
#include "apps/rpc.h"
#include "apps/rpc_message.h"
#include "apps/rpc_report.h"

#define BATCH 64
#define TICK_NS UINT64_C(10000000)	/* how often time is looked after */
#define PROGRESS_NS UINT64_C(250000000)
#define CONNECT_TIMEOUT_S 5
#define SILENCE_NS (10 * CLOCK_SECOND)	/* tcp: with not a byte for so long, give up */
#define PATIENCE_NS CLOCK_SECOND		/* the same once interrupted, udp too */

#define CONN_SHIFT 50
#define SLOT_SHIFT 38
#define SLOT_MASK 0xfffu

struct slot {
	uint64_t number;	/* of its last request */
	uint64_t sent_ns;	/* 0: no request under way */
	uint64_t warm;		/* up to this number they do not count */
};

struct conn {
	int qd;
	uint32_t index;
	uint32_t expect;	/* stream: the slot whose answer comes next */
	uint32_t got;		/* stream: bytes of that answer so far */
	struct slot *slots;
};

struct client {
	const struct rpc_options *opt;
	struct conn *conns;
	struct conn **by_qd;	/* [qd - first_qd] */
	int first_qd, last_qd;
	uint64_t sent;
	uint64_t in_flight;
	uint64_t start_ns;
	uint64_t warm_ns;	/* what counts begins then; 0: it has begun */
	uint64_t end_ns;	/* no request after this */
	uint64_t last_ns;	/* the last answer */
	uint64_t heard_ns;	/* the last bytes */
	bool interrupted;	/* nothing more is sent */
	bool given_up;		/* nor waited for */
	uint64_t tick_ns;	/* when to look after time again */
	uint64_t progress_ns;
	struct rpc_result result;
	struct histogram latency;
};

static const char *server_name(const struct client *c)
{
	static char text[32];

	return option_addr_text(&c->opt->addr, text, sizeof(text));
}

static _Noreturn void lost_server(const struct client *c, int err)
{
	fail("%s: %s%s", server_name(c), strerror(err),
	     err == ECONNREFUSED ? " (is a server running there, with the same backend?)" : "");
}

static void send_request(struct client *c, struct conn *conn, struct slot *slot)
{
	demi_sgarray_t sga = demi_sgaalloc(c->opt->size);
	demi_qtoken_t qt;
	int err;

	if (sga.sga_numsegs == 0)
		fail("no memory for a message of %u bytes", c->opt->size);
	rpc_message_fill(sga.sga_segs[0].sgaseg_buf, c->opt->size, ++slot->number);
	slot->sent_ns = clock_ns();
	err = demi_push(&qt, conn->qd, &sga);
	if (err == EMSGSIZE)
		fail("%u bytes are more than a datagram carries here", c->opt->size);
	if (err)
		lost_server(c, err);
	demi_sgafree(&sga);
	c->sent++;
	c->in_flight++;
}

static bool may_send(const struct client *c, uint64_t now)
{
	return (c->sent < c->opt->count || c->warm_ns) && now < c->end_ns;
}

/* Whether the slot's last request was sent when the warm-up was over. */
static bool counts(const struct slot *slot)
{
	return slot->number > slot->warm;
}

static void take_answer(struct client *c, struct conn *conn, struct slot *slot, uint64_t now)
{
	if (counts(slot)) {
		histogram_add(&c->latency, now - slot->sent_ns);
		c->result.requests++;
		c->last_ns = now;
	}
	slot->sent_ns = 0;
	c->in_flight--;
	if (may_send(c, now))
		send_request(c, conn, slot);
}

static _Noreturn void wrong_answer(const struct client *c, const char *what)
{
	fail("%s: wrong answer: %s", server_name(c), what);
}

static void take_stream(struct client *c, struct conn *conn, const uint8_t *bytes, uint32_t len,
			uint64_t now)
{
	while (len > 0) {
		struct slot *slot = &conn->slots[conn->expect];
		uint32_t left = c->opt->size - conn->got;
		uint32_t n = len < left ? len : left;

		if (slot->sent_ns == 0)
			wrong_answer(c, "bytes that nobody asked for");
		if (!rpc_message_check(slot->number, conn->got, bytes, n))
			wrong_answer(c, "its bytes are not those of the request");
		bytes += n;
		len -= n;
		conn->got += n;
		if (conn->got < c->opt->size)
			continue;
		conn->got = 0;
		if (++conn->expect == c->opt->inflight)
			conn->expect = 0;
		take_answer(c, conn, slot, now);
	}
}

static void take_datagram(struct client *c, struct conn *conn, const uint8_t *bytes,
			  uint32_t len, uint64_t now)
{
	struct slot *slot;
	uint64_t number;
	uint32_t at;

	if (len != c->opt->size)
		wrong_answer(c, "not as long as the request");
	memcpy(&number, bytes, sizeof(number));
	at = (uint32_t)(number >> SLOT_SHIFT) & SLOT_MASK;
	if (number >> CONN_SHIFT != conn->index + 1 || at >= c->opt->inflight)
		wrong_answer(c, "to a request of somebody else");
	slot = &conn->slots[at];
	if (number > slot->number)
		wrong_answer(c, "to a request that was never sent");
	if (!rpc_message_check(number, 0, bytes, len))
		wrong_answer(c, "its bytes are not those of the request");
	if (number == slot->number && slot->sent_ns)
		take_answer(c, conn, slot, now);
	else
		c->result.late += number > slot->warm;
}

static void ask_pop(struct client *c, const struct conn *conn)
{
	demi_qtoken_t qt;
	int err = demi_pop(&qt, conn->qd);

	if (err)
		lost_server(c, err);
}

static void on_pop(struct client *c, demi_qresult_t *qr, uint64_t now)
{
	struct conn *conn = c->by_qd[qr->qr_qd - c->first_qd];
	const demi_sgaseg_t *seg = &qr->qr_value.sga.sga_segs[0];

	c->heard_ns = now;
	if (c->opt->udp)
		take_datagram(c, conn, seg->sgaseg_buf, seg->sgaseg_len, now);
	else if (seg->sgaseg_len == 0)
		fail("%s: the server closed the connection, %llu requests have no answer",
		     server_name(c), (unsigned long long)c->in_flight);
	else
		take_stream(c, conn, seg->sgaseg_buf, seg->sgaseg_len, now);
	demi_sgafree(&qr->qr_value.sga);
	ask_pop(c, conn);
}

/* Requests of a datagram queue that have waited too long are lost. */
static void expire(struct client *c, struct conn *conn, uint64_t now)
{
	for (uint32_t i = 0; i < c->opt->inflight; i++) {
		struct slot *slot = &conn->slots[i];

		if (slot->sent_ns == 0 || now < slot->sent_ns + c->opt->timeout_ns)
			continue;
		slot->sent_ns = 0;
		c->in_flight--;
		c->result.lost += counts(slot);
		if (may_send(c, now))
			send_request(c, conn, slot);
	}
}

/* What is sent from here on counts; what is under way does not. */
static void end_warmup(struct client *c, uint64_t now)
{
	struct slot *slots = c->conns[0].slots; /* of all connections */

	for (size_t i = 0; i < (size_t)c->opt->connections * c->opt->inflight; i++)
		slots[i].warm = slots[i].number;
	c->warm_ns = 0;
	c->start_ns = c->last_ns = now;
	c->sent = 0;
	c->result = (struct rpc_result){0};
	memset(&c->latency, 0, sizeof(c->latency));
}

static void interrupt(struct client *c, uint64_t now)
{
	c->interrupted = true;
	c->end_ns = 0;
	c->heard_ns = now;
}

static void check_silence(struct client *c, uint64_t now)
{
	if (c->interrupted && now > c->heard_ns + PATIENCE_NS)
		c->given_up = true;
	else if (!c->opt->udp && now > c->heard_ns + SILENCE_NS)
		fail("%s: no answer for %llu s", server_name(c),
		     (unsigned long long)(SILENCE_NS / CLOCK_SECOND));
}

static void tick(struct client *c, uint64_t now)
{
	c->tick_ns = now + TICK_NS;
	if (instance_interrupted() && !c->interrupted)
		interrupt(c, now);
	if (c->warm_ns && now >= c->warm_ns && !c->interrupted)
		end_warmup(c, now);
	for (uint32_t i = 0; c->opt->udp && i < c->opt->connections; i++)
		expire(c, &c->conns[i], now);
	if (c->in_flight)
		check_silence(c, now);
	if (now < c->progress_ns)
		return;
	c->progress_ns = now + PROGRESS_NS;
	rpc_progress(c->opt, c->result.requests, now - c->start_ns);
}

/* One reading of the clock serves all answers that came together. */
static void handle_batch(struct client *c, demi_qresult_t *qrs, int n)
{
	uint64_t now = 0;

	for (int i = 0; i < n; i++) {
		if (qrs[i].qr_opcode == DEMI_OPC_FAILED)
			lost_server(c, (int)qrs[i].qr_ret);
		if (qrs[i].qr_opcode != DEMI_OPC_POP)
			continue;
		if (now == 0)
			now = clock_ns();
		on_pop(c, &qrs[i], now);
	}
	if (now >= c->tick_ns)
		tick(c, now);
}

static void run(struct client *c)
{
	const struct timespec pause = {.tv_nsec = TICK_NS};
	demi_qresult_t qrs[BATCH];
	int n, err;

	while (c->in_flight > 0 && !c->given_up) {
		err = demi_wait_next_n(qrs, BATCH, &n, &pause);
		if (!err)
			handle_batch(c, qrs, n);
		else if (err == ETIMEDOUT || err == EINTR)
			tick(c, clock_ns());
		else
			fail("wait: %s", strerror(err));
	}
}

static void start(struct client *c)
{
	uint64_t now = clock_ns();

	c->start_ns = c->last_ns = c->heard_ns = now;
	c->warm_ns = c->opt->warmup_ns ? now + c->opt->warmup_ns : 0;
	c->end_ns = UINT64_MAX;
	if (c->opt->duration_ns < UINT64_MAX)
		c->end_ns = now + c->opt->warmup_ns + c->opt->duration_ns;
	c->tick_ns = now + TICK_NS;
	c->progress_ns = now + PROGRESS_NS;
	for (uint32_t i = 0; i < c->opt->connections; i++)
		ask_pop(c, &c->conns[i]);
	for (uint32_t s = 0; s < c->opt->inflight; s++)
		for (uint32_t i = 0; i < c->opt->connections && may_send(c, now); i++)
			send_request(c, &c->conns[i], &c->conns[i].slots[s]);
}

static void connect_one(struct client *c, struct conn *conn)
{
	const struct timespec limit = {.tv_sec = CONNECT_TIMEOUT_S};
	const struct sockaddr_in *addr = &c->opt->addr;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int err;

	conn->qd = rpc_socket(c->opt);
	if (!c->opt->udp)
		rpc_no_delay(conn->qd);
	err = demi_connect(&qt, conn->qd, (const struct sockaddr *)addr, sizeof(*addr));
	if (!err)
		err = demi_wait(&qr, qt, &limit);
	if (!err && qr.qr_opcode == DEMI_OPC_FAILED)
		err = (int)qr.qr_ret;
	if (err == EINTR)
		fail("interrupted");
	if (err)
		lost_server(c, err);
}

/* Queue descriptors only go up, so a table over their range finds a connection. */
static void index_conns(struct client *c)
{
	c->first_qd = c->conns[0].qd;
	c->last_qd = c->conns[c->opt->connections - 1].qd;
	c->by_qd = calloc((size_t)(c->last_qd - c->first_qd) + 1, sizeof(struct conn *));
	if (!c->by_qd)
		fail("no memory");
	for (uint32_t i = 0; i < c->opt->connections; i++)
		c->by_qd[c->conns[i].qd - c->first_qd] = &c->conns[i];
}

static void connect_all(struct client *c)
{
	uint32_t inflight = c->opt->inflight;
	struct slot *slots;

	c->conns = calloc(c->opt->connections, sizeof(struct conn));
	slots = calloc((size_t)c->opt->connections * inflight, sizeof(struct slot));
	if (!c->conns || !slots)
		fail("no memory for %u connections", c->opt->connections);
	for (uint32_t i = 0; i < c->opt->connections; i++) {
		struct conn *conn = &c->conns[i];

		conn->index = i;
		conn->slots = slots + (size_t)i * inflight;
		for (uint32_t s = 0; s < inflight; s++)
			conn->slots[s].number = (uint64_t)(i + 1) << CONN_SHIFT |
						(uint64_t)s << SLOT_SHIFT;
		connect_one(c, conn);
	}
	index_conns(c);
}

static void disconnect_all(struct client *c)
{
	for (uint32_t i = 0; i < c->opt->connections; i++)
		demi_close(c->conns[i].qd);
	demi_fini();
	free(c->conns[0].slots);
	free(c->conns);
	free(c->by_qd);
}

int rpc_client_run(const struct rpc_options *opt)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		fail("no memory");
	c->opt = opt;
	fail_before(rpc_progress_clear);
	instance_start();
	connect_all(c);
	start(c);
	run(c);
	rpc_progress_clear();
	disconnect_all(c);
	c->result.elapsed_ns = c->last_ns - c->start_ns;
	c->result.latency = &c->latency;
	if (c->interrupted && (c->warm_ns || !c->result.requests))
		fail("interrupted");
	if (!c->result.requests)
		fail("%s: no answer to %llu requests", server_name(c),
		     (unsigned long long)c->sent);
	rpc_report_client(opt, &c->result);
	if (c->given_up)
		fail("%s: interrupted, %llu requests have no answer", server_name(c),
		     (unsigned long long)c->in_flight);
	free(c);
	return 0;
}
