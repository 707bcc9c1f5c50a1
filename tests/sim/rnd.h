/*
 * The simulator's random choices: splitmix64, a generator for each who chooses, so
 * that what one does more often leaves the others' choices alone.
 */
#ifndef TESTS_SIM_RND_H
#define TESTS_SIM_RND_H

#include <stdbool.h>
#include <stdint.h>

struct rnd {
	uint64_t state;
};

static inline uint64_t rnd_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline void rnd_init(struct rnd *r, uint64_t seed, uint64_t who)
{
	r->state = rnd_mix(seed * UINT64_C(0x9e3779b97f4a7c15) + rnd_mix(who + 1));
}

static inline uint64_t rnd_u64(struct rnd *r)
{
	return rnd_mix(r->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* lo to hi, both included */
static inline uint64_t rnd_in(struct rnd *r, uint64_t lo, uint64_t hi)
{
	return lo + rnd_u64(r) % (hi - lo + 1);
}

static inline uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	return (uint32_t)(((rnd_u64(r) >> 32) * n) >> 32);
}

static inline bool rnd_one_in(struct rnd *r, uint32_t n)
{
	return rnd_below(r, n) == 0;
}

/* Parts of a million. */
static inline bool rnd_ppm(struct rnd *r, uint32_t ppm)
{
	return ppm && rnd_below(r, 1000000) < ppm;
}

/* Of any magnitude between lo (not 0) and hi, each as likely. */
static inline uint64_t rnd_log(struct rnd *r, uint64_t lo, uint64_t hi)
{
	unsigned bits = hi > lo ? 64u - (unsigned)__builtin_clzll(hi / lo) : 1;
	uint64_t top = lo << rnd_below(r, bits);
	uint64_t max = top > hi / 2 ? hi : top * 2;

	return rnd_in(r, top, max);
}

#endif /* TESTS_SIM_RND_H */
