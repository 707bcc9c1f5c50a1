/*
 * 64 bytes there and back through the queue API, over TCP or UDP, one request under
 * way. bench/floors/sockpong is the same over kernel sockets.
 *
 *	roundtrip server|client [--proto tcp|udp] [--addr A] [--port P] [--cpu N]
 *		[--ms N] [--rounds N] [--batch N] [--hold MS]
 *
 * A request is a buffer of its own, written, pushed and freed; the server pushes
 * the buffer that it popped, and serves until it is ended. --hold: the client stays
 * connected for so long afterwards, with a pop that waits.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <err.h>
#include <errno.h>
#include <string.h>

#include "bench/ends.h"
#include "bench/must.h"
#include "bench/pong.h"

static struct ends ends;
static int qd; /* client: the connection, or the socket */

static const struct timespec patience = { .tv_nsec = 200000000 };

static void wait_for(const char *what, demi_qtoken_t qt, demi_qresult_t *qr)
{
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (__builtin_expect(qr->qr_opcode == DEMI_OPC_FAILED, 0))
		must(what, (int)qr->qr_ret);
}

static void push_free(int to, demi_sgarray_t *sga, const struct sockaddr_in *addr)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	if (addr)
		must("demi_pushto", demi_pushto(&qt, to, sga, (const struct sockaddr *)addr,
						sizeof(*addr)));
	else
		must("demi_push", demi_push(&qt, to, sga));
	must("demi_sgafree", demi_sgafree(sga));
	wait_for("push", qt, &qr);
}

/* ---- server */

static int listen_at(void)
{
	socklen_t len = sizeof(ends.addr);
	int listener;

	must("demi_socket", demi_socket(&listener, AF_INET,
					ends.udp ? SOCK_DGRAM : SOCK_STREAM, 0));
	must("demi_bind", demi_bind(listener, (const struct sockaddr *)&ends.addr,
				    sizeof(ends.addr)));
	if (!ends.udp)
		must("demi_listen", demi_listen(listener, SOMAXCONN));
	must("demi_getsockname", demi_getsockname(listener, (struct sockaddr *)&ends.addr, &len));
	ends_listening(&ends.addr);
	return listener;
}

/* Until the client has gone. */
static void serve_stream(int conn)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	for (;;) {
		must("demi_pop", demi_pop(&qt, conn));
		must("demi_wait", demi_wait(&qr, qt, NULL));
		if (__builtin_expect(qr.qr_opcode != DEMI_OPC_POP, 0))
			return;
		if (!qr.qr_value.sga.sga_segs[0].sgaseg_len) {
			must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
			return;
		}
		push_free(conn, &qr.qr_value.sga, NULL);
	}
}

static void serve_datagrams(int sock)
{
	struct sockaddr_in from;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	for (;;) {
		must("demi_pop", demi_pop(&qt, sock));
		wait_for("pop", qt, &qr);
		from = qr.qr_value.sga.sga_addr;
		push_free(sock, &qr.qr_value.sga, &from);
	}
}

static void server(void)
{
	int listener = listen_at();
	demi_qresult_t qr;
	demi_qtoken_t qt;

	if (ends.udp)
		serve_datagrams(listener);
	for (;;) {
		must("demi_accept", demi_accept(&qt, listener));
		wait_for("accept", qt, &qr);
		serve_stream(qr.qr_value.ares.qd);
		must("demi_close", demi_close(qr.qr_value.ares.qd));
	}
}

/* ---- client */

static void request(uint32_t number)
{
	demi_sgarray_t sga = demi_sgaalloc(PONG_SIZE);
	struct pong_request *rq;

	if (__builtin_expect(!sga.sga_numsegs, 0))
		errx(1, "demi_sgaalloc failed");
	rq = sga.sga_segs[0].sgaseg_buf;
	rq->number = number;
	memset(rq->rest, (int)number, sizeof(rq->rest));
	push_free(qd, &sga, NULL);
}

static void check(const demi_qresult_t *qr, uint32_t number)
{
	const demi_sgaseg_t *seg = &qr->qr_value.sga.sga_segs[0];
	const struct pong_request *rq = seg->sgaseg_buf;

	if (qr->qr_opcode != DEMI_OPC_POP)
		must("pop", (int)qr->qr_ret);
	if (seg->sgaseg_len != PONG_SIZE || rq->number != number ||
	    rq->rest[sizeof(rq->rest) - 1] != (uint8_t)number)
		errx(1, "a wrong answer");
}

static void round_trip(uint32_t number)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	request(number);
	must("demi_pop", demi_pop(&qt, qd));
	must("demi_wait", demi_wait(&qr, qt, ends.udp ? &patience : NULL));
	check(&qr, number);
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
}

/* The first datagrams find nobody, as long as the server is not there. */
static void first_datagram(void)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int error = ETIMEDOUT;

	must("demi_pop", demi_pop(&qt, qd));
	for (int i = 0; i < 20 && error == ETIMEDOUT; i++) {
		request(0);
		error = demi_wait(&qr, qt, &patience);
	}
	must("the first answer", error);
	check(&qr, 0);
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
	/* Those that were late do not come into the next answers. */
	must("demi_pop", demi_pop(&qt, qd));
	while (demi_wait(&qr, qt, &patience) == 0) {
		demi_sgafree(&qr.qr_value.sga);
		must("demi_pop", demi_pop(&qt, qd));
	}
	must("demi_cancel", demi_cancel(qt));
	must("demi_wait", demi_wait(&qr, qt, NULL));
}

static void stay(uint32_t ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int error;

	must("demi_pop", demi_pop(&qt, qd));
	error = demi_wait(&qr, qt, &ts);
	if (error != ETIMEDOUT)
		errx(1, "something came that was not asked for");
}

static void client(const struct pong *pong, uint32_t hold)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_socket", demi_socket(&qd, AF_INET, ends.udp ? SOCK_DGRAM : SOCK_STREAM, 0));
	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&ends.addr,
					  sizeof(ends.addr)));
	wait_for("connect", qt, &qr);
	if (ends.udp)
		first_datagram();
	pong_run(pong, round_trip);
	if (hold)
		stay(hold);
	must("demi_close", demi_close(qd));
}

int main(int argc, char **argv)
{
	struct pong pong = PONG_DEFAULTS;
	uint32_t hold = 0;
	const struct ends_option options[] = {
		{ "ms", &pong.ms, 1, 100000, NULL },
		{ "rounds", &pong.rounds, 1, 100000, NULL },
		{ "batch", &pong.batch, 1, 100000, NULL },
		{ "hold", &hold, 0, 100000, NULL },
		{ 0 },
	};

	ends_options(&ends, options, argc, argv);
	must("demi_init", demi_init(NULL));
	if (ends.client)
		client(&pong, hold);
	else
		server();
	return 0;
}
