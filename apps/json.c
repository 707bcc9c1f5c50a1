#include "config.h"

#include "apps/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/fail.h"

void json_print(const struct json_item *items, size_t n)
{
	const char *libos = getenv("LIBOS");
	json_t *obj = json_pack("{s:s}", "libos", libos && *libos ? libos : "default");
	int err = !obj;

	for (size_t i = 0; !err && i < n; i++)
		err = json_object_set_new(obj, items[i].name,
					  items[i].text ? json_string(items[i].text)
							: json_integer((json_int_t)items[i].number));
	if (err || json_dumpf(obj, stdout, JSON_COMPACT))
		fail("cannot write the result");
	json_decref(obj);
	putchar('\n');
}
