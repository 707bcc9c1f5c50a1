#include "config.h"

#include "net/tcp_cc.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

static const struct net_tcp_cc *const all[] = {
	&net_tcp_newreno,
};

const struct net_tcp_cc *net_tcp_cc_find(const char *name)
{
	for (size_t i = 0; i < array_size(all); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}
