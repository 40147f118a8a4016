/*
 * redis_reader.h: bytes of a server become replies, within bounds.
 *
 * hiredis takes the protocol apart (RESP 2). Its functions that make objects are wrapped, so that a reply is refused
 * when its first element too many is announced, not when it has been built: hiredis' own limits differ between
 * versions, and freeing deeply nested replies overflows the stack in 1.0 to 1.2. What differs between its versions is
 * known here only.
 */
#ifndef LIBCOUNTER_REDIS_READER_H
#define LIBCOUNTER_REDIS_READER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum {
    REDIS_DEPTH = 6,                /* arrays within arrays; CLUSTER SLOTS of Redis 7 needs 4 */
    REDIS_ELEMENTS = 1 << 20,       /* of all arrays of one call */
    REDIS_REPLY = 64 << 20          /* bytes of all replies of one call */
};

struct redis_reader;

struct redis_reader *redis_reader_open(void);           /* NULL: no memory */
void redis_reader_close(struct redis_reader *reader);   /* NULL is fine */

/* A new call: its replies may be as large as those of any other. */
void redis_reader_begin(struct redis_reader *reader);

/* Takes n bytes that came: 0, COUNTER_EIO or COUNTER_ENOMEM. */
int redis_reader_feed(struct redis_reader *reader, const char *bytes, size_t n);

/* The next reply, to be freed with freeReplyObject: 1; 0: it is not complete yet; COUNTER_EIO: no reply, or a larger
 * one than is allowed; COUNTER_ENOMEM. */
int redis_reader_take(struct redis_reader *reader, redisReply **out);

/* Why the last of both failed. May hold bytes of the server. */
const char *redis_reader_reason(const struct redis_reader *reader);

/* Everything that came was taken. */
bool redis_reader_is_empty(const struct redis_reader *reader);

#endif
