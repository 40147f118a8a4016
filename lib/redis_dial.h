/*
 * redis_dial.h: deadlines, waiting, and a connected socket before a deadline.
 *
 * A deadline is a moment of CLOCK_MONOTONIC: time that was used up anywhere, by a signal or by somebody else's clock
 * change, is not given again. Whoever waits for a socket does it here.
 */
#ifndef LIBCOUNTER_REDIS_DIAL_H
#define LIBCOUNTER_REDIS_DIAL_H

#include "redis_address.h"

/* CLOCK_MONOTONIC in ns. */
typedef int64_t redis_deadline;
redis_deadline redis_deadline_in(uint32_t ms);
int redis_deadline_left(redis_deadline deadline);       /* ms, rounded up; 0 when it has passed */

/* Waits until one of the poll() events: 1; 0 when the deadline has passed. Signals do not lengthen it. */
int redis_wait(int fd, short events, redis_deadline deadline);

/*
 * Connects a socket that does not block and is closed on exec. Every address of a name is tried, each with its share
 * of what is left; a Unix socket whose backlog is full (EAGAIN) again and again. COUNTER_EDOWN: nobody there;
 * COUNTER_EACCESS: not allowed to open the Unix socket; COUNTER_ENOMEM: no descriptor is left; COUNTER_ETIMEOUT;
 * COUNTER_EINVAL: no such address can be.
 * The look-up of a name is the one wait that no deadline bounds: redis_address.h. known may be NULL.
 */
int redis_dial(int *out, const struct redis_host *host, struct redis_known *known, redis_deadline deadline);

#endif
