/* Results for programs: one JSON object on one line. */
#ifndef APPS_JSON_H
#define APPS_JSON_H

#include <stddef.h>
#include <stdint.h>

struct json_item {
	const char *name;
	uint64_t number;
	const char *text;	/* instead of the number, if not NULL */
};

/* With the backend under "libos", as LIBOS has it. */
void json_print(const struct json_item *items, size_t n);

#endif /* APPS_JSON_H */
