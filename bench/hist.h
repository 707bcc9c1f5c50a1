/*
 * A histogram of nanoseconds, exact below 512 and with 256 steps an octave above,
 * so that a percentile is off by 0.4 % at most.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_SHIFT 8
#define HIST_BUCKETS ((64 - HIST_SUB_SHIFT) << HIST_SUB_SHIFT)

struct hist {
	uint64_t n;
	uint64_t max;
	uint64_t bucket[HIST_BUCKETS];
};

static inline unsigned hist_index(uint64_t v)
{
	unsigned shift;

	if (v < (2u << HIST_SUB_SHIFT))
		return (unsigned)v;
	shift = 63u - HIST_SUB_SHIFT - (unsigned)__builtin_clzl(v);
	return (shift << HIST_SUB_SHIFT) + (unsigned)(v >> shift);
}

static inline void hist_add(struct hist *h, uint64_t v)
{
	h->n++;
	h->bucket[hist_index(v)]++;
	if (v > h->max)
		h->max = v;
}

/* The value that a share q (0 to 1) of all samples does not exceed; 0 if empty. */
double hist_quantile(const struct hist *h, double q);

#endif /* BENCH_HIST_H */
