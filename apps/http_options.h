/* The command line of clowder-http. */
#ifndef APPS_HTTP_OPTIONS_H
#define APPS_HTTP_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct http_options {
	const char *root;
	struct sockaddr_in addr;
	uint64_t cache;		/* bytes */
	uint64_t timeout_ns;
	uint32_t connections;	/* at most */
	bool json;
	bool quiet;
};

/* Ends the program on --help, --version and a wrong command line. --libos has been
 * put into the environment. */
void http_options_parse(struct http_options *opt, int argc, char **argv);

#endif /* APPS_HTTP_OPTIONS_H */
