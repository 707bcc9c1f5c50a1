/*
 * Every random choice of the stack: a keyed hash (SipHash, libsodium's) for what
 * an attacker must not guess or steer, and a generator for the rest.
 */
#ifndef NET_RAND_H
#define NET_RAND_H

#include <stddef.h>
#include <stdint.h>

struct net_rand {
	uint8_t key[16];	/* of net_hash() */
	uint64_t table_key;	/* of the flow table's cheaper hash, secret too */
	uint64_t state[2];	/* of the generator */
};

/* key NULL: from the seed alone. */
void net_rand_init(struct net_rand *r, uint64_t seed, const uint8_t *key);
uint32_t net_rand_u32(struct net_rand *r);
/* 0 to n - 1 */
uint32_t net_rand_below(struct net_rand *r, uint32_t n);
/* SipHash-2-4 */
uint64_t net_hash(const struct net_rand *r, const void *data, size_t len);

#endif /* NET_RAND_H */
