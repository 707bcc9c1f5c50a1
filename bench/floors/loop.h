/*
 * A non-blocking epoll loop of the usual kind, which waits as the queue API does:
 * it looks without blocking for 50 us, then blocks. SIGTERM and SIGINT end it.
 */
#ifndef BENCH_FLOORS_LOOP_H
#define BENCH_FLOORS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "bench/load.h"

/* Embedded first in whatever owns the descriptor. */
struct loop_fd {
	void (*ready)(struct loop_fd *lfd, uint32_t events);
	int fd;
};

struct loop {
	int epfd;
	enum load_loop how;
	struct loop_fd stop;
	bool stopped;
	bool busy;		/* events were there at the first look */
};

/* Each exits with a message when the system refuses. */
void loop_init(struct loop *loop, enum load_loop how);
void loop_add(struct loop *loop, struct loop_fd *lfd, uint32_t events);
/* Waits for events, at the longest until `until` (CLOCK_MONOTONIC ns, UINT64_MAX: for
 * ever), and serves them. */
void loop_pass(struct loop *loop, uint64_t until);

#endif /* BENCH_FLOORS_LOOP_H */
