#include "config.h"

#include "apps/get_body.h"

#include <errno.h>
#include <string.h>

#include "apps/fail.h"

void get_body_begin(struct get_body *body, FILE *out, const char *name)
{
	body->out = out;
	body->name = name;
	body->len = 0;
	sha256_begin(&body->sha);
}

void get_body_add(struct get_body *body, struct http_text bytes)
{
	if (bytes.len == 0)
		return;
	body->len += bytes.len;
	sha256_add(&body->sha, bytes.at, bytes.len);
	if (body->out && fwrite(bytes.at, 1, bytes.len, body->out) != bytes.len)
		fail("%s: %s", body->name, strerror(errno));
}
