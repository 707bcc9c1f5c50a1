/* The monotonic clock, in nanoseconds. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdint.h>
#include <time.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)
#define TIME_NEVER UINT64_MAX

static inline uint64_t time_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/*
 * Something that counts up at 1 to 8 GHz, for the cheapest look at whether much time
 * has passed: in no unit, and not in order with loads and stores.
 */
static inline uint64_t time_cycles(void)
{
#ifdef __x86_64__
	return __rdtsc();
#else
	return time_now();
#endif
}

#endif /* BASE_TIME_H */
