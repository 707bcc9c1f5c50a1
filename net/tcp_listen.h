/* A listener and its children (RFC 9293 3.10.7.2). */
#ifndef NET_TCP_LISTEN_H
#define NET_TCP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

struct net_ip_in;
struct net_addr;
struct net_stack;
struct tcp_conn;
struct tcp_in;

/* A segment to listener l that belongs to no connection. iss_min: NULL or what the
 * initial sequence number must not be below. */
void tcp_listen_input(struct tcp_conn *l, const struct net_addr *local,
		      const struct net_addr *peer, const struct tcp_in *in,
		      const uint32_t *iss_min);
/* Whether one more connection can be given to the program. */
bool tcp_listen_has_room(const struct tcp_conn *l);
/* A child leaves SYN_RECEIVED: to the queue, or out of it. */
void tcp_listen_child_moves(struct tcp_conn *child, bool established);
/* One that waited for the accept has failed, and nothing had come: it makes room. */
void tcp_listen_child_gone(struct tcp_conn *child);
/* The listener is closed: its children are reset. */
void tcp_listen_close(struct tcp_conn *l);

#endif /* NET_TCP_LISTEN_H */
