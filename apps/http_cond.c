#include "config.h"

#include "apps/http_cond.h"

#include "apps/http_date.h"

static bool tag_matches(struct http_text tag, const char *etag, bool weak_will_do)
{
	if (weak_will_do && tag.len > 2 && tag.at[0] == 'W' && tag.at[1] == '/') {
		tag.at += 2;
		tag.len -= 2;
	}
	return http_text_equals(tag, etag) || http_text_equals(tag, "*");
}

/* A list that may come in several fields of the name. */
static bool list_matches(const struct http_request *req, const char *name, const char *etag,
			 bool weak_will_do)
{
	struct http_fields fields = req->fields;
	struct http_field field;
	struct http_text tag;

	while (http_fields_next(&fields, &field) == HTTP_NEXT_FIELD) {
		if (!http_text_is(field.name, name))
			continue;
		while (http_text_next(&field.value, &tag))
			if (tag_matches(tag, etag, weak_will_do))
				return true;
	}
	return false;
}

static int check_match(const struct http_request *req, const struct http_version *version)
{
	time_t when;

	if (req->if_match.at)
		return list_matches(req, "if-match", version->etag, false) ? 0 : 412;
	if (req->if_unmodified_since.at && http_date_parse(req->if_unmodified_since, &when))
		return version->modified > when ? 412 : 0;
	return 0;
}

static int check_none_match(const struct http_request *req, const struct http_version *version)
{
	time_t when;

	if (req->if_none_match.at)
		return list_matches(req, "if-none-match", version->etag, true) ? 304 : 0;
	if (req->if_modified_since.at && http_date_parse(req->if_modified_since, &when))
		return version->modified <= when ? 304 : 0;
	return 0;
}

int http_cond_check(const struct http_request *req, const struct http_version *version)
{
	int status = check_match(req, version);

	return status ? status : check_none_match(req, version);
}

bool http_cond_range_holds(const struct http_request *req, const struct http_version *version,
			   time_t now)
{
	time_t when;

	if (!req->if_range.at)
		return true;
	if (http_text_equals(req->if_range, version->etag))
		return true;
	/* within one second a file may have had several versions (8.8.2.2) */
	return http_date_parse(req->if_range, &when) && when == version->modified &&
	       version->modified < now;
}
