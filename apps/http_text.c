#include "config.h"

#include "apps/http_text.h"

#include <string.h>
#include <strings.h>

bool http_text_is(struct http_text text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

bool http_text_equals(struct http_text text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

struct http_text http_text_trim(struct http_text text)
{
	while (text.len > 0 && is_space(text.at[0])) {
		text.at++;
		text.len--;
	}
	while (text.len > 0 && is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

static size_t element_len(struct http_text list)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < list.len && (quoted || list.at[i] != ','); i++)
		quoted ^= list.at[i] == '"';
	return i;
}

bool http_text_next(struct http_text *list, struct http_text *element_out)
{
	while (list->len > 0) {
		size_t len = element_len(*list);
		size_t step = len < list->len ? len + 1 : len;

		*element_out = http_text_trim((struct http_text){list->at, len});
		list->at += step;
		list->len -= step;
		if (element_out->len > 0)
			return true; /* empty elements do not count */
	}
	return false;
}

bool http_text_number(struct http_text text, uint64_t *number_out)
{
	uint64_t number = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(text.at[i] - '0');

		if (digit > 9 || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*number_out = number;
	return true;
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_text_is_token(struct http_text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!is_token_char(text.at[i]))
			return false;
	return text.len > 0;
}
