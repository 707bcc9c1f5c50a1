/* Proves that each header of base/ that has no .c stands alone. */
#include "config.h"

#include "base/compiler.h"
#include "base/copy.h"
#include "base/list.h"
#include "base/time.h"

_Static_assert(sizeof(struct list) == 2 * sizeof(void *), "a list node is two pointers");
