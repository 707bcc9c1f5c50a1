#include "config.h"

#include "apps/get_options.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apps/fail.h"
#include "apps/option.h"

enum option_key {
	OPT_COUNT = 'n',
	OPT_CONNECTIONS = 'c',
	OPT_PIPELINE = 'i',
	OPT_RANGE = 'r',
	OPT_OUTPUT = 'o',
	OPT_HASH = 's',
	OPT_HEAD = 'I',
	OPT_TIMEOUT = 't',
	OPT_JSON = 'j',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_LIBOS = 256,
	OPT_CLOSE,
};

static const char short_options[] = ":n:c:i:r:o:sIt:jhV";
static const struct option long_options[] = {
	{"close", no_argument, NULL, OPT_CLOSE},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"count", required_argument, NULL, OPT_COUNT},
	{"hash", no_argument, NULL, OPT_HASH},
	{"head", no_argument, NULL, OPT_HEAD},
	{"help", no_argument, NULL, OPT_HELP},
	{"json", no_argument, NULL, OPT_JSON},
	{"libos", required_argument, NULL, OPT_LIBOS},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"pipeline", required_argument, NULL, OPT_PIPELINE},
	{"range", required_argument, NULL, OPT_RANGE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"usage: clowder-get [option ...] http://HOST[:PORT]/PATH\n"
	"\n"
	"Fetches a file by HTTP/1.1, over any Clowder backend, once or many times.\n"
	"\n"
	"  -o, --output FILE       for the body (standard output)\n"
	"  -s, --hash              its SHA-256 instead, as sha256sum prints it\n"
	"  -r, --range FIRST-LAST  these bytes only; FIRST-, and -N for the last N\n"
	"  -I, --head              the head only, which is printed\n"
	"  -n, --count N           requests, whose answers all have to be the same (1)\n"
	"  -c, --connections N     that share them (1)\n"
	"  -i, --pipeline N        requests of one connection without an answer (1)\n"
	"      --close             a new connection for each request\n"
	"  -t, --timeout SECONDS   without a byte, and it fails (10)\n"
	"      --libos NAME        the backend, as LIBOS=NAME in the environment\n"
	"  -j, --json              results for programs, one object on one line\n"
	"  -h, --help    -V, --version\n";

static void set_option(struct get_options *opt, int key)
{
	switch (key) {
	case OPT_COUNT:
		opt->count = option_number("count", optarg, 1, UINT64_C(1) << 40);
		break;
	case OPT_CONNECTIONS:
		opt->connections = (uint32_t)option_number("connections", optarg, 1, 10000);
		break;
	case OPT_PIPELINE:
		opt->pipeline = (uint32_t)option_number("pipeline", optarg, 1, 1000);
		break;
	case OPT_RANGE:
		opt->range = optarg;
		break;
	case OPT_OUTPUT:
		opt->output = optarg;
		break;
	case OPT_TIMEOUT:
		opt->timeout_ns = option_seconds("timeout", optarg, 0.001);
		break;
	case OPT_LIBOS:
		option_libos(optarg);
		break;
	case OPT_HASH:
		opt->hash = true;
		break;
	case OPT_HEAD:
		opt->head = true;
		break;
	case OPT_CLOSE:
		opt->close = true;
		break;
	case OPT_JSON:
		opt->json = true;
		break;
	case OPT_HELP:
		option_print(help_text);
	case OPT_VERSION:
		option_print("clowder-get " PACKAGE_VERSION "\n");
	}
}

/* Its address, by the system's resolver: asked once, before anything is sent. */
static void resolve(struct get_options *opt, const char *name, const char *port)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int err = getaddrinfo(name, NULL, &hints, &found);

	if (err)
		fail("%s: %s", name, gai_strerror(err));
	memcpy(&opt->addr, found->ai_addr, sizeof(opt->addr));
	freeaddrinfo(found);
	opt->addr.sin_port = htons((uint16_t)(port ? option_number("port", port, 1, 65535) : 80));
}

static void check_chars(const char *text, const char *what)
{
	for (; *text; text++)
		if (*text <= ' ' || *text == 0x7f)
			fail_usage("%s: a space or another character that cannot be there", what);
}

/* http://name[:port]/path: RFC 9110 4.2.1, without IPv6 addresses. */
static void parse_url(struct get_options *opt)
{
	const char *rest = opt->url + 7;
	size_t len = strlen(opt->url) < 7 ? 0 : strcspn(rest, "/?#");
	char *name, *port;

	if (strncasecmp(opt->url, "http://", 7) != 0 || len == 0 || memchr(rest, '@', len))
		fail_usage("not an http://HOST[:PORT]/PATH: '%s'", opt->url);
	check_chars(opt->url, opt->url);
	opt->host = strndup(rest, len);
	name = strndup(rest, len);
	if (!opt->host || !name)
		fail("no memory");
	if (rest[len] == '?')
		fail_usage("a '/' is missing before the '?': '%s'", opt->url);
	opt->path = rest[len] == '/' ? rest + len : "/";
	if (strchr(opt->url, '#'))
		fail_usage("a '#' and what follows is not for servers: '%s'", opt->url);
	port = strchr(name, ':');
	if (port)
		*port++ = '\0';
	resolve(opt, name, port);
	free(name);
}

static void check_options(const struct get_options *opt)
{
	if (opt->range)
		check_chars(opt->range, "--range");
	if (opt->output && opt->count > 1)
		fail_usage("--output has room for one answer, not for %llu",
			   (unsigned long long)opt->count);
}

void get_options_parse(struct get_options *opt, int argc, char **argv)
{
	int key;

	*opt = (struct get_options){
		.count = 1,
		.connections = 1,
		.pipeline = 1,
		.timeout_ns = UINT64_C(10000000000),
	};
	opterr = 0;
	while ((key = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (key == '?' || key == ':')
			option_bad(key, argv);
		set_option(opt, key);
	}
	if (optind == argc)
		fail_usage("say what to get");
	if (optind + 1 < argc)
		fail_usage("one argument too many: '%s'", argv[optind + 1]);
	opt->url = argv[optind];
	check_options(opt);
	parse_url(opt);
	if (opt->connections > opt->count)
		opt->connections = (uint32_t)opt->count;
	if (opt->close)
		opt->pipeline = 1;
}
