/*
 * Finds what belongs to a four-tuple: open addressing, linear probing, keyed hash.
 * An entry is the hash and the object, whose struct begins with struct tcp_tuple:
 * one cache miss in the table, one in the object.
 */
#ifndef NET_TCP_FLOW_H
#define NET_TCP_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

/* As a struct net_sock and a struct tcp_wait begin. */
struct tcp_tuple {
	struct net_addr local, peer;
};

struct tcp_flow_entry {
	uint32_t hash;
	struct tcp_tuple *tuple; /* NULL: empty */
};

struct tcp_flow {
	struct tcp_flow_entry *entries;
	uint32_t mask;
	uint32_t n;
	uint64_t key;
};

int tcp_flow_init(struct tcp_flow *t, uint64_t key);
void tcp_flow_fini(struct tcp_flow *t);
/* There must be none of this tuple yet. ENOMEM. */
int tcp_flow_add(struct tcp_flow *t, struct tcp_tuple *tuple);
void tcp_flow_del(struct tcp_flow *t, const struct tcp_tuple *tuple);

static inline uint64_t tcp_flow_mix(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* A folded product of keyed words: nobody without the key makes tuples collide. */
static inline uint32_t tcp_flow_hash(const struct tcp_flow *t, const struct net_ip *local,
				     const struct net_ip *peer, uint32_t ports)
{
	uint64_t h = tcp_flow_mix(peer->d[1] ^ ports ^ t->key,
				  local->d[1] ^ (t->key << 32 | t->key >> 32));

	if (peer->d[0] | local->d[0])
		h ^= tcp_flow_mix(peer->d[0] ^ h, local->d[0] ^ t->key);
	return (uint32_t)(h ^ h >> 32);
}

static inline bool tcp_tuple_is(const struct tcp_tuple *tuple, const struct net_ip *local,
				const struct net_ip *peer, uint32_t ports)
{
	return ((uint32_t)tuple->local.port << 16 | tuple->peer.port) == ports &&
	       net_ip_equal(&tuple->peer.ip, peer) && net_ip_equal(&tuple->local.ip, local);
}

static inline uint32_t tcp_ports(uint16_t local, uint16_t peer)
{
	return (uint32_t)local << 16 | peer;
}

/* NULL: none. ports: tcp_ports(). */
static inline struct tcp_tuple *tcp_flow_find(const struct tcp_flow *t,
					      const struct net_ip *local,
					      const struct net_ip *peer, uint32_t ports)
{
	uint32_t hash = tcp_flow_hash(t, local, peer, ports);

	for (uint32_t i = hash & t->mask;; i = (i + 1) & t->mask) {
		const struct tcp_flow_entry *e = &t->entries[i];

		if (!e->tuple)
			return NULL;
		if (e->hash == hash && tcp_tuple_is(e->tuple, local, peer, ports))
			return e->tuple;
	}
}

#endif /* NET_TCP_FLOW_H */
