#include "config.h"

#include "net/neigh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "net/eth.h"
#include "net/icmp.h"
#include "net/stack.h"

#define LOOKS 16u	/* at entries, for one that may go */

struct net_waiting {
	struct net_waiting *next;
	struct net_out out;	/* hdr points into its room */
};

void net_neighs_init(struct net_stack *stack)
{
	struct net_neigh *self = &stack->neigh.self;

	list_init(&stack->neigh.all);
	memcpy(self->eth.dst, stack->dev->mac, sizeof(self->eth.dst));
	memcpy(self->eth.src, stack->dev->mac, sizeof(self->eth.src));
	self->eth.type = __builtin_bswap16(NET_ETHERTYPE_IPV4);
	self->usable = true;
}

static struct net_neigh **chain_of(struct net_stack *stack, const struct net_ip *ip)
{
	uint64_t h = (net_ip_v4(ip) ^ stack->rand.table_key) * UINT64_C(0x9e3779b97f4a7c15);

	return &stack->neigh.chains[(h >> 32) % NET_NEIGH_CHAINS];
}

static struct net_neigh *find(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_neigh *n = *chain_of(stack, ip);

	while (n && !net_ip_equal(&n->ip, ip))
		n = n->next;
	return n;
}

/* ---- packets that wait */

static struct net_waiting *waiting_take(struct net_stack *stack, struct net_neigh *n)
{
	struct net_waiting *w = n->waiting;

	if (!w)
		return NULL;
	n->waiting = w->next;
	if (!n->waiting)
		n->waiting_end = &n->waiting;
	n->n_waiting--;
	stack->neigh.n_waiting--;
	return w;
}

static void waiting_free(struct net_stack *stack, struct net_waiting *w)
{
	for (uint32_t i = 0; i < w->out.n_segs; i++)
		net_put(stack, w->out.segs[i].mem);
	free(w);
}

static void out_copy(struct net_out *to, const struct net_out *from)
{
	*to = *from;
	to->hdr = to->room + (from->hdr - from->room);
}

/* Others have its place: RFC 1122 2.3.2.2 keeps one. */
static void gave_way(struct net_stack *stack, const struct net_out *out)
{
	stack->count[NET_C_ARP_DROPPED]++;
	net_icmp_gave_way(stack, out->hdr, out->hdr_len);
}

/* Nobody answers: whoever sent them is told, and may do anything then; n may be gone
 * when the first has been. */
static void waiting_fail(struct net_stack *stack, struct net_neigh *n)
{
	struct net_waiting *w, *next;

	w = n->waiting;
	stack->neigh.n_waiting -= n->n_waiting;
	n->waiting = NULL;
	n->waiting_end = &n->waiting;
	n->n_waiting = 0;
	for (; w; w = next) {
		next = w->next;
		stack->count[NET_C_ARP_DROPPED]++;
		net_icmp_tell(stack, w->out.hdr, w->out.hdr_len, EHOSTUNREACH, false);
		waiting_free(stack, w);
	}
}

/* The address is known. What finds no place in the ring waits on: the timer comes
 * back to it. */
static bool waiting_send(struct net_stack *stack, struct net_neigh *n)
{
	struct net_out *out;

	while (n->waiting) {
		struct net_waiting *w;

		out = net_out_new(stack, 0, true);
		if (!out)
			return false;
		w = waiting_take(stack, n);
		out_copy(out, &w->out);
		free(w);
		net_ip_send(stack, out, n->eth.dst);
	}
	return true;
}

/* ---- entries */

static void state_set(struct net_neigh *n, enum net_neigh_state state)
{
	n->state = (uint8_t)state;
	n->usable = state == NET_NEIGH_REACHABLE || state == NET_NEIGH_PROBING ||
		    state == NET_NEIGH_STATIC;
}

static void drop(struct net_stack *stack, struct net_neigh *n)
{
	struct net_neigh **link = chain_of(stack, &n->ip);
	struct net_waiting *w;

	while (*link != n)
		link = &(*link)->next;
	*link = n->next;
	list_del(&n->link);
	while ((w = waiting_take(stack, n))) {
		stack->count[NET_C_ARP_DROPPED]++;
		waiting_free(stack, w);
	}
	net_timer_remove(stack, &n->timer);
	stack->neigh.n--;
	stack->ip.gen++;	/* paths forget it */
	free(n);
}

void net_neighs_fini(struct net_stack *stack)
{
	while (!list_empty(&stack->neigh.all))
		drop(stack, list_first(&stack->neigh.all, struct net_neigh, link));
}

/* An entry that is not in use goes. must: else any that is not static, for somebody
 * here wants to send; a mere question from outside drives nobody out. What was
 * looked at goes to the end, so that a few looks are enough. */
static bool make_room(struct net_stack *stack, bool must)
{
	struct list *head = &stack->neigh.all;
	struct net_neigh *victim = NULL;

	if (stack->neigh.n < stack->config.arp_entries)
		return true;
	for (uint32_t i = 0; i < stack->neigh.n; i++) {
		struct net_neigh *n = list_first(head, struct net_neigh, link);

		if (i >= LOOKS && (!must || victim))
			break;
		list_move_tail(head, &n->link);
		if (n->state == NET_NEIGH_STATIC)
			continue;
		victim = n;
		if (!n->used)
			break;
	}
	if (!victim || (victim->used && !must))
		return false;
	drop(stack, victim);
	return true;
}

static uint64_t after_ms(const struct net_stack *stack, uint32_t ms)
{
	return stack->now + ms * NSEC_PER_MSEC;
}

static void ask(struct net_stack *stack, struct net_neigh *n)
{
	bool known = n->state == NET_NEIGH_PROBING;

	n->tries++;
	net_arp_request(stack, &n->ip, known ? n->eth.dst : NULL);
	net_timer_arm(stack, &n->timer, after_ms(stack, stack->config.arp_retry_ms));
}

static void probe(struct net_stack *stack, struct net_neigh *n)
{
	state_set(n, NET_NEIGH_PROBING);
	n->tries = 0;
	ask(stack, n);
}

static void reachable_over(struct net_stack *stack, struct net_neigh *n)
{
	if (n->used)
		probe(stack, n);
	else
		state_set(n, NET_NEIGH_STALE);
}

static void unanswered(struct net_stack *stack, struct net_neigh *n)
{
	if (n->tries < stack->config.arp_retries) {
		ask(stack, n);
	} else if (n->state == NET_NEIGH_PROBING) {
		/* perhaps somebody else has the address now */
		state_set(n, NET_NEIGH_INCOMPLETE);
		n->tries = 0;
		ask(stack, n);
	} else {
		stack->count[NET_C_ARP_FAILED]++;
		state_set(n, NET_NEIGH_FAILED);
		net_timer_arm(stack, &n->timer, after_ms(stack, stack->config.arp_retry_ms));
		waiting_fail(stack, n);
		net_tcp_neigh_news(stack);
	}
}

static void fire(struct net_stack *stack, struct net_timer *timer)
{
	struct net_neigh *n = container_of(timer, struct net_neigh, timer);

	if (n->waiting && n->usable) { /* the ring was full */
		if (!waiting_send(stack, n)) {
			net_timer_arm(stack, &n->timer, after_ms(stack, 1));
			return;
		}
		if (n->state != NET_NEIGH_PROBING) {
			net_timer_arm(stack, &n->timer,
				      after_ms(stack, stack->config.arp_reachable_ms));
			return;
		}
	}
	switch ((enum net_neigh_state)n->state) {
	case NET_NEIGH_REACHABLE:
		reachable_over(stack, n);
		return;
	case NET_NEIGH_INCOMPLETE:
	case NET_NEIGH_PROBING:
		unanswered(stack, n);
		return;
	case NET_NEIGH_FAILED:
		drop(stack, n);
		return;
	case NET_NEIGH_STALE:
	case NET_NEIGH_STATIC:
		return;
	}
}

static struct net_neigh *make(struct net_stack *stack, const struct net_ip *ip, bool must)
{
	struct net_neigh **chain, *n;

	if (!make_room(stack, must)) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	n->ip = *ip;
	memcpy(n->eth.src, stack->dev->mac, 6);
	n->eth.type = __builtin_bswap16(NET_ETHERTYPE_IPV4);
	n->waiting_end = &n->waiting;
	net_timer_init(&n->timer, fire);
	chain = chain_of(stack, ip);
	n->next = *chain;
	*chain = n;
	list_add_tail(&stack->neigh.all, &n->link);
	stack->neigh.n++;
	return n;
}

struct net_neigh *net_neigh_find(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_neigh *n = find(stack, ip);

	if (n) {
		if (n->state == NET_NEIGH_STALE)
			probe(stack, n);
		return n;
	}
	n = make(stack, ip, true);
	if (n) {
		state_set(n, NET_NEIGH_INCOMPLETE);
		ask(stack, n);
	}
	return n;
}

int net_neigh_wait(struct net_stack *stack, struct net_neigh *n, struct net_out *out)
{
	struct net_waiting *w;

	if (n->state == NET_NEIGH_FAILED) {
		stack->count[NET_C_ARP_DROPPED]++;
		net_out_drop(stack, out);
		return EHOSTUNREACH;
	}
	if (n->n_waiting >= stack->config.arp_queue ||
	    (n->n_waiting && stack->neigh.n_waiting >= NET_NEIGH_WAITING)) {
		w = waiting_take(stack, n); /* the oldest */
		gave_way(stack, &w->out);
		waiting_free(stack, w);
	}
	if (stack->neigh.n_waiting >= NET_NEIGH_WAITING) {
		gave_way(stack, out);
		net_out_drop(stack, out);
		return 0;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		stack->count[NET_C_NO_MEMORY]++;
		net_out_drop(stack, out);
		return 0;
	}
	out_copy(&w->out, out);
	out->n_segs = 0;	/* the references are w's now */
	net_out_drop(stack, out);
	w->next = NULL;
	*n->waiting_end = w;
	n->waiting_end = &w->next;
	n->n_waiting++;
	stack->neigh.n_waiting++;
	n->used = true;
	return 0;
}

void net_neigh_confirm(struct net_stack *stack, const struct net_ip *ip, const uint8_t mac[6],
		       bool create)
{
	struct net_neigh *n = find(stack, ip);

	if (n && n->state == NET_NEIGH_STATIC)
		return;
	if (!n && create)
		n = make(stack, ip, false);
	if (!n)
		return;
	memcpy(n->eth.dst, mac, 6);
	state_set(n, NET_NEIGH_REACHABLE);
	n->used = false;
	n->tries = 0;
	net_timer_arm(stack, &n->timer,
		      after_ms(stack, waiting_send(stack, n) ? stack->config.arp_reachable_ms : 1));
	net_tcp_neigh_news(stack);
}

int net_neigh_add(struct net_stack *stack, const struct net_ip *ip, const uint8_t mac[6])
{
	struct net_neigh *n = find(stack, ip);

	if (!n)
		n = make(stack, ip, true);
	if (!n)
		return ENOMEM;
	memcpy(n->eth.dst, mac, 6);
	state_set(n, NET_NEIGH_STATIC);
	net_timer_disarm(&n->timer);
	if (!waiting_send(stack, n))
		net_timer_arm(stack, &n->timer, after_ms(stack, 1));
	net_tcp_neigh_news(stack);
	return 0;
}

void net_neighs_forget(struct net_stack *stack)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &stack->neigh.all) {
		struct net_neigh *n = container_of(pos, struct net_neigh, link);

		if (n->state != NET_NEIGH_STATIC && !n->waiting)
			drop(stack, n);
	}
}

void net_neighs_ask(struct net_stack *stack)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &stack->neigh.all) {
		struct net_neigh *n = container_of(pos, struct net_neigh, link);

		if (n->state == NET_NEIGH_FAILED)
			state_set(n, NET_NEIGH_INCOMPLETE);
		if (n->state != NET_NEIGH_INCOMPLETE)
			continue;
		n->tries = 0;
		ask(stack, n);
	}
}
