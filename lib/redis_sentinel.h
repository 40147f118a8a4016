/*
 * redis_sentinel.h: which server is the master now, according to the Sentinels.
 *
 * The Sentinels are asked in turn, beginning with the one that answered last, each with half of the time that is left:
 * one that hangs cannot use it up. The answer is kept until somebody doubts it, and then too while the master named last
 * is given up for now (redis_node.h): it is asked about once in REDIS_REST_MS at most, so that the Sentinels, who have a
 * new master to elect just then, are not asked by every hit of every process. The answer may be old: a Sentinel names a
 * master that stepped down until it hears of that. So each link to a server named first asks it for its ROLE
 * (redis_node.h), and who finds no master there asks again, the next Sentinel first.
 *
 * A Sentinel has often no password where its servers have one. It is asked without, and with if it wants that (NOAUTH).
 */
#ifndef LIBCOUNTER_REDIS_SENTINEL_H
#define LIBCOUNTER_REDIS_SENTINEL_H

#include "redis_nodes.h"

struct redis_sentinel;

/* url and login are borrowed until close. Connects to nobody yet. */
int redis_sentinel_open(struct redis_sentinel **out, const struct redis_url *url, const struct redis_login *login);
void redis_sentinel_close(struct redis_sentinel *sentinel);     /* NULL is fine */

/* Which of the Sentinels to ask first. */
void redis_sentinel_begin_with(struct redis_sentinel *sentinel, unsigned host);

/* The master last named, else the one that a Sentinel names now: COUNTER_EDOWN where none names one. */
int redis_sentinel_master(struct redis_sentinel *sentinel, redis_deadline deadline, struct redis_node **out);

/* That node did not answer, or (is_there) answered as no master does: the next redis_sentinel_master asks. */
void redis_sentinel_doubt(struct redis_sentinel *sentinel, struct redis_node *node, bool is_there);

#endif
