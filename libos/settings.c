#include "config.h"

#include "libos/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "libos/log.h"

static const char *const completes_choices[] = { "taken", "released", NULL };
static const char *const level_choices[] = { "error", "warn", "info", "debug", NULL };
static const char *const debug_choices[] = { "none", "buffers", NULL };

const struct libos_key libos_core_keys[] = {
	{ .name = "push.completes", .type = LIBOS_KEY_CHOICE, .def = "taken",
	  .choices = completes_choices },
	{ .name = "exit.linger_ms", .type = LIBOS_KEY_INT, .def = "2000",
	  .min = 0, .max = 3600000 },
	{ .name = "wait.spin_us", .type = LIBOS_KEY_INT, .def = "50",
	  .min = -1, .max = 3600000000 },
	{ .name = "wait.nap_us", .type = LIBOS_KEY_INT, .def = "1000",
	  .min = 20, .max = 1000000 },
	{ .name = "pool.max_bytes", .type = LIBOS_KEY_INT, .def = "0",
	  .min = 0, .max = INT64_MAX },
	{ .name = "log.level", .type = LIBOS_KEY_CHOICE, .def = "warn",
	  .choices = level_choices, .env = "CLOWDER_LOG" },
	{ .name = "debug", .type = LIBOS_KEY_CHOICE, .def = "none",
	  .choices = debug_choices },
	/* the original's, with their meaning there */
	{ .name = "demikernel.local_ipv4_addr", .type = LIBOS_KEY_IPV4 },
	{ .name = "dpdk.eal_init", .type = LIBOS_KEY_LIST },
	{ .name = "inetstack_config.mtu", .type = LIBOS_KEY_INT, .def = "1500",
	  .min = 68, .max = 65535 },
	{ .name = "tcp_socket_options.keepalive.enabled", .type = LIBOS_KEY_BOOL, .def = "false" },
	{ .name = "tcp_socket_options.keepalive.time_millis", .type = LIBOS_KEY_INT,
	  .def = "7200000", .min = 0, .max = INT_MAX },
	{ .name = "tcp_socket_options.keepalive.interval", .type = LIBOS_KEY_INT,
	  .def = "75000", .min = 0, .max = INT_MAX },
	{ .name = "tcp_socket_options.linger.enabled", .type = LIBOS_KEY_BOOL, .def = "false" },
	{ .name = "tcp_socket_options.linger.time_seconds", .type = LIBOS_KEY_INT,
	  .def = "0", .min = 0, .max = 65535 },
	{ .name = "tcp_socket_options.nodelay", .type = LIBOS_KEY_BOOL, .def = "true" },
	{ .name = NULL },
};

/* Sections of backends, which are checked where they are built. */
static const char *const open_sections[] = {
	"catnap", "catmem", "catnip", "catmint", "catloom", "catflap", NULL,
};

/* What the original has and nothing here looks at, with what is below it. */
static const char *const unused_keys[] = {
	"demikernel.local_interface_name",
	"demikernel.local_link_addr",
	"inetstack_config.arp_cache_ttl",
	"inetstack_config.arp_request_retries",
	"inetstack_config.arp_request_timeout",
	"inetstack_config.arp_table",
	"inetstack_config.enable_jumbo_frames",
	"inetstack_config.mss",
	"inetstack_config.tcp_checksum_offload",
	"inetstack_config.udp_checksum_offload",
	"raw_socket",
	NULL,
};

/* Aliases let a short file stand for a very long one. */
#define MAX_PAIRS 10000u

struct value {
	const struct libos_key *key;
	int64_t num;		/* INT, BOOL, CHOICE */
	char *str;		/* STRING */
	char **items;		/* LIST, NULL-terminated */
	uint32_t n_items;
	bool given;
};

struct libos_settings {
	struct value *values;
	uint32_t n;
	const char *file;	/* while reading */
	uint32_t pairs;		/* read of it so far */
};

/* Where a value came from, for messages: "file:12: " or "CLOWDER_X: ". */
struct origin {
	const char *name;
	size_t line;		/* 0: no line */
};

__attribute__((__format__(__printf__, 2, 3)))
static int complain(const struct origin *o, const char *fmt, ...)
{
	char text[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o->line)
		log_error("%s:%zu: %s", o->name, o->line, text);
	else
		log_error("%s: %s", o->name, text);
	return EINVAL;
}

static struct value *find(const struct libos_settings *s, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (strcmp(s->values[i].key->name, name) == 0)
			return &s->values[i];
	return NULL;
}

/* ---- one value */

static int parse_int(struct value *v, const char *text, const struct origin *o)
{
	const struct libos_key *key = v->key;
	int64_t scale = 1, n;
	char *end;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || errno)
		return complain(o, "%s: \"%s\" is not a number", key->name, text);
	if (*end == 'K' || *end == 'k')
		scale = 1 << 10;
	else if (*end == 'M' || *end == 'm')
		scale = 1 << 20;
	else if (*end == 'G' || *end == 'g')
		scale = 1 << 30;
	if (end[scale != 1])
		return complain(o, "%s: \"%s\" is not a number", key->name, text);
	if (__builtin_mul_overflow(n, scale, &n) || n < key->min || n > key->max)
		return complain(o, "%s: %s is outside %" PRId64 "..%" PRId64, key->name, text,
				key->min, key->max);
	v->num = n;
	return 0;
}

static int parse_bool(struct value *v, const char *text, const struct origin *o)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

	for (int i = 0; i < 8; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			v->num = i & 1;
			return 0;
		}
	}
	return complain(o, "%s: \"%s\" is neither true nor false", v->key->name, text);
}

static int parse_choice(struct value *v, const char *text, const struct origin *o)
{
	char all[128] = "";
	size_t n = 0;

	for (int i = 0; v->key->choices[i]; i++) {
		if (strcmp(text, v->key->choices[i]) == 0) {
			v->num = i;
			return 0;
		}
		n += (size_t)snprintf(all + n, n < sizeof(all) ? sizeof(all) - n : 0, "%s%s",
				      i ? ", " : "", v->key->choices[i]);
	}
	return complain(o, "%s: \"%s\" is none of %s", v->key->name, text, all);
}

static void items_clear(struct value *v)
{
	for (uint32_t i = 0; i < v->n_items; i++)
		free(v->items[i]);
	free(v->items);
	v->items = NULL;
	v->n_items = 0;
}

static int item_add(struct value *v, const char *text, size_t len)
{
	char **items = realloc(v->items, (v->n_items + 2) * sizeof(*items));

	if (!items)
		return ENOMEM;
	v->items = items;
	items[v->n_items] = strndup(text, len);
	if (!items[v->n_items])
		return ENOMEM;
	items[++v->n_items] = NULL;
	return 0;
}

static int parse_list(struct value *v, const char *text)
{
	items_clear(v);
	for (;;) {
		size_t len;
		int err;

		text += strspn(text, " \t");
		len = strcspn(text, " \t");
		if (!len)
			return 0;
		err = item_add(v, text, len);
		if (err)
			return err;
		text += len;
	}
}

static int parse_string(struct value *v, const char *text)
{
	free(v->str);
	v->str = strdup(text);
	return v->str ? 0 : ENOMEM;
}

static int parse_ipv4(struct value *v, const char *text, const struct origin *o)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1)
		return complain(o, "%s: \"%s\" is not an IPv4 address", v->key->name, text);
	return parse_string(v, text);
}

static int parse_value(struct value *v, const char *text, const struct origin *o)
{
	switch (v->key->type) {
	case LIBOS_KEY_INT:
		return parse_int(v, text, o);
	case LIBOS_KEY_BOOL:
		return parse_bool(v, text, o);
	case LIBOS_KEY_CHOICE:
		return parse_choice(v, text, o);
	case LIBOS_KEY_LIST:
		return parse_list(v, text);
	case LIBOS_KEY_STRING:
		return parse_string(v, text);
	case LIBOS_KEY_IPV4:
		return parse_ipv4(v, text, o);
	}
	return EINVAL;
}

/* ---- the file */

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static struct origin at_node(const struct libos_settings *s, const yaml_node_t *node)
{
	return (struct origin){ s->file, node->start_mark.line + 1 };
}

static bool is_null(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return !*scalar(node) || !strcmp(scalar(node), "~") || !strcmp(scalar(node), "null");
}

/* Text may have zero bytes in it, "\0", behind which C would see nothing. */
static bool is_text(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE &&
	       !memchr(scalar(node), '\0', node->data.scalar.length);
}

/* Whether there are keys below this name. */
static bool is_section(const struct libos_settings *s, const char *name, size_t len)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const char *key = s->values[i].key->name;

		if (!strncmp(key, name, len) && key[len] == '.')
			return true;
	}
	return false;
}

/* In a section whose backend is not in this library, or the original's alone. */
static bool is_skipped(const struct libos_settings *s, const char *name)
{
	size_t len = strcspn(name, ".");

	for (int i = 0; open_sections[i]; i++)
		if (!strncmp(name, open_sections[i], len) && !open_sections[i][len])
			return !is_section(s, name, len);
	for (int i = 0; unused_keys[i]; i++) {
		len = strlen(unused_keys[i]);
		if (!strncmp(name, unused_keys[i], len) && (!name[len] || name[len] == '.'))
			return true;
	}
	return false;
}

static int read_sequence(struct libos_settings *s, yaml_document_t *doc, yaml_node_t *node,
			 struct value *v)
{
	struct origin o = at_node(s, node);

	if (v->key->type != LIBOS_KEY_LIST)
		return complain(&o, "%s: takes one value, not a list", v->key->name);
	items_clear(v);
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(doc, *i);

		if (!is_text(item))
			return complain(&o, "%s: a list of plain words", v->key->name);
		if (item_add(v, scalar(item), strlen(scalar(item))))
			return ENOMEM;
	}
	v->given = true;
	return 0;
}

static int read_value(struct libos_settings *s, yaml_document_t *doc, yaml_node_t *node,
		      struct value *v)
{
	struct origin o = at_node(s, node);

	if (node->type == YAML_SEQUENCE_NODE)
		return read_sequence(s, doc, node, v);
	if (!is_text(node))
		return complain(&o, "%s: takes a plain value", v->key->name);
	v->given = true;
	return parse_value(v, scalar(node), &o);
}

static int read_section(struct libos_settings *s, yaml_document_t *doc, yaml_node_t *node,
			const char *name);

static int read_pair(struct libos_settings *s, yaml_document_t *doc, const char *prefix,
		     yaml_node_t *key, yaml_node_t *node)
{
	struct origin o = at_node(s, key);
	char name[160];
	struct value *v;

	if (++s->pairs > MAX_PAIRS)
		return complain(&o, "more than %u keys", MAX_PAIRS);
	if (!is_text(key) || !*scalar(key))
		return complain(&o, "a key is a plain word");
	if (snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", scalar(key)) >=
	    (int)sizeof(name))
		return complain(&o, "the key is too long");
	if (is_skipped(s, name))
		return 0;
	v = find(s, name);
	if (v && node->type == YAML_MAPPING_NODE)
		return complain(&o, "%s: takes a value, not keys of its own", name);
	if (v)
		return read_value(s, doc, node, v);
	/* no deeper than the keys, so an alias to what is around it ends */
	if (is_section(s, name, strlen(name)))
		return read_section(s, doc, node, name);
	return complain(&o, "unknown key \"%s\"; clowder.conf(5) lists them", name);
}

/* name: empty for the whole file */
static int read_section(struct libos_settings *s, yaml_document_t *doc, yaml_node_t *node,
			const char *name)
{
	struct origin o = at_node(s, node);

	if (is_null(node))
		return 0;
	if (node->type != YAML_MAPPING_NODE)
		return complain(&o, "%s%sexpected \"key: value\" lines", name, *name ? ": " : "");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		int err = read_pair(s, doc, name, yaml_document_get_node(doc, p->key),
				    yaml_document_get_node(doc, p->value));

		if (err)
			return err;
	}
	return 0;
}

/* *more_out: whether there was a document, and so may be another. */
static int read_document(struct libos_settings *s, yaml_parser_t *parser, bool first,
			 bool *more_out)
{
	struct origin o = { s->file, 0 };
	yaml_document_t doc;
	yaml_node_t *root;
	int err = 0;

	if (!yaml_parser_load(parser, &doc)) {
		o.line = parser->problem_mark.line + 1;
		return complain(&o, "not YAML: %s", parser->problem ? parser->problem : "unreadable");
	}
	root = yaml_document_get_root_node(&doc);
	*more_out = root != NULL;
	if (root && first) {
		err = read_section(s, &doc, root, "");
	} else if (root) {
		o.line = doc.start_mark.line + 1;
		err = complain(&o, "a second document; settings are all in one");
	}
	yaml_document_delete(&doc);
	return err;
}

static int read_file(struct libos_settings *s, const char *path)
{
	FILE *f = fopen(path, "re");
	yaml_parser_t parser;
	bool more = false;
	int err;

	if (!f) {
		err = errno;
		log_error("CONFIG_PATH: cannot read %s: %s", path, strerror(err));
		return err;
	}
	s->file = path;
	if (!yaml_parser_initialize(&parser)) {
		fclose(f);
		return ENOMEM;
	}
	yaml_parser_set_input_file(&parser, f);
	err = read_document(s, &parser, true, &more);
	if (!err && more)
		err = read_document(s, &parser, false, &more);
	yaml_parser_delete(&parser);
	fclose(f);
	return err;
}

/* ---- environment and defaults */

/* catnap.read_ahead -> CLOWDER_CATNAP_READ_AHEAD */
static const char *env_name(const struct libos_key *key, char *buf, size_t len)
{
	size_t n;

	if (key->env)
		return key->env;
	n = (size_t)snprintf(buf, len, "CLOWDER_%s", key->name);
	for (size_t i = 0; i < n && i < len; i++)
		buf[i] = (char)(isalnum((unsigned char)buf[i]) ? toupper((unsigned char)buf[i])
							       : '_');
	return buf;
}

static int read_environment(struct libos_settings *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct value *v = &s->values[i];
		char buf[128];
		struct origin o = { env_name(v->key, buf, sizeof(buf)), 0 };
		const char *text = getenv(o.name);
		int err;

		if (!text || !*text)
			continue;
		v->given = true;
		err = parse_value(v, text, &o);
		if (err)
			return err;
	}
	return 0;
}

static int add_table(struct libos_settings *s, const struct libos_key *table)
{
	for (const struct libos_key *key = table; key->name; key++) {
		struct value *values = realloc(s->values, (s->n + 1) * sizeof(*values));
		struct origin o = { "default", 0 };
		int err;

		if (!values)
			return ENOMEM;
		s->values = values;
		memset(&values[s->n], 0, sizeof(*values));
		values[s->n].key = key;
		s->n++;
		err = key->def ? parse_value(&values[s->n - 1], key->def, &o) : 0;
		if (err)
			return err;
	}
	return 0;
}

int libos_settings_load(const struct libos_key *const *tables,
			struct libos_settings **settings_out)
{
	struct libos_settings *s = calloc(1, sizeof(*s));
	const char *path = getenv("CONFIG_PATH");
	int err = 0;

	if (!s)
		return ENOMEM;
	for (int i = 0; tables[i] && !err; i++)
		err = add_table(s, tables[i]);
	if (!err && path && *path)
		err = read_file(s, path);
	if (!err)
		err = read_environment(s);
	s->file = NULL;
	if (err) {
		libos_settings_free(s);
		return err;
	}
	*settings_out = s;
	return 0;
}

void libos_settings_free(struct libos_settings *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		free(s->values[i].str);
		items_clear(&s->values[i]);
	}
	free(s->values);
	free(s);
}

int64_t libos_settings_int(const struct libos_settings *s, const char *name)
{
	return find(s, name)->num;
}

bool libos_settings_bool(const struct libos_settings *s, const char *name)
{
	return find(s, name)->num != 0;
}

int libos_settings_choice(const struct libos_settings *s, const char *name)
{
	return (int)find(s, name)->num;
}

const char *libos_settings_str(const struct libos_settings *s, const char *name)
{
	return find(s, name)->str;
}

uint32_t libos_settings_list(const struct libos_settings *s, const char *name,
			     const char *const **items_out)
{
	struct value *v = find(s, name);

	*items_out = (const char *const *)v->items;
	return v->n_items;
}

bool libos_settings_given(const struct libos_settings *s, const char *name)
{
	return find(s, name)->given;
}
