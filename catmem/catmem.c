#include "config.h"

#include "catmem/catmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "libos/fds.h"
#include "libos/log.h"

#define LOOKS 4

static const struct libos_key keys[] = {
	{ .name = "catmem.sndbuf", .type = LIBOS_KEY_INT, .def = "2M", .min = 4096,
	  .max = 1 << 30 },
	{ .name = "catmem.rcvbuf", .type = LIBOS_KEY_INT, .def = "1M", .min = 4096,
	  .max = 1 << 30 },
	{ .name = "catmem.fin_wait_s", .type = LIBOS_KEY_INT, .def = "60", .min = 1,
	  .max = 86400 },
	{ .name = "catmem.peer_uids", .type = LIBOS_KEY_LIST },
	{ .name = "catmem.dir", .type = LIBOS_KEY_STRING },
	{ .name = NULL },
};

static const struct libos_stat_name count_names[CATMEM_N_COUNTS] = {
	[CATMEM_C_LINKS] = { "catmem.links", DEMI_STAT_GAUGE },
	[CATMEM_C_CONNS] = { "catmem.connections", DEMI_STAT_GAUGE },
	[CATMEM_C_INLINE_MSGS] = { "catmem.inline_messages", DEMI_STAT_COUNTER },
	[CATMEM_C_REF_MSGS] = { "catmem.reference_messages", DEMI_STAT_COUNTER },
	[CATMEM_C_LENT] = { "catmem.lent", DEMI_STAT_GAUGE },
	[CATMEM_C_BORROWED] = { "catmem.borrowed", DEMI_STAT_GAUGE },
	[CATMEM_C_KICKS] = { "catmem.kicks", DEMI_STAT_COUNTER },
	[CATMEM_C_GATHERED_BYTES] = { "catmem.gathered_bytes", DEMI_STAT_COUNTER },
	[CATMEM_C_DGRAM_DROPS] = { "catmem.datagram_drops", DEMI_STAT_COUNTER },
	[CATMEM_C_RESETS] = { "catmem.resets", DEMI_STAT_COUNTER },
	[CATMEM_C_PEER_DEATHS] = { "catmem.peers_gone", DEMI_STAT_COUNTER },
	[CATMEM_C_PEER_ERRORS] = { "catmem.peers_cut_off", DEMI_STAT_COUNTER },
	[CATMEM_C_REFUSED_UIDS] = { "catmem.refused_uids", DEMI_STAT_COUNTER },
};

/* ---- life */

static int uids_read(struct catmem *cm)
{
	const char *const *items;
	uint32_t n = libos_settings_list(cm->os->settings, "catmem.peer_uids", &items);

	cm->uids = n ? calloc(n, sizeof(*cm->uids)) : NULL;
	if (n && !cm->uids)
		return ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		char *end;
		unsigned long uid = strtoul(items[i], &end, 10);

		if (*end || end == items[i] || uid > UINT32_MAX) {
			log_error("catmem.peer_uids: \"%s\" is not a user's number", items[i]);
			return EINVAL;
		}
		cm->uids[cm->n_uids++] = (uid_t)uid;
	}
	return 0;
}

static void fini(struct libos_ctx *ctx);
static void mem_done(struct libos_ctx *ctx);

static int init(struct libos *os, struct libos_ctx **ctx_out)
{
	struct catmem *cm = calloc(1, sizeof(*cm));
	int err;

	if (!cm)
		return ENOMEM;
	cm->ctx.be = &catmem_backend;
	cm->ctx.os = cm->os = os;
	cm->uid = geteuid();
	cm->dirfd = -1;
	list_init(&cm->links);
	list_init(&cm->hot);
	list_init(&cm->touched);
	list_init(&cm->closing);
	list_init(&cm->dsocks);
	list_init(&cm->listeners);
	list_init(&cm->pipes);
	list_init(&cm->hoards);
	for (uint32_t i = 0; i < CATMEM_ROUTES; i++)
		list_init(&cm->routes[i]);
	cm->sndbuf = (uint32_t)libos_settings_int(os->settings, "catmem.sndbuf");
	cm->rcvbuf = (uint32_t)libos_settings_int(os->settings, "catmem.rcvbuf");
	cm->fin_wait = (uint64_t)libos_settings_int(os->settings, "catmem.fin_wait_s") *
		       NSEC_PER_SEC;
	cm->chores_at = TIME_NEVER;
	cm->dir = libos_settings_str(os->settings, "catmem.dir");
	reserve_fd_keep(cm);
	cm->count = libos_stats_add(&os->stats, count_names, CATMEM_N_COUNTS);
	err = uids_read(cm);
	if (!err)
		err = loans_init(cm);
	if (err) {
		fini(&cm->ctx);
		mem_done(&cm->ctx);
		return err;
	}
	*ctx_out = &cm->ctx;
	return 0;
}

static void fini(struct libos_ctx *ctx)
{
	struct catmem *cm = catmem_of(ctx);

	while (!list_empty(&cm->links))
		link_end(list_first(&cm->links, struct link, node));
	while (!list_empty(&cm->closing)) {
		struct conn *conn = list_first(&cm->closing, struct conn, node);

		conn_free(conn);
	}
	loans_drop(cm);
	uid_pools_fini(cm);
	libos_pool_fini(&cm->reserve);
	names_fini(cm);
	loans_fini(cm);
	libos_fd_close(cm->reserve_fd);
	free(cm->uids);
}

static void mem_done(struct libos_ctx *ctx)
{
	struct catmem *cm = catmem_of(ctx);

	free(cm->regions);
	free(cm);
}

/* ---- queues: streams and pipes are connections, the rest datagrams */

static bool is_dgram(const struct libos_queue *q)
{
	return q->type == LIBOS_DGRAM;
}

static int catmem_socket(struct libos_ctx *ctx, enum libos_queue_type type,
			 struct libos_queue **q_out)
{
	struct conn *conn;
	struct dsock *s;
	int err;

	if (type == LIBOS_DGRAM) {
		err = dsock_new(catmem_of(ctx), &s);
		if (!err)
			*q_out = &s->q;
		return err;
	}
	err = conn_new(catmem_of(ctx), type, &conn);
	if (!err)
		*q_out = &conn->q;
	return err;
}

static int catmem_pipe(struct libos_ctx *ctx, const char *name, bool create,
		       struct libos_queue **q_out)
{
	return conn_pipe(catmem_of(ctx), name, create, q_out);
}

static int catmem_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	return is_dgram(q) ? dsock_bind(q, addr) : conn_bind(q, addr);
}

static int catmem_connect(struct libos_queue *q, struct libos_op *op,
			  const struct sockaddr_in *addr)
{
	return is_dgram(q) ? dsock_connect(q, op, addr) : conn_connect(q, op, addr);
}

/* Finding who is at an address may be a matter of files. */
static int dgram_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		      const struct sockaddr_in *to)
{
	int saved = errno, err = dsock_push(q, op, io, to);

	errno = saved;
	return err;
}

static int catmem_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		       const struct sockaddr_in *to)
{
	int err = likely(!is_dgram(q)) ? conn_push(q, op, io) : dgram_push(q, op, io, to);

	libos_mark_dirty(q->ctx->os);
	return err;
}

static int catmem_pop(struct libos_queue *q, struct libos_op *op)
{
	return likely(!is_dgram(q)) ? conn_pop(q, op) : dsock_pop(q, op);
}

static int catmem_shutdown(struct libos_queue *q, int how)
{
	return is_dgram(q) ? dsock_shutdown(q, how) : conn_shutdown(q, how);
}

static void catmem_close(struct libos_queue *q, struct libos_op *op)
{
	if (is_dgram(q))
		dsock_close(q, op);
	else
		conn_close(q, op);
}

/* Everything pending is on the queue's own lists, but for what comes back when
 * a connect is given up, and an async close. */
static bool catmem_cancel(struct libos_queue *q, struct libos_op *op)
{
	struct conn *conn = container_of(q, struct conn, q);

	if (is_dgram(q))
		return true;
	if (op->opcode == DEMI_OPC_CLOSE)
		conn->close_op = NULL;
	if (op == q->connect)
		conn_connect_cancel(conn);
	if (op->opcode == DEMI_OPC_PUSH)
		conn_push_cancelled(conn);
	return true;
}

static int catmem_getsockname(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	const struct sockaddr_in *local = is_dgram(q) ? &container_of(q, struct dsock, q)->local
						      : &container_of(q, struct conn, q)->local;

	if (!local->sin_family)
		return ENOTCONN;
	*addr_out = *local;
	/* a connected datagram queue sends from the address that it sends to */
	if (is_dgram(q) && q->has_peer && !local->sin_addr.s_addr)
		addr_out->sin_addr = container_of(q, struct dsock, q)->remote.sin_addr;
	return 0;
}

static int catmem_getpeername(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	if (is_dgram(q) ? !q->has_peer : q->state != LIBOS_CONNECTED)
		return ENOTCONN;
	*addr_out = is_dgram(q) ? container_of(q, struct dsock, q)->remote
				: container_of(q, struct conn, q)->remote;
	return 0;
}

/* ---- passes */

static void end_broken(struct catmem *cm)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->links) {
		struct link *link = container_of(pos, struct link, node);

		if (link->broken || (link->doomed && !link_poll_all(link)))
			link_end(link);
	}
}

static bool poll_link(struct link *link)
{
	if (unlikely(!link_is_quiet(link)))
		return link_poll(link);
	link->idle_passes++;
	return false;
}

/* With one peer to listen to, a pass listens a few times: what comes is seen
 * sooner than if every look went through the whole wait loop. */
static bool poll_only_link(struct link *link)
{
	for (int i = 0; i < LOOKS; i++)
		if (!ring_is_quiet(&link->ring))
			return link_poll(link);
	return poll_link(link);
}

static bool poll_links(struct catmem *cm)
{
	struct list *pos, *tmp;
	bool moved = false;

	list_for_each_safe(pos, tmp, &cm->hot) {
		struct link *link = container_of(pos, struct link, hot_node);

		moved |= poll_link(link);
		if (unlikely(cm->n_hot > LINKS_HOT))
			link_cool(link);
	}
	return moved;
}

/* What is looked at now and then. */
static void chores(struct catmem *cm)
{
	cm->chores_at = TIME_NEVER;
	if (!list_empty(&cm->hoards))
		hoards_look(cm);
	if (!list_empty(&cm->closing))
		closing_look(cm);
}

static bool catmem_poll(struct libos_ctx *ctx, uint64_t now)
{
	struct catmem *cm = catmem_of(ctx);
	bool moved;

	if (unlikely(now >= cm->chores_at))
		chores(cm);
	if (likely(cm->n_hot == 1))
		moved = poll_only_link(list_first(&cm->hot, struct link, hot_node));
	else
		moved = poll_links(cm);
	if (unlikely(cm->n_doomed))
		end_broken(cm);
	return moved;
}

static void catmem_flush(struct libos_ctx *ctx)
{
	struct catmem *cm = catmem_of(ctx);
	int saved = errno;
	struct list now;

	list_init(&now); /* what is touched meanwhile is left for the next time */
	list_splice_tail(&now, &cm->touched);
	while (!list_empty(&now))
		link_flush(list_first(&now, struct link, touched_node));
	errno = saved;
}

static void wake_until(struct catmem *cm, struct list *end)
{
	for (struct list *pos = cm->hot.next; pos != end; pos = pos->next)
		link_wake(container_of(pos, struct link, hot_node));
}

static void look_soon(const struct catmem *cm, uint64_t *deadline)
{
	if (*deadline > cm->os->now + MEMORY_RETRY_NS)
		*deadline = cm->os->now + MEMORY_RETRY_NS;
}

/* Have those that are to end only something left that finds no memory? */
static bool doomed_wait(const struct catmem *cm)
{
	for (const struct list *pos = cm->links.next; pos != &cm->links; pos = pos->next) {
		const struct link *link = container_of(pos, const struct link, node);

		if (link->doomed && (link->broken || !link->stalled))
			return false;
	}
	return true;
}

/* Every polled link kicks us from here on; one that has something already
 * keeps us awake. Memory that another process gives back does not: it is asked
 * for again after a while. */
static bool catmem_sleep_prepare(struct libos_ctx *ctx, uint64_t *deadline)
{
	struct catmem *cm = catmem_of(ctx);

	if (cm->n_doomed && !doomed_wait(cm))
		return false;
	if (!list_empty(&cm->touched))
		return false;
	if (cm->n_doomed)
		look_soon(cm, deadline);
	if (*deadline > cm->chores_at)
		*deadline = cm->chores_at;
	for (struct list *pos = cm->hot.next; pos != &cm->hot; pos = pos->next) {
		struct link *link = container_of(pos, struct link, hot_node);

		if (link->stalled || link_waits_for_memory(link))
			look_soon(cm, deadline);
		if (link_sleep(link) || link->stalled)
			continue;
		wake_until(cm, pos);
		return false;
	}
	return true;
}

static void catmem_sleep_done(struct libos_ctx *ctx)
{
	struct catmem *cm = catmem_of(ctx);

	wake_until(cm, &cm->hot);
}

static bool catmem_owes(struct libos_ctx *ctx)
{
	struct catmem *cm = catmem_of(ctx);
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->closing)
		if (conn_owes(container_of(pos, struct conn, node)))
			return true;
	list_for_each_safe(pos, tmp, &cm->links)
		if (container_of(pos, struct link, node)->dgrams.n)
			return true;
	return false;
}

const struct libos_backend catmem_backend = {
	.name = "catmem",
	.caps = LIBOS_CAP_SOCKETS | LIBOS_CAP_PIPES,
	.keys = keys,
	.init = init,
	.fini = fini,
	.mem = &catmem_mem,
	.mem_done = mem_done,
	.socket = catmem_socket,
	.pipe = catmem_pipe,
	.bind = catmem_bind,
	.listen = conn_listen,
	.accept = conn_accept,
	.connect = catmem_connect,
	.push = catmem_push,
	.pop = catmem_pop,
	.shutdown = catmem_shutdown,
	.close = catmem_close,
	.cancel = catmem_cancel,
	.setsockopt = option_set,
	.getsockopt = option_get,
	.getsockname = catmem_getsockname,
	.getpeername = catmem_getpeername,
	.poll = catmem_poll,
	.flush = catmem_flush,
	.sleep_prepare = catmem_sleep_prepare,
	.sleep_done = catmem_sleep_done,
	.owes = catmem_owes,
};
