#include "config.h"

#include "apps/http_fields.h"

#include <string.h>

size_t http_fields_end(const char *bytes, size_t len, size_t seen)
{
	size_t i = seen > 3 ? seen - 3 : 0; /* LF CR LF may have been seen in part */
	const char *lf;

	while (i < len && (lf = memchr(bytes + i, '\n', len - i))) {
		i = (size_t)(lf - bytes) + 1;
		if (i < len && bytes[i] == '\n')
			return i + 1;
		if (i + 1 < len && bytes[i] == '\r' && bytes[i + 1] == '\n')
			return i + 2;
	}
	return 0;
}

/* No control character but HTAB: RFC 9110 5.5. */
static bool is_clean(struct http_text line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

bool http_fields_line(struct http_fields *fields, struct http_text *line_out)
{
	struct http_text *rest = &fields->rest;
	const char *lf = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
	struct http_text line = {rest->at, 0};

	if (!lf)
		return false;
	line.len = (size_t)(lf - rest->at);
	rest->at += line.len + 1;
	rest->len -= line.len + 1;
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	*line_out = line;
	return is_clean(line);
}

enum http_next http_fields_next(struct http_fields *fields, struct http_field *field_out)
{
	struct http_text line;
	const char *colon;

	if (!http_fields_line(fields, &line))
		return HTTP_NEXT_BAD;
	if (line.len == 0)
		return HTTP_NEXT_END;
	colon = memchr(line.at, ':', line.len);
	if (!colon)
		return HTTP_NEXT_BAD;
	field_out->name = (struct http_text){line.at, (size_t)(colon - line.at)};
	/* a folded line begins with space, which no token does */
	if (!http_text_is_token(field_out->name))
		return HTTP_NEXT_BAD;
	field_out->value = http_text_trim(
		(struct http_text){colon + 1, line.len - field_out->name.len - 1});
	return HTTP_NEXT_FIELD;
}
