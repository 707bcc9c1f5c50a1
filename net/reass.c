#include "config.h"

#include "net/reass.h"

#include <string.h>

#include "base/time.h"
#include "net/icmp.h"
#include "net/stack.h"
#include "net/wire.h"

#define LONGEST (65535u - NET_IP_LEN)
#define MOST 256u		/* datagrams at a time */
#define FRAGS_MOST 128u		/* of one: 64 KiB over the smallest mtu */
#define SOURCE_SHARE 4u		/* one source may have a quarter of the memory */

struct frag {
	struct frag *next;	/* by offset */
	uint32_t offset, len;
	struct net_seg seg;
};

struct datagram {
	struct list link;
	struct net_timer timer;
	struct net_ip src, dst;
	uint16_t id;
	uint8_t proto;
	uint8_t tos;
	bool broadcast;
	uint32_t total;		/* 0: the last fragment has not come */
	uint32_t have;
	uint32_t n_frags;
	uint64_t pinned;
	struct frag *frags;
	uint32_t header_len;
	uint8_t header[60];	/* of the first fragment: for ICMP */
};

void net_reass_init(struct net_stack *stack)
{
	struct net_reass *reass = &stack->reass;

	list_init(&reass->all);
	net_slab_init(&reass->datagrams, sizeof(struct datagram), 16);
	net_slab_init(&reass->frags, sizeof(struct frag), 64);
}

static void drop(struct net_stack *stack, struct datagram *d)
{
	struct frag *f, *next;

	for (f = d->frags; f; f = next) {
		next = f->next;
		net_put(stack, f->seg.mem);
		net_slab_free(&stack->reass.frags, f);
	}
	net_timer_remove(stack, &d->timer);
	list_del(&d->link);
	stack->reass.n--;
	stack->reass.pinned -= d->pinned;
	net_slab_free(&stack->reass.datagrams, d);
}

void net_reass_fini(struct net_stack *stack)
{
	while (!list_empty(&stack->reass.all))
		drop(stack, list_first(&stack->reass.all, struct datagram, link));
	net_slab_fini(&stack->reass.datagrams);
	net_slab_fini(&stack->reass.frags);
}

/* RFC 1122 3.3.2: its sender is told, if the first fragment is there to be quoted. */
static void expired(struct net_stack *stack, struct net_timer *timer)
{
	struct datagram *d = container_of(timer, struct datagram, timer);
	struct net_seg quote;

	stack->count[NET_C_IP_REASS_TIMEOUT]++;
	if (d->header_len && !d->broadcast) {
		quote = d->frags->seg;
		quote.data -= d->header_len;
		quote.len += d->header_len;
		net_icmp_reass_timeout(stack, &d->dst, &d->src, &quote);
	}
	drop(stack, d);
}

/* ---- room */

static uint64_t source_pinned(const struct net_stack *stack, const struct net_ip *src,
			      struct datagram **oldest_out)
{
	const struct list *head = &stack->reass.all;
	uint64_t pinned = 0;

	*oldest_out = NULL;
	for (struct list *pos = head->next; pos != head; pos = pos->next) {
		struct datagram *d = container_of(pos, struct datagram, link);

		if (!net_ip_equal(&d->src, src))
			continue;
		if (!*oldest_out)
			*oldest_out = d;
		pinned += d->pinned;
	}
	return pinned;
}

/* keep: the one that the memory is for. A source that has its share loses its own
 * oldest; only when all are within theirs does the oldest of all go. */
static bool make_room(struct net_stack *stack, const struct net_ip *src,
		      const struct datagram *keep, uint32_t pinned)
{
	uint64_t limit = stack->config.reass_bytes;
	struct datagram *d;

	if (pinned > limit / SOURCE_SHARE)
		return false;
	while (source_pinned(stack, src, &d) + pinned > limit / SOURCE_SHARE ||
	       (!keep && stack->reass.n >= MOST)) {
		if (d == keep || !d)
			break;
		stack->count[NET_C_IP_REASS_BAD]++;
		drop(stack, d);
	}
	if (source_pinned(stack, src, &d) + pinned > limit / SOURCE_SHARE)
		return false;
	while (stack->reass.pinned + pinned > limit || (!keep && stack->reass.n >= MOST)) {
		d = list_first(&stack->reass.all, struct datagram, link);
		if (d == keep)
			return false;
		stack->count[NET_C_IP_REASS_BAD]++;
		drop(stack, d);
	}
	return true;
}

/* ---- one datagram */

static struct datagram *find(struct net_stack *stack, const struct net_ip_in *ip, uint8_t proto,
			     uint16_t id)
{
	struct list *head = &stack->reass.all;

	/* the last that was begun is mostly the one */
	for (struct list *pos = head->prev; pos != head; pos = pos->prev) {
		struct datagram *d = container_of(pos, struct datagram, link);

		if (d->id == id && d->proto == proto && net_ip_equal(&d->src, &ip->src) &&
		    net_ip_equal(&d->dst, &ip->dst))
			return d;
	}
	return NULL;
}

static struct datagram *begin(struct net_stack *stack, const struct net_ip_in *ip, uint8_t proto,
			      uint16_t id)
{
	struct datagram *d = net_slab_alloc(&stack->reass.datagrams);

	if (!d) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	memset(d, 0, sizeof(*d));
	d->src = ip->src;
	d->dst = ip->dst;
	d->id = id;
	d->proto = proto;
	d->broadcast = ip->broadcast;
	net_timer_init(&d->timer, expired);
	net_timer_arm(stack, &d->timer, stack->now + stack->config.reass_ms * NSEC_PER_MSEC);
	list_add_tail(&stack->reass.all, &d->link);
	stack->reass.n++;
	return d;
}

enum fit {
	FITS,
	TWICE,			/* exactly one that has come already */
	WRONG,
};

/* Where it belongs: behind *link_out. */
static enum fit fit(struct datagram *d, uint32_t offset, uint32_t len, bool more,
		    struct frag ***link_out)
{
	struct frag **link = &d->frags;
	uint32_t end = offset + len;

	if (end > LONGEST || (more && (!len || len % 8)) || d->n_frags >= FRAGS_MOST)
		return WRONG;
	if (d->total && (end > d->total || (!more && end != d->total)))
		return WRONG;
	while (*link && (*link)->offset + (*link)->len <= offset)
		link = &(*link)->next;
	if (*link && (*link)->offset == offset && (*link)->len == len)
		return TWICE;
	if (*link && ((*link)->offset < end || !more))
		return WRONG;	/* overlaps, or lies behind the last */
	*link_out = link;
	return FITS;
}

static bool add(struct net_stack *stack, struct datagram *d, struct frag **link,
		const struct net_seg *seg, uint32_t offset, uint32_t len)
{
	struct frag *f = net_slab_alloc(&stack->reass.frags);

	if (!f) {
		stack->count[NET_C_NO_MEMORY]++;
		return false;
	}
	f->offset = offset;
	f->len = len;
	f->seg = *seg;
	f->next = *link;
	*link = f;
	d->n_frags++;
	d->have += len;
	d->pinned += seg->pinned;
	stack->reass.pinned += seg->pinned;
	return true;
}

/* The header of the first fragment stands for all. */
static void header_keep(struct datagram *d, const struct net_pkt *pkt, const struct net_ip_in *ip)
{
	d->header_len = (uint32_t)(pkt->seg.data - ip->header);
	memcpy(d->header, ip->header, d->header_len);
	d->tos = ip->tos;
}

/* Into one buffer, behind the header of the first fragment: a counted copy. */
static bool join(struct net_stack *stack, struct datagram *d, struct net_pkt *pkt,
		 struct net_ip_in *ip)
{
	struct net_seg seg;

	if (d->header_len + d->total > 65535) {
		stack->count[NET_C_IP_REASS_BAD]++;
		return false;
	}
	if (!stack->dev->ops->alloc(stack->dev, d->header_len + d->total, &seg)) {
		stack->count[NET_C_NO_MEMORY]++;
		return false;
	}
	memcpy(seg.data, d->header, d->header_len);
	ip->header = seg.data;
	seg.data += d->header_len;
	seg.len = d->total;
	for (const struct frag *f = d->frags; f; f = f->next)
		memcpy(seg.data + f->offset, f->seg.data, f->len);
	ip->len = (uint16_t)d->total;
	ip->tos = d->tos;
	pkt->seg = seg;
	pkt->flags &= ~(uint32_t)(NET_PKT_L4_GOOD | NET_PKT_L4_BAD);
	stack->count[NET_C_IP_REASSEMBLED]++;
	return true;
}

bool net_reass_input(struct net_stack *stack, struct net_pkt *pkt, struct net_ip_in *ip,
		     uint8_t proto, uint16_t id, uint32_t offset, bool more)
{
	struct datagram *d = find(stack, ip, proto, id);
	struct frag **link = NULL;
	bool whole;

	stack->count[NET_C_IP_FRAGS_IN]++;
	if (!make_room(stack, &ip->src, d, pkt->seg.pinned))
		goto bad;
	if (!d)
		d = begin(stack, ip, proto, id);
	if (!d) {
		net_put(stack, pkt->seg.mem);
		return false;
	}
	switch (fit(d, offset, ip->len, more, &link)) {
	case TWICE:
		net_put(stack, pkt->seg.mem);
		return false;
	case WRONG:
		goto bad;
	case FITS:
		break;
	}
	if (!add(stack, d, link, &pkt->seg, offset, ip->len)) {
		net_put(stack, pkt->seg.mem);
		return false;
	}
	if (!offset)
		header_keep(d, pkt, ip);
	if (!more)
		d->total = offset + ip->len;
	if (!d->total || d->have != d->total)
		return false;
	whole = join(stack, d, pkt, ip);
	drop(stack, d);
	return whole;

bad:
	stack->count[NET_C_IP_REASS_BAD]++;
	net_put(stack, pkt->seg.mem);
	if (d)
		drop(stack, d);
	return false;
}
