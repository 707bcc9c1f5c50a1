/*
 * clowder-echo-server [ADDR [PORT]]: sends back whatever it gets, to any number
 * of TCP clients. With clowder-echo-client, the place to learn the API from.
 *
 * The idea of it: a call such as demi_pop() only says what is wanted and returns
 * a token. What has become of it is told later by a wait, as a result. So a
 * server is one loop that waits for results and asks for the next thing.
 */
#include <arpa/inet.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every call returns 0 or an errno. Most cannot fail here, unless we did it wrong. */
static void check(const char *what, int err)
{
	if (err) {
		fprintf(stderr, "clowder-echo-server: %s: %s\n", what, strerror(err));
		exit(1);
	}
}

/*
 * Tokens name operations for demi_wait() and demi_wait_any(). This program takes
 * its results from demi_wait_next_n(), which hands out whatever has finished, so
 * it has no use for them: a result says by itself which queue it is about.
 */
static demi_qtoken_t qt;

static int listener;
static bool full; /* no descriptor was left for the next client */

static void ask_for_client(void)
{
	full = false;
	check("accept", demi_accept(&qt, listener));
}

/* A client goes, and may leave room for one that could not be let in. */
static void drop(int qd)
{
	demi_close(qd);
	if (full)
		ask_for_client();
}

static void ask_for_bytes(int qd)
{
	/* The client may have gone. Then there is nothing to ask it for. */
	if (demi_pop(&qt, qd))
		drop(qd);
}

/* Bytes have come: as many as had arrived. TCP keeps no message together. */
static void on_pop(demi_qresult_t *result)
{
	demi_sgarray_t *sga = &result->qr_value.sga;

	/* No bytes are the end: the client has closed its side. */
	if (sga->sga_segs[0].sgaseg_len == 0 || demi_push(&qt, result->qr_qd, sga))
		drop(result->qr_qd);
	/* The buffer was ours since the pop, and this gives it back, at once: the
	 * library keeps the bytes for as long as the push needs them. They were
	 * copied nowhere. */
	demi_sgafree(sga);
}

static void on_result(demi_qresult_t *result)
{
	switch (result->qr_opcode) {
	case DEMI_OPC_ACCEPT:
		/* Somebody has connected, and has a queue of its own. The next one
		 * is welcome. */
		ask_for_client();
		ask_for_bytes(result->qr_value.ares.qd);
		break;
	case DEMI_OPC_POP:
		on_pop(result);
		break;
	case DEMI_OPC_PUSH:
		/* The answer is on its way. Only now is more asked for, so a client
		 * that sends and never reads is stopped and fills no memory. */
		ask_for_bytes(result->qr_qd);
		break;
	case DEMI_OPC_FAILED:
		/* qr_ret says why. One client's failure is no other's. */
		if (result->qr_qd != listener)
			drop(result->qr_qd);
		else if (result->qr_ret == EMFILE)
			full = true; /* asking at once would fail again */
		else
			check("accept", (int)result->qr_ret);
		break;
	case DEMI_OPC_CONNECT:
	case DEMI_OPC_CLOSE:
	case DEMI_OPC_INVALID:
		break; /* this program asks for none of these */
	}
}

/* A queue that listens: the same three steps as with sockets. */
static void listen_on(const struct sockaddr_in *addr)
{
	check("socket", demi_socket(&listener, AF_INET, SOCK_STREAM, 0));
	check("bind", demi_bind(listener, (const struct sockaddr *)addr, sizeof(*addr)));
	check("listen", demi_listen(listener, 16));
	ask_for_client();
}

int main(int argc, char **argv)
{
	const char *ip = argc > 1 ? argv[1] : "127.0.0.1";
	const char *port = argc > 2 ? argv[2] : "7007";
	char *end;
	long number = strtol(port, &end, 10);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	const struct timespec a_while = {.tv_sec = 1};
	demi_qresult_t result;
	int err, n;

	if (argc > 3 || inet_pton(AF_INET, ip, &addr.sin_addr) != 1 || *end || number < 1 ||
	    number > UINT16_MAX) {
		fprintf(stderr, "usage: clowder-echo-server [ADDR [PORT]]\n");
		return 2;
	}
	/* The library for this thread. Which backend moves the bytes is chosen here
	 * by LIBOS in the environment, and nowhere in the program. When it cannot
	 * start it says why. */
	if (demi_init(NULL))
		return 1;
	listen_on(&addr);
	printf("listening on %s:%s\n", ip, port);
	fflush(stdout);
	for (;;) {
		/* One result at a time is simplest; the call hands out up to n. */
		err = demi_wait_next_n(&result, 1, &n, full ? &a_while : NULL);
		if (!err)
			on_result(&result);
		else if (err == ETIMEDOUT)
			ask_for_client();
		else
			check("wait", err);
	}
}
