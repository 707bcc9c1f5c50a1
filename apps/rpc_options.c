#include "config.h"

#include "apps/rpc_options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <string.h>

#include "apps/fail.h"
#include "apps/option.h"

enum option_key {
	OPT_ADDR = 'a',
	OPT_PORT = 'p',
	OPT_PROTO = 'P',
	OPT_SIZE = 's',
	OPT_CONNECTIONS = 'c',
	OPT_INFLIGHT = 'i',
	OPT_DURATION = 'd',
	OPT_COUNT = 'n',
	OPT_JSON = 'j',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_LIBOS = 256,
	OPT_ONCE,
	OPT_TIMEOUT,
	OPT_WARMUP,
};

static const char short_options[] = ":a:p:P:s:c:i:d:n:jhV";
static const struct option long_options[] = {
	{"addr", required_argument, NULL, OPT_ADDR},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"count", required_argument, NULL, OPT_COUNT},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"help", no_argument, NULL, OPT_HELP},
	{"inflight", required_argument, NULL, OPT_INFLIGHT},
	{"json", no_argument, NULL, OPT_JSON},
	{"libos", required_argument, NULL, OPT_LIBOS},
	{"once", no_argument, NULL, OPT_ONCE},
	{"port", required_argument, NULL, OPT_PORT},
	{"proto", required_argument, NULL, OPT_PROTO},
	{"requests", required_argument, NULL, OPT_COUNT},
	{"size", required_argument, NULL, OPT_SIZE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"version", no_argument, NULL, OPT_VERSION},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"usage: clowder-rpc server|client [option ...]\n"
	"\n"
	"Measures requests and their answers over any Clowder backend. The server sends\n"
	"back what it gets; the client verifies every byte of every answer.\n"
	"\n"
	"both\n"
	"  -a, --addr ADDR         IPv4 address of the server (127.0.0.1)\n"
	"  -p, --port PORT         its port (7447); server: 0 takes a free one and says it\n"
	"  -P, --proto tcp|udp     (tcp)\n"
	"  -s, --size BYTES        of a message, K and M are understood (64)\n"
	"      --libos NAME        the backend, as LIBOS=NAME in the environment\n"
	"  -j, --json              results for programs, one object on one line\n"
	"  -h, --help    -V, --version\n"
	"client\n"
	"  -c, --connections N     (1)\n"
	"  -i, --inflight N        requests of one connection without an answer (1)\n"
	"  -d, --duration SECONDS  how long to send requests (2, or no limit with --count)\n"
	"  -n, --count N           how many requests, of all connections together\n"
	"      --warmup SECONDS    before that, requests that do not count (0)\n"
	"      --timeout MS        udp: a request without answer for so long is lost (250)\n"
	"server\n"
	"  -n, --requests N        ends after so many requests (of --size bytes with tcp)\n"
	"      --once              ends when its first clients have gone\n"
	"\n"
	"In two terminals:\n"
	"  LIBOS=catmem clowder-rpc server\n"
	"  LIBOS=catmem clowder-rpc client --duration 5\n";

const char *rpc_options_proto(const struct rpc_options *opt)
{
	return opt->udp ? "udp" : "tcp";
}

static void set_proto(struct rpc_options *opt, const char *text)
{
	if (strcasecmp(text, "udp") != 0 && strcasecmp(text, "tcp") != 0)
		fail_usage("--proto takes tcp or udp, not '%s'", text);
	opt->udp = strcasecmp(text, "udp") == 0;
}

static void set_option(struct rpc_options *opt, int key)
{
	switch (key) {
	case OPT_ADDR:
		option_addr("addr", optarg, &opt->addr.sin_addr);
		break;
	case OPT_PORT:
		opt->addr.sin_port = htons((uint16_t)option_number("port", optarg, 0, 65535));
		break;
	case OPT_PROTO:
		set_proto(opt, optarg);
		break;
	case OPT_SIZE:
		opt->size = (uint32_t)option_number("size", optarg, 1, RPC_MAX_SIZE);
		break;
	case OPT_CONNECTIONS:
		opt->connections =
			(uint32_t)option_number("connections", optarg, 1, RPC_MAX_CONNECTIONS);
		break;
	case OPT_INFLIGHT:
		opt->inflight = (uint32_t)option_number("inflight", optarg, 1, RPC_MAX_INFLIGHT);
		break;
	case OPT_DURATION:
		opt->duration_ns = option_seconds("duration", optarg, 0.001);
		break;
	case OPT_COUNT:
		opt->count = option_number("count", optarg, 1, UINT64_MAX - 1);
		break;
	case OPT_TIMEOUT:
		opt->timeout_ns = option_number("timeout", optarg, 1, 3600000) * 1000000;
		break;
	case OPT_WARMUP:
		opt->warmup_ns = option_seconds("warmup", optarg, 0);
		break;
	case OPT_LIBOS:
		option_libos(optarg);
		break;
	case OPT_ONCE:
		opt->once = true;
		break;
	case OPT_JSON:
		opt->json = true;
		break;
	case OPT_HELP:
		option_print(help_text);
	case OPT_VERSION:
		option_print("clowder-rpc " PACKAGE_VERSION "\n");
	}
}

static void set_command(struct rpc_options *opt, int argc, char *const *argv)
{
	if (optind == argc)
		fail_usage("say server or client");
	if (strcmp(argv[optind], "server") != 0 && strcmp(argv[optind], "client") != 0)
		fail_usage("neither server nor client: '%s'", argv[optind]);
	if (optind + 1 < argc)
		fail_usage("one argument too many: '%s'", argv[optind + 1]);
	opt->server = strcmp(argv[optind], "server") == 0;
}

/* What makes sense only in relation to something else. */
static void check_options(struct rpc_options *opt)
{
	if (!opt->server && opt->addr.sin_port == 0)
		fail_usage("a client cannot use port 0");
	if (opt->udp && (opt->size < RPC_MIN_DATAGRAM || opt->size > RPC_MAX_DATAGRAM))
		fail_usage("with udp --size takes %u to %u, not %u", RPC_MIN_DATAGRAM,
			   RPC_MAX_DATAGRAM, opt->size);
	if (opt->duration_ns == 0)
		opt->duration_ns = opt->count == UINT64_MAX ? UINT64_C(2000000000) : UINT64_MAX;
}

void rpc_options_parse(struct rpc_options *opt, int argc, char **argv)
{
	int key;

	*opt = (struct rpc_options){
		.addr = {
			.sin_family = AF_INET,
			.sin_port = htons(7447),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		},
		.size = 64,
		.connections = 1,
		.inflight = 1,
		.count = UINT64_MAX,
		.timeout_ns = UINT64_C(250000000),
	};
	opterr = 0;
	while ((key = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (key == '?' || key == ':')
			option_bad(key, argv);
		set_option(opt, key);
	}
	set_command(opt, argc, argv);
	check_options(opt);
}
