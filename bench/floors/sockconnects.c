/*
 * Connections a second through the kernel's sockets: bench/connects with nothing
 * of Clowder in it. Both ends spin on epoll; with --inflight 1 the client's
 * connect() blocks instead, which is quicker for one at a time.
 *
 *	sockconnects server|client [--addr A] [--port P] [--cpu N] [--ports N]
 *		[--inflight N] [--ms N] [--rounds N]
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/ends.h"
#include "bench/must.h"

#define EVENTS 64
#define PATIENCE_NS UINT64_C(3000000000)

static struct ends ends;
static uint32_t n_ports = 16, inflight = 16, ms = 500, n_rounds = 1;
static uint32_t turn;
static int epfd;

static void reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0)
		err(1, "SO_LINGER");
	close(fd);
}

static void watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static int new_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		err(1, "socket");
	return fd;
}

/* ---- server */

static void listen_at(uint32_t i)
{
	struct sockaddr_in addr = ends.addr;
	int fd = new_socket(SOCK_NONBLOCK), one = 1;

	addr.sin_port = htons((uint16_t)(ntohs(addr.sin_port) + i));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		err(1, "listening");
	watch(fd, EPOLLIN);
}

static void server(void)
{
	struct epoll_event evs[EVENTS];
	int conn, n;

	for (uint32_t i = 0; i < n_ports; i++)
		listen_at(i);
	ends_listening(&ends.addr);
	for (;;) {
		n = epoll_wait(epfd, evs, EVENTS, 0);
		for (int i = 0; i < n; i++)
			while ((conn = accept4(evs[i].data.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
				reset(conn);
	}
}

/* ---- client */

static void next_addr(struct sockaddr_in *addr_out)
{
	*addr_out = ends.addr;
	addr_out->sin_port = htons((uint16_t)(ntohs(ends.addr.sin_port) + turn++ % n_ports));
}

/* One connect() that blocks; whether it was refused. The server's reset may come
 * before it returns. */
static bool connect_one(void)
{
	struct sockaddr_in addr;
	int fd = new_socket(0), error = 0;

	next_addr(&addr);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		error = errno;
	reset(fd);
	if (error && error != ECONNREFUSED && error != ECONNRESET)
		must("connect", error);
	return error != ECONNREFUSED;
}

static void begin(void)
{
	struct sockaddr_in addr;
	int fd = new_socket(SOCK_NONBLOCK);

	next_addr(&addr);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS)
		err(1, "connect");
	watch(fd, EPOLLOUT);
}

static uint32_t collect(bool again)
{
	struct epoll_event evs[EVENTS];
	int n = epoll_wait(epfd, evs, EVENTS, 0), error;
	socklen_t len = sizeof(error);

	for (int i = 0; i < n; i++) {
		getsockopt(evs[i].data.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error && error != ECONNRESET)
			must("connect", error);
		reset(evs[i].data.fd);
		if (again)
			begin();
	}
	return n > 0 ? (uint32_t)n : 0;
}

static void await_server(void)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;

	while (!connect_one()) {
		if (clock_ns() > give_up)
			errx(1, "the server does not start");
		usleep(10000);
	}
}

static void one_round(void)
{
	uint64_t start = clock_ns(), duration = ms * UINT64_C(1000000), n = 0, now;

	for (uint32_t i = 0; i < inflight && inflight > 1; i++)
		begin();
	while ((now = clock_ns()) - start < duration)
		n += inflight > 1 ? collect(true) : connect_one();
	printf("connects_per_s %.0f\n", (double)n * 1e9 / (double)(now - start));
	for (uint32_t left = inflight > 1 ? inflight : 0; left;)
		left -= collect(false);
}

int main(int argc, char **argv)
{
	const struct ends_option options[] = {
		{ "ports", &n_ports, 1, 1000, NULL },
		{ "inflight", &inflight, 1, EVENTS, NULL },
		{ "ms", &ms, 1, 100000, NULL },
		{ "rounds", &n_rounds, 1, 100000, NULL },
		{ 0 },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	ends_options(&ends, options, argc, argv);
	ends_raise_descriptors();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		err(1, "epoll_create1");
	if (!ends.client)
		server();
	await_server();
	for (uint32_t i = 0; i < n_rounds; i++)
		one_round();
	return 0;
}
