#include "config.h"

#include "bench/floors/loop.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/list.h"
#include "bench/cpu.h"

#define SPIN_NS 50000u
#define EVENTS 256

static void stop_ready(struct loop_fd *lfd, uint32_t events)
{
	(void)events;
	container_of(lfd, struct loop, stop)->stopped = true;
}

void loop_init(struct loop *loop, enum load_loop how)
{
	sigset_t signals;

	loop->how = how;
	loop->stopped = false;
	loop->busy = false;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		err(1, "epoll_create1");
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	loop->stop.ready = stop_ready;
	loop->stop.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->stop.fd < 0)
		err(1, "signalfd");
	loop_add(loop, &loop->stop, EPOLLIN);
}

void loop_add(struct loop *loop, struct loop_fd *lfd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = lfd };

	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, lfd->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static int spin(struct loop *loop, struct epoll_event *events, uint64_t until)
{
	int n = epoll_wait(loop->epfd, events, EVENTS, 0);
	uint64_t now;

	loop->busy = n > 0;
	if (n)
		return n;
	now = clock_ns();
	if (loop->how == LOAD_SPIN_BLOCK && until - now > SPIN_NS)
		until = now + SPIN_NS;
	while (n == 0 && clock_ns() < until)
		n = epoll_wait(loop->epfd, events, EVENTS, 0);
	return n;
}

static int block(struct loop *loop, struct epoll_event *events, uint64_t until)
{
	uint64_t now = clock_ns();
	int ms = -1;

	if (until != UINT64_MAX)
		ms = until > now ? (int)((until - now + 999999) / 1000000) : 0;
	return epoll_wait(loop->epfd, events, EVENTS, ms);
}

void loop_pass(struct loop *loop, uint64_t until)
{
	struct epoll_event events[EVENTS];
	int n = 0;

	if (loop->how != LOAD_BLOCK)
		n = spin(loop, events, until);
	if (n == 0 && loop->how != LOAD_SPIN)
		n = block(loop, events, until);
	if (n < 0 && errno != EINTR)
		err(1, "epoll_wait");
	for (int i = 0; i < n; i++) {
		struct loop_fd *lfd = events[i].data.ptr;

		lfd->ready(lfd, events[i].events);
	}
}
