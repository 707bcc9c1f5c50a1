/* UDP (RFC 768, 1122 4.1). */
#ifndef NET_UDP_H
#define NET_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/net.h"
#include "net/slab.h"

struct net_ip_hdr;
struct net_ip_in;
struct net_stack;

struct net_udps {
	struct net_slab dgrams;	/* records of received ones */
	struct list socks;	/* all */
	struct list blocked;	/* whose net_send() said EAGAIN */
};

void net_udps_init(struct net_stack *stack);
void net_udps_fini(struct net_stack *stack);
/* pkt->seg is the UDP part, of ip->len bytes; takes the reference over. */
void net_udp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip);
/* The same where all is as usual, straight from its frame: len bytes behind the IP
 * header. false: nothing has changed, it goes the long way. */
bool net_udp_input_usual(struct net_stack *stack, struct net_pkt *pkt,
			 const struct net_ip_hdr *ip, uint32_t len);
/* An ICMP error about a datagram of ours. */
void net_udp_unreachable(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, int err);
/* Sockets whose net_send() said EAGAIN are told when there is room. */
void net_udp_resume(struct net_stack *stack);

int net_udp_socket(struct net_stack *stack, struct net_sock **sock_out);
int net_udp_connect(struct net_sock *s, const struct net_addr *peer);
int net_udp_send(struct net_sock *s, const struct net_seg *segs, uint32_t n,
		 const struct net_addr *to);
int net_udp_recv(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from, bool peek);
uint64_t net_udp_bytes_readable(const struct net_sock *s);
void net_udp_charge(struct net_sock *s, int64_t pinned);
int net_udp_shutdown(struct net_sock *s, bool rd, bool wr);
void net_udp_close(struct net_sock *s);
int net_udp_error(struct net_sock *s);
int net_udp_set_opt(struct net_sock *s, enum net_opt opt, int64_t value);
int net_udp_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out);

#endif /* NET_UDP_H */
