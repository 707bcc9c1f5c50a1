/*
 * Both ends of one connection in one instance, for callgrind to count what a
 * request of 64 bytes takes at the server: from the wait that finds the packet to
 * the one that has sent the answer, with its pop and its push. Only
 * servecost_serve() is to be counted; the client's side, and the first requests,
 * are outside it.
 *
 *	servecost tcp|udp [REQUESTS]
 *
 * It wants a device that brings back what it is sent.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/must.h"

#define SIZE 64
#define WARM 256
#define MEASURED __attribute__((__noinline__))

static struct sockaddr_in addr = { .sin_family = AF_INET };
static int listener, server_qd, client_qd;
static bool udp;

MEASURED void servecost_serve(void);

static void wait_for(const char *what, demi_qtoken_t qt, demi_qresult_t *qr)
{
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (__builtin_expect(qr->qr_opcode == DEMI_OPC_FAILED, 0))
		must(what, (int)qr->qr_ret);
}

static inline __attribute__((__always_inline__)) void serve(void)
{
	struct sockaddr_in from;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_pop", demi_pop(&qt, server_qd));
	wait_for("pop", qt, &qr);
	from = qr.qr_value.sga.sga_addr;
	if (udp)
		must("demi_pushto", demi_pushto(&qt, server_qd, &qr.qr_value.sga,
						(const struct sockaddr *)&from, sizeof(from)));
	else
		must("demi_push", demi_push(&qt, server_qd, &qr.qr_value.sga));
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
	wait_for("push", qt, &qr);
}

void servecost_serve(void)
{
	serve();
}

static MEASURED void serve_uncounted(void)
{
	serve();
}

static void request(int number)
{
	demi_sgarray_t sga = demi_sgaalloc(SIZE);
	demi_qresult_t qr;
	demi_qtoken_t qt;

	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc failed");
	memset(sga.sga_segs[0].sgaseg_buf, number, SIZE);
	must("demi_push", demi_push(&qt, client_qd, &sga));
	must("demi_sgafree", demi_sgafree(&sga));
	wait_for("push", qt, &qr);
}

static void answer(int number)
{
	const demi_sgaseg_t *seg;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_pop", demi_pop(&qt, client_qd));
	wait_for("pop", qt, &qr);
	seg = &qr.qr_value.sga.sga_segs[0];
	if (seg->sgaseg_len != SIZE || *(const uint8_t *)seg->sgaseg_buf != (uint8_t)number)
		errx(1, "a wrong answer");
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
}

static void open_ends(void)
{
	socklen_t len = sizeof(addr);
	int type = udp ? SOCK_DGRAM : SOCK_STREAM;
	demi_qtoken_t connecting, accepting;
	demi_qresult_t qr;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must("demi_socket", demi_socket(&listener, AF_INET, type, 0));
	must("demi_bind", demi_bind(listener, (const struct sockaddr *)&addr, len));
	if (!udp)
		must("demi_listen", demi_listen(listener, 1));
	must("demi_getsockname", demi_getsockname(listener, (struct sockaddr *)&addr, &len));
	must("demi_socket", demi_socket(&client_qd, AF_INET, type, 0));
	if (!udp)
		must("demi_accept", demi_accept(&accepting, listener));
	must("demi_connect", demi_connect(&connecting, client_qd, (const struct sockaddr *)&addr,
					  len));
	wait_for("connect", connecting, &qr);
	server_qd = listener;
	if (!udp) {
		wait_for("accept", accepting, &qr);
		server_qd = qr.qr_value.ares.qd;
	}
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 1024;

	if (argc < 2 || (strcmp(argv[1], "tcp") && strcmp(argv[1], "udp")) || n < 1)
		errx(2, "say tcp or udp");
	udp = argv[1][0] == 'u';
	must("demi_init", demi_init(NULL));
	open_ends();
	for (int i = 0; i < WARM + n; i++) {
		request(i);
		if (i < WARM)
			serve_uncounted();
		else
			servecost_serve();
		answer(i);
	}
	return 0;
}
