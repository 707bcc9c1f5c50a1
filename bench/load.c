#include "config.h"

#include "bench/load.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"

#define NUMBER_SIZE sizeof(uint64_t)
#define PATTERN_STARTS 256u

static const char usage_text[] =
	" server|client [options]\n"
	"  --proto tcp|udp       (tcp)\n"
	"  --addr ADDRESS        IPv4 address of the server (127.0.0.1)\n"
	"  --port PORT           (7070)\n"
	"  --size BYTES          of a request and of its answer (64)\n"
	"  --connections N       client: connections, or UDP sockets (1)\n"
	"  --inflight N          client: requests under way on each (1)\n"
	"  --duration SECONDS    client: how long (1); a tenth of it more is warm-up\n"
	"  --loop spin|block|spin-block\n"
	"                        how to wait: spin-block spins for 50 us first (default)\n"
	"  --cpu N               pin to a core\n"
	"  --json                client: figures as one JSON object\n";

static double number_of(const char *name, const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (*end || end == text || !(v >= min && v <= max))
		errx(2, "--%s: %s is not a number from %.10g to %.10g", name, text, min, max);
	return v;
}

static int choice_of(const char *name, const char *text, const char *const *choices)
{
	for (int i = 0; choices[i]; i++)
		if (!strcmp(text, choices[i]))
			return i;
	errx(2, "--%s: cannot be %s", name, text);
}

static void set_option(struct load_opts *opts, int c, const char *name, const char *text)
{
	static const char *const protos[] = { "tcp", "udp", NULL };
	static const char *const loops[] = { "spin", "block", "spin-block", NULL };

	switch (c) {
	case 'P':
		opts->udp = choice_of(name, text, protos);
		break;
	case 'a':
		if (inet_pton(AF_INET, text, &opts->addr.sin_addr) != 1)
			errx(2, "--addr: %s is not an IPv4 address", text);
		break;
	case 'p':
		opts->addr.sin_port = htons((uint16_t)number_of(name, text, 0, 65535));
		break;
	case 's':
		opts->size = (uint32_t)number_of(name, text, LOAD_MIN_SIZE, 1 << 20);
		break;
	case 'c':
		opts->connections = (uint32_t)number_of(name, text, 1, 100000);
		break;
	case 'i':
		opts->inflight = (uint32_t)number_of(name, text, 1, 65536);
		break;
	case 'd':
		opts->seconds = number_of(name, text, 0.01, 86400);
		break;
	case 'l':
		opts->loop = (enum load_loop)choice_of(name, text, loops);
		break;
	case 'C':
		opts->cpu = (int)number_of(name, text, 0, 4095);
		break;
	}
}

static void set_defaults(struct load_opts *opts)
{
	*opts = (struct load_opts){
		.addr = { .sin_family = AF_INET, .sin_port = htons(7070),
			  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.size = 64, .connections = 1, .inflight = 1, .seconds = 1,
		.loop = LOAD_SPIN_BLOCK, .cpu = -1,
	};
}

static const struct option long_options[] = {
	{ "proto", required_argument, NULL, 'P' },
	{ "addr", required_argument, NULL, 'a' },
	{ "port", required_argument, NULL, 'p' },
	{ "size", required_argument, NULL, 's' },
	{ "connections", required_argument, NULL, 'c' },
	{ "inflight", required_argument, NULL, 'i' },
	{ "duration", required_argument, NULL, 'd' },
	{ "loop", required_argument, NULL, 'l' },
	{ "cpu", required_argument, NULL, 'C' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

void load_options(struct load_opts *opts, int argc, char **argv, const char *about)
{
	int c, at;

	set_defaults(opts);
	while ((c = getopt_long(argc, argv, "", long_options, &at)) != -1) {
		if (c == 'h') {
			printf("%s\n\n%s%s", about, program_invocation_short_name, usage_text);
			exit(0);
		}
		if (c == '?')
			exit(2);
		if (c == 'j')
			opts->json = true;
		else
			set_option(opts, c, long_options[at].name, optarg);
	}
	if (optind != argc - 1)
		errx(2, "say server or client; --help tells more");
	if (strcmp(argv[optind], "server") && strcmp(argv[optind], "client"))
		errx(2, "%s is neither server nor client", argv[optind]);
	opts->client = argv[optind][0] == 'c';
	if (opts->udp && opts->size > LOAD_MAX_DGRAM)
		errx(2, "--size: a datagram holds at most %u bytes", LOAD_MAX_DGRAM);
}

void load_start(struct load *load, const struct load_opts *opts, uint64_t now)
{
	memset(load, 0, sizeof(*load));
	load->opts = *opts;
	load->pattern = malloc(opts->size + PATTERN_STARTS);
	if (!load->pattern)
		err(1, "malloc");
	for (uint32_t i = 0; i < opts->size + PATTERN_STARTS; i++)
		load->pattern[i] = (uint8_t)((i * 2654435761u) >> 24);
	load->begin_ns = now + (uint64_t)(opts->seconds * 1e8);
	load->end_ns = load->begin_ns + (uint64_t)(opts->seconds * 1e9);
}

void load_conn_init(const struct load *load, struct load_conn *conn)
{
	conn->next_in = 0;
	conn->in_at = 0;
	conn->slots = calloc(load->opts.inflight, sizeof(*conn->slots));
	if (!conn->slots)
		err(1, "calloc");
}

void load_conn_fini(struct load_conn *conn)
{
	free(conn->slots);
}

static struct load_slot *slot_of(const struct load *load, struct load_conn *conn, uint64_t number)
{
	uint32_t inflight = load->opts.inflight;

	return &conn->slots[inflight == 1 ? 0 : number % inflight];
}

static const uint8_t *pattern_of(const struct load *load, uint64_t number)
{
	return load->pattern + number % PATTERN_STARTS;
}

void load_request(struct load *load, struct load_conn *conn, uint8_t *buf, uint64_t number,
		  uint64_t now)
{
	struct load_slot *slot = slot_of(load, conn, number);

	memcpy(buf, &number, NUMBER_SIZE);
	memcpy(buf + NUMBER_SIZE, pattern_of(load, number), load->opts.size - NUMBER_SIZE);
	slot->number = number;
	slot->sent_ns = now;
}

/* Whether data is what stands at offset `at` of message `number`. */
static bool matches(const struct load *load, uint64_t number, uint32_t at, const uint8_t *data,
		    size_t len)
{
	if (at < NUMBER_SIZE) {
		size_t n = len < NUMBER_SIZE - at ? len : NUMBER_SIZE - at;

		if (memcmp(data, (const uint8_t *)&number + at, n))
			return false;
		at += (uint32_t)n;
		data += n;
		len -= n;
	}
	return !len || !memcmp(data, pattern_of(load, number) + at - NUMBER_SIZE, len);
}

static void answered(struct load *load, const struct load_slot *slot, uint64_t now)
{
	if (slot->sent_ns < load->begin_ns || now >= load->end_ns)
		return;
	load->requests++;
	hist_add(&load->hist, now - slot->sent_ns);
}

uint32_t load_stream(struct load *load, struct load_conn *conn, const uint8_t *data, size_t len,
		     uint64_t now, uint64_t *first_out)
{
	uint32_t finished = 0;

	*first_out = conn->next_in;
	while (len) {
		uint32_t left = load->opts.size - conn->in_at;
		uint32_t n = len < left ? (uint32_t)len : left;

		if (!matches(load, conn->next_in, conn->in_at, data, n))
			load->errors++;
		data += n;
		len -= n;
		conn->in_at += n;
		if (n < left)
			break;
		answered(load, slot_of(load, conn, conn->next_in), now);
		conn->next_in++;
		conn->in_at = 0;
		finished++;
	}
	return finished;
}

bool load_datagram(struct load *load, struct load_conn *conn, const uint8_t *data, size_t len,
		   uint64_t now, uint64_t *number_out)
{
	struct load_slot *slot;
	uint64_t number;

	if (len != load->opts.size) {
		load->errors++;
		return false;
	}
	memcpy(&number, data, NUMBER_SIZE);
	slot = slot_of(load, conn, number);
	if (slot->number != number)
		return false; /* late: it was given up, and counted */
	if (!matches(load, number, 0, data, len))
		load->errors++;
	answered(load, slot, now);
	*number_out = number;
	return true;
}

bool load_lost(struct load *load, struct load_conn *conn, uint64_t now, uint64_t *number_out)
{
	for (uint32_t i = 0; i < load->opts.inflight; i++) {
		struct load_slot *slot = &conn->slots[i];

		if (now < slot->sent_ns + LOAD_LOST_NS)
			continue;
		load->errors++;
		*number_out = slot->number;
		return true;
	}
	return false;
}

static void print_json(const struct load *load, double p50, double p90, double p99, double p999)
{
	const struct load_opts *o = &load->opts;

	printf("{\"proto\":\"%s\",\"size\":%u,\"connections\":%u,\"inflight\":%u,"
	       "\"seconds\":%.3f,\"requests\":%llu,\"errors\":%llu,\"rps\":%.0f,"
	       "\"p50_us\":%.3f,\"p90_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,"
	       "\"max_us\":%.3f}\n",
	       o->udp ? "udp" : "tcp", o->size, o->connections, o->inflight, o->seconds,
	       (unsigned long long)load->requests, (unsigned long long)load->errors,
	       (double)load->requests / o->seconds, p50, p90, p99, p999,
	       (double)load->hist.max / 1e3);
}

int load_report(const struct load *load)
{
	double p50 = hist_quantile(&load->hist, 0.5) / 1e3;
	double p90 = hist_quantile(&load->hist, 0.9) / 1e3;
	double p99 = hist_quantile(&load->hist, 0.99) / 1e3;
	double p999 = hist_quantile(&load->hist, 0.999) / 1e3;

	if (load->opts.json)
		print_json(load, p50, p90, p99, p999);
	else
		printf("%.0f requests/s, %llu errors; p50 %.2f us, p90 %.2f, p99 %.2f, "
		       "p99.9 %.2f, max %.2f\n",
		       (double)load->requests / load->opts.seconds,
		       (unsigned long long)load->errors, p50, p90, p99, p999,
		       (double)load->hist.max / 1e3);
	return load->errors || !load->requests;
}
