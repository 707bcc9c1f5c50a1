/* The client: connections that share a number of requests for one file. */
#ifndef APPS_GET_CLIENT_H
#define APPS_GET_CLIENT_H

#include "apps/get_options.h"

/* The exit status; a failure says so and ends the program. */
int get_client_run(const struct get_options *opt);

#endif /* APPS_GET_CLIENT_H */
