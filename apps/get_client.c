/*
 * Each connection keeps up to `pipeline` requests under way, until all have been
 * sent. An answer is read as it comes, where it lies; only heads are gathered. A
 * server may close a connection that is kept alive whenever it likes: what it has
 * not begun to answer is asked for again on a new one.
 */
#include "config.h"

#include "apps/get_client.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/clock.h"
#include "apps/fail.h"
#include "apps/get_body.h"
#include "apps/get_report.h"
#include "apps/get_response.h"
#include "apps/instance.h"

#define BATCH 64
#define TICK_NS (CLOCK_SECOND / 10)	/* how often time is looked after */

struct conn {
	int qd;
	bool open;
	bool connected;
	bool answered;		/* this connection has brought an answer */
	bool end;		/* no request is to be sent on it any more */
	uint32_t waiting;	/* requests without an answer */
	uint64_t heard_ns;
	struct get_response response;
	struct get_body body;
	char *line;
};

struct client {
	const struct get_options *opt;
	demi_sgarray_t request;	/* pushed again and again */
	FILE *out;
	struct conn *conns;
	struct conn **by_qd;	/* [qd - first_qd] */
	size_t n_by_qd;
	int first_qd;
	uint64_t sent;
	uint64_t connecting;	/* connections that will send one at least */
	uint64_t now;		/* once a batch of results */
	uint64_t tick_ns;
	struct get_result result;
};

static _Noreturn void lost(const struct client *c, const char *why)
{
	fail("%s: %s", c->opt->url, why);
}

/* ---- connections */

/* Queue descriptors only go up, so a table finds a connection by them. */
static void index_conn(struct client *c, struct conn *conn)
{
	size_t at;

	if (c->n_by_qd == 0)
		c->first_qd = conn->qd;
	at = (size_t)(conn->qd - c->first_qd);
	if (at >= c->n_by_qd) {
		size_t n = 2 * at + 16;

		c->by_qd = realloc(c->by_qd, n * sizeof(struct conn *));
		if (!c->by_qd)
			fail("no memory");
		memset(c->by_qd + c->n_by_qd, 0, (n - c->n_by_qd) * sizeof(struct conn *));
		c->n_by_qd = n;
	}
	c->by_qd[at] = conn;
}

static void begin_answer(struct client *c, struct conn *conn)
{
	const char *name = c->opt->output ? c->opt->output : "standard output";

	get_response_begin(&conn->response, conn->line, c->opt->head);
	get_body_begin(&conn->body, c->out, name);
}

static void open_conn(struct client *c, struct conn *conn)
{
	const struct sockaddr_in *addr = &c->opt->addr;
	demi_qtoken_t qt;
	int on = 1;
	int err = demi_socket(&conn->qd, AF_INET, SOCK_STREAM, 0);

	if (err)
		fail("cannot make a queue: %s", strerror(err));
	/* a backend without TCP has nothing to turn off */
	(void)demi_setsockopt(conn->qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	err = demi_connect(&qt, conn->qd, (const struct sockaddr *)addr, sizeof(*addr));
	if (err)
		lost(c, strerror(err));
	index_conn(c, conn);
	begin_answer(c, conn);
	c->result.connects++;
	c->connecting++;
	conn->open = true;
	conn->connected = conn->answered = conn->end = false;
	conn->waiting = 0;
	conn->heard_ns = c->now;
}

static void close_conn(struct client *c, struct conn *conn)
{
	c->by_qd[conn->qd - c->first_qd] = NULL;
	demi_close(conn->qd);
	conn->open = false;
}

static void ask_pop(struct client *c, const struct conn *conn)
{
	demi_qtoken_t qt;
	int err = demi_pop(&qt, conn->qd);

	if (err)
		lost(c, strerror(err));
}

static void send_requests(struct client *c, struct conn *conn)
{
	demi_qtoken_t qt;

	while (!conn->end && conn->waiting < c->opt->pipeline && c->sent < c->opt->count) {
		int err = demi_push(&qt, conn->qd, &c->request);

		if (err)
			lost(c, strerror(err));
		if (conn->waiting++ == 0)
			conn->heard_ns = c->now; /* its time begins */
		c->sent++;
		conn->end = c->opt->close;
	}
}

/* Its connection is over; what was asked on it and not answered is asked again. */
static void start_anew(struct client *c, struct conn *conn)
{
	c->sent -= conn->waiting;
	c->result.repeats += conn->waiting;
	close_conn(c, conn);
	if (c->sent + c->connecting < c->opt->count)
		open_conn(c, conn);
}

/* ---- answers */

static void print_head(const struct client *c, const struct get_response *r)
{
	if (c->opt->json || c->opt->hash)
		return;
	fwrite(r->line, 1, r->head_len, c->out ? c->out : stdout);
}

static void check_same(struct client *c, const struct conn *conn, const char *sha256)
{
	struct get_result *res = &c->result;

	if (res->requests == 0) {
		res->status = conn->response.status;
		res->body = conn->body.len;
		memcpy(res->sha256, sha256, SHA256_TEXT);
	} else if (res->status != conn->response.status || res->body != conn->body.len ||
		   strcmp(res->sha256, sha256) != 0) {
		fail("%s: an answer is not the same as those before: %llu bytes, SHA-256 %s",
		     c->opt->url, (unsigned long long)conn->body.len, sha256);
	}
}

static void finish_answer(struct client *c, struct conn *conn)
{
	struct get_response *r = &conn->response;
	char sha256[SHA256_TEXT];

	if (r->status < 200 || r->status > 299)
		fail("%s: the server answers %d", c->opt->url, r->status);
	if (c->opt->range && r->status != 206 && !c->opt->head)
		lost(c, "the server sends the whole, not the range");
	if (c->opt->head && c->result.requests == 0)
		print_head(c, r);
	sha256_end(&conn->body.sha, sha256);
	check_same(c, conn, sha256);
	c->result.requests++;
	conn->waiting--;
	conn->answered = true;
	conn->end |= !r->keep_alive;
	begin_answer(c, conn);
}

/* false: the connection is no more. */
static bool after_answer(struct client *c, struct conn *conn)
{
	if (!conn->end) {
		send_requests(c, conn);
		return true;
	}
	start_anew(c, conn);
	return false;
}

/* An error's body is not what was asked for, and is not written. */
static void hold_back(struct conn *conn)
{
	if (conn->response.status && (conn->response.status < 200 || conn->response.status > 299))
		conn->body.out = NULL;
}

/* false: the connection is no more. */
static bool take_bytes(struct client *c, struct conn *conn, struct http_text bytes)
{
	struct http_text body;
	size_t took;

	while (bytes.len > 0) {
		const char *why;

		if (conn->waiting == 0)
			lost(c, "bytes that nobody asked for");
		why = get_response_take(&conn->response, bytes, &took, &body);
		if (why)
			lost(c, why);
		hold_back(conn);
		get_body_add(&conn->body, body);
		bytes.at += took;
		bytes.len -= took;
		if (conn->response.state != GET_STATE_DONE)
			continue;
		finish_answer(c, conn);
		if (!after_answer(c, conn))
			return false;
	}
	return true;
}

/* The server has closed. An answer may end so; one that it has begun may not be cut
 * short; and a connection that has brought nothing at all is no use to try again. */
static void on_end(struct client *c, struct conn *conn)
{
	const char *why = NULL;

	if (conn->response.begun) {
		why = get_response_end(&conn->response);
		if (why)
			lost(c, why);
		finish_answer(c, conn);
	} else if (conn->waiting > 0 && !conn->answered) {
		lost(c, "the server closes the connection without an answer");
	}
	start_anew(c, conn);
}

static void on_pop(struct client *c, struct conn *conn, demi_sgarray_t *sga)
{
	const struct http_text bytes = {sga->sga_segs[0].sgaseg_buf, sga->sga_segs[0].sgaseg_len};
	bool alive = false;

	conn->heard_ns = c->now;
	if (bytes.len == 0)
		on_end(c, conn);
	else
		alive = take_bytes(c, conn, bytes);
	demi_sgafree(sga);
	if (alive)
		ask_pop(c, conn);
}

/* A server that closes while it is being sent the next request resets: as on_end(). */
static void on_failed(struct client *c, struct conn *conn, int err)
{
	if (conn->connected && err == ECONNRESET && conn->answered && !conn->response.begun)
		start_anew(c, conn);
	else
		fail("%s: %s%s", c->opt->url, strerror(err),
		     err == ECONNREFUSED ? " (is a server running there?)" : "");
}

static void handle(struct client *c, demi_qresult_t *qr)
{
	size_t at = (size_t)(qr->qr_qd - c->first_qd);
	struct conn *conn = at < c->n_by_qd ? c->by_qd[at] : NULL;

	if (!conn) {
		if (qr->qr_opcode == DEMI_OPC_POP)
			demi_sgafree(&qr->qr_value.sga);
		return; /* of a connection that is over */
	}
	switch (qr->qr_opcode) {
	case DEMI_OPC_CONNECT:
		conn->connected = true;
		c->connecting--;
		ask_pop(c, conn);
		send_requests(c, conn);
		break;
	case DEMI_OPC_POP:
		on_pop(c, conn, &qr->qr_value.sga);
		break;
	case DEMI_OPC_FAILED:
		on_failed(c, conn, (int)qr->qr_ret);
		break;
	case DEMI_OPC_PUSH:
	case DEMI_OPC_ACCEPT:
	case DEMI_OPC_CLOSE:
	case DEMI_OPC_INVALID:
		break;
	}
}

/* ---- its life */

static void tick(struct client *c)
{
	c->tick_ns = c->now + TICK_NS;
	if (instance_interrupted())
		fail("interrupted, %llu requests have their answer",
		     (unsigned long long)c->result.requests);
	for (uint32_t i = 0; i < c->opt->connections; i++) {
		const struct conn *conn = &c->conns[i];

		if (!conn->open || (conn->connected && conn->waiting == 0))
			continue;
		if (c->now > conn->heard_ns + c->opt->timeout_ns)
			lost(c, conn->connected ? "not a byte came in time"
						: "no connection in time");
	}
}

static void run(struct client *c)
{
	const struct timespec pause = {.tv_nsec = TICK_NS};
	demi_qresult_t qrs[BATCH];
	int n, err;

	while (c->result.requests < c->opt->count) {
		err = demi_wait_next_n(qrs, BATCH, &n, &pause);
		if (err && err != ETIMEDOUT && err != EINTR)
			fail("wait: %s", strerror(err));
		c->now = clock_ns();
		for (int i = 0; !err && i < n; i++)
			handle(c, &qrs[i]);
		if (c->now >= c->tick_ns || err == EINTR)
			tick(c);
	}
}

static void make_request(struct client *c)
{
	const struct get_options *opt = c->opt;
	char *text;
	int len = asprintf(&text,
			   "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: clowder-get\r\n%s%s%s%s\r\n",
			   opt->head ? "HEAD" : "GET", opt->path, opt->host,
			   opt->range ? "Range: bytes=" : "", opt->range ? opt->range : "",
			   opt->range ? "\r\n" : "", opt->close ? "Connection: close\r\n" : "");

	if (len < 0)
		fail("no memory");
	c->request = demi_sgaalloc((size_t)len);
	if (c->request.sga_numsegs == 0)
		fail("no memory for a request");
	memcpy(c->request.sga_segs[0].sgaseg_buf, text, (size_t)len);
	free(text);
}

/* NULL: the body is only hashed. */
static FILE *open_output(const struct get_options *opt)
{
	FILE *out;

	if (opt->output) {
		out = fopen(opt->output, "w");
		if (!out)
			fail("%s: %s", opt->output, strerror(errno));
		return out;
	}
	return opt->count == 1 && !opt->hash && !opt->json ? stdout : NULL;
}

static void start(struct client *c)
{
	c->now = clock_ns();
	c->conns = calloc(c->opt->connections, sizeof(struct conn));
	if (!c->conns)
		fail("no memory for %u connections", c->opt->connections);
	for (uint32_t i = 0; i < c->opt->connections; i++) {
		c->conns[i].line = malloc(GET_HEAD_MAX);
		if (!c->conns[i].line)
			fail("no memory for %u connections", c->opt->connections);
		open_conn(c, &c->conns[i]);
	}
}

static void finish(struct client *c)
{
	for (uint32_t i = 0; i < c->opt->connections; i++) {
		if (c->conns[i].open)
			close_conn(c, &c->conns[i]);
		free(c->conns[i].line);
	}
	free(c->conns);
	free(c->by_qd);
	demi_sgafree(&c->request);
	demi_fini();
	if (c->out && fflush(c->out))
		fail("%s: %s", c->opt->output ? c->opt->output : "standard output",
		     strerror(errno));
	if (c->out && c->out != stdout)
		fclose(c->out);
}

int get_client_run(const struct get_options *opt)
{
	struct client c = {.opt = opt};
	uint64_t began;

	c.out = open_output(opt);
	instance_start();
	make_request(&c);
	began = clock_ns();
	start(&c);
	run(&c);
	c.result.elapsed_ns = clock_ns() - began;
	finish(&c);
	get_report(opt, &c.result);
	return 0;
}
