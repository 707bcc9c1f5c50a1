#include "config.h"

#include "libos/process.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "libos/fds.h"
#include "libos/libos.h"

struct libos libos_none = { .attention = LIBOS_SEIZED };
_Thread_local struct libos *libos_self = &libos_none;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list instances = { &instances, &instances };
static struct list taken = { &taken, &taken };	/* by exit(), from their threads */
static struct list parents = { &parents, &parents }; /* a forked child's: not ours */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int once_err;
static bool exiting;		/* exit() looks after what there is: no more comes */

/* Makes every other thread of the process pass a full barrier: what they store
 * before they look at `attention` is then either seen here, or they see it set. */
static void barrier_everywhere(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void unlink_and_free(struct libos *os)
{
	pthread_mutex_lock(&lock);
	list_del(&os->link);
	pthread_mutex_unlock(&lock);
	free(os);
}

void libos_process_leave(void)
{
	struct libos *os = libos_self;

	if (os == &libos_none)
		return;
	atomic_store(&os->busy, true);
	if (atomic_load(&os->attention) & LIBOS_SEIZED) { /* exit() has it */
		atomic_store(&os->busy, false);
		return;
	}
	libos_self = &libos_none;
	pthread_setspecific(key, NULL);
	libos_close(os, time_now() + os->linger_ns);
	unlink_and_free(os);
}

static void thread_ends(void *arg)
{
	(void)arg;
	libos_process_leave();
}

/* The first instance of another thread that has not been dealt with, held busy
 * by us, or NULL with *left_out saying whether some are still inside a call. */
static struct libos *seize_one(bool *left_out)
{
	struct list *pos, *tmp;

	*left_out = false;
	list_for_each_safe(pos, tmp, &instances) {
		struct libos *os = container_of(pos, struct libos, link);

		if (!atomic_load(&os->busy)) {
			list_del(&os->link);
			list_add_tail(&taken, &os->link);
			return os;
		}
		*left_out = true;
		libos_bell_ring(libos_bell_handle(os->bell));
	}
	return NULL;
}

static void seize_all(void)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &instances) {
		struct libos *os = container_of(pos, struct libos, link);

		atomic_fetch_or(&os->attention, LIBOS_SEIZED);
	}
	barrier_everywhere();
}

/*
 * exit(), or return from main: a stack in the process dies with it, so what
 * instances still owe is served first, this thread's and then the others', whose
 * threads may be inside a call or closing theirs. An instance taken over is not
 * freed: its thread may look at it yet, and finds it seized.
 */
static void process_exits(void)
{
	const struct timespec nap = { 0, 200000 };
	struct libos *os = libos_self;
	uint64_t deadline;
	bool left;

	if (os != &libos_none && atomic_load(&os->busy))
		return; /* exit() out of a signal handler inside a call */
	pthread_mutex_lock(&lock);
	exiting = true;
	deadline = 0;
	if (!list_empty(&instances))
		deadline = time_now() + list_first(&instances, struct libos, link)->linger_ns;
	pthread_mutex_unlock(&lock);
	if (os != &libos_none) {
		libos_self = &libos_none;
		pthread_setspecific(key, NULL);
		libos_close(os, deadline);
		unlink_and_free(os);
	}
	pthread_mutex_lock(&lock);
	seize_all();
	for (;;) {
		os = seize_one(&left);
		if (!os && (!left || time_now() >= deadline))
			break;
		pthread_mutex_unlock(&lock);
		if (os)
			libos_close(os, deadline); /* may call the program's callback */
		else
			nanosleep(&nap, NULL);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* The child owns nothing: no instance, no descriptor, no handle. */
static void after_fork_child(void)
{
	libos_self = &libos_none;
	pthread_setspecific(key, NULL);
	list_splice_tail(&parents, &instances);
	libos_fds_close_all();
	libos_bells_forget();
	pthread_mutex_unlock(&lock);
}

static void process_start(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	once_err = pthread_key_create(&key, thread_ends);
	if (!once_err)
		once_err = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
	if (!once_err && atexit(process_exits))
		once_err = ENOMEM;
}

int libos_process_adopt(struct libos *os)
{
	int err;

	pthread_once(&once, process_start);
	err = once_err ? once_err : pthread_setspecific(key, os);
	if (err)
		return err;
	pthread_mutex_lock(&lock);
	err = exiting ? ECANCELED : 0;
	if (!err)
		list_add_tail(&instances, &os->link);
	pthread_mutex_unlock(&lock);
	if (err)
		pthread_setspecific(key, NULL);
	else
		libos_self = os;
	return err;
}
