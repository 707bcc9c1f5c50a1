/* Some bytes of a message, where they lie: not terminated. */
#ifndef APPS_HTTP_TEXT_H
#define APPS_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_text {
	const char *at;		/* NULL: there is none */
	size_t len;
};

/* Without regard to case, which is how HTTP compares names and tokens. */
bool http_text_is(struct http_text text, const char *word);
/* The same bytes. */
bool http_text_equals(struct http_text text, const char *word);
struct http_text http_text_trim(struct http_text text);
/* Cuts the first element off a list with commas (RFC 9110 5.6.1), without the space
 * around it; a comma inside a quoted string parts nothing. false: there was none. */
bool http_text_next(struct http_text *list, struct http_text *element_out);
/* Digits, all of them, and a number that fits. */
bool http_text_number(struct http_text text, uint64_t *number_out);
/* A token: RFC 9110 5.6.2. */
bool http_text_is_token(struct http_text text);

#endif /* APPS_HTTP_TEXT_H */
