/*
 * Files in memory, in buffers that are pushed as they are, to any number of clients
 * and as often as they are asked for: nobody writes them, so nothing is copied.
 * They are read in chunks, so a file may be larger than the cache. A file is looked
 * at anew at its first use after each tick, and its chunks are thrown away when it
 * is not the same any more.
 */
#ifndef APPS_HTTP_CACHE_H
#define APPS_HTTP_CACHE_H

#include <demi/types.h>

#include "apps/http_file.h"

struct http_cache;

struct http_cache_stat {
	uint64_t hits;		/* chunks that were there */
	uint64_t misses;	/* that were read */
	uint64_t evictions;
	uint64_t bytes;		/* in memory now */
};

/* root: http_root_open()'s. Needs an instance; NULL: no memory. */
struct http_cache *http_cache_new(int root, uint64_t max_bytes);
/* No file may be open. */
void http_cache_free(struct http_cache *cache);
void http_cache_tick(struct http_cache *cache);
void http_cache_stat(const struct http_cache *cache, struct http_cache_stat *stat_out);

/* An errno of http_root_file(), or ENOMEM. */
int http_cache_open(struct http_cache *cache, const char *path, struct http_file **file_out);
void http_cache_close(struct http_cache *cache, struct http_file *file);
/*
 * Bytes of the file from pos on, at most up to end and at least one. Good for a push
 * that is made before the cache is used again. ENOMEM: no buffer is to be had at
 * present; others: the file is not what it was.
 */
int http_cache_read(struct http_cache *cache, struct http_file *file, uint64_t pos, uint64_t end,
		    demi_sgaseg_t *seg_out);

#endif /* APPS_HTTP_CACHE_H */
