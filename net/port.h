/*
 * Local ports: who is bound to which, which connections use, and the choice of a random
 * free one (RFC 6056) from net_config's range.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

struct net_stack;

#define NET_PORTS_ALONE 16u

struct net_ports {
	struct net_port **table;	/* by port and type; see port.c */
	uint32_t mask;
	uint32_t n;
	struct net_held_port *held;	/* by port */
	uint32_t held_mask;
	uint32_t n_held;
	struct net_sock *alone[NET_PORTS_ALONE]; /* UDP, by port: the one found
					 * last, if nobody else is bound to its port */
};

int net_ports_init(struct net_stack *stack);
void net_ports_fini(struct net_stack *stack);

/*
 * Binds s to addr: sets s->local, s->bound. Port 0: a free one. EADDRNOTAVAIL: not an
 * address of ours, or no port is free. EADDRINUSE: the
 * port is bound by another socket of its type at an overlapping address (any
 * overlaps all), unless both have reuse and neither listens, or (TCP) connections
 * without a bound socket hold it and s has no reuse. ENOMEM.
 */
int net_port_bind(struct net_sock *s, const struct net_addr *addr);
/* Takes it back: s->bound false. Harmless if it is not bound. */
void net_port_unbind(struct net_sock *s);
/* For a connect from an unbound socket: a free port at s->local.ip such that
 * taken() says no. EADDRNOTAVAIL: all are taken. */
int net_port_pick(struct net_sock *s, bool (*taken)(struct net_sock *s, uint16_t port));
/* A listener is at addr (TCP): other bound sockets there are in its way. */
bool net_port_has_listener(const struct net_sock *s);
/* Connections, and TIME_WAITs, that use a local address and port without being bound
 * to it, as those do that a listener accepted. TCP only; n is 1 or -1. ENOMEM,
 * EADDRNOTAVAIL for 1. */
int net_port_hold(struct net_stack *stack, const struct net_addr *local, int n);

/* The socket of a type bound at exactly this address and port, else at any. With
 * peer (UDP) one that is connected to it goes first, and one connected to another
 * is none. TCP: listeners only. */
struct net_sock *net_port_find(struct net_stack *stack, enum net_type type,
			       const struct net_addr *local, const struct net_addr *peer);

/* The same for UDP, quick when it is the one found last. */
struct net_sock *net_port_find_udp(struct net_stack *stack, const struct net_addr *local,
				   const struct net_addr *peer);

#endif /* NET_PORT_H */
