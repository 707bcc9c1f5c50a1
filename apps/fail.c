#include "config.h"

#include "apps/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void (*before)(void);

void fail_before(void (*clear)(void))
{
	before = clear;
}

static void say(const char *tail, const char *fmt, va_list ap)
{
	if (before)
		before();
	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "%s\n", tail);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
	exit(1);
}

void fail_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(" (see --help)", fmt, ap);
	va_end(ap);
	exit(2);
}
