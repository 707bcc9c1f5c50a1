/* kpeer's serve and transfer (see peer.h), over the queue API and any backend. */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/system/peer.h"

#define BATCH 64
#define MAX_QDS (1u << 20)
#define CHUNK (256u << 10)
#define CHUNK_OF_MANY (32u << 10)

struct conn {
	int qd;
	bool writing;		/* a push is pending */
	bool starving;		/* no memory for one: tried again */
	struct peer_flow flow;
};

static struct conn *by_qd[MAX_QDS];
static uint32_t last_qd;
static uint32_t n_starving;
static uint32_t n_conns;

static void add(struct conn *conn)
{
	if (conn->qd < 0 || (uint32_t)conn->qd >= MAX_QDS)
		peer_fail("too many connections");
	by_qd[conn->qd] = conn;
	last_qd = (uint32_t)conn->qd;
	n_conns++;
}

static void ask_pop(const struct conn *conn)
{
	demi_qtoken_t qt;

	(void)demi_pop(&qt, conn->qd); /* what is wrong with it, the next push tells */
}

static int push(struct conn *conn, const demi_sgarray_t *sga, size_t len)
{
	demi_sgarray_t part = *sga;
	demi_qtoken_t qt;
	int err;

	part.sga_segs[0].sgaseg_len = (uint32_t)len;
	err = demi_push(&qt, conn->qd, &part);
	if (err)
		return err;
	peer_flow_sent(&conn->flow, part.sga_segs[0].sgaseg_buf, len);
	conn->writing = true;
	return 0;
}

/* The next bytes, if there are any and none are under way. */
static int send_some(struct conn *conn)
{
	uint8_t probe[1];
	demi_sgarray_t sga;
	size_t len;
	int err;

	if (conn->writing || peer_flow_peek(&conn->flow, probe, 1) == 0)
		return 0;
	sga = demi_sgaalloc(n_conns > 64 ? CHUNK_OF_MANY : CHUNK);
	n_starving += !sga.sga_buf && !conn->starving;
	n_starving -= sga.sga_buf && conn->starving;
	conn->starving = !sga.sga_buf;
	if (!sga.sga_buf)
		return 0;
	len = peer_flow_peek(&conn->flow, sga.sga_segs[0].sgaseg_buf, sga.sga_segs[0].sgaseg_len);
	err = push(conn, &sga, len);
	demi_sgafree(&sga);
	return err;
}

static void drop(struct conn *conn)
{
	by_qd[conn->qd] = NULL;
	n_conns--;
	n_starving -= conn->starving;
	demi_close(conn->qd);
	free(conn);
}

/* An errno; -1: the end of the stream. */
static int on_pop(struct conn *conn, demi_sgarray_t *sga)
{
	const demi_sgaseg_t *seg = &sga->sga_segs[0];
	bool end = seg->sgaseg_len == 0;
	const char *why = NULL;

	if (!end)
		why = peer_flow_take(&conn->flow, seg->sgaseg_buf, seg->sgaseg_len);
	demi_sgafree(sga);
	if (why)
		peer_fail("%s", why);
	return end ? -1 : 0;
}

static int on_result(struct conn *conn, demi_qresult_t *qr)
{
	int err = 0;

	if (qr->qr_opcode == DEMI_OPC_FAILED)
		return (int)qr->qr_ret;
	if (qr->qr_opcode == DEMI_OPC_POP)
		err = on_pop(conn, &qr->qr_value.sga);
	if (qr->qr_opcode == DEMI_OPC_PUSH)
		conn->writing = false;
	if (err)
		return err;
	err = send_some(conn);
	if (!err && qr->qr_opcode != DEMI_OPC_PUSH)
		ask_pop(conn);
	return err;
}

static struct conn *conn_of(demi_qresult_t *qr)
{
	struct conn *conn = by_qd[qr->qr_qd];

	if (!conn && qr->qr_opcode == DEMI_OPC_POP)
		demi_sgafree(&qr->qr_value.sga);
	return conn;
}

static int next_results(demi_qresult_t *qrs)
{
	const struct timespec tick = {.tv_nsec = 100000000}, soon = {.tv_nsec = 5000000};
	int n = 0;
	int err = demi_wait_next_n(qrs, BATCH, &n, n_starving ? &soon : &tick);

	if (err && err != ETIMEDOUT)
		peer_fail("wait: %s", strerror(err));
	return n;
}

static void feed_starving(void)
{
	for (uint32_t qd = 0; qd <= last_qd && n_starving; qd++)
		if (by_qd[qd] && by_qd[qd]->starving && send_some(by_qd[qd]))
			continue; /* its pop tells, too */
}

static void no_delay(int qd)
{
	int on = 1;

	(void)demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ---- serve */

static int open_listener(const struct peer_args *args)
{
	demi_qtoken_t qt;
	int qd, err;

	err = demi_socket(&qd, AF_INET, SOCK_STREAM, 0);
	if (!err)
		err = demi_bind(qd, (const struct sockaddr *)&args->addr, sizeof(args->addr));
	if (!err)
		err = demi_listen(qd, 4096);
	if (!err)
		err = demi_accept(&qt, qd);
	if (err)
		peer_fail("cannot listen: %s", strerror(err));
	printf("listening\n");
	fflush(stdout);
	return qd;
}

static void on_accept(int listener, int qd)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	demi_qtoken_t qt;

	if (!conn)
		peer_fail("no memory");
	conn->qd = qd;
	peer_flow_server(&conn->flow);
	add(conn);
	no_delay(qd);
	ask_pop(conn);
	if (demi_accept(&qt, listener))
		peer_fail("accept");
}

static void serve_result(struct conn *conn, demi_qresult_t *qr)
{
	int err = on_result(conn, qr);

	if (!err)
		return;
	if (err > 0)
		printf("lost: %s\n", strerrorname_np(err));
	else if (!peer_flow_done(&conn->flow))
		printf("lost: ended early\n");
	fflush(stdout);
	drop(conn);
}

static _Noreturn void serve(const struct peer_args *args)
{
	int listener = open_listener(args);

	for (;;) {
		demi_qresult_t qrs[BATCH];
		int n = next_results(qrs);

		for (int i = 0; i < n; i++) {
			struct conn *conn = conn_of(&qrs[i]);

			if (qrs[i].qr_opcode == DEMI_OPC_ACCEPT)
				on_accept(listener, qrs[i].qr_value.ares.qd);
			else if (conn)
				serve_result(conn, &qrs[i]);
			else if (qrs[i].qr_qd == listener)
				peer_fail("accept: %s", strerror((int)qrs[i].qr_ret));
		}
		feed_starving();
	}
}

/* ---- transfer */

static void transfer_open(const struct peer_args *args, uint32_t i)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	demi_qtoken_t qt;
	int err;

	if (!conn)
		peer_fail("no memory");
	err = demi_socket(&conn->qd, AF_INET, SOCK_STREAM, 0);
	if (err)
		peer_fail("socket: %s", strerror(err));
	no_delay(conn->qd);
	peer_flow_client(&conn->flow, args->op, i + 1, args->len);
	add(conn);
	err = demi_connect(&qt, conn->qd, (const struct sockaddr *)&args->addr,
			   sizeof(args->addr));
	if (err)
		peer_fail("connect: %s", strerrorname_np(err));
}

/* What is wrong with one of them, its pop tells, too. */
static void release(void)
{
	for (uint32_t qd = 0; qd <= last_qd; qd++) {
		if (!by_qd[qd])
			continue;
		by_qd[qd]->flow.held = false;
		(void)send_some(by_qd[qd]);
	}
}

static void transfer_result(struct peer_progress *p, demi_qresult_t *qr)
{
	struct conn *conn = conn_of(qr);
	uint64_t before, after;
	bool fresh;
	int err;

	if (!conn)
		return;
	before = conn->flow.in + conn->flow.out;
	fresh = conn->flow.held && !conn->flow.in;
	err = on_result(conn, qr);
	after = conn->flow.in + conn->flow.out;
	if (after > before)
		peer_progress_add(p, after - before);
	if (fresh && conn->flow.in && peer_progress_begun(p))
		release();
	if (peer_flow_done(&conn->flow)) {
		p->done++;
		drop(conn);
	} else if (err) {
		peer_fail("lost: %s", err > 0 ? strerrorname_np(err) : "ended early");
	}
}

static void transfer(const struct peer_args *args)
{
	struct peer_progress p;

	peer_progress_begin(&p, args);
	for (uint32_t i = 0; i < args->connections; i++)
		transfer_open(args, i);
	while (p.done < args->connections) {
		demi_qresult_t qrs[BATCH];
		int n = next_results(qrs);

		for (int i = 0; i < n; i++)
			transfer_result(&p, &qrs[i]);
		feed_starving();
		peer_progress_check(&p);
	}
	peer_progress_end(&p, "");
}

static void raise_descriptors(void)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct peer_args args;

	raise_descriptors();
	peer_args_parse(&args, argc, argv);
	if (demi_init(NULL))
		return 1;
	if (strcmp(what, "serve") == 0)
		serve(&args);
	transfer(&args);
	return 0;
}
