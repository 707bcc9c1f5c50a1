/*
 * 64 bytes there and back through the kernel's sockets: bench/roundtrip with
 * nothing of Clowder in it.
 *
 *	sockpong server|client [--proto tcp|udp] [--wait recv|epoll|block] [--addr A]
 *		[--port P] [--cpu N] [--ms N] [--rounds N] [--batch N]
 *
 * It waits by a recv() that does not block, again and again; by an epoll_wait()
 * that does not; or by a recv() that does.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/ends.h"
#include "bench/pong.h"

#define PATIENCE_NS UINT64_C(3000000000)

enum how {
	RECV,
	EPOLL,
	BLOCK,
};

static struct ends ends;
static uint32_t how = RECV;
static int fd = -1, epfd = -1;

static int new_socket(void)
{
	int s = socket(AF_INET, (ends.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	if (s < 0)
		err(1, "socket");
	return s;
}

/* Makes s the one that the functions below are about. */
static void use(int s)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int one = 1;

	fd = s;
	if (!ends.udp)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (how != BLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (how == EPOLL && epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		err(1, "epoll_ctl");
}

/* 0 at the end of the stream and when the peer has reset it. */
static size_t receive(void *buf, size_t size, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);
	struct epoll_event ev;
	ssize_t n;

	for (;;) {
		while (how == EPOLL && epoll_wait(epfd, &ev, 1, 0) == 0)
			;
		n = recvfrom(fd, buf, size, 0, (struct sockaddr *)from, from ? &len : NULL);
		if (n >= 0)
			return (size_t)n;
		if (errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			err(1, "recv");
	}
}

static void serve(void)
{
	uint8_t buf[4096];
	struct sockaddr_in from;
	size_t n;

	while ((n = receive(buf, sizeof(buf), ends.udp ? &from : NULL)) > 0)
		if (sendto(fd, buf, n, MSG_NOSIGNAL,
			   ends.udp ? (const struct sockaddr *)&from : NULL,
			   ends.udp ? sizeof(from) : 0) != (ssize_t)n)
			return;
}

static void server(void)
{
	socklen_t len = sizeof(ends.addr);
	int s = new_socket(), one = 1, conn;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (const struct sockaddr *)&ends.addr, len) < 0)
		err(1, "bind");
	if (!ends.udp && listen(s, SOMAXCONN) < 0)
		err(1, "listen");
	if (getsockname(s, (struct sockaddr *)&ends.addr, &len) < 0)
		err(1, "getsockname");
	ends_listening(&ends.addr);
	if (ends.udp) {
		use(s);
		for (;;)
			serve();
	}
	while ((conn = accept4(s, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		use(conn);
		serve();
		close(conn);
	}
	err(1, "accept");
}

static void round_trip(uint32_t number)
{
	struct pong_request rq = { .number = number };
	size_t got = 0, n;

	memset(rq.rest, (int)number, sizeof(rq.rest));
	if (send(fd, &rq, sizeof(rq), MSG_NOSIGNAL) != sizeof(rq))
		err(1, "send");
	for (; got < sizeof(rq); got += n) {
		n = receive((uint8_t *)&rq + got, sizeof(rq) - got, NULL);
		if (!n)
			errx(1, "the server has gone");
	}
	if (rq.number != number || rq.rest[sizeof(rq.rest) - 1] != (uint8_t)number)
		errx(1, "a wrong answer");
}

static void client(const struct pong *pong)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;
	int s = new_socket();

	while (connect(s, (const struct sockaddr *)&ends.addr, sizeof(ends.addr)) < 0) {
		if (errno != ECONNREFUSED || clock_ns() > give_up)
			err(1, "connect");
		usleep(10000);
	}
	use(s);
	pong_run(pong, round_trip);
	close(s);
}

int main(int argc, char **argv)
{
	static const char *const hows[] = { "recv", "epoll", "block", NULL };
	struct pong pong = PONG_DEFAULTS;
	const struct ends_option options[] = {
		{ "ms", &pong.ms, 1, 100000, NULL },
		{ "rounds", &pong.rounds, 1, 100000, NULL },
		{ "batch", &pong.batch, 1, 100000, NULL },
		{ "wait", &how, 0, 0, hows },
		{ 0 },
	};

	ends_options(&ends, options, argc, argv);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		err(1, "epoll_create1");
	if (ends.client)
		client(&pong);
	else
		server();
	return 0;
}
