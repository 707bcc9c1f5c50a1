#include "config.h"

#include "bench/usage.h"

#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The sum of the lines "key: N kB" of a file of /proc, in bytes, by key. */
static void sum_lines(const char *path, const char *const *keys, int64_t *sums, int n)
{
	FILE *f = fopen(path, "re");
	char line[256], key[64];
	long long kb;

	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %lld kB", key, &kb) != 2)
			continue;
		for (int i = 0; i < n; i++)
			if (!strcmp(key, keys[i]))
				sums[i] += kb * 1024;
	}
	fclose(f);
}

static int64_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long long pages = 0;

	if (!f || fscanf(f, "%lld", &pages) != 1)
		err(1, "/proc/self/statm");
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!dir)
		err(1, "/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

void usage_read(struct usage *u)
{
	static const char *const keys[] = { "Rss", "Private_Clean", "Private_Dirty" };
	int64_t sums[3] = { 0 };

	sum_lines("/proc/self/smaps_rollup", keys, sums, 3);
	u->rss = sums[0];
	u->own = sums[1] + sums[2];
	u->mapped = address_space();
	u->fds = count_fds();
}

int64_t usage_shared_memory(void)
{
	static const char *const keys[] = { "Shmem" };
	int64_t sum = 0;

	sum_lines("/proc/meminfo", keys, &sum, 1);
	return sum;
}
