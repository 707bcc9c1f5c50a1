#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "tests/sim/flow.h"
#include "tests/sim/host.h"
#include "tests/sim/world.h"

/* What a server does with whom it does not know: it reads, says little, and leaves. */
static const struct end_plan stranger_plan = {
	.total = 3000,
	.chunk_min = 1,
	.chunk_max = 1000,
	.segs_max = 2,
	.think_ns = 100 * NSEC_PER_MSEC,
	.read_ns = 10 * NSEC_PER_MSEC,
	.hoard = 20000,
	.hoard_ns = NSEC_PER_SEC,
	.finish = FINISH_LAST,
};

static void serve(struct listener *l, struct net_sock *sock, const struct net_addr *peer)
{
	struct conn *c = conn_find(l->w, l->prog.host, l->port, peer);
	uint64_t seed = rnd_u64(&l->rnd);
	const struct end_plan *plan = &stranger_plan;
	struct end *e;

	l->n_accepted++;
	if (c && c->end[1]) {
		/* the client has taken its connect back, and was here with it before */
		struct end *ghost = c->end[1];

		if (ghost->popped)
			world_fail(l->w, "h%u: one connection was accepted twice", l->prog.host->nr);
		ghost->conn = NULL;
		ghost->plan = plan;
	}
	if (c)
		plan = &c->flow->plan.end[1];
	e = end_new(l->w, l->prog.host, c, 1, plan, seed);
	if (c)
		c->end[1] = e;
	trace_note(l->w, (int)l->prog.host->nr, "accepted port %u, flow %d",
		   __builtin_bswap16(peer->port), c ? (int)c->flow->nr : -1);
	end_accepted(e, sock);
}

static void accept_all(struct listener *l)
{
	uint64_t now = l->w->events.now;

	while (l->sock && now >= l->next_accept) {
		struct net_addr peer;
		struct net_sock *sock;
		int err = net_accept(l->sock, NULL, &sock, &peer);

		if (err == EAGAIN)
			return;
		if (err)
			world_fail(l->w, "h%u: net_accept: %d", l->prog.host->nr, err);
		serve(l, sock, &peer);
		if (l->accept_ns)
			l->next_accept = now + rnd_in(&l->rnd, 0, l->accept_ns);
	}
	if (l->sock)
		prog_wake(&l->prog, l->next_accept);
}

static void event(struct prog *p, struct net_sock *s, uint32_t events)
{
	struct listener *l = container_of(p, struct listener, prog);

	if (s != l->sock || events & ~(uint32_t)NET_READABLE)
		world_fail(l->w, "h%u: a listener has events %x", p->host->nr, events);
	accept_all(l);
}

static void begin(struct listener *l)
{
	struct net_addr addr = { l->ip, __builtin_bswap16(l->port) };
	int err;

	if (!l->sock) {
		err = net_socket(l->prog.host->stack, NET_TCP, &l->prog, &l->sock);
		if (!err)
			err = net_bind(l->sock, &addr);
		if (!err)
			err = net_listen(l->sock, l->backlog);
		if (!err)
			return;
		if (err != ENOMEM)
			world_fail(l->w, "h%u: cannot listen: %d", l->prog.host->nr, err);
		if (l->sock)
			net_close(l->sock, false);
		l->sock = NULL;
		prog_wake(&l->prog, l->w->events.now + NSEC_PER_MSEC);
	}
}

static void step(struct prog *p)
{
	struct listener *l = container_of(p, struct listener, prog);

	if (l->backlog)
		begin(l);
	accept_all(l);
}

static void gone(struct prog *p)
{
	container_of(p, struct listener, prog)->sock = NULL;
}

void listener_init(struct listener *l, struct world *w, struct host *host, struct net_ip ip,
		   uint16_t port, int backlog, uint64_t accept_ns, uint64_t seed)
{
	prog_init(&l->prog, host);
	l->prog.event = event;
	l->prog.step = step;
	l->prog.gone = gone;
	l->w = w;
	l->ip = ip;
	l->port = port;
	l->backlog = backlog;
	l->accept_ns = accept_ns;
	rnd_init(&l->rnd, seed, 9);
	begin(l);
}

void listener_again(struct listener *l)
{
	if (l->backlog)
		begin(l);
}

void listener_close(struct listener *l)
{
	l->backlog = 0;
	if (l->sock)
		net_close(l->sock, false);
	l->sock = NULL;
}
