/* clowder-rpc: requests and answers over any backend, measured and verified. */
#include "config.h"

#include "apps/rpc.h"

#include <demi/libos.h>
#include <netinet/tcp.h>
#include <string.h>

#include "apps/fail.h"

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
