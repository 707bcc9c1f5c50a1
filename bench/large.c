/*
 * Large messages, one at a time: how long from the buffer's allocation until the
 * 64-byte answer is here. Nobody looks at the bytes; or, touched, the sender writes
 * and the receiver reads every one of them. Slices of that alternate with slices of
 * the two passes alone, in the same two processes, over plain shared memory: each
 * pass is timed where it runs, and the hand-over between them is left out.
 *
 *	large [--ms N] [--slices N] [--touch] SIZE...
 */
#include "config.h"

#include <demi/libos.h>
#include <err.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/cpu.h"
#include "bench/hist.h"
#include "bench/must.h"
#include "bench/pair.h"
#include "bench/touch.h"

#define ANSWER_SIZE 64u
#define MAX_SIZE (16u << 20)
#define UNCHECKED UINT64_MAX

enum mode {
	UNTOUCHED,
	TOUCHED,
	ALONE,			/* the passes, without Clowder */
	STOP,
};

/* What the client announces before each series, in a message of its own. */
struct series {
	uint32_t mode;
	uint32_t size;
	uint32_t n;		/* messages */
	uint8_t rest[ANSWER_SIZE - 12];
};

/* Memory of both processes for the passes alone. */
struct alone {
	_Atomic uint64_t written __attribute__((__aligned__(64)));
	_Atomic uint64_t read __attribute__((__aligned__(64)));
	uint64_t read_ns;	/* what the reader's pass took */
	uint64_t sum;
	uint8_t data[MAX_SIZE] __attribute__((__aligned__(4096)));
};

static struct pair pair;
static struct alone *alone;
static struct hist hist;

static void pop_one(demi_qresult_t *qr)
{
	demi_qtoken_t qt;

	must("demi_pop", demi_pop(&qt, pair.qd));
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (qr->qr_opcode != DEMI_OPC_POP)
		must("pop", (int)qr->qr_ret);
	if (qr->qr_value.sga.sga_segs[0].sgaseg_len == 0)
		errx(1, "the other end has gone");
}

static demi_sgarray_t alloc(uint32_t size)
{
	demi_sgarray_t sga = demi_sgaalloc(size);

	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc of %u bytes failed", size);
	return sga;
}

static void push_free(demi_sgarray_t *sga)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_push", demi_push(&qt, pair.qd, sga));
	must("demi_sgafree", demi_sgafree(sga));
	must("demi_wait", demi_wait(&qr, qt, NULL));
	if (qr.qr_opcode != DEMI_OPC_PUSH)
		must("push", (int)qr.qr_ret);
}

/* Pops until `size` bytes have come; the sum of their words, if they are touched.
 * UNCHECKED if a word was cut in two on the way. */
static uint64_t receive(uint32_t size, bool touch)
{
	const demi_sgaseg_t *seg;
	bool whole = touch;
	uint64_t sum = 0;
	demi_qresult_t qr;

	while (size) {
		pop_one(&qr);
		seg = &qr.qr_value.sga.sga_segs[0];
		if (seg->sgaseg_len > size)
			errx(1, "%u bytes too many", seg->sgaseg_len - size);
		size -= seg->sgaseg_len;
		if (touch)
			sum += touch_read(seg->sgaseg_buf, seg->sgaseg_len & ~7u);
		if (seg->sgaseg_len % 8)
			whole = false;
		must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
	}
	return whole ? sum : UNCHECKED;
}

static void answer(uint64_t sum)
{
	demi_sgarray_t sga = alloc(ANSWER_SIZE);

	memcpy(sga.sga_segs[0].sgaseg_buf, &sum, sizeof(sum));
	push_free(&sga);
}

static void read_alone(const struct series *series)
{
	for (uint64_t number = 1; number <= series->n; number++) {
		uint64_t start;

		while (atomic_load_explicit(&alone->written, memory_order_acquire) != number)
			;
		start = clock_ns();
		alone->sum = touch_read(alone->data, series->size);
		alone->read_ns = clock_ns() - start;
		atomic_store_explicit(&alone->read, number, memory_order_release);
	}
}

static void pop_series(struct series *series_out)
{
	demi_qresult_t qr;

	pop_one(&qr);
	if (qr.qr_value.sga.sga_segs[0].sgaseg_len != sizeof(*series_out))
		errx(1, "a series' announcement is not whole");
	memcpy(series_out, qr.qr_value.sga.sga_segs[0].sgaseg_buf, sizeof(*series_out));
	demi_sgafree(&qr.qr_value.sga);
}

/* Series after series, each announced. */
static void server(void)
{
	struct series series;

	for (;;) {
		pop_series(&series);
		answer(0);
		if (series.mode == STOP)
			return;
		if (series.mode == ALONE)
			read_alone(&series);
		for (uint32_t i = 0; series.mode != ALONE && i < series.n; i++)
			answer(receive(series.size, series.mode == TOUCHED));
	}
}

static uint64_t await_answer(void)
{
	demi_qresult_t qr;
	uint64_t sum;

	pop_one(&qr);
	if (qr.qr_value.sga.sga_segs[0].sgaseg_len != ANSWER_SIZE)
		errx(1, "an answer is not whole");
	memcpy(&sum, qr.qr_value.sga.sga_segs[0].sgaseg_buf, sizeof(sum));
	must("demi_sgafree", demi_sgafree(&qr.qr_value.sga));
	return sum;
}

static void announce(enum mode mode, uint32_t size, uint32_t n)
{
	demi_sgarray_t sga = alloc(sizeof(struct series));
	struct series *series = sga.sga_segs[0].sgaseg_buf;

	atomic_store(&alone->written, 0);
	atomic_store(&alone->read, 0);
	series->mode = mode;
	series->size = size;
	series->n = n;
	push_free(&sga);
	await_answer();
}

static uint64_t one_message(uint32_t size, bool touch, uint64_t number)
{
	uint64_t start = clock_ns(), sum;
	demi_sgarray_t sga = alloc(size);

	if (touch)
		touch_write(sga.sga_segs[0].sgaseg_buf, size, number);
	push_free(&sga);
	sum = await_answer();
	if (sum != UNCHECKED && sum != touch_sum(size, number))
		errx(1, "the receiver has read something else");
	return clock_ns() - start;
}

/* Both passes once; their time. */
static uint64_t one_alone(uint32_t size, uint64_t number)
{
	uint64_t start = clock_ns(), write_ns;

	touch_write(alone->data, size, number);
	write_ns = clock_ns() - start;
	atomic_store_explicit(&alone->written, number, memory_order_release);
	while (atomic_load_explicit(&alone->read, memory_order_acquire) != number)
		;
	if (alone->sum != touch_sum(size, number))
		errx(1, "the reader has read something else");
	return write_ns + alone->read_ns;
}

/* n messages; the median time of one. */
static double run(enum mode mode, uint32_t size, uint32_t n)
{
	announce(mode, size, n);
	memset(&hist, 0, sizeof(hist));
	for (uint64_t number = 1; number <= n; number++)
		hist_add(&hist, mode == ALONE ? one_alone(size, number) :
						one_message(size, mode == TOUCHED, number));
	return hist_quantile(&hist, 0.5);
}

static void measure(uint32_t size, bool touch, uint32_t ms, uint32_t slices)
{
	enum mode mode = touch ? TOUCHED : UNTOUCHED;
	uint32_t n = (uint32_t)(ms * 1e6 / run(mode, size, 20)) + 20;

	for (uint32_t i = 0; i < slices; i++) {
		double p50 = run(mode, size, n);

		if (touch)
			printf("size %u p50_ns %.0f alone %.0f\n", size, p50, run(ALONE, size, n));
		else
			printf("size %u p50_ns %.0f\n", size, p50);
	}
}

static uint32_t number_of(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || v < min || v > max)
		errx(2, "%s is not a number from %u to %u", text, min, max);
	return (uint32_t)v;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ms", required_argument, NULL, 'm' },
		{ "slices", required_argument, NULL, 's' },
		{ "touch", no_argument, NULL, 't' },
		{ 0 },
	};
	uint32_t ms = 20, slices = 1;
	bool touch = false;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			exit(2);
		if (c == 't')
			touch = true;
		else
			*(c == 'm' ? &ms : &slices) = number_of(optarg, 1, 100000);
	}
	for (int i = optind; i < argc; i++)
		number_of(argv[i], ANSWER_SIZE, MAX_SIZE);
	alone = mmap(NULL, sizeof(*alone), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (alone == MAP_FAILED)
		err(1, "mmap");
	setvbuf(stdout, NULL, _IOLBF, 0);
	pair_start(&pair);
	if (!pair.client) {
		server();
		return 0;
	}
	for (; optind < argc; optind++)
		measure(number_of(argv[optind], ANSWER_SIZE, MAX_SIZE) & ~7u, touch, ms, slices);
	announce(STOP, 0, 0);
	return pair_end(&pair);
}
