/*
 * One connection with one request under way: how long until the answer is here.
 * Each round can take a cache line's there and back before and after (--line), or
 * the same again with more connections that do nothing, each with pops that wait
 * (--idle, --pops), all from the one client or each from a process of its own
 * (--crowd). --memory tells what such connections cost.
 *
 *	pingpong [--ms N] [--rounds N] [--batch N] [--next-n] [--line]
 *		[--idle N [--pops N] [--crowd] [--memory]]
 *
 * A request is 64 bytes in a buffer of its own, written, pushed and freed; its
 * answer is the same buffer, pushed back. The clock is read once a batch, so that
 * it costs nothing; the percentiles are over the means of batches.
 */
#include "config.h"

#include <demi/libos.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/crowd.h"
#include "bench/hist.h"
#include "bench/line.h"
#include "bench/must.h"
#include "bench/pair.h"
#include "bench/usage.h"

#define SIZE 64
#define RESULTS 16
#define MAX_IDLE 10000u
#define MAX_POPS 100000u

enum command {
	ECHO,
	OPEN,			/* idle more connections, pops on each */
	SHUT,			/* closes them */
	USAGE,			/* the answer holds a struct usage */
	LINE,			/* after the answer hands the line back until it stops */
};

/* What stands in a request. */
struct request {
	uint32_t command;
	uint32_t idle;
	uint32_t pops;
	uint32_t number;
	union {
		struct usage usage;
		uint8_t rest[SIZE - 16];
	};
};

static struct options {
	uint32_t ms, rounds, batch, idle, pops;
	int next_n, line, crowd, memory;
} opts = { .ms = 200, .rounds = 1, .batch = 16, .pops = 1 };

static struct pair pair;
static struct line *line;
static int idle_qds[MAX_IDLE];
static demi_qtoken_t idle_pops[MAX_POPS];
static struct hist hist; /* of tenths of a nanosecond */

static void idle_open(uint32_t n, uint32_t pops)
{
	if (pair.client && opts.crowd) {
		crowd_connect(&pair.addr, n);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		idle_qds[i] = pair.client ? pair_connect(&pair) : pair_accept(&pair);
	for (uint32_t i = 0; i < n * pops; i++)
		must("demi_pop", demi_pop(&idle_pops[i], idle_qds[i / pops]));
}

static void idle_shut(uint32_t n, uint32_t pops)
{
	demi_qresult_t qr;

	if (pair.client && opts.crowd) {
		crowd_leave();
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		must("demi_close", demi_close(idle_qds[i]));
	for (uint32_t i = 0; i < n * pops; i++) {
		must("demi_wait", demi_wait(&qr, idle_pops[i], NULL));
		if (qr.qr_opcode == DEMI_OPC_POP)
			demi_sgafree(&qr.qr_value.sga);
	}
}

/* Pushes the whole of sga and gives it back. */
static void send_sga(demi_sgarray_t *sga)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_push", demi_push(&qt, pair.qd, sga));
	must("demi_sgafree", demi_sgafree(sga));
	if (opts.next_n && !pair.client)
		return; /* its completion comes with the others */
	must("demi_wait", demi_wait(&qr, qt, NULL));
	if (__builtin_expect(qr.qr_opcode != DEMI_OPC_PUSH, 0))
		must("push", (int)qr.qr_ret);
}

static struct request *request_new(demi_sgarray_t *sga, uint32_t command)
{
	struct request *rq;

	*sga = demi_sgaalloc(SIZE);
	if (__builtin_expect(!sga->sga_numsegs, 0))
		errx(1, "demi_sgaalloc failed");
	rq = sga->sga_segs[0].sgaseg_buf;
	rq->command = command;
	return rq;
}

/* An answer that holds more than the request did. */
static void answer_usage(void)
{
	demi_sgarray_t sga;
	struct request *rq = request_new(&sga, USAGE);

	usage_read(&rq->usage);
	send_sga(&sga);
}

/* Does what the request says and answers; false at the end of the stream. */
static bool serve(demi_qresult_t *qr)
{
	demi_sgarray_t *sga = &qr->qr_value.sga;
	const struct request *rq = sga->sga_segs[0].sgaseg_buf;
	bool hand_back;

	if (qr->qr_opcode != DEMI_OPC_POP)
		must("pop", (int)qr->qr_ret);
	if (sga->sga_segs[0].sgaseg_len != SIZE)
		return false;
	if (rq->command == OPEN)
		idle_open(rq->idle, rq->pops);
	else if (rq->command == SHUT)
		idle_shut(rq->idle, rq->pops);
	hand_back = rq->command == LINE;
	if (rq->command == USAGE) {
		demi_sgafree(sga);
		answer_usage();
	} else {
		send_sga(sga);
	}
	if (hand_back)
		line_answer(line);
	return true;
}

/* As a server of many does it: whatever has finished, whichever it is. */
static void server_next_n(void)
{
	demi_qresult_t qrs[RESULTS];
	demi_qtoken_t qt;
	int n;

	must("demi_pop", demi_pop(&qt, pair.qd));
	for (;;) {
		must("demi_wait_next_n", demi_wait_next_n(qrs, RESULTS, &n, NULL));
		for (int i = 0; i < n; i++) {
			if (qrs[i].qr_opcode == DEMI_OPC_PUSH)
				continue;
			if (!serve(&qrs[i]))
				return;
			must("demi_pop", demi_pop(&qt, pair.qd));
		}
	}
}

static void server(void)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	if (opts.next_n) {
		server_next_n();
		return;
	}
	do {
		must("demi_pop", demi_pop(&qt, pair.qd));
		must("demi_wait", demi_wait(&qr, qt, NULL));
	} while (serve(&qr));
}

/* Waits for the answer; its bytes, until they are freed. */
static const struct request *receive(demi_qresult_t *qr)
{
	demi_qtoken_t qt;

	must("demi_pop", demi_pop(&qt, pair.qd));
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (__builtin_expect(qr->qr_opcode != DEMI_OPC_POP, 0))
		must("pop", (int)qr->qr_ret);
	if (__builtin_expect(qr->qr_value.sga.sga_segs[0].sgaseg_len != SIZE, 0))
		errx(1, "an answer is not whole");
	return qr->qr_value.sga.sga_segs[0].sgaseg_buf;
}

static void round_trip(uint32_t number)
{
	demi_sgarray_t sga;
	demi_qresult_t qr;
	struct request *rq = request_new(&sga, ECHO);

	rq->number = number;
	memset(rq->rest, (int)number, sizeof(rq->rest));
	send_sga(&sga);
	if (__builtin_expect(receive(&qr)->number != number, 0))
		errx(1, "a wrong answer");
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
}

static double measure(void)
{
	uint64_t start = clock_ns(), last = start, now;
	uint64_t duration = opts.ms * UINT64_C(1000000);
	uint32_t number = 0;

	memset(&hist, 0, sizeof(hist));
	do {
		for (uint32_t i = 0; i < opts.batch; i++)
			round_trip(number++);
		now = clock_ns();
		if (last - start >= duration / 10)
			hist_add(&hist, (now - last) * 10 / opts.batch);
		last = now;
	} while (now - start < duration || !hist.n);
	return hist_quantile(&hist, 0.5) / 10;
}

static void command(enum command what, struct usage *usage_out)
{
	demi_sgarray_t sga;
	demi_qresult_t qr;
	struct request *rq = request_new(&sga, what);
	const struct request *answer;

	rq->idle = opts.idle;
	rq->pops = opts.pops;
	send_sga(&sga);
	if (what == OPEN)
		idle_open(opts.idle, opts.pops);
	answer = receive(&qr);
	if (usage_out)
		*usage_out = answer->usage;
	demi_sgafree(&qr.qr_value.sga);
	/* The server has closed its ends by now: an end of stream that came while
	 * it waits for whatever finishes would be taken for a request. */
	if (what == SHUT)
		idle_shut(opts.idle, opts.pops);
}

static double measure_line(void)
{
	command(LINE, NULL);
	return line_measure(line, opts.ms * UINT64_C(500000));
}

static void round_of_line(void)
{
	double before = measure_line(), p50 = measure();

	printf("p50_ns %.1f line %.1f %.1f\n", p50, before, measure_line());
}

static void round_of_idle(void)
{
	double without = measure(), with;

	command(OPEN, NULL);
	with = measure();
	command(SHUT, NULL);
	printf("p50_ns %.1f with %.1f\n", without, with);
}

static void rounds(void)
{
	for (uint32_t i = 0; i < opts.rounds; i++) {
		if (opts.line)
			round_of_line();
		else if (opts.idle)
			round_of_idle();
		else
			printf("p50_ns %.1f\n", measure());
	}
}

static void print_growth(const char *side, const struct usage *from, const struct usage *to)
{
	double n = opts.idle;

	printf("%s rss %.0f own %.0f mapped %.0f fds %.3f\n", side,
	       (double)(to->rss - from->rss) / n, (double)(to->own - from->own) / n,
	       (double)(to->mapped - from->mapped) / n, (double)(to->fds - from->fds) / n);
}

/* Before anything is counted, whatever is made at first use has been made. */
static void memory(void)
{
	struct usage client[2], other[2];
	int64_t shared[2];

	measure();
	for (int i = 0; i < 2; i++) {
		if (i)
			command(OPEN, NULL);
		command(USAGE, &other[i]);
		usage_read(&client[i]);
		shared[i] = usage_shared_memory();
	}
	print_growth("client", &client[0], &client[1]);
	print_growth("server", &other[0], &other[1]);
	printf("shared %.0f\n", (double)(shared[1] - shared[0]) / opts.idle);
	command(SHUT, NULL);
}

static uint32_t number_of(const char *text, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || v < 1 || v > max)
		errx(2, "%s is not a number from 1 to %u", text, max);
	return (uint32_t)v;
}

static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ms", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "batch", required_argument, NULL, 'b' },
		{ "idle", required_argument, NULL, 'i' },
		{ "pops", required_argument, NULL, 'p' },
		{ "line", no_argument, &opts.line, 1 },
		{ "crowd", no_argument, &opts.crowd, 1 },
		{ "next-n", no_argument, &opts.next_n, 1 },
		{ "memory", no_argument, &opts.memory, 1 },
		{ 0 },
	};
	uint32_t *const numbers[] = { &opts.ms, &opts.rounds, &opts.batch, &opts.idle, &opts.pops };
	int c, at;

	while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (c == '?')
			exit(2);
		if (c)
			*numbers[at] = number_of(optarg, MAX_POPS);
	}
	if (optind != argc)
		errx(2, "no argument is wanted");
	if (opts.idle > MAX_IDLE || (uint64_t)opts.idle * opts.pops > MAX_POPS)
		errx(2, "too many connections or pops");
	if (opts.line && opts.next_n)
		errx(2, "--line wants a server that waits for its pushes");
	if ((opts.memory || opts.crowd) && !opts.idle)
		errx(2, "--memory and --crowd are about --idle connections");
}

int main(int argc, char **argv)
{
	_Static_assert(sizeof(struct request) == SIZE, "a request is 64 bytes");
	options(argc, argv);
	/* Pages of our own are there before anything is counted. */
	memset(idle_pops, 0xff, sizeof(idle_pops));
	memset(idle_qds, 0xff, sizeof(idle_qds));
	memset(&hist, 0xff, sizeof(hist));
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (opts.crowd)
		crowd_start();
	line = line_new();
	pair_start(&pair);
	if (!pair.client) {
		server();
		return 0;
	}
	if (opts.memory)
		memory();
	else
		rounds();
	return pair_end(&pair);
}
