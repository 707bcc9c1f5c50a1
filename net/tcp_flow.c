#include "config.h"

#include "net/tcp_flow.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SIZE 64u

static uint32_t hash_of(const struct tcp_flow *t, const struct tcp_tuple *tuple)
{
	return tcp_flow_hash(t, &tuple->local.ip, &tuple->peer.ip,
			     tcp_ports(tuple->local.port, tuple->peer.port));
}

int tcp_flow_init(struct tcp_flow *t, uint64_t key)
{
	*t = (struct tcp_flow){ .mask = FIRST_SIZE - 1, .key = key };
	t->entries = calloc(FIRST_SIZE, sizeof(*t->entries));
	return t->entries ? 0 : ENOMEM;
}

void tcp_flow_fini(struct tcp_flow *t)
{
	free(t->entries);
	t->entries = NULL;
}

static void put(struct tcp_flow *t, struct tcp_flow_entry entry)
{
	uint32_t i = entry.hash & t->mask;

	while (t->entries[i].tuple)
		i = (i + 1) & t->mask;
	t->entries[i] = entry;
}

static int grow(struct tcp_flow *t)
{
	struct tcp_flow_entry *old = t->entries;
	uint32_t n = t->mask + 1;

	t->entries = calloc(2 * (size_t)n, sizeof(*old));
	if (!t->entries) {
		t->entries = old;
		return ENOMEM;
	}
	t->mask = 2 * n - 1;
	for (uint32_t i = 0; i < n; i++)
		if (old[i].tuple)
			put(t, old[i]);
	free(old);
	return 0;
}

int tcp_flow_add(struct tcp_flow *t, struct tcp_tuple *tuple)
{
	int err;

	/* three quarters at most */
	if ((uint64_t)(t->n + 1) * 4 > (uint64_t)(t->mask + 1) * 3) {
		err = grow(t);
		if (err)
			return err;
	}
	put(t, (struct tcp_flow_entry){ .hash = hash_of(t, tuple), .tuple = tuple });
	t->n++;
	return 0;
}

/* Entries behind the gap that their probing would no longer reach move up. */
static void close_gap(struct tcp_flow *t, uint32_t gap)
{
	for (uint32_t i = (gap + 1) & t->mask; t->entries[i].tuple; i = (i + 1) & t->mask) {
		uint32_t home = t->entries[i].hash & t->mask;

		if (((i - home) & t->mask) < ((i - gap) & t->mask))
			continue;
		t->entries[gap] = t->entries[i];
		gap = i;
	}
	t->entries[gap].tuple = NULL;
}

void tcp_flow_del(struct tcp_flow *t, const struct tcp_tuple *tuple)
{
	uint32_t i = hash_of(t, tuple) & t->mask;

	while (t->entries[i].tuple != tuple) {
		if (!t->entries[i].tuple)
			return;
		i = (i + 1) & t->mask;
	}
	t->n--;
	close_gap(t, i);
}
