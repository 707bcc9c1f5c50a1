#include "config.h"

#include "apps/option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/fail.h"

const char *option_addr_text(const struct sockaddr_in *addr, char *buf, size_t len)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr->sin_addr, ip, sizeof(ip));
	snprintf(buf, len, "%s:%u", ip, ntohs(addr->sin_port));
	return buf;
}

static uint64_t suffix_factor(const char *end)
{
	if (strcmp(end, "") == 0)
		return 1;
	if (strcasecmp(end, "k") == 0)
		return UINT64_C(1) << 10;
	if (strcasecmp(end, "m") == 0)
		return UINT64_C(1) << 20;
	return 0;
}

uint64_t option_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t value, factor;

	errno = 0;
	value = strtoull(text, &end, 10);
	factor = suffix_factor(end);
	/* strtoull takes "-1" and " 1", which nobody means */
	if (errno || end == text || !factor || *text < '0' || *text > '9')
		fail_usage("--%s: not a number: '%s'", name, text);
	if (value > max / factor || value * factor < min)
		fail_usage("--%s takes %llu to %llu, not %s", name, (unsigned long long)min,
			   (unsigned long long)max, text);
	return value * factor;
}

uint64_t option_seconds(const char *name, const char *text, double min)
{
	char *end;
	double value;

	value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		fail_usage("--%s: not a number of seconds: '%s'", name, text);
	if (value < min || value > 1e6)
		fail_usage("--%s takes %g to 1000000 seconds, not %s", name, min, text);
	return (uint64_t)(value * 1e9);
}

void option_addr(const char *name, const char *text, struct in_addr *addr_out)
{
	if (inet_pton(AF_INET, text, addr_out) != 1)
		fail_usage("--%s: not an IPv4 address: '%s'", name, text);
}

void option_libos(const char *name)
{
	if (setenv("LIBOS", name, 1))
		fail("--libos: %s", strerror(errno));
}

void option_bad(int key, char *const *argv)
{
	const char *text = argv[optind - 1];
	char letter[3] = {'-', (char)optopt, '\0'};

	/* inside "-jx" only the letter says which; long names stand alone */
	if (strncmp(text, "--", 2) != 0 && optopt > 0 && optopt < 256)
		text = letter;
	if (key == ':')
		fail_usage("%s needs a value", text);
	fail_usage("%s: '%s'", strchr(text, '=') ? "no such option, or it takes no value"
						 : "no such option", text);
}

void option_print(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) ? 1 : 0);
}
