/*
 * The lines of a message's head (RFC 9112 2 to 5), of a request or of a response:
 * where it ends, its first line, its fields. Strict where leniency has been used to
 * make two parties see different messages: a bare CR, a folded line, and a space
 * before a colon are refused. A line may end with LF alone.
 */
#ifndef APPS_HTTP_FIELDS_H
#define APPS_HTTP_FIELDS_H

#include "apps/http_text.h"

/* What is left of a head: whole lines, the empty one included. */
struct http_fields {
	struct http_text rest;
};

struct http_field {
	struct http_text name;
	struct http_text value;	/* without the space around it */
};

enum http_next {
	HTTP_NEXT_FIELD,
	HTTP_NEXT_END,		/* the empty line */
	HTTP_NEXT_BAD,
};

/* The length of the head at the start of these bytes, the empty line included; 0: it
 * is not all there. The first `seen` bytes are known to have no end in them. */
size_t http_fields_end(const char *bytes, size_t len, size_t seen);
/* The first line of a head that is all there; false: a character that no line has. */
bool http_fields_line(struct http_fields *fields, struct http_text *line_out);
enum http_next http_fields_next(struct http_fields *fields, struct http_field *field_out);

#endif /* APPS_HTTP_FIELDS_H */
