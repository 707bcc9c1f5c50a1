/* clowder-http: the files of a directory, over any backend. */
#include "config.h"

#include "apps/http_options.h"
#include "apps/http_server.h"

int main(int argc, char **argv)
{
	struct http_options opt;

	http_options_parse(&opt, argc, argv);
	return http_server_run(&opt);
}
