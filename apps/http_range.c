#include "config.h"

#include "apps/http_range.h"

#include <string.h>
#include <strings.h>

/* Digits; what is too large to count is larger than any file. */
static bool parse_place(struct http_text text, uint64_t *place_out)
{
	if (http_text_number(text, place_out))
		return true;
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
	*place_out = UINT64_MAX;
	return text.len > 0;
}

/* "-n": the last n bytes. */
static enum http_range parse_suffix(struct http_text text, uint64_t size, uint64_t *first_out,
				    uint64_t *end_out)
{
	uint64_t n;

	if (!parse_place(text, &n))
		return HTTP_RANGE_WHOLE;
	if (n == 0)
		return HTTP_RANGE_OUTSIDE;
	if (size == 0)
		return HTTP_RANGE_WHOLE; /* satisfied, but Content-Range cannot say it */
	*first_out = n < size ? size - n : 0;
	*end_out = size;
	return HTTP_RANGE_PART;
}

enum http_range http_range_parse(struct http_text text, uint64_t size, uint64_t *first_out,
				 uint64_t *end_out)
{
	struct http_text head = {NULL, 0}, tail;
	uint64_t first, last = UINT64_MAX;
	const char *dash;

	if (text.len < 7 || strncasecmp(text.at, "bytes=", 6) != 0)
		return HTTP_RANGE_WHOLE;
	text = http_text_trim((struct http_text){text.at + 6, text.len - 6});
	if (text.len == 0 || memchr(text.at, ',', text.len))
		return HTTP_RANGE_WHOLE;
	dash = memchr(text.at, '-', text.len);
	if (!dash)
		return HTTP_RANGE_WHOLE;
	head = (struct http_text){text.at, (size_t)(dash - text.at)};
	tail = (struct http_text){dash + 1, text.len - head.len - 1};
	if (head.len == 0)
		return parse_suffix(tail, size, first_out, end_out);
	if (!parse_place(head, &first) || (tail.len > 0 && !parse_place(tail, &last)) ||
	    first > last)
		return HTTP_RANGE_WHOLE;
	if (first >= size)
		return HTTP_RANGE_OUTSIDE;
	*first_out = first;
	*end_out = last < size ? last + 1 : size;
	return HTTP_RANGE_PART;
}
