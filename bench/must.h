/* A benchmark whose call fails has nothing to measure. */
#ifndef BENCH_MUST_H
#define BENCH_MUST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void must(const char *what, int error)
{
	if (__builtin_expect(error != 0, 0)) {
		fprintf(stderr, "%s: %s\n", what, strerror(error));
		exit(1);
	}
}

#endif /* BENCH_MUST_H */
