/* The server: a queue that listens, the connections, and their time. */
#ifndef APPS_HTTP_SERVER_H
#define APPS_HTTP_SERVER_H

#include "apps/http_options.h"

/* Serves until a signal; the exit status. A failure to begin says so and ends. */
int http_server_run(const struct http_options *opt);

#endif /* APPS_HTTP_SERVER_H */
