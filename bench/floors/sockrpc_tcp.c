#include "config.h"

#include "bench/floors/sockrpc.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/floors/loop.h"

#define SCRATCH (128u << 10)
#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* A connection of either side. */
struct tcp {
	struct loop_fd lfd;
	struct load_conn conn;	/* client */
	uint8_t *out;		/* bytes [out_at, out_len) wait to be sent */
	size_t out_at, out_len, out_size;
};

static struct loop loop;
static struct load *client_load;
static uint8_t scratch[SCRATCH];

static void set_nodelay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* What the socket takes of data; -1 when the connection has failed. */
static ssize_t send_some(int fd, const uint8_t *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

/* True once nothing is waiting; false when the socket is full or has failed. */
static bool flush(struct tcp *t)
{
	while (t->out_at < t->out_len) {
		ssize_t n = send_some(t->lfd.fd, t->out + t->out_at, t->out_len - t->out_at);

		if (n <= 0)
			return false;
		t->out_at += (size_t)n;
	}
	t->out_at = t->out_len = 0;
	return true;
}

/* Room for len more bytes behind those that wait. */
static uint8_t *out_reserve(struct tcp *t, size_t len)
{
	if (t->out_at == t->out_len)
		t->out_at = t->out_len = 0;
	if (t->out_len + len > t->out_size) {
		t->out_size = t->out_len + len;
		t->out = realloc(t->out, t->out_size);
		if (!t->out)
			err(1, "realloc");
	}
	return t->out + t->out_len;
}

static void server_close(struct tcp *t)
{
	close(t->lfd.fd);
	free(t->out);
	free(t);
}

/* Sends back what was read; false when the connection is over. */
static bool echo(struct tcp *t, size_t len)
{
	ssize_t n = send_some(t->lfd.fd, scratch, len);

	if (n < 0)
		return false;
	if ((size_t)n < len) {
		memcpy(out_reserve(t, len - (size_t)n), scratch + n, len - (size_t)n);
		t->out_len += len - (size_t)n;
	}
	return true;
}

static void server_ready(struct loop_fd *lfd, uint32_t events)
{
	struct tcp *t = (struct tcp *)lfd;

	while (flush(t)) {
		ssize_t n = recv(lfd->fd, scratch, SCRATCH, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || !echo(t, (size_t)n)) {
			server_close(t);
			return;
		}
		/* A short read has emptied the socket, unless an end follows. */
		if ((size_t)n < SCRATCH && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
			return;
	}
	if (events & (EPOLLHUP | EPOLLERR))
		server_close(t);
}

static void accept_ready(struct loop_fd *lfd, uint32_t events)
{
	int fd;

	(void)events;
	while ((fd = accept4(lfd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct tcp *t = calloc(1, sizeof(*t));

		if (!t)
			err(1, "calloc");
		set_nodelay(fd);
		t->lfd.fd = fd;
		t->lfd.ready = server_ready;
		loop_add(&loop, &t->lfd, EDGES);
	}
}

void sockrpc_tcp_server(const struct load_opts *opts)
{
	struct loop_fd listener = { .ready = accept_ready };
	int one = 1;

	loop_init(&loop, opts->loop);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener.fd < 0)
		err(1, "socket");
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener.fd, (const struct sockaddr *)&opts->addr, sizeof(opts->addr)) < 0 ||
	    listen(listener.fd, SOMAXCONN) < 0)
		err(1, "listening");
	loop_add(&loop, &listener, EPOLLIN);
	sockrpc_listening(listener.fd);
	while (!loop.stopped)
		loop_pass(&loop, UINT64_MAX);
	close(listener.fd);
}

static void request(struct tcp *t, uint64_t first, uint32_t n, uint64_t now)
{
	size_t size = client_load->opts.size;
	uint8_t *buf = out_reserve(t, n * size);

	for (uint32_t i = 0; i < n; i++)
		load_request(client_load, &t->conn, buf + i * size, first + i, now);
	t->out_len += n * size;
	flush(t);
}

static void client_ready(struct loop_fd *lfd, uint32_t events)
{
	struct tcp *t = (struct tcp *)lfd;
	uint64_t first, now;
	uint32_t finished;
	ssize_t n;

	if (t->out_len)
		flush(t);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	do {
		n = recv(lfd->fd, scratch, SCRATCH, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			errx(1, "the server has gone");
		now = clock_ns();
		finished = load_stream(client_load, &t->conn, scratch, (size_t)n, now, &first);
		if (finished && !load_over(client_load, now))
			request(t, first + client_load->opts.inflight, finished, now);
	} while ((size_t)n == SCRATCH || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)));
}

static int connect_patiently(const struct load_opts *opts)
{
	uint64_t give_up = clock_ns() + SOCKRPC_PATIENCE_NS;
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			err(1, "socket");
		if (connect(fd, (const struct sockaddr *)&opts->addr, sizeof(opts->addr)) == 0)
			return fd;
		if (errno != ECONNREFUSED || clock_ns() > give_up)
			err(1, "connect");
		close(fd);
		usleep(10000);
	}
}

void sockrpc_tcp_client(struct load *load, const struct load_opts *opts)
{
	struct tcp *conns = calloc(opts->connections, sizeof(*conns));

	if (!conns)
		err(1, "calloc");
	client_load = load;
	loop_init(&loop, opts->loop);
	for (uint32_t i = 0; i < opts->connections; i++) {
		conns[i].lfd.ready = client_ready;
		conns[i].lfd.fd = connect_patiently(opts);
		set_nodelay(conns[i].lfd.fd);
		fcntl(conns[i].lfd.fd, F_SETFL, O_NONBLOCK);
		loop_add(&loop, &conns[i].lfd, EDGES);
	}
	load_start(load, opts, clock_ns());
	for (uint32_t i = 0; i < opts->connections; i++) {
		load_conn_init(load, &conns[i].conn);
		request(&conns[i], 0, opts->inflight, clock_ns());
	}
	while (!loop.stopped && !load_over(load, clock_ns()))
		loop_pass(&loop, load->end_ns);
	for (uint32_t i = 0; i < opts->connections; i++) {
		close(conns[i].lfd.fd);
		load_conn_fini(&conns[i].conn);
		free(conns[i].out);
	}
	free(conns);
}
