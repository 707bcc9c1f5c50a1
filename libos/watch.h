/*
 * Kernel descriptors that an instance waits on: one epoll set, which is also
 * what a blocked wait sleeps on. A watch is embedded where its owner lives.
 */
#ifndef LIBOS_WATCH_H
#define LIBOS_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct libos;

struct libos_watch {
	void (*ready)(struct libos_watch *w, uint32_t events);
	int fd;			/* -1: not watched */
	bool eager;		/* looked at in every pass; else every 20 us, and
				 * before a sleep */
};

#define LIBOS_WATCH_BATCH 256

struct libos_watches {
	int epfd;
	bool no_pwait2;		/* the kernel has no such call, or not for us */
	uint32_t n_eager;
	uint64_t next_look;	/* ns: when a pass looks at the lazy ones again */
	int n_events;		/* of the batch being handled */
	int at;
	struct epoll_event events[LIBOS_WATCH_BATCH];
};

int libos_watches_init(struct libos_watches *ws);
void libos_watches_fini(struct libos_watches *ws);

/* events as in epoll, EPOLLET included. ENOSPC, ENOMEM, EPERM. */
int libos_watch_add(struct libos *os, struct libos_watch *w, int fd, uint32_t events);
int libos_watch_mod(struct libos *os, struct libos_watch *w, uint32_t events);
/* Stops watching; call before closing the descriptor. Safe inside ready(), also
 * for another watch: its event is not delivered any more. */
void libos_watch_del(struct libos *os, struct libos_watch *w);

/* Collects events, for at most timeout_ns (0: not at all; UINT64_MAX: for ever),
 * and calls ready() for each. True if there were any. */
bool libos_watches_poll(struct libos_watches *ws, uint64_t timeout_ns);

#endif /* LIBOS_WATCH_H */
