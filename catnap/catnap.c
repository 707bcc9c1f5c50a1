#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "libos/libos.h"
#include "libos/log.h"

#define LOOK_PASSES 8u	/* epoll is asked in every 8th pass, whoever is hot */

enum io_choice {
	IO_AUTO,
	IO_EPOLL,
	IO_URING,
};

static const char *const io_choices[] = { "auto", "epoll", "io_uring", NULL };

static const struct libos_key keys[] = {
	{ .name = "catnap.io", .type = LIBOS_KEY_CHOICE, .def = "auto", .choices = io_choices },
	{ .name = "catnap.read_ahead", .type = LIBOS_KEY_INT, .def = "64K",
	  .min = 4096, .max = 1 << 30 },
	{ .name = "catnap.buffer", .type = LIBOS_KEY_INT, .def = "64K",
	  .min = 4096, .max = 1 << 24 },
	{ .name = "catnap.send_window", .type = LIBOS_KEY_INT, .def = "256K",
	  .min = 1, .max = 1 << 30 },
	{ .name = "catnap.ring_buffers", .type = LIBOS_KEY_INT, .def = "128",
	  .min = 8, .max = 32768 },
	{ .name = "catnap.ring_buffer", .type = LIBOS_KEY_INT, .def = "32K",
	  .min = 2048, .max = 1 << 20 },
	{ .name = "catnap.zero_copy", .type = LIBOS_KEY_INT, .def = "64K",
	  .min = 1, .max = INT64_C(1) << 40 },
	{ .name = NULL },
};

static const struct libos_stat_name count_names[CATNAP_N_COUNTS] = {
	[CATNAP_C_RECV_CALLS] = { "catnap.recv_calls", DEMI_STAT_COUNTER },
	[CATNAP_C_RECV_BYTES] = { "catnap.recv_bytes", DEMI_STAT_COUNTER },
	[CATNAP_C_RECV_EMPTY] = { "catnap.recv_empty", DEMI_STAT_COUNTER },
	[CATNAP_C_RECV_NO_BUFFER] = { "catnap.recv_no_buffer", DEMI_STAT_COUNTER },
	[CATNAP_C_RESERVE_BYTES] = { "catnap.reserve_bytes", DEMI_STAT_COUNTER },
	[CATNAP_C_SEND_CALLS] = { "catnap.send_calls", DEMI_STAT_COUNTER },
	[CATNAP_C_SEND_BYTES] = { "catnap.send_bytes", DEMI_STAT_COUNTER },
	[CATNAP_C_SEND_BLOCKED] = { "catnap.send_blocked", DEMI_STAT_COUNTER },
	[CATNAP_C_SEND_LOST] = { "catnap.send_lost", DEMI_STAT_COUNTER },
	[CATNAP_C_PUSHES_HELD] = { "catnap.pushes_held", DEMI_STAT_COUNTER },
	[CATNAP_C_ZC_SENDS] = { "catnap.zero_copy_sends", DEMI_STAT_COUNTER },
	[CATNAP_C_ZC_COPIED] = { "catnap.zero_copy_copied", DEMI_STAT_COUNTER },
	[CATNAP_C_ZC_PENDING] = { "catnap.zero_copy_pending", DEMI_STAT_GAUGE },
	[CATNAP_C_GATHERED_BYTES] = { "catnap.gathered_bytes", DEMI_STAT_COUNTER },
	[CATNAP_C_JOINED_BYTES] = { "catnap.joined_bytes", DEMI_STAT_COUNTER },
	[CATNAP_C_READ_AHEAD] = { "catnap.read_ahead_bytes", DEMI_STAT_GAUGE },
	[CATNAP_C_AHEAD_STALLS] = { "catnap.read_ahead_stalls", DEMI_STAT_COUNTER },
	[CATNAP_C_ENOBUFS] = { "catnap.ring_no_buffer", DEMI_STAT_COUNTER },
	[CATNAP_C_RING_ENTERS] = { "catnap.ring_enters", DEMI_STAT_COUNTER },
	[CATNAP_C_ICMP_ERRORS] = { "catnap.icmp_errors", DEMI_STAT_COUNTER },
	[CATNAP_C_ACCEPT_NO_FD] = { "catnap.accept_no_descriptor", DEMI_STAT_COUNTER },
	[CATNAP_C_RESETS] = { "catnap.broken_connections", DEMI_STAT_COUNTER },
	[CATNAP_C_LINGERING] = { "catnap.lingering", DEMI_STAT_GAUGE },
};

/* ---- life */

static uint32_t round_down(int64_t n)
{
	return 1u << (31 - __builtin_clz((uint32_t)n));
}

static int seconds(const struct libos_settings *s, const char *name_ms)
{
	return (int)((libos_settings_int(s, name_ms) + 999) / 1000);
}

static void settings_apply(struct catnap_ctx *cc, const struct libos_settings *s)
{
	uint32_t buffer = (uint32_t)libos_settings_int(s, "catnap.buffer");
	int64_t zc = libos_settings_int(s, "catnap.zero_copy");

	cc->read_ahead = (uint32_t)libos_settings_int(s, "catnap.read_ahead");
	cc->rx_max_shift = (uint8_t)__builtin_ctz(round_down(buffer));
	cc->send_limit = (uint32_t)libos_settings_int(s, "catnap.send_window");
	cc->ring_bufs = round_down(libos_settings_int(s, "catnap.ring_buffers"));
	cc->ring_buf_size = round_down(libos_settings_int(s, "catnap.ring_buffer"));
	if (cc->ring_buf_size > cc->read_ahead / 2)
		cc->ring_buf_size = round_down(cc->read_ahead / 2);
	cc->zc_threshold = zc > UINT32_MAX ? UINT32_MAX : (uint32_t)zc;
	cc->nodelay = libos_settings_bool(s, "tcp_socket_options.nodelay");
	cc->keepalive = libos_settings_bool(s, "tcp_socket_options.keepalive.enabled");
	cc->keep_idle = seconds(s, "tcp_socket_options.keepalive.time_millis");
	cc->keep_intvl = seconds(s, "tcp_socket_options.keepalive.interval");
	cc->linger = libos_settings_bool(s, "tcp_socket_options.linger.enabled");
	cc->linger_s = (int)libos_settings_int(s, "tcp_socket_options.linger.time_seconds");
}

/* The ring's buffers, the reserve, small ones, and something to send and receive. */
static int uring_fits(const struct catnap_ctx *cc)
{
	uint64_t ring = (uint64_t)cc->ring_bufs * cc->ring_buf_size;
	uint64_t least = (ring + 5 * LIBOS_UNIT_SIZE - 1) & ~(LIBOS_UNIT_SIZE - 1);

	if (cc->base.os->pool_limit >= least)
		return 0;
	log_error("catnap: catnap.io is io_uring, but its buffers do not fit into a pool.max_bytes "
		  "below %llu", (unsigned long long)least);
	return ENOMEM;
}

/* auto is what small requests are served by fastest: epoll, by what was measured
 * (doc/catnap.md). io_uring has to be asked for, and then it has to work. */
static int io_open(struct catnap_ctx *cc, int choice)
{
	const char *why = "there is no memory";
	int err;

	if (choice != IO_URING)
		return 0;
	err = uring_fits(cc);
	if (err)
		return err;
	err = catnap_uring_open(cc, &why, &cc->uring);
	if (err)
		log_error("catnap: catnap.io is io_uring, but %s", why);
	return err;
}

static void fini(struct libos_ctx *ctx)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;

	while (!list_empty(&cc->zombies)) {
		struct catnap_sock *s = list_first(&cc->zombies, struct catnap_sock, link);

		if (s->close_op)
			libos_op_fail(s->close_op, ECANCELED);
		catnap_sock_free(s);
	}
	if (cc->uring)
		catnap_uring_close(cc);
	while (cc->tx_free) {
		struct catnap_tx *tx = cc->tx_free;

		cc->tx_free = tx->next;
		free(tx);
	}
	while (cc->batch_free) {
		struct catnap_batch *b = cc->batch_free;

		cc->batch_free = b->next;
		free(b);
	}
	free(cc->scratch);
}

/* Others may have held buffers of the reserve until now. */
static void mem_done(struct libos_ctx *ctx)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;

	catnap_reserve_close(cc);
	free(cc);
}

static int init(struct libos *os, struct libos_ctx **ctx_out)
{
	struct catnap_ctx *cc = calloc(1, sizeof(*cc));
	int err;

	if (!cc)
		return ENOMEM;
	cc->base.be = &catnap_backend;
	cc->base.os = os;
	list_init(&cc->starved);
	list_init(&cc->sending);
	list_init(&cc->gathered);
	list_init(&cc->doubtful);
	list_init(&cc->zombies);
	settings_apply(cc, os->settings);
	cc->count = libos_stats_add(&os->stats, count_names, CATNAP_N_COUNTS);
	err = io_open(cc, libos_settings_choice(os->settings, "catnap.io"));
	if (err) {
		fini(&cc->base);
		mem_done(&cc->base);
		return err;
	}
	*ctx_out = &cc->base;
	return 0;
}

/* ---- passes */

/* What waits here already goes first, for it may free buffers of the ring. */
static void starved_serve(struct catnap_ctx *cc)
{
	struct list again;

	list_init(&again);
	list_splice_tail(&again, &cc->starved);
	while (!list_empty(&again)) {
		struct catnap_sock *s = list_first(&again, struct catnap_sock, link);

		list_del(&s->link);
		list_add_tail(&cc->starved, &s->link);
		catnap_rx_serve(s);
	}
}

static void ring_retry(struct catnap_sock *s)
{
	catnap_rx_serve(s);
	if (!list_empty(&s->q.waiting) && !s->eof)
		catnap_uring_arm(s);
}

static void starved_retry(struct catnap_ctx *cc)
{
	struct list again;

	libos_pass_is_slow(cc->base.os);
	if (cc->uring) {
		catnap_uring_retry(cc);
		starved_serve(cc);
	}
	list_init(&again);
	list_splice_tail(&again, &cc->starved);
	while (!list_empty(&again)) {
		struct catnap_sock *s = list_first(&again, struct catnap_sock, link);

		list_del(&s->link);
		if (s->q.type == LIBOS_DGRAM)
			catnap_dgram_rx(s);
		else if (!cc->uring)
			catnap_rx(s);
		else
			ring_retry(s);
	}
}

/* Looks at the hot queue's socket without being told to. */
static bool hot_look(struct catnap_sock *s)
{
	if (list_empty(&s->q.waiting))
		return false;
	s->readable = true;
	return s->q.type == LIBOS_DGRAM ? catnap_dgram_rx(s) : catnap_rx(s);
}

/* A few of the sockets that are probably empty, and fewer where there is something
 * else to do. */
static bool doubtful_look(struct catnap_ctx *cc, bool busy)
{
	if (cc->base.os->thorough)
		return catnap_dgram_look(cc, UINT32_MAX);
	if (busy && cc->passes % LOOK_PASSES)
		return false;
	return catnap_dgram_look(cc, busy ? 1 : 4);
}

static bool poll(struct libos_ctx *ctx, uint64_t now)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;
	bool moved = false, look = ++cc->passes % LOOK_PASSES == 0;

	(void)now;
	if (unlikely(!list_empty(&cc->starved)))
		starved_retry(cc);
	if (cc->uring) {
		moved = catnap_uring_poll(cc);
		look |= cc->n_watched && !moved && !cc->hot;
	} else {
		look |= !cc->hot || list_empty(&cc->hot->q.waiting);
	}
	if (cc->hot)
		moved |= hot_look(cc->hot);
	if (look)
		moved |= libos_watches_poll(&ctx->os->watches, 0);
	if (!list_empty(&cc->doubtful))
		moved |= doubtful_look(cc, moved);
	return moved;
}

static void flush(struct libos_ctx *ctx)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;
	int saved = errno;

	while (!list_empty(&cc->gathered))
		catnap_dgram_flush(list_first(&cc->gathered, struct catnap_sock, gather_link));
	errno = saved;
}

static bool sleep_prepare(struct libos_ctx *ctx, uint64_t *deadline)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;
	uint64_t done = ctx->os->ops.done_seq;

	(void)deadline;
	if (!list_empty(&cc->starved))
		starved_retry(cc);
	if (ctx->os->ops.done_seq != done)
		return false;
	if (!list_empty(&cc->doubtful) && catnap_dgram_look(cc, UINT32_MAX))
		return false;
	return !cc->uring || catnap_uring_sleep(cc);
}

static void sleep_done(struct libos_ctx *ctx)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;

	if (cc->uring)
		catnap_uring_awake(cc);
}

static bool owes(struct libos_ctx *ctx)
{
	const struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;

	return !list_empty(&cc->sending) || cc->n_owed;
}

/* ---- operations in hand */

static bool cancel(struct libos_queue *q, struct libos_op *op)
{
	struct catnap_sock *s = catnap_sock(q);
	struct sockaddr_in to;

	if (op == s->close_op) {
		s->close_op = NULL;
	} else if (op == q->connect) {
		q->connect = NULL;
		catnap_connect_undo(s);
	} else if (op->opcode == DEMI_OPC_PUSH) {
		catnap_dgram_to(s, op, &to);
	}
	return true;
}

/* The two calls that are on every request's way, and make system calls. */
static int push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		const struct sockaddr_in *to)
{
	int saved = errno, err = catnap_push(q, op, io, to);

	errno = saved;
	return err;
}

static int pop(struct libos_queue *q, struct libos_op *op)
{
	int saved = errno, err = catnap_pop(q, op);

	errno = saved;
	return err;
}

const struct libos_backend catnap_backend = {
	.name = "catnap",
	.caps = LIBOS_CAP_SOCKETS,
	.keys = keys,
	.init = init,
	.fini = fini,
	.mem = NULL,
	.mem_done = mem_done,
	.socket = catnap_socket,
	.pipe = libos_no_pipe,
	.bind = catnap_bind,
	.listen = catnap_listen,
	.accept = catnap_accept,
	.connect = catnap_connect,
	.push = push,
	.pop = pop,
	.shutdown = catnap_shutdown,
	.close = catnap_close,
	.cancel = cancel,
	.setsockopt = catnap_setsockopt,
	.getsockopt = catnap_getsockopt,
	.getsockname = catnap_getsockname,
	.getpeername = catnap_getpeername,
	.poll = poll,
	.flush = flush,
	.sleep_prepare = sleep_prepare,
	.sleep_done = sleep_done,
	.owes = owes,
};
