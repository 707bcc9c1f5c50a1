#include "config.h"

#include "apps/http_head.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct out {
	char *at;
	size_t room;
	size_t len;
};

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 411: return "Length Required";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 417: return "Expectation Failed";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Internal Server Error";
	}
}

static void add(struct out *out, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

static void add(struct out *out, const char *fmt, ...)
{
	size_t left = out->room - out->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out->at + out->len, left, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < left)
		out->len += (size_t)n;
}

static void add_file(struct out *out, const struct http_head *head)
{
	const struct http_file *file = head->file;

	if (head->status == 416) {
		add(out, "Content-Range: bytes */%" PRIu64 "\r\n", file->size);
		return;
	}
	add(out, "ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n", file->etag,
	    file->last_modified);
	if (head->status == 206)
		add(out, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
		    head->first, head->end - 1, file->size);
	if (head->status != 200 && head->status != 206)
		return;
	add(out, "Content-Type: %s\r\nContent-Length: %" PRIu64 "\r\n", file->type,
	    head->end - head->first);
}

static void add_connection(struct out *out, const struct http_head *head)
{
	if (!head->keep_alive)
		add(out, "Connection: close\r\n");
	else if (head->http10)
		add(out, "Connection: keep-alive\r\n");
}

static void add_error(struct out *out, const struct http_head *head)
{
	char body[64];
	int len = snprintf(body, sizeof(body), "%d %s\n", head->status, reason(head->status));

	if (head->status == 405)
		add(out, "Allow: GET, HEAD\r\n");
	if (head->status == 503)
		add(out, "Retry-After: 1\r\n");
	if (head->location)
		add(out, "Location: %s\r\n", head->location);
	add(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len,
	    head->no_body ? "" : body);
}

size_t http_head_write(char *at, size_t room, const struct http_head *head)
{
	struct out out = {at, room, 0};

	add(&out, "HTTP/1.1 %d %s\r\nServer: clowder-http\r\nDate: %s\r\n", head->status,
	    reason(head->status), head->date);
	add_connection(&out, head);
	if (head->file)
		add_file(&out, head);
	if (head->status < 300 || head->status == 304)
		add(&out, "\r\n");
	else
		add_error(&out, head);
	return out.len;
}
