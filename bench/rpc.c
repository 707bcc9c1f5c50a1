/*
 * bench/load.h's requests and answers through the queue API, with the backend
 * that LIBOS names. The plain-sockets twin is bench/floors/sockrpc.
 */
#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/cpu.h"
#include "bench/load.h"
#include "bench/must.h"

#define RESULTS 64
#define DATAGRAM_POPS 32
#define PATIENCE_NS UINT64_C(3000000000)
#define LOST_CHECK_NS UINT64_C(100000000)

static struct load load;
static struct load_conn *conns;	/* client: in the order of their descriptors */
static int first_qd;
static uint64_t wake;

static void stop(int sig)
{
	(void)sig;
	demi_wake(wake);
}

static void stop_on_signals(void)
{
	struct sigaction sa = { .sa_handler = stop };

	must("demi_wakehandle", demi_wakehandle(&wake));
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
}

static int open_queue(const struct load_opts *opts)
{
	int qd, one = 1;

	must("demi_socket", demi_socket(&qd, AF_INET, opts->udp ? SOCK_DGRAM : SOCK_STREAM, 0));
	if (!opts->udp)
		demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return qd;
}

static void pop(int qd)
{
	demi_qtoken_t qt;

	must("demi_pop", demi_pop(&qt, qd));
}

/* A queue that has failed may be named by more than one completion. */
static void drop(int qd)
{
	int error = demi_close(qd);

	if (error && error != EBADF)
		must("demi_close", error);
}

/* The answer is the request's own buffer. */
static void echo(const struct load_opts *opts, demi_qresult_t *qr)
{
	demi_sgarray_t *sga = &qr->qr_value.sga;
	struct sockaddr_in from = sga->sga_addr;
	demi_qtoken_t qt;
	int error;

	if (!opts->udp && sga->sga_segs[0].sgaseg_len == 0) {
		demi_sgafree(sga);
		drop(qr->qr_qd);
		return;
	}
	if (opts->udp)
		error = demi_pushto(&qt, qr->qr_qd, sga, (const struct sockaddr *)&from,
				    sizeof(from));
	else
		error = demi_push(&qt, qr->qr_qd, sga);
	demi_sgafree(sga);
	if (error && !opts->udp)
		drop(qr->qr_qd);
	else
		pop(qr->qr_qd);
}

static void serve(const struct load_opts *opts, int listener, demi_qresult_t *qr)
{
	demi_qtoken_t qt;

	switch (qr->qr_opcode) {
	case DEMI_OPC_ACCEPT:
		pop(qr->qr_value.ares.qd);
		must("demi_accept", demi_accept(&qt, listener));
		break;
	case DEMI_OPC_POP:
		echo(opts, qr);
		break;
	case DEMI_OPC_FAILED:
		if (opts->udp || qr->qr_qd == listener)
			must("an operation of the server", (int)qr->qr_ret);
		if (qr->qr_ret != ECANCELED)
			drop(qr->qr_qd);
		break;
	case DEMI_OPC_PUSH:
	case DEMI_OPC_CONNECT:
	case DEMI_OPC_CLOSE:
	case DEMI_OPC_INVALID:
		break;
	}
}

static void print_listening(int qd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	must("demi_getsockname", demi_getsockname(qd, (struct sockaddr *)&addr, &len));
	printf("listening on %s:%u\n", inet_ntoa(addr.sin_addr), ntohs(addr.sin_port));
	fflush(stdout);
}

static int server(const struct load_opts *opts)
{
	demi_qresult_t qrs[RESULTS];
	demi_qtoken_t qt;
	int listener = open_queue(opts), n, error;

	must("demi_bind", demi_bind(listener, (const struct sockaddr *)&opts->addr,
				    sizeof(opts->addr)));
	for (int i = 0; opts->udp && i < DATAGRAM_POPS; i++)
		pop(listener); /* as many as the plain server reads at once */
	if (!opts->udp) {
		must("demi_listen", demi_listen(listener, SOMAXCONN));
		must("demi_accept", demi_accept(&qt, listener));
	}
	print_listening(listener);
	while ((error = demi_wait_next_n(qrs, RESULTS, &n, NULL)) == 0)
		for (int i = 0; i < n; i++)
			serve(opts, listener, &qrs[i]);
	if (error != EINTR)
		must("demi_wait_next_n", error);
	return 0;
}

/* n requests in one buffer and one push. */
static void request(int qd, struct load_conn *conn, uint64_t first, uint32_t n, uint64_t now)
{
	uint32_t size = load.opts.size;
	demi_sgarray_t sga = demi_sgaalloc((size_t)n * size);
	demi_qtoken_t qt;

	if (!sga.sga_numsegs)
		errx(1, "demi_sgaalloc failed");
	for (uint32_t i = 0; i < n; i++)
		load_request(&load, conn, (uint8_t *)sga.sga_segs[0].sgaseg_buf + (size_t)i * size,
			     first + i, now);
	must("demi_push", demi_push(&qt, qd, &sga));
	must("demi_sgafree", demi_sgafree(&sga));
}

static void answer(demi_qresult_t *qr, uint64_t now)
{
	struct load_conn *conn = &conns[qr->qr_qd - first_qd];
	const demi_sgaseg_t *seg = &qr->qr_value.sga.sga_segs[0];
	uint64_t first = 0;
	uint32_t n;

	if (load.opts.udp)
		n = load_datagram(&load, conn, seg->sgaseg_buf, seg->sgaseg_len, now, &first);
	else if (seg->sgaseg_len)
		n = load_stream(&load, conn, seg->sgaseg_buf, seg->sgaseg_len, now, &first);
	else
		errx(1, "the server has gone");
	demi_sgafree(&qr->qr_value.sga);
	if (n && !load_over(&load, now))
		request(qr->qr_qd, conn, first + load.opts.inflight, n, now);
	pop(qr->qr_qd);
}

static bool connect_once(int qd)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&load.opts.addr,
					  sizeof(load.opts.addr)));
	must("demi_wait", demi_wait(&qr, qt, NULL));
	if (qr.qr_opcode == DEMI_OPC_CONNECT)
		return true;
	if (qr.qr_ret != ECONNREFUSED)
		must("connect", (int)qr.qr_ret);
	return false;
}

static void connect_patiently(int qd)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;
	struct timespec pause = { .tv_nsec = 10000000 };

	while (!connect_once(qd)) {
		if (clock_ns() > give_up)
			must("connect", ECONNREFUSED);
		nanosleep(&pause, NULL);
	}
}

static void open_connections(void)
{
	const struct load_opts *opts = &load.opts;

	conns = calloc(opts->connections, sizeof(*conns));
	if (!conns)
		err(1, "calloc");
	for (uint32_t i = 0; i < opts->connections; i++) {
		int qd = open_queue(opts);

		if (i == 0)
			first_qd = qd;
		if (qd != first_qd + (int)i)
			errx(1, "descriptors are not in a row");
		connect_patiently(qd);
	}
}

static void first_requests(void)
{
	const struct load_opts *opts = &load.opts;

	for (uint32_t i = 0; i < opts->connections; i++) {
		int qd = first_qd + (int)i;

		load_conn_init(&load, &conns[i]);
		pop(qd);
		if (!opts->udp)
			request(qd, &conns[i], 0, opts->inflight, clock_ns());
		for (uint32_t k = 0; opts->udp && k < opts->inflight; k++)
			request(qd, &conns[i], k, 1, clock_ns());
	}
}

static void replace_lost(uint64_t now)
{
	uint64_t number;

	for (uint32_t i = 0; load.opts.udp && i < load.opts.connections; i++)
		while (load_lost(&load, &conns[i], now, &number))
			request(first_qd + (int)i, &conns[i], number + load.opts.inflight, 1, now);
}

static void result(demi_qresult_t *qr)
{
	if (qr->qr_opcode == DEMI_OPC_POP)
		answer(qr, clock_ns());
	else if (qr->qr_opcode == DEMI_OPC_FAILED)
		must("an operation", (int)qr->qr_ret);
}

static int client(const struct load_opts *opts)
{
	const struct timespec patience = { .tv_nsec = 20000000 };
	demi_qresult_t qrs[RESULTS];
	uint64_t look, now;
	int n, error = 0;

	load.opts = *opts;
	open_connections();
	load_start(&load, opts, clock_ns());
	first_requests();
	look = clock_ns() + LOST_CHECK_NS;
	while (!load_over(&load, now = clock_ns()) && error != EINTR) {
		if (now > look) {
			replace_lost(now);
			look = now + LOST_CHECK_NS;
		}
		error = demi_wait_next_n(qrs, RESULTS, &n, &patience);
		if (error && error != ETIMEDOUT && error != EINTR)
			must("demi_wait_next_n", error);
		for (int i = 0; i < n && !error; i++)
			result(&qrs[i]);
	}
	return load_report(&load);
}

static void raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

int main(int argc, char **argv)
{
	static const char *const spin_us[] = { "-1", "0", "50" };
	struct load_opts opts;

	load_options(&opts, argc, argv, "Requests and answers through the queue API.");
	cpu_pin(opts.cpu);
	raise_descriptors();
	setenv("CLOWDER_WAIT_SPIN_US", spin_us[opts.loop], 1);
	must("demi_init", demi_init(NULL));
	stop_on_signals();
	return opts.client ? client(&opts) : server(&opts);
}
