#include "config.h"

#include "tests/sim/event.h"

#include <stdlib.h>
#include <string.h>

void events_init(struct events *q)
{
	memset(q, 0, sizeof(*q));
	q->now = 1;
}

void events_fini(struct events *q)
{
	free(q->heap);
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->nr < b->nr);
}

void events_add(struct events *q, uint64_t at, event_fn fn, void *who, void *what)
{
	struct event e = { at < q->now ? q->now : at, q->n_added++, fn, who, what };
	size_t i = q->n++;

	if (q->n > q->room) {
		q->room = q->room ? q->room * 2 : 256;
		q->heap = realloc(q->heap, q->room * sizeof(*q->heap));
		if (!q->heap)
			abort();
	}
	while (i && before(&e, &q->heap[(i - 1) / 2])) {
		q->heap[i] = q->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	q->heap[i] = e;
}

static struct event take_first(struct events *q)
{
	struct event first = q->heap[0];
	struct event last = q->heap[--q->n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= q->n)
			break;
		if (child + 1 < q->n && before(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (before(&last, &q->heap[child]))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	if (q->n)
		q->heap[i] = last;
	return first;
}

bool events_next(struct events *q)
{
	struct event e;

	if (!q->n)
		return false;
	e = take_first(q);
	q->now = e.at;
	e.fn(e.who, e.what);
	return true;
}
