/* base/ is headers so far; this file proves that each stands alone. */
#include "config.h"

#include "base/compiler.h"
#include "base/copy.h"
#include "base/list.h"
#include "base/time.h"

_Static_assert(sizeof(struct list) == 2 * sizeof(void *), "a list node is two pointers");
