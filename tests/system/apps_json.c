/*
 * apps_json KEY[=VALUE] ...: exit 0 if stdin is one line with one JSON object that
 * has all those keys, the ones with a value as that number, text or truth. a/1/b is
 * the key b in the second of the list a.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[1 << 20];

static bool is_value(const json_t *value, const char *want)
{
	if (json_is_string(value))
		return strcmp(json_string_value(value), want) == 0;
	if (json_is_boolean(value))
		return strcmp(json_is_true(value) ? "true" : "false", want) == 0;
	return json_is_number(value) && json_number_value(value) == atof(want);
}

static const json_t *find(const json_t *value, char *path)
{
	for (char *key = strtok(path, "/"); key && value; key = strtok(NULL, "/"))
		value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
					     : json_object_get(value, key);
	return value;
}

static int check(const json_t *obj, const char *arg)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	char key[64];
	const json_t *value;

	snprintf(key, sizeof(key), "%.*s", (int)len, arg);
	value = find(obj, key);
	if (!value) {
		fprintf(stderr, "no key %.*s\n", (int)len, arg);
		return 1;
	}
	if (equals && !is_value(value, equals + 1)) {
		fprintf(stderr, "%s is not %s\n", key, equals + 1);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t len = fread(text, 1, sizeof(text) - 1, stdin);
	int failed = 0;
	json_error_t err;
	json_t *obj;

	if (len == 0 || strchr(text, '\n') != text + len - 1) {
		fprintf(stderr, "not one line\n");
		return 1;
	}
	obj = json_loads(text, JSON_REJECT_DUPLICATES, &err);
	if (!json_is_object(obj)) {
		fprintf(stderr, "not an object: %s\n", err.text);
		return 1;
	}
	for (int i = 1; i < argc; i++)
		failed |= check(obj, argv[i]);
	json_decref(obj);
	return failed;
}
