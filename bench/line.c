#include "config.h"

#include "bench/line.h"

#include <err.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/cpu.h"
#include "bench/hist.h"

#define BATCH 32	/* round trips between two looks at the clock */
#define STOP UINT64_MAX

static struct hist hist; /* of tenths of a nanosecond */

struct line *line_new(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

void line_answer(struct line *line)
{
	uint64_t want = 1, got;

	for (;;) {
		while ((got = atomic_load_explicit(&line->seq, memory_order_acquire)) != want)
			if (got == STOP) {
				atomic_store(&line->seq, 0);
				return;
			}
		atomic_store_explicit(&line->seq, want + 1, memory_order_release);
		want += 2;
	}
}

static uint64_t there_and_back(struct line *line, uint64_t seq)
{
	for (unsigned i = 0; i < BATCH; i++) {
		atomic_store_explicit(&line->seq, seq + 1, memory_order_release);
		seq += 2;
		while (atomic_load_explicit(&line->seq, memory_order_acquire) != seq)
			;
	}
	return seq;
}

double line_measure(struct line *line, uint64_t duration_ns)
{
	uint64_t seq = there_and_back(line, 0);
	uint64_t start = clock_ns(), last = start, now;

	memset(&hist, 0, sizeof(hist));
	do {
		seq = there_and_back(line, seq);
		now = clock_ns();
		if (last - start >= duration_ns / 10)
			hist_add(&hist, (now - last) * 10 / BATCH);
		last = now;
	} while (now - start < duration_ns || !hist.n);
	atomic_store_explicit(&line->seq, STOP, memory_order_release);
	return hist_quantile(&hist, 0.5) / 10;
}
