#include "config.h"

#include "net/rand.h"

#include <sodium.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood, 2014): spreads a seed over a state. */
static uint64_t split_mix(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void net_rand_init(struct net_rand *r, uint64_t seed, const uint8_t *key)
{
	uint64_t x = seed, part[2];

	part[0] = split_mix(&x);
	part[1] = split_mix(&x);
	memcpy(r->key, part, sizeof(r->key));
	if (key)
		memcpy(r->key, key, sizeof(r->key));
	/* what can be seen of the generator tells nothing of the key */
	r->table_key = net_hash(r, "table", 5) | 1;
	r->state[0] = net_hash(r, "state", 5) ^ split_mix(&x);
	r->state[1] = net_hash(r, "other", 5) | 1;
}

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* xoroshiro128+ (Blackman, Vigna, 2018) */
uint32_t net_rand_u32(struct net_rand *r)
{
	uint64_t a = r->state[0], b = r->state[1], sum = a + b;

	b ^= a;
	r->state[0] = rotate(a, 24) ^ b ^ b << 16;
	r->state[1] = rotate(b, 37);
	return (uint32_t)(sum >> 32);
}

uint32_t net_rand_below(struct net_rand *r, uint32_t n)
{
	return (uint32_t)((uint64_t)net_rand_u32(r) * n >> 32);
}

uint64_t net_hash(const struct net_rand *r, const void *data, size_t len)
{
	uint64_t hash;

	_Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "64 bits");
	_Static_assert(sizeof(r->key) == crypto_shorthash_KEYBYTES, "128 bits");
	crypto_shorthash((unsigned char *)&hash, data, len, r->key);
	return hash;
}
