/* Virtual time: what happens when, in an order that is the same in every run. */
#ifndef TESTS_SIM_EVENT_H
#define TESTS_SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*event_fn)(void *who, void *what);

struct event {
	uint64_t at;		/* ns */
	uint64_t nr;		/* of two at one time the older one is first */
	event_fn fn;
	void *who, *what;
};

struct events {
	uint64_t now;
	uint64_t n_added;
	struct event *heap;
	size_t n, room;
};

void events_init(struct events *q);
void events_fini(struct events *q);
void events_add(struct events *q, uint64_t at, event_fn fn, void *who, void *what);
/* Lets the next one happen. false: there is none. */
bool events_next(struct events *q);

#endif /* TESTS_SIM_EVENT_H */
