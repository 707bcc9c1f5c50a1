/*
 * A program as it would be written for the original API: one segment an sga,
 * the original's headers and calls, nothing of our own. A server that echoes N
 * messages and a client that checks them.
 *
 *	original server|client ADDRESS PORT N
 */
#include <arpa/inet.h>
#include <assert.h>
#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/types.h>
#include <demi/wait.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DATA_SIZE 512

static void check(int ret, const char *call)
{
	if (ret == 0)
		return;
	fprintf(stderr, "%s: %s\n", call, strerror(ret));
	exit(EXIT_FAILURE);
}

static demi_qresult_t wait_for(demi_qtoken_t qt, enum demi_opcode opcode)
{
	demi_qresult_t qr;

	memset(&qr, 0, sizeof(qr));
	check(demi_wait(&qr, qt, NULL), "demi_wait");
	if (qr.qr_opcode != opcode) {
		fprintf(stderr, "operation %d ended as %d: %s\n", (int)opcode,
			(int)qr.qr_opcode, strerror((int)qr.qr_ret));
		exit(EXIT_FAILURE);
	}
	return qr;
}

static void push_and_wait(int qd, demi_sgarray_t *sga)
{
	demi_qtoken_t qt = -1;

	check(demi_push(&qt, qd, sga), "demi_push");
	wait_for(qt, DEMI_OPC_PUSH);
	check(demi_sgafree(sga), "demi_sgafree");
}

static void server(const struct sockaddr_in *addr, unsigned long n)
{
	unsigned long left = n * DATA_SIZE;
	demi_qtoken_t qt = -1, qts[1];
	int lqd = -1, qd, offset = -1;
	demi_qresult_t qr;

	check(demi_socket(&lqd, AF_INET, SOCK_STREAM, 0), "demi_socket");
	check(demi_bind(lqd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_bind");
	check(demi_listen(lqd, 16), "demi_listen");
	check(demi_accept(&qt, lqd), "demi_accept");
	qr = wait_for(qt, DEMI_OPC_ACCEPT);
	qd = qr.qr_value.ares.qd;
	while (left > 0) {
		check(demi_pop(&qts[0], qd), "demi_pop");
		check(demi_wait_any(&qr, &offset, qts, 1, NULL), "demi_wait_any");
		assert(offset == 0 && qr.qr_opcode == DEMI_OPC_POP);
		assert(qr.qr_value.sga.sga_numsegs == 1);
		assert(qr.qr_value.sga.sga_segs[0].sgaseg_len > 0);
		left -= qr.qr_value.sga.sga_segs[0].sgaseg_len;
		push_and_wait(qd, &qr.qr_value.sga);
	}
	check(demi_close(qd), "demi_close");
	check(demi_close(lqd), "demi_close");
}

static void client(const struct sockaddr_in *addr, unsigned long n)
{
	demi_qtoken_t qt = -1;
	int qd = -1;

	check(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "demi_socket");
	check(demi_connect(&qt, qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_connect");
	wait_for(qt, DEMI_OPC_CONNECT);
	for (unsigned long i = 0; i < n; i++) {
		demi_sgarray_t sga = demi_sgaalloc(DATA_SIZE);
		size_t got = 0;

		assert(sga.sga_segs != NULL && sga.sga_numsegs == 1);
		memset(sga.sga_segs[0].sgaseg_buf, (int)i % 256, DATA_SIZE);
		push_and_wait(qd, &sga);
		while (got < DATA_SIZE) {
			demi_qresult_t qr;

			check(demi_pop(&qt, qd), "demi_pop");
			qr = wait_for(qt, DEMI_OPC_POP);
			sga = qr.qr_value.sga;
			assert(sga.sga_segs[0].sgaseg_len > 0);
			for (uint32_t k = 0; k < sga.sga_segs[0].sgaseg_len; k++)
				assert(((uint8_t *)sga.sga_segs[0].sgaseg_buf)[k] == i % 256);
			got += sga.sga_segs[0].sgaseg_len;
			check(demi_sgafree(&sga), "demi_sgafree");
		}
	}
	check(demi_close(qd), "demi_close");
}

int main(int argc, char *const argv[])
{
	struct demi_args args = { argc, argv, NULL };
	struct sockaddr_in addr;

	if (argc != 5)
		return EXIT_FAILURE;
	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_port = htons((uint16_t)atoi(argv[3]));
	if (inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1)
		return EXIT_FAILURE;
	check(demi_init(&args), "demi_init");
	if (!strcmp(argv[1], "server"))
		server(&addr, strtoul(argv[4], NULL, 10));
	else
		client(&addr, strtoul(argv[4], NULL, 10));
	return EXIT_SUCCESS;
}
