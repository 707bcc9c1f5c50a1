#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "catnip/keys.h"
#include "libos/settings.h"
#include "net/stack.h"

#define NAP_MIN (20 * NSEC_PER_USEC)
/* A peer that comes anew does not know that we are armed. */
#define ARMED_LOOK (50 * NSEC_PER_MSEC)
/* What was sent or came in may have armed a timer: it is looked for so late at most. */
#define TIMERS_LOOK (250 * NSEC_PER_USEC)

static const struct libos_stat_name count_names[CATNIP_N_COUNTS] = {
	[CATNIP_C_PUSHES_HELD] = { "catnip.pushes_held", DEMI_STAT_COUNTER },
	[CATNIP_C_TX_HELD] = { "catnip.tx_held", DEMI_STAT_COUNTER },
	[CATNIP_C_PINNED] = { "catnip.pinned_bytes", DEMI_STAT_GAUGE },
	[CATNIP_C_ICMP_ERRORS] = { "catnip.icmp_errors", DEMI_STAT_COUNTER },
	[CATNIP_C_RESETS] = { "catnip.broken_connections", DEMI_STAT_COUNTER },
	[CATNIP_C_LINGERING] = { "catnip.lingering", DEMI_STAT_GAUGE },
	[CATNIP_C_NAPS] = { "catnip.naps", DEMI_STAT_COUNTER },
};

static const struct libos_stat_name net_names[NET_N_COUNTS] = {
#define X(name, text) { "net." text, DEMI_STAT_COUNTER },
	NET_COUNTS(X)
#undef X
};

static struct catnip_ctx *ctx_of(struct libos_ctx *ctx)
{
	return (struct catnip_ctx *)(void *)ctx;
}

/* ---- memory that the port can reach */

static int mem_map(void *arg, size_t size, void **addr_out, void **priv_out)
{
	struct catnip_ctx *cn = arg;

	return catnip_mem_map(cn->port, size, addr_out, priv_out);
}

static void mem_unmap(void *arg, void *addr, size_t size, void *priv)
{
	struct catnip_ctx *cn = arg;

	catnip_mem_unmap(cn->port, addr, size, priv);
}

static const struct libos_mem_ops catnip_mem = { mem_map, mem_unmap };

/* ---- life */

static void fini(struct libos_ctx *ctx)
{
	struct catnip_ctx *cn = ctx_of(ctx);

	catnip_conns_close(cn);
	catnip_queues_fini(cn);
	if (cn->stack)
		net_stack_free(cn->stack);
	cn->stack = NULL;
	libos_watch_del(ctx->os, &cn->rx_watch);
	if (cn->port)
		catnip_port_close(cn->port);
}

/* Programs, and other backends, may have held buffers of the port until now. */
static void mem_done(struct libos_ctx *ctx)
{
	struct catnip_ctx *cn = ctx_of(ctx);

	if (cn->port)
		catnip_port_free(cn->port);
	free(cn);
}

/* The next pass looks at the port; what makes the descriptor readable is the
 * driver's to take away, and only an edge is heard. */
static void rx_ready(struct libos_watch *w, uint32_t events)
{
	(void)w, (void)events;
}

static int rx_watch_open(struct catnip_ctx *cn)
{
	int fd = catnip_port_rx_fd(cn->port);

	cn->rx_watch.ready = rx_ready;
	return fd < 0 ? 0 : libos_watch_add(cn->base.os, &cn->rx_watch, fd, EPOLLIN | EPOLLET);
}

static int open_parts(struct catnip_ctx *cn)
{
	struct libos *os = cn->base.os;
	int err;

	cn->count = libos_stats_add(&os->stats, count_names, CATNIP_N_COUNTS);
	cn->net_count = libos_stats_add(&os->stats, net_names, NET_N_COUNTS);
	err = catnip_port_open(os, &cn->port);
	if (!err)
		err = rx_watch_open(cn);
	if (!err)
		err = catnip_stack_open(cn);
	if (!err && !catnip_port_is_up(cn->port))
		net_link_lost(cn->stack, ECONNRESET); /* nobody is there yet */
	return err;
}

static int init(struct libos *os, struct libos_ctx **ctx_out)
{
	struct catnip_ctx *cn = calloc(1, sizeof(*cn));
	const struct libos_settings *set = os->settings;
	int err;

	if (!cn)
		return ENOMEM;
	cn->base.be = &catnip_backend;
	cn->base.os = os;
	cn->rx_watch.fd = -1;
	cn->nap_max = (uint64_t)libos_settings_int(set, "wait.nap_us") * NSEC_PER_USEC;
	cn->linger = libos_settings_bool(set, "tcp_socket_options.linger.enabled");
	cn->linger_s = (int)libos_settings_int(set, "tcp_socket_options.linger.time_seconds");
	err = open_parts(cn);
	if (err) {
		fini(&cn->base);
		mem_done(&cn->base);
		return err;
	}
	catnip_conns_open(cn);
	os->charger = &cn->base;
	*ctx_out = &cn->base;
	return 0;
}

/* ---- passes */

/* A timer may have been armed that cn->deadline knows nothing of. */
static inline void look_soon(struct catnip_ctx *cn)
{
	if (cn->deadline > cn->base.os->now + TIMERS_LOOK)
		cn->deadline = cn->base.os->now + TIMERS_LOOK;
}

/* On a private link the other process takes its connections with it. */
static void look_at_link(struct catnip_ctx *cn)
{
	bool up = catnip_port_is_up(cn->port);
	uint32_t losses = catnip_port_losses(cn->port);

	if (unlikely(losses != cn->losses))
		net_link_lost(cn->stack, ECONNRESET);
	if (unlikely(up && (!cn->up || losses != cn->losses)))
		net_link_back(cn->stack);
	cn->up = up;
	cn->losses = losses;
}

static slow_path void run_timers(struct catnip_ctx *cn)
{
	uint64_t now = cn->base.os->now;

	look_at_link(cn);
	cn->deadline = net_poll(cn->stack, now);
	catnip_conns_look(cn);
}

void catnip_catch_up(struct catnip_ctx *cn)
{
	cn->base.os->now = time_now();
	cn->cycles = time_cycles();
	run_timers(cn);
	cn->busy = true;
}

static force_inline void send_now(struct catnip_ctx *cn)
{
	bool all = net_flush(cn->stack) & !catnip_port_flush(cn->port);

	look_soon(cn);
	cn->busy = false;
	if (likely(all) && likely(net_is_idle(cn->stack)))
		return;
	cn->count[CATNIP_C_TX_HELD] += !all;
	/* packets to ourselves, too, and what a call of the program has raised */
	cn->busy = !all || net_has_unsent(cn->stack) || net_has_ready(cn->stack);
}

/* A push is over, and leaves errno alone. The first goes at once, those that follow
 * before the next pass together. */
void catnip_pushed(struct catnip_ctx *cn)
{
	struct libos *os = cn->base.os;
	int saved;

	if (os->unflushed || unlikely(os->dirty)) {
		libos_mark_dirty(os);
		return;
	}
	os->unflushed = 1;
	saved = errno;
	send_now(cn);
	errno = saved;
}

void catnip_send_now(struct catnip_ctx *cn)
{
	send_now(cn);
}

/* true: something has happened to a queue. */
static __attribute__((__noinline__)) bool serve(struct catnip_ctx *cn)
{
	struct net_sock *sock;
	uint32_t events;
	bool any = false;

	while ((sock = net_next_ready(cn->stack, &events))) {
		catnip_queue_events(net_user(sock), events);
		any = true;
	}
	send_now(cn);
	return any;
}

static force_inline bool pass(struct catnip_ctx *cn, struct net_pkt *pkts, uint32_t n)
{
	catnip_now(cn);
	if (n)
		cn->heard = cn->base.os->now;
	if (n || cn->busy)
		net_input(cn->stack, cn->base.os->now, pkts, n);
	if (unlikely(cn->base.os->now >= cn->deadline))
		run_timers(cn);
	/* what comes for a pop that waits is mostly all that there is to do */
	if (unlikely(cn->busy) || unlikely(!net_is_idle(cn->stack)))
		return serve(cn) || n;
	look_soon(cn);
	return n;
}

static bool poll(struct libos_ctx *ctx, uint64_t now)
{
	struct catnip_ctx *cn = ctx_of(ctx);
	struct net_pkt pkts[CATNIP_BURST];
	uint32_t n = catnip_port_receive(cn->port, pkts);

	if (likely(!n) && likely(now < cn->deadline) && likely(!cn->busy) &&
	    likely(!ctx->os->thorough))
		return false;
	return pass(cn, pkts, n);
}

static void flush(struct libos_ctx *ctx)
{
	struct catnip_ctx *cn = ctx_of(ctx);
	int saved = errno;

	send_now(cn);
	errno = saved;
}

/* ---- sleeping */

static void disarm(struct catnip_ctx *cn)
{
	if (cn->armed)
		catnip_port_rx_arm(cn->port, false);
	cn->armed = false;
}

/* A port without an interrupt is looked at now and then, the seldomer the longer
 * nothing has come: what comes waits at most for half of the silence before it. */
static void nap(struct catnip_ctx *cn, uint64_t *deadline)
{
	uint64_t now = cn->base.os->now, len = (now - cn->heard) / 2;

	if (len > cn->nap_max)
		len = cn->nap_max;
	if (len < NAP_MIN || cn->busy) /* busy: the port has taken less than there was */
		len = NAP_MIN;
	if (*deadline > now + len)
		*deadline = now + len;
	cn->count[CATNIP_C_NAPS]++;
}

static bool sleep_prepare(struct libos_ctx *ctx, uint64_t *deadline)
{
	struct catnip_ctx *cn = ctx_of(ctx);
	struct net_pkt pkts[CATNIP_BURST];
	uint32_t n;

	ctx->os->now = time_now();
	cn->cycles = time_cycles();
	if (cn->rx_watch.fd >= 0 && !cn->busy)
		cn->armed = catnip_port_rx_arm(cn->port, true);
	n = catnip_port_receive(cn->port, pkts); /* what came before it was armed */
	cn->deadline = 0;
	if (pass(cn, pkts, n)) {
		disarm(cn);
		return false;
	}
	cn->deadline = net_deadline(cn->stack);
	if (*deadline > cn->deadline)
		*deadline = cn->deadline;
	if (!cn->armed || cn->busy)
		nap(cn, deadline);
	else if (*deadline > ctx->os->now + ARMED_LOOK)
		*deadline = ctx->os->now + ARMED_LOOK;
	return true;
}

static void sleep_done(struct libos_ctx *ctx)
{
	disarm(ctx_of(ctx));
}

/* With nobody at the other end there is nobody to serve. */
static bool owes(struct libos_ctx *ctx)
{
	struct catnip_ctx *cn = ctx_of(ctx);

	if (!catnip_port_is_up(cn->port))
		return false;
	return cn->n_owed || cn->busy || net_n_lingering(cn->stack) || catnip_port_owes(cn->port);
}

const struct libos_backend catnip_backend = {
	.name = "catnip",
	.caps = LIBOS_CAP_SOCKETS,
	.keys = catnip_keys,
	.init = init,
	.fini = fini,
	.mem = &catnip_mem,
	.mem_done = mem_done,
	.socket = catnip_socket,
	.pipe = libos_no_pipe,
	.bind = catnip_bind,
	.listen = catnip_listen,
	.accept = catnip_accept,
	.connect = catnip_connect,
	.push = catnip_push,
	.pop = catnip_pop,
	.shutdown = catnip_shutdown,
	.close = catnip_close,
	.cancel = catnip_cancel,
	.setsockopt = catnip_setsockopt,
	.getsockopt = catnip_getsockopt,
	.getsockname = catnip_getsockname,
	.getpeername = catnip_getpeername,
	.poll = poll,
	.flush = flush,
	.sleep_prepare = sleep_prepare,
	.sleep_done = sleep_done,
	.released = catnip_released,
	.owes = owes,
};
