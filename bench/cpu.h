/* The two cores that a measurement uses: the first two this process may run on. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>
#include <time.h>

/* Exits with a message and status 2 when there are fewer than two. */
void cpu_pair(int cpus_out[2]);
/* Pins the calling thread; exits with status 2 when that is refused. cpu -1: nothing. */
void cpu_pin(int cpu);

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

#endif /* BENCH_CPU_H */
