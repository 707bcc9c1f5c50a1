#include "config.h"

#include "tests/system/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORD sizeof(uint64_t)
#define STEP UINT64_C(0x9e3779b97f4a7c15)

static const char magic[8] = "CLOWPEER";

/* ---- the pattern: each word says where in which stream it is */

static uint64_t word_at(uint64_t seed, uint64_t i)
{
	return (seed ^ STEP) * STEP + i * STEP;
}

static void fill(uint64_t seed, uint64_t at, uint8_t *out, size_t len)
{
	uint64_t i = at / WORD;
	size_t skip = at % WORD;

	while (len > 0) {
		uint64_t word = word_at(seed, i++);
		size_t n = WORD - skip < len ? WORD - skip : len;

		memcpy(out, (uint8_t *)&word + skip, n);
		out += n;
		len -= n;
		skip = 0;
	}
}

static bool check(uint64_t seed, uint64_t at, const uint8_t *in, size_t len)
{
	uint64_t i = at / WORD;
	size_t skip = at % WORD;

	while (len > 0) {
		uint64_t word = word_at(seed, i++);
		size_t n = WORD - skip < len ? WORD - skip : len;
		/* of one length, it is no call */
		bool same = n == WORD ? memcmp(in, &word, WORD) == 0
				      : memcmp(in, (uint8_t *)&word + skip, n) == 0;

		if (!same)
			return false;
		in += n;
		len -= n;
		skip = 0;
	}
	return true;
}

/* ---- flows */

static uint64_t out_seed(const struct peer_flow *flow)
{
	return flow->server ? ~flow->header.seed : flow->header.seed;
}

static void set_lengths(struct peer_flow *flow)
{
	uint64_t put = flow->header.op & PEER_PUT ? flow->header.len : 0;
	uint64_t get = flow->header.op & PEER_GET ? flow->header.len : 0;

	flow->out_len = flow->server ? get : put;
	flow->in_len = flow->server ? put : get;
	sha256_begin(&flow->out_sha);
	sha256_begin(&flow->in_sha);
}

void peer_flow_client(struct peer_flow *flow, enum peer_op op, uint64_t seed, uint64_t len)
{
	*flow = (struct peer_flow){.header = {.op = op, .seed = seed, .len = len}};
	memcpy(flow->header.magic, magic, sizeof(magic));
	flow->held = op == PEER_BOTH;
	set_lengths(flow);
}

void peer_flow_server(struct peer_flow *flow)
{
	*flow = (struct peer_flow){.server = true};
}

static size_t peek_bytes(const void *from, size_t size, uint32_t at, void *buf, size_t room)
{
	size_t n = size - at < room ? size - at : room;

	memcpy(buf, (const uint8_t *)from + at, n);
	return n;
}

static bool receipt_is_due(const struct peer_flow *flow)
{
	return flow->server && flow->n_header == sizeof(flow->header) &&
	       flow->in == flow->in_len && flow->out == flow->out_len;
}

/* Once all has passed. */
static struct peer_receipt receipt_make(struct peer_flow *flow)
{
	struct peer_receipt r = {.in = flow->server ? flow->in : flow->out};

	sha256_end(&flow->in_sha, flow->server ? r.in_hash : r.out_hash);
	sha256_end(&flow->out_sha, flow->server ? r.out_hash : r.in_hash);
	return r;
}

size_t peer_flow_peek(struct peer_flow *flow, void *buf, size_t room)
{
	uint64_t end = flow->held ? flow->out_len / 2 : flow->out_len;
	uint64_t left = end - flow->out;

	if (!flow->server && flow->n_header < sizeof(flow->header))
		return peek_bytes(&flow->header, sizeof(flow->header), flow->n_header, buf, room);
	if (left > 0) {
		size_t n = left < room ? (size_t)left : room;

		fill(out_seed(flow), flow->out, buf, n);
		return n;
	}
	if (flow->held || !receipt_is_due(flow))
		return 0;
	if (!flow->receipt.in_hash[0])
		flow->receipt = receipt_make(flow);
	return peek_bytes(&flow->receipt, sizeof(flow->receipt), flow->n_receipt, buf, room);
}

void peer_flow_sent(struct peer_flow *flow, const void *bytes, size_t n)
{
	if (!flow->server && flow->n_header < sizeof(flow->header)) {
		flow->n_header += (uint32_t)n;
	} else if (flow->out < flow->out_len) {
		sha256_add(&flow->out_sha, bytes, n);
		flow->out += n;
	} else {
		flow->n_receipt += (uint32_t)n;
	}
}

/* How many of the bytes went into it. */
static size_t take_bytes(void *to, size_t size, uint32_t *at, const uint8_t *bytes, size_t len)
{
	size_t n = size - *at < len ? size - *at : len;

	memcpy((uint8_t *)to + *at, bytes, n);
	*at += (uint32_t)n;
	return n;
}

static const char *take_header(struct peer_flow *flow)
{
	if (memcmp(flow->header.magic, magic, sizeof(magic)) != 0 || flow->header.op < PEER_PUT ||
	    flow->header.op > PEER_BOTH)
		return "not a header";
	set_lengths(flow);
	return NULL;
}

/* What the server says came and was sent is what we sent and what came. */
static const char *check_receipt(struct peer_flow *flow)
{
	struct peer_receipt ours;

	if (flow->in < flow->in_len || flow->out < flow->out_len)
		return "a receipt too early";
	ours = receipt_make(flow);
	if (flow->receipt.in != ours.in || strcmp(flow->receipt.in_hash, ours.in_hash) != 0)
		return "what the server got has another hash";
	return strcmp(flow->receipt.out_hash, ours.out_hash) != 0 ?
	       "what the server sent has another hash" : NULL;
}

const char *peer_flow_take(struct peer_flow *flow, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	const char *why = NULL;

	if (flow->server && flow->n_header < sizeof(flow->header)) {
		size_t n = take_bytes(&flow->header, sizeof(flow->header), &flow->n_header, bytes,
				      len);

		bytes += n;
		len -= n;
		if (flow->n_header == sizeof(flow->header))
			why = take_header(flow);
	}
	if (!why && len > 0 && flow->in < flow->in_len) {
		uint64_t left = flow->in_len - flow->in;
		size_t n = left < len ? (size_t)left : len;

		if (!check(~out_seed(flow), flow->in, bytes, n))
			why = "bytes that are not those that were sent";
		sha256_add(&flow->in_sha, bytes, n);
		flow->in += n;
		bytes += n;
		len -= n;
	}
	if (!why && len > 0 && !flow->server) {
		len -= take_bytes(&flow->receipt, sizeof(flow->receipt), &flow->n_receipt, bytes,
				  len);
		if (flow->n_receipt == sizeof(flow->receipt))
			why = check_receipt(flow);
	}
	return !why && len > 0 ? "more bytes than there should be" : why;
}

bool peer_flow_done(const struct peer_flow *flow)
{
	return flow->n_header == sizeof(flow->header) && flow->out == flow->out_len &&
	       flow->in == flow->in_len && flow->n_receipt == sizeof(flow->receipt);
}

/* ---- what both programs need besides */

void peer_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t peer_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void peer_args_parse(struct peer_args *args, int argc, char **argv)
{
	*args = (struct peer_args){.addr.sin_family = AF_INET, .stall_ns = 20000000000};
	if (argc < 4 || inet_pton(AF_INET, argv[2], &args->addr.sin_addr) != 1)
		peer_fail("see peer.h for the arguments");
	args->addr.sin_port = htons((uint16_t)atoi(argv[3]));
	if (argc == 4)
		return;
	if (argc < 7)
		peer_fail("see peer.h for the arguments");
	args->op = strcmp(argv[4], "put") == 0 ? PEER_PUT : strcmp(argv[4], "get") == 0 ? PEER_GET
										       : PEER_BOTH;
	args->connections = (uint32_t)atoi(argv[5]);
	args->len = strtoull(argv[6], NULL, 10);
	if (argc > 7)
		args->stall_ns = (uint64_t)(atof(argv[7]) * 1e9);
}

void peer_progress_begin(struct peer_progress *p, const struct peer_args *args)
{
	uint64_t ways = args->op == PEER_BOTH ? 2 : 1;

	*p = (struct peer_progress){.args = args, .began = peer_now(), .moved_ns = peer_now(),
				    .total = args->connections * ways * args->len};
}

void peer_progress_add(struct peer_progress *p, uint64_t bytes)
{
	p->moved += bytes;
	p->moved_ns = peer_now();
	if (p->told || p->moved < p->total / 10)
		return;
	p->told = true;
	printf("under way\n");
	fflush(stdout);
}

bool peer_progress_begun(struct peer_progress *p)
{
	p->begun++;
	if (p->begun < p->args->connections)
		return false;
	printf("all %u at once\n", p->begun);
	fflush(stdout);
	return true;
}

void peer_progress_check(const struct peer_progress *p)
{
	if (peer_now() > p->moved_ns + p->args->stall_ns)
		peer_fail("stalled: %" PRIu64 " of %" PRIu64 " bytes, %u of %u connections done",
			  p->moved, p->total, p->done, p->args->connections);
}

void peer_progress_end(const struct peer_progress *p, const char *extra)
{
	double seconds = (double)(peer_now() - p->began) / 1e9;

	printf("%u connections, %" PRIu64 " bytes with the same hashes in %.2f s, %.1f MB/s%s\n", p->args->connections,
	       p->total, seconds, (double)p->total / seconds / 1e6, extra);
}
