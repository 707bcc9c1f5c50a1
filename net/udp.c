#include "config.h"

#include "net/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/csum.h"
#include "net/icmp.h"
#include "net/ip_out.h"
#include "net/wire.h"

#define LONGEST 65507u
#define DGRAMS 64u		/* records made at a time */
#define SHORT 512u		/* of a hoarder these are copied out of their packets */

struct net_dgram {
	struct net_dgram *next;
	struct net_seg seg;
	struct net_addr from;
};

struct udp {
	struct net_sock s;	/* first */
	struct net_path path;	/* to who was sent to last */
	struct net_addr path_to;
	struct net_dgram *rx, **rx_end;	/* oldest first */
	uint64_t queued;	/* payload bytes in rx */
	int64_t pinned;		/* by rx, and by what the program has (net_charge) */
	uint32_t rcvbuf, sndbuf;
	int err;		/* of ICMP: told once */
	bool rd_shut, wr_shut;
	struct list link;	/* of all */
	struct list blocked;
	uint32_t needs;		/* places in the ring, before it is told of room */
};

static struct udp *udp_of(struct net_sock *s)
{
	return container_of(s, struct udp, s);
}

static const struct udp *udp_of_const(const struct net_sock *s)
{
	return container_of(s, const struct udp, s);
}

void net_udps_init(struct net_stack *stack)
{
	net_slab_init(&stack->udp.dgrams, sizeof(struct net_dgram), DGRAMS);
	list_init(&stack->udp.socks);
	list_init(&stack->udp.blocked);
}

static void rx_drop(struct udp *u)
{
	struct net_dgram *d;

	while ((d = u->rx)) {
		u->rx = d->next;
		u->pinned -= d->seg.pinned;
		net_put(u->s.stack, d->seg.mem);
		net_slab_free(&u->s.stack->udp.dgrams, d);
	}
	u->rx_end = &u->rx;
	u->queued = 0;
}

void net_udps_fini(struct net_stack *stack)
{
	struct net_udps *udps = &stack->udp;

	while (!list_empty(&udps->socks))
		net_udp_close(&list_first(&udps->socks, struct udp, link)->s);
	net_slab_fini(&udps->dgrams);
}

/* ---- input */

/* A program that keeps what it pops: short ones leave their packet. */
static void unpin(struct udp *u, struct net_seg *seg)
{
	struct net_stack *stack = u->s.stack;
	struct net_seg copy;

	if (seg->len > SHORT || u->pinned <= u->rcvbuf / 2 || seg->pinned <= seg->len * 2)
		return;
	if (!stack->dev->ops->alloc(stack->dev, seg->len ? seg->len : 1, &copy))
		return;
	memcpy(copy.data, seg->data, seg->len);
	copy.len = seg->len;
	net_put(stack, seg->mem);
	*seg = copy;
	stack->count[NET_C_UDP_GATHERED_BYTES] += copy.len;
}

static void enqueue(struct udp *u, struct net_seg *seg, const struct net_addr *from)
{
	struct net_stack *stack = u->s.stack;
	struct net_dgram *d;

	/* one may go over it: else a buffer smaller than a packet would never fill */
	if (u->pinned >= u->rcvbuf || u->rd_shut) {
		stack->count[NET_C_UDP_FULL]++;
		net_put(stack, seg->mem);
		return;
	}
	if (likely(!u->rx) && net_taken(&u->s, seg, from)) {
		u->pinned += seg->pinned;
		return;
	}
	d = net_slab_alloc(&stack->udp.dgrams);
	if (unlikely(!d)) {
		stack->count[NET_C_NO_MEMORY]++;
		net_put(stack, seg->mem);
		return;
	}
	unpin(u, seg);
	d->next = NULL;
	d->seg = *seg;
	d->from = *from;
	*u->rx_end = d;
	u->rx_end = &d->next;
	u->queued += seg->len;
	u->pinned += seg->pinned;
	net_raise(&u->s, NET_READABLE);
}

static bool checksum_is_good(const struct net_pkt *pkt, const struct net_ip_in *ip, uint16_t len)
{
	const struct net_udp_hdr *udp = (const struct net_udp_hdr *)pkt->seg.data;
	uint64_t sum;

	if (pkt->flags & NET_PKT_L4_GOOD || !udp->csum)
		return true;
	if (pkt->flags & NET_PKT_L4_BAD)
		return false;
	sum = net_csum_pseudo(net_ip_v4(&ip->src), net_ip_v4(&ip->dst), NET_IPPROTO_UDP, len);
	return !net_csum_finish(net_csum_add(sum, udp, len));
}

void net_udp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip)
{
	const struct net_udp_hdr *udp = (const struct net_udp_hdr *)pkt->seg.data;
	struct net_addr local, from;
	enum net_count why;
	struct net_sock *s;
	uint16_t len;

	why = NET_C_UDP_BAD;
	if (unlikely(ip->len < NET_UDP_LEN))
		goto bad;
	len = __builtin_bswap16(udp->len);
	if (unlikely(len < NET_UDP_LEN || len > ip->len || !udp->dport))
		goto bad;
	why = NET_C_UDP_BAD_CSUM;
	if (unlikely(!checksum_is_good(pkt, ip, len)))
		goto bad;
	local = (struct net_addr){ ip->dst, udp->dport };
	from = (struct net_addr){ ip->src, udp->sport };
	s = net_port_find(stack, NET_UDP, &local, &from);
	if (unlikely(!s) || unlikely(ip->broadcast && !net_ip_is_any(&s->local.ip))) {
		net_icmp_unreachable(stack, pkt, ip, NET_ICMP_UNREACH_PORT);
		why = NET_C_UDP_NO_PORT;
		goto bad;
	}
	stack->count[NET_C_UDP_IN]++;
	pkt->seg.data += NET_UDP_LEN;
	pkt->seg.len = len - NET_UDP_LEN;
	enqueue(udp_of(s), &pkt->seg, &from);
	return;

bad:
	stack->count[why]++;
	net_put(stack, pkt->seg.mem);
}

bool net_udp_input_usual(struct net_stack *stack, struct net_pkt *pkt,
			 const struct net_ip_hdr *ip, uint32_t len)
{
	const struct net_udp_hdr *udp = (const struct net_udp_hdr *)(ip + 1);
	struct net_addr local, from;
	struct net_sock *s;

	if (unlikely(len < NET_UDP_LEN) || unlikely(__builtin_bswap16(udp->len) != len) ||
	    unlikely(!(pkt->flags & NET_PKT_L4_GOOD) && udp->csum))
		return false;
	local = (struct net_addr){ net_ip4(ip->dst), udp->dport };
	from = (struct net_addr){ net_ip4(ip->src), udp->sport };
	s = net_port_find_udp(stack, &local, &from);
	if (unlikely(!s))
		return false;
	stack->count[NET_C_UDP_IN]++;
	pkt->seg.data = (uint8_t *)(uintptr_t)(udp + 1);
	pkt->seg.len = len - NET_UDP_LEN;
	enqueue(udp_of(s), &pkt->seg, &from);
	return true;
}

static void fail(struct udp *u, int err)
{
	u->err = err;
	net_raise(&u->s, NET_READABLE | NET_WRITABLE);
}

/* Only who has said to whom it speaks can make sense of it (RFC 1122 4.1.3.3). */
void net_udp_unreachable(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, int err)
{
	struct net_sock *s = net_port_find(stack, NET_UDP, local, peer);

	if (!s || !s->peer.port)
		return;
	fail(udp_of(s), err);
}

/* ---- output */

/* Whether the ring takes so many packets. What is more than it ever has for data is
 * taken when it is empty. */
static bool has_room(const struct net_stack *stack, uint32_t packets)
{
	return net_outs_room(&stack->out) >= packets || !stack->out.n;
}

void net_udp_resume(struct net_stack *stack)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &stack->udp.blocked) {
		struct udp *u = container_of(pos, struct udp, blocked);

		if (!has_room(stack, u->needs))
			continue;
		list_del(&u->blocked);
		net_raise(&u->s, NET_WRITABLE);
	}
}

static slow_path int block(struct udp *u, uint32_t needs)
{
	u->needs = needs;
	if (list_empty(&u->blocked))
		list_add_tail(&u->s.stack->udp.blocked, &u->blocked);
	return EAGAIN;
}

/* The way to who was sent to last is mostly still the one. */
static int path_get(struct udp *u, const struct net_addr *to)
{
	struct net_stack *stack = u->s.stack;

	if (likely(u->path.gen == stack->ip.gen) && likely(net_ip_equal(&u->path_to.ip, &to->ip)) &&
	    likely(u->path_to.port == to->port))
		return 0;
	u->path_to = *to;
	return net_path_find_to(stack, NET_UDP, &u->s.local.ip, to, &u->path);
}

static int bind_if_unbound(struct net_sock *s)
{
	struct net_addr any = { net_ip4(0), 0 };

	return likely(s->bound) ? 0 : net_port_bind(s, &any);
}

static uint32_t length(const struct net_seg *segs, uint32_t n)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		len += segs[i].len;
	return len > LONGEST ? LONGEST + 1 : (uint32_t)len;
}

static int errno_take(struct udp *u)
{
	int err = u->err;

	u->err = 0;
	return err;
}

static force_inline void header(struct net_out *out, uint16_t sport, uint16_t dport,
				uint32_t len)
{
	struct net_udp_hdr *udp = (struct net_udp_hdr *)out->hdr;

	udp->sport = sport;
	udp->dport = dport;
	udp->len = __builtin_bswap16((uint16_t)(len + NET_UDP_LEN));
	udp->csum = 0;
}

/* A short one to who was sent to last, whose way is known. false: the long way. */
static force_inline bool send_usual(struct udp *u, const struct net_seg *seg,
				    const struct net_addr *to)
{
	struct net_stack *stack = u->s.stack;
	struct net_path *path = &u->path;
	struct net_out *out;

	if (unlikely(u->err) || unlikely(u->wr_shut) || unlikely(!u->s.bound) ||
	    unlikely(!net_ip_equal(&u->path_to.ip, &to->ip)) ||
	    unlikely(u->path_to.port != to->port) ||
	    unlikely(!to->port) || unlikely(!seg->len) ||
	    unlikely(!net_outs_room(&stack->out)) || !net_path_is_plain(stack, path) ||
	    unlikely(seg->len > path->mtu - NET_UDP_LEN - NET_IP_LEN))
		return false;
	out = net_out_take(&stack->out, NET_UDP_LEN);
	header(out, u->s.local.port, to->port, seg->len);
	out->segs[0] = *seg;
	out->n_segs = 1;
	out->len = seg->len;
	stack->count[NET_C_UDP_OUT]++;
	net_ip_output_plain(stack, path, out, NET_IPPROTO_UDP, 0, true);
	return true;
}

static int send_any(struct net_sock *s, const struct net_seg *segs, uint32_t n,
		    const struct net_addr *to)
{
	struct net_stack *stack = s->stack;
	struct udp *u = udp_of(s);
	uint32_t len = length(segs, n), packets;
	struct net_out *out;
	int err;

	if (unlikely(u->err))
		return errno_take(u);
	if (unlikely(u->wr_shut))
		return EPIPE;
	if (unlikely(!to->port))
		return EDESTADDRREQ;
	if (unlikely(len > LONGEST || n > NET_OUT_SEGS))
		return EMSGSIZE;
	err = path_get(u, to);
	if (!err)
		err = bind_if_unbound(s);
	if (unlikely(err))
		return err;
	packets = 1;
	if (unlikely(len + NET_UDP_LEN + NET_IP_LEN > u->path.mtu) && !u->path.loop)
		packets += net_ip_n_fragments(u->path.mtu, len + NET_UDP_LEN);
	if (unlikely(!has_room(stack, packets)))
		return block(u, packets);
	out = net_out_new(stack, NET_UDP_LEN, false);
	header(out, s->local.port, to->port, len);
	for (uint32_t i = 0; i < n; i++)
		if (segs[i].len)
			out->segs[out->n_segs++] = segs[i];
		else
			net_put(stack, segs[i].mem);
	out->len = len;
	stack->count[NET_C_UDP_OUT]++;
	/* whether it arrives is another matter: who is connected hears of it */
	err = net_ip_output(stack, &u->path, out, NET_IPPROTO_UDP, 0, true);
	if (unlikely(err) && s->peer.port)
		fail(u, err);
	return 0;
}

int net_udp_send(struct net_sock *s, const struct net_seg *segs, uint32_t n,
		 const struct net_addr *to)
{
	if (!to)
		to = &s->peer;
	if (likely(n == 1) && likely(send_usual(udp_of(s), segs, to)))
		return 0;
	return send_any(s, segs, n, to);
}

/* ---- the calls */

int net_udp_socket(struct net_stack *stack, struct net_sock **sock_out)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (!u)
		return ENOMEM;
	u->rx_end = &u->rx;
	u->rcvbuf = stack->config.rcvbuf;
	u->sndbuf = stack->config.sndbuf;
	u->needs = 1;
	list_init(&u->blocked);
	list_add_tail(&stack->udp.socks, &u->link);
	*sock_out = &u->s;
	return 0;
}

int net_udp_connect(struct net_sock *s, const struct net_addr *peer)
{
	struct udp *u = udp_of(s);
	struct net_ip held = net_held_ip(s);
	int err = net_path_find_to(s->stack, NET_UDP, &held, peer, &u->path);

	if (!err)
		err = bind_if_unbound(s);
	if (err)
		return err;
	u->path_to = *peer;
	s->local.ip = net_ip4(u->path.src);
	s->peer = *peer;
	u->err = 0;
	return 0;
}

int net_udp_recv(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from, bool peek)
{
	struct udp *u = udp_of(s);
	struct net_dgram *d = u->rx;

	if (unlikely(u->err))
		return peek ? u->err : errno_take(u);
	if (unlikely(!d)) {
		if (!u->rd_shut)
			return EAGAIN;
		*seg_out = (struct net_seg){ .len = 0 };
		return 0;
	}
	*seg_out = d->seg;
	if (from)
		*from = d->from;
	if (peek)
		return 0;
	u->rx = d->next;
	if (!u->rx)
		u->rx_end = &u->rx;
	u->queued -= d->seg.len;
	u->pinned -= d->seg.pinned;
	net_slab_free(&s->stack->udp.dgrams, d);
	return 0;
}

uint64_t net_udp_bytes_readable(const struct net_sock *s)
{
	return udp_of_const(s)->queued;
}

void net_udp_charge(struct net_sock *s, int64_t pinned)
{
	udp_of(s)->pinned += pinned;
}

int net_udp_shutdown(struct net_sock *s, bool rd, bool wr)
{
	struct udp *u = udp_of(s);

	if (!s->peer.port)
		return ENOTCONN;
	u->rd_shut |= rd;
	u->wr_shut |= wr;
	if (rd) {
		rx_drop(u);
		net_raise(s, NET_READABLE);
	}
	return 0;
}

void net_udp_close(struct net_sock *s)
{
	struct udp *u = udp_of(s);

	rx_drop(u);
	list_del(&u->link);
	list_del(&u->blocked);
	list_del(&s->ready);
	net_port_unbind(s);
	free(u);
}

int net_udp_error(struct net_sock *s)
{
	return errno_take(udp_of(s));
}

int net_udp_set_opt(struct net_sock *s, enum net_opt opt, int64_t value)
{
	struct udp *u = udp_of(s);

	if (opt == NET_OPT_REUSEADDR)
		s->reuse = value != 0;
	else if (opt != NET_OPT_RCVBUF && opt != NET_OPT_SNDBUF)
		return ENOPROTOOPT;
	else if (value < 0 || value > INT32_MAX)
		return EINVAL;
	else if (opt == NET_OPT_RCVBUF)
		u->rcvbuf = (uint32_t)value;
	else
		u->sndbuf = (uint32_t)value;
	return 0;
}

int net_udp_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out)
{
	const struct udp *u = udp_of_const(s);

	if (opt == NET_OPT_REUSEADDR)
		*value_out = s->reuse;
	else if (opt == NET_OPT_RCVBUF)
		*value_out = u->rcvbuf;
	else if (opt == NET_OPT_SNDBUF)
		*value_out = u->sndbuf;
	else
		return ENOPROTOOPT;
	return 0;
}
