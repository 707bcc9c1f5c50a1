#include "config.h"

#include "apps/http_date.h"

#include <string.h>

/* The program sets no locale, so days and months have their English names. */
static const char fixdate[] = "%a, %d %b %Y %H:%M:%S GMT";

void http_date_format(char out[HTTP_DATE_ROOM], time_t when)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	if (strftime(out, HTTP_DATE_ROOM, fixdate, &tm) == 0)
		out[0] = '\0';
}

bool http_date_parse(struct http_text text, time_t *when_out)
{
	static const char *const forms[] = {
		fixdate,
		"%A, %d-%b-%y %H:%M:%S GMT",	/* RFC 850 */
		"%a %b %e %H:%M:%S %Y",		/* asctime() */
	};
	char copy[40];

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(copy, forms[i], &tm);

		if (end && *end == '\0') {
			*when_out = timegm(&tm);
			return true;
		}
	}
	return false;
}
