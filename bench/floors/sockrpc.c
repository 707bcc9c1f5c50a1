/*
 * Requests and answers over plain sockets and epoll, with nothing of Clowder in
 * it: what the queue API's kernel backend is measured against. The server echoes;
 * the client keeps requests under way, looks at every byte of the answers and
 * prints what they took.
 */
#include "config.h"

#include "bench/floors/sockrpc.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>

#include "bench/cpu.h"

void sockrpc_listening(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		err(1, "getsockname");
	printf("listening on %s:%u\n", inet_ntoa(addr.sin_addr), ntohs(addr.sin_port));
	fflush(stdout);
}

/* As many descriptors as there may be: a connection takes one. */
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
	static struct load load;
	struct load_opts opts;

	load_options(&opts, argc, argv, "Requests and answers over plain sockets.");
	cpu_pin(opts.cpu);
	raise_descriptors();
	if (!opts.client) {
		if (opts.udp)
			sockrpc_udp_server(&opts);
		else
			sockrpc_tcp_server(&opts);
		return 0;
	}
	if (opts.udp)
		sockrpc_udp_client(&load, &opts);
	else
		sockrpc_tcp_client(&load, &opts);
	return load_report(&load);
}
