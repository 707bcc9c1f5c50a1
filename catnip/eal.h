/*
 * DPDK's EAL in this process: started once, by the first port, and never ended.
 * It leaves the process as it was: affinity of the caller, signal handlers, stdout
 * and stderr.
 *
 * Its interrupt thread runs the drivers' control channels. memif's takes rings away
 * under the data path when its peer is gone (DPDK 22.11 has no lock there), so a
 * port of such a driver passes a gate around each burst. The gate shuts when the
 * driver says, in that thread and at its debug level, that it begins with something,
 * and opens when that thread is back in its loop.
 */
#ifndef CATNIP_EAL_H
#define CATNIP_EAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/list.h"

struct libos_settings;

/* Starts it if nobody has, after one line if it fails. *mine_out: with dpdk.eal_init,
 * so that the ports are those that it found. ENOSYS: a parent process had started
 * it. Serialised by the caller. */
int eal_start(const struct libos_settings *s, bool *given_out);
/* This thread may use pools with a cache, until eal_leave(). ENOSPC: too many. */
int eal_enter(void);
void eal_leave(void);
/* The first thing EAL or a driver complained about since eal_hush(), for messages;
 * "" if nothing. */
const char *eal_said(void);
void eal_hush(void);
/*
 * memif with zero-copy gives its peer the descriptor of EAL's memory and closes it,
 * as if it were its own (22.11). A copy of ours takes its place before somebody else's
 * file does. false: it is too late, some file has that number.
 */
bool eal_memory_fd_restore(void);
/* Runs fn in the interrupt thread; done becomes true afterwards. */
struct eal_job {
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool done;
};
int eal_run(struct eal_job *job);
/* Waits for it, for so many ms at most; the job stays where it is until it is done. */
bool eal_wait(struct eal_job *job, unsigned ms);
/* Waits for it, for some seconds. false: it has not run and will not. Either way the
 * job may go. */
bool eal_finish(struct eal_job *job);

enum eal_gate_state {
	EAL_GATE_AWAY = 0,	/* its thread is elsewhere */
	EAL_GATE_INSIDE = 1,	/* in a burst */
};

struct eal_gate {
	_Atomic int state;	/* enum eal_gate_state; of the port's thread */
	_Atomic bool drained;	/* it has taken all that had come */
	_Atomic bool up;	/* there may be something to take */
	struct list link;
};

enum eal_gates {
	EAL_GATES_OPEN,
	EAL_GATES_DRAIN,	/* receive what is left, then set drained */
	EAL_GATES_SHUT,
};

extern _Atomic int eal_gates;	/* enum eal_gates */

void eal_gate_add(struct eal_gate *gate);
void eal_gate_del(struct eal_gate *gate);

/* false: no burst now. The interrupt thread's membarrier() stands between its
 * store to eal_gates and its look at state. */
static inline bool eal_gate_enter(struct eal_gate *gate)
{
	atomic_store_explicit(&gate->state, EAL_GATE_INSIDE, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (likely(atomic_load_explicit(&eal_gates, memory_order_acquire) != EAL_GATES_SHUT))
		return true;
	atomic_store_explicit(&gate->state, EAL_GATE_AWAY, memory_order_release);
	return false;
}

static inline void eal_gate_leave(struct eal_gate *gate)
{
	atomic_store_explicit(&gate->state, EAL_GATE_AWAY, memory_order_release);
}

static inline bool eal_gates_drain(void)
{
	return atomic_load_explicit(&eal_gates, memory_order_relaxed) == EAL_GATES_DRAIN;
}

#endif /* CATNIP_EAL_H */
