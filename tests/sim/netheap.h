/* Put in front of each source of net/ by the compiler's command line. */
#ifndef TESTS_SIM_NETHEAP_H
#define TESTS_SIM_NETHEAP_H

#include <stdlib.h>

#include "tests/sim/heap.h"

#define malloc(size) sim_malloc(size)
#define calloc(n, size) sim_calloc(n, size)
#define realloc(old, size) sim_realloc(old, size)
#define aligned_alloc(align, size) sim_aligned_alloc(align, size)
#define free(p) sim_free(p)

#endif /* TESTS_SIM_NETHEAP_H */
