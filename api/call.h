/* How every call of the API begins and ends. */
#ifndef API_CALL_H
#define API_CALL_H

#include <stdatomic.h>

#include "base/compiler.h"
#include "libos/libos.h"
#include "libos/process.h"

/* What comes first when an instance needs attention; NULL: it is not ours now. */
struct libos *call_attend(struct libos *os);

/*
 * This thread's instance; in a thread that has none it is one that wants
 * attention and does not get it. busy tells exit() that its thread is inside; the
 * plain store is enough because exit() makes every thread pass a barrier between
 * seizing an instance and reading busy.
 */
static inline struct libos *call_begin(void)
{
	struct libos *os = libos_self;

	atomic_store_explicit(&os->busy, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return os;
}

static inline bool call_wants_attention(const struct libos *os)
{
	return unlikely(atomic_load_explicit(&os->attention, memory_order_relaxed));
}

/* The end of a call that began without anything to attend to. */
static inline int call_end(struct libos *os, int err)
{
	atomic_store_explicit(&os->busy, false, memory_order_release);
	return err;
}

/* The whole of it: what every call does that is not one of the fast ones. */
static inline struct libos *call_enter(void)
{
	struct libos *os = call_begin();

	return call_wants_attention(os) ? call_attend(os) : os;
}

static inline int call_leave(struct libos *os, int err)
{
	if (unlikely(atomic_load_explicit(&os->attention, memory_order_relaxed) & LIBOS_FOREIGN))
		libos_foreign_leave(os);
	return call_end(os, err);
}

#endif /* API_CALL_H */
