/*
 * One cache line there and back between two pinned processes.
 *
 *	cacheline [milliseconds]
 */
#include "config.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/line.h"

int main(int argc, char **argv)
{
	unsigned long ms = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
	struct line *line = line_new();
	int cpus[2], status;
	pid_t child;

	cpu_pair(cpus);
	child = fork();
	if (child < 0)
		err(1, "fork");
	cpu_pin(cpus[child == 0]);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		line_answer(line);
		_exit(0);
	}
	printf("p50_ns %.1f\n", line_measure(line, ms * UINT64_C(1000000)));
	return waitpid(child, &status, 0) < 0 || status != 0;
}
