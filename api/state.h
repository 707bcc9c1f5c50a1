/* The state table: what each call may do in each state of a queue. */
#ifndef API_STATE_H
#define API_STATE_H

struct libos_queue;

enum api_call {
	CALL_BIND,
	CALL_LISTEN,
	CALL_ACCEPT,
	CALL_CONNECT,
	CALL_PUSH,
	CALL_POP,
	N_CALLS
};

/* 0 or the errno of the table. */
int state_check(const struct libos_queue *q, enum api_call call);

#endif /* API_STATE_H */
