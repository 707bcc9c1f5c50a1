/*
 * Settings: a YAML file named by CONFIG_PATH, an environment override for each
 * key (catnap.read_ahead is CLOWDER_CATNAP_READ_AHEAD), and a default for each.
 * The core and every backend list their keys in a table of this form.
 */
#ifndef LIBOS_SETTINGS_H
#define LIBOS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

enum libos_key_type {
	LIBOS_KEY_INT,		/* decimal, or with K, M, G (1024) behind it */
	LIBOS_KEY_BOOL,		/* true/false, yes/no, on/off, 1/0 */
	LIBOS_KEY_CHOICE,	/* one of `choices`; the value is its index */
	LIBOS_KEY_STRING,
	LIBOS_KEY_IPV4,		/* a string that is an address */
	LIBOS_KEY_LIST,		/* of strings; one string in the environment is
				 * split at spaces */
};

struct libos_key {
	const char *name;	/* "catnap.read_ahead" */
	enum libos_key_type type;
	const char *def;	/* default, as it would be written; NULL: unset */
	int64_t min, max;	/* INT */
	const char *const *choices; /* CHOICE, NULL-terminated */
	const char *env;	/* override, if not the name's own */
};

struct libos_settings;

/* Reads file and environment. tables: NULL-terminated list of key tables.
 * EINVAL, ENOENT, EACCES, ENOMEM, each after one line that says where. */
int libos_settings_load(const struct libos_key *const *tables,
			struct libos_settings **settings_out);
void libos_settings_free(struct libos_settings *s);

/* Of a key that is in the tables. */
int64_t libos_settings_int(const struct libos_settings *s, const char *name);
bool libos_settings_bool(const struct libos_settings *s, const char *name);
int libos_settings_choice(const struct libos_settings *s, const char *name);
/* NULL if unset */
const char *libos_settings_str(const struct libos_settings *s, const char *name);
/* Number of items; items_out is valid as long as s. */
uint32_t libos_settings_list(const struct libos_settings *s, const char *name,
			     const char *const **items_out);
/* Whether file or environment gave it a value. */
bool libos_settings_given(const struct libos_settings *s, const char *name);

extern const struct libos_key libos_core_keys[];

#endif /* LIBOS_SETTINGS_H */
