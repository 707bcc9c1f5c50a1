/* What a process holds: memory and descriptors. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>

struct usage {
	int64_t rss;		/* bytes of pages mapped, shared ones included */
	int64_t own;		/* bytes of private pages: heap, stack, data */
	int64_t mapped;		/* bytes of address space, used or not */
	int64_t fds;
};

void usage_read(struct usage *u);
/* Bytes of shared memory in the whole system, also of pages nobody has mapped. */
int64_t usage_shared_memory(void);

#endif /* BENCH_USAGE_H */
