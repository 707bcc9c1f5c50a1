#include "config.h"

#include "bench/cpu.h"

#include <err.h>
#include <sched.h>
#include <stddef.h>

void cpu_pair(int cpus_out[2])
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		err(2, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			cpus_out[n++] = cpu;
	if (n < 2)
		errx(2, "two cores are needed, this process may use one");
}

void cpu_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(2, "pinning to core %d", cpu);
}
