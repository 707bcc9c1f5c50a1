/*
 * A response, as its bytes come in: RFC 9112 6 and 7. Interim ones (1xx) are passed
 * over. Ends where its length, its last chunk or the stream says so.
 */
#ifndef APPS_GET_RESPONSE_H
#define APPS_GET_RESPONSE_H

#include "apps/http_text.h"

#define GET_HEAD_MAX 16384u

enum get_state {
	GET_STATE_HEAD,
	GET_STATE_LENGTH,	/* so many bytes of body are left */
	GET_STATE_STREAM,	/* body until the stream ends */
	GET_STATE_CHUNK_SIZE,	/* a line */
	GET_STATE_CHUNK,	/* so many bytes of it are left */
	GET_STATE_CHUNK_END,	/* an empty line */
	GET_STATE_TRAILER,	/* lines up to an empty one */
	GET_STATE_DONE,
};

struct get_response {
	enum get_state state;
	bool head_only;		/* the request was a HEAD */
	bool begun;		/* a byte of it has come */
	int status;
	bool keep_alive;
	uint64_t left;
	char *line;		/* what is gathered of a head or a line */
	size_t line_len;
	size_t head_len;	/* of the head, which is in line until a chunk needs that */
};

/* line: room of GET_HEAD_MAX bytes, which it uses. */
void get_response_begin(struct get_response *r, char *line, bool head_only);
/*
 * Takes some of the bytes, at least one: *took_out. Those among them that are body,
 * if any: *body_out. NULL, or what is wrong with them. Not when it is DONE.
 */
const char *get_response_take(struct get_response *r, struct http_text bytes, size_t *took_out,
			      struct http_text *body_out);
/* The stream has ended. NULL if so has the response, or why that is too early. */
const char *get_response_end(struct get_response *r);

#endif /* APPS_GET_RESPONSE_H */
