/*
 * redis_link.h: one connection to one Redis server, and the promise that no call outlives its deadline.
 *
 * hiredis understands the replies; everything that can wait is ours. The socket does not block and is closed on exec
 * (redis_dial.h), commands go out of a buffer of our own, which is wiped since it may have held a password, and every
 * wait is a poll() against one absolute deadline, through connect, TLS, AUTH, SELECT and the commands themselves.
 * hiredis' own timeouts count from the last byte and cannot bound anything: a server that drips one byte at a time
 * holds them for ever.
 *
 * A link is used by one thread at a time and never again after anything went wrong: an answer that was given up would
 * be taken for that of the next command. Nor in a forked child, which only closes its copy; of links that other threads
 * used when it was forked it knows nothing, and keeps their sockets open until it ends. Replies are bounded in
 * depth, elements and bytes (redis_reader.h). Nothing is written that could raise SIGPIPE. Works the same on
 * hiredis 0.14 and 1.x.
 */
#ifndef LIBCOUNTER_REDIS_LINK_H
#define LIBCOUNTER_REDIS_LINK_H

#include "redis_dial.h"
#include "redis_reader.h"
#include "redis_tls.h"

/* How to log in to each server of a URL. Strings are borrowed from whoever opened the client. */
struct redis_login {
    const char *user, *password;    /* "" if none; a password without a user is the default user's */
    int         database;
    const struct redis_trust *trust;        /* NULL: no TLS */
};

struct redis_command {              /* words may hold any bytes */
    int                argc;
    const char *const *argv;
    const size_t      *length;
};

struct redis_link;

/*
 * Connects and logs in. COUNTER_EDOWN: nobody there (the text has host and errno); COUNTER_ETIMEOUT: the deadline
 * passed; COUNTER_EACCESS: the server wants another user or password, or TLS was refused; COUNTER_EIO: what answered is
 * no Redis. A Unix socket whose backlog is full (EAGAIN) is tried again until the deadline. Each address of a name gets
 * its share of what is left. known (NULL: nothing is kept) keeps what a name's look-up found, which the system's
 * resolver makes without a deadline: redis_address.h.
 */
int redis_link_open(struct redis_link **out, const struct redis_host *host, struct redis_known *known,
                    const struct redis_login *login, redis_deadline deadline);

/* Closes without a word to the server. NULL is fine. Also what a forked child does with its copy. */
void redis_link_close(struct redis_link *link);

/* May be used: made by this process, not broken, and there is nothing to read (an idle server that says something has
 * closed the connection, or is none). One poll() without waiting. */
bool redis_link_is_good(const struct redis_link *link);

/*
 * Sends n commands in one go and reads their n replies, to be freed with freeReplyObject. Error replies are replies.
 * Every failure breaks the link, and no reply is given then: COUNTER_ETIMEOUT when the deadline passed, COUNTER_EDOWN
 * when the server closed the connection, COUNTER_EIO when it sent no protocol or more than it was asked,
 * COUNTER_EACCESS when it ended TLS by an alert. *sent then says whether the server may have got a whole command: if
 * not, it may be sent again elsewhere. An alert instead of the first answer of all is the end of the handshake, which
 * in TLS 1.3 is over for the client before the server has looked at it: nothing was taken then. n is at least 1.
 */
int redis_link_call(struct redis_link *link, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                    redisReply **replies, bool *sent);

#endif
