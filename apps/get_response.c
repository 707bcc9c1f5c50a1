#include "config.h"

#include "apps/get_response.h"

#include <string.h>

#include "apps/http_fields.h"

/* What the fields say of the body. */
struct framing {
	bool length;
	bool coded;
	bool chunked;
	bool close;
	bool keep;
	uint64_t len;
};

void get_response_begin(struct get_response *r, char *line, bool head_only)
{
	*r = (struct get_response){.head_only = head_only, .line = line};
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : -1;
}

/* RFC 9112 4 */
static const char *parse_status(struct get_response *r, struct http_text line)
{
	const char *s = line.at;

	if (line.len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || digit(s[7]) < 0 || s[8] != ' ' ||
	    digit(s[9]) < 1 || digit(s[10]) < 0 || digit(s[11]) < 0 ||
	    (line.len > 12 && s[12] != ' '))
		return "not an HTTP/1 response";
	r->status = digit(s[9]) * 100 + digit(s[10]) * 10 + digit(s[11]);
	r->keep_alive = s[7] != '0';
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

static const char *take_field(struct framing *framing, const struct http_field *field)
{
	uint64_t len;

	if (http_text_is(field->name, "content-length")) {
		if (!http_text_number(field->value, &len))
			return "a Content-Length that is no number";
		if (framing->length && len != framing->len)
			return "two lengths";
		framing->length = true;
		framing->len = len;
	} else if (http_text_is(field->name, "transfer-encoding")) {
		framing->chunked = !framing->coded && http_text_is(field->value, "chunked");
		framing->coded = true;
	} else if (http_text_is(field->name, "connection")) {
		take_connection(framing, field->value);
	}
	return NULL;
}

/* RFC 9112 6.3, in its order */
static const char *begin_body(struct get_response *r, const struct framing *framing)
{
	r->keep_alive = framing->close ? false : r->keep_alive || framing->keep;
	if (r->head_only || r->status == 204 || r->status == 304) {
		r->state = GET_STATE_DONE;
	} else if (framing->coded) {
		if (!framing->chunked)
			return "a transfer coding that was not asked for";
		r->state = GET_STATE_CHUNK_SIZE;
		r->line_len = 0;
	} else if (framing->length) {
		r->left = framing->len;
		r->state = r->left ? GET_STATE_LENGTH : GET_STATE_DONE;
	} else {
		r->keep_alive = false;
		r->state = GET_STATE_STREAM;
	}
	return NULL;
}

static const char *parse_head(struct get_response *r)
{
	struct http_fields fields = {.rest = {r->line, r->head_len}};
	struct framing framing = {0};
	struct http_field field;
	struct http_text line;
	enum http_next next;
	const char *why;

	if (!http_fields_line(&fields, &line))
		return "not an HTTP/1 response";
	why = parse_status(r, line);
	if (why)
		return why;
	while ((next = http_fields_next(&fields, &field)) == HTTP_NEXT_FIELD) {
		why = take_field(&framing, &field);
		if (why)
			return why;
	}
	if (next == HTTP_NEXT_BAD)
		return "a malformed field";
	if (r->status < 200) {
		r->line_len = 0; /* the real one follows */
		return NULL;
	}
	return begin_body(r, &framing);
}

/* As much as there is room for. */
static size_t gather(struct get_response *r, struct http_text bytes)
{
	size_t n = GET_HEAD_MAX - r->line_len;

	if (bytes.len < n)
		n = bytes.len;
	memcpy(r->line + r->line_len, bytes.at, n);
	r->line_len += n;
	return n;
}

static const char *take_head(struct get_response *r, struct http_text bytes, size_t *took_out)
{
	size_t seen = r->line_len;

	*took_out = gather(r, bytes);
	r->head_len = http_fields_end(r->line, r->line_len, seen);
	if (!r->head_len)
		return r->line_len == GET_HEAD_MAX ? "a head that does not end" : NULL;
	*took_out = r->head_len - seen;
	return parse_head(r);
}

/* One line, without its end; at NULL: not all of it yet. */
static const char *take_line(struct get_response *r, struct http_text bytes, size_t *took_out,
			     struct http_text *line_out)
{
	const char *lf = memchr(bytes.at, '\n', bytes.len);

	*line_out = (struct http_text){NULL, 0};
	if (lf)
		bytes.len = (size_t)(lf - bytes.at) + 1;
	*took_out = gather(r, bytes);
	if (*took_out < bytes.len || r->line_len == GET_HEAD_MAX)
		return "a line that does not end";
	if (!lf)
		return NULL;
	*line_out = (struct http_text){r->line, r->line_len - 1};
	if (line_out->len > 0 && r->line[line_out->len - 1] == '\r')
		line_out->len--;
	r->line_len = 0;
	return NULL;
}

static bool parse_hex(struct http_text text, uint64_t *number_out)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *digits = "0123456789abcdef";
		char c = text.at[i] >= 'A' && text.at[i] <= 'F' ? (char)(text.at[i] + 32)
							       : text.at[i];
		const char *found = c ? strchr(digits, c) : NULL;

		if (!found || number >> 60)
			return false;
		number = number << 4 | (uint64_t)(found - digits);
	}
	*number_out = number;
	return text.len > 0;
}

static const char *take_chunk_size(struct get_response *r, struct http_text line)
{
	const char *semicolon = memchr(line.at, ';', line.len); /* an extension follows */

	if (semicolon)
		line.len = (size_t)(semicolon - line.at);
	if (!parse_hex(http_text_trim(line), &r->left))
		return "a chunk whose size is no number";
	r->state = r->left ? GET_STATE_CHUNK : GET_STATE_TRAILER;
	return NULL;
}

/* RFC 9112 7.1: what is between the chunks */
static const char *take_framing(struct get_response *r, struct http_text bytes, size_t *took_out)
{
	struct http_text line;
	const char *why = take_line(r, bytes, took_out, &line);

	if (why || !line.at)
		return why;
	if (r->state == GET_STATE_CHUNK_SIZE)
		return take_chunk_size(r, line);
	if (r->state == GET_STATE_CHUNK_END) {
		r->state = GET_STATE_CHUNK_SIZE;
		return line.len ? "a chunk that is longer than its size" : NULL;
	}
	if (line.len == 0)
		r->state = GET_STATE_DONE;
	return NULL;
}

static void take_body(struct get_response *r, struct http_text bytes, size_t *took_out,
		      struct http_text *body_out)
{
	if (r->state != GET_STATE_STREAM && r->left < bytes.len)
		bytes.len = (size_t)r->left;
	*took_out = bytes.len;
	*body_out = bytes;
	if (r->state == GET_STATE_STREAM)
		return;
	r->left -= bytes.len;
	if (r->left == 0)
		r->state = r->state == GET_STATE_CHUNK ? GET_STATE_CHUNK_END : GET_STATE_DONE;
}

const char *get_response_take(struct get_response *r, struct http_text bytes, size_t *took_out,
			      struct http_text *body_out)
{
	r->begun = true;
	*body_out = (struct http_text){NULL, 0};
	switch (r->state) {
	case GET_STATE_HEAD:
		return take_head(r, bytes, took_out);
	case GET_STATE_LENGTH:
	case GET_STATE_STREAM:
	case GET_STATE_CHUNK:
		take_body(r, bytes, took_out, body_out);
		return NULL;
	case GET_STATE_CHUNK_SIZE:
	case GET_STATE_CHUNK_END:
	case GET_STATE_TRAILER:
		return take_framing(r, bytes, took_out);
	case GET_STATE_DONE:
		break;
	}
	return "bytes that nobody asked for";
}

const char *get_response_end(struct get_response *r)
{
	if (r->state == GET_STATE_STREAM)
		r->state = GET_STATE_DONE;
	return r->state == GET_STATE_DONE ? NULL : "the answer is cut short";
}
