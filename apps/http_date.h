/* Dates as HTTP writes them: RFC 9110 5.6.7. */
#ifndef APPS_HTTP_DATE_H
#define APPS_HTTP_DATE_H

#include <time.h>

#include "apps/http_text.h"

#define HTTP_DATE_ROOM 30u

void http_date_format(char out[HTTP_DATE_ROOM], time_t when);
/* Any of the three forms; false: none of them. */
bool http_date_parse(struct http_text text, time_t *when_out);

#endif /* APPS_HTTP_DATE_H */
