/*
 * clowder-echo-client [TEXT [ADDR [PORT]]]: sends TEXT to clowder-echo-server
 * over TCP, waits for it to come back, and prints it.
 *
 * The other way to wait: one operation at a time, by its token. A call such as
 * demi_push() returns a token at once, demi_wait() the result for it.
 */
#include <arpa/inet.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every call returns 0 or an errno; errno itself is never touched. */
static void check(const char *what, int err)
{
	if (err) {
		fprintf(stderr, "clowder-echo-client: %s: %s\n", what, strerror(err));
		exit(1);
	}
}

/*
 * Waits until the operation has finished. There are two ways to fail, and they
 * are kept apart: the wait itself (it returns an errno; here: time is up), and
 * the operation (the wait returns 0, and qr_ret is the operation's errno).
 */
static demi_qresult_t finish(const char *what, demi_qtoken_t qt)
{
	const struct timespec limit = {.tv_sec = 5};
	demi_qresult_t result;

	check(what, demi_wait(&result, qt, &limit));
	if (result.qr_opcode == DEMI_OPC_FAILED)
		check(what, (int)result.qr_ret);
	return result;
}

static int connect_to(const struct sockaddr_in *addr)
{
	demi_qtoken_t qt;
	int qd;

	check("socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	check("connect", demi_connect(&qt, qd, (const struct sockaddr *)addr, sizeof(*addr)));
	finish("connect", qt);
	return qd;
}

static void send_text(int qd, const char *text, size_t len)
{
	/* What is pushed lies in memory of the library, which the device can reach. */
	demi_sgarray_t sga = demi_sgaalloc(len);
	demi_qtoken_t qt;

	if (sga.sga_numsegs == 0)
		check("sgaalloc", ENOMEM);
	memcpy(sga.sga_segs[0].sgaseg_buf, text, len);
	check("push", demi_push(&qt, qd, &sga));
	/*
	 * From here on the bytes are frozen: we may read them, push them again and
	 * free them, now or later, but not write them. Freeing at once is right.
	 */
	check("sgafree", demi_sgafree(&sga));
	finish("push", qt);
}

/* Prints what comes back, len bytes in all; TCP may bring them in any pieces. */
static void print_answer(int qd, size_t len)
{
	while (len > 0) {
		demi_qresult_t result;
		demi_sgaseg_t seg;
		demi_qtoken_t qt;

		check("pop", demi_pop(&qt, qd));
		result = finish("pop", qt);
		/* A pop has one segment. Popped bytes are for reading only. */
		seg = result.qr_value.sga.sga_segs[0];
		fwrite(seg.sgaseg_buf, 1, seg.sgaseg_len, stdout);
		/* Ours since the pop, even at the end of the stream, so free it. */
		check("sgafree", demi_sgafree(&result.qr_value.sga));
		if (seg.sgaseg_len == 0 || seg.sgaseg_len > len)
			check("answer", EPROTO); /* ended too early, or too much of it */
		len -= seg.sgaseg_len;
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "Hello, herd.";
	const char *ip = argc > 2 ? argv[2] : "127.0.0.1";
	const char *port = argc > 3 ? argv[3] : "7007";
	char *end;
	long number = strtol(port, &end, 10);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	int qd;

	if (argc > 4 || !*text || inet_pton(AF_INET, ip, &addr.sin_addr) != 1 ||
	    *end || number < 1 || number > UINT16_MAX) {
		fprintf(stderr, "usage: clowder-echo-client [TEXT [ADDR [PORT]]]\n");
		return 2;
	}
	/* Chooses the backend by LIBOS; when it cannot start it says why. */
	if (demi_init(NULL))
		return 1;
	qd = connect_to(&addr);
	send_text(qd, text, strlen(text));
	print_answer(qd, strlen(text));
	check("close", demi_close(qd));
	return fflush(stdout) ? 1 : 0;
}
