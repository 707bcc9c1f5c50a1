/* How clowder-stat shows a set of counters. */
#ifndef APPS_STAT_PRINT_H
#define APPS_STAT_PRINT_H

#include <stdbool.h>

#include "apps/stat_file.h"

/* One line for each instance. */
void stat_print_list(const struct stat_set *set);
/* Every counter; with rates where `before` (NULL: nothing) has the instance too. */
void stat_print_counters(const struct stat_set *set, const struct stat_set *before);
/* The table of connections of each that has one. */
void stat_print_conns(const struct stat_set *set);
/* The same for programs: one object on one line, with the connections if conns. */
void stat_print_json(const struct stat_set *set, const struct stat_set *before, bool conns);

#endif /* APPS_STAT_PRINT_H */
