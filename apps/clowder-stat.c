/* clowder-stat: the counters of running Clowder programs, seen from outside. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/fail.h"
#include "apps/stat_file.h"
#include "apps/stat_print.h"

static const char help_text[] =
	"usage: clowder-stat [option ...] [PID]\n"
	"\n"
	"Prints the counters of every Clowder instance of a process; without PID, the\n"
	"processes that have any.\n"
	"\n"
	"  -c, --connections       the connections of a TCP in the process; all processes\n"
	"                          without PID\n"
	"  -w, --watch[=SECONDS]   again and again, with rates, every SECONDS (1)\n"
	"  -j, --json              for programs, one object on one line\n"
	"  -l, --list              the processes, also where PID is given\n"
	"  -h, --help    -V, --version\n";

struct options {
	uint32_t pid;		/* 0: all */
	bool json;
	bool list;
	bool conns;
	double watch_s;		/* 0: once */
};

static double parse_seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value) || value < 0.01 || value > 86400)
		fail_usage("--watch takes 0.01 to 86400 seconds, not '%s'", text);
	return value;
}

static uint32_t parse_pid(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || *text < '0' || *text > '9' || value < 1 || value > 999999999)
		fail_usage("not a process number: '%s'", text);
	return (uint32_t)value;
}

static bool is_number(const char *text)
{
	return text && *text && strspn(text, "0123456789.") == strlen(text);
}

static _Noreturn void print_and_leave(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) ? 1 : 0);
}

static void set_option(struct options *opt, int key, char *const *argv)
{
	switch (key) {
	case 'w':
		opt->watch_s = optarg ? parse_seconds(optarg) : 1;
		break;
	case 'c':
		opt->conns = true;
		break;
	case 'j':
		opt->json = true;
		break;
	case 'l':
		opt->list = true;
		break;
	case 'h':
		print_and_leave(help_text);
	case 'V':
		print_and_leave("clowder-stat " PACKAGE_VERSION "\n");
	default:
		fail_usage("no such option: '%s'", argv[optind - 1]);
	}
}

/* "PID", and what --watch left for us: "--watch 2 PID", "PID --watch 2". Then the
 * number next to --watch is its own, if another one is left for PID. */
static void parse_arguments(struct options *opt, int argc, char *const *argv, const char *after)
{
	for (int i = optind; i < argc; i++) {
		if (after && argv[i] == after && (argc - optind > 1 || opt->pid || opt->list)) {
			opt->watch_s = parse_seconds(after);
			continue;
		}
		if (opt->pid)
			fail_usage("one argument too many: '%s'", argv[i]);
		opt->pid = parse_pid(argv[i]);
	}
}

static void parse(struct options *opt, int argc, char **argv)
{
	static const struct option longs[] = {
		{"connections", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{"list", no_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'V'},
		{"watch", optional_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	const char *after_watch = NULL;
	int key;

	*opt = (struct options){0};
	opterr = 0;
	while ((key = getopt_long(argc, argv, "cw::jlhV", longs, NULL)) != -1) {
		set_option(opt, key, argv);
		if (key == 'w' && !optarg && is_number(argv[optind]))
			after_watch = argv[optind];
	}
	parse_arguments(opt, argc, argv, after_watch);
	if (!opt->pid)
		opt->list = true;
}

/* Why there is nothing to show, in one line. */
static _Noreturn void nothing(uint32_t pid, const struct stat_set *set)
{
	if (set->n_bad)
		exit(1); /* and that line is on stderr already */
	if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		fail("no such process: %u%s", pid,
		     set->n_stale ? " (it has left its counters behind)" : "");
	if (kill((pid_t)pid, 0) < 0)
		fail("process %u belongs to another user", pid);
	fail("process %u has no counters in %s", pid, stat_dir_path());
}

static void print(const struct options *opt, const struct stat_set *set,
		  const struct stat_set *before)
{
	if (opt->watch_s > 0 && !opt->json && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	else if (before && !opt->json)
		putchar('\n');
	if (opt->json)
		stat_print_json(set, before, opt->conns);
	else if (opt->conns)
		stat_print_conns(set);
	else if (opt->list)
		stat_print_list(set);
	else
		stat_print_counters(set, before);
	if (fflush(stdout) || ferror(stdout))
		fail("cannot write: %s", strerror(errno));
}

static void pause_for(double seconds)
{
	struct timespec ts = {.tv_sec = (time_t)seconds};

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

static void watch(const struct options *opt, struct stat_set *before)
{
	struct stat_set now;

	for (;;) {
		pause_for(opt->watch_s);
		stat_set_read(&now, opt->pid);
		if (opt->pid && now.n == 0)
			break;
		print(opt, &now, before);
		stat_set_free(before);
		*before = now;
	}
	stat_set_free(&now);
	fprintf(stderr, "clowder-stat: process %u has ended\n", opt->pid);
}

int main(int argc, char **argv)
{
	struct options opt;
	struct stat_set set;
	int status;

	parse(&opt, argc, argv);
	stat_set_read(&set, opt.pid);
	if (opt.pid && set.n == 0)
		nothing(opt.pid, &set);
	print(&opt, &set, NULL);
	if (opt.watch_s > 0)
		watch(&opt, &set);
	status = set.n_bad ? 1 : 0;
	stat_set_free(&set);
	return status;
}
