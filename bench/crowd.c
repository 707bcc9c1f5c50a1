#include "config.h"

#include "bench/crowd.h"

#include <demi/libos.h>
#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/must.h"
#include "bench/pair.h"

/* What the helper is asked for; it answers each with one byte. */
struct order {
	struct sockaddr_in addr;
	uint32_t n;		/* 0: all leave */
};

static int helper;	/* a socket to it */

static void idle_client(const struct sockaddr_in *addr, int done)
{
	struct pair pair = { .client = true, .addr = *addr };
	demi_qtoken_t qt;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must("demi_init", demi_init(NULL));
	must("demi_pop", demi_pop(&qt, pair_connect(&pair)));
	if (write(done, "", 1) != 1)
		err(1, "write");
	close(done);
	for (;;)
		pause();
}

/* False if one of them ends instead of connecting. */
static bool fork_clients(const struct order *order, pid_t *pids)
{
	int done[2];
	char byte;
	bool ok = true;

	if (pipe(done) < 0)
		err(1, "pipe");
	for (uint32_t i = 0; i < order->n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (pids[i] == 0) {
			close(done[0]);
			idle_client(&order->addr, done[1]);
		}
	}
	close(done[1]);
	for (uint32_t i = 0; i < order->n && ok; i++)
		ok = read(done[0], &byte, 1) == 1;
	close(done[0]);
	return ok;
}

static void kill_clients(pid_t *pids, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	for (uint32_t i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
}

static void help(int orders)
{
	struct order order;
	pid_t *pids = NULL;
	uint32_t n = 0;

	while (read(orders, &order, sizeof(order)) == sizeof(order)) {
		if (order.n) {
			pids = realloc(pids, order.n * sizeof(*pids));
			if (!pids)
				err(1, "realloc");
			n = order.n;
			if (!fork_clients(&order, pids))
				errx(1, "a client of the crowd has failed");
		} else {
			kill_clients(pids, n);
			n = 0;
		}
		if (write(orders, "", 1) != 1)
			break;
	}
	kill_clients(pids, n);
	free(pids);
	_exit(0);
}

void crowd_start(void)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		err(1, "socketpair");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		help(ends[1]);
	}
	close(ends[1]);
	helper = ends[0];
}

static void ask(const struct order *order)
{
	char byte;

	if (write(helper, order, sizeof(*order)) != sizeof(*order) || read(helper, &byte, 1) != 1)
		errx(1, "the crowd has failed");
}

void crowd_connect(const struct sockaddr_in *addr, uint32_t n)
{
	struct order order = { .addr = *addr, .n = n };

	ask(&order);
}

void crowd_leave(void)
{
	struct order order = { .n = 0 };

	ask(&order);
}
