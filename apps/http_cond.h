/* Conditional requests: RFC 9110 13. */
#ifndef APPS_HTTP_COND_H
#define APPS_HTTP_COND_H

#include <time.h>

#include "apps/http_request.h"

/* What a file's version is known by; the tag is a strong one. */
struct http_version {
	const char *etag;
	time_t modified;
};

/* 0: the request is to be served; 304; 412. In the order of 13.2.2. */
int http_cond_check(const struct http_request *req, const struct http_version *version);
/* Whether its range is meant for this version (13.1.5); now: what Date will say. */
bool http_cond_range_holds(const struct http_request *req, const struct http_version *version,
			   time_t now);

#endif /* APPS_HTTP_COND_H */
