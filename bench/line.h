/*
 * One cache line that two pinned processes hand to each other and back, with
 * nothing else in between: the floor of everything that crosses the two cores.
 */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include <stdatomic.h>
#include <stdint.h>

struct line {
	_Atomic uint64_t seq	/* odd: on its way there; even: back */
		__attribute__((__aligned__(64)));
};

/* Shared memory for one, zero; exits with a message when there is none. */
struct line *line_new(void);
/* The far side: hands it back until the near side stops. The line is zero before
 * and after. */
void line_answer(struct line *line);
/* The near side, for so long: median of a there and back, in ns. */
double line_measure(struct line *line, uint64_t duration_ns);

#endif /* BENCH_LINE_H */
