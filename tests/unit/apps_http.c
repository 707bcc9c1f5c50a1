/* The parts of clowder-http and clowder-get that take a stranger's bytes apart. */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/get_response.h"
#include "apps/http_cond.h"
#include "apps/http_date.h"
#include "apps/http_path.h"
#include "apps/http_range.h"
#include "apps/http_request.h"
#include "apps/http_type.h"
#include "apps/sha256.h"

static struct http_text text(const char *s)
{
	return (struct http_text){s, strlen(s)};
}

/* ---- requests */

struct request_row {
	const char *head;
	int status;
};

#define G "GET / HTTP/1.1\r\nHost: a\r\n"

static const struct request_row requests[] = {
	{G "\r\n", 0},
	{"GET / HTTP/1.1\nHost: a\n\n", 0},
	{"GET / HTTP/1.0\r\n\r\n", 0},
	{"GET / HTTP/1.7\r\nHost: a\r\n\r\n", 0},
	{"GET http://a.b:80/c?d HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"GET HTTP://a.b HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"POST * HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{G "Content-Length: 65536\r\n\r\n", 0},
	{G "X: \t caf\xc3\xa9 \r\n\r\n", 0},
	{G "Expect: 100-Continue\r\n\r\n", 0},
	{"GET / HTTP/1.1\r\n\r\n", 400},
	{G "Host: a\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"GET /\r\n\r\n", 400},
	{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
	{" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET /\ta HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
	{"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
	{G "A : b\r\n\r\n", 400},
	{G " folded\r\n\r\n", 400},
	{G "no colon\r\n\r\n", 400},
	{G ": no name\r\n\r\n", 400},
	{G "A: b\rc\r\n\r\n", 400},
	{G "A: \x01\r\n\r\n", 400},
	{G "Content-Length: -1\r\n\r\n", 400},
	{G "Content-Length: +1\r\n\r\n", 400},
	{G "Content-Length: 0x1\r\n\r\n", 400},
	{G "Content-Length: 1, 1\r\n\r\n", 400},
	{G "Content-Length: \r\n\r\n", 400},
	{G "Content-Length: 18446744073709551616\r\n\r\n", 400},
	{G "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
	{G "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{G "Transfer-Encoding: chunked\r\n\r\n", 411},
	{G "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
	{G "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
	{G "Content-Length: 65537\r\n\r\n", 413},
	{G "Expect: a pony\r\n\r\n", 417},
	{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	{"GET / HTTP/0.9\r\n\r\n", 505},
	{"PRI * HTTP/2.0\r\n\r\n", 505},
};

START_TEST(requests_get_their_status)
{
	const struct request_row *row = &requests[_i];
	size_t len = strlen(row->head);
	struct http_request req;

	for (size_t n = 0; n < len; n++)
		ck_assert_uint_eq(http_fields_end(row->head, n, n ? n - 1 : 0), 0);
	ck_assert_uint_eq(http_fields_end(row->head, len, 0), len);
	ck_assert_uint_eq(http_fields_end(row->head, len, len - 1), len);
	ck_assert_msg(http_request_parse(&req, row->head, len) == row->status, "%d, not %d: %s",
		      http_request_parse(&req, row->head, len), row->status, row->head);
	ck_assert(row->status == 0 || !req.keep_alive);
}
END_TEST

START_TEST(a_request_is_understood)
{
	static const char head[] = "HEAD http://x/a%20b?c HTTP/1.1\r\nhost:x\r\nRANGE: bytes=0-1\r\n"
				   "If-Range: \"e\"\r\nContent-Length: 7\r\n\r\n";
	struct http_request req;

	ck_assert_int_eq(http_request_parse(&req, head, sizeof(head) - 1), 0);
	ck_assert_int_eq(req.method, HTTP_METHOD_HEAD);
	ck_assert(http_text_equals(req.target, "/a%20b?c"));
	ck_assert(http_text_equals(req.range, "bytes=0-1"));
	ck_assert(http_text_equals(req.if_range, "\"e\""));
	ck_assert_uint_eq(req.body, 7);
	ck_assert(req.keep_alive && !req.http10);
}
END_TEST

static bool keeps_alive(const char *head)
{
	struct http_request req;

	ck_assert_int_eq(http_request_parse(&req, head, strlen(head)), 0);
	return req.keep_alive;
}

START_TEST(connections_are_kept_as_asked)
{
	ck_assert(keeps_alive(G "\r\n"));
	ck_assert(keeps_alive(G "Connection: foo, keep-alive\r\n\r\n"));
	ck_assert(!keeps_alive(G "Connection: foo , Close\r\n\r\n"));
	ck_assert(!keeps_alive(G "Connection: keep-alive\r\nConnection: close\r\n\r\n"));
	ck_assert(!keeps_alive("GET / HTTP/1.0\r\n\r\n"));
	ck_assert(keeps_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
	/* whether the body comes is the client's choice, and nobody could tell */
	ck_assert(!keeps_alive(G "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
}
END_TEST

START_TEST(heads_have_limits)
{
	static char bytes[HTTP_HEAD_MAX];

	memset(bytes, 'a', sizeof(bytes));
	ck_assert_int_eq(http_request_too_long(bytes, 100), 0);
	ck_assert_int_eq(http_request_too_long(bytes, HTTP_TARGET_MAX + 33), 414);
	bytes[50] = '\n';
	ck_assert_int_eq(http_request_too_long(bytes, HTTP_HEAD_MAX - 1), 0);
	ck_assert_int_eq(http_request_too_long(bytes, HTTP_HEAD_MAX), 431);
	ck_assert_int_eq(http_request_too_long("\x16\x03\x01", 3), 400);
}
END_TEST

/* ---- paths */

struct path_row {
	const char *target;
	const char *path;	/* NULL: the status */
	int status;
};

static const struct path_row paths[] = {
	{"/", "index.html", 0},
	{"/?a/../b", "index.html", 0},
	{"/a", "a", 0},
	{"/a/", "a/index.html", 0},
	{"//a//b", "a/b", 0},
	{"/a/./b/../c", "a/c", 0},
	{"/a/..", "index.html", 0},
	{"/a/.", "a/index.html", 0},
	{"/a/b/..", "a/index.html", 0},
	{"/a/%2e%2E/b", "b", 0},
	{"/%61%20b%25", "a b%", 0},
	{"/...", "...", 0},
	{"/.a", ".a", 0},
	{"/a?%zz", "a", 0},
	{"/..", NULL, 400},
	{"/a/../..", NULL, 400},
	{"/%2e%2e/etc/passwd", NULL, 400},
	{"/a/..//../b", NULL, 400},
	{"/%00", NULL, 400},
	{"/a%", NULL, 400},
	{"/a%2", NULL, 400},
	{"/a%2g", NULL, 400},
	{"/..%2f..%2fetc", NULL, 404},
	{"/a%2Fb", NULL, 404},
};

START_TEST(paths_stay_below_the_root)
{
	const struct path_row *row = &paths[_i];
	char path[HTTP_PATH_ROOM];
	int status = http_path_decode(path, text(row->target));

	ck_assert_msg(status == row->status, "%s: %d", row->target, status);
	if (row->path)
		ck_assert_str_eq(path, row->path);
}
END_TEST

START_TEST(the_longest_paths_have_room)
{
	static char target[HTTP_TARGET_MAX + 1];
	char path[HTTP_PATH_ROOM];

	memset(target, 'a', HTTP_TARGET_MAX);
	target[0] = target[HTTP_TARGET_MAX - 1] = '/';
	ck_assert_int_eq(http_path_decode(path, text(target)), 0);
	ck_assert_uint_eq(strlen(path), HTTP_TARGET_MAX - 1 + strlen("index.html"));
}
END_TEST

START_TEST(redirections_stay_on_this_host)
{
	char out[100];

	ck_assert_uint_eq(http_path_encode_dir(out, "a b/\r\n\xe9"), strlen(out));
	ck_assert_str_eq(out, "/a%20b/%0D%0A%E9/");
}
END_TEST

/* ---- ranges */

struct range_row {
	const char *range;
	uint64_t size;
	enum http_range what;
	uint64_t first, end;
};

static const struct range_row ranges[] = {
	{"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
	{"bytes=2-", 10, HTTP_RANGE_PART, 2, 10},
	{"bytes=9-9", 10, HTTP_RANGE_PART, 9, 10},
	{"bytes=3-99", 10, HTTP_RANGE_PART, 3, 10},
	{"Bytes= 3-4 ", 10, HTTP_RANGE_PART, 3, 5},
	{"bytes=0-99999999999999999999", 10, HTTP_RANGE_PART, 0, 10},
	{"bytes=-3", 10, HTTP_RANGE_PART, 7, 10},
	{"bytes=-30", 10, HTTP_RANGE_PART, 0, 10},
	{"bytes=-99999999999999999999", 10, HTTP_RANGE_PART, 0, 10},
	{"bytes=10-", 10, HTTP_RANGE_OUTSIDE, 0, 0},
	{"bytes=10-11", 10, HTTP_RANGE_OUTSIDE, 0, 0},
	{"bytes=99999999999999999999-", 10, HTTP_RANGE_OUTSIDE, 0, 0},
	{"bytes=-0", 10, HTTP_RANGE_OUTSIDE, 0, 0},
	{"bytes=0-", 0, HTTP_RANGE_OUTSIDE, 0, 0},
	{"bytes=-1", 0, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=3-2", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=a-b", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=1", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=-", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=1 -2", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"bytes=0-1,3-4", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"lines=0-1", 10, HTTP_RANGE_WHOLE, 0, 0},
	{"", 10, HTTP_RANGE_WHOLE, 0, 0},
};

START_TEST(ranges_are_cut_to_the_file)
{
	const struct range_row *row = &ranges[_i];
	uint64_t first = 0, end = 0;

	ck_assert_int_eq(http_range_parse(text(row->range), row->size, &first, &end), row->what);
	ck_assert_uint_eq(first, row->first);
	ck_assert_uint_eq(end, row->end);
}
END_TEST

/* ---- conditions */

#define OLD "Sun, 06 Nov 1994 08:49:36 GMT"
#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define NEW "Sun, 06 Nov 1994 08:49:38 GMT"
#define AT_TIME 784111777

struct cond_row {
	const char *fields;
	int status;
};

static const struct cond_row conds[] = {
	{"", 0},
	{"If-None-Match: \"e\"\r\n", 304},
	{"If-None-Match: W/\"e\"\r\n", 304},
	{"If-None-Match: \"x,\", \"e\"\r\n", 304},
	{"If-None-Match: \"x\"\r\nIf-None-Match: \"e\"\r\n", 304},
	{"If-None-Match: *\r\n", 304},
	{"If-None-Match: \"x\", e\r\n", 0},
	{"If-None-Match: \"x\"\r\nIf-Modified-Since: " NEW "\r\n", 0},
	{"If-Modified-Since: " OLD "\r\n", 0},
	{"If-Modified-Since: " AT "\r\n", 304},
	{"If-Modified-Since: " NEW "\r\n", 304},
	{"If-Modified-Since: tomorrow\r\n", 0},
	{"If-Match: \"e\"\r\n", 0},
	{"If-Match: \"x\", *\r\n", 0},
	{"If-Match: W/\"e\"\r\n", 412},
	{"If-Match: \"x\"\r\nIf-None-Match: \"e\"\r\n", 412},
	{"If-Match: \"e\"\r\nIf-None-Match: \"e\"\r\n", 304},
	{"If-Match: \"e\"\r\nIf-Unmodified-Since: " OLD "\r\n", 0},
	{"If-Unmodified-Since: " OLD "\r\n", 412},
	{"If-Unmodified-Since: " AT "\r\n", 0},
};

static void parse_cond(struct http_request *req, char *head, size_t room, const char *fields)
{
	snprintf(head, room, G "%s\r\n", fields);
	ck_assert_int_eq(http_request_parse(req, head, strlen(head)), 0);
}

START_TEST(conditions_are_checked_in_order)
{
	const struct http_version version = {"\"e\"", AT_TIME};
	struct http_request req;
	char head[500];

	parse_cond(&req, head, sizeof(head), conds[_i].fields);
	ck_assert_msg(http_cond_check(&req, &version) == conds[_i].status, "%s", conds[_i].fields);
}
END_TEST

static bool range_holds(const char *fields, time_t now)
{
	const struct http_version version = {"\"e\"", AT_TIME};
	struct http_request req;
	char head[500];

	parse_cond(&req, head, sizeof(head), fields);
	return http_cond_range_holds(&req, &version, now);
}

START_TEST(a_range_is_of_its_version)
{
	ck_assert(range_holds("", AT_TIME));
	ck_assert(range_holds("If-Range: \"e\"\r\n", AT_TIME));
	ck_assert(!range_holds("If-Range: \"x\"\r\n", AT_TIME + 9));
	ck_assert(!range_holds("If-Range: W/\"e\"\r\n", AT_TIME + 9));
	ck_assert(range_holds("If-Range: " AT "\r\n", AT_TIME + 9));
	ck_assert(!range_holds("If-Range: " AT "\r\n", AT_TIME));
	ck_assert(!range_holds("If-Range: " NEW "\r\n", AT_TIME + 9));
	ck_assert(!range_holds("If-Range: " OLD "\r\n", AT_TIME + 9));
}
END_TEST

START_TEST(dates_have_three_forms)
{
	char out[HTTP_DATE_ROOM];
	time_t when = 0;

	http_date_format(out, AT_TIME);
	ck_assert_str_eq(out, AT);
	ck_assert(http_date_parse(text(AT), &when) && when == AT_TIME);
	ck_assert(http_date_parse(text("Sunday, 06-Nov-94 08:49:37 GMT"), &when) && when == AT_TIME);
	ck_assert(http_date_parse(text("Sun Nov  6 08:49:37 1994"), &when) && when == AT_TIME);
	ck_assert(!http_date_parse(text(AT "x"), &when));
	ck_assert(!http_date_parse(text("now"), &when));
	ck_assert(!http_date_parse(text(""), &when));
}
END_TEST

START_TEST(types_go_by_extension)
{
	ck_assert_str_eq(http_type_of("a/b.HTML"), "text/html; charset=utf-8");
	ck_assert_str_eq(http_type_of("a.b/c"), "application/octet-stream");
	ck_assert_str_eq(http_type_of(".png"), "application/octet-stream");
	ck_assert_str_eq(http_type_of("x.tar.gz"), "application/gzip");
	ck_assert_str_eq(http_type_of("x.avif"), "image/avif");
	ck_assert_str_eq(http_type_of("x.zst"), "application/zstd");
}
END_TEST

/* ---- responses */

struct response_row {
	const char *bytes;
	const char *body;	/* NULL: it is refused */
	bool to_the_end;	/* what is left when the stream ends is the end */
	bool keep_alive;
};

#define OK "HTTP/1.1 200 OK\r\n"

static const struct response_row responses[] = {
	{OK "Content-Length: 3\r\n\r\nabc", "abc", false, true},
	{OK "Content-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", false, false},
	{OK "Content-Length: 0\r\n\r\n", "", false, true},
	{OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "a", false, true},
	{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a", false, false},
	{"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\na", "a", false, true},
	{"HTTP/1.1 304\r\nContent-Length: 10\r\n\r\n", "", false, true},
	{"HTTP/1.1 204 \r\n\r\n", "", false, true},
	{OK "\r\nabc\r\n", "abc\r\n", true, false},
	{OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1A;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n"
	    "0\r\nTrailer: x\r\n\r\n", "abcabcdefghijklmnopqrstuvwxyz", false, true},
	{OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false, true},
	{OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", NULL, false, false},
	{OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", NULL, false, false},
	{OK "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", NULL, false, false},
	{OK "Transfer-Encoding: gzip\r\n\r\n", NULL, false, false},
	{OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", NULL, false, false},
	{OK "Content-Length: x\r\n\r\n", NULL, false, false},
	{OK "bad line\r\n\r\n", NULL, false, false},
	{"HTTP/2.0 200 OK\r\n\r\n", NULL, false, false},
	{"HTTP/1.1 20 OK\r\n\r\n", NULL, false, false},
	{"SSH-2.0-OpenSSH\r\n\r\n", NULL, false, false},
};

/* In pieces of `step` bytes. */
static void check_response(const struct response_row *row, size_t step)
{
	struct http_text rest = text(row->bytes), body;
	static char line[GET_HEAD_MAX];
	struct get_response r;
	char got[100] = "";
	const char *why = NULL;

	get_response_begin(&r, line, false);
	while (rest.len > 0 && !why && r.state != GET_STATE_DONE) {
		size_t took = 0;
		struct http_text piece = {rest.at, step < rest.len ? step : rest.len};

		why = get_response_take(&r, piece, &took, &body);
		ck_assert(why || (took > 0 && took <= piece.len));
		strncat(got, body.at ? body.at : "", body.len);
		rest.at += took;
		rest.len -= took;
	}
	ck_assert_msg(!why == !!row->body, "%s: %s", row->bytes, why ? why : "not refused");
	if (!row->body)
		return;
	ck_assert_uint_eq(rest.len, 0);
	ck_assert_int_eq(r.state == GET_STATE_DONE, !row->to_the_end);
	ck_assert_ptr_null(get_response_end(&r));
	ck_assert_str_eq(got, row->body);
	ck_assert_int_eq(r.keep_alive, row->keep_alive);
}

START_TEST(responses_end_where_they_say)
{
	for (size_t step = 1; step <= strlen(responses[_i].bytes); step++)
		check_response(&responses[_i], step);
}
END_TEST

START_TEST(a_response_cut_short_is_noticed)
{
	static const char bytes[] = OK "Content-Length: 3\r\n\r\nabc";
	static char line[GET_HEAD_MAX];

	for (size_t len = 1; len < sizeof(bytes) - 1; len++) {
		struct http_text rest = {bytes, len}, body;
		struct get_response r;
		size_t took;

		get_response_begin(&r, line, false);
		for (; rest.len > 0; rest.at += took, rest.len -= took)
			ck_assert_ptr_null(get_response_take(&r, rest, &took, &body));
		ck_assert_ptr_nonnull(get_response_end(&r));
	}
}
END_TEST

START_TEST(a_head_request_has_no_body)
{
	struct http_text all = text(OK "Content-Length: 3\r\n\r\n"), body;
	static char line[GET_HEAD_MAX];
	struct get_response r;
	size_t took;

	get_response_begin(&r, line, true);
	ck_assert_ptr_null(get_response_take(&r, all, &took, &body));
	ck_assert_int_eq(r.state, GET_STATE_DONE);
	ck_assert_uint_eq(r.head_len, all.len);
}
END_TEST

/* ---- SHA-256 */

struct sha_row {
	const char *bytes;
	unsigned repeat;
	const char *hash;
};

/* of FIPS 180-4's examples, and lengths around a block from sha256sum */
static const struct sha_row shas[] = {
	{"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
	{"a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
	{"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
	{"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

START_TEST(hashes_are_right)
{
	const struct sha_row *row = &shas[_i / 2];
	char hash[SHA256_TEXT];
	struct sha256 sha;

	if (_i % 2)
		sha256_begin_plain(&sha);
	else
		sha256_begin(&sha);
	for (unsigned i = 0; i < row->repeat; i++)
		sha256_add(&sha, row->bytes, strlen(row->bytes));
	sha256_end(&sha, hash);
	ck_assert_str_eq(hash, row->hash);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof(table[0]))

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *server = tcase_create("server");
	TCase *client = tcase_create("client");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(server, requests_get_their_status, 0, ROWS(requests));
	tcase_add_test(server, a_request_is_understood);
	tcase_add_test(server, connections_are_kept_as_asked);
	tcase_add_test(server, heads_have_limits);
	tcase_add_loop_test(server, paths_stay_below_the_root, 0, ROWS(paths));
	tcase_add_test(server, the_longest_paths_have_room);
	tcase_add_test(server, redirections_stay_on_this_host);
	tcase_add_loop_test(server, ranges_are_cut_to_the_file, 0, ROWS(ranges));
	tcase_add_loop_test(server, conditions_are_checked_in_order, 0, ROWS(conds));
	tcase_add_test(server, a_range_is_of_its_version);
	tcase_add_test(server, dates_have_three_forms);
	tcase_add_test(server, types_go_by_extension);
	tcase_add_loop_test(client, responses_end_where_they_say, 0, ROWS(responses));
	tcase_add_test(client, a_response_cut_short_is_noticed);
	tcase_add_test(client, a_head_request_has_no_body);
	tcase_add_loop_test(client, hashes_are_right, 0, 2 * ROWS(shas));
	suite_add_tcase(suite, server);
	suite_add_tcase(suite, client);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
