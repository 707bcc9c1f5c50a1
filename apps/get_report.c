#include "config.h"

#include "apps/get_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "apps/fail.h"
#include "apps/json.h"

static void print_json(const struct get_result *res)
{
	const struct json_item items[] = {
		{"status", (uint64_t)res->status, NULL},
		{"requests", res->requests, NULL},
		{"body", res->body, NULL},
		{"bytes", res->body * res->requests, NULL},
		{"connects", res->connects, NULL},
		{"repeats", res->repeats, NULL},
		{"elapsed_us", res->elapsed_ns / 1000, NULL},
		{"sha256", 0, res->sha256},
	};

	json_print(items, sizeof(items) / sizeof(items[0]));
}

static void print_summary(const struct get_result *res)
{
	double seconds = (double)res->elapsed_ns / 1e9;

	fprintf(stderr,
		"%" PRIu64 " answers of %" PRIu64 " bytes, all the same, in %.2f s:"
		" %.0f/s, %.1f MB/s\n",
		res->requests, res->body, seconds, (double)res->requests / seconds,
		(double)res->requests * (double)res->body / seconds / 1e6);
}

void get_report(const struct get_options *opt, const struct get_result *res)
{
	if (opt->hash && !opt->json)
		printf("%s  %s\n", res->sha256, opt->url);
	if (opt->json)
		print_json(res);
	else if (opt->count > 1)
		print_summary(res);
	if (fflush(stdout) || ferror(stdout))
		fail("cannot write the result");
}
