/*
 * What the instances of one process share: the thread's own, the list that
 * exit() serves, fork, and the handles of demi_wake().
 */
#ifndef LIBOS_PROCESS_H
#define LIBOS_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* What a call has to see to before anything else. */
enum libos_attention {
	LIBOS_SEIZED = 1u << 0,	/* exit() has taken the instance over */
	LIBOS_FOREIGN = 1u << 1, /* demi_waitfd(): armed between calls */
	LIBOS_DEBUG = 1u << 2,	/* CLOWDER_DEBUG=buffers */
	LIBOS_RANG = 1u << 3,	/* demi_wake() */
};

struct libos;

/* This thread's instance, or libos_none, which is as good as one that exit() has
 * taken over: every call in it is ENOSYS. */
extern _Thread_local struct libos *libos_self;
extern struct libos libos_none;

/* Makes os this thread's, to be closed at the end of the thread or at exit. */
int libos_process_adopt(struct libos *os);
/* Ends this thread's instance: serves, frees. */
void libos_process_leave(void);

/*
 * A place for demi_wake(): a flag and an eventfd behind a handle that any thread
 * or signal handler may use at any time. id is 0 while the bell is nobody's. A
 * ringer counts itself in before it looks at id, and whoever closes waits for
 * the count after taking id away, so that the descriptor is never written after
 * its close.
 */
struct libos_bell {
	_Atomic uint64_t id;
	_Atomic uint32_t ringers;
	_Atomic bool rang;
	int fd;
	_Atomic uint8_t *attention; /* of its instance: gets LIBOS_RANG */
};

int libos_bell_open(_Atomic uint8_t *attention, struct libos_bell **bell_out);
void libos_bell_close(struct libos_bell *bell);
uint64_t libos_bell_handle(const struct libos_bell *bell);
int libos_bell_fd(const struct libos_bell *bell);
bool libos_bell_quiet(struct libos_bell *bell);

/* Whether it rang since the last time, told by LIBOS_RANG, which a ring sets last;
 * takes the ring back. */
static inline bool libos_bell_take(struct libos_bell *bell, const _Atomic uint8_t *attention)
{
	return unlikely(atomic_load_explicit(attention, memory_order_relaxed) & LIBOS_RANG) &&
	       libos_bell_quiet(bell);
}

/* Async-signal-safe. EINVAL: no such handle any more. */
int libos_bell_ring(uint64_t handle);
/* In a forked child, where every bell is the parent's. */
void libos_bells_forget(void);

#endif /* LIBOS_PROCESS_H */
