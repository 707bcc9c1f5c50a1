#include "config.h"

#include "libos/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "tests/unit/core.h"

static const char *const colours[] = { "red", "green", NULL };
static const struct libos_key keys[] = {
	{ .name = "t.int", .type = LIBOS_KEY_INT, .def = "7", .min = -5, .max = 1 << 20 },
	{ .name = "t.bool", .type = LIBOS_KEY_BOOL, .def = "no" },
	{ .name = "t.choice", .type = LIBOS_KEY_CHOICE, .def = "green", .choices = colours },
	{ .name = "t.string", .type = LIBOS_KEY_STRING },
	{ .name = "t.list", .type = LIBOS_KEY_LIST },
	{ .name = "t.deep.er", .type = LIBOS_KEY_INT, .def = "1", .max = 9 },
	{ .name = "t.addr", .type = LIBOS_KEY_IPV4 },
	{ .name = "t.own", .type = LIBOS_KEY_INT, .def = "1", .max = 9, .env = "OWN_NAME" },
	{ .name = NULL },
};
static const struct libos_key *const tables[] = { keys, NULL };

static struct libos_settings *s;
static const char *dir;

static int load(void *arg)
{
	(void)arg;
	return libos_settings_load(tables, &s);
}

static int load_core(void *arg)
{
	static const struct libos_key *const core[] = { libos_core_keys, keys, NULL };

	(void)arg;
	return libos_settings_load(core, &s);
}

static void write_config(const char *yaml)
{
	char path[128];
	FILE *file;

	dir = core_dir();
	snprintf(path, sizeof(path), "%s/c.yaml", dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(yaml, file);
	fclose(file);
	setenv("CONFIG_PATH", path, 1);
}

START_TEST(test_defaults)
{
	const char *const *items;

	ck_assert_int_eq(load(NULL), 0);
	ck_assert_int_eq(libos_settings_int(s, "t.int"), 7);
	ck_assert(!libos_settings_bool(s, "t.bool"));
	ck_assert_int_eq(libos_settings_choice(s, "t.choice"), 1);
	ck_assert_ptr_null(libos_settings_str(s, "t.string"));
	ck_assert_uint_eq(libos_settings_list(s, "t.list", &items), 0);
	ck_assert(!libos_settings_given(s, "t.int"));
	libos_settings_free(s);
}
END_TEST

START_TEST(test_file)
{
	const char *const *items;

	write_config("t:\n  int: 16K\n  bool: Yes\n  choice: red\n  string: a b\n"
		     "  addr: 10.0.0.7\n  list: [x, \"y z\", w]\n  deep:\n    er: 3\n");
	ck_assert_int_eq(load(NULL), 0);
	ck_assert_int_eq(libos_settings_int(s, "t.int"), 16384);
	ck_assert(libos_settings_bool(s, "t.bool"));
	ck_assert_int_eq(libos_settings_choice(s, "t.choice"), 0);
	ck_assert_str_eq(libos_settings_str(s, "t.string"), "a b");
	ck_assert_str_eq(libos_settings_str(s, "t.addr"), "10.0.0.7");
	ck_assert_uint_eq(libos_settings_list(s, "t.list", &items), 3);
	ck_assert_str_eq(items[1], "y z");
	ck_assert_ptr_null(items[3]);
	ck_assert_int_eq(libos_settings_int(s, "t.deep.er"), 3);
	ck_assert(libos_settings_given(s, "t.int"));
	ck_assert(!libos_settings_given(s, "t.own"));
	libos_settings_free(s);
}
END_TEST

/* The environment goes before the file; its list is split at spaces. */
START_TEST(test_environment)
{
	const char *const *items;

	write_config("t:\n  int: 5\n  list: [one]\n  own: 2\n");
	setenv("CLOWDER_T_INT", "6", 1);
	setenv("CLOWDER_T_LIST", "  a  b\tc ", 1);
	setenv("CLOWDER_T_DEEP_ER", "4", 1);
	setenv("OWN_NAME", "8", 1);
	setenv("CLOWDER_T_STRING", "", 1);
	ck_assert_int_eq(load(NULL), 0);
	ck_assert_int_eq(libos_settings_int(s, "t.int"), 6);
	ck_assert_int_eq(libos_settings_int(s, "t.deep.er"), 4);
	ck_assert_int_eq(libos_settings_int(s, "t.own"), 8);
	ck_assert_ptr_null(libos_settings_str(s, "t.string"));
	ck_assert_uint_eq(libos_settings_list(s, "t.list", &items), 3);
	ck_assert_str_eq(items[0], "a");
	ck_assert_str_eq(items[2], "c");
	libos_settings_free(s);
}
END_TEST

/* Words for a number, with the edge of its range on both sides. */
START_TEST(test_numbers)
{
	static const struct {
		const char *text;
		int err;
		int64_t value;
	} rows[] = {
		{ "-5", 0, -5 }, { "-6", EINVAL, 0 }, { "1048576", 0, 1 << 20 },
		{ "1048577", EINVAL, 0 }, { "1M", 0, 1 << 20 }, { "1m", 0, 1 << 20 },
		{ "1024K", 0, 1 << 20 }, { "1025K", EINVAL, 0 }, { "1G", EINVAL, 0 },
		{ "9223372036854775807G", EINVAL, 0 }, { "99999999999999999999", EINVAL, 0 },
		{ "1MB", EINVAL, 0 }, { "K", EINVAL, 0 }, { "1.5", EINVAL, 0 },
		{ "0x10", EINVAL, 0 }, { "5 ", EINVAL, 0 }, { "many", EINVAL, 0 },
	};
	char text[512];

	for (size_t i = 0; i < array_size(rows); i++) {
		setenv("CLOWDER_T_INT", rows[i].text, 1);
		ck_assert_msg(core_captured(load, NULL, text, sizeof(text)) == rows[i].err,
			      "\"%s\"", rows[i].text);
		if (rows[i].err) {
			ck_assert_ptr_nonnull(strstr(text, "CLOWDER_T_INT: "));
			continue;
		}
		ck_assert_int_eq(libos_settings_int(s, "t.int"), rows[i].value);
		libos_settings_free(s);
	}
}
END_TEST

/* Everything that may be wrong with a file: one line, with file, line and key. */
START_TEST(test_bad_file)
{
	static const struct {
		const char *yaml;
		const char *says[2];
	} rows[] = {
		{ "t:\n  int: x\n", { "c.yaml:2: ", "t.int" } },
		{ "t:\n  bool: maybe\n", { "c.yaml:2: ", "t.bool" } },
		{ "t:\n\n  choice: blue\n", { "c.yaml:3: ", "red, green" } },
		{ "t:\n  int: [1, 2]\n", { "c.yaml:2: ", "t.int" } },
		{ "t:\n  list: [[a]]\n", { "c.yaml:2: ", "t.list" } },
		{ "t:\n  nothing: 1\n", { "c.yaml:2: ", "\"t.nothing\"" } },
		{ "t:\n  int:\n    er: 1\n", { "c.yaml:2: ", "t.int" } },
		{ "u: 1\n", { "c.yaml:1: ", "\"u\"" } },
		{ "t: 1\n", { "c.yaml:1: t: ", "key: value" } },
		{ "t:\n  int:\n", { "c.yaml:", "t.int" } },
		{ "just words\n", { "c.yaml:1: ", "key: value" } },
		{ "[a]: 1\n", { "c.yaml:1: ", "plain word" } },
		{ "t:\n\tint: 1\n", { "c.yaml:2: ", "YAML" } },
		{ "t: {int: 1\n", { "c.yaml:2: ", "YAML" } },
		{ "t: &a\n  x: *a\n", { "c.yaml:2: ", "\"t.x\"" } },
		{ "t: &a\n  deep: *a\n", { "c.yaml:2: ", "\"t.deep.deep\"" } },
		{ "&a {\"\": *a}\n", { "c.yaml:1: ", "plain word" } },
		{ "u: {}\n", { "c.yaml:1: ", "\"u\"" } },
		{ "t:\n  int: {}\n", { "c.yaml:2: ", "t.int" } },
		{ "t:\n  deep: 1\n", { "c.yaml:2: ", "t.deep" } },
		{ "t:\n  deep: [er]\n", { "c.yaml:2: ", "t.deep" } },
		{ "t:\n  int: \"5\\0junk\"\n", { "c.yaml:2: ", "t.int" } },
		{ "t:\n  list: [\"a\\0b\"]\n", { "c.yaml:2: ", "t.list" } },
		{ "\"t\\0u\":\n  int: 1\n", { "c.yaml:1: ", "plain word" } },
		{ "t:\n  addr: banana\n", { "c.yaml:2: ", "t.addr" } },
		{ "t:\n  addr: 10.0.0.256\n", { "c.yaml:2: ", "t.addr" } },
		{ "t:\n  int: 1\n...\n---\nbogus: 1\n", { "c.yaml:4: ", "second document" } },
		{ "---\n---\nbogus: 1\n", { "c.yaml:2: ", "second document" } },
		{ "t:\n  int: 1\n...\n...\n{{{[[", { "c.yaml:", "YAML" } },
	};
	char text[1024];

	write_config(rows[_i].yaml);
	ck_assert_int_eq(core_captured(load, NULL, text, sizeof(text)), EINVAL);
	ck_assert_msg(strchr(text, '\n') && !strchr(text, '\n')[1], "not one line: %s", text);
	for (int i = 0; i < 2 && rows[_i].says[i]; i++)
		ck_assert_msg(strstr(text, rows[_i].says[i]), "no \"%s\" in: %s",
			      rows[_i].says[i], text);
}
END_TEST
#define N_BAD_FILES 29

/* A file of some lines whose aliases stand for more than anybody can read: not
 * looked at in an open section, and stopped elsewhere. */
START_TEST(test_aliases)
{
	char yaml[16384], text[512];
	size_t n = 0;

	n += (size_t)snprintf(yaml, sizeof(yaml), "catnip:\n a0: &a0 {x: 1}\n");
	for (int i = 1; i < 30; i++) {
		n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, " a%d: &a%d {", i, i);
		for (int k = 0; k < 10; k++)
			n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "k%d: *a%d, ", k, i - 1);
		n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "}\n");
	}
	write_config(yaml);
	ck_assert_int_eq(load(NULL), 0);
	libos_settings_free(s);

	n = (size_t)snprintf(yaml, sizeof(yaml), "t: &t {");
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "int: 1, ");
	n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "}\n");
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "t: *t\n");
	write_config(yaml);
	ck_assert_int_eq(core_captured(load, NULL, text, sizeof(text)), EINVAL);
	ck_assert_msg(strstr(text, "more than 10000 keys"), "said: %s", text);
}
END_TEST

START_TEST(test_no_file)
{
	char text[512];

	setenv("CONFIG_PATH", "/nonexistent/c.yaml", 1);
	ck_assert_int_eq(core_captured(load, NULL, text, sizeof(text)), ENOENT);
	ck_assert_ptr_nonnull(strstr(text, "/nonexistent/c.yaml"));
	setenv("CONFIG_PATH", "", 1);
	ck_assert_int_eq(load(NULL), 0);
	libos_settings_free(s);
}
END_TEST

static void accepted(const char *yaml)
{
	char text[512];

	write_config(yaml);
	ck_assert_msg(core_captured(load_core, NULL, text, sizeof(text)) == 0, "%s", text);
	ck_assert_str_eq(text, "");
	libos_settings_free(s);
}

START_TEST(test_open_sections)
{
	accepted("catnip:\n  anything: [1]\ncatloom: {a: {b: c}}\ncatmint:\n");
	accepted("wait:\nt: {}\npush: null\nexit: ~\ntcp_socket_options:\n  linger:\n");
	accepted("---\nt:\n  int: 1\n...\n");
	accepted("");
	accepted("---\n");
}
END_TEST

/* The configuration that the original comes with. */
START_TEST(test_original)
{
	accepted("demikernel:\n  local_ipv4_addr: 127.0.0.1\n"
		 "  local_link_addr: \"12:23:45:67:89:ab\"\n  local_interface_name: eth0\n"
		 "raw_socket:\n  linux_interface_name: abcde\n  xdp_tcp_ports: [80, 443]\n"
		 "dpdk:\n  eal_init: [\"\", \"-c\", \"0xff\", \"--proc-type=auto\"]\n"
		 "tcp_socket_options:\n  keepalive:\n    enabled: false\n    time_millis: 0\n"
		 "    interval: 0\n  linger:\n    enabled: true\n    time_seconds: 0\n"
		 "  nodelay: true\n"
		 "inetstack_config:\n  mtu: 1500\n  mss: 1500\n  enable_jumbo_frames: false\n"
		 "  udp_checksum_offload: false\n  tcp_checksum_offload: false\n"
		 "  arp_table:\n    \"12:23:45:67:89:ab\": \"127.0.0.1\"\n"
		 "  arp_request_retries: 2\n  arp_request_timeout: 1\n  arp_cache_ttl: 600\n");
}
END_TEST

/* A word that neither side knows is refused there as in our own sections. */
START_TEST(test_original_misspelt)
{
	static const char *const rows[][2] = {
		{ "demikernel:\n  local_ipv4_adr: 127.0.0.1\n", "demikernel.local_ipv4_adr" },
		{ "demikernel:\n  local_ipv4_addr: XX.XX.XX.XX\n", "demikernel.local_ipv4_addr" },
		{ "demikernel:\n  local_link_addrs: a\n", "demikernel.local_link_addrs" },
		{ "dpdk:\n  eal_inits: [a]\n", "dpdk.eal_inits" },
		{ "inetstack_config:\n  nss: 1500\n", "inetstack_config.nss" },
		{ "tcp_socket_options:\n  nodelayy: true\n", "tcp_socket_options.nodelayy" },
		{ "tcp_socket_options:\n  keepalive: 1\n", "tcp_socket_options.keepalive" },
		{ "bogus: {}\ntcp_socket_options: 7\n", "bogus" },
	};
	char text[512];

	for (size_t i = 0; i < array_size(rows); i++) {
		write_config(rows[i][0]);
		ck_assert_int_eq(core_captured(load_core, NULL, text, sizeof(text)), EINVAL);
		ck_assert_msg(strstr(text, "c.yaml:") && strstr(text, rows[i][1]), "no %s in: %s",
			      rows[i][1], text);
		ck_assert(strchr(text, '\n') && !strchr(text, '\n')[1]);
	}
}
END_TEST

Suite *settings_suite(void)
{
	Suite *suite = suite_create("settings");
	TCase *tc = tcase_create("settings");

	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_file);
	tcase_add_test(tc, test_environment);
	tcase_add_test(tc, test_numbers);
	tcase_add_loop_test(tc, test_bad_file, 0, N_BAD_FILES);
	tcase_add_test(tc, test_aliases);
	tcase_add_test(tc, test_no_file);
	tcase_add_test(tc, test_open_sections);
	tcase_add_test(tc, test_original);
	tcase_add_test(tc, test_original_misspelt);
	suite_add_tcase(suite, tc);
	return suite;
}
