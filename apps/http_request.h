/* A request's head: what it asks for, and how many bytes follow it. */
#ifndef APPS_HTTP_REQUEST_H
#define APPS_HTTP_REQUEST_H

#include "apps/http_fields.h"

#define HTTP_HEAD_MAX 16384u
#define HTTP_TARGET_MAX 4096u
#define HTTP_FIELDS_MAX 100u
#define HTTP_BODY_MAX 65536u	/* passed over; nobody needs it */

enum http_method {
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_REFUSED,	/* there is such a method, not for files */
	HTTP_METHOD_UNKNOWN,
};

/* Lies in the bytes that were parsed. */
struct http_request {
	enum http_method method;
	struct http_text target;	/* begins with '/': an http:// and host are cut off */
	struct http_fields fields;	/* all of them */
	bool http10;
	bool keep_alive;
	uint64_t body;			/* bytes behind the head */
	/* The fields a file's answer depends on. Those which may come in several
	 * lines are taken from fields; here is the first. */
	struct http_text range;
	struct http_text if_range;
	struct http_text if_match;
	struct http_text if_none_match;
	struct http_text if_modified_since;
	struct http_text if_unmodified_since;
};

/*
 * head: len bytes, as http_fields_end() found them. 0, or the status of the answer
 * after which the connection has to be closed, for nobody knows where the next
 * request begins; the request is not to be looked at then, but for keep_alive, which
 * is false, and method, which is HTTP_METHOD_HEAD only if it is sure.
 */
int http_request_parse(struct http_request *req, const char *head, size_t len);
/* The status for a head that has no end in these bytes; 0: it may still come. */
int http_request_too_long(const char *bytes, size_t len);

#endif /* APPS_HTTP_REQUEST_H */
