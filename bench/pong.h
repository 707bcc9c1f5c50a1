/*
 * One request of 64 bytes under way, and how long until its answer is here: the
 * clock around a round trip, the same for whatever carries it.
 */
#ifndef BENCH_PONG_H
#define BENCH_PONG_H

#include <stdint.h>

#define PONG_SIZE 64u

struct pong_request {
	uint32_t number;
	uint8_t rest[PONG_SIZE - sizeof(uint32_t)];
};

struct pong {
	uint32_t ms;		/* of a round; a tenth more is warm-up */
	uint32_t rounds;
	uint32_t batch;		/* round trips between two looks at the clock */
};

#define PONG_DEFAULTS { .ms = 200, .rounds = 1, .batch = 16 }

/* round_trip() sends request `number` and returns once its answer is here. One
 * line a round: the percentiles are over the means of batches. */
void pong_run(const struct pong *pong, void (*round_trip)(uint32_t number));

#endif /* BENCH_PONG_H */
