#include "config.h"

#include "apps/http_request.h"

#include <string.h>
#include <strings.h>

/* What the fields say of the message itself, until all have been seen. */
struct framing {
	bool host;
	bool length;
	bool coded;		/* Transfer-Encoding */
	bool chunked;		/* and nothing but that */
	bool expects;
	bool odd_expectation;
	bool close;
	bool keep;
};

static enum http_method find_method(struct http_text word)
{
	static const char *const others[] = {"POST",	"PUT",	   "DELETE", "CONNECT",
					     "OPTIONS", "TRACE", "PATCH"};

	if (http_text_equals(word, "GET"))
		return HTTP_METHOD_GET;
	if (http_text_equals(word, "HEAD"))
		return HTTP_METHOD_HEAD;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (http_text_equals(word, others[i]))
			return HTTP_METHOD_REFUSED;
	return HTTP_METHOD_UNKNOWN;
}

/* Cuts the line at its first space. */
static bool cut_word(struct http_text *line, struct http_text *word_out)
{
	const char *space = line->len ? memchr(line->at, ' ', line->len) : NULL;

	if (!space)
		return false;
	*word_out = (struct http_text){line->at, (size_t)(space - line->at)};
	line->at += word_out->len + 1;
	line->len -= word_out->len + 1;
	return word_out->len > 0;
}

/* RFC 9112 2.3. A later minor version is as good as 1.1. */
static int parse_version(struct http_request *req, struct http_text version)
{
	const char *v = version.at;

	if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.' || v[5] < '0' ||
	    v[5] > '9' || v[7] < '0' || v[7] > '9')
		return 400;
	req->http10 = v[7] == '0';
	return v[5] == '1' ? 0 : 505;
}

static bool is_target_char(char c)
{
	unsigned char u = (unsigned char)c;

	return u > 0x20 && u < 0x7f && c != '#';
}

/* RFC 9112 3.2: what a proxy is sent is understood, too. "*" and the host and port
 * of CONNECT stay as they are: their methods are refused. */
static int parse_target(struct http_request *req, struct http_text target)
{
	for (size_t i = 0; i < target.len; i++)
		if (!is_target_char(target.at[i]))
			return 400;
	if (target.len > HTTP_TARGET_MAX)
		return 414;
	if (target.len > 7 && strncasecmp(target.at, "http://", 7) == 0) {
		const char *slash = memchr(target.at + 7, '/', target.len - 7);

		if (slash == target.at + 7)
			return 400; /* no host */
		target.len = slash ? target.len - (size_t)(slash - target.at) : 1;
		target.at = slash ? slash : "/";
	}
	req->target = target;
	if (req->method == HTTP_METHOD_REFUSED || req->method == HTTP_METHOD_UNKNOWN)
		return 0;
	return target.at[0] == '/' ? 0 : 400;
}

static int parse_line(struct http_request *req, struct http_text line)
{
	struct http_text method, target;
	int status;

	if (!cut_word(&line, &method) || !http_text_is_token(method))
		return 400;
	if (!cut_word(&line, &target))
		return 400;
	status = parse_version(req, line);
	if (status)
		return status;
	req->method = find_method(method);
	return parse_target(req, target);
}

/* Where a field's value is kept whose first line is enough; NULL: nowhere. */
static struct http_text *field_place(struct http_request *req, struct http_text name)
{
	if (http_text_is(name, "range"))
		return &req->range;
	if (name.len < 8 || strncasecmp(name.at, "if-", 3) != 0)
		return NULL;
	if (http_text_is(name, "if-range"))
		return &req->if_range;
	if (http_text_is(name, "if-match"))
		return &req->if_match;
	if (http_text_is(name, "if-none-match"))
		return &req->if_none_match;
	if (http_text_is(name, "if-modified-since"))
		return &req->if_modified_since;
	if (http_text_is(name, "if-unmodified-since"))
		return &req->if_unmodified_since;
	return NULL;
}

static void take_connection(struct framing *framing, struct http_text value)
{
	struct http_text option;

	while (http_text_next(&value, &option)) {
		framing->close |= http_text_is(option, "close");
		framing->keep |= http_text_is(option, "keep-alive");
	}
}

static bool take_host(struct framing *framing, struct http_text value)
{
	if (framing->host)
		return false;
	framing->host = true;
	for (size_t i = 0; i < value.len; i++)
		if (!is_target_char(value.at[i]) || strchr("/?@\\\"<>", value.at[i]))
			return false;
	return true;
}

static bool take_length(struct http_request *req, struct framing *framing,
			struct http_text value)
{
	if (framing->length)
		return false;
	framing->length = true;
	return http_text_number(value, &req->body);
}

/* false: the field cannot be what it is. */
static bool take_field(struct http_request *req, struct framing *framing,
		       const struct http_field *field)
{
	struct http_text *place = field_place(req, field->name);

	if (place) {
		if (!place->at)
			*place = field->value;
	} else if (http_text_is(field->name, "host")) {
		return take_host(framing, field->value);
	} else if (http_text_is(field->name, "content-length")) {
		return take_length(req, framing, field->value);
	} else if (http_text_is(field->name, "transfer-encoding")) {
		framing->chunked = !framing->coded && http_text_is(field->value, "chunked");
		framing->coded = true;
	} else if (http_text_is(field->name, "connection")) {
		take_connection(framing, field->value);
	} else if (http_text_is(field->name, "expect")) {
		framing->expects = true;
		framing->odd_expectation |= !http_text_is(field->value, "100-continue");
	}
	return true;
}

/*
 * RFC 9112 6. A coded body would have to be read to know where the next request
 * begins: 411 asks for a length instead, as 6.3 lets a server do.
 */
static int check_framing(const struct http_request *req, const struct framing *framing)
{
	if (!framing->host && !req->http10)
		return 400; /* RFC 9112 3.2 */
	if (framing->coded && (framing->length || req->http10))
		return 400;
	if (framing->coded)
		return framing->chunked ? 411 : 501;
	if (framing->odd_expectation && !req->http10)
		return 417;
	return req->body > HTTP_BODY_MAX ? 413 : 0;
}

static int parse_fields(struct http_request *req, struct framing *framing)
{
	struct http_fields fields = req->fields;
	struct http_field field;
	enum http_next next;
	unsigned n = 0;

	while ((next = http_fields_next(&fields, &field)) == HTTP_NEXT_FIELD) {
		if (++n > HTTP_FIELDS_MAX)
			return 431;
		if (!take_field(req, framing, &field))
			return 400;
	}
	return next == HTTP_NEXT_END ? 0 : 400;
}

int http_request_parse(struct http_request *req, const char *head, size_t len)
{
	struct framing framing = {0};
	struct http_text line;
	int status;

	*req = (struct http_request){.method = HTTP_METHOD_GET, .fields.rest = {head, len}};
	if (!http_fields_line(&req->fields, &line))
		return 400;
	status = parse_line(req, line);
	if (!status)
		status = parse_fields(req, &framing);
	if (!status)
		status = check_framing(req, &framing);
	if (status)
		return status;
	/* who waits for a 100 has its answer now, and may send the body or not */
	req->keep_alive = !framing.close && (!req->http10 || framing.keep) &&
			  !(framing.expects && req->body > 0);
	return 0;
}

int http_request_too_long(const char *bytes, size_t len)
{
	size_t line = len;
	const char *lf;

	if (len > 0 && !http_text_is_token((struct http_text){bytes, 1}))
		return 400; /* no method begins so; TLS does */
	lf = len ? memchr(bytes, '\n', len) : NULL;
	if (lf)
		line = (size_t)(lf - bytes);
	if (line > HTTP_TARGET_MAX + 32)
		return 414;
	return len >= HTTP_HEAD_MAX ? 431 : 0;
}
