/*
 * redis_node.h: one server: its idle connections and whether it is worth trying.
 *
 * A few idle links wait in slots that threads take and fill by one atomic exchange: no lock, so a fork finds nothing
 * half done, and no thread waits for another. Who finds no link dials its own; who finds no free slot closes it.
 *
 * The breaker: after REDIS_FAILURES calls in a row that found the server away or silent, calls fail at once, for a
 * quarter of a second, doubled at each further failure up to five. When the time is over one caller tries, the others
 * still fail at once. So a page with a dead Redis is slow twice, not every time. Calls that failed side by side count
 * as one. A failure over an idle link does not count: a link is what failed, not yet the server. It closes all idle
 * links, which are of the same age, and the next call dials and finds out. A path that died without a word costs one
 * call, and the server's being away then two more.
 */
#ifndef LIBCOUNTER_REDIS_NODE_H
#define LIBCOUNTER_REDIS_NODE_H

#include "redis_link.h"

#include <stdatomic.h>

enum { REDIS_IDLE = 8, REDIS_FAILURES = 2, REDIS_REST_MS = 250, REDIS_REST_MAX_MS = 5000 };
enum { REDIS_NO_MASTER = 1 };

struct redis_node {
    struct redis_host host;
    const struct redis_login *login;            /* borrowed */
    struct redis_known known;                   /* its addresses, doubted by each link that could not be made */
    bool master;                                /* each new link asks ROLE, and is used only if that is "master" */
    _Atomic(struct redis_link *) idle[REDIS_IDLE];
    _Atomic unsigned failures;                  /* in a row */
    _Atomic int64_t retry;                      /* not before this (CLOCK_MONOTONIC, ns) */
    _Atomic int cause;                          /* the code of the last failure */
};

void redis_node_init(struct redis_node *node, const struct redis_host *host, const struct redis_login *login);
void redis_node_close(struct redis_node *node);         /* closes the idle links; no other thread may still use it */

/*
 * As redis_link_call, over an idle link or a new one. An idle link that turns out to be dead before anything was sent
 * is replaced by a new one. While the breaker is open, at once COUNTER_EDOWN, or COUNTER_EACCESS where that was the
 * last failure: "127.0.0.1:6379 did not answer in time and was given up for now (tried again in 0.2 s)".
 * REDIS_NO_MASTER (> 0), and nothing sent, where node->master asks for one and it is none now.
 */
int redis_node_call(struct redis_node *node, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                    redisReply **replies, bool *sent);

/* It is not the right one any more: if it has a name, that may lead to another, so the next call looks. */
void redis_node_doubt(struct redis_node *node);

/* Would a call fail at once now? */
bool redis_node_rests(struct redis_node *node);

#endif
