#include "config.h"

#include "apps/histogram.h"

/* The middle of a bucket. */
static uint64_t bucket_value(unsigned bucket)
{
	unsigned shift;
	uint64_t low;

	if (bucket < (2u << HISTOGRAM_STEP_BITS))
		return bucket;
	shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
	low = (uint64_t)(bucket - (shift << HISTOGRAM_STEP_BITS)) << shift;
	return low + (UINT64_C(1) << shift) / 2;
}

uint64_t histogram_percentile(const struct histogram *h, double p)
{
	/* the rank counts from 1 and is rounded up: p99 of ten values is the tenth */
	double exact = p * (double)h->total;
	uint64_t rank = (uint64_t)exact;
	uint64_t seen = 0;

	if ((double)rank < exact || rank == 0)
		rank++;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen >= rank)
			return bucket_value(i) < h->max_ns ? bucket_value(i) : h->max_ns;
	}
	return h->max_ns;
}
