#include "config.h"

#include "apps/http_cache.h"

#include <demi/sga.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/http_root.h"

#define CHUNK (256u << 10)
#define MAX_FILES 1024u		/* that nobody is being sent: each costs a descriptor */
#define MIN_BUCKETS 1024u
#define MAX_BUCKETS (1u << 20)

struct http_chunk {
	struct http_chunk *next;	/* of the bucket */
	struct http_chunk *newer, *older;
	struct http_chunk *of_file, **of_file_at;
	struct http_file *file;
	uint64_t index;
	uint32_t len;
	demi_sgarray_t sga;
};

struct http_cache {
	int root;
	uint64_t max_bytes;
	uint64_t tick;
	struct http_cache_stat stat;
	uint32_t n_files;
	uint32_t mask;			/* of both tables */
	struct http_file **files;
	struct http_chunk **chunks;
	struct http_file *newest, *oldest;
	struct http_chunk *newest_chunk, *oldest_chunk;
};

/* ---- chunks */

static struct http_chunk **chunk_bucket(const struct http_cache *cache,
					const struct http_file *file, uint64_t index)
{
	uint64_t x = (uint64_t)(uintptr_t)file / sizeof(*file) + index;

	x *= UINT64_C(0x9e3779b97f4a7c15);
	return &cache->chunks[(x >> 32) & cache->mask];
}

static void chunk_unlink(struct http_cache *cache, struct http_chunk *chunk)
{
	*(chunk->newer ? &chunk->newer->older : &cache->newest_chunk) = chunk->older;
	*(chunk->older ? &chunk->older->newer : &cache->oldest_chunk) = chunk->newer;
}

static void chunk_link(struct http_cache *cache, struct http_chunk *chunk)
{
	chunk->newer = NULL;
	chunk->older = cache->newest_chunk;
	*(chunk->older ? &chunk->older->newer : &cache->oldest_chunk) = chunk;
	cache->newest_chunk = chunk;
}

/* The library keeps the bytes for as long as a push needs them. */
static void chunk_drop(struct http_cache *cache, struct http_chunk *chunk)
{
	struct http_chunk **at = chunk_bucket(cache, chunk->file, chunk->index);

	while (*at != chunk)
		at = &(*at)->next;
	*at = chunk->next;
	chunk_unlink(cache, chunk);
	*chunk->of_file_at = chunk->of_file;
	if (chunk->of_file)
		chunk->of_file->of_file_at = chunk->of_file_at;
	cache->stat.bytes -= chunk->len;
	demi_sgafree(&chunk->sga);
	free(chunk);
}

static void evict(struct http_cache *cache)
{
	cache->stat.evictions++;
	chunk_drop(cache, cache->oldest_chunk);
}

/* Room for len bytes, and a buffer; what was not used for long makes way. */
static int chunk_alloc(struct http_cache *cache, uint32_t len, struct http_chunk **chunk_out)
{
	struct http_chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return ENOMEM;
	while (cache->oldest_chunk && cache->stat.bytes + len > cache->max_bytes)
		evict(cache);
	chunk->sga = demi_sgaalloc(len);
	while (chunk->sga.sga_numsegs == 0 && cache->oldest_chunk) {
		evict(cache);
		chunk->sga = demi_sgaalloc(len);
	}
	if (chunk->sga.sga_numsegs == 0) {
		free(chunk);
		return ENOMEM;
	}
	chunk->len = len;
	*chunk_out = chunk;
	return 0;
}

static void chunk_add(struct http_cache *cache, struct http_chunk *chunk)
{
	struct http_chunk **bucket = chunk_bucket(cache, chunk->file, chunk->index);

	chunk->next = *bucket;
	*bucket = chunk;
	chunk->of_file = chunk->file->chunks;
	if (chunk->of_file)
		chunk->of_file->of_file_at = &chunk->of_file;
	chunk->of_file_at = &chunk->file->chunks;
	chunk->file->chunks = chunk;
	chunk_link(cache, chunk);
	cache->stat.bytes += chunk->len;
}

static int chunk_load(struct http_cache *cache, struct http_file *file, uint64_t index,
		      struct http_chunk **chunk_out)
{
	uint64_t left = file->size - index * CHUNK;
	struct http_chunk *chunk;
	int err;

	cache->stat.misses++;
	err = chunk_alloc(cache, left < CHUNK ? (uint32_t)left : CHUNK, &chunk);
	if (err)
		return err;
	err = http_file_read(file, chunk->sga.sga_segs[0].sgaseg_buf, chunk->len,
			     index * CHUNK);
	if (err) {
		demi_sgafree(&chunk->sga);
		free(chunk);
		return err;
	}
	chunk->file = file;
	chunk->index = index;
	chunk_add(cache, chunk);
	*chunk_out = chunk;
	return 0;
}

static struct http_chunk *chunk_find(struct http_cache *cache, const struct http_file *file,
				     uint64_t index)
{
	struct http_chunk *chunk = *chunk_bucket(cache, file, index);

	while (chunk && (chunk->file != file || chunk->index != index))
		chunk = chunk->next;
	if (chunk) {
		cache->stat.hits++;
		chunk_unlink(cache, chunk);
		chunk_link(cache, chunk);
	}
	return chunk;
}

int http_cache_read(struct http_cache *cache, struct http_file *file, uint64_t pos, uint64_t end,
		    demi_sgaseg_t *seg_out)
{
	uint64_t index = pos / CHUNK;
	uint32_t at = (uint32_t)(pos % CHUNK);
	struct http_chunk *chunk = chunk_find(cache, file, index);
	int err;

	if (!chunk) {
		err = chunk_load(cache, file, index, &chunk);
		if (err)
			return err;
	}
	seg_out->sgaseg_buf = (char *)chunk->sga.sga_segs[0].sgaseg_buf + at;
	seg_out->sgaseg_len = chunk->len - at;
	if (end - pos < seg_out->sgaseg_len)
		seg_out->sgaseg_len = (uint32_t)(end - pos);
	return 0;
}

/* ---- files */

static struct http_file **file_bucket(const struct http_cache *cache, const char *path)
{
	uint64_t x = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		x = (x ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	return &cache->files[(x ^ x >> 32) & cache->mask];
}

static void file_unlink(struct http_cache *cache, struct http_file *file)
{
	*(file->newer ? &file->newer->older : &cache->newest) = file->older;
	*(file->older ? &file->older->newer : &cache->oldest) = file->newer;
}

static void file_link(struct http_cache *cache, struct http_file *file)
{
	file->newer = NULL;
	file->older = cache->newest;
	*(file->older ? &file->older->newer : &cache->oldest) = file;
	cache->newest = file;
}

void http_cache_close(struct http_cache *cache, struct http_file *file)
{
	if (--file->refs > 0)
		return;
	while (file->chunks)
		chunk_drop(cache, file->chunks);
	http_file_free(file);
}

/* Nobody finds it any more; the last answer that is under way frees it. */
static void file_forget(struct http_cache *cache, struct http_file *file)
{
	struct http_file **at = file_bucket(cache, file->path);

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	file_unlink(cache, file);
	cache->n_files--;
	http_cache_close(cache, file);
}

static int file_add(struct http_cache *cache, const char *path, int fd, const struct stat *st,
		    struct http_file **file_out)
{
	struct http_file *file = http_file_new(path, fd, st);
	struct http_file **bucket = file_bucket(cache, path);

	if (!file) {
		close(fd);
		return ENOMEM;
	}
	file->next = *bucket;
	*bucket = file;
	file_link(cache, file);
	if (++cache->n_files > MAX_FILES)
		file_forget(cache, cache->oldest);
	*file_out = file;
	return 0;
}

static struct http_file *file_find(const struct http_cache *cache, const char *path)
{
	struct http_file *file = *file_bucket(cache, path);

	while (file && strcmp(file->path, path) != 0)
		file = file->next;
	return file;
}

/* What the name leads to now, be it what was found before or not. */
static int file_check(struct http_cache *cache, const char *path, struct http_file **file_io)
{
	struct http_file *file = *file_io;
	struct stat st;
	int fd = -1;
	int err = http_root_file(cache->root, path, &fd, &st);

	if (!err && file && http_file_is(file, &st)) {
		close(fd);
		return 0;
	}
	if (file)
		file_forget(cache, file);
	return err ? err : file_add(cache, path, fd, &st, file_io);
}

int http_cache_open(struct http_cache *cache, const char *path, struct http_file **file_out)
{
	struct http_file *file = file_find(cache, path);
	int err;

	if (!file || file->checked != cache->tick) {
		err = file_check(cache, path, &file);
		if (err)
			return err;
		file->checked = cache->tick;
	}
	file_unlink(cache, file);
	file_link(cache, file);
	file->refs++;
	*file_out = file;
	return 0;
}

void http_cache_tick(struct http_cache *cache)
{
	cache->tick++;
}

/* ---- the cache */

void http_cache_stat(const struct http_cache *cache, struct http_cache_stat *stat_out)
{
	*stat_out = cache->stat;
}

struct http_cache *http_cache_new(int root, uint64_t max_bytes)
{
	struct http_cache *cache = calloc(1, sizeof(*cache));
	uint32_t buckets = MIN_BUCKETS;

	if (!cache)
		return NULL;
	while (buckets < MAX_BUCKETS && buckets < max_bytes / CHUNK)
		buckets *= 2;
	cache->root = root;
	cache->max_bytes = max_bytes;
	cache->mask = buckets - 1;
	cache->tick = 1;
	cache->files = calloc(buckets, sizeof(struct http_file *));
	cache->chunks = calloc(buckets, sizeof(struct http_chunk *));
	if (cache->files && cache->chunks)
		return cache;
	http_cache_free(cache);
	return NULL;
}

void http_cache_free(struct http_cache *cache)
{
	while (cache->oldest)
		file_forget(cache, cache->oldest);
	free(cache->files);
	free(cache->chunks);
	free(cache);
}
