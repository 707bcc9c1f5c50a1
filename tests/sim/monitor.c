#include "config.h"

#include "tests/sim/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/host.h"
#include "tests/sim/rnd.h"
#include "tests/sim/world.h"

#define BUCKETS 1024u

/* One direction of a connection: what its sender has said. */
struct way {
	struct way *next, *back;
	uint32_t src, dst;
	uint16_t sport, dport;
	bool seen;		/* a SYN was */
	uint32_t gen;		/* SYNs with another number */
	uint32_t with_gen;	/* of the way back, that it is connected with; 0: of none */
	uint32_t iss, max;	/* one past what was sent, with SYN and FIN */
	bool fin;
	bool acked;		/* has acknowledged something */
	bool scales;
	uint8_t wscale;
	uint16_t mss;
	uint32_t ack, edge;	/* the highest it has said */
	bool has_ts;
	uint32_t ts;
	bool vague;		/* some of it went in fragments, which we do not read */
};

struct monitor {
	struct way *buckets[BUCKETS];
};

struct monitor *monitor_new(void)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	return m;
}

void monitor_free(struct monitor *m)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
		while (m->buckets[i]) {
			struct way *next = m->buckets[i]->next;

			free(m->buckets[i]);
			m->buckets[i] = next;
		}
	}
	free(m);
}

static struct way *way_find(struct monitor *m, uint32_t src, uint32_t dst, uint16_t sport,
			    uint16_t dport)
{
	uint64_t hash = rnd_mix((uint64_t)src << 32 | dst) ^ ((uint32_t)sport << 16 | dport);
	struct way **bucket = &m->buckets[rnd_mix(hash) % BUCKETS], *w;

	for (w = *bucket; w; w = w->next)
		if (w->src == src && w->dst == dst && w->sport == sport && w->dport == dport)
			return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->src = src;
	w->dst = dst;
	w->sport = sport;
	w->dport = dport;
	w->next = *bucket;
	*bucket = w;
	return w;
}

static struct way *way_of(struct monitor *m, const struct frame *f)
{
	struct way *w = way_find(m, f->src, f->dst, f->sport, f->dport);

	if (!w->back) {
		w->back = way_find(m, f->dst, f->src, f->dport, f->sport);
		w->back->back = w;
	}
	return w;
}

/* a is after b */
static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* ---- what is said in a SYN */

static void on_syn(struct way *w, const struct frame *f)
{
	const uint8_t *opt;

	if (w->seen && w->iss == f->seq)
		return;		/* once more */
	w->seen = true;
	w->gen++;
	w->with_gen = 0;
	w->iss = f->seq;
	w->max = f->seq + 1;
	w->fin = w->acked = w->has_ts = false;
	opt = frame_tcp_opt(f, 3);
	w->scales = opt != NULL;
	w->wscale = opt ? opt[2] : 0;
	opt = frame_tcp_opt(f, 2);
	/* its peer may not have got it, and then takes it for RFC 9293's 536 */
	w->mss = opt && get16(opt + 2) > 536 ? get16(opt + 2) : 536;
}

/* Whether each has seen the other's SYN: what they say is of one connection. */
static bool are_connected(const struct way *w)
{
	return w->with_gen && w->with_gen == w->back->gen;
}

/* ---- checks */

static void check_ack(struct world *world, struct way *w, const struct frame *f)
{
	const struct way *back = w->back;
	uint32_t edge;

	if (after(f->ack, back->max) && !back->vague)
		world_fail(world, "acknowledges %u, and %u is all that was sent", f->ack, back->max);
	/* a SYN's window is not scaled, and neither is one's of which both did not ask */
	edge = f->ack + ((uint32_t)f->wnd << (w->scales && back->scales && !(f->flags & TCP_SYN) ?
					      w->wscale : 0));
	if (w->acked && after(w->ack, f->ack))
		world_fail(world, "acknowledges %u after %u", f->ack, w->ack);
	/* but for a window shut altogether, when memory has run out, and for one SYN more,
	 * which cannot say a large one */
	if (w->acked && f->wnd && !(f->flags & TCP_SYN) && after(w->edge, edge + (1u << w->wscale)))
		world_fail(world, "takes window back: %u after %u", edge, w->edge);
	if (!w->acked || f->flags & TCP_SYN || after(edge, w->edge))
		w->edge = edge;
	w->ack = f->ack;
	w->acked = true;
}

static void check_data(struct world *world, struct host *h, struct way *w, const struct frame *f)
{
	const struct way *back = w->back;
	uint32_t fin = f->flags & TCP_FIN ? 1 : 0;
	uint32_t end = f->seq + f->payload_len + fin;

	if (f->payload_len && f->payload_len + f->doff - TCP_LEN > back->mss)
		world_fail(world, "%u bytes in a segment, %u is what the peer takes",
			   f->payload_len, back->mss);
	/* what waited for ARP in vain never came here */
	if (after(f->seq, w->max) && !h->count[NET_C_ARP_DROPPED] &&
	    !h->count[NET_C_ARP_FAILED] && !w->vague)
		world_fail(world, "leaves out %u to %u", w->max, f->seq);
	if (w->fin && after(end, w->max))
		world_fail(world, "sends %u after its FIN at %u", end, w->max);
	/* a probe of a closed window may be a byte beyond it, and so may the FIN */
	if (back->acked && !back->vague && after(end, back->edge + 1 + fin))
		world_fail(world, "sends up to %u, %u is what it may", end, back->edge);
	if (after(end, w->max))
		w->max = end;
	w->fin |= fin;
}

static void check_ts(struct world *world, struct way *w, const struct frame *f)
{
	const uint8_t *opt = frame_tcp_opt(f, 8);
	uint32_t ts;

	if (!opt)
		return;
	ts = get32(opt + 2);
	if (w->has_ts && after(w->ts, ts))
		world_fail(world, "timestamps go back: %u after %u", ts, w->ts);
	w->has_ts = true;
	w->ts = ts;
}

/* Of a connection whose SYN, or SYN-ACK, waited for ARP in vain and never came here. */
static bool is_unheard_of(const struct host *h, const struct way *w, const struct frame *f)
{
	return !(f->flags & TCP_SYN) && h->count[NET_C_ARP_DROPPED] &&
	       f->seq - w->iss > w->max - w->iss + (1 << 20);
}

static void check_tcp(struct world *world, struct host *h, const struct frame *f)
{
	struct way *w = way_of(world->monitor, f);

	if (f->flags & TCP_RST || is_unheard_of(h, w, f))
		return;
	if (f->flags & TCP_SYN)
		on_syn(w, f);
	if (!w->seen || !w->back->seen)
		return;
	if (!w->with_gen && f->flags & TCP_ACK && f->ack == w->back->iss + 1)
		w->with_gen = w->back->gen;
	if (!are_connected(w))
		return;
	if (f->flags & TCP_ACK)
		check_ack(world, w, f);
	check_ts(world, w, f);
	if (are_connected(w->back))
		check_data(world, h, w, f);
	else if (after(f->seq + f->payload_len, w->max))
		w->max = f->seq + f->payload_len;
}

/* The first of a segment's. */
static void on_fragment(struct world *world, struct frame *f)
{
	f->sport = get16(f->l4);
	f->dport = get16(f->l4 + 2);
	way_of(world->monitor, f)->vague = true;
}

static bool is_host(struct world *w, uint32_t ip)
{
	for (uint32_t i = 0; i < w->n_hosts; i++)
		if (host_has_ip(&w->hosts[i], ip))
			return true;
	return false;
}

void monitor_out(struct world *w, struct host *h, uint8_t *data, uint32_t len)
{
	struct frame f;

	if (!frame_parse(&f, data, len, h->plan.ethernet))
		return;
	if (!frame_ip_csum_good(&f))
		world_fail(w, "h%u: sends a wrong IP checksum", h->nr);
	if (!frame_l4_csum_good(&f))
		world_fail(w, "h%u: sends a wrong checksum (protocol %u)", h->nr, f.proto);
	if (!host_has_ip(h, f.src) && f.src != host_extra_ip(h))
		world_fail(w, "h%u: sends from an address that is not its own", h->nr);
	if (!f.ttl)
		world_fail(w, "h%u: sends with no time to live", h->nr);
	if (!f.frag_offset && !f.more && !f.whole && f.proto != PROTO_ICMP)
		world_fail(w, "h%u: sends a malformed header (protocol %u)", h->nr, f.proto);
	if (f.proto != PROTO_TCP || !is_host(w, f.dst))
		return;
	if (f.whole)
		check_tcp(w, h, &f);
	else if (!f.frag_offset)
		on_fragment(w, &f);
}

void monitor_in(struct world *w, struct host *h, uint8_t *data, uint32_t len)
{
	(void)w;
	(void)h;
	(void)data;
	(void)len;
}
