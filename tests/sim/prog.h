/* A program on a host: it is told of events on its sockets, and wakes by itself. */
#ifndef TESTS_SIM_PROG_H
#define TESTS_SIM_PROG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct host;
struct net_addr;
struct net_seg;
struct net_sock;

struct prog {
	struct host *host;
	struct list link;	/* of the host */
	struct list due;	/* of the host: to be run in the next pass; else itself */
	uint64_t wake_at;	/* UINT64_MAX: not of itself */
	/* a socket whose user it is has events (enum net_event) */
	void (*event)(struct prog *p, struct net_sock *s, uint32_t events);
	/* a net_take of its sockets; NULL: it takes nothing so */
	bool (*take)(struct prog *p, const struct net_seg *seg, const struct net_addr *from);
	void (*step)(struct prog *p);
	/* The host has died: sockets are gone, memory has to be given back. */
	void (*gone)(struct prog *p);
};

void prog_init(struct prog *p, struct host *host);
/* step() no later than at. */
void prog_wake(struct prog *p, uint64_t at);

#endif /* TESTS_SIM_PROG_H */
