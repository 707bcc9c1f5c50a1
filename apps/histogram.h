/*
 * Counts of durations in nanoseconds: exact to 2047, then 1024 steps for each
 * doubling, so that three significant digits hold from 10 ns to a minute.
 */
#ifndef APPS_HISTOGRAM_H
#define APPS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 10
#define HISTOGRAM_MAX_NS UINT64_C(60000000000)
/* 60 s has 36 bits: 26 doublings of 1024 steps above the first 1024 values. */
#define HISTOGRAM_BUCKETS ((36u - HISTOGRAM_STEP_BITS + 1u) << HISTOGRAM_STEP_BITS)

struct histogram {
	uint64_t total;
	uint64_t max_ns;	/* exact */
	uint64_t counts[HISTOGRAM_BUCKETS];
};

/* The duration at which the fraction p (0 to 1) is reached; 0 if empty. */
uint64_t histogram_percentile(const struct histogram *h, double p);

static inline unsigned histogram_bucket(uint64_t ns)
{
	unsigned shift;

	if (ns < (2u << HISTOGRAM_STEP_BITS))
		return (unsigned)ns;
	shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
	return (shift << HISTOGRAM_STEP_BITS) + (unsigned)(ns >> shift);
}

/* Longer than HISTOGRAM_MAX_NS counts as that long, except in max_ns. */
static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	if (ns > h->max_ns)
		h->max_ns = ns;
	if (ns > HISTOGRAM_MAX_NS)
		ns = HISTOGRAM_MAX_NS;
	h->counts[histogram_bucket(ns)]++;
	h->total++;
}

#endif /* APPS_HISTOGRAM_H */
