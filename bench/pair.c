#include "config.h"

#include "bench/pair.h"

#include <demi/ext.h>
#include <demi/libos.h>

#include <err.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/must.h"

#define PATIENCE_NS UINT64_C(5000000000)

/* Memory of both: where the server listens, 0 until it does. */
static _Atomic uint32_t *port;

static void raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static void wait_for(const char *what, demi_qtoken_t qt, demi_qresult_t *qr)
{
	must("demi_wait", demi_wait(qr, qt, NULL));
	if (qr->qr_opcode == DEMI_OPC_FAILED)
		must(what, (int)qr->qr_ret);
}

int pair_accept(const struct pair *pair)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	must("demi_accept", demi_accept(&qt, pair->listener));
	wait_for("accept", qt, &qr);
	return qr.qr_value.ares.qd;
}

int pair_connect(const struct pair *pair)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd;

	must("demi_socket", demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	must("demi_connect", demi_connect(&qt, qd, (const struct sockaddr *)&pair->addr,
					  sizeof(pair->addr)));
	wait_for("connect", qt, &qr);
	return qd;
}

static void serve(struct pair *pair)
{
	socklen_t len = sizeof(pair->addr);

	must("demi_socket", demi_socket(&pair->listener, AF_INET, SOCK_STREAM, 0));
	must("demi_bind", demi_bind(pair->listener, (const struct sockaddr *)&pair->addr,
				    sizeof(pair->addr)));
	must("demi_listen", demi_listen(pair->listener, SOMAXCONN));
	must("demi_getsockname", demi_getsockname(pair->listener, (struct sockaddr *)&pair->addr,
						  &len));
	atomic_store(port, pair->addr.sin_port);
	pair->qd = pair_accept(pair);
}

/* Fails when the server has ended, or takes too long, before it listens. */
static void await_server(struct pair *pair)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;
	struct timespec pause = { .tv_nsec = 1000000 };
	siginfo_t info;

	while (!atomic_load(port)) {
		info.si_pid = 0;
		waitid(P_PID, (id_t)pair->server, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid || clock_ns() > give_up)
			errx(1, "the server does not start");
		nanosleep(&pause, NULL);
	}
	pair->addr.sin_port = (in_port_t)atomic_load(port);
}

void pair_start(struct pair *pair)
{
	int cpus[2];

	*pair = (struct pair){ .listener = -1, .addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	cpu_pair(cpus);
	raise_descriptors();
	port = mmap(NULL, sizeof(*port), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (port == MAP_FAILED)
		err(1, "mmap");
	pair->server = fork();
	if (pair->server < 0)
		err(1, "fork");
	pair->client = pair->server != 0;
	if (!pair->client)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	cpu_pin(cpus[pair->client ? 0 : 1]);
	must("demi_init", demi_init(NULL));
	if (!pair->client) {
		serve(pair);
		return;
	}
	await_server(pair);
	pair->qd = pair_connect(pair);
}

int pair_end(struct pair *pair)
{
	int status;

	must("demi_close", demi_close(pair->qd));
	must("demi_fini", demi_fini());
	if (waitpid(pair->server, &status, 0) < 0)
		err(1, "waitpid");
	return status != 0;
}
