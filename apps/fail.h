/*
 * One clear line on stderr, and the end. Every program in this folder that is
 * more than an example reports its failures through here.
 */
#ifndef APPS_FAIL_H
#define APPS_FAIL_H

/* "program: message", exit status 1. */
_Noreturn void fail(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));
/* The same with " (see --help)" behind it, exit status 2: the command line is wrong. */
_Noreturn void fail_usage(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));

/* Something that is on the terminal's line and has to go first; NULL: nothing. */
void fail_before(void (*clear)(void));

#endif /* APPS_FAIL_H */
