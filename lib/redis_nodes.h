/*
 * redis_nodes.h: the servers that were met: those of the URL first, then those that others named.
 *
 * A list that only grows, in slots filled from the first by compare-and-swap: whoever looks a server up finds it or
 * puts it into the first free slot, and who loses that race looks at the winner's. So there is one node for a server,
 * its pointer and its number stay good until close, and there is no lock. A server cannot make the list grow for ever
 * by naming others: it ends at REDIS_NODES. Nothing is ever taken out, since a thread may be inside: a client that has
 * met that many addresses goes on with those, and must be opened again to use another.
 */
#ifndef LIBCOUNTER_REDIS_NODES_H
#define LIBCOUNTER_REDIS_NODES_H

#include "redis_node.h"

enum { REDIS_NODES = 1024 };

struct redis_nodes {
    const struct redis_login *login;            /* borrowed */
    bool masters;                               /* of all nodes: see redis_node.h */
    _Atomic(struct redis_node *) node[REDIS_NODES];
};

/* Is that one server? Names are compared letter by letter. */
bool redis_nodes_same(const struct redis_host *a, const struct redis_host *b);

/* The server's number, 0 to REDIS_NODES - 1; it is added if it is new. COUNTER_ENOMEM, also when there are too many. */
int redis_nodes_number(struct redis_nodes *nodes, const struct redis_host *host);

/* How many there are; node i < that is nodes->node[i]. */
unsigned redis_nodes_count(struct redis_nodes *nodes);

void redis_nodes_close(struct redis_nodes *nodes);

/* Half of the time that is left: for one of several to ask, whichever of them hang. */
redis_deadline redis_nodes_half(redis_deadline deadline);

#endif
