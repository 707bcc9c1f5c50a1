#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where queues live: in chunks that are kept until the end. A queue's place has a number,
 * by which buffers know it. 0 is nobody's.
 */

#if defined(CLOWDER_SANITIZED) && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

static void put_back(struct catnip_ctx *cn, struct catnip_queue *s, uint32_t place)
{
	s->origin = 0;
	s->next_free = cn->free_place;
	cn->free_place = place;
	ASAN_POISON_MEMORY_REGION(&s->q, sizeof(s->q));
}

static int chunk_add(struct catnip_ctx *cn)
{
	uint32_t n = cn->n_chunks;
	struct catnip_queue **chunks = realloc(cn->chunks, (n + 1) * sizeof(*chunks));

	if (!chunks)
		return ENOMEM;
	cn->chunks = chunks;
	chunks[n] = calloc(CATNIP_CHUNK, sizeof(**chunks));
	if (!chunks[n])
		return ENOMEM;
	cn->n_chunks = n + 1;
	for (uint32_t i = CATNIP_CHUNK; i-- > (n == 0);)
		put_back(cn, &chunks[n][i], n * CATNIP_CHUNK + i);
	return 0;
}

struct catnip_queue *catnip_place_take(struct catnip_ctx *cn)
{
	struct catnip_queue *s;
	uint32_t place;

	if (!cn->free_place && chunk_add(cn))
		return NULL;
	place = cn->free_place;
	s = catnip_queue_at(cn, place);
	cn->free_place = s->next_free;
	ASAN_UNPOISON_MEMORY_REGION(&s->q, sizeof(s->q));
	memset(s, 0, sizeof(*s));
	s->origin = place;
	return s;
}

void catnip_place_give(struct catnip_ctx *cn, struct catnip_queue *s)
{
	put_back(cn, s, s->origin);
}

struct catnip_queue *catnip_place_next(const struct catnip_ctx *cn, uint32_t *place)
{
	while (++*place < cn->n_chunks * CATNIP_CHUNK)
		if (catnip_queue_at(cn, *place)->origin)
			return catnip_queue_at(cn, *place);
	return NULL;
}

void catnip_places_fini(struct catnip_ctx *cn)
{
	for (uint32_t i = 0; i < cn->n_chunks; i++) {
		ASAN_UNPOISON_MEMORY_REGION(cn->chunks[i], CATNIP_CHUNK * sizeof(**cn->chunks));
		free(cn->chunks[i]);
	}
	free(cn->chunks);
	cn->chunks = NULL;
	cn->n_chunks = cn->free_place = 0;
}
