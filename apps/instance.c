#include "config.h"

#include "apps/instance.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <signal.h>
#include <stdlib.h>
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

static void raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

void instance_start(void)
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

bool instance_interrupted(void)
{
	return interrupted;
}
