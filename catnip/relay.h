/*
 * Who calls at a memif server does not meet the driver: its listener (DPDK 22.11)
 * closes a descriptor that EAL's interrupt thread still looks at if the caller is gone
 * before it was greeted, and that panics. So our own socket has the public name, and
 * passes the messages on to the driver's, whose callers are only ours, and stay until
 * they were greeted. All in the interrupt thread.
 */
#ifndef CATNIP_RELAY_H
#define CATNIP_RELAY_H

struct relay;

/* Listens at `public` in dir for what listens at `private` there. */
int relay_open(int dir, const char *public, const char *private, struct relay **relay_out);
/* Nobody is passed on any more. NULL is fine. */
void relay_close(struct relay *relay);

#endif /* CATNIP_RELAY_H */
