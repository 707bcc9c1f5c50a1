#include "config.h"

#include "net/count.h"

const char *const net_count_names[NET_N_COUNTS] = {
#define X(name, text) [NET_C_##name] = text,
	NET_COUNTS(X)
#undef X
};
