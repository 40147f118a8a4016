/* redis_reply.h: what replies mean that are the same everywhere: errors, and the addresses of other servers. Pure. */
#ifndef LIBCOUNTER_REDIS_REPLY_H
#define LIBCOUNTER_REDIS_REPLY_H

#include "redis_url.h"

#include <hiredis/hiredis.h>

/* What an error reply means. COUNTER_EACCESS: NOAUTH WRONGPASS NOPERM, DENIED (protected mode), a script's user lacks a
 * permission; COUNTER_EFULL: OOM; COUNTER_EFORMAT: WRONGTYPE INVALIDOBJ, a figure that is no number; COUNTER_EDOWN:
 * LOADING MASTERDOWN NOREPLICAS MISCONF BUSY CLUSTERDOWN TRYAGAIN READONLY, MOVED and ASK that lead nowhere, too many
 * clients; else COUNTER_EIO. */
int redis_reply_code(const redisReply *reply);

/* The same with a text. The server's words are quoted. `what` is put in front: "counting a hit". */
int redis_reply_error(const redisReply *reply, const char *what);

/* Is it an error whose word is this, a script's too? */
bool redis_reply_is(const redisReply *reply, const char *word);

/* A server that another one names. False unless the name is 1 to 253 visible bytes of ASCII and the port 1 to 65535. */
bool redis_reply_host(struct redis_host *out, const char *name, size_t length, long long port);

/* A number of at most 5 digits, or -1. */
long long redis_reply_number(const char *text, size_t length);

#endif
