/*
 * The server: what is popped is pushed back, the same buffer, without a look at
 * it. A queue's next pop is asked for when its push has completed, so that a
 * client that sends and never reads costs one buffer and no more. Nothing is
 * kept for a connection: its queue descriptor is all there is to know.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apps/fail.h"
#include "apps/instance.h"
#include "apps/option.h"
#include "apps/rpc.h"
#include "apps/rpc_report.h"

#define BATCH 64
#define BACKLOG 1024
#define DATAGRAM_POPS 32	/* pops of the one UDP queue */
#define MAX_FAILURES 1000	/* in a row, with nothing in between */

struct server {
	const struct rpc_options *opt;
	int qd;			/* listens, or is the UDP queue */
	bool accepting;		/* an accept is pending */
	bool done;
	uint32_t open;		/* connections */
	uint32_t failures;	/* since the last success */
	uint64_t connections;	/* ever */
	uint64_t bytes;
	uint64_t datagrams;
};

static uint64_t requests(const struct server *s)
{
	return s->opt->udp ? s->datagrams : s->bytes / s->opt->size;
}

static void ask_accept(struct server *s)
{
	demi_qtoken_t qt;
	int err = demi_accept(&qt, s->qd);

	if (err)
		fail("accept: %s", strerror(err));
	s->accepting = true;
}

/* The end of a connection, for whatever reason; a second call finds it closed. */
static void drop(struct server *s, int qd)
{
	if (demi_close(qd))
		return;
	s->open--;
	if (!s->accepting)
		ask_accept(s);
	if (s->open == 0 && s->opt->once)
		s->done = true;
}

static void ask_pop(struct server *s, int qd)
{
	demi_qtoken_t qt;
	int err = demi_pop(&qt, qd);

	if (!err)
		return;
	if (s->opt->udp)
		fail("pop: %s", strerror(err));
	drop(s, qd);
}

static void on_accept(struct server *s, const demi_qresult_t *qr)
{
	int qd = qr->qr_value.ares.qd;

	s->accepting = false;
	s->open++;
	s->connections++;
	rpc_no_delay(qd);
	ask_pop(s, qd);
	ask_accept(s);
}

static int push_back(const struct server *s, demi_qresult_t *qr)
{
	demi_sgarray_t *sga = &qr->qr_value.sga;
	demi_qtoken_t qt;

	if (!s->opt->udp)
		return demi_push(&qt, qr->qr_qd, sga);
	return demi_pushto(&qt, qr->qr_qd, sga, (const struct sockaddr *)&sga->sga_addr,
			   sizeof(sga->sga_addr));
}

static void on_pop(struct server *s, demi_qresult_t *qr)
{
	uint32_t len = qr->qr_value.sga.sga_segs[0].sgaseg_len;
	int err = 0;

	if (len > 0)
		err = push_back(s, qr);
	/* ours no more: the libOS holds it for as long as the push needs it */
	demi_sgafree(&qr->qr_value.sga);
	if (len > 0 && !err) {
		s->bytes += len;
		s->datagrams++;
	} else if (s->opt->udp) {
		ask_pop(s, qr->qr_qd); /* an empty datagram, or one nobody takes back */
	} else {
		drop(s, qr->qr_qd); /* end of stream, or reset meanwhile */
	}
}

/* No descriptor left: the client waits in the backlog until somebody goes. */
static void on_accept_failed(struct server *s, int err)
{
	s->accepting = false;
	if (s->open == 0)
		fail("accept: %s", strerror(err));
	fprintf(stderr, "clowder-rpc: accept: %s; waiting for a client to go\n", strerror(err));
}

/* A connection's failure is its own. The UDP queue is everybody's: it goes on. */
static void on_failed(struct server *s, const demi_qresult_t *qr)
{
	int err = (int)qr->qr_ret;

	if (!s->opt->udp && qr->qr_qd == s->qd)
		on_accept_failed(s, err);
	else if (!s->opt->udp)
		drop(s, qr->qr_qd);
	else if (++s->failures > MAX_FAILURES)
		fail("%s", strerror(err));
	else
		ask_pop(s, qr->qr_qd);
}

static void handle(struct server *s, demi_qresult_t *qr)
{
	switch (qr->qr_opcode) {
	case DEMI_OPC_POP:
		s->failures = 0;
		on_pop(s, qr);
		break;
	case DEMI_OPC_PUSH:
		ask_pop(s, qr->qr_qd);
		break;
	case DEMI_OPC_ACCEPT:
		on_accept(s, qr);
		break;
	case DEMI_OPC_FAILED:
		on_failed(s, qr);
		break;
	case DEMI_OPC_CONNECT:
	case DEMI_OPC_CLOSE:
	case DEMI_OPC_INVALID:
		break;
	}
}

static void open_queue(struct server *s)
{
	const struct sockaddr_in *addr = &s->opt->addr;
	char text[32];
	int err;

	s->qd = rpc_socket(s->opt);
	err = demi_bind(s->qd, (const struct sockaddr *)addr, sizeof(*addr));
	if (!err && !s->opt->udp)
		err = demi_listen(s->qd, BACKLOG);
	if (err)
		fail("cannot serve on %s: %s", option_addr_text(addr, text, sizeof(text)),
		     strerror(err));
	if (!s->opt->udp)
		ask_accept(s);
	for (int i = 0; s->opt->udp && i < DATAGRAM_POPS; i++)
		ask_pop(s, s->qd);
}

/* Who starts a client by script waits for this line. */
static void announce(const struct server *s)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	char text[32];
	int err = demi_getsockname(s->qd, (struct sockaddr *)&addr, &len);

	if (err)
		fail("getsockname: %s", strerror(err));
	fprintf(s->opt->json ? stderr : stdout, "listening on %s (%s)\n",
		option_addr_text(&addr, text, sizeof(text)), rpc_options_proto(s->opt));
	fflush(stdout);
}

static void serve(struct server *s)
{
	demi_qresult_t qrs[BATCH];
	int n, err;

	while (!s->done && !instance_interrupted()) {
		err = demi_wait_next_n(qrs, BATCH, &n, NULL);
		if (err && err != EINTR)
			fail("wait: %s", strerror(err));
		for (int i = 0; !err && i < n; i++)
			handle(s, &qrs[i]);
		if (requests(s) >= s->opt->count)
			s->done = true;
	}
}

int rpc_server_run(const struct rpc_options *opt)
{
	struct server s = {.opt = opt};

	instance_start();
	open_queue(&s);
	announce(&s);
	serve(&s);
	demi_fini(); /* closes all, and serves what clients still wait for */
	rpc_report_server(opt, requests(&s), s.bytes, s.connections);
	return 0;
}
