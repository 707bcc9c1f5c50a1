/* The head of an answer: RFC 9112 4 and 5. */
#ifndef APPS_HTTP_HEAD_H
#define APPS_HTTP_HEAD_H

#include "apps/http_file.h"

#define HTTP_HEAD_ROOM 1024u	/* every head but a redirection's, and an error's body */

struct http_head {
	int status;
	bool http10;			/* the request was */
	bool keep_alive;
	const char *date;
	const struct http_file *file;	/* 200, 206, 304, 412 and 416: which it is of */
	uint64_t first, end;		/* of 200 and 206: the bytes that follow */
	const char *location;		/* 301 */
	bool no_body;			/* an answer to HEAD */
};

/* Says how many bytes it has, with the few words that are an error's body. What has
 * no room in `room` bytes is left out. */
size_t http_head_write(char *out, size_t room, const struct http_head *head);

#endif /* APPS_HTTP_HEAD_H */
