#include "config.h"

#include "net/tcp_cc.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

static const struct net_tcp_cc *const all[] = {
	&net_tcp_newreno,
};

/* NewReno has the name by which programs know it from Linux, and its own. */
const struct net_tcp_cc *net_tcp_cc_find(const char *name)
{
	if (!strcmp(name, "newreno"))
		return &net_tcp_newreno;
	for (size_t i = 0; i < array_size(all); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}
