#include "config.h"

#include "bench/ends.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/cpu.h"

#define MAX_OPTIONS 16

static const char *const protos[] = { "tcp", "udp", NULL };

static uint32_t word_of(const struct ends_option *o, const char *text)
{
	for (uint32_t i = 0; o->words[i]; i++)
		if (!strcmp(o->words[i], text))
			return i;
	errx(2, "--%s: cannot be %s", o->name, text);
}

static uint32_t number_of(const struct ends_option *o, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || v < o->min || v > o->max)
		errx(2, "--%s: %s is not a number from %u to %u", o->name, text, o->min, o->max);
	return (uint32_t)v;
}

static void show(const struct ends_option *o)
{
	if (!o->words) {
		printf("  --%-12s %u to %u (%u)\n", o->name, o->min, o->max, *o->value);
		return;
	}
	printf("  --%-12s", o->name);
	for (uint32_t i = 0; o->words[i]; i++)
		printf(" %s%s", o->words[i], i == *o->value ? " (so without it)" : "");
	printf("\n");
}

static void help(const struct ends_option *all)
{
	printf("%s server|client [options]\n  --addr         of the server (127.0.0.1)\n"
	       "  --cpu          core to be pinned to\n", program_invocation_short_name);
	for (; all->name; all++)
		show(all);
	exit(0);
}

static void set(struct ends *ends, const struct ends_option *o, const char *name,
		const char *text)
{
	static const struct ends_option cpu = { .name = "cpu", .max = 4095 };

	if (o)
		*o->value = o->words ? word_of(o, text) : number_of(o, text);
	else if (!strcmp(name, "cpu"))
		ends->cpu = (int)number_of(&cpu, text);
	else if (inet_pton(AF_INET, text, &ends->addr.sin_addr) != 1)
		errx(2, "--addr: %s is not an IPv4 address", text);
}

static void parse(struct ends *ends, const struct ends_option *all, int argc, char **argv)
{
	struct option longs[MAX_OPTIONS] = { { "addr", required_argument, NULL, 'a' },
					     { "cpu", required_argument, NULL, 'c' },
					     { "help", no_argument, NULL, 'h' } };
	int c, at, n = 3;

	for (const struct ends_option *o = all; o->name && n < MAX_OPTIONS - 1; o++)
		longs[n++] = (struct option){ o->name, required_argument, NULL, 'o' };
	while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (c == 'h')
			help(all);
		if (c == '?')
			exit(2);
		set(ends, c == 'o' ? &all[at - 3] : NULL, longs[at].name, optarg);
	}
}

void ends_options(struct ends *ends, const struct ends_option *options, int argc, char **argv)
{
	struct ends_option all[MAX_OPTIONS] = { { 0 } };
	uint32_t port = 7070, udp = 0, n = 0;

	*ends = (struct ends){ .cpu = -1, .addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	all[n++] = (struct ends_option){ "port", &port, 0, 65535, NULL };
	all[n++] = (struct ends_option){ "proto", &udp, 0, 0, protos };
	while (options && options->name && n < MAX_OPTIONS - 1)
		all[n++] = *options++;
	parse(ends, all, argc, argv);
	if (optind >= argc || (optind != argc - 1 && strcmp(argv[optind - 1], "--")) ||
	    (strcmp(argv[optind], "server") && strcmp(argv[optind], "client")))
		errx(2, "say server or client; --help tells more");
	ends->client = argv[optind][0] == 'c';
	ends->udp = udp;
	ends->rest = argv + optind + 1;
	ends->addr.sin_port = htons((uint16_t)port);
	cpu_pin(ends->cpu);
}

void ends_listening(const struct sockaddr_in *addr)
{
	printf("listening on %s:%u\n", inet_ntoa(addr->sin_addr), ntohs(addr->sin_port));
	fflush(stdout);
}

void ends_raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}
