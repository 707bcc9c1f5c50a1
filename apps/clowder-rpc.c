/* clowder-rpc: requests and answers over any backend, measured and verified. */
#include "config.h"

#include "apps/rpc.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "apps/fail.h"

static uint64_t wake_handle;
static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
	demi_wake(wake_handle);
}

/* As many descriptors as there may be: a connection may take one. */
static void raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

void rpc_start(void)
{
	/* a second one, when the first did not help, is the end */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

	raise_descriptors();
	if (demi_init(NULL))
		exit(1); /* and it has said why */
	if (demi_wakehandle(&wake_handle))
		fail("no wake handle");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool rpc_interrupted(void)
{
	return interrupted;
}

int rpc_socket(const struct rpc_options *opt)
{
	int qd, err;

	err = demi_socket(&qd, AF_INET, opt->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (err)
		fail("cannot make a %s queue: %s", rpc_options_proto(opt), strerror(err));
	return qd;
}

void rpc_no_delay(int qd)
{
	int on = 1;

	/* a backend without TCP has nothing to turn off */
	(void)demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int main(int argc, char **argv)
{
	struct rpc_options opt;

	rpc_options_parse(&opt, argc, argv);
	return opt.server ? rpc_server_run(&opt) : rpc_client_run(&opt);
}
