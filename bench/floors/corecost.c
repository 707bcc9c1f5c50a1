/*
 * Operations that complete at once, over the backend that does nothing, for
 * callgrind to count: a thousand push + wait, a thousand pop + wait.
 *
 *	corecost [PENDING]	(pops that stay pending meanwhile)
 */
#include "config.h"

#include <demi/libos.h>
#include <err.h>
#include <stdlib.h>

#include "bench/must.h"

#define TIMES 1024
#define MEASURED __attribute__((__noinline__))

static demi_qresult_t results[TIMES];

MEASURED void corecost_push_wait(int qd, const demi_sgarray_t *sga);
MEASURED void corecost_pop_wait(int qd);
MEASURED void corecost_alloc_free(void);

void corecost_push_wait(int qd, const demi_sgarray_t *sga)
{
	demi_qtoken_t qt;

	for (int i = 0; i < TIMES; i++) {
		must("demi_push", demi_push(&qt, qd, sga));
		must("demi_wait", demi_wait(&results[i], qt, NULL));
	}
}

void corecost_pop_wait(int qd)
{
	demi_qtoken_t qt;

	for (int i = 0; i < TIMES; i++) {
		must("demi_pop", demi_pop(&qt, qd));
		must("demi_wait", demi_wait(&results[i], qt, NULL));
	}
}

void corecost_alloc_free(void)
{
	for (int i = 0; i < TIMES; i++) {
		demi_sgarray_t sga = demi_sgaalloc(64);

		must("demi_sgafree", demi_sgafree(&sga));
	}
}

static void check(enum demi_opcode opcode)
{
	for (int i = 0; i < TIMES; i++)
		if (results[i].qr_opcode != opcode)
			errx(1, "an operation has failed: %d", (int)results[i].qr_ret);
}

static int connected(in_port_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd;

	must("demi_socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&to, sizeof(to)));
	must("demi_wait", demi_wait(&qr, qt, NULL));
	return qd;
}

int main(int argc, char **argv)
{
	long pending = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	int qd, dry;

	must("demi_init", demi_init(NULL));
	sga = demi_sgaalloc(64);
	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc failed");
	qd = connected(7);
	dry = connected(1);
	for (long i = 0; i < pending; i++)
		must("demi_pop", demi_pop(&qt, dry));
	corecost_push_wait(qd, &sga);
	check(DEMI_OPC_PUSH);
	corecost_pop_wait(qd);
	check(DEMI_OPC_POP);
	for (int i = 0; i < TIMES; i++)
		must("demi_sgafree", demi_sgafree(&results[i].qr_value.sga));
	corecost_alloc_free();
	return 0;
}
