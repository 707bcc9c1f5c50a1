#include "config.h"

#include "apps/rpc_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/fail.h"

static double per_second(uint64_t n, uint64_t ns)
{
	return ns ? (double)n * 1e9 / (double)ns : 0;
}

static double percentile_us(const struct rpc_result *res, double p)
{
	return (double)histogram_percentile(res->latency, p) / 1e3;
}

static const char *libos_name(void)
{
	const char *name = getenv("LIBOS");

	return name && *name ? name : "default";
}

static void print_json(json_t *obj)
{
	if (!obj || json_dumpf(obj, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)))
		fail("cannot write the result");
	json_decref(obj);
	putchar('\n');
}

static void finish_stdout(void)
{
	if (fflush(stdout) || ferror(stdout))
		fail("cannot write the result");
}

/* The keys are shared with bench/floors/sockrpc. */
static void client_json(const struct rpc_options *opt, const struct rpc_result *res)
{
	print_json(json_pack(
		"{s:s, s:s, s:i, s:i, s:i, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
		"libos", libos_name(), "proto", rpc_options_proto(opt), "size", (int)opt->size,
		"connections", (int)opt->connections, "inflight", (int)opt->inflight, "seconds",
		(double)res->elapsed_ns / 1e9, "requests", (json_int_t)res->requests, "errors",
		(json_int_t)res->lost, "late", (json_int_t)res->late, "rps",
		per_second(res->requests, res->elapsed_ns), "p50_us", percentile_us(res, 0.5),
		"p90_us", percentile_us(res, 0.9), "p99_us", percentile_us(res, 0.99), "p999_us",
		percentile_us(res, 0.999), "max_us", (double)res->latency->max_ns / 1e3));
}

static void client_text(const struct rpc_options *opt, const struct rpc_result *res)
{
	printf("%s, %u B, %u connection%s, %u in flight: %" PRIu64 " requests in %.2f s\n",
	       rpc_options_proto(opt), opt->size, opt->connections,
	       opt->connections == 1 ? "" : "s", opt->inflight, res->requests,
	       (double)res->elapsed_ns / 1e9);
	printf("requests/s  %.0f\n", per_second(res->requests, res->elapsed_ns));
	printf("latency us  p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f\n",
	       percentile_us(res, 0.5), percentile_us(res, 0.9), percentile_us(res, 0.99),
	       percentile_us(res, 0.999), (double)res->latency->max_ns / 1e3);
	if (opt->udp)
		printf("lost        %" PRIu64 " (answers that came late: %" PRIu64 ")\n",
		       res->lost, res->late);
}

void rpc_report_client(const struct rpc_options *opt, const struct rpc_result *res)
{
	if (opt->json)
		client_json(opt, res);
	else
		client_text(opt, res);
	finish_stdout();
}

void rpc_report_server(const struct rpc_options *opt, uint64_t requests, uint64_t bytes,
		       uint64_t connections)
{
	if (opt->json)
		print_json(json_pack("{s:s, s:s, s:i, s:I, s:I, s:I}", "libos", libos_name(),
				     "proto", rpc_options_proto(opt), "size", (int)opt->size,
				     "requests", (json_int_t)requests, "bytes",
				     (json_int_t)bytes, "connections",
				     (json_int_t)connections));
	else
		printf("served %" PRIu64 " requests, %" PRIu64 " bytes, %" PRIu64
		       " connection%s\n",
		       requests, bytes, connections, connections == 1 ? "" : "s");
	finish_stdout();
}

static bool progress_shown;

void rpc_progress_clear(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

void rpc_progress(const struct rpc_options *opt, uint64_t requests, uint64_t elapsed_ns)
{
	double rate = per_second(requests, elapsed_ns);
	double left = 1e18;

	if (!isatty(STDERR_FILENO))
		return;
	if (opt->duration_ns != UINT64_MAX && opt->duration_ns > elapsed_ns)
		left = (double)(opt->duration_ns - elapsed_ns) / 1e9;
	if (opt->count != UINT64_MAX && rate > 0 && (double)(opt->count - requests) / rate < left)
		left = (double)(opt->count - requests) / rate;
	fprintf(stderr, "\r%" PRIu64 " requests, %.0f/s", requests, rate);
	if (left < 1e9)
		fprintf(stderr, ", %.0f s left", left);
	fputs("\033[K", stderr);
	progress_shown = true;
}
