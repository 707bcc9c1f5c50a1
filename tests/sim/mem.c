#include "config.h"

#include "tests/sim/mem.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/host.h"
#include "tests/sim/rnd.h"
#include "tests/sim/world.h"

#define GUARD 32u
#define GUARD_BYTE 0x5a
#define GONE_BYTE 0xdd

/* ---- streams */

static inline uint64_t stream_word(uint64_t stream, uint64_t nr)
{
	uint64_t x = (stream + nr) * UINT64_C(0x9e3779b97f4a7c15);

	return x ^ (x >> 29);
}

uint64_t stream_where(uint64_t stream, const uint8_t bytes[8])
{
	uint64_t x;

	memcpy(&x, bytes, 8);
	x ^= x >> 29 ^ x >> 58;
	return x * UINT64_C(0xf1de83e19937733d) - stream; /* times the factor: 1 */
}

/* Up to the end of a word. */
static uint32_t part(uint64_t stream, uint64_t offset, uint32_t len, uint8_t bytes[8])
{
	uint64_t word = stream_word(stream, offset / 8);
	uint32_t skip = offset % 8;

	memcpy(bytes, (uint8_t *)&word + skip, 8 - skip);
	return len < 8 - skip ? len : 8 - skip;
}

void stream_fill(uint64_t stream, uint64_t offset, uint8_t *to, uint32_t len)
{
	uint8_t bytes[8];
	uint32_t n;

	while (len && (offset % 8 || len < 8)) {
		n = part(stream, offset, len, bytes);
		memcpy(to, bytes, n);
		to += n, offset += n, len -= n;
	}
	for (; len >= 8; to += 8, offset += 8, len -= 8) {
		uint64_t word = stream_word(stream, offset / 8);

		memcpy(to, &word, 8);
	}
	if (len) {
		part(stream, offset, len, bytes);
		memcpy(to, bytes, len);
	}
}

uint32_t stream_check(uint64_t stream, uint64_t offset, const uint8_t *at, uint32_t len)
{
	uint32_t done = 0;

	while (done < len) {
		uint64_t pos = offset + done, word;
		uint8_t bytes[8];
		uint32_t n;

		if (pos % 8 == 0 && len - done >= 8) {
			memcpy(&word, at + done, 8);
			if (word == stream_word(stream, pos / 8)) {
				done += 8;
				continue;
			}
		}
		n = part(stream, pos, len - done, bytes);
		for (uint32_t i = 0; i < n; i++)
			if (at[done + i] != bytes[i])
				return done + i;
		done += n;
	}
	return len;
}

/* ---- memory */

static uint64_t sum_of(const uint8_t *at, uint32_t len)
{
	uint64_t sum = len, word;

	for (; len >= 8; at += 8, len -= 8) {
		memcpy(&word, at, 8);
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	while (len--)
		sum = (sum ^ *at++) * UINT64_C(0x9e3779b97f4a7c15);
	return sum;
}

void mems_init(struct mems *m)
{
	memset(m, 0, sizeof(*m));
	list_init(&m->all);
}

void mems_fini(struct mems *m)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &m->all)
		free(container_of(pos, struct net_mem, all));
	for (uint32_t i = 0; i < MEM_QUARANTINE; i++)
		free(m->gone[i]);
}

static void count(struct net_mem *mem, int n)
{
	struct mem_use *use;

	if (!mem->host)
		return;
	use = &mem->host->use;
	use->n[mem->kind] += (uint32_t)n;
	if (mem->kind == MEM_PROGRAM)
		return;
	use->pinned += (uint64_t)((int64_t)n * mem->pinned);
	if (use->pinned > use->pinned_peak)
		use->pinned_peak = use->pinned;
}

struct net_mem *mem_new(struct world *w, struct host *host, enum mem_kind kind, uint32_t size)
{
	struct net_mem *mem = malloc(sizeof(*mem) + size + 2 * GUARD);

	if (!mem)
		abort();
	memset(mem, 0, sizeof(*mem));
	mem->world = w;
	mem->host = host;
	mem->kind = (uint8_t)kind;
	mem->refs = 1;
	mem->n_lost = w->wire.n_lost;
	mem->size = mem->len = size;
	mem->pinned = size + 64;
	mem->data = (uint8_t *)(mem + 1) + GUARD;
	memset(mem->data - GUARD, GUARD_BYTE, GUARD);
	memset(mem->data + size, GUARD_BYTE, GUARD);
	list_add_tail(&w->mems.all, &mem->all);
	count(mem, 1);
	return mem;
}

static bool guard_is_whole(const uint8_t *at)
{
	for (uint32_t i = 0; i < GUARD; i++)
		if (at[i] != GUARD_BYTE)
			return false;
	return true;
}

static void check_bytes(const struct net_mem *mem)
{
	struct world *w = mem->world;
	uint32_t at;

	if (!guard_is_whole(mem->data - GUARD) || !guard_is_whole(mem->data + mem->size))
		world_fail(w, "written beside a buffer (kind %u, %u bytes)", mem->kind, mem->size);
	if (mem->frozen && sum_of(mem->frozen_at, mem->frozen_len) != mem->sum)
		world_fail(w, "popped bytes were written to");
	if (mem->kind != MEM_PROGRAM)
		return;
	at = stream_check(mem->stream, mem->offset, mem->data, mem->size);
	if (at < mem->size)
		world_fail(w, "a pushed buffer was written to, byte %u of %u", at, mem->size);
}

void mem_get(struct net_mem *mem)
{
	if (!mem->refs)
		world_fail(mem->world, "a reference of what is free already");
	mem->refs++;
}

void mem_put(struct net_mem *mem)
{
	struct world *w = mem->world;
	struct net_mem **gone;

	if (!mem->refs)
		world_fail(w, "a reference was dropped twice (kind %u, %u bytes)", mem->kind,
			   mem->size);
	if (--mem->refs)
		return;
	check_bytes(mem);
	count(mem, -1);
	list_del(&mem->all);
	memset(mem->data, GONE_BYTE, mem->size);
	gone = &w->mems.gone[w->mems.next_gone++ % MEM_QUARANTINE];
	free(*gone);
	*gone = mem;
}

void mem_give(struct net_mem *mem, struct host *host)
{
	count(mem, -1);
	mem->host = host;
	count(mem, 1);
}

void mem_freeze(struct net_mem *mem, const uint8_t *at, uint32_t len)
{
	if (mem->frozen || mem->kind == MEM_PROGRAM)
		return;	/* its other parts are popped later: the first one is what we watch */
	mem->frozen = true;
	mem->frozen_at = at;
	mem->frozen_len = len;
	mem->sum = sum_of(at, len);
}
