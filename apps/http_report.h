/* What clowder-http tells when it ends. */
#ifndef APPS_HTTP_REPORT_H
#define APPS_HTTP_REPORT_H

#include "apps/http_cache.h"
#include "apps/http_count.h"
#include "apps/http_options.h"

void http_report(const struct http_options *opt, const struct http_count *count,
		 const struct http_cache_stat *cache);

#endif /* APPS_HTTP_REPORT_H */
