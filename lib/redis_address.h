/*
 * redis_address.h: the addresses of a host, with as few look-ups of its name as can be.
 *
 * Numeric addresses, "localhost" and Unix sockets are never looked up. A name is, by the system's resolver, which knows
 * no deadline: with a name server that is silent it takes 10 s and more, whatever the caller's deadline. So what it
 * found is kept and used for as long as it serves. A name is looked up again only when its addresses were doubted, and
 * not before REDIS_LOOKUP_MS after the last time, by one thread; the others go on with those that are known. Nor is one
 * that was not found looked up sooner.
 *
 * Threads share what is kept without a lock: who reads it counts himself in, copies it and counts himself out; what was
 * replaced is freed when nobody is counted in. A fork in between leaves the child with one counted in for ever: there
 * it is freed at close.
 */
#ifndef LIBCOUNTER_REDIS_ADDRESS_H
#define LIBCOUNTER_REDIS_ADDRESS_H

#include "redis_url.h"

#include <stdatomic.h>
#include <sys/socket.h>

enum { REDIS_ADDRESSES = 16, REDIS_LOOKUP_MS = 5000 };

struct redis_addresses {
    unsigned n;
    struct {
        struct sockaddr_storage bytes;
        socklen_t length;
    } address[REDIS_ADDRESSES];
};

struct redis_found;

/* Of one host. All zero: nothing is known yet. */
struct redis_known {
    _Atomic(struct redis_found *) found, replaced;
    _Atomic unsigned readers;
    _Atomic int64_t looked;                     /* when a look-up ended (CLOCK_MONOTONIC, ns); 0: none did */
    _Atomic bool doubted;
};

/* known NULL: nothing is kept. COUNTER_EDOWN: the name is not found; COUNTER_EINVAL: no such socket can be. */
int redis_address_find(struct redis_addresses *out, const struct redis_host *host, struct redis_known *known);

/* These addresses did not lead to the server. Is it a name's, so that another look-up may help? */
bool redis_address_doubt(struct redis_known *known);

/* No other thread may still use it. */
void redis_address_forget(struct redis_known *known);

#endif
