#include "config.h"

#include "libos/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int log_level = LIBOS_LOG_WARN;

void libos_log_set_level(enum libos_log_level level)
{
	atomic_store(&log_level, (int)level);
}

/* One write() a line, so that lines of several threads do not mix. */
void libos_log(enum libos_log_level level, const char *fmt, ...)
{
	char line[512];
	int saved = errno;
	va_list ap;
	int n, m;

	if ((int)level > atomic_load(&log_level))
		return;
	n = snprintf(line, sizeof(line), "clowder: ");
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		(void)0; /* nowhere left to say so */
	errno = saved;
}
