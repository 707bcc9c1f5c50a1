/*
 * Unit tests of base/ and libos/: a suite per module, one program. Where an
 * instance is needed it is a real one, of the first backend that was built.
 */
#ifndef TESTS_UNIT_CORE_H
#define TESTS_UNIT_CORE_H

#include <check.h>
#include <stddef.h>

#include "libos/libos.h"

Suite *bell_suite(void);
Suite *buf_suite(void);
Suite *list_suite(void);
Suite *op_suite(void);
Suite *queue_suite(void);
Suite *rundir_suite(void);
Suite *settings_suite(void);
Suite *stat_suite(void);
Suite *watch_suite(void);

/* An instance, opened by core_setup() and closed by core_teardown(). */
extern struct libos *os;
void core_setup(void);
void core_teardown(void);
/* A directory of this case's own, inside the program's. */
const char *core_dir(void);
/* What f writes to stderr, cut; f's result. */
int core_captured(int (*f)(void *arg), void *arg, char *text, size_t len);

#endif /* TESTS_UNIT_CORE_H */
