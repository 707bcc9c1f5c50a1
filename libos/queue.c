#include "config.h"

#include "libos/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libos/backend.h"
#include "libos/op.h"

#define FIRST_SLOTS 64u
#define MAX_SLOTS (1u << 22)

/*
 * What lies in empty slots, so that finding needs no test for NULL. Its
 * descriptor is never the one that is looked for: 1 is looked for in slot 1 alone,
 * which holds the other.
 */
static struct libos_queue no_queue = { .qd = 1 }, no_queue_1 = { .qd = 0 };

bool libos_queues_is_empty(const struct libos_queues *t, uint32_t slot)
{
	return t->slots[slot] == (slot == 1 ? &no_queue_1 : &no_queue);
}

static struct libos_queue **slots_new(uint32_t n)
{
	struct libos_queue **slots = malloc(n * sizeof(*slots));

	for (uint32_t i = 0; slots && i < n; i++)
		slots[i] = i == 1 ? &no_queue_1 : &no_queue;
	return slots;
}

int libos_queues_init(struct libos_queues *t)
{
	t->slots = slots_new(FIRST_SLOTS);
	if (!t->slots)
		return ENOMEM;
	t->mask = FIRST_SLOTS - 1;
	t->n = 0;
	t->next_qd = LIBOS_FIRST_QD;
	return 0;
}

void libos_queues_fini(struct libos_queues *t)
{
	free(t->slots);
	t->slots = NULL;
}

void libos_queue_init(struct libos_queue *q, struct libos_ctx *ctx, enum libos_queue_type type)
{
	memset(q, 0, sizeof(*q));
	q->qd = -1;
	q->type = (uint8_t)type;
	q->state = LIBOS_NEW;
	q->be = ctx->be;
	q->ctx = ctx;
	list_init(&q->waiting);
	list_init(&q->pushes);
}

/* Descriptors are distinct, so are their low bits under the old mask, and under
 * the wider one. */
static int grow(struct libos_queues *t)
{
	uint32_t n = (t->mask + 1) * 2;
	struct libos_queue **slots;

	if (n > MAX_SLOTS)
		return EMFILE;
	slots = slots_new(n);
	if (!slots)
		return ENOMEM;
	for (uint32_t i = 0; i <= t->mask; i++)
		if (!libos_queues_is_empty(t, i))
			slots[(uint32_t)t->slots[i]->qd & (n - 1)] = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->mask = n - 1;
	return 0;
}

/* The next descriptor whose slot is free: those of long-lived queues are
 * stepped over, and at most three quarters of the slots are taken. */
int libos_queues_add(struct libos_queues *t, struct libos_queue *q)
{
	int err;

	if (t->n >= (t->mask + 1) / 4 * 3) {
		err = grow(t);
		if (err)
			return err;
	}
	for (;;) {
		int32_t qd = t->next_qd;

		t->next_qd = qd == INT32_MAX ? LIBOS_FIRST_QD : qd + 1;
		if (!libos_queues_is_empty(t, (uint32_t)qd & t->mask))
			continue;
		q->qd = qd;
		t->slots[(uint32_t)qd & t->mask] = q;
		t->n++;
		return 0;
	}
}

void libos_queues_del(struct libos_queues *t, struct libos_queue *q)
{
	uint32_t slot = (uint32_t)q->qd & t->mask;

	t->slots[slot] = slot == 1 ? &no_queue_1 : &no_queue;
	t->n--;
	q->qd = -1;
}

void libos_queue_fail_waiting(struct libos_queue *q, int err)
{
	while (!list_empty(&q->waiting))
		libos_op_fail(list_first(&q->waiting, struct libos_op, link), err);
	if (q->connect) {
		struct libos_op *op = q->connect;

		q->connect = NULL;
		libos_op_fail(op, err);
	}
}

void libos_queue_fail_pushes(struct libos_queue *q, int err)
{
	while (!list_empty(&q->pushes)) {
		struct libos_op *op = list_first(&q->pushes, struct libos_op, link);
		struct libos_io io = libos_op_push(op)->io;

		libos_op_fail(op, err);
		libos_io_put(&io);
	}
}
