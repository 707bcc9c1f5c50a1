#include "config.h"

#include "apps/http_options.h"

#include <getopt.h>

#include "apps/fail.h"
#include "apps/option.h"

enum option_key {
	OPT_ROOT = 'r',
	OPT_ADDRESS = 'a',
	OPT_PORT = 'p',
	OPT_CACHE = 's',
	OPT_CONNECTIONS = 'c',
	OPT_TIMEOUT = 't',
	OPT_QUIET = 'q',
	OPT_JSON = 'j',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_LIBOS = 256,
};

static const char short_options[] = ":r:a:p:s:c:t:qjhV";
static const struct option long_options[] = {
	{"address", required_argument, NULL, OPT_ADDRESS},
	{"cache", required_argument, NULL, OPT_CACHE},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"help", no_argument, NULL, OPT_HELP},
	{"json", no_argument, NULL, OPT_JSON},
	{"libos", required_argument, NULL, OPT_LIBOS},
	{"port", required_argument, NULL, OPT_PORT},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"root", required_argument, NULL, OPT_ROOT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"usage: clowder-http [option ...]\n"
	"\n"
	"Serves the files of a directory by HTTP/1.1, over any Clowder backend.\n"
	"\n"
	"  -r, --root DIR          the directory (.)\n"
	"  -a, --address ADDR      IPv4 address to listen on (127.0.0.1)\n"
	"  -p, --port PORT         its port (8080); 0 takes a free one and says it\n"
	"  -s, --cache BYTES       of files kept in memory, K and M are understood (64M)\n"
	"  -c, --connections N     at once; more have to wait (10000)\n"
	"  -t, --timeout SECONDS   for a client to be idle, to send the head of a request,\n"
	"                          to take the next 256K of an answer (30)\n"
	"      --libos NAME        the backend, as LIBOS=NAME in the environment\n"
	"  -j, --json              at the end, what was served, one object on one line\n"
	"  -q, --quiet             no word but errors, and what --json asks for\n"
	"  -h, --help    -V, --version\n"
	"\n"
	"SIGINT and SIGTERM end it, once the answers that are under way have left.\n";

static void set_option(struct http_options *opt, int key)
{
	switch (key) {
	case OPT_ROOT:
		opt->root = optarg;
		break;
	case OPT_ADDRESS:
		option_addr("address", optarg, &opt->addr.sin_addr);
		break;
	case OPT_PORT:
		opt->addr.sin_port = htons((uint16_t)option_number("port", optarg, 0, 65535));
		break;
	case OPT_CACHE:
		opt->cache = option_number("cache", optarg, 0, UINT64_C(1) << 50);
		break;
	case OPT_CONNECTIONS:
		opt->connections = (uint32_t)option_number("connections", optarg, 1, 1000000);
		break;
	case OPT_TIMEOUT:
		opt->timeout_ns = option_seconds("timeout", optarg, 0.1);
		break;
	case OPT_LIBOS:
		option_libos(optarg);
		break;
	case OPT_QUIET:
		opt->quiet = true;
		break;
	case OPT_JSON:
		opt->json = true;
		break;
	case OPT_HELP:
		option_print(help_text);
	case OPT_VERSION:
		option_print("clowder-http " PACKAGE_VERSION "\n");
	}
}

void http_options_parse(struct http_options *opt, int argc, char **argv)
{
	int key;

	*opt = (struct http_options){
		.root = ".",
		.addr = {
			.sin_family = AF_INET,
			.sin_port = htons(8080),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		},
		.cache = UINT64_C(64) << 20,
		.timeout_ns = UINT64_C(30000000000),
		.connections = 10000,
	};
	opterr = 0;
	while ((key = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (key == '?' || key == ':')
			option_bad(key, argv);
		set_option(opt, key);
	}
	if (optind < argc)
		fail_usage("one argument too many: '%s'", argv[optind]);
}
