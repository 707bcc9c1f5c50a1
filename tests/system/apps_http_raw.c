/*
 * apps_http_raw requests PORT: requests that curl would not send, each on a connection
 * of its own, at once and then byte by byte. Behind each comes a plain one that asks
 * for the connection to be closed: "400" alone says that it was closed before.
 * apps_http_raw slow PORT: clients that are idle, that send a head without end, that
 * read nothing (of /large): each is given up, here with --timeout 1.
 * apps_http_raw hold N PORT: N connections with half a head; prints a line and waits.
 * apps_http_raw answer FILE: a server for one connection, which gets what is in FILE.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWERS_MAX (1u << 20)
#define WAIT_MS 20000

struct row {
	const char *name;
	const char *before;
	unsigned repeat;	/* times `fill` */
	const char *fill;
	const char *after;
	const char *want;	/* the answers' statuses */
};

#define H " HTTP/1.1\r\nHost: x\r\n"
static const char last[] = "GET /a.txt" H "Connection: close\r\n\r\n";

static const struct row rows[] = {
	{"plain", "GET /a.txt" H "\r\n", 0, "", "", "200 200"},
	{"LF alone", "GET /a.txt HTTP/1.1\nHost: x\n\n", 0, "", "", "200 200"},
	{"empty lines first", "\r\n\r\nGET /a.txt" H "\r\n", 0, "", "", "200 200"},
	{"pipelined", "", 50, "GET /a.txt" H "\r\n", "GET /none" H "\r\nHEAD /a.txt" H "\r\n",
	 "200*50 404 200 200"},
	{"1.0", "GET /a.txt HTTP/1.0\r\n\r\n", 0, "", "", "200"},
	{"1.0 kept alive", "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, "", "",
	 "200 200"},
	{"absolute form", "GET http://y:80/a.txt" H "\r\n", 0, "", "", "200 200"},
	{"close, Close", "GET /a.txt" H "Connection: x, Close\r\n\r\n", 0, "", "", "200"},
	{"body passed over", "GET /a.txt" H "Content-Length: 60000\r\n\r\n", 6000,
	 "GET / HTTP", "", "200 200"},
	{"body with POST", "POST /a.txt" H "Content-Length: 5\r\n\r\n12345", 0, "", "", "405 200"},
	{"methods", "PUT /" H "\r\nDELETE /" H "\r\nOPTIONS *" H "\r\nBREW /" H "\r\n", 0, "", "",
	 "405 405 405 501 200"},
	{"not found, kept", "GET /none" H "\r\n", 0, "", "", "404 200"},
	{"climbing", "GET /../../etc/passwd" H "\r\nGET /%2e%2e/%2e%2e/etc/passwd" H "\r\n", 0, "",
	 "GET /..%2f..%2fetc/passwd" H "\r\nGET /sub/../../a.txt" H "\r\n", "400 400 404 400 200"},
	{"NUL in a path", "GET /a.txt%00.html" H "\r\n", 0, "", "", "400 200"},
	{"no host", "GET / HTTP/1.1\r\n\r\n", 0, "", "", "400"},
	{"two hosts", "GET /" H "Host: y\r\n\r\n", 0, "", "", "400"},
	{"no version", "GET /\r\n\r\n", 0, "", "", "400"},
	{"http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "", "", "505"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 1, "x", "", "400"},
	{"space before a colon", "GET /" H "A : b\r\n\r\n", 0, "", "", "400"},
	{"folded", "GET /" H "A: b\r\n c\r\n\r\n", 0, "", "", "400"},
	{"bare CR", "GET /" H "A: b\rc\r\n\r\n", 0, "", "", "400"},
	{"control character", "GET /" H "A: \x01\r\n\r\n", 0, "", "", "400"},
	{"two lengths", "GET /" H "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 0, "", "",
	 "400"},
	{"length and coding", "GET /" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
	 "", "0\r\n\r\n", "400"},
	{"chunked", "GET /" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "", "", "411"},
	{"gzipped", "GET /" H "Transfer-Encoding: gzip\r\n\r\n", 0, "", "", "501"},
	{"too large", "GET /" H "Content-Length: 100000\r\n\r\n", 10000, "0123456789", "", "413"},
	{"a pony", "GET /" H "Expect: pony\r\n\r\n", 0, "", "", "417"},
	{"expects 100", "POST /" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, "", "",
	 "405"},
	{"long target", "GET /", 4200, "a", H "\r\n", "414"},
	{"longest target", "GET /", 4094, "a", H "\r\n", "404 200"},
	{"endless target", "GET /", 20000, "a", "", "414"},
	{"long field", "GET /" H "A: ", 17000, "a", "\r\n\r\n", "431"},
	{"many fields", "GET /" H, 100, "A: b\r\n", "\r\n", "431"},
	{"as many fields as may be", "GET /a.txt" H, 99, "A: b\r\n", "\r\n", "200 200"},
	{"nonsense", "\r\n\r\n", 500, "@#$%", "\r\n\r\n", "400"},
};

static _Noreturn void fail(const char *name, const char *why)
{
	printf("FAIL: %s: %s\n", name, why);
	exit(1);
}

static int connect_to(unsigned port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail("connect", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Both directions at once: neither end waits for the other to read. */
static size_t exchange(int fd, const char *bytes, size_t len, size_t step, char *answers)
{
	size_t sent = 0, got = 0;

	for (;;) {
		struct pollfd p = {fd, (short)(POLLIN | (sent < len ? POLLOUT : 0)), 0};
		ssize_t n;

		if (poll(&p, 1, WAIT_MS) < 1)
			fail("answers", "nothing comes, and no end");
		if (p.revents & POLLOUT && sent < len) {
			n = send(fd, bytes + sent, len - sent < step ? len - sent : step,
				 MSG_NOSIGNAL);
			if (n < 0)
				len = sent; /* it has had enough */
			else
				sent += (size_t)n;
		}
		if (!(p.revents & ~POLLOUT))
			continue;
		n = recv(fd, answers + got, ANSWERS_MAX - 1 - got, 0);
		if (n < 0)
			fail("answers", strerror(errno));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	answers[got] = '\0';
	return got;
}

/* "200 200 404", as the rows have it; bodies contain no status line. */
static void statuses(const char *answers, char *out, size_t room)
{
	char before[4] = "";
	unsigned n = 0;
	size_t len = 0;

	out[0] = '\0';
	for (;;) {
		const char *next = answers ? strstr(answers, "HTTP/1.1 ") : NULL;
		char status[4] = "";

		if (next)
			memcpy(status, next + 9, 3);
		if (n > 0 && strcmp(status, before) != 0) {
			len += (size_t)snprintf(out + len, room - len, n > 9 ? "%s%s*%u" : "%s%s",
						len ? " " : "", before, n);
			for (; n <= 9 && n > 1; n--)
				len += (size_t)snprintf(out + len, room - len, " %s", before);
			n = 0;
		}
		if (!next)
			return;
		memcpy(before, status, sizeof(before));
		n++;
		answers = next + 9;
	}
}

static size_t build(const struct row *row, char *out)
{
	size_t len = (size_t)sprintf(out, "%s", row->before);

	for (unsigned i = 0; i < row->repeat; i++)
		len += (size_t)sprintf(out + len, "%s", row->fill);
	return len + (size_t)sprintf(out + len, "%s%s", row->after, last);
}

static int check_row(const struct row *row, size_t step, unsigned port)
{
	static char bytes[ANSWERS_MAX], answers[ANSWERS_MAX];
	size_t len = build(row, bytes);
	char got[200];
	int fd = connect_to(port);

	exchange(fd, bytes, len, step, answers);
	close(fd);
	statuses(answers, got, sizeof(got));
	if (strcmp(got, row->want) == 0)
		return 0;
	printf("FAIL: %s, in steps of %zu bytes: '%s', not '%s'\n", row->name, step, got,
	       row->want);
	return 1;
}

static int requests(unsigned port)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		failed += check_row(&rows[i], SIZE_MAX, port);
		if (rows[i].repeat < 200)
			failed += check_row(&rows[i], 1, port);
		failed += check_row(&rows[i], 1000, port);
	}
	return failed;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int slow(unsigned port)
{
	int idle = connect_to(port), head = connect_to(port), deaf = connect_to(port);
	static char answers[ANSWERS_MAX];
	double began = seconds();
	size_t total = 0;
	ssize_t n;

	send(deaf, "GET /large" H "\r\n", strlen("GET /large" H "\r\n"), 0);
	for (int i = 0; i < 15 && send(head, "GET /", 1, MSG_NOSIGNAL) == 1; i++)
		usleep(100000);
	if (exchange(idle, "", 0, 1, answers) > 0)
		fail("idle", answers);
	exchange(head, "", 0, 1, answers);
	if (strncmp(answers, "HTTP/1.1 408 ", 13) != 0 || !strstr(answers, "Connection: close"))
		fail("a head that trickles", answers);
	if (seconds() < began + 0.9 || seconds() > began + 15)
		fail("time", "too early or too late");
	while ((n = recv(deaf, answers, sizeof(answers), 0)) > 0)
		total += (size_t)n;
	if (n == 0 || errno != ECONNRESET)
		fail("who reads nothing", n == 0 ? "is sent all" : strerror(errno));
	printf("given up after %zu bytes\n", total);
	return 0;
}

static int hold(unsigned n, unsigned port)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	for (unsigned i = 0; i < n; i++)
		send(connect_to(port), "GET /a", 6, MSG_NOSIGNAL);
	printf("holding\n");
	fflush(stdout);
	return pause();
}

static int answer_once(const char *path)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	static char bytes[ANSWERS_MAX];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!file || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		fail("answer", strerror(errno));
	fclose(file);
	printf("listening on %u\n", ntohs(addr.sin_port));
	fflush(stdout);
	fd = accept(fd, NULL, NULL);
	recv(fd, bytes + n, sizeof(bytes) - n, 0);
	send(fd, bytes, n, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "requests") == 0)
		return requests((unsigned)atoi(argv[2])) ? 1 : 0;
	if (argc == 3 && strcmp(argv[1], "slow") == 0)
		return slow((unsigned)atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		return hold((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	if (argc == 3 && strcmp(argv[1], "answer") == 0)
		return answer_once(argv[2]);
	return 2;
}
