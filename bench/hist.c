#include "config.h"

#include "bench/hist.h"

/* The middle of a bucket. */
static double bucket_value(unsigned i)
{
	unsigned shift = (i >> HIST_SUB_SHIFT) ? (i >> HIST_SUB_SHIFT) - 1 : 0;
	uint64_t low = (uint64_t)(i - (shift << HIST_SUB_SHIFT)) << shift;

	return (double)low + (double)((UINT64_C(1) << shift) - 1) / 2;
}

double hist_quantile(const struct hist *h, double q)
{
	uint64_t rank = (uint64_t)(q * (double)h->n);
	uint64_t seen = 0;

	if (h->n == 0)
		return 0;
	if (rank >= h->n)
		rank = h->n - 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > rank)
			return bucket_value(i);
	}
	return (double)h->max;
}
