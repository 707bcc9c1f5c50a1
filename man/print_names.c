/*
 * Prints what the manual pages have to list: the settings of every backend that
 * was built ("keys"), in the words of clowder.conf(5), or the names of the
 * counters ("counters"), for demi_stat(5).
 */
#include "config.h"

#include <ctype.h>
#include <demi/libos.h>
#include <demi/ext.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libos/backend.h"
#include "libos/registry.h"
#include "libos/settings.h"

static void print_env(const struct libos_key *key)
{
	if (key->env) {
		printf("\t%s", key->env);
		return;
	}
	printf("\tCLOWDER_");
	for (const char *c = key->name; *c; c++)
		putchar(*c == '.' ? '_' : toupper((unsigned char)*c));
}

static void print_type(const struct libos_key *key)
{
	switch (key->type) {
	case LIBOS_KEY_INT:
		if (key->max == INT64_MAX)
			printf("\tNumber, %" PRId64 " or more,", key->min);
		else
			printf("\tNumber, %" PRId64 " to %" PRId64 ",", key->min, key->max);
		break;
	case LIBOS_KEY_BOOL:
		printf("\tTrue or false,");
		break;
	case LIBOS_KEY_CHOICE:
		for (int i = 0; key->choices[i]; i++)
			printf("%s %s", i ? "," : "\tOne of", key->choices[i]);
		printf(";");
		break;
	case LIBOS_KEY_STRING:
		printf("\tText,");
		break;
	case LIBOS_KEY_IPV4:
		printf("\tIPv4 address,");
		break;
	case LIBOS_KEY_LIST:
		printf("\tWords,");
		break;
	}
}

static void print_table(const struct libos_key *table)
{
	for (const struct libos_key *key = table; key->name; key++) {
		printf("%s", key->name);
		print_env(key);
		print_type(key);
		if (key->def)
			printf(" default %s.\n", key->def);
		else
			printf(" no default.\n");
	}
}

static void print_keys(void)
{
	print_table(libos_core_keys);
	for (int i = 0; libos_registry[i]; i++)
		print_table(libos_registry[i]->keys);
}

static void print_counter(const char *name, uint32_t len, uint64_t value)
{
	(void)value;
	printf("%.*s\n", (int)len, name);
}

/* An instance of all backends names its counters when it ends. */
static int print_counters(void)
{
	struct demi_args args = { .callback = print_counter };
	char all[256] = "";
	size_t n = 0;
	int err;

	for (int i = 0; libos_registry[i]; i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? "+" : "",
				      libos_registry[i]->name);
	setenv("LIBOS", all, 1);
	err = demi_init(&args);
	return err ? err : demi_fini();
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "counters") == 0)
		return print_counters() != 0;
	print_keys();
	return 0;
}
