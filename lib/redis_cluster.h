/*
 * redis_cluster.h: which server holds which slot of a cluster.
 *
 * A map of 16384 small numbers, one for each slot: that of a node, or none. It comes from CLUSTER SLOTS, of any node
 * that answers (that which answered last, then those of the URL, then those that hold a slot), at most once a second,
 * however many threads and failures ask for it; each node that is asked gets half of the time that is left. A MOVED
 * changes one slot at once, one store, and the rest soon. What a map does not cover stays as it was. A map that is empty
 * or impossible (a slot beyond the last, or held twice, a port that cannot be, more masters than Redis allows) is not
 * believed at all, leaves nothing behind, and the next node is asked.
 *
 * Without a map there is still a way: any node that does not hold a slot says who does. So nobody waits for a map that
 * another thread is asking for.
 */
#ifndef LIBCOUNTER_REDIS_CLUSTER_H
#define LIBCOUNTER_REDIS_CLUSTER_H

#include "redis_nodes.h"
#include "redis_slot.h"

enum { REDIS_REFRESH_MS = 1000, REDIS_MASTERS = 1000 };

struct redis_cluster;

/* url and login are borrowed until close. Connects to nobody yet. */
int redis_cluster_open(struct redis_cluster **out, const struct redis_url *url, const struct redis_login *login);
void redis_cluster_close(struct redis_cluster *cluster);        /* NULL is fine */

/* Which of the URL's nodes to ask first. */
void redis_cluster_begin_with(struct redis_cluster *cluster, unsigned host);

/*
 * Whom to ask about a slot. The map is asked for first where it has nobody, was doubted, or names a node that is known
 * not to answer: `failed` (NULL: none), or one whose breaker is open. That it cannot be had is no failure as long as
 * there is somebody else to try. COUNTER_EDOWN where that leaves only `failed`.
 */
int redis_cluster_node(struct redis_cluster *cluster, unsigned slot, const struct redis_node *failed,
                       redis_deadline deadline, struct redis_node **out);

/* A node says that another holds the slot (for_good: MOVED, else ASK). COUNTER_ENOMEM. */
int redis_cluster_moved(struct redis_cluster *cluster, unsigned slot, const struct redis_host *host, bool for_good,
                        struct redis_node **out);

/* Something did not fit: the map is asked for again when it may be. */
void redis_cluster_doubt(struct redis_cluster *cluster);

/* The nodes that the map names, one after the other: NULL when there are no more. *position begins with 0. */
struct redis_node *redis_cluster_next(struct redis_cluster *cluster, unsigned *position);

#endif
