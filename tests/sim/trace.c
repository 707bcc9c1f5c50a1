#include "config.h"

#include "tests/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/world.h"

static void print(const struct trace_line *line)
{
	char text[256];

	printf("%4" PRIu64 ".%09" PRIu64 " h%d ", line->at / 1000000000, line->at % 1000000000,
	       line->who);
	if (!line->what) {
		printf("     %s\n", (const char *)line->bytes);
		return;
	}
	frame_print(text, sizeof(text), line->bytes,
		    line->len < TRACE_BYTES ? line->len : TRACE_BYTES, line->len, line->ethernet);
	printf("%-4s %s\n", line->what, text);
}

static struct trace_line *next(struct world *w, int who)
{
	struct trace_line *line = &w->trace.last[w->trace.n++ % TRACE_KEPT];

	line->at = w->events.now;
	line->who = who;
	return line;
}

void trace_frame(struct world *w, int who, const char *what, const uint8_t *data, uint32_t len,
		 bool ethernet)
{
	struct trace_line *line = next(w, who);

	line->what = what;
	line->len = len;
	line->ethernet = ethernet;
	memcpy(line->bytes, data, len < TRACE_BYTES ? len : TRACE_BYTES);
	if (w->trace.live)
		print(line);
}

void trace_note(struct world *w, int who, const char *format, ...)
{
	struct trace_line *line = next(w, who);
	va_list args;

	line->what = NULL;
	va_start(args, format);
	vsnprintf((char *)line->bytes, TRACE_BYTES, format, args);
	va_end(args);
	if (w->trace.live)
		print(line);
}

void trace_dump(const struct trace *t)
{
	uint64_t first = t->n > TRACE_KEPT ? t->n - TRACE_KEPT : 0;

	for (uint64_t i = first; i < t->n; i++)
		print(&t->last[i % TRACE_KEPT]);
}
