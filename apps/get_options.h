/* The command line of clowder-get. */
#ifndef APPS_GET_OPTIONS_H
#define APPS_GET_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct get_options {
	const char *url;
	char *host;		/* with its port, as in the URL: the Host field */
	const char *path;	/* with the query, from '/' on */
	struct sockaddr_in addr;
	const char *range;	/* "0-99"; NULL: the whole */
	const char *output;	/* NULL: stdout, if it is one answer that is not hashed */
	uint64_t count;		/* requests */
	uint32_t connections;
	uint32_t pipeline;	/* requests of one connection without an answer */
	uint64_t timeout_ns;
	bool head;
	bool close;		/* a connection for each request */
	bool hash;
	bool json;
};

/* Ends the program on --help, --version and a wrong command line. --libos has been
 * put into the environment. */
void get_options_parse(struct get_options *opt, int argc, char **argv);

#endif /* APPS_GET_OPTIONS_H */
