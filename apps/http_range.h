/* The Range field: RFC 9110 14. One range is served; who asks for several gets the
 * whole, as 14.2 allows. */
#ifndef APPS_HTTP_RANGE_H
#define APPS_HTTP_RANGE_H

#include "apps/http_text.h"

enum http_range {
	HTTP_RANGE_WHOLE,	/* no range, or none that we know */
	HTTP_RANGE_PART,
	HTTP_RANGE_OUTSIDE,	/* 416 */
};

/* size: of the file. Of a part: its first byte, and the one behind its last. */
enum http_range http_range_parse(struct http_text text, uint64_t size, uint64_t *first_out,
				 uint64_t *end_out);

#endif /* APPS_HTTP_RANGE_H */
