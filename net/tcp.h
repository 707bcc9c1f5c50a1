/* What the rest of the stack knows of TCP; its insides are in net/tcp_conn.h. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/net.h"
#include "net/slab.h"
#include "net/tcp_flow.h"
#include "net/tcp_wait.h"
#include "net/timer.h"

struct net_ip_hdr;
struct net_ip_in;
struct net_stack;

/* All state of TCP beside the connections'. */
struct net_tcps {
	struct tcp_flow flow;	/* connections by four-tuple */
	struct list acks;	/* connections that owe an ACK now, by tcp_conn.link */
	struct list blocked;	/* ... that want room in the ring, by tcp_conn.link */
	struct list unresolved;	/* ... in SYN_SENT, for news of a neighbour, by tcp_conn.link */
	struct list delacks;	/* ... that owe one later, by tcp_conn.delack */
	struct net_timer delack;
	uint32_t s, ms, us;	/* stack->now, as far as it goes */
	uint32_t ts;		/* of timestamps, before the connection's offset */
	struct net_slab chunks;	/* struct tcp_chunk */
	struct net_slab conns;	/* struct tcp_conn */
	struct list all;	/* connections, by tcp_conn.all */
	struct list dead;	/* to be freed, by tcp_conn.all */
	struct list reported;	/* how they ended is known, by tcp_conn.all */
	struct tcp_waits waits;	/* TIME_WAIT */
	uint32_t n_half;	/* connections in SYN_RECEIVED */
	uint32_t n_lingering;
	const uint32_t *iss;	/* tests: the initial sequence number */
};

int net_tcps_init(struct net_stack *stack);
void net_tcps_fini(struct net_stack *stack);
/* stack->now has moved. */
void net_tcp_clock(struct net_stack *stack);

/* pkt->seg is the TCP part, of ip->len bytes; takes the reference over. */
void net_tcp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip);
/* The same where all is as usual, straight from its frame: len bytes behind the IP
 * header. false: nothing has changed, it goes the long way. */
bool net_tcp_input_usual(struct net_stack *stack, struct net_pkt *pkt,
			 const struct net_ip_hdr *ip, uint32_t len);
/* An ICMP error about a segment of ours (local to peer, with this sequence number):
 * err is its errno; hard: protocol or port unreachable (RFC 1122 4.2.3.9). */
void net_tcp_unreachable(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, uint32_t seq, int err, bool hard);
/* Whether a segment that began there is on its way, as far as we know. */
bool net_tcp_has_sent(struct net_stack *stack, const struct net_addr *local,
		      const struct net_addr *peer, uint32_t seq);
/* A packet of ours gave way to others that wait for its neighbour. */
void net_tcp_gave_way(struct net_stack *stack, const struct net_addr *local,
		      const struct net_addr *peer, uint32_t seq);
/* One that was asked for has answered, or does not: those that gave way try again. */
void net_tcp_neigh_news(struct net_stack *stack);
/* What the way to dst (IPv4) takes has changed (RFC 1191 6.2, 6.3). */
void net_tcp_mtu_changed(struct net_stack *stack, uint32_t dst);
/* Those to others fail, but for connects that nobody has answered. */
void net_tcp_link_lost(struct net_stack *stack, int err);
/* Connections that waited for room in the ring go on. */
void net_tcp_resume(struct net_stack *stack);
/* Acknowledgements that are owed now, and rode on nothing. */
void net_tcp_flush_acks(struct net_stack *stack);
/* First thing in net_next_ready(): what net_close() was to report has been taken,
 * those sockets go. */
void net_tcp_reap(struct net_stack *stack);
static inline bool net_tcp_has_to_reap(const struct net_tcps *t)
{
	return !list_empty(&t->reported) || !list_empty(&t->dead);
}

/* net/net.h by type: net/sock.c has checked what is common. */
int net_tcp_socket(struct net_stack *stack, struct net_sock **sock_out);
int net_tcp_listen(struct net_sock *s, int backlog);
int net_tcp_accept(struct net_sock *s, void *user, struct net_sock **sock_out,
		   struct net_addr *peer_out);
int net_tcp_connect(struct net_sock *s, const struct net_addr *peer);
void net_tcp_connect_cancel(struct net_sock *s);
int net_tcp_send(struct net_sock *s, const struct net_seg *segs, uint32_t n);
int net_tcp_recv(struct net_sock *s, struct net_seg *seg_out, bool peek);
uint64_t net_tcp_bytes_readable(const struct net_sock *s);
uint64_t net_tcp_bytes_unacked(const struct net_sock *s);
void net_tcp_charge(struct net_sock *s, int64_t pinned);
bool net_tcp_uncharge(struct net_sock *s, uint32_t pinned);
int net_tcp_shutdown(struct net_sock *s, bool rd, bool wr);
void net_tcp_close(struct net_sock *s, bool report);
void net_tcp_abort(struct net_sock *s);
int net_tcp_error(struct net_sock *s);
int net_tcp_set_opt(struct net_sock *s, enum net_opt opt, int64_t value);
int net_tcp_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out);

#endif /* NET_TCP_H */
