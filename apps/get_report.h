/* What clowder-get tells people and programs. */
#ifndef APPS_GET_REPORT_H
#define APPS_GET_REPORT_H

#include <stdint.h>

#include "apps/get_options.h"
#include "apps/sha256.h"

struct get_result {
	int status;
	uint64_t requests;	/* answered, all alike */
	uint64_t body;		/* bytes of each */
	uint64_t connects;
	uint64_t repeats;	/* requests sent again, their connection had been closed */
	uint64_t elapsed_ns;
	char sha256[SHA256_TEXT];
};

void get_report(const struct get_options *opt, const struct get_result *res);

#endif /* APPS_GET_REPORT_H */
