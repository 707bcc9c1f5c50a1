#include "config.h"

#include "libos/watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "libos/fds.h"
#include "libos/libos.h"

int libos_watches_init(struct libos_watches *ws)
{
	memset(ws, 0, sizeof(*ws));
	ws->epfd = libos_fd_own(epoll_create1(EPOLL_CLOEXEC));
	return ws->epfd < 0 ? errno : 0;
}

void libos_watches_fini(struct libos_watches *ws)
{
	libos_fd_close(ws->epfd);
	ws->epfd = -1;
}

int libos_watch_add(struct libos *os, struct libos_watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->fd = -1;
	if (epoll_ctl(os->watches.epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return errno;
	w->fd = fd;
	os->watches.n_eager += w->eager;
	return 0;
}

int libos_watch_mod(struct libos *os, struct libos_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(os->watches.epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? errno : 0;
}

void libos_watch_del(struct libos *os, struct libos_watch *w)
{
	struct libos_watches *ws = &os->watches;

	if (w->fd < 0)
		return;
	epoll_ctl(ws->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	ws->n_eager -= w->eager;
	for (int i = ws->at; i < ws->n_events; i++)
		if (ws->events[i].data.ptr == w)
			ws->events[i].data.ptr = NULL;
}

static int collect(struct libos_watches *ws, uint64_t timeout_ns)
{
	struct timespec ts;
	int n;

	if (!timeout_ns)
		return epoll_wait(ws->epfd, ws->events, LIBOS_WATCH_BATCH, 0);
	if (timeout_ns == TIME_NEVER)
		return epoll_wait(ws->epfd, ws->events, LIBOS_WATCH_BATCH, -1);
	ts.tv_sec = (time_t)(timeout_ns / NSEC_PER_SEC);
	ts.tv_nsec = (long)(timeout_ns % NSEC_PER_SEC);
	if (!ws->no_pwait2) {
		n = epoll_pwait2(ws->epfd, ws->events, LIBOS_WATCH_BATCH, &ts, NULL);
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		ws->no_pwait2 = true; /* before Linux 5.11, or a container's filter */
	}
	return epoll_wait(ws->epfd, ws->events, LIBOS_WATCH_BATCH, /* whole milliseconds */
			  (int)(ts.tv_sec > 3600 ? 3600000
						 : ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 1));
}

bool libos_watches_poll(struct libos_watches *ws, uint64_t timeout_ns)
{
	int n = collect(ws, timeout_ns);

	if (n <= 0)
		return false;
	ws->n_events = n;
	for (ws->at = 0; ws->at < ws->n_events;) {
		struct epoll_event *ev = &ws->events[ws->at++];
		struct libos_watch *w = ev->data.ptr;

		if (w)
			w->ready(w, ev->events);
	}
	ws->n_events = 0;
	return true;
}
