#include "config.h"

#include "apps/stat_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/fail.h"

static double uptime_s(const struct stat_snapshot *s)
{
	struct timespec ts;
	double up;

	clock_gettime(CLOCK_REALTIME, &ts);
	up = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9 - (double)s->start_ns / 1e9;
	return up > 0 ? up : 0; /* somebody may have set the clock */
}

static const struct stat_snapshot *find(const struct stat_set *set, const struct stat_snapshot *s)
{
	for (size_t i = 0; set && i < set->n; i++) {
		const struct stat_snapshot *x = &set->snaps[i];

		/* a pid may come again: another start is another process */
		if (x->pid == s->pid && x->instance == s->instance && x->start_ns == s->start_ns)
			return x;
	}
	return NULL;
}

/* Per second since `old`; counters are only ever added, so places stay. */
static double rate(const struct stat_snapshot *s, const struct stat_snapshot *old, uint32_t i)
{
	double seconds = (double)(s->read_ns - old->read_ns) / 1e9;

	if (i >= old->n || seconds <= 0 || s->counters[i].value < old->counters[i].value)
		return 0;
	return (double)(s->counters[i].value - old->counters[i].value) / seconds;
}

void stat_print_list(const struct stat_set *set)
{
	printf("%8s %9s %12s  %-20s %s\n", "PID", "INSTANCE", "SECONDS", "LIBOS", "PROGRAM");
	for (size_t i = 0; i < set->n; i++) {
		const struct stat_snapshot *s = &set->snaps[i];

		printf("%8" PRIu32 " %9" PRIu32 " %12.1f  %-20s %s\n", s->pid, s->instance,
		       uptime_s(s), s->libos, s->program);
	}
}

static void print_instance(const struct stat_snapshot *s, const struct stat_snapshot *old)
{
	printf("%s, process %" PRIu32 ", instance %" PRIu32 ", %s, up %.1f s\n", s->program,
	       s->pid, s->instance, s->libos, uptime_s(s));
	for (uint32_t i = 0; i < s->n; i++) {
		const struct stat_counter *c = &s->counters[i];

		printf("  %-40s %20" PRIu64, c->name, c->value);
		if (old && c->kind == DEMI_STAT_COUNTER)
			printf(" %16.1f/s", rate(s, old, i));
		putchar('\n');
	}
}

void stat_print_counters(const struct stat_set *set, const struct stat_set *before)
{
	for (size_t i = 0; i < set->n; i++) {
		if (i > 0)
			putchar('\n');
		print_instance(&set->snaps[i], find(before, &set->snaps[i]));
	}
}

/* Takes value over; a name that comes twice keeps its last value. */
static void set_key(json_t *obj, const char *name, json_t *value)
{
	if (json_object_set_new(obj, name, value))
		fail("no memory");
}

static json_t *instance_json(const struct stat_snapshot *s, const struct stat_snapshot *old)
{
	json_t *counters = json_object();
	json_t *rates = json_object();
	json_t *obj = json_pack("{s:I, s:I, s:s, s:s, s:f, s:o}", "pid", (json_int_t)s->pid,
				"instance", (json_int_t)s->instance, "libos", s->libos,
				"program", s->program, "uptime_s", uptime_s(s), "counters",
				counters);

	if (!obj || !rates)
		fail("no memory");
	for (uint32_t i = 0; i < s->n; i++) {
		const struct stat_counter *c = &s->counters[i];

		set_key(counters, c->name, json_integer((json_int_t)c->value));
		if (old && c->kind == DEMI_STAT_COUNTER)
			set_key(rates, c->name, json_real(rate(s, old, i)));
	}
	if (old)
		set_key(obj, "per_second", rates);
	else
		json_decref(rates);
	return obj;
}

void stat_print_json(const struct stat_set *set, const struct stat_set *before)
{
	json_t *list = json_array();
	json_t *obj;

	for (size_t i = 0; i < set->n; i++) {
		const struct stat_snapshot *s = &set->snaps[i];

		if (json_array_append_new(list, instance_json(s, find(before, s))))
			fail("no memory");
	}
	obj = json_pack("{s:o}", "instances", list);
	if (!obj || json_dumpf(obj, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)))
		fail("cannot write the counters");
	json_decref(obj);
	putchar('\n');
}
