/*
 * Messages for people, one line each on stderr: "clowder: catnap: ...". The
 * level is CLOWDER_LOG or log.level: error, warn (default), info, debug. Who
 * first knows what failed logs it, once; nothing logs per packet.
 */
#ifndef LIBOS_LOG_H
#define LIBOS_LOG_H

enum libos_log_level {
	LIBOS_LOG_ERROR,
	LIBOS_LOG_WARN,
	LIBOS_LOG_INFO,
	LIBOS_LOG_DEBUG,
};

void libos_log_set_level(enum libos_log_level level);
void libos_log(enum libos_log_level level, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

#define log_error(...) libos_log(LIBOS_LOG_ERROR, __VA_ARGS__)
#define log_warn(...) libos_log(LIBOS_LOG_WARN, __VA_ARGS__)
#define log_info(...) libos_log(LIBOS_LOG_INFO, __VA_ARGS__)
#define log_debug(...) libos_log(LIBOS_LOG_DEBUG, __VA_ARGS__)

#endif /* LIBOS_LOG_H */
