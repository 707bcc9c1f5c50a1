#include "config.h"

#include "apps/http_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "apps/fail.h"
#include "apps/json.h"

static void print(const struct http_count *count, const struct http_cache_stat *cache)
{
	printf("served %" PRIu64 " requests, %" PRIu64 " bytes, %" PRIu64 " connections\n",
	       count->requests, count->bytes, count->connections);
	printf("answers     2xx %" PRIu64 "  3xx %" PRIu64 "  4xx %" PRIu64 "  5xx %" PRIu64 "\n",
	       count->by_class[2], count->by_class[3], count->by_class[4], count->by_class[5]);
	printf("clients     timed out %" PRIu64 "  gone %" PRIu64 "  cut short %" PRIu64 "\n",
	       count->timeouts, count->resets, count->cut);
	printf("cache       hits %" PRIu64 "  misses %" PRIu64 "  evictions %" PRIu64 "\n",
	       cache->hits, cache->misses, cache->evictions);
}

static void print_json(const struct http_count *count, const struct http_cache_stat *cache)
{
	const struct json_item items[] = {
		{"connections", count->connections, NULL},
		{"requests", count->requests, NULL},
		{"bytes", count->bytes, NULL},
		{"answers_2xx", count->by_class[2], NULL},
		{"answers_3xx", count->by_class[3], NULL},
		{"answers_4xx", count->by_class[4], NULL},
		{"answers_5xx", count->by_class[5], NULL},
		{"timeouts", count->timeouts, NULL},
		{"resets", count->resets, NULL},
		{"cut", count->cut, NULL},
		{"no_memory", count->no_memory, NULL},
		{"cache_hits", cache->hits, NULL},
		{"cache_misses", cache->misses, NULL},
		{"cache_evictions", cache->evictions, NULL},
		{"cache_bytes", cache->bytes, NULL},
	};

	json_print(items, sizeof(items) / sizeof(items[0]));
}

void http_report(const struct http_options *opt, const struct http_count *count,
		 const struct http_cache_stat *cache)
{
	if (opt->json)
		print_json(count, cache);
	else if (!opt->quiet)
		print(count, cache);
	if (fflush(stdout) || ferror(stdout))
		fail("cannot write the result");
}
