#include "config.h"

#include "libos/libos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/time.h"
#include "libos/backend.h"
#include "libos/buf_debug.h"
#include "libos/fds.h"
#include "libos/log.h"
#include "libos/process.h"
#include "libos/registry.h"

#define LOOK_NS 20000u		/* how often a spin looks at lazy watches */
#define FAST_WAITS 31
/* A spin reads the clock now and then: reading it waits for every load and store
 * before it. Passes that make a system call are slow enough to read it oftener. */
#define CLOCK_PASSES 64u
#define CLOCK_PASSES_EAGER 16u

static const struct libos_stat_name count_names[LIBOS_N_COUNTS] = {
	[LIBOS_C_PUSHES] = { "libos.pushes", DEMI_STAT_COUNTER },
	[LIBOS_C_PUSH_BYTES] = { "libos.push_bytes", DEMI_STAT_COUNTER },
	[LIBOS_C_POPS] = { "libos.pops", DEMI_STAT_COUNTER },
	[LIBOS_C_POP_BYTES] = { "libos.pop_bytes", DEMI_STAT_COUNTER },
	[LIBOS_C_ACCEPTS] = { "libos.accepts", DEMI_STAT_COUNTER },
	[LIBOS_C_CONNECTS] = { "libos.connects", DEMI_STAT_COUNTER },
	[LIBOS_C_FAILED] = { "libos.failed_operations", DEMI_STAT_COUNTER },
	[LIBOS_C_WAITS] = { "libos.waits", DEMI_STAT_COUNTER },
	[LIBOS_C_SLEEPS] = { "libos.sleeps", DEMI_STAT_COUNTER },
	[LIBOS_C_QUEUES] = { "libos.queues", DEMI_STAT_GAUGE },
	[LIBOS_C_OPS] = { "libos.pending_operations", DEMI_STAT_GAUGE },
	[LIBOS_C_BUFS_OUT] = { "libos.bufs_out", DEMI_STAT_GAUGE },
	[LIBOS_C_POOL_BYTES] = { "libos.pool_bytes", DEMI_STAT_GAUGE },
	[LIBOS_C_ALLOC_FAILED] = { "libos.alloc_failed", DEMI_STAT_COUNTER },
	[LIBOS_C_COPIED_BYTES] = { "libos.copied_bytes", DEMI_STAT_COUNTER },
};

/* ---- which backends */

static const struct libos_backend *backend_find(const char *name, size_t len)
{
	for (int i = 0; libos_registry[i]; i++)
		if (strlen(libos_registry[i]->name) == len &&
		    !memcmp(libos_registry[i]->name, name, len))
			return libos_registry[i];
	return NULL;
}

static int unknown_backend(const char *name, int len)
{
	char all[128] = "";
	size_t n = 0;

	for (int i = 0; libos_registry[i] && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "",
				      libos_registry[i]->name);
	log_error("LIBOS: this library has no backend \"%.*s\"; it has %s", len, name, all);
	return EINVAL;
}

/* LIBOS=a+b: the backends in that order. */
static int backends_choose(const char *names, const struct libos_backend **list, uint8_t *n_out)
{
	uint8_t n = 0;

	for (;;) {
		size_t len = strcspn(names, "+");
		const struct libos_backend *be = backend_find(names, len);

		if (!be)
			return unknown_backend(names, (int)len);
		for (uint8_t i = 0; i < n; i++) {
			if (list[i] == be) {
				log_error("LIBOS: \"%s\" is named twice", be->name);
				return EINVAL;
			}
		}
		list[n++] = be;
		if (!names[len])
			break;
		names += len + 1;
	}
	*n_out = n;
	return 0;
}

static int settings_load(struct libos *os)
{
	const struct libos_key *tables[LIBOS_MAX_BACKENDS + 2] = { libos_core_keys };
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	const char *early = getenv("CLOWDER_LOG");
	int err;

	for (int i = 0; libos_registry[i]; i++)
		tables[i + 1] = libos_registry[i]->keys;
	for (int i = 0; early && i < 4; i++)
		if (!strcmp(early, levels[i]))
			libos_log_set_level((enum libos_log_level)i);
	err = libos_settings_load(tables, &os->settings);
	if (err)
		return err;
	libos_log_set_level((enum libos_log_level)libos_settings_choice(os->settings, "log.level"));
	return 0;
}

static void settings_apply(struct libos *os)
{
	const struct libos_settings *s = os->settings;
	int64_t spin_us = libos_settings_int(s, "wait.spin_us");

	os->spin_ns = spin_us < 0 ? -1 : spin_us * (int64_t)NSEC_PER_USEC;
	os->linger_ns = (uint64_t)libos_settings_int(s, "exit.linger_ms") * NSEC_PER_MSEC;
	os->push_released = libos_settings_choice(s, "push.completes") == 1;
	os->pool_limit = (uint64_t)libos_settings_int(s, "pool.max_bytes");
	if (!os->pool_limit)
		os->pool_limit = (uint64_t)sysconf(_SC_PHYS_PAGES) *
				 (uint64_t)sysconf(_SC_PAGESIZE) / 4;
}

/* ---- watches of the core's own */

static void drain(struct libos_watch *w, uint32_t events)
{
	uint64_t n;

	(void)events;
	if (read(w->fd, &n, sizeof(n)) < 0)
		return; /* drained already */
}

static int watches_open(struct libos *os)
{
	int err = libos_watches_init(&os->watches);

	if (err)
		return err;
	err = libos_bell_open(&os->attention, &os->bell);
	if (err)
		return err;
	os->bell_watch.ready = drain;
	return libos_watch_add(os, &os->bell_watch, libos_bell_fd(os->bell), EPOLLIN);
}

/* ---- life */

static int backends_open(struct libos *os, const struct libos_backend **list, uint8_t n)
{
	const struct libos_mem_ops *mem = NULL;
	void *mem_arg = NULL;

	for (uint8_t i = 0; i < n; i++) {
		int err = list[i]->init(os, &os->backends[i]);

		if (err) {
			log_error("%s: cannot start: %s", list[i]->name, strerror(err));
			return err;
		}
		os->backends[i]->be = list[i];
		os->backends[i]->os = os;
		os->n_backends++;
		if (list[i]->mem && !mem) {
			mem = list[i]->mem;
			mem_arg = os->backends[i];
		}
	}
	libos_pool_init(&os->pool, os, mem, mem_arg);
	return 0;
}

static int eof_make(struct libos *os)
{
	os->eof = libos_buf_alloc(&os->pool, 1);
	if (!os->eof) {
		int err = os->pool_err ? os->pool_err : ENOMEM;

		log_error("no memory for buffers: %s (pool.max_bytes is %llu)", strerror(err),
			  (unsigned long long)os->pool_limit);
		return err;
	}
	os->count[LIBOS_C_BUFS_OUT]--; /* not one that the program could leak */
	return 0;
}

static int instance_open(struct libos *os)
{
	const struct libos_backend *list[LIBOS_MAX_BACKENDS];
	const char *names = getenv("LIBOS");
	uint8_t n;
	int err;

	if (!names || !*names)
		names = libos_registry[0]->name;
	err = backends_choose(names, list, &n);
	if (!err)
		err = settings_load(os);
	if (err)
		return err;
	snprintf(os->name, sizeof(os->name), "%s", names);
	settings_apply(os);
	err = libos_stats_init(&os->stats, os->name);
	if (err)
		return err;
	os->count = libos_stats_add(&os->stats, count_names, LIBOS_N_COUNTS);
	err = libos_queues_init(&os->queues);
	if (!err)
		err = watches_open(os);
	if (!err && libos_settings_choice(os->settings, "debug") == 1)
		err = libos_buf_debug_init(os);
	if (!err)
		err = backends_open(os, list, n);
	return err ? err : eof_make(os);
}

/* What is counted on the fast paths goes to where others can see it. */
static void counts_show(struct libos *os)
{
	os->count[LIBOS_C_OPS] = libos_ops_pending(os);
	os->count[LIBOS_C_WAITS] = os->n_waits;
	os->count[LIBOS_C_PUSHES] = os->n_pushes;
	os->count[LIBOS_C_PUSH_BYTES] = os->push_bytes;
}

static void instance_free(struct libos *os)
{
	void (*done[LIBOS_MAX_BACKENDS])(struct libos_ctx *);

	if (os->count)
		counts_show(os);
	libos_buf_debug_leaks(os);
	for (uint8_t i = os->n_backends; i-- > 0;) {
		done[i] = os->backends[i]->be->mem_done;
		os->backends[i]->be->fini(os->backends[i]);
	}
	libos_buf_debug_fini(os);
	libos_pool_fini(&os->pool);
	for (uint8_t i = os->n_backends; i-- > 0;)
		if (done[i])
			done[i](os->backends[i]);
	libos_stats_fini(&os->stats, os->callback);
	libos_ops_fini(&os->ops);
	libos_queues_fini(&os->queues);
	libos_watch_del(os, &os->bell_watch);
	libos_fd_close(os->ready_watch.fd);
	libos_fd_close(os->timer_watch.fd);
	if (os->bell)
		libos_bell_close(os->bell);
	libos_watches_fini(&os->watches);
	free(os->units);
	os->units = NULL;
	libos_settings_free(os->settings);
}

int libos_open(const struct demi_args *args, struct libos **os_out)
{
	struct libos *os = calloc(1, sizeof(*os));
	int err;

	if (!os)
		return ENOMEM;
	list_init(&os->link);
	libos_ops_init(&os->ops);
	libos_area_forget(os);
	os->watches.epfd = os->stats.fd = -1;
	os->bell_watch.fd = os->ready_watch.fd = os->timer_watch.fd = -1;
	os->callback = args ? args->callback : NULL;
	err = instance_open(os);
	if (err) {
		os->callback = NULL;
		instance_free(os);
		free(os);
		return err;
	}
	*os_out = os;
	return 0;
}

static bool owes(struct libos *os)
{
	for (uint8_t i = 0; i < os->n_backends; i++)
		if (os->backends[i]->be->owes(os->backends[i]))
			return true;
	return false;
}

void libos_close(struct libos *os, uint64_t deadline)
{
	atomic_fetch_and(&os->attention, (uint8_t)~LIBOS_FOREIGN);
	for (uint32_t i = 0; os->queues.slots && i <= os->queues.mask; i++)
		if (!libos_queues_is_empty(&os->queues, i))
			libos_queue_close(os, os->queues.slots[i], NULL);
	libos_flush(os);
	while (owes(os) && time_now() < deadline) {
		uint64_t look = time_now() + NSEC_PER_MSEC;

		/* in slices: what is owed may go without an operation finishing */
		libos_wait(os, os->ops.done_seq, look < deadline ? look : deadline);
	}
	instance_free(os);
}

int libos_queue_open(struct libos *os, struct libos_queue *q)
{
	int err = libos_queues_add(&os->queues, q);

	os->count[LIBOS_C_QUEUES] = os->queues.n;
	return err;
}

void libos_queue_close(struct libos *os, struct libos_queue *q, struct libos_op *op)
{
	libos_queues_del(&os->queues, q);
	os->count[LIBOS_C_QUEUES] = os->queues.n;
	libos_queue_fail_waiting(q, ECANCELED);
	q->be->close(q, op);
}

/* ---- passes over the devices */

void libos_flush(struct libos *os)
{
	os->dirty = false;
	os->unflushed = 0;
	for (uint8_t i = 0; i < os->n_backends; i++)
		os->backends[i]->be->flush(os->backends[i]);
}

static force_inline bool poll_all(struct libos *os)
{
	bool moved = false;

	os->fast_waits = FAST_WAITS;
	os->unflushed = 0;
	if (unlikely(os->watches.n_eager) || unlikely(os->now >= os->watches.next_look)) {
		moved = libos_watches_poll(&os->watches, 0);
		os->watches.next_look = os->now + LOOK_NS;
	}
	for (uint8_t i = 0; i < os->n_backends; i++)
		moved |= os->backends[i]->be->poll(os->backends[i], os->now);
	if (unlikely(os->dirty))
		libos_flush(os);
	return moved;
}

void libos_poll_now(struct libos *os)
{
	int saved = errno;

	os->now = time_now();
	poll_all(os);
	counts_show(os);
	errno = saved;
}

/* Arms every device; false if one of them found something. */
static bool sleep_prepare(struct libos *os, uint64_t *deadline)
{
	uint8_t n = 0;

	while (n < os->n_backends &&
	       os->backends[n]->be->sleep_prepare(os->backends[n], deadline))
		n++;
	if (n == os->n_backends)
		return true;
	while (n-- > 0)
		os->backends[n]->be->sleep_done(os->backends[n]);
	return false;
}

static void sleep_done(struct libos *os)
{
	for (uint8_t i = os->n_backends; i-- > 0;)
		os->backends[i]->be->sleep_done(os->backends[i]);
}

static void block(struct libos *os, uint64_t deadline)
{
	uint64_t now = time_now();

	if (!sleep_prepare(os, &deadline))
		return;
	if (deadline > now) {
		os->count[LIBOS_C_SLEEPS]++;
		libos_watches_poll(&os->watches,
				   deadline == TIME_NEVER ? TIME_NEVER : deadline - now);
	}
	sleep_done(os);
}

static int wait_loop(struct libos *os, uint64_t seen, uint64_t deadline)
{
	uint64_t start = 0;

	counts_show(os);
	if (!deadline) {
		os->now = time_now();
		os->watches.next_look = 0;
		os->thorough = true; /* the one pass looks at everything */
	}
	for (;;) {
		bool moved = poll_all(os);

		if (os->ops.done_seq != seen)
			return 0;
		if (unlikely(libos_bell_take(os->bell, &os->attention)))
			return EINTR;
		if (unlikely(!deadline))
			return ETIMEDOUT;
		if (++os->pass % (os->watches.n_eager ? CLOCK_PASSES_EAGER : CLOCK_PASSES))
			continue;
		os->now = time_now();
		if (os->now >= deadline)
			return ETIMEDOUT;
		if (moved || !start) {
			start = os->now;
		} else if (os->spin_ns >= 0 && os->now - start >= (uint64_t)os->spin_ns) {
			counts_show(os);
			block(os, deadline);
			os->now = time_now();
			os->watches.next_look = os->now + LOOK_NS; /* it has just looked */
			os->pass = CLOCK_PASSES - 1; /* asleep again soon if for nothing */
		}
	}
}

int libos_wait(struct libos *os, uint64_t seen, uint64_t deadline)
{
	int saved = errno, err = wait_loop(os, seen, deadline);

	os->thorough = false;
	errno = saved;
	return err;
}

/* ---- demi_waitfd(): somebody else's loop sleeps for us */

int libos_foreign_open(struct libos *os, int *fd_out)
{
	int ready, timer, err;

	if (atomic_load(&os->attention) & LIBOS_FOREIGN) {
		*fd_out = os->watches.epfd;
		return 0;
	}
	ready = libos_fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (ready < 0)
		return errno;
	timer = libos_fd_own(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (timer < 0) {
		err = errno;
		goto err_ready;
	}
	os->ready_watch.ready = os->timer_watch.ready = drain;
	err = libos_watch_add(os, &os->ready_watch, ready, EPOLLIN);
	if (!err)
		err = libos_watch_add(os, &os->timer_watch, timer, EPOLLIN);
	if (err)
		goto err_timer;
	atomic_fetch_or(&os->attention, LIBOS_FOREIGN);
	*fd_out = os->watches.epfd;
	return 0;

err_timer:
	libos_watch_del(os, &os->ready_watch);
	libos_fd_close(timer);
err_ready:
	libos_fd_close(ready);
	return err;
}

void libos_foreign_enter(struct libos *os)
{
	if (os->armed)
		sleep_done(os);
	os->armed = false;
}

static void ready_signal(struct libos *os, bool on)
{
	static const uint64_t one = 1;

	if (on && write(os->ready_watch.fd, &one, sizeof(one)) < 0)
		return; /* readable already */
	if (!on)
		drain(&os->ready_watch, 0);
}

/* Between calls the descriptor is readable when an operation has finished, a
 * device has something (it is armed), or a timer is due. */
void libos_foreign_leave(struct libos *os)
{
	struct itimerspec at = { { 0, 0 }, { 0, 0 } };
	uint64_t deadline = TIME_NEVER;
	int saved = errno;

	if (os->dirty)
		libos_flush(os);
	os->armed = sleep_prepare(os, &deadline);
	ready_signal(os, !list_empty(&os->ops.ready) || !os->armed);
	if (deadline != TIME_NEVER) {
		at.it_value.tv_sec = (time_t)(deadline / NSEC_PER_SEC);
		at.it_value.tv_nsec = (long)(deadline % NSEC_PER_SEC) | 1;
	}
	timerfd_settime(os->timer_watch.fd, TFD_TIMER_ABSTIME, &at, NULL);
	errno = saved;
}
