/* clowder-get: fetches a file by HTTP, over any backend. */
#include "config.h"

#include <stdlib.h>

#include "apps/get_client.h"
#include "apps/get_options.h"

int main(int argc, char **argv)
{
	struct get_options opt;
	int status;

	get_options_parse(&opt, argc, argv);
	status = get_client_run(&opt);
	free(opt.host);
	return status;
}
