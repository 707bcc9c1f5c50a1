/*
 * The data types of the queue API: tokens, scatter-gather arrays, results.
 * Names, member order and packing are those of the public Demikernel C API.
 */
#ifndef DEMI_TYPES_H
#define DEMI_TYPES_H

#include <demi/cc.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most segments one scatter-gather array can hold. */
#define DEMI_SGARRAY_MAXSIZE 4

/*
 * Names one asynchronous operation. Opaque; unique while the operation has not
 * been consumed by a wait. 0 and ~0 are never valid.
 */
typedef uint64_t demi_qtoken_t;

/* One piece of contiguous memory: 12 bytes. */
typedef struct ATTR_PACKED demi_sgaseg {
	void *sgaseg_buf;	/* first byte; inside a buffer of this instance */
	uint32_t sgaseg_len;	/* bytes */
} demi_sgaseg_t;

/*
 * A scatter-gather array: 28 + 12 * DEMI_SGARRAY_MAXSIZE bytes.
 * Comes from demi_sgaalloc() or a completed pop, and then ends with one
 * demi_sgafree(); or is composed by the program out of segments of such.
 */
typedef struct ATTR_PACKED demi_sgarray {
	void *sga_buf;		/* names the buffer for demi_sgafree(); NULL in
				 * the null sga and in a composed one */
	uint32_t sga_numsegs;	/* 0 in the null sga, else 1 to MAXSIZE */
	demi_sgaseg_t sga_segs[DEMI_SGARRAY_MAXSIZE];
	struct sockaddr_in sga_addr; /* source of a popped datagram, else zero */
} demi_sgarray_t;

/* What an operation was, and whether it succeeded. */
typedef enum demi_opcode {
	DEMI_OPC_INVALID = 0,	/* never reported */
	DEMI_OPC_PUSH = 1,
	DEMI_OPC_POP = 2,
	DEMI_OPC_ACCEPT = 3,
	DEMI_OPC_CONNECT = 4,
	DEMI_OPC_CLOSE = 5,	/* of demi_async_close() */
	DEMI_OPC_FAILED = 6	/* qr_ret holds the positive errno */
} demi_opcode_t;

/* Result of an accept: 20 bytes. */
typedef struct ATTR_PACKED demi_accept_result {
	int32_t qd;		/* the new, connected queue */
	struct sockaddr_in addr; /* its peer */
} demi_accept_result_t;

/* Result of any operation, filled by the demi_wait*() calls. */
typedef struct ATTR_PACKED demi_qresult {
	enum demi_opcode qr_opcode;
	int32_t qr_qd;		/* the queue the operation was called on */
	demi_qtoken_t qr_qt;	/* its token, now consumed */
	int64_t qr_ret;		/* 0, or the positive errno when FAILED */
	union {
		demi_sgarray_t sga;	   /* POP: yours, until demi_sgafree() */
		demi_accept_result_t ares; /* ACCEPT */
	} qr_value;		/* all zero for every other opcode */
} demi_qresult_t;

/*
 * Called once for every counter when an instance ends: its name (not
 * NUL-terminated), the length of that name in bytes, and its value.
 */
typedef void (*demi_callback_t)(const char *name, uint32_t len, uint64_t value);

/* Arguments of demi_init(): 20 bytes. Zero means none. */
struct ATTR_PACKED demi_args {
	int argc;		/* the program's own, unused by the libOS */
	char *const *argv;
	demi_callback_t callback; /* may be NULL */
};

#ifdef __cplusplus
}
#endif

#endif /* DEMI_TYPES_H */
