#include "config.h"

#include "tests/sim/link.h"

#include <errno.h>

#include "tests/sim/ask.h"
#include "tests/sim/host.h"
#include "tests/sim/world.h"

static void lost(void *who, void *what);

static void lose_later(struct link *l)
{
	struct events *q = &l->w->events;

	if (!l->left)
		return;
	l->left--;
	events_add(q, q->now + rnd_in(&l->rnd, l->every / 4, l->every), lost, l, NULL);
}

/* But for what goes around inside the host, and what nobody has answered yet. */
static void check_all_failed(struct host *h)
{
	const struct net_sock *s = NULL;

	while ((s = net_next_tcp(h->stack, s))) {
		enum ask_state state = ask_tcp_state(s);
		struct net_addr peer;

		if (state != ASK_SYN_RECEIVED && !ask_is_synchronized(state))
			continue;
		if (net_peer(s, &peer) || !net_local_has(h->stack, &peer.ip))
			world_fail(h->w, "h%u: a connection in state %u outlives its link", h->nr,
				   state);
	}
}

static void back(void *who, void *what)
{
	struct link *l = who;
	struct world *w = l->w;

	(void)what;
	trace_note(w, -1, "the link is back");
	w->wire.is_lost = false;
	w->wire.back_at = w->events.now;
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		if (!w->hosts[i].stack)
			continue;
		net_link_back(w->hosts[i].stack);
		host_wake(&w->hosts[i], w->events.now);
	}
	lose_later(l);
}

static void lost(void *who, void *what)
{
	struct link *l = who;
	struct world *w = l->w;

	(void)what;
	if (world_is_over(w))
		return;
	trace_note(w, -1, "the link is lost");
	w->wire.is_lost = true;
	w->wire.n_lost++;
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		if (!h->stack)
			continue;
		net_link_lost(h->stack, rnd_one_in(&l->rnd, 2) ? ECONNRESET : ENETDOWN);
		check_all_failed(h);
		host_wake(h, w->events.now);
	}
	events_add(&w->events, w->events.now + rnd_in(&l->rnd, 0, l->length), back, l, NULL);
}

void link_init(struct link *l, struct world *w, uint32_t n, uint64_t every, uint64_t length)
{
	l->w = w;
	l->left = n;
	l->every = every;
	l->length = length;
	rnd_init(&l->rnd, w->seed, 11);
	lose_later(l);
}
