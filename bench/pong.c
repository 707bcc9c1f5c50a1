#include "config.h"

#include "bench/pong.h"

#include <stdio.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/hist.h"

static struct hist hist; /* of tenths of a nanosecond */

static void one_round(const struct pong *pong, void (*round_trip)(uint32_t number))
{
	uint64_t start = clock_ns(), last = start, now;
	uint64_t warm = pong->ms * UINT64_C(100000);
	uint32_t number = 0;

	memset(&hist, 0, sizeof(hist));
	do {
		for (uint32_t i = 0; i < pong->batch; i++)
			round_trip(number++);
		now = clock_ns();
		if (last - start >= warm)
			hist_add(&hist, (now - last) * 10 / pong->batch);
		last = now;
	} while (now - start < 11 * warm || !hist.n);
}

void pong_run(const struct pong *pong, void (*round_trip)(uint32_t number))
{
	for (uint32_t i = 0; i < pong->rounds; i++) {
		one_round(pong, round_trip);
		printf("p50_ns %.1f p99_ns %.1f\n", hist_quantile(&hist, 0.5) / 10,
		       hist_quantile(&hist, 0.99) / 10);
		fflush(stdout);
	}
}
