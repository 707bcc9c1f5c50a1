/* This thread's libOS instance, and the signals that end its waits. */
#ifndef APPS_INSTANCE_H
#define APPS_INSTANCE_H

#include <stdbool.h>

/*
 * Makes the instance, takes as many descriptors as there may be (a connection may
 * cost one), and lets SIGINT and SIGTERM end its waits with EINTR. Says why not, and
 * ends.
 */
void instance_start(void);
/* Whether one of the two has come. */
bool instance_interrupted(void);

#endif /* APPS_INSTANCE_H */
