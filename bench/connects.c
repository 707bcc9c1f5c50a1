/*
 * Connections a second: each is opened and reset by both ends at once (SO_LINGER
 * 0). bench/floors/sockconnects is the same over kernel sockets.
 *
 *	connects server|client [--addr A] [--port P] [--cpu N] [--ports N]
 *		[--inflight N] [--ms N] [--rounds N]
 *
 * The server listens on --ports ports from --port on; the client has --inflight
 * connects under way, over all of them in turn.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/cpu.h"
#include "bench/ends.h"
#include "bench/must.h"

#define RESULTS 64
#define ACCEPTS 8		/* that wait, on each port */
#define PATIENCE_NS UINT64_C(3000000000)

static struct ends ends;
static uint32_t n_ports = 16, inflight = 16, ms = 500, n_rounds = 1;
static uint32_t turn;

static void reset(int qd)
{
	const struct linger now = { .l_onoff = 1 };

	must("demi_setsockopt", demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	must("demi_close", demi_close(qd));
}

/* ---- server */

static void listen_at(uint32_t i)
{
	struct sockaddr_in addr = ends.addr;
	demi_qtoken_t qt;
	int qd;

	addr.sin_port = htons((uint16_t)(ntohs(addr.sin_port) + i));
	must("demi_socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	must("demi_bind", demi_bind(qd, (const struct sockaddr *)&addr, sizeof(addr)));
	must("demi_listen", demi_listen(qd, SOMAXCONN));
	for (int k = 0; k < ACCEPTS; k++)
		must("demi_accept", demi_accept(&qt, qd));
}

static void server(void)
{
	demi_qresult_t qrs[RESULTS];
	demi_qtoken_t qt;
	int n;

	for (uint32_t i = 0; i < n_ports; i++)
		listen_at(i);
	ends_listening(&ends.addr);
	for (;;) {
		must("demi_wait_next_n", demi_wait_next_n(qrs, RESULTS, &n, NULL));
		for (int i = 0; i < n; i++) {
			if (qrs[i].qr_opcode != DEMI_OPC_ACCEPT)
				must("accept", (int)qrs[i].qr_ret);
			reset(qrs[i].qr_value.ares.qd);
			must("demi_accept", demi_accept(&qt, qrs[i].qr_qd));
		}
	}
}

/* ---- client */

static void begin(void)
{
	struct sockaddr_in addr = ends.addr;
	demi_qtoken_t qt;
	int qd;

	addr.sin_port = htons((uint16_t)(ntohs(addr.sin_port) + turn++ % n_ports));
	must("demi_socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&addr, sizeof(addr)));
}

/* Of those that have ended: how many were connected. The server's reset may come
 * before we have looked. */
static uint32_t collect(bool again)
{
	demi_qresult_t qrs[RESULTS];
	uint32_t connected = 0;
	int n;

	must("demi_wait_next_n", demi_wait_next_n(qrs, RESULTS, &n, NULL));
	for (int i = 0; i < n; i++) {
		if (qrs[i].qr_opcode == DEMI_OPC_CONNECT || qrs[i].qr_ret == ECONNRESET)
			connected++;
		else if (qrs[i].qr_ret != ECONNREFUSED)
			must("connect", (int)qrs[i].qr_ret);
		reset(qrs[i].qr_qd);
		if (again)
			begin();
	}
	return connected;
}

static void await_server(void)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;

	begin();
	while (!collect(false)) {
		if (clock_ns() > give_up)
			must("connect", ECONNREFUSED);
		begin();
	}
}

static void one_round(void)
{
	uint64_t start = clock_ns(), duration = ms * UINT64_C(1000000), n = 0, now;

	for (uint32_t i = 0; i < inflight; i++)
		begin();
	while ((now = clock_ns()) - start < duration)
		n += collect(true);
	printf("connects_per_s %.0f\n", (double)n * 1e9 / (double)(now - start));
	/* Every one that is under way ends, in a completion. */
	for (uint32_t left = inflight; left;)
		left -= collect(false);
}

int main(int argc, char **argv)
{
	const struct ends_option options[] = {
		{ "ports", &n_ports, 1, 1000, NULL },
		{ "inflight", &inflight, 1, RESULTS, NULL },
		{ "ms", &ms, 1, 100000, NULL },
		{ "rounds", &n_rounds, 1, 100000, NULL },
		{ 0 },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	ends_options(&ends, options, argc, argv);
	ends_raise_descriptors();
	must("demi_init", demi_init(NULL));
	if (!ends.client)
		server();
	await_server();
	for (uint32_t i = 0; i < n_rounds; i++)
		one_round();
	return 0;
}
