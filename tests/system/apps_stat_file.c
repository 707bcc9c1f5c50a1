/*
 * apps_stat_file DIR FAULT: makes a counters file of this process in DIR with one
 * thing wrong with it ("none": nothing), holds its lock, says its pid, and lives
 * until it is killed. What clowder-stat must see through.
 */
#include <demi/stat.h>
#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct file {
	struct demi_stat_header header;
	struct demi_stat_entry entries[2];
	uint64_t values[2];
};

static size_t length = sizeof(struct file);

static void fill(struct file *f)
{
	*f = (struct file){
		.header = {
			.magic = DEMI_STAT_MAGIC,
			.version = DEMI_STAT_VERSION,
			.size = sizeof(*f),
			.pid = (uint32_t)getpid(),
			.entries_offset = offsetof(struct file, entries),
			.n_entries = 2,
			.libos = "catnap",
			.program = "made\x1b[2Jup",
		},
		.entries = {
			{"test.events", DEMI_STAT_COUNTER, offsetof(struct file, values)},
			{"test.level", DEMI_STAT_GAUGE, offsetof(struct file, values[1])},
		},
		.values = {123456789012345, 42},
	};
}

static int spoil(struct file *f, const char *fault)
{
	if (strcmp(fault, "none") == 0)
		return 0;
	if (strcmp(fault, "starting") == 0)
		f->header.magic = 0;
	else if (strcmp(fault, "magic") == 0)
		f->header.magic++;
	else if (strcmp(fault, "version") == 0)
		f->header.version++;
	else if (strcmp(fault, "pid") == 0)
		f->header.pid++;
	else if (strcmp(fault, "size") == 0)
		f->header.size++;
	else if (strcmp(fault, "offset") == 0)
		f->header.entries_offset = UINT32_MAX - 7;
	else if (strcmp(fault, "odd") == 0)
		f->header.entries_offset++;
	else if (strcmp(fault, "count") == 0)
		f->header.n_entries = UINT32_MAX;
	else if (strcmp(fault, "name") == 0)
		memset(f->entries[1].name, 'x', sizeof(f->entries[1].name));
	else if (strcmp(fault, "kind") == 0)
		f->entries[1].kind = 77;
	else if (strcmp(fault, "value") == 0)
		f->entries[1].value_offset = UINT32_MAX - 7;
	else if (strcmp(fault, "edge") == 0)
		f->entries[1].value_offset = sizeof(*f);
	else if (strcmp(fault, "text") == 0)
		memset(f->header.libos, 'x', sizeof(f->header.libos));
	else if (strcmp(fault, "short") == 0)
		length = sizeof(struct demi_stat_header) - 1;
	else if (strcmp(fault, "cut") == 0)
		length = offsetof(struct file, values);
	else
		return 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct file f;
	char path[4096];
	int fd;

	fill(&f);
	if (argc != 3 || spoil(&f, argv[2]))
		errx(2, "usage: apps_stat_file DIR FAULT");
	snprintf(path, sizeof(path), "%s/%d.0", argv[1], (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, &f, length) != (ssize_t)length || flock(fd, LOCK_EX) < 0)
		err(1, "%s", path);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
