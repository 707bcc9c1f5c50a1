/*
 * As many bytes as one TCP connection carries, from the client to the server.
 *
 *	bulk server|client [--addr A] [--port P] [--cpu N] [--size BYTES]
 *		[--inflight N] [--ms N] [--rounds N] [--count N] [--touch yes|no|copy]
 *
 * The client pushes buffers of --size bytes, --inflight of them at once, for --ms
 * or, with --count, so many of them. Nobody looks at the bytes, as in iperf3;
 * --touch yes: they are written before each push; copy: by a memcpy(). At the end
 * of a round the server says how many bytes it has had and how long it took
 * from the first to the last.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/ends.h"
#include "bench/must.h"
#include "bench/touch.h"

#define MAX_INFLIGHT 64u

enum touch {
	NO,
	WRITE,
	COPY,
};

/* What the server has seen of one connection. */
struct received {
	uint64_t bytes;
	uint64_t ns;
};

static struct ends ends;
static uint32_t size = 1u << 20, inflight = 2, ms = 500, n_rounds = 1, count, touch = NO;
static uint8_t *source; /* --touch copy */

static void wait_for(const char *what, demi_qtoken_t qt, demi_qresult_t *qr)
{
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (__builtin_expect(qr->qr_opcode == DEMI_OPC_FAILED, 0))
		must(what, (int)qr->qr_ret);
}

/* ---- server */

static void receive(int qd, struct received *got_out)
{
	uint64_t start = 0;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	uint32_t len;

	got_out->bytes = 0;
	for (;;) {
		must("demi_pop", demi_pop(&qt, qd));
		wait_for("pop", qt, &qr);
		len = qr.qr_value.sga.sga_segs[0].sgaseg_len;
		must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
		if (!len)
			break;
		if (!start)
			start = clock_ns();
		got_out->bytes += len;
	}
	got_out->ns = clock_ns() - start;
}

static void tell(int qd, const struct received *got)
{
	demi_sgarray_t sga = demi_sgaalloc(sizeof(*got));
	demi_qresult_t qr;
	demi_qtoken_t qt;

	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc failed");
	memcpy(sga.sga_segs[0].sgaseg_buf, got, sizeof(*got));
	must("demi_push", demi_push(&qt, qd, &sga));
	must("demi_sgafree", demi_sgafree(&sga));
	wait_for("push", qt, &qr);
}

static void server(void)
{
	socklen_t len = sizeof(ends.addr);
	struct received got;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int listener;

	must("demi_socket", demi_socket(&listener, AF_INET, SOCK_STREAM, 0));
	must("demi_bind", demi_bind(listener, (const struct sockaddr *)&ends.addr, len));
	must("demi_listen", demi_listen(listener, SOMAXCONN));
	must("demi_getsockname", demi_getsockname(listener, (struct sockaddr *)&ends.addr, &len));
	ends_listening(&ends.addr);
	for (;;) {
		must("demi_accept", demi_accept(&qt, listener));
		wait_for("accept", qt, &qr);
		receive(qr.qr_value.ares.qd, &got);
		tell(qr.qr_value.ares.qd, &got);
		must("demi_close", demi_close(qr.qr_value.ares.qd));
	}
}

/* ---- client */

static void push_one(int qd, uint64_t number, demi_qtoken_t *qt_out)
{
	demi_sgarray_t sga = demi_sgaalloc(size);

	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc failed");
	if (touch == WRITE)
		touch_write(sga.sga_segs[0].sgaseg_buf, size, number);
	else if (touch == COPY)
		memcpy(sga.sga_segs[0].sgaseg_buf, source, size);
	must("demi_push", demi_push(qt_out, qd, &sga));
	must("demi_sgafree", demi_sgafree(&sga));
}

static bool more(uint64_t number, uint64_t end)
{
	return count ? number < count : clock_ns() < end;
}

static void push_all(int qd)
{
	uint64_t end = clock_ns() + ms * UINT64_C(1000000), number = 0, done = 0;
	demi_qtoken_t qts[MAX_INFLIGHT];
	demi_qresult_t qr;

	while (more(number, end)) {
		if (number - done == inflight)
			wait_for("push", qts[done++ % inflight], &qr);
		push_one(qd, number, &qts[number % inflight]);
		number++;
	}
	while (done < number)
		wait_for("push", qts[done++ % inflight], &qr);
}

static void one_round(void)
{
	struct received got;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd;

	must("demi_socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&ends.addr,
					  sizeof(ends.addr)));
	wait_for("connect", qt, &qr);
	push_all(qd);
	must("demi_shutdown", demi_shutdown(qd, SHUT_WR));
	must("demi_pop", demi_pop(&qt, qd));
	wait_for("pop", qt, &qr);
	if (qr.qr_value.sga.sga_segs[0].sgaseg_len != sizeof(got))
		errx(1, "the server's figures are not whole");
	memcpy(&got, qr.qr_value.sga.sga_segs[0].sgaseg_buf, sizeof(got));
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
	must("demi_close", demi_close(qd));
	if (count && got.bytes != (uint64_t)count * size)
		errx(1, "the server has had %llu bytes", (unsigned long long)got.bytes);
	printf("gbps %.3f bytes %llu\n", (double)got.bytes * 8 / (double)got.ns,
	       (unsigned long long)got.bytes);
}

int main(int argc, char **argv)
{
	static const char *const touches[] = { "no", "yes", "copy", NULL };
	const struct ends_option options[] = {
		{ "size", &size, 8, 16u << 20, NULL },
		{ "inflight", &inflight, 1, MAX_INFLIGHT, NULL },
		{ "ms", &ms, 1, 100000, NULL },
		{ "rounds", &n_rounds, 1, 100000, NULL },
		{ "count", &count, 0, 1000000, NULL },
		{ "touch", &touch, 0, 0, touches },
		{ 0 },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	ends_options(&ends, options, argc, argv);
	if (ends.udp)
		errx(2, "--proto: TCP only");
	size &= ~7u;
	source = calloc(1, size);
	if (!source)
		err(1, "calloc");
	must("demi_init", demi_init(NULL));
	if (!ends.client)
		server();
	for (uint32_t i = 0; i < n_rounds; i++)
		one_round();
	return 0;
}
