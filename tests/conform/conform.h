/*
 * What the programs of the conformance suite share. The suite speaks to the
 * libOS through demi_* alone, so it is the same for every backend; LIBOS says
 * which one runs. A failed assertion ends the case, in whatever thread.
 */
#ifndef TESTS_CONFORM_CONFORM_H
#define TESTS_CONFORM_CONFORM_H

#include <check.h>
#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KIB 1024u
#define MIB (1024u * 1024u)
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

/* What the backend under test has beyond what all have. */
enum conform_cap {
	CAP_TCP = 1u << 0,	/* real TCP, and its options */
	CAP_PIPES = 1u << 1,
	CAP_ANY_ADDR = 1u << 2,	/* every address is ours */
	CAP_KERNEL = 1u << 3,	/* plain sockets reach it, and the kernel's rules hold */
	CAP_FDS = 1u << 4,	/* queues, or what they stand on, take descriptors */
	CAP_WAKES = 1u << 5,	/* what arrives wakes a sleeper: it does not nap */
	CAP_FORKS = 1u << 6,	/* a forked child may start an instance of its own */
};

bool conform_has(enum conform_cap cap);
/* Whether n other instances can be reached at a time, which is any number but where
 * CONFORM_PARTIES says how many; if not, says that `what` is left out. */
bool conform_parties(unsigned n, const char *what);
/* The value of LIBOS, or the default. */
const char *conform_libos(void);
/* Whether this build is slow: a sanitizer or valgrind. */
bool conform_slow(void);
/* Whether this is a ThreadSanitizer build over io_uring, whose ends of mappings it
 * does not see: liburing unmaps by a system call of its own. */
bool conform_tsan_uring(void);

/*
 * Runs the suite as Check's environment says; the process's exit status.
 * A case that cannot run here is not added; conform_skip() says why instead.
 */
int conform_main(Suite *suite);
void conform_skip(const char *what, const char *why);
/* A case with time-outs; with_instance starts and ends one around each test. */
TCase *conform_tcase(Suite *suite, const char *name, bool with_instance);

/* An instance for this thread, and its end. */
void conform_start(void);
void conform_stop(void);

/*
 * Asserts that a call returns err (0 or an errno) and leaves errno alone. What
 * is provoked is recorded as "call ERRNO tag" for scripts/check-errnos, which
 * compares it with errnos.txt.
 */
#define expect(err, tag, call)                                                          \
	do {                                                                            \
		errno = ERRNO_CANARY;                                                   \
		int expect_rc_ = (call);                                                \
		conform_returned(__FILE__, __LINE__, #call, (err), expect_rc_, (tag));  \
	} while (0)
#define expect_ok(call) expect(0, NULL, call)
#define ERRNO_CANARY 4242
void conform_returned(const char *file, int line, const char *call, int want, int got,
		      const char *tag);
/* Records an errno that came as a completion. */
void conform_provoked(const char *call, int err, const char *tag);

/* Waits. All give up after some seconds, which is a failed test. */
demi_qresult_t finish(demi_qtoken_t qt);
/* ... and it succeeded, as that opcode. */
demi_qresult_t finish_ok(demi_qtoken_t qt, demi_opcode_t opcode);
/* ... and it FAILED with err; call and tag are recorded. */
void finish_failed(demi_qtoken_t qt, const char *call, int err, const char *tag);
/* ... and it is a pop of exactly these bytes, which are freed. */
void finish_bytes(demi_qtoken_t qt, size_t len, unsigned seed, size_t offset);
/* Asserts that it does not finish within a few passes and a few milliseconds. */
void still_pending(demi_qtoken_t qt);
/* Polls the devices for a while without consuming qt or anything else. */
void settle(void);
extern const struct timespec NO_TIME;	/* {0, 0} */
extern const struct timespec LONG_TIME;	/* the length of a hang */

/* Addresses: where the backend's own address is (CONFORM_ADDR, 127.0.0.1). */
struct sockaddr_in address(uint16_t port);
#define SA(a) ((const struct sockaddr *)(const void *)(a))
#define SA_OUT(a) ((struct sockaddr *)(void *)(a))

/* Queues. */
int stream_socket(void);
int dgram_socket(void);
int bound_socket(int type, struct sockaddr_in *addr_out);
int listener(struct sockaddr_in *addr_out);
struct sockaddr_in local_address(int qd);
int connect_to(const struct sockaddr_in *addr);
int accept_one(int lqd);

/* Both ends of a connection in this thread. */
struct pair {
	int listener;
	int client;
	int server;
	struct sockaddr_in addr;
};
void pair_open(struct pair *p);
void pair_close(struct pair *p);

/* Bytes: a pattern known by seed and offset in the stream. */
void fill(void *buf, size_t len, unsigned seed, size_t offset);
/* Index of the first wrong byte, or len. */
size_t mismatch(const void *buf, size_t len, unsigned seed, size_t offset);
demi_sgarray_t alloc(size_t len);
demi_sgarray_t alloc_filled(size_t len, unsigned seed, size_t offset);
/* Appends a slice of another sga to a composed one. */
void compose(demi_sgarray_t *sga, const demi_sgarray_t *part, uint32_t from, uint32_t len);

demi_qtoken_t push(int qd, const demi_sgarray_t *sga);
demi_qtoken_t pop(int qd);
/* A pop that succeeded: one segment. */
demi_sgarray_t popped(int qd);
/* Pushes, waits and frees. */
void send_bytes(int qd, size_t len, unsigned seed, size_t offset);
/* The next len bytes, compared and freed. What a pop brought beyond them is kept
 * for the next recv_bytes or recv_eof; popped() knows nothing of it. */
void recv_bytes(int qd, size_t len, unsigned seed, size_t offset);
void drop_rest(int qd);
void recv_eof(int qd);
/* From one queue of this thread to another, in pushes of at most `chunk`. */
void pump(int from, int to, size_t len, size_t chunk, unsigned seed);

/* A value of this thread's instance, from its counters file. */
uint64_t counter(const char *name);
/* Waits until no more than `want` buffers are out. */
void expect_bufs_out(uint64_t want);

/*
 * The other party, in a thread or a process of its own, with a control channel
 * to it. In a process start it before this process has an instance.
 */
enum where { IN_THREAD, IN_PROCESS, N_WHERE };
struct peer {
	enum where where;
	pthread_t thread;
	pid_t pid;
	int ctl;		/* our end */
	int ctl_peer;		/* its end */
	void (*run)(int ctl);
};
void peer_start(struct peer *p, enum where where, void (*run)(int ctl));
void peer_join(struct peer *p);		/* asserts that it went well */
void say(int ctl, const void *what, size_t len);
void hear(int ctl, void *what, size_t len);
void say_done(int ctl);
void hear_done(int ctl);

/* Runs f in a child without an instance; its stderr comes back, cut to len. The
 * return value is that of waitpid. */
int run_captured(void (*f)(void *arg), void *arg, char *err_out, size_t len);
unsigned count_lines(const char *text);
/* Number of open descriptors of this process. */
unsigned count_fds(void);
/* The same where there is no instance, once there has been one: what a device's
 * library keeps for the process is there. */
unsigned count_fds_after_one(void);
/* What n instances leave behind at most: memif's driver in DPDK 22.11 forgets one for
 * each that was its server. */
unsigned fds_forgotten(unsigned n);
/* Calls rows(-1) to count and makes a case of each: see CASE(). */
void add_rows(TCase *tc, const TTest *test, int (*rows)(int row));

/*
 * A table of calls, one a line, inside `int rows(int row)` that starts with
 * `int n = 0` and returns n: row selects the one that is made.
 */
#define CASE(err, tag, call)               \
	do {                               \
		if (row == n++)            \
			expect(err, tag, call); \
	} while (0)

#endif /* TESTS_CONFORM_CONFORM_H */
