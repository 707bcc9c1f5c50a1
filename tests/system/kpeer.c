/*
 * A plain program over kernel sockets, for others to be tested against:
 *   kpeer serve ADDR PORT, kpeer transfer ADDR PORT ...: see peer.h
 *   kpeer echo tcp|udp ADDR PORT: sends back what it gets
 *   kpeer ping tcp|udp ADDR PORT COUNT SIZE: sends, and compares what comes back
 * CC in the environment: the congestion control. Servers print "listening" when they are.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/system/peer.h"

#define CHUNK (64u << 10)
#define BATCH 64

static uint8_t chunk[CHUNK];

struct conn {
	int fd;
	uint32_t events;	/* waited for */
	bool open;
	struct peer_flow flow;
};

static void set_cc(int fd)
{
	const char *cc = getenv("CC");

	if (cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)))
		peer_fail("congestion control %s: %s", cc, strerror(errno));
}

static int open_socket(int type)
{
	int fd = socket(AF_INET, type, 0);
	int on = 1;

	if (fd < 0)
		peer_fail("socket: %s", strerror(errno));
	if (type == SOCK_DGRAM)
		return fd;
	set_cc(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int open_server(int type, const struct sockaddr_in *addr)
{
	int fd = open_socket(type);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		peer_fail("bind: %s", strerror(errno));
	if (type == SOCK_STREAM && listen(fd, 4096))
		peer_fail("listen: %s", strerror(errno));
	printf("listening\n");
	fflush(stdout);
	return fd;
}

/* ---- flows */

static void watch(int ep, struct conn *conn, int how, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = conn};

	if (how == EPOLL_CTL_MOD && events == conn->events)
		return;
	conn->events = events;
	if (epoll_ctl(ep, how, conn->fd, &ev))
		peer_fail("epoll: %s", strerror(errno));
}

/* What there is to send and room for; how many bytes. -1: errno. */
static ssize_t send_some(int ep, struct conn *conn)
{
	ssize_t total = 0, n = 0;
	size_t len;

	while ((len = peer_flow_peek(&conn->flow, chunk, sizeof(chunk))) > 0) {
		n = send(conn->fd, chunk, len, MSG_NOSIGNAL);
		if (n < 0)
			break;
		peer_flow_sent(&conn->flow, chunk, (size_t)n);
		total += n;
	}
	if (n < 0 && errno != EAGAIN)
		return -1;
	watch(ep, conn, EPOLL_CTL_MOD, len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return total;
}

/* -1: errno, or 0 for the end of the stream */
static ssize_t take_some(struct conn *conn)
{
	ssize_t n = recv(conn->fd, chunk, sizeof(chunk), 0);
	const char *why;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		errno = n ? errno : 0;
		return -1;
	}
	why = peer_flow_take(&conn->flow, chunk, (size_t)n);
	if (why)
		peer_fail("%s", why);
	return n;
}

/* ---- serve */

static void serve_accept(int ep, int fd)
{
	struct conn *conn;
	int new;

	while ((new = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		conn = calloc(1, sizeof(*conn));
		if (!conn)
			peer_fail("no memory");
		conn->fd = new;
		peer_flow_server(&conn->flow);
		watch(ep, conn, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static void serve_end(struct conn *conn)
{
	if (errno)
		printf("lost: %s\n", strerrorname_np(errno));
	else if (!peer_flow_done(&conn->flow))
		printf("lost: ended early\n");
	fflush(stdout);
	close(conn->fd);
	free(conn);
}

static _Noreturn void serve(const struct peer_args *args)
{
	int fd = open_server(SOCK_STREAM, &args->addr), ep = epoll_create1(0);
	struct conn listener = {.fd = fd};

	fcntl(fd, F_SETFL, O_NONBLOCK);
	watch(ep, &listener, EPOLL_CTL_ADD, EPOLLIN);
	for (;;) {
		struct epoll_event evs[BATCH];
		int n = epoll_wait(ep, evs, BATCH, 100);

		serve_accept(ep, fd);
		for (int i = 0; i < n; i++) {
			struct conn *conn = evs[i].data.ptr;

			if (conn == &listener)
				continue;
			if ((evs[i].events & ~(uint32_t)EPOLLOUT && take_some(conn) < 0) ||
			    send_some(ep, conn) < 0)
				serve_end(conn);
		}
	}
}

/* ---- transfer */

static void transfer_open(const struct peer_args *args, int ep, struct conn *conn, uint32_t i)
{
	conn->fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
	if (connect(conn->fd, (const struct sockaddr *)&args->addr, sizeof(args->addr)) &&
	    errno != EINPROGRESS)
		peer_fail("connect: %s", strerrorname_np(errno));
	peer_flow_client(&conn->flow, args->op, i + 1, args->len);
	watch(ep, conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	conn->open = true;
}

static void release(int ep, struct conn *conns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		conns[i].flow.held = false;
		watch(ep, &conns[i], EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
}

static void transfer_event(struct peer_progress *p, int ep, struct conn *conns,
			   struct conn *conn, uint32_t events)
{
	uint64_t before = conn->flow.in + conn->flow.out;
	bool fresh = conn->flow.held && !conn->flow.in;

	if ((events & ~(uint32_t)EPOLLOUT && take_some(conn) < 0) || send_some(ep, conn) < 0)
		peer_fail("lost: %s", errno ? strerrorname_np(errno) : "ended early");
	if (conn->flow.in + conn->flow.out > before)
		peer_progress_add(p, conn->flow.in + conn->flow.out - before);
	if (fresh && conn->flow.in && peer_progress_begun(p))
		release(ep, conns, p->args->connections);
	if (!peer_flow_done(&conn->flow))
		return;
	close(conn->fd);
	conn->open = false;
	p->done++;
}

static void transfer(const struct peer_args *args)
{
	struct conn *conns = calloc(args->connections, sizeof(*conns));
	struct peer_progress p;
	int ep = epoll_create1(0);
	char cc[32] = " ";
	socklen_t len = sizeof(cc) - 2;

	peer_progress_begin(&p, args);
	for (uint32_t i = 0; i < args->connections; i++)
		transfer_open(args, ep, &conns[i], i);
	getsockopt(conns[0].fd, IPPROTO_TCP, TCP_CONGESTION, cc + 1, &len);
	while (p.done < args->connections) {
		struct epoll_event evs[BATCH];
		int n = epoll_wait(ep, evs, BATCH, 100);

		for (int i = 0; i < n; i++)
			transfer_event(&p, ep, conns, evs[i].data.ptr, evs[i].events);
		peer_progress_check(&p);
	}
	close(ep);
	free(conns);
	peer_progress_end(&p, cc);
}

/* ---- echo, ping */

static void *echo_stream(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t *buf = malloc(CHUNK);
	ssize_t n;

	while (buf && (n = recv(fd, buf, CHUNK, 0)) > 0)
		for (ssize_t sent = 0, m; sent < n; sent += m) {
			m = send(fd, buf + sent, (size_t)(n - sent), MSG_NOSIGNAL);
			if (m < 0)
				break;
		}
	free(buf);
	close(fd);
	return NULL;
}

static _Noreturn void echo_streams(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (;;) {
		int new = accept(fd, NULL, NULL);

		if (new < 0 || pthread_create(&thread, &attr, echo_stream, (void *)(intptr_t)new))
			peer_fail("accept: %s", strerror(errno));
	}
}

static _Noreturn void echo_datagrams(int fd)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, chunk, sizeof(chunk), 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			sendto(fd, chunk, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static void ping_once(int fd, bool udp, uint8_t *out, uint8_t *in, size_t size)
{
	size_t sent = 0, got = 0;

	while (got < size) {
		struct pollfd p = {fd, (short)(POLLIN | (sent < size ? POLLOUT : 0)), 0};
		ssize_t n;

		if (poll(&p, 1, 5000) < 1)
			peer_fail("no answer");
		if (p.revents & POLLOUT) {
			n = send(fd, out + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				peer_fail("send: %s", strerrorname_np(errno));
			sent += n > 0 ? (size_t)n : 0;
		}
		if (!(p.revents & ~POLLOUT))
			continue;
		n = recv(fd, in + got, udp ? CHUNK : size - got, 0);
		if (n <= 0)
			peer_fail("lost: %s", n ? strerrorname_np(errno) : "ended early");
		if (udp && (size_t)n != size)
			peer_fail("%zd bytes, not %zu", n, size);
		got += (size_t)n;
	}
	if (memcmp(out, in, size) != 0)
		peer_fail("the answer is not the same");
}

static void ping(bool udp, const struct sockaddr_in *addr, unsigned count, size_t size)
{
	int fd = open_socket(udp ? SOCK_DGRAM : SOCK_STREAM);
	uint8_t *out = malloc(size), *in = malloc(size + CHUNK);

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		peer_fail("connect: %s", strerrorname_np(errno));
	for (unsigned i = 0; i < count; i++) {
		for (size_t k = 0; k < size; k++)
			out[k] = (uint8_t)(i * 7 + k * 13 + k / 256);
		ping_once(fd, udp, out, in, size);
	}
	close(fd);
	free(out);
	free(in);
	printf("%u answers\n", count);
}

static void raise_descriptors(void)
{
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool udp = argc > 2 && strcmp(argv[2], "udp") == 0;
	bool small = strcmp(what, "echo") == 0 || strcmp(what, "ping") == 0;
	struct peer_args args;

	raise_descriptors();
	/* "echo tcp ADDR PORT": the same, one word later */
	if (small && argc > 4)
		peer_args_parse(&args, 4, argv + 1);
	else
		peer_args_parse(&args, argc, argv);
	if (strcmp(what, "serve") == 0)
		serve(&args);
	if (strcmp(what, "echo") == 0 && udp)
		echo_datagrams(open_server(SOCK_DGRAM, &args.addr));
	if (strcmp(what, "echo") == 0)
		echo_streams(open_server(SOCK_STREAM, &args.addr));
	if (strcmp(what, "ping") == 0 && argc == 7)
		ping(udp, &args.addr, (unsigned)atoi(argv[5]), (size_t)atoi(argv[6]));
	else if (strcmp(what, "transfer") == 0)
		transfer(&args);
	else
		peer_fail("see the source for the arguments");
	return 0;
}
