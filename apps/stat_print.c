#include "config.h"

#include "apps/stat_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/fail.h"
#include "apps/stat_conns.h"

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

static void print_heading(const struct stat_snapshot *s)
{
	printf("%s, process %" PRIu32 ", instance %" PRIu32 ", %s, up %.1f s\n", s->program,
	       s->pid, s->instance, s->libos, uptime_s(s));
}

static void print_instance(const struct stat_snapshot *s, const struct stat_snapshot *old)
{
	print_heading(s);
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

static void print_conn(const struct demi_conn_entry *e)
{
	char local[STAT_CONNS_ADDR], remote[STAT_CONNS_ADDR];

	printf("  %-21s %-21s %-12s %8" PRIu32 " %6" PRIu32 " %10" PRIu32 " %7" PRIu32
	       " %7" PRIu32 " %10" PRIu64 " %10" PRIu64 " %s\n",
	       stat_conns_addr(e->local_addr, e->local_port, local),
	       stat_conns_addr(e->remote_addr, e->remote_port, remote), stat_conns_state(e),
	       e->srtt_us, e->cwnd, e->ssthresh, e->unacked, e->retrans, e->unacked_bytes,
	       e->readable_bytes, e->congestion);
}

static void print_table(const struct stat_conns *c)
{
	printf("  %-21s %-21s %-12s %8s %6s %10s %7s %7s %10s %10s %s\n", "LOCAL", "REMOTE",
	       "STATE", "SRTT_US", "CWND", "SSTHRESH", "UNACKED", "RETRANS", "OUT_BYTES",
	       "IN_BYTES", "CONGESTION");
	for (uint32_t i = 0; i < c->n; i++)
		print_conn(&c->entries[i]);
	if (c->n_conns > c->n)
		printf("  and %" PRIu32 " more\n", c->n_conns - c->n);
	if (c->age == STAT_CONNS_OLD)
		puts("  (of an earlier time: the program makes no calls now)");
	if (c->age == STAT_CONNS_LEFT)
		puts("  (of an earlier time: the program has ended)");
}

void stat_print_conns(const struct stat_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct stat_snapshot *s = &set->snaps[i];
		struct stat_conns c;

		print_heading(s);
		if (!stat_conns_read(&c, s->pid, s->instance)) {
			puts(c.age == STAT_CONNS_LEFT ? "  has ended" : "  has no TCP of its own");
			continue;
		}
		print_table(&c);
		stat_conns_free(&c);
	}
}

/* Takes value over; a name that comes twice keeps its last value. */
static void set_key(json_t *obj, const char *name, json_t *value)
{
	if (json_object_set_new(obj, name, value))
		fail("no memory");
}

static json_t *conn_json(const struct demi_conn_entry *e)
{
	char local[STAT_CONNS_ADDR], remote[STAT_CONNS_ADDR];

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
			 "local", stat_conns_addr(e->local_addr, e->local_port, local),
			 "remote", stat_conns_addr(e->remote_addr, e->remote_port, remote),
			 "state", stat_conns_state(e), "srtt_us", (json_int_t)e->srtt_us,
			 "rttvar_us", (json_int_t)e->rttvar_us, "rto_us", (json_int_t)e->rto_us,
			 "mss", (json_int_t)e->mss, "cwnd", (json_int_t)e->cwnd,
			 "ssthresh", (json_int_t)e->ssthresh, "unacked", (json_int_t)e->unacked,
			 "retrans", (json_int_t)e->retrans,
			 "unacked_bytes", (json_int_t)e->unacked_bytes,
			 "readable_bytes", (json_int_t)e->readable_bytes,
			 "congestion", e->congestion);
}

/* Without one it is no table, instead of an empty one. */
static void add_conns(json_t *obj, const struct stat_snapshot *s)
{
	struct stat_conns c;
	json_t *list;

	if (!stat_conns_read(&c, s->pid, s->instance))
		return;
	list = json_array();
	for (uint32_t i = 0; i < c.n; i++)
		if (json_array_append_new(list, conn_json(&c.entries[i])))
			fail("no memory");
	set_key(obj, "connections", list);
	set_key(obj, "connections_total", json_integer((json_int_t)c.n_conns));
	set_key(obj, "connections_answered", json_boolean(c.age == STAT_CONNS_NEW));
	stat_conns_free(&c);
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

void stat_print_json(const struct stat_set *set, const struct stat_set *before, bool conns)
{
	json_t *list = json_array();
	json_t *obj;

	for (size_t i = 0; i < set->n; i++) {
		const struct stat_snapshot *s = &set->snaps[i];

		obj = instance_json(s, find(before, s));
		if (conns)
			add_conns(obj, s);
		if (json_array_append_new(list, obj))
			fail("no memory");
	}
	obj = json_pack("{s:o}", "instances", list);
	if (!obj || json_dumpf(obj, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)))
		fail("cannot write the counters");
	json_decref(obj);
	putchar('\n');
}
