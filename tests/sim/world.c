#include "config.h"

#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/sim/heap.h"

#define TICK (500 * NSEC_PER_MSEC)
#define LONGEST (UINT64_C(48) * 3600 * NSEC_PER_SEC)
#define EVENTS_MOST UINT64_C(30000000)
#define COUNT_MOST (UINT64_C(1) << 48)	/* more has been subtracted */

void world_fail(struct world *w, const char *format, ...)
{
	va_list args;

	printf("\n");
	trace_dump(&w->trace);
	printf("seed %llu: FAILED at %llu.%09llu s: ", (unsigned long long)w->seed,
	       (unsigned long long)(w->events.now / NSEC_PER_SEC),
	       (unsigned long long)(w->events.now % NSEC_PER_SEC));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nseed %llu: tests/sim/sim --trace --seed %llu shows all of it\n",
	       (unsigned long long)w->seed, (unsigned long long)w->seed);
	fflush(stdout);
	_exit(1);
}

bool world_is_over(const struct world *w)
{
	return w->over;
}

uint16_t world_tcp_port(struct world *w, const struct host *h)
{
	for (uint32_t i = 0; i < w->n_listeners; i++)
		if (w->listeners[i].prog.host == h)
			return w->listeners[i].port;
	return 9;
}

uint16_t world_udp_port(struct world *w, const struct host *h)
{
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		if (w->dgrams[i].rx.prog.host == h)
			return w->dgrams[i].plan.port;
	return 9;
}

void world_host_is_back(struct world *w, struct host *h)
{
	for (uint32_t i = 0; i < w->n_listeners; i++)
		if (w->listeners[i].prog.host == h)
			listener_again(&w->listeners[i]);
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		dgram_again(&w->dgrams[i], h);
	caller_again(&w->callers[h->nr]);
}

/* ---- how it is getting on */

static bool all_done(const struct world *w)
{
	for (uint32_t i = 0; i < w->n_flows; i++)
		if (!w->flows[i].done)
			return false;
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		if (!w->dgrams[i].done)
			return false;
	for (uint32_t i = 0; i < w->n_hosts; i++)
		if (!w->hosts[i].stack)
			return false;
	return true;
}

static void close_everything(struct world *w)
{
	trace_note(w, -1, "all is done");
	for (uint32_t i = 0; i < w->n_listeners; i++)
		listener_close(&w->listeners[i]);
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		dgram_close(&w->dgrams[i]);
	for (uint32_t i = 0; i < w->n_hosts; i++)
		caller_close(&w->callers[i]);
	for (struct end *e = w->ends; e; e = e->next)
		if (e->state != END_CLOSING)
			end_abort(e);
	for (uint32_t i = 0; i < w->n_hosts; i++)
		host_wake(&w->hosts[i], w->events.now);
}

/* Small segments may have pinned more than was thought, and a device that is slow
 * has dropped an ACK: then somebody rightly says something once more. */
static bool is_calm(const struct world *w)
{
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		const uint64_t *count = w->hosts[i].count;

		if (count[NET_C_TCP_RCV_FULL] || count[NET_C_TX_NO_ROOM] || count[NET_C_NO_MEMORY])
			return false;
	}
	return w->calm;
}

/* Where nothing is lost or late nothing is said twice, and nobody waits in vain. */
static void check_calm_host(struct world *w, const struct host *h)
{
	static const enum net_count none[] = {
		NET_C_TCP_RETRANS, NET_C_TCP_FAST_RETRANS, NET_C_TCP_TIMEOUTS, NET_C_TCP_PROBES,
		NET_C_TCP_DUP_BYTES, NET_C_TCP_OOO, NET_C_TCP_OOO_DROPPED, NET_C_TCP_OUT_OF_WINDOW,
		NET_C_TCP_PAWS, NET_C_TCP_ACK_BAD, NET_C_TCP_RST_BAD, NET_C_TCP_DROPPED,
		NET_C_TCP_BAD, NET_C_TCP_BAD_CSUM, NET_C_IP_BAD, NET_C_IP_BAD_CSUM, NET_C_ARP_FAILED,
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (h->count[none[i]])
			world_fail(w, "h%u: %s is %llu, and the network is calm", h->nr,
				   net_count_names[none[i]],
				   (unsigned long long)h->count[none[i]]);
}

static void check_counts(struct world *w, const struct host *h)
{
	for (int i = 0; i < NET_N_COUNTS; i++)
		if (h->count[i] > COUNT_MOST)
			world_fail(w, "h%u: counts %llu of %s", h->nr,
				   (unsigned long long)h->count[i], net_count_names[i]);
}

static void check_quiet_host(struct world *w, struct host *h)
{
	struct net_sock *s = net_next_tcp(h->stack, NULL);

	if (s)
		world_fail(w, "h%u: a connection is left (%llu bytes unacknowledged)", h->nr,
			   (unsigned long long)net_bytes_unacked(s));
	if (net_n_lingering(h->stack))
		world_fail(w, "h%u: %u connections linger", h->nr, net_n_lingering(h->stack));
	for (int kind = 0; kind < MEM_KINDS; kind++)
		if (h->use.n[kind])
			world_fail(w, "h%u: %u buffers of kind %d are held for nothing", h->nr,
				   h->use.n[kind], kind);
	if (h->count[NET_C_RX_PACKETS] < h->n_input)
		world_fail(w, "h%u: counts %llu packets in, %llu came", h->nr,
			   (unsigned long long)h->count[NET_C_RX_PACKETS],
			   (unsigned long long)h->n_input);
	if (h->count[NET_C_TX_PACKETS] < h->n_taken)
		world_fail(w, "h%u: counts %llu packets out, %llu went", h->nr,
			   (unsigned long long)h->count[NET_C_TX_PACKETS],
			   (unsigned long long)h->n_taken);
}

static void at_the_end(void *who, void *what)
{
	struct world *w = who;

	(void)what;
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		check_quiet_host(w, &w->hosts[i]);
		check_counts(w, &w->hosts[i]);
		if (is_calm(w))
			check_calm_host(w, &w->hosts[i]);
	}
	w->ended = true;
}

static _Noreturn void never_ends(struct world *w)
{
	char text[600] = "";

	for (uint32_t i = 0; i < w->n_flows && !text[0]; i++)
		if (!w->flows[i].done)
			flow_describe(&w->flows[i], text, sizeof(text));
	for (uint32_t i = 0; i < w->n_dgrams && !text[0]; i++)
		if (!w->dgrams[i].done)
			snprintf(text, sizeof(text), "datagrams %u: %u sent", i,
				 w->dgrams[i].sent);
	world_fail(w, "this never ends: %s", text);
}

static void tick(void *who, void *what)
{
	struct world *w = who;

	(void)what;
	if (w->over)
		return;
	for (uint32_t i = 0; i < w->n_flows; i++)
		flow_watch(&w->flows[i]);
	if (w->events.now > LONGEST)
		never_ends(w);
	if (!all_done(w)) {
		events_add(&w->events, w->events.now + TICK, tick, w, NULL);
		return;
	}
	w->over = true;
	close_everything(w);
	events_add(&w->events, w->events.now + w->quiet_ns, at_the_end, w, NULL);
}

/* ---- life */

static void *zalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

static void populate(struct world *w, const struct plan *p)
{
	w->n_hosts = p->n_hosts;
	for (uint32_t i = 0; i < p->n_hosts; i++) {
		/* so much they may know of each other */
		w->hosts[i].nr = i;
		w->hosts[i].plan = p->hosts[i];
		nic_init(&w->hosts[i]);
	}
	for (uint32_t i = 0; i < p->n_hosts; i++)
		host_init(&w->hosts[i], w, i, &p->hosts[i]);
	for (uint32_t i = 0; i < p->n_listeners; i++) {
		struct host *h = &w->hosts[p->listeners[i].host];
		uint32_t ip = p->listeners[i].ip;

		listener_init(&w->listeners[i], w, h, ip ? host_ip(h, ip - 1) : net_ip4(0),
			      p->listeners[i].port, p->listeners[i].backlog,
			      p->listeners[i].accept_ns, w->seed + i);
		w->n_listeners++;
	}
	for (uint32_t i = 0; i < p->n_hosts; i++)
		caller_init(&w->callers[i], w, &w->hosts[i], &p->callers[i], w->seed + i);
	w->flows = zalloc(p->n_flows, sizeof(*w->flows));
	for (uint32_t i = 0; i < p->n_flows; i++, w->n_flows++)
		flow_init(&w->flows[i], w, i, &p->flows[i]);
	w->dgrams = zalloc(p->n_dgrams, sizeof(*w->dgrams));
	for (uint32_t i = 0; i < p->n_dgrams; i++, w->n_dgrams++)
		dgram_init(&w->dgrams[i], w, i, &p->dgrams[i]);
	if (p->has_intruder)
		w->intruder = intruder_new(w, w->seed, &p->intruder);
}

static struct world *world_new(uint64_t seed, bool trace, const struct plan *p)
{
	struct world *w = zalloc(1, sizeof(*w));

	w->seed = seed;
	w->trace.live = trace;
	events_init(&w->events);
	mems_init(&w->mems);
	w->monitor = monitor_new();
	w->gives_up = p->gives_up;
	w->repeats = p->repeats;
	w->calm = p->calm;
	w->heap_fail = p->heap_fail;
	w->wire.router_is_dumb = p->dumb_router;
	w->wire.is_direct = p->direct;
	w->patience_ns = p->patience_ns;
	w->quiet_ns = p->quiet_ns;
	sim_heap_fail(p->heap_fail, seed);
	populate(w, p);
	link_init(&w->link, w, p->n_losses, p->loss_every, p->loss_ns);
	events_add(&w->events, TICK, tick, w, NULL);
	return w;
}

static void take_stock(const struct world *w, struct tally *t)
{
	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < w->n_flows; i++) {
		t->bytes += w->flows[i].delivered;
		t->conns += w->flows[i].delivered ? 1 : 0;
	}
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		t->dgrams += w->dgrams[i].rx.n_seen + w->dgrams[i].tx.n_seen;
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		t->frames += w->hosts[i].tx.frames;
		for (int k = 0; k < FAULTS; k++)
			t->faults[k] += w->hosts[i].tx.n[k] + w->hosts[i].rx.n[k];
		for (int k = 0; k < NET_N_COUNTS; k++)
			t->count[k] += w->hosts[i].count[k];
	}
	t->events = w->n_events;
	t->ns = w->events.now;
}

static void world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->n_hosts; i++)
		host_fini(&w->hosts[i]);
	if (sim_heap_blocks())
		world_fail(w, "%llu blocks of memory are left of the stacks",
			   (unsigned long long)sim_heap_blocks());
	for (uint32_t i = 0; i < w->n_flows; i++)
		flow_free(&w->flows[i]);
	for (uint32_t i = 0; i < w->n_dgrams; i++)
		dgram_free(&w->dgrams[i]);
	while (w->ends) {
		struct end *next = w->ends->next;

		end_free(w->ends);
		w->ends = next;
	}
	free(w->flows);
	free(w->dgrams);
	intruder_free(w->intruder);
	monitor_free(w->monitor);
	events_fini(&w->events);
	mems_fini(&w->mems);
	free(w);
}

void world_run(uint64_t seed, bool trace, struct tally *tally_out)
{
	struct plan plan;
	struct world *w;

	plan_make(&plan, seed);
	if (trace)
		plan_print(&plan);
	w = world_new(seed, trace, &plan);
	while (!w->ended && events_next(&w->events))
		if (++w->n_events > EVENTS_MOST)
			world_fail(w, "too much happens: %llu events",
				   (unsigned long long)w->n_events);
	if (!w->ended)
		world_fail(w, "nothing is left to happen");
	take_stock(w, tally_out);
	world_free(w);
	plan_free(&plan);
}
