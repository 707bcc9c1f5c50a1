/*
 * Waiting for operations.
 *
 * All calls return 0 or a positive errno and never set errno. A timeout is
 * relative; NULL waits for ever (or until demi_wake()); {0, 0} makes one pass
 * over the devices. tv_sec < 0 or tv_nsec outside 0..999999999 is out of range.
 * A wait that returns 0 has consumed the token, also where the operation itself
 * failed: then qr_opcode is DEMI_OPC_FAILED and qr_ret the positive errno.
 * Everything pushed before has been handed to the device when a wait returns.
 */
#ifndef DEMI_WAIT_H
#define DEMI_WAIT_H

#include <demi/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct timespec;	/* which strict C99's <time.h> does not have */

/*
 * Waits for one operation. Constant time, whatever else is pending.
 *
 * 0: *qr_out is filled and qt is gone. EINVAL: qr_out NULL, a timeout out of
 * range, or a token never handed out or already consumed. ETIMEDOUT: not
 * finished; operation and token stay as they were. EINTR: demi_wake().
 * ENOSYS: this thread has no instance.
 */
DEMI_EXPORT int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt,
			  const struct timespec *timeout);

/*
 * Waits for any of num_qts operations. Of several finished ones it takes the
 * one that finished first; *ready_offset is its place in qts. O(num_qts).
 *
 * Errors as demi_wait(); EINVAL also for ready_offset or qts NULL, num_qts < 1,
 * and one bad token anywhere in the array (nothing is consumed then).
 */
DEMI_EXPORT int demi_wait_any(demi_qresult_t *qr_out, int *ready_offset,
			      const demi_qtoken_t qts[], int num_qts,
			      const struct timespec *timeout);

/*
 * Takes no tokens: hands out whatever has finished, in the order it finished,
 * as soon as there is at least one, and at most num_qrs. O(results).
 * qr_out has room for num_qrs; *qrs_obtained says how many were filled.
 *
 * 0; EINVAL: qr_out or qrs_obtained NULL, num_qrs < 1, or a timeout out of
 * range; ETIMEDOUT and EINTR: as demi_wait(), with *qrs_obtained 0; ENOSYS.
 */
DEMI_EXPORT int demi_wait_next_n(demi_qresult_t *qr_out, int num_qrs,
				 int *qrs_obtained,
				 const struct timespec *timeout);

#ifdef __cplusplus
}
#endif

#endif /* DEMI_WAIT_H */
