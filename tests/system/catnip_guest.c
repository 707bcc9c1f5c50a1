/*
 * EAL is a guest in the process: what a program sees of its start is nothing.
 *
 *	catnip_guest [N]	so many descriptors (0) a port may leave behind
 */
#include "config.h"

#include "tests/system/catnip_bare.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned n, failed;

static void check(bool ok, const char *what)
{
	n++;
	failed += !ok;
	dprintf(9, "%sok %u - %s\n", ok ? "" : "not ", n, what);
}

static void signals(struct sigaction *all)
{
	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &all[i]))
			memset(&all[i], 0, sizeof(all[i]));
}

static bool signals_are(const struct sigaction *all)
{
	struct sigaction now[NSIG];

	signals(now);
	for (int i = 1; i < NSIG; i++)
		if (now[i].sa_handler != all[i].sa_handler)
			return false;
	return true;
}

/* The pages of EAL's memory that are there, in bytes. */
static long resident(void)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssShmem:", 9))
			kb = atol(line + 9);
	if (f)
		fclose(f);
	return kb * 1024;
}

static void *in_thread(void *arg)
{
	(void)arg;
	bare_close(bare_open_or_exit());
	return NULL;
}

static bool threads_come_and_go(void)
{
	for (int i = 0; i < 3; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, in_thread, NULL) || pthread_join(t, NULL))
			return false;
	}
	return true;
}

static int child_opens(void)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		struct libos *os = bare_open_or_exit();

		bare_close(os);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned count_fds(void)
{
	unsigned open = 0;

	for (int fd = 0; fd < 1024; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open;
}

int main(int argc, char **argv)
{
	char *const words[] = { argv[0], (char *)(uintptr_t)"-a", (char *)(uintptr_t)"-b", NULL };
	struct sigaction actions[NSIG];
	cpu_set_t before, after;
	struct libos *os;
	struct stat st;
	unsigned fds;
	int said;

	dup2(1, 9);
	said = open(".", O_TMPFILE | O_RDWR, 0600);
	if (said < 0)
		said = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	dup2(said, 1);
	dup2(said, 2);

	check(child_opens() == 0, "a child of a process without EAL has its own");
	check(child_opens() == 0, "and so has the next");
	signals(actions);
	sched_getaffinity(0, sizeof(before), &before);
	getopt(3, words, "ab");
	os = bare_open_or_exit();
	check(getopt(3, words, "ab") == 'b', "getopt goes on");
	sched_getaffinity(0, sizeof(after), &after);
	check(CPU_EQUAL(&before, &after), "affinity is as before");
	check(signals_are(actions), "signal handlers are as before");
	check(resident() < (64 << 20), "memory comes when it is used");
	bare_close(os);
	check(child_opens() == 38, "a child of a process with EAL is refused ENOSYS");
	if (ftruncate(said, 0))
		check(false, "ftruncate");
	fds = count_fds();
	for (int i = 0; i < 5; i++)
		bare_close(bare_open_or_exit());
	check(threads_come_and_go(), "threads come and go");
	check(count_fds() <= fds + 8 * (unsigned)atoi(argc > 1 ? argv[1] : "0"),
	      "no descriptor is left behind");
	fflush(NULL);
	check(fstat(said, &st) == 0 && st.st_size == 0, "nothing is said");
	dprintf(9, "1..%u\n", n);
	return failed != 0;
}
