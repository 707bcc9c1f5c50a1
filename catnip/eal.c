#include "config.h"

#include "catnip/eal.h"

#include "base/time.h"
#include "libos/log.h"
#include "libos/settings.h"

#include <rte_alarm.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_memory.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define N_FDS 24			/* that its start may need at a time */
#define MAX_ARGS 64
#define FINISH_MS 3000u
#define DRAIN_PATIENCE (200 * NSEC_PER_MSEC)
#define BURST_PATIENCE (10 * NSEC_PER_SEC) /* a driver that logs in a burst waits for us */

/* There is one EAL in a process, and this is what it was told and says. */
static struct {
	bool started;
	bool given;		/* by dpdk.eal_init */
	pid_t pid;
	pthread_t intr;		/* its interrupt thread */
	int memif_log;
	char said[256];		/* the first complaint; written by any thread */
	bool reopen_set;	/* of the interrupt thread */
	int mem_fd, mem_copy;	/* of its memory, -1: none */
} eal;

static _Thread_local bool entered;	/* by rte_thread_register() */

/* ---- gates */

_Atomic int eal_gates;
static pthread_mutex_t gates_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list gates = { &gates, &gates };

void eal_gate_add(struct eal_gate *gate)
{
	pthread_mutex_lock(&gates_lock);
	list_add_tail(&gates, &gate->link);
	pthread_mutex_unlock(&gates_lock);
}

void eal_gate_del(struct eal_gate *gate)
{
	pthread_mutex_lock(&gates_lock);
	list_del(&gate->link);
	pthread_mutex_unlock(&gates_lock);
}

static void barrier_everywhere(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static bool all_gates(bool (*is)(const struct eal_gate *gate))
{
	bool all = true;

	pthread_mutex_lock(&gates_lock);
	for (struct list *pos = gates.next; pos != &gates; pos = pos->next)
		all &= is(container_of(pos, struct eal_gate, link));
	pthread_mutex_unlock(&gates_lock);
	return all;
}

static bool is_away(const struct eal_gate *gate)
{
	return atomic_load_explicit(&gate->state, memory_order_acquire) == EAL_GATE_AWAY;
}

static bool is_drained(const struct eal_gate *gate)
{
	return !atomic_load(&gate->up) || atomic_load(&gate->drained);
}

static void gates_reset(void)
{
	pthread_mutex_lock(&gates_lock);
	for (struct list *pos = gates.next; pos != &gates; pos = pos->next)
		atomic_store(&container_of(pos, struct eal_gate, link)->drained, false);
	pthread_mutex_unlock(&gates_lock);
}

static void wait_for(bool (*is)(const struct eal_gate *gate), uint64_t patience)
{
	const struct timespec nap = { 0, 20000 };
	uint64_t end = time_now() + patience;

	while (!all_gates(is) && time_now() < end)
		nanosleep(&nap, NULL);
}

static void gates_open(void *arg)
{
	(void)arg;
	eal.reopen_set = false;
	atomic_store(&eal_gates, EAL_GATES_OPEN);
}

/* Greetings leave the rings alone, which spares others the wait. */
static bool may_hang_up(const char *text, size_t len)
{
	static const char greets[] = "Received msg type: ", bye = '8';
	const char *at = memmem(text, len, greets, sizeof(greets) - 1);

	return !at || at[sizeof(greets) - 1] == bye;
}

/* What a peer had sent before it went is received first. */
static void gates_shut(const char *text, size_t len)
{
	if (eal.reopen_set)
		return;
	if (may_hang_up(text, len)) {
		gates_reset();
		atomic_store(&eal_gates, EAL_GATES_DRAIN);
		wait_for(is_drained, DRAIN_PATIENCE);
	}
	atomic_store(&eal_gates, EAL_GATES_SHUT);
	barrier_everywhere();
	wait_for(is_away, BURST_PATIENCE);
	eal.reopen_set = rte_eal_alarm_set(1, gates_open, NULL) == 0;
	if (!eal.reopen_set)
		atomic_store(&eal_gates, EAL_GATES_OPEN);
}

/* ---- the descriptor of its memory */

static int first_fd(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	if (msl->external)
		return 0;
	*(int *)arg = rte_memseg_get_fd_thread_unsafe(ms);
	return 1;
}

static void memory_fd_keep(void)
{
	eal.mem_fd = eal.mem_copy = -1;
	rte_memseg_walk(first_fd, &eal.mem_fd);
	if (eal.mem_fd >= 0)
		eal.mem_copy = fcntl(eal.mem_fd, F_DUPFD_CLOEXEC, eal.mem_fd + 1);
}

bool eal_memory_fd_restore(void)
{
	struct stat ours, there;
	int fd;

	if (eal.mem_copy < 0 || fstat(eal.mem_copy, &ours) < 0)
		return false;
	if (fstat(eal.mem_fd, &there) == 0)
		return there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
	fd = fcntl(eal.mem_copy, F_DUPFD_CLOEXEC, eal.mem_fd);
	if (fd >= 0 && fd != eal.mem_fd)
		close(fd);
	return fd == eal.mem_fd;
}

/* ---- what it says */

const char *eal_said(void)
{
	return eal.said;
}

void eal_hush(void)
{
	*eal.said = '\0';
}

/* The interrupt thread may be about to take something away. */
static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	size_t n = len;
	int saved = errno;

	(void)cookie;
	while (n && text[n - 1] == '\n')
		n--;
	if (rte_log_cur_msg_logtype() == eal.memif_log && eal.started &&
	    pthread_equal(pthread_self(), eal.intr)) {
		eal_memory_fd_restore();
		gates_shut(text, n);
	}
	if (rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR && n && !*eal.said)
		snprintf(eal.said, sizeof(eal.said), "%.*s", (int)n, text);
	log_debug("catnip: DPDK says: %.*s", (int)n, text);
	errno = saved;
	return (ssize_t)len;
}

static int log_open(FILE **stream_out)
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", io);

	if (!stream)
		return ENOMEM;
	rte_openlog_stream(stream);
	*stream_out = stream;
	return 0;
}

/* Libraries of drivers that print what they see on stderr. They are there if a driver
 * wants them. */
static void hush_library(const char *lib, const char *set_print)
{
	void *handle = dlopen(lib, RTLD_LAZY | RTLD_NOLOAD);
	void (*set)(void *) = NULL;

	if (!handle)
		return;
	*(void **)&set = dlsym(handle, set_print);
	if (set)
		set(NULL);
	dlclose(handle);
}

/* ---- jobs of the interrupt thread */

static void job_run(void *arg)
{
	struct eal_job *job = arg;

	job->fn(job->arg);
	atomic_store(&job->done, true);
}

int eal_run(struct eal_job *job)
{
	int ret;

	atomic_store(&job->done, false);
	ret = rte_eal_alarm_set(1, job_run, job);
	return ret < 0 ? -ret : 0;
}

bool eal_wait(struct eal_job *job, unsigned ms)
{
	const struct timespec nap = { 0, 20000 };
	uint64_t end = time_now() + ms * NSEC_PER_MSEC;

	while (!atomic_load(&job->done) && time_now() < end)
		nanosleep(&nap, NULL);
	return atomic_load(&job->done);
}

bool eal_finish(struct eal_job *job)
{
	if (!eal_wait(job, FINISH_MS))
		rte_eal_alarm_cancel(job_run, job); /* waits where it is under way */
	return atomic_load(&job->done);
}

/* Signals are the program's own threads': a driver that writes to a peer who has gone
 * gets an errno. */
static void learn_intr(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	eal.intr = pthread_self();
}

/* ---- start */

/* One that we may run on; its number may be beyond what EAL calls an lcore. */
static int a_cpu(const cpu_set_t *set)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			return i;
	return 0;
}

static int own_args(const struct libos_settings *s, const cpu_set_t *cpus, char **argv)
{
	static char mem[32], lcores[32];
	bool huge = libos_settings_bool(s, "catnip.hugepages");
	int n = 0;

	snprintf(mem, sizeof(mem), "-m%lld",
		 (long long)(libos_settings_int(s, "catnip.memory") >> 20));
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", a_cpu(cpus));
	argv[n++] = program_invocation_short_name;
	argv[n++] = (char *)(uintptr_t)(huge ? "--in-memory" : "--no-huge");
	if (!huge)
		argv[n++] = (char *)(uintptr_t)"--no-shconf";
	argv[n++] = (char *)(uintptr_t)"--single-file-segments"; /* zero-copy memif asks */
	argv[n++] = (char *)(uintptr_t)"--no-telemetry";
	argv[n++] = mem;
	argv[n++] = lcores;
	return n;
}

/* Which buses there are to look at: PCI devices only if one is asked for. */
static int link_args(const struct libos_settings *s, int n, char **argv)
{
	static char allow[MAX_ARGS][32];
	const char *const *links;
	uint32_t n_links = libos_settings_list(s, "catnip.link", &links);
	uint32_t n_pci = 0;

	for (uint32_t i = 0; i < n_links && n_pci < 16; i++) {
		if (strncmp(links[i], "pci:", 4))
			continue;
		snprintf(allow[n_pci], sizeof(allow[0]), "-a%.28s", links[i] + 4);
		argv[n++] = allow[n_pci++];
	}
	if (!n_pci)
		argv[n++] = (char *)(uintptr_t)"--no-pci";
	return n;
}

static int given_args(const struct libos_settings *s, int *n_out, char **argv)
{
	const char *const *items;
	uint32_t n = libos_settings_list(s, "dpdk.eal_init", &items);
	uint32_t first = 0;

	if (n > MAX_ARGS - 4) {
		log_error("dpdk.eal_init: more than %d arguments", MAX_ARGS - 4);
		return EINVAL;
	}
	/* the first may be a program's name, as it is in argv */
	if (n && *items[0] != '-')
		first = 1;
	argv[0] = program_invocation_short_name;
	*n_out = 1;
	for (uint32_t i = first; i < n; i++)
		argv[(*n_out)++] = (char *)(uintptr_t)items[i];
	return 0;
}

/* Its memory is a file, and over the limit of one is a signal, not an errno. */
static int memory_fits(const struct libos_settings *s)
{
	uint64_t size = (uint64_t)libos_settings_int(s, "catnip.memory");
	struct rlimit lim;

	if (getrlimit(RLIMIT_FSIZE, &lim) < 0 || lim.rlim_cur >= size)
		return 0;
	log_error("catnip.memory: %llu bytes are more than a file may have (ulimit -f)",
		  (unsigned long long)size);
	return EFBIG;
}

/* Out of descriptors half-way it says nothing of use, and cannot be started again. */
static int descriptors_fit(void)
{
	int fds[N_FDS], n = 0, err = 0;

	while (n < N_FDS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0)
		n++;
	if (n < N_FDS) {
		err = errno;
		log_error("catnip: DPDK takes up to %d descriptors (ulimit -n): %s", N_FDS,
			  strerror(err));
	}
	while (n-- > 0)
		close(fds[n]);
	return err;
}

/* A wrong argument prints a page of usage, and a lack of hugepages a line; what other
 * threads print meanwhile is lost. */
static int init_quietly(int argc, char **argv)
{
	FILE *out = stdout, *err = stderr, *null = fopen("/dev/null", "we");
	int ret;

	if (null) {
		fflush(stdout);
		stdout = stderr = null;
	}
	ret = rte_eal_init(argc, argv);
	stdout = out;
	stderr = err;
	if (null)
		fclose(null);
	return ret;
}

static int refuse(int err)
{
	if (eal.given)
		log_error("dpdk.eal_init: EAL does not start with these arguments: %s",
			  eal_said());
	else
		log_error("catnip: EAL does not start (catnip.memory, catnip.hugepages): %s",
			  eal_said());
	return err ? err : EINVAL;
}

static int start(const struct libos_settings *s, const cpu_set_t *cpus)
{
	char *argv[MAX_ARGS + 2];
	struct eal_job job = { .fn = learn_intr };
	int argc = 0, err = 0, ret;
	bool quiet;
	FILE *stream;

	if (eal.given)
		err = given_args(s, &argc, argv);
	else
		argc = link_args(s, own_args(s, cpus, argv), argv);
	if (!err)
		err = descriptors_fit();
	if (!err && !eal.given)
		err = memory_fits(s);
	if (!err)
		err = log_open(&stream);
	if (err)
		return err;
	argv[argc] = NULL;
	rte_errno = 0;
	quiet = eal.given || libos_settings_bool(s, "catnip.hugepages");
	ret = quiet ? init_quietly(argc, argv) : rte_eal_init(argc, argv);
	if (ret < 0) {
		err = refuse(rte_errno);
		rte_openlog_stream(NULL);
		fclose(stream);
		return err;
	}
	eal.memif_log = rte_log_register("pmd.net.memif");
	rte_log_set_level((uint32_t)eal.memif_log, RTE_LOG_DEBUG);
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	if (eal_run(&job) || !eal_wait(&job, 5000)) {
		log_error("catnip: EAL's interrupt thread does not answer");
		return EIO;
	}
	hush_library("libbpf.so.1", "libbpf_set_print");
	hush_library("libxdp.so.1", "libxdp_set_print");
	memory_fd_keep();
	eal.started = true;
	entered = true; /* EAL's main thread has its place for good */
	return 0;
}

int eal_start(const struct libos_settings *s, bool *given_out)
{
	cpu_set_t cpus;
	int err;

	if (eal.pid && eal.pid != getpid()) {
		log_error("catnip: the parent of this process had started EAL: fork before "
			  "demi_init, or exec");
		return ENOSYS;
	}
	if (!eal.started) {
		eal.given = libos_settings_given(s, "dpdk.eal_init");
		if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
			return errno;
		eal.pid = getpid();
		err = start(s, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
		if (err)
			return err;
	}
	*given_out = eal.given;
	return 0;
}

int eal_enter(void)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	if (rte_thread_register() < 0) {
		log_error("catnip: more than %d threads use DPDK", RTE_MAX_LCORE);
		return ENOSPC;
	}
	return 0;
}

void eal_leave(void)
{
	if (!entered && rte_lcore_id() != LCORE_ID_ANY)
		rte_thread_unregister();
}
