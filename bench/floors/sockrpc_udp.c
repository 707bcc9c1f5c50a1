#include "config.h"

#include "bench/floors/sockrpc.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/floors/loop.h"

#define BATCH 32
#define LOST_CHECK_NS UINT64_C(100000000)

/* Datagrams that are read and written in one system call each way. */
struct batch {
	struct mmsghdr msgs[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_in from[BATCH];
	uint8_t *data;
	size_t size;		/* room for each */
};

/* One socket of the client. */
struct udp {
	struct loop_fd lfd;
	struct load_conn conn;
};

static struct loop loop;
static struct load *client_load;
static struct batch in, out;

static void batch_init(struct batch *b, size_t size, bool addresses)
{
	b->size = size;
	b->data = malloc(size * BATCH);
	if (!b->data)
		err(1, "malloc");
	for (unsigned i = 0; i < BATCH; i++) {
		b->iovs[i].iov_base = b->data + i * size;
		b->iovs[i].iov_len = size;
		b->msgs[i].msg_hdr.msg_iov = &b->iovs[i];
		b->msgs[i].msg_hdr.msg_iovlen = 1;
		if (addresses) {
			b->msgs[i].msg_hdr.msg_name = &b->from[i];
			b->msgs[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
		}
	}
}

/* The plain calls cost less than those for several, while there is but one. */
static void echo_one(int fd)
{
	socklen_t len = sizeof(in.from[0]);
	ssize_t n = recvfrom(fd, in.data, in.size, MSG_DONTWAIT, (struct sockaddr *)&in.from[0], &len);

	if (n >= 0)
		sendto(fd, in.data, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&in.from[0], len);
}

static void echo_batch(int fd)
{
	int n = recvmmsg(fd, in.msgs, BATCH, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++)
		in.iovs[i].iov_len = in.msgs[i].msg_len;
	/* What does not fit into the socket is lost, as datagrams are. */
	if (n > 0)
		sendmmsg(fd, in.msgs, (unsigned)n, MSG_DONTWAIT);
	for (int i = 0; i < n; i++) {
		in.iovs[i].iov_len = in.size;
		in.msgs[i].msg_hdr.msg_namelen = sizeof(in.from[i]);
	}
}

static void server_ready(struct loop_fd *lfd, uint32_t events)
{
	(void)events;
	if (loop.busy)
		echo_batch(lfd->fd);
	else
		echo_one(lfd->fd);
}

void sockrpc_udp_server(const struct load_opts *opts)
{
	struct loop_fd lfd = { .ready = server_ready };

	loop_init(&loop, opts->loop);
	batch_init(&in, 65536, true);
	lfd.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (lfd.fd < 0)
		err(1, "socket");
	if (bind(lfd.fd, (const struct sockaddr *)&opts->addr, sizeof(opts->addr)) < 0)
		err(1, "bind");
	loop_add(&loop, &lfd, EPOLLIN);
	sockrpc_listening(lfd.fd);
	while (!loop.stopped)
		loop_pass(&loop, UINT64_MAX);
	close(lfd.fd);
}

static int send_some(int fd, unsigned from, unsigned n)
{
	if (n > 1)
		return sendmmsg(fd, out.msgs + from, n, 0);
	return send(fd, out.data + from * out.size, out.size, 0) < 0 ? -1 : 1;
}

static void send_batch(struct udp *u, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		int k = send_some(u->lfd.fd, sent, n - sent);

		if (k < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
			err(1, "sending");
		if (k <= 0)
			return; /* taken as lost */
		sent += (unsigned)k;
	}
}

static int receive_some(int fd)
{
	uint32_t inflight = client_load->opts.inflight;
	ssize_t len;

	if (inflight > 1)
		return recvmmsg(fd, in.msgs, inflight < BATCH ? inflight : BATCH, MSG_DONTWAIT,
				NULL);
	len = recv(fd, in.data, in.size, MSG_DONTWAIT);
	in.msgs[0].msg_len = (unsigned)len;
	return len < 0 ? -1 : 1;
}

static uint8_t *out_data(unsigned i)
{
	return out.data + i * out.size;
}

static void client_ready(struct loop_fd *lfd, uint32_t events)
{
	struct udp *u = (struct udp *)lfd;
	uint32_t inflight = client_load->opts.inflight;
	unsigned replies = 0;
	uint64_t number, now;
	int n = receive_some(lfd->fd);

	(void)events;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		err(1, "receiving");
	now = clock_ns();
	for (int i = 0; i < n; i++) {
		if (!load_datagram(client_load, &u->conn, in.iovs[i].iov_base, in.msgs[i].msg_len,
				   now, &number))
			continue;
		if (!load_over(client_load, now))
			load_request(client_load, &u->conn, out_data(replies++), number + inflight,
				     now);
	}
	send_batch(u, replies);
}

static void first_requests(struct udp *u)
{
	uint32_t inflight = client_load->opts.inflight;

	for (uint32_t i = 0; i < inflight;) {
		unsigned n = 0;

		while (n < BATCH && i < inflight)
			load_request(client_load, &u->conn, out_data(n++), i++, clock_ns());
		send_batch(u, n);
	}
}

static void replace_lost(struct udp *conns, uint32_t n)
{
	uint64_t now = clock_ns(), number;

	for (uint32_t i = 0; i < n; i++) {
		while (load_lost(client_load, &conns[i].conn, now, &number)) {
			load_request(client_load, &conns[i].conn, out_data(0),
				     number + client_load->opts.inflight, now);
			send_batch(&conns[i], 1);
		}
	}
}

/* Asks until the server answers; what it answers is left unread. */
static void await_server(int fd, const struct load_opts *opts)
{
	struct timeval short_time = { .tv_usec = 20000 };
	uint64_t give_up = clock_ns() + SOCKRPC_PATIENCE_NS;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time));
	memset(out.data, 0xff, opts->size);
	for (;;) {
		send(fd, out.data, opts->size, 0);
		if (recv(fd, in.data, in.size, 0) > 0)
			return;
		if (clock_ns() > give_up)
			err(1, "the server does not answer");
		usleep(errno == ECONNREFUSED ? 10000 : 0);
	}
}

static int open_socket(const struct load_opts *opts)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (const struct sockaddr *)&opts->addr, sizeof(opts->addr)) < 0)
		err(1, "connect");
	return fd;
}

void sockrpc_udp_client(struct load *load, const struct load_opts *opts)
{
	struct udp *conns = calloc(opts->connections, sizeof(*conns));

	if (!conns)
		err(1, "calloc");
	client_load = load;
	loop_init(&loop, opts->loop);
	batch_init(&in, 65536, false);
	batch_init(&out, opts->size, false);
	for (uint32_t i = 0; i < opts->connections; i++) {
		conns[i].lfd.ready = client_ready;
		conns[i].lfd.fd = open_socket(opts);
		if (i == 0)
			await_server(conns[i].lfd.fd, opts);
		fcntl(conns[i].lfd.fd, F_SETFL, O_NONBLOCK);
		loop_add(&loop, &conns[i].lfd, EPOLLIN);
	}
	load_start(load, opts, clock_ns());
	for (uint32_t i = 0; i < opts->connections; i++) {
		load_conn_init(load, &conns[i].conn);
		first_requests(&conns[i]);
	}
	while (!loop.stopped && !load_over(load, clock_ns())) {
		uint64_t look = clock_ns() + LOST_CHECK_NS;

		while (!loop.stopped && clock_ns() < look && !load_over(load, clock_ns()))
			loop_pass(&loop, look < load->end_ns ? look : load->end_ns);
		replace_lost(conns, opts->connections);
	}
	for (uint32_t i = 0; i < opts->connections; i++) {
		close(conns[i].lfd.fd);
		load_conn_fini(&conns[i].conn);
	}
	free(conns);
}
