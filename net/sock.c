#include "config.h"

#include <errno.h>
#include <string.h>

#include "net/stack.h"

/* The calls of net/net.h on sockets: what is common, then by type. */

int net_socket(struct net_stack *stack, enum net_type type, void *user,
	       struct net_sock **sock_out)
{
	struct net_sock *s = NULL;
	int err = type == NET_TCP ? net_tcp_socket(stack, &s) : net_udp_socket(stack, &s);

	if (err) {
		stack->count[NET_C_NO_MEMORY]++;
		return err;
	}
	s->stack = stack;
	list_init(&s->ready);
	s->user = user;
	s->type = (uint8_t)type;
	s->local.ip = s->peer.ip = net_ip4(0);
	*sock_out = s;
	return 0;
}

void *net_user(const struct net_sock *s)
{
	return s->user;
}

void net_set_user(struct net_sock *s, void *user)
{
	s->user = user;
}

struct net_sock *net_next_ready(struct net_stack *stack, uint32_t *events_out)
{
	struct net_sock *s;

	if (unlikely(net_tcp_has_to_reap(&stack->tcp)))
		net_tcp_reap(stack);
	if (list_empty(&stack->ready))
		return NULL;
	s = list_first(&stack->ready, struct net_sock, ready);
	list_del(&s->ready);
	*events_out = s->events;
	s->events = 0;
	return s;
}

bool net_has_ready(const struct net_stack *stack)
{
	return !list_empty(&stack->ready);
}

int net_bind(struct net_sock *s, const struct net_addr *addr)
{
	if (s->bound || s->peer.port)
		return EINVAL;
	return net_port_bind(s, addr); /* a listener is bound, too */
}

int net_listen(struct net_sock *s, int backlog)
{
	return s->type == NET_TCP ? net_tcp_listen(s, backlog) : EOPNOTSUPP;
}

int net_accept(struct net_sock *s, void *user, struct net_sock **sock_out,
	       struct net_addr *peer_out)
{
	return s->type == NET_TCP ? net_tcp_accept(s, user, sock_out, peer_out) : EOPNOTSUPP;
}

/* To any address is to our own, as with Linux. */
static struct net_addr destination(const struct net_sock *s, const struct net_addr *to)
{
	struct net_addr addr = *to;

	if (net_ip_is_any(&addr.ip) && s->stack->ip.n_locals)
		addr.ip = net_ip_is_any(&s->local.ip) ? s->stack->ip.locals[0].ip : s->local.ip;
	return addr;
}

int net_connect(struct net_sock *s, const struct net_addr *peer)
{
	struct net_addr to = destination(s, peer);

	if (!to.port)
		return s->type == NET_TCP ? EADDRNOTAVAIL : EINVAL;
	return s->type == NET_TCP ? net_tcp_connect(s, &to) : net_udp_connect(s, &to);
}

void net_connect_cancel(struct net_sock *s)
{
	if (s->type == NET_TCP)
		net_tcp_connect_cancel(s);
}

int net_peer(const struct net_sock *s, struct net_addr *addr_out)
{
	if (!s->peer.port)
		return ENOTCONN;
	*addr_out = s->peer;
	return 0;
}

int net_name(const struct net_sock *s, struct net_addr *addr_out)
{
	if (!s->local.port)
		return ENOTCONN;
	*addr_out = s->local;
	return 0;
}

int net_send(struct net_sock *s, const struct net_seg *segs, uint32_t n,
	     const struct net_addr *to)
{
	struct net_addr addr;

	if (likely(s->type == NET_TCP))
		return net_tcp_send(s, segs, n);
	if (to && net_ip_is_any(&to->ip)) {
		addr = destination(s, to);
		to = &addr;
	}
	return net_udp_send(s, segs, n, to);
}

static int receive(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from, bool peek)
{
	int err;

	if (s->type == NET_UDP)
		return net_udp_recv(s, seg_out, from, peek);
	err = net_tcp_recv(s, seg_out, peek);
	if (!err && from)
		*from = s->peer;
	return err;
}

int net_recv(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from)
{
	return receive(s, seg_out, from, false);
}

int net_peek(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from)
{
	return receive(s, seg_out, from, true);
}

uint64_t net_bytes_readable(const struct net_sock *s)
{
	return s->type == NET_TCP ? net_tcp_bytes_readable(s) : net_udp_bytes_readable(s);
}

uint64_t net_bytes_unacked(const struct net_sock *s)
{
	return s->type == NET_TCP ? net_tcp_bytes_unacked(s) : 0;
}

void net_charge(struct net_sock *s, int64_t pinned)
{
	if (s->type == NET_TCP)
		net_tcp_charge(s, pinned);
	else
		net_udp_charge(s, pinned);
}

bool net_uncharge(struct net_sock *s, uint32_t pinned)
{
	if (likely(s->type == NET_TCP))
		return net_tcp_uncharge(s, pinned);
	net_udp_charge(s, -(int64_t)pinned);
	return false;
}

int net_shutdown(struct net_sock *s, bool rd, bool wr)
{
	return s->type == NET_TCP ? net_tcp_shutdown(s, rd, wr) : net_udp_shutdown(s, rd, wr);
}

/* A datagram socket has nothing left to do: what was sent is in the ring. */
void net_close(struct net_sock *s, bool report)
{
	if (s->type == NET_TCP)
		net_tcp_close(s, report);
	else
		net_udp_close(s);
}

void net_abort(struct net_sock *s)
{
	if (s->type == NET_TCP)
		net_tcp_abort(s);
	else
		net_udp_close(s);
}

int net_error(struct net_sock *s)
{
	return s->type == NET_TCP ? net_tcp_error(s) : net_udp_error(s);
}

uint32_t net_n_lingering(const struct net_stack *stack)
{
	return stack->tcp.n_lingering;
}

int net_set_opt(struct net_sock *s, enum net_opt opt, int64_t value)
{
	return s->type == NET_TCP ? net_tcp_set_opt(s, opt, value) :
				    net_udp_set_opt(s, opt, value);
}

int net_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out)
{
	return s->type == NET_TCP ? net_tcp_get_opt(s, opt, value_out) :
				    net_udp_get_opt(s, opt, value_out);
}
