/* What happened last, for whoever has to find out why; or all of it, as it happens. */
#ifndef TESTS_SIM_TRACE_H
#define TESTS_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct world;

#define TRACE_KEPT 64u
#define TRACE_BYTES 100u

struct trace_line {
	uint64_t at;
	const char *what;	/* of a frame; NULL: text is all there is */
	int who;
	bool ethernet;
	uint32_t len;
	uint8_t bytes[TRACE_BYTES];
};

struct trace {
	bool live;		/* printed at once */
	uint64_t n;
	struct trace_line last[TRACE_KEPT];
};

/* what: a literal ("out", "lost"...); who: the host's number. */
void trace_frame(struct world *w, int who, const char *what, const uint8_t *data, uint32_t len,
		 bool ethernet);
__attribute__((__format__(__printf__, 3, 4)))
void trace_note(struct world *w, int who, const char *format, ...);
/* The last ones, oldest first, to stdout. */
void trace_dump(const struct trace *t);

#endif /* TESTS_SIM_TRACE_H */
