/* Bells, watches, and the descriptors that a forked child closes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libos/fds.h"
#include "libos/process.h"
#include "libos/watch.h"
#include "tests/unit/core.h"

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static _Atomic uint8_t attention;

START_TEST(test_ring)
{
	struct libos_bell *bell;
	uint64_t handle;

	ck_assert_int_eq(libos_bell_open(&attention, &bell), 0);
	handle = libos_bell_handle(bell);
	ck_assert(!libos_bell_take(bell, &attention));
	ck_assert(!readable(libos_bell_fd(bell)));
	ck_assert_int_eq(libos_bell_ring(handle), 0);
	ck_assert_int_eq(libos_bell_ring(handle), 0);
	ck_assert(readable(libos_bell_fd(bell)));
	ck_assert(libos_bell_take(bell, &attention));
	ck_assert(!libos_bell_take(bell, &attention));
	ck_assert(!readable(libos_bell_fd(bell)));
	libos_bell_close(bell);
	ck_assert_int_eq(libos_bell_ring(handle), EINVAL);
}
END_TEST

/* A place that is used again has another handle. */
START_TEST(test_handles)
{
	uint64_t old[100];

	for (int i = 0; i < 100; i++) {
		struct libos_bell *bell;

		ck_assert_int_eq(libos_bell_open(&attention, &bell), 0);
		old[i] = libos_bell_handle(bell);
		for (int k = 0; k < i; k++)
			ck_assert_int_eq(libos_bell_ring(old[k]), EINVAL);
		ck_assert(!libos_bell_take(bell, &attention));
		libos_bell_close(bell);
	}
	ck_assert_int_eq(libos_bell_ring(0), EINVAL);
	ck_assert_int_eq(libos_bell_ring(UINT64_MAX), EINVAL);
	ck_assert_int_eq(libos_bell_ring(12345), EINVAL);
}
END_TEST

static _Atomic uint64_t current;
static _Atomic bool over;

static void *ringer(void *arg)
{
	(void)arg;
	while (!over)
		libos_bell_ring(current);
	return NULL;
}

/* Rung from two threads while it opens and closes: no ring goes astray into a
 * descriptor that has become something else. */
START_TEST(test_ring_while_closing)
{
	pthread_t threads[2];
	int other;

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, ringer, NULL);
	for (int i = 0; i < 2000; i++) {
		struct libos_bell *bell;

		ck_assert_int_eq(libos_bell_open(&attention, &bell), 0);
		current = libos_bell_handle(bell);
		libos_bell_close(bell);
		other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);	/* most likely its number */
		ck_assert(!readable(other));
		close(other);
	}
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

Suite *bell_suite(void)
{
	Suite *suite = suite_create("bell");
	TCase *tc = tcase_create("bell");

	tcase_add_test(tc, test_ring);
	tcase_add_test(tc, test_handles);
	tcase_add_test(tc, test_ring_while_closing);
	suite_add_tcase(suite, tc);
	return suite;
}

/* ---- watches */

struct watched {
	struct libos_watch watch;
	int events;
	struct watched *kills;	/* stops watching this one */
};

static void on_ready(struct libos_watch *w, uint32_t events)
{
	struct watched *me = container_of(w, struct watched, watch);

	(void)events;
	me->events++;
	if (me->kills)
		libos_watch_del(os, &me->kills->watch);
}

static void watch(struct watched *w, bool eager)
{
	*w = (struct watched){ .watch = { .ready = on_ready, .fd = -1, .eager = eager } };
	ck_assert_int_eq(libos_watch_add(os, &w->watch, eventfd(1, EFD_CLOEXEC), EPOLLIN), 0);
}

START_TEST(test_watch)
{
	struct watched w;
	int fd;

	watch(&w, true);
	fd = w.watch.fd;
	ck_assert_uint_eq(os->watches.n_eager, 1);
	ck_assert(libos_watches_poll(&os->watches, 0));
	ck_assert_int_eq(w.events, 1);
	ck_assert_int_eq(libos_watch_mod(os, &w.watch, 0), 0);
	libos_watches_poll(&os->watches, 0);
	ck_assert_int_eq(w.events, 1);
	ck_assert_int_eq(libos_watch_mod(os, &w.watch, EPOLLIN), 0);
	libos_watch_del(os, &w.watch);
	libos_watch_del(os, &w.watch);
	ck_assert_uint_eq(os->watches.n_eager, 0);
	libos_watches_poll(&os->watches, 0);
	ck_assert_int_eq(w.events, 1);
	close(fd);
	ck_assert_int_eq(libos_watch_add(os, &w.watch, fd, EPOLLIN), EBADF);
	ck_assert_int_eq(w.watch.fd, -1);
}
END_TEST

/* Two are ready, each stops the other: whoever comes first is the only one. */
START_TEST(test_watch_stopped_in_batch)
{
	struct watched a, b;

	watch(&a, false);
	watch(&b, false);
	a.kills = &b;
	b.kills = &a;
	ck_assert(libos_watches_poll(&os->watches, 0));
	ck_assert_int_eq(a.events + b.events, 1);
}
END_TEST

/* A forked child closes its copies of ours, and nothing else. */
START_TEST(test_child_closes)
{
	int ours = libos_fd_own(eventfd(0, EFD_CLOEXEC));
	int high = libos_fd_own(fcntl(ours, F_DUPFD_CLOEXEC, 900));
	int theirs = eventfd(0, EFD_CLOEXEC), gone = libos_fd_own(dup(ours)), status;
	pid_t pid;

	ck_assert_int_eq(libos_fd_own(-1), -1);
	libos_fd_close(-1);
	libos_fd_close(gone);
	ck_assert_int_eq(dup2(theirs, gone), gone);	/* no longer ours */
	pid = fork();
	if (!pid) {
		libos_fds_close_all();
		_exit((fcntl(ours, F_GETFD) >= 0) | (fcntl(high, F_GETFD) >= 0) << 1 |
		      (fcntl(theirs, F_GETFD) < 0) << 2 | (fcntl(gone, F_GETFD) < 0) << 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_ge(fcntl(ours, F_GETFD), 0);
}
END_TEST

Suite *watch_suite(void)
{
	Suite *suite = suite_create("watch");
	TCase *tc = tcase_create("watch");

	tcase_add_checked_fixture(tc, core_setup, core_teardown);
	tcase_add_test(tc, test_watch);
	tcase_add_test(tc, test_watch_stopped_in_batch);
	tcase_add_test(tc, test_child_closes);
	suite_add_tcase(suite, tc);
	return suite;
}
