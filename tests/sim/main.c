/* The command: which seeds, in how many processes, and what came of them. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/sim/world.h"

#define JOBS_MOST 64u
#define FAILED_MOST 1000u
#define SEED_SECONDS 120u	/* of the processor, for one seed */
#define BLOCK 100u		/* seeds in one line of TAP */

struct options {
	uint64_t first, last;
	unsigned jobs, seconds;
	bool trace, verbose, tap, stop;
};

/* What the processes share: one worker a slot. */
struct shared {
	_Atomic uint64_t next;
	_Atomic bool stop;
	struct {
		uint64_t seed;	/* the one it is at */
		uint64_t n;
		struct tally sum;
	} slots[JOBS_MOST];
};

struct run {
	const struct options *o;
	struct shared *shared;
	pid_t pids[JOBS_MOST];
	uint64_t failed[FAILED_MOST];
	uint32_t n_failed;
	uint64_t began, told;
};

static const char usage[] =
	"usage: tests/sim/sim [OPTION...]\n"
	"Runs networks of our TCP/IP stacks in virtual time, one for each seed, and checks\n"
	"every byte, every operation and every reference in them.\n"
	"  --seed S      one seed, in this process\n"
	"  --seeds A-B   all from A to B (default: 1-2000)\n"
	"  --count N     the seeds 1 to N\n"
	"  --from S      with --seconds: the first seed\n"
	"  --seconds N   as many as the time allows, in order\n"
	"  --jobs N      processes (default: as many as there are cores)\n"
	"  --stop        at the first failure\n"
	"  --trace       print every packet and what the programs do (with --seed)\n"
	"  --verbose     print a line for each seed\n"
	"  --tap         print the outcome as TAP, a line for 100 seeds\n"
	"  --help\n"
	"The exit status is 1 if a seed has failed. doc/sim.md says more.\n";

/* ---- one seed */

static void print_tally(const char *name, uint64_t n, const struct tally *t)
{
	printf("# %s: %llu KiB in %llu connections, %llu datagrams, %llu frames, %llu events, "
	       "%llu.%03llu s\n#  faults:", name, (unsigned long long)(t->bytes >> 10),
	       (unsigned long long)t->conns, (unsigned long long)t->dgrams,
	       (unsigned long long)t->frames, (unsigned long long)t->events,
	       (unsigned long long)(t->ns / NSEC_PER_SEC),
	       (unsigned long long)(t->ns / NSEC_PER_MSEC % 1000));
	for (int i = 0; i < FAULTS; i++)
		printf(" %s %llu", fault_names[i], (unsigned long long)t->faults[i]);
	printf("\n");
	if (!n)
		return;
	printf("#  counters:");
	for (int i = 0; i < NET_N_COUNTS; i++)
		printf(" %s %llu", net_count_names[i], (unsigned long long)t->count[i]);
	printf("\n");
}

static void add(struct tally *sum, const struct tally *t)
{
	sum->bytes += t->bytes;
	sum->conns += t->conns;
	sum->frames += t->frames;
	sum->events += t->events;
	sum->dgrams += t->dgrams;
	sum->ns += t->ns;
	for (int i = 0; i < FAULTS; i++)
		sum->faults[i] += t->faults[i];
	for (int i = 0; i < NET_N_COUNTS; i++)
		sum->count[i] += t->count[i];
}

static uint64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- processes */

static struct shared *shared_new(void)
{
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("sim: mmap");
		exit(2);
	}
	return p;
}

static void one_seed(uint64_t seed, bool verbose, struct tally *t)
{
	uint64_t began = cpu_now();
	char name[64];

	world_run(seed, false, t);
	if (!verbose)
		return;
	snprintf(name, sizeof(name), "seed %llu (%s), %llu ms", (unsigned long long)seed,
		 plan_theme(seed), (unsigned long long)((cpu_now() - began) / NSEC_PER_MSEC));
	print_tally(name, 0, t);
	fflush(stdout);
}

static _Noreturn void work(const struct options *o, struct shared *s, unsigned slot)
{
	for (;;) {
		uint64_t seed = atomic_fetch_add(&s->next, 1);
		struct tally t;

		if (seed > o->last || atomic_load(&s->stop))
			exit(0);
		s->slots[slot].seed = seed;
		alarm(SEED_SECONDS * 4);
		one_seed(seed, o->verbose, &t);
		add(&s->slots[slot].sum, &t);
		s->slots[slot].n++;
	}
}

static void worker_start(struct run *r, unsigned slot)
{
	fflush(stdout);
	r->pids[slot] = fork();
	if (r->pids[slot] < 0) {
		perror("sim: fork");
		exit(2);
	}
	if (!r->pids[slot])
		work(r->o, r->shared, slot);
}

/* A worker has ended: with all seeds, or with one that failed. */
static void worker_ended(struct run *r, unsigned slot, int status)
{
	uint64_t seed = r->shared->slots[slot].seed;

	r->pids[slot] = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (WIFSIGNALED(status))
		printf("seed %llu: %s\nseed %llu: tests/sim/sim --trace --seed %llu\n",
		       (unsigned long long)seed, WTERMSIG(status) == SIGALRM ? "hangs" :
		       strsignal(WTERMSIG(status)), (unsigned long long)seed,
		       (unsigned long long)seed);
	if (r->n_failed < FAILED_MOST)
		r->failed[r->n_failed++] = seed;
	if (r->o->stop || r->n_failed == FAILED_MOST)
		atomic_store(&r->shared->stop, true);
	else
		worker_start(r, slot);
}

static uint64_t n_run(const struct run *r)
{
	uint64_t n = r->n_failed;

	for (unsigned i = 0; i < r->o->jobs; i++)
		n += r->shared->slots[i].n;
	return n;
}

static void progress(struct run *r)
{
	uint64_t now = time_now(), past = (now - r->began) / NSEC_PER_SEC;

	if (!r->o->seconds)
		return;
	if (past >= r->o->seconds)
		atomic_store(&r->shared->stop, true);
	if (now - r->told < 5 * NSEC_PER_SEC)
		return;
	r->told = now;
	fprintf(stderr, "%llu seeds, %u failed, %llu s left\n", (unsigned long long)n_run(r),
		r->n_failed, (unsigned long long)(past < r->o->seconds ? r->o->seconds - past : 0));
}

static bool any_left(const struct run *r)
{
	for (unsigned i = 0; i < r->o->jobs; i++)
		if (r->pids[i])
			return true;
	return false;
}

static void look_after(struct run *r)
{
	while (any_left(r)) {
		int status;
		pid_t pid = waitpid(-1, &status, r->o->seconds ? WNOHANG : 0);

		if (pid < 0 && errno != EINTR)
			break;
		for (unsigned i = 0; pid > 0 && i < r->o->jobs; i++)
			if (r->pids[i] == pid)
				worker_ended(r, i, status);
		if (!pid)
			usleep(50000);
		progress(r);
	}
}

/* ---- the outcome */

static bool has_failed(const struct run *r, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < r->n_failed; i++)
		if (r->failed[i] >= from && r->failed[i] <= to)
			return true;
	return false;
}

static void print_tap(const struct run *r)
{
	uint64_t n = (r->o->last - r->o->first) / BLOCK + 1;

	printf("1..%llu\n", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t from = r->o->first + i * BLOCK, to = from + BLOCK - 1;

		if (to > r->o->last)
			to = r->o->last;
		printf("%s %llu - seeds %llu to %llu\n", has_failed(r, from, to) ? "not ok" : "ok",
		       (unsigned long long)i + 1, (unsigned long long)from, (unsigned long long)to);
	}
}

static void print_outcome(const struct run *r)
{
	struct tally sum;
	char name[32];

	memset(&sum, 0, sizeof(sum));
	for (unsigned i = 0; i < r->o->jobs; i++)
		add(&sum, &r->shared->slots[i].sum);
	snprintf(name, sizeof(name), "%llu seeds", (unsigned long long)n_run(r));
	print_tally(name, 1, &sum);
	if (r->o->tap)
		print_tap(r);
	if (!r->n_failed)
		return;
	printf("# failed seeds:");
	for (uint32_t i = 0; i < r->n_failed; i++)
		printf(" %llu", (unsigned long long)r->failed[i]);
	printf("\n");
}

static int run_many(const struct options *o)
{
	static struct run r;

	r.o = o;
	r.shared = shared_new();
	r.shared->next = o->first;
	r.began = r.told = time_now();
	for (unsigned i = 0; i < o->jobs; i++)
		worker_start(&r, i);
	look_after(&r);
	print_outcome(&r);
	return r.n_failed ? 1 : 0;
}

static int run_one(const struct options *o)
{
	char name[64];
	struct tally t;

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	world_run(o->first, o->trace, &t);
	snprintf(name, sizeof(name), "seed %llu (%s)", (unsigned long long)o->first,
		 plan_theme(o->first));
	print_tally(name, 1, &t);
	return 0;
}

/* ---- options */

static uint64_t number(const char *text, const char **end)
{
	char *rest;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &rest, 10);
	if (rest == text || errno || (!end && *rest) || text[0] == '-') {
		fprintf(stderr, "sim: not a number: '%s' (see --help)\n", text);
		exit(2);
	}
	if (end)
		*end = rest;
	return n;
}

static void set_range(struct options *o, const char *text)
{
	const char *rest;

	o->first = number(text, &rest);
	if (*rest != '-') {
		fprintf(stderr, "sim: not A-B: '%s' (see --help)\n", text);
		exit(2);
	}
	o->last = number(rest + 1, NULL);
}

static bool parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "seconds", required_argument, NULL, 't' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "stop", no_argument, NULL, 'x' },
		{ "trace", no_argument, NULL, 'T' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "tap", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool one = false;
	int c;

	while ((c = getopt_long(argc, argv, "hv", names, NULL)) != -1) {
		switch (c) {
		case 's':
			o->first = o->last = number(optarg, NULL);
			one = true;
			break;
		case 'r':
			set_range(o, optarg);
			break;
		case 'n':
			o->last = number(optarg, NULL);
			break;
		case 'f':
			o->first = number(optarg, NULL);
			break;
		case 't':
			o->seconds = (unsigned)number(optarg, NULL);
			o->last = UINT64_MAX;
			break;
		case 'j':
			o->jobs = (unsigned)number(optarg, NULL);
			break;
		case 'x':
			o->stop = true;
			break;
		case 'T':
			o->trace = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'p':
			o->tap = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc || o->last < o->first || !o->jobs || o->jobs > JOBS_MOST) {
		fputs(usage, stderr);
		exit(2);
	}
	return one;
}

int main(int argc, char **argv)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = { .first = 1, .last = 2000 };

	o.jobs = cores > 0 && cores <= (long)JOBS_MOST ? (unsigned)cores : 1;
	return parse(&o, argc, argv) ? run_one(&o) : run_many(&o);
}
