#include "config.h"

#include "apps/http_path.h"

#include <string.h>

static const char index_name[] = "index.html";

/* A path that is being made, segment by segment, with a slash behind each. */
struct path {
	char *at;
	size_t len;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One segment's bytes behind what is there. 0 or the status. */
static int decode_segment(struct path *path, struct http_text seg, size_t *len_out)
{
	char *start = path->at + path->len;
	char *out = start;

	for (size_t i = 0; i < seg.len; i++) {
		int high, low;

		if (seg.at[i] != '%') {
			*out++ = seg.at[i];
			continue;
		}
		high = i + 2 < seg.len ? hex_digit(seg.at[i + 1]) : -1;
		low = i + 2 < seg.len ? hex_digit(seg.at[i + 2]) : -1;
		if (high < 0 || low < 0 || (high | low) == 0)
			return 400;
		if (high * 16 + low == '/')
			return 404; /* a slash inside a name, which no file has */
		*out++ = (char)(high * 16 + low);
		i += 2;
	}
	*len_out = (size_t)(out - start);
	return 0;
}

/* Takes the last segment back. false: there is none. */
static bool climb(struct path *path)
{
	if (path->len == 0)
		return false;
	path->len--;
	while (path->len > 0 && path->at[path->len - 1] != '/')
		path->len--;
	return true;
}

/* is_dir_out: it names a directory, whatever follows. */
static int add_segment(struct path *path, struct http_text seg, bool *is_dir_out)
{
	const char *name = path->at + path->len;
	size_t len = 0;
	int status = decode_segment(path, seg, &len);

	if (status)
		return status;
	*is_dir_out = true;
	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return climb(path) ? 0 : 400;
	*is_dir_out = false;
	path->len += len;
	path->at[path->len++] = '/';
	return 0;
}

int http_path_decode(char *path_out, struct http_text target)
{
	const char *query = memchr(target.at, '?', target.len);
	struct http_text rest = {target.at, query ? (size_t)(query - target.at) : target.len};
	struct path path = {path_out, 0};
	bool is_dir = true;

	while (rest.len > 0) {
		const char *slash = memchr(rest.at, '/', rest.len);
		size_t len = slash ? (size_t)(slash - rest.at) : rest.len;
		int status = add_segment(&path, (struct http_text){rest.at, len}, &is_dir);

		if (status)
			return status;
		is_dir |= slash != NULL;
		len += slash != NULL;
		rest.at += len;
		rest.len -= len;
	}
	if (is_dir)
		memcpy(path.at + path.len, index_name, sizeof(index_name));
	else
		path.at[path.len - 1] = '\0';
	return 0;
}

size_t http_path_encode_dir(char *out, const char *path)
{
	static const char hex[] = "0123456789ABCDEF";
	char *start = out;

	*out++ = '/';
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("-._~/", c);

		if (plain) {
			*out++ = (char)c;
		} else {
			*out++ = '%';
			*out++ = hex[c >> 4];
			*out++ = hex[c & 15];
		}
	}
	*out++ = '/';
	*out = '\0';
	return (size_t)(out - start);
}
