#include "config.h"

#include "tests/sim/host.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "net/stack.h"
#include "tests/sim/frame.h"
#include "tests/sim/heap.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

#define BURST 32u
#define SAME_NOW_MOST 20000u

/* ---- programs */

void prog_init(struct prog *p, struct host *host)
{
	p->host = host;
	p->wake_at = UINT64_MAX;
	p->take = NULL;
	list_init(&p->due);
	list_add_tail(&host->progs, &p->link);
}

static void prog_awake(void *who, void *what)
{
	struct prog *p = who;

	(void)what;
	if (p->host->w->events.now < p->wake_at)
		return;	/* it was asked for earlier, and has been */
	p->wake_at = UINT64_MAX;
	if (!p->host->stack)
		return;
	if (list_empty(&p->due))
		list_add_tail(&p->host->due, &p->due);
	host_wake(p->host, p->host->w->events.now);
}

void prog_wake(struct prog *p, uint64_t at)
{
	struct events *q = &p->host->w->events;

	if (at < q->now)
		at = q->now;
	if (at >= p->wake_at)
		return;
	p->wake_at = at;
	events_add(q, at, prog_awake, p, NULL);
}

static bool prog_take(void *user, const struct net_seg *seg, const struct net_addr *from)
{
	struct prog *p = user;

	return p->take && p->take(p, seg, from);
}

/* ---- life */

/* With any_addr the last one may be the other end's, too. */
static uint32_t address(const struct host *h, uint32_t which)
{
	if (h->plan.any_addr && which == HOST_SHARED_IP)
		return UINT32_C(0x7f000001);
	return wire_ip(h->plan.segment, h->nr) + which * 50;
}

struct net_ip host_ip(const struct host *h, uint32_t which)
{
	return net_ip4(__builtin_bswap32(address(h, which)));
}

bool host_has_ip(const struct host *h, uint32_t ip)
{
	for (uint32_t i = 0; i < h->plan.n_ips; i++)
		if (address(h, i) == ip)
			return true;
	return false;
}

uint32_t host_extra_ip(const struct host *h)
{
	return UINT32_C(0x0a090001) + (h->nr << 8);
}

uint64_t host_now(const struct host *h)
{
	return h->plan.clock + h->w->events.now;
}

static void know_neighbours(struct host *h)
{
	for (uint32_t i = 0; i < h->w->n_hosts; i++) {
		const struct host *other = &h->w->hosts[i];

		if (other == h || other->plan.segment != h->plan.segment || !other->plan.ethernet)
			continue;
		for (uint32_t k = 0; k < other->plan.n_ips; k++) {
			struct net_ip ip = host_ip(other, k);
			int err = net_neigh_add(h->stack, &ip, other->dev.mac);

			if (err)
				trace_note(h->w, (int)h->nr, "net_neigh_add: %d", err);
		}
	}
}

/* Own addresses and the ways: retried, as memory may be short. */
static void configure(struct host *h)
{
	struct net_ip all = net_ip4(0);
	struct net_ip gateway = net_ip4(__builtin_bswap32(wire_router_ip(h->plan.segment)));
	int err;

	/* the others become its own when they are bound */
	for (uint32_t i = 0; i < (h->plan.any_addr ? 1 : h->plan.n_ips); i++) {
		struct net_ip ip = host_ip(h, i);

		do
			err = net_local_add(h->stack, &ip, 24, h->plan.announce);
		while (err == ENOMEM);
		if (err)
			world_fail(h->w, "h%u: net_local_add: %d", h->nr, err);
	}
	if (h->w->wire.is_direct)
		return;
	do
		err = net_route_add(h->stack, &all, 0, h->plan.ethernet ? &gateway : NULL);
	while (err == ENOMEM);
	if (err)
		world_fail(h->w, "h%u: net_route_add: %d", h->nr, err);
	if (h->plan.static_arp && h->plan.ethernet)
		know_neighbours(h);
}

/* A secret of its own, or none. */
static const uint8_t *key_of(const struct host *h, uint8_t key[16])
{
	if (h->plan.seed & 1)
		return NULL;
	memcpy(key, &h->plan.seed, 8);
	memcpy(key + 8, &h->plan.clock, 8);
	return key;
}

static void begin(struct host *h)
{
	uint64_t blocks = sim_heap_blocks(), nth = 0;
	char why[NET_WHY] = "";
	uint8_t key[16];
	int err;

	memset(h->count, 0, sizeof(h->count));
	h->n_input = h->n_taken = 0;
	do {
		if (h->plan.starves)
			sim_heap_fail_nth(++nth);
		err = net_stack_new(h->plan.config, h->plan.seed, key_of(h, key), &h->dev,
				    h->count, host_now(h), why, &h->stack);
		if (err == ENOMEM && sim_heap_blocks() != blocks)
			world_fail(h->w, "h%u: a stack that did not begin keeps memory", h->nr);
	} while (err == ENOMEM);
	sim_heap_fail_nth(0);
	if (err)
		world_fail(h->w, "h%u: net_stack_new: %d: %s (%s)", h->nr, err, why,
			   h->plan.config);
	net_set_take(h->stack, prog_take);
	if (h->plan.iss_wraps)
		h->stack->tcp.iss = &h->iss;
	configure(h);
	if (h->w->wire.is_lost)
		net_link_lost(h->stack, ENETDOWN);
	host_wake(h, h->w->events.now);
}

static void revive(void *who, void *what)
{
	struct host *h = who;

	(void)what;
	trace_note(h->w, (int)h->nr, "begins again");
	h->plan.seed++;
	begin(h);
	world_host_is_back(h->w, h);
}

/* Nothing may be left of what the stack, its device and its programs had. */
static void check_empty(struct host *h)
{
	for (int kind = 0; kind < MEM_KINDS; kind++)
		if (h->use.n[kind])
			world_fail(h->w, "h%u: %u buffers of kind %d are left", h->nr,
				   h->use.n[kind], kind);
	if (h->use.pinned)
		world_fail(h->w, "h%u: pinned bytes are left", h->nr);
}

static void end(struct host *h)
{
	struct list *pos, *tmp;

	net_stack_free(h->stack);
	h->stack = NULL;
	list_for_each_safe(pos, tmp, &h->progs) {
		struct prog *p = container_of(pos, struct prog, link);

		list_del(&p->due);
		p->gone(p);
	}
	nic_reset(h);
	check_empty(h);
}

static void die(void *who, void *what)
{
	struct host *h = who;

	(void)what;
	if (!h->stack || world_is_over(h->w))
		return;
	trace_note(h->w, (int)h->nr, "dies");
	h->died = true;
	h->died_at = h->w->events.now;
	end(h);
	events_add(&h->w->events, h->w->events.now + h->plan.dead_ns, revive, h, NULL);
}

void host_init(struct host *h, struct world *w, uint32_t nr, const struct host_plan *plan)
{
	uint64_t seed = plan->seed;

	h->w = w;
	h->nr = nr;
	h->plan = *plan;
	list_init(&h->progs);
	list_init(&h->due);
	h->wake_at = UINT64_MAX;
	rnd_init(&h->rnd, seed, 1);
	cuts_init(&h->cuts, seed + 1, plan->n_cuts, plan->cut_every, plan->cut_ns);
	cuts_init(&h->dry, seed + 2, plan->n_dry, plan->dry_every, plan->dry_ns);
	cuts_init(&h->hangs, seed + 5, plan->n_hangs, plan->hang_every, plan->hang_ns);
	h->tx.who = h->rx.who = (int)nr;
	h->tx.ethernet = h->rx.ethernet = plan->ethernet;
	lane_init(&h->tx, w, &plan->tx, seed + 3);
	lane_init(&h->rx, w, &plan->rx, seed + 4);
	h->tx.cuts = h->rx.cuts = &h->cuts;
	h->tx.out = wire_from_host;
	h->rx.out = host_receive;
	h->tx.arg = h->rx.arg = h;
	begin(h);
	if (plan->dies_at)
		events_add(&w->events, plan->dies_at, die, h, NULL);
}

void host_fini(struct host *h)
{
	if (h->stack)
		end(h);
}

uint64_t host_last_fault(struct host *h)
{
	uint64_t tx = lane_last_fault(&h->tx), rx = lane_last_fault(&h->rx);
	uint64_t last = tx > rx ? tx : rx, link = wire_last_lost(h->w);

	if (link > last)
		last = link;

	if (h->last_dry > last)
		last = h->last_dry;
	return h->died_at > last ? h->died_at : last;
}

/* ---- packets come in */

void host_receive(void *arg, struct net_mem *frame)
{
	struct host *h = arg;
	bool dry = h->plan.n_dry && cuts_are_on(&h->dry, h->w->events.now);

	if (!h->stack || dry || wire_has_lost(frame) || h->received_n == HOST_RX_MAX) {
		trace_frame(h->w, (int)h->nr, "nobuf", frame->data, frame->len, h->plan.ethernet);
		h->last_dry = h->w->events.now;
		mem_put(frame);
		return;
	}
	trace_frame(h->w, (int)h->nr, "in", frame->data, frame->len, h->plan.ethernet);
	frame->pinned = frame->size + 64 > h->plan.buf_size ? frame->size + 64 : h->plan.buf_size;
	mem_give(frame, h);
	h->received[(h->received_first + h->received_n++) % HOST_RX_MAX] = frame;
	host_wake(h, h->w->events.now + rnd_in(&h->rnd, 0, h->plan.pass_ns));
}

static uint32_t csum_flags(struct host *h, struct net_mem *frame)
{
	uint32_t flags = 0;
	struct frame f;

	if (!h->plan.rx_csum ||
	    !frame_parse(&f, frame->data, frame->len, h->plan.ethernet))
		return 0;
	flags |= frame_ip_csum_good(&f) ? NET_PKT_IP_GOOD : NET_PKT_IP_BAD;
	if (f.whole && (f.proto == PROTO_TCP || f.proto == PROTO_UDP))
		flags |= frame_l4_csum_good(&f) ? NET_PKT_L4_GOOD : NET_PKT_L4_BAD;
	return flags;
}

static void feed(struct host *h)
{
	struct net_pkt pkts[BURST];
	uint32_t n = 0;

	while (h->received_n && n < BURST) {
		struct net_mem *m = h->received[h->received_first];

		h->received_first = (h->received_first + 1) % HOST_RX_MAX;
		h->received_n--;
		pkts[n++] = (struct net_pkt){
			.seg = { m, m->data, m->len, m->pinned },
			.flags = csum_flags(h, m),
		};
	}
	h->n_input += n;
	net_input(h->stack, host_now(h), pkts, n);
}

/* ---- passes */

static void tell(struct host *h)
{
	struct net_sock *s;
	uint32_t events;

	while ((s = net_next_ready(h->stack, &events))) {
		struct prog *p = net_user(s);

		if (!events)
			world_fail(h->w, "h%u: ready without an event", h->nr);
		if (p)
			p->event(p, s, events);
	}
}

static void run_due(struct host *h)
{
	while (!list_empty(&h->due)) {
		struct prog *p = list_first(&h->due, struct prog, due);

		list_del(&p->due);
		p->step(p);
	}
}

static void check_same_now(struct host *h)
{
	if (h->same_now != h->w->events.now)
		h->n_same = 0;
	h->same_now = h->w->events.now;
	if (++h->n_same > SAME_NOW_MOST)
		world_fail(h->w, "h%u: goes round and round, its deadline is always now", h->nr);
}

static void sleep_until_due(struct host *h)
{
	uint64_t at = net_deadline(h->stack), now = host_now(h);

	if (at == NET_NEVER)
		return;
	at = at > now ? at - now : 0;
	if (at && h->plan.late_ns)
		at += rnd_in(&h->rnd, 0, h->plan.late_ns);
	host_wake(h, h->w->events.now + at);
}

static void flush(struct host *h)
{
	bool quiet = net_is_quiet(h->stack);
	uint64_t taken = h->n_taken;

	if (!net_flush(h->stack)) {
		host_wake(h, h->w->events.now + (nic_hangs(h) ? 200000 :
						 rnd_in(&h->rnd, 500, 20000)));
	}
	if (quiet && h->n_taken != taken)
		world_fail(h->w, "h%u: was quiet, and had something to send", h->nr);
}

static void pass(void *who, void *what)
{
	struct host *h = who;

	(void)what;
	if (h->w->events.now < h->wake_at)
		return;
	h->wake_at = UINT64_MAX;
	if (!h->stack)
		return;
	h->n_passes++;
	/* whatever is opened in this pass wraps before long */
	h->iss = 0u - (1 + rnd_below(&h->rnd, 1 << 18));
	check_same_now(h);
	do {
		feed(h);
		tell(h);
	} while (h->received_n);
	net_poll(h->stack, host_now(h));
	tell(h);
	run_due(h);
	tell(h);
	flush(h);
	sleep_until_due(h);
}

void host_wake(struct host *h, uint64_t at)
{
	if (at < h->w->events.now)
		at = h->w->events.now;
	if (at >= h->wake_at)
		return;
	h->wake_at = at;
	events_add(&h->w->events, at, pass, h, NULL);
}
