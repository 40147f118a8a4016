/*
 * redis_client.h: commands to whoever holds a key: one server, the master that Sentinels name, or a node of a cluster.
 *
 * A call is a few commands that all touch keys of one hash slot, and needs one round trip when all is well. What went
 * wrong decides what may be repeated. An error reply says that a command was not executed, so MOVED, ASK, TRYAGAIN,
 * CLUSTERDOWN, READONLY and, from a master that steps down, LOADING and MASTERDOWN may be tried again wherever they
 * point to. A connection that breaks after a command went out says nothing: only calls that are safe to repeat
 * (REDIS_REPEAT) are sent again; the others fail with COUNTER_ETIMEOUT, which means once or not at all. Everything
 * happens before the call's one deadline, with at most REDIS_REDIRECTS redirections.
 *
 *   single     a node.
 *   sentinel   asks the Sentinels in turn (get-master-addr-by-name), one that answered first; the server named must say
 *              ROLE master. Asked again after READONLY, a broken connection or a role that changed.
 *   cluster    CRC16 of the hash tag gives the slot; a map of slots comes from CLUSTER SLOTS, of any node that answers,
 *              at most once a second. MOVED changes one slot at once and the map soon; ASK changes nothing: ASKING and
 *              the commands go to the node it names. A map that is empty or impossible is not believed.
 *
 * Any number of threads share a client, without a lock: nodes are published by one compare-and-swap each and live until
 * close, and who holds a slot is one store.
 */
#ifndef LIBCOUNTER_REDIS_CLIENT_H
#define LIBCOUNTER_REDIS_CLIENT_H

#include "redis_link.h"
#include "redis_reply.h"
#include "redis_slot.h"

enum { REDIS_REDIRECTS = 5 };

struct redis_client;

enum redis_flag { REDIS_REPEAT = 1 };       /* the same commands may be executed twice without harm */

/*
 * url is copied; the file of certificates ca ("": the system's) is read now, where the URL wants TLS, and never again.
 * Connects to nobody yet. COUNTER_EINVAL: that file cannot be used; COUNTER_ENOTBUILT: TLS in a build without.
 */
int redis_client_open(struct redis_client **out, const struct redis_url *url, const char *ca);
void redis_client_close(struct redis_client *client);

/* Which of the URL's hosts to ask first, where it has several: at open any one, lest a host that hangs cost each of many
 * short processes half its deadline. */
void redis_client_begin_with(struct redis_client *client, unsigned host);

/*
 * Sends n commands (1 or more) to the holder of `key`'s slot and gives n replies, to be freed with freeReplyObject.
 * Commands refused by an error that moves or delays (above) are sent again elsewhere or later; those that were executed
 * are not, so the order among several is not kept then: callers to whom it matters send one. Other error replies are
 * given as they are, and these too when the deadline or the redirections are used up.
 * Negative code and text: COUNTER_EDOWN, COUNTER_ETIMEOUT, COUNTER_EACCESS, COUNTER_EIO as in redis_link.h; without
 * REDIS_REPEAT always COUNTER_ETIMEOUT once something was sent.
 */
int redis_client_call(struct redis_client *client, const char *key, const struct redis_command *commands, unsigned n,
                      unsigned flags, redis_deadline deadline, redisReply **replies);

/* Calls `each` for every master there is, with replies to n commands: for what concerns servers, not keys. The replies
 * are freed for it; a negative result ends the round and is the whole's. */
typedef int redis_each_fn(void *arg, const struct redis_host *host, redisReply **replies);
int redis_client_each(struct redis_client *client, const struct redis_command *commands, unsigned n,
                      redis_deadline deadline, redis_each_fn *each, void *arg);

#endif
