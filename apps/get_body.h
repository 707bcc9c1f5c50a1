/* Where the body of an answer goes: into a hash, and perhaps into a file. */
#ifndef APPS_GET_BODY_H
#define APPS_GET_BODY_H

#include <stdio.h>

#include "apps/http_text.h"
#include "apps/sha256.h"

struct get_body {
	FILE *out;		/* NULL: nowhere */
	const char *name;	/* of out, for people */
	uint64_t len;
	struct sha256 sha;
};

void get_body_begin(struct get_body *body, FILE *out, const char *name);
/* Ends the program when it cannot be written. */
void get_body_add(struct get_body *body, struct http_text bytes);

#endif /* APPS_GET_BODY_H */
