/*
 * redis_link.c: a connection's conversation: commands out, replies in, until all is said or the deadline passes.
 *
 * The words of a command are encoded here ("*2", "$3", "GET", "$1", "k", each with CR LF), into one buffer for all the
 * commands of a call. A call reads while it still writes: a server that refuses a connection says why and closes it,
 * and what it said is read also where writing has failed.
 */
#include "redis_link.h"

#include "error.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK = 16384,
    LENGTH_TEXT = 24,
    REASON = 64,
    LOGIN_COMMANDS = 2,
    LOGIN_WORDS = 3,
    DATABASE_TEXT = 12,
    PASSWORD_KNOWN = 8
};

struct redis_link {
    int fd;
    pid_t owner;
    bool is_broken;
    bool was_heard;        /* a byte of a reply came */
    struct redis_tls *tls; /* NULL: none */
    struct redis_reader *reader;
    char name[REDIS_NAME + 8]; /* for errors */
};

struct request {
    char *bytes;
    size_t size, done, first; /* first: where the first command ends */
    bool is_cut;              /* the rest will not be taken */
};

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

static char *put(char *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

static char *put_count(char *at, char kind, size_t count)
{
    return at + snprintf(at, LENGTH_TEXT, "%c%zu\r\n", kind, count);
}

static size_t most_bytes(const struct redis_command *command)
{
    size_t bytes = LENGTH_TEXT;

    for (int i = 0; i < command->argc; i++)
        bytes += LENGTH_TEXT + command->length[i] + 2;
    return bytes;
}

static int encode(struct request *out, const struct redis_command *commands, unsigned n)
{
    size_t most = 1;

    for (unsigned i = 0; i < n; i++)
        most += most_bytes(&commands[i]);
    *out = (struct request){.bytes = malloc(most)};
    if (!out->bytes)
        return error_set(COUNTER_ENOMEM, "no memory for %zu bytes of commands", most);

    char *at = out->bytes;
    for (unsigned i = 0; i < n; i++) {
        at = put_count(at, '*', (size_t)commands[i].argc);
        for (int word = 0; word < commands[i].argc; word++) {
            at = put_count(at, '$', commands[i].length[word]);
            at = put(at, commands[i].argv[word], commands[i].length[word]);
            at = put(at, "\r\n", 2);
        }
        if (i == 0)
            out->first = (size_t)(at - out->bytes);
    }
    out->size = (size_t)(at - out->bytes);
    return 0;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

static int lost(const struct redis_link *link, int error)
{
    char reason[REASON];

    if (error == EPROTO && link->tls)
        return redis_tls_failed(link->tls);
    if (error == 0)
        return error_set(COUNTER_EDOWN, "%s closed the connection", link->name);
    return error_set(COUNTER_EDOWN, "the connection to %s broke: %s", link->name,
                     strerror_r(error, reason, sizeof reason));
}

static int no_redis(const struct redis_link *link, int code)
{
    const char *reason = redis_reader_reason(link->reader);
    char quoted[ERROR_QUOTED];

    if (code == COUNTER_ENOMEM)
        return error_set(COUNTER_ENOMEM, "no memory for a reply of %s", link->name);
    return error_set(code, "what answers at %s is no Redis: %s", link->name,
                     error_quote(quoted, reason, strlen(reason)));
}

/* Sends what the socket takes. One that takes nothing any more has perhaps still something to read. */
static void send_some(struct redis_link *link, struct request *request, short *events)
{
    while (request->done < request->size && !request->is_cut) {
        const char *bytes = request->bytes + request->done;
        size_t left = request->size - request->done;
        short wanted = POLLOUT;
        ssize_t n =
            link->tls ? redis_tls_send(link->tls, bytes, left, &wanted) : send(link->fd, bytes, left, MSG_NOSIGNAL);
        if (n > 0) {
            request->done += (size_t)n;
        } else if (errno != EINTR) {
            if (errno == EAGAIN)
                *events |= wanted;
            else
                request->is_cut = true;
            return;
        }
    }
}

/* 1: something came; 0: nothing now. */
static int receive_some(struct redis_link *link, short *events)
{
    char chunk[CHUNK];
    short wanted = POLLIN;
    ssize_t n =
        link->tls ? redis_tls_receive(link->tls, chunk, sizeof chunk, &wanted) : recv(link->fd, chunk, sizeof chunk, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        *events |= wanted;
        return 0;
    }
    if (n <= 0)
        return lost(link, n < 0 ? errno : 0);
    link->was_heard = true;
    int r = redis_reader_feed(link->reader, chunk, (size_t)n);
    return r < 0 ? no_redis(link, r) : 1;
}

/* Takes as many of n replies as are complete. */
static int take_replies(struct redis_link *link, unsigned n, redisReply **replies, unsigned *taken)
{
    while (*taken < n) {
        int r = redis_reader_take(link->reader, &replies[*taken]);
        if (r <= 0)
            return r < 0 ? no_redis(link, r) : 0;
        (*taken)++;
    }
    if (!redis_reader_is_empty(link->reader))
        return error_set(COUNTER_EIO, "what answers at %s is no Redis: it says more than it was asked", link->name);
    return 0;
}

static int converse(struct redis_link *link, struct request *request, unsigned n, redis_deadline deadline,
                    redisReply **replies)
{
    unsigned taken = 0;
    bool is_readable = false;
    int r;

    while (taken < n) {
        short events = 0;
        if (redis_deadline_left(deadline) == 0)
            return error_set(COUNTER_ETIMEOUT, "no answer from %s within the deadline", link->name);
        send_some(link, request, &events);
        if (is_readable && (r = receive_some(link, &events)) != 0) {
            if (r < 0 || (r = take_replies(link, n, replies, &taken)) < 0)
                return r;
            continue;
        }
        is_readable = redis_wait(link->fd, (short)(events | POLLIN), deadline);
    }
    return 0;
}

int redis_link_call(struct redis_link *link, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                    redisReply **replies, bool *sent)
{
    struct request request;

    *sent = false;
    for (unsigned i = 0; i < n; i++)
        replies[i] = NULL;
    if (link->is_broken || link->owner != getpid())
        return error_set(COUNTER_EDOWN, "the connection to %s is not to be used any more", link->name);
    redis_reader_begin(link->reader);
    int r = encode(&request, commands, n);
    if (r == 0) {
        r = converse(link, &request, n, deadline, replies);
        *sent = request.done >= request.first && (r != COUNTER_EACCESS || link->was_heard);
        link->is_broken = request.done < request.size;
        explicit_bzero(request.bytes, request.size);
        free(request.bytes);
    }
    if (r < 0) {
        link->is_broken = true;
        for (unsigned i = 0; i < n; i++) {
            freeReplyObject(replies[i]);
            replies[i] = NULL;
        }
    }
    return r;
}

/* ---- Login ------------------------------------------------------------------------------------------------------- */

static bool begins(const redisReply *reply, const char *word)
{
    return strncmp(reply->str, word, strlen(word)) == 0;
}

/* The server's words up to a quotation mark: what it quotes of an unknown AUTH command are its arguments. None where
 * they say the beginning of the password in any other way. */
static const char *words_of(char *quoted, const redisReply *reply, const char *password)
{
    size_t length = strcspn(reply->str, "'`\""), known = strnlen(password, PASSWORD_KNOWN);

    if (known && memmem(reply->str, length, password, known))
        length = 0;
    return error_quote(quoted, reply->str, length);
}

static int check_status(const struct redis_link *link, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_STATUS)
        return 0;
    return error_set(COUNTER_EIO, "what answers at %s is no Redis: no \"+OK\" to a login", link->name);
}

static int check_auth(const struct redis_link *link, const redisReply *reply, const char *password)
{
    char quoted[ERROR_QUOTED];

    if (!reply || reply->type != REDIS_REPLY_ERROR)
        return check_status(link, reply);
    words_of(quoted, reply, password);
    if (begins(reply, "LOADING") || begins(reply, "MASTERDOWN") || begins(reply, "BUSY") || begins(reply, "ERR max "))
        return error_set(COUNTER_EDOWN, "%s is not ready: %s", link->name, quoted);
    return error_set(COUNTER_EACCESS, "%s refuses the login: %s", link->name, quoted);
}

static int check_select(const struct redis_link *link, const redisReply *reply, const struct redis_login *login)
{
    char quoted[ERROR_QUOTED];

    if (!reply || reply->type != REDIS_REPLY_ERROR)
        return check_status(link, reply);
    words_of(quoted, reply, login->password);
    if (begins(reply, "NOAUTH") || begins(reply, "NOPERM") || begins(reply, "DENIED"))
        return error_set(COUNTER_EACCESS, "%s refuses database %d: %s", link->name, login->database, quoted);
    if (begins(reply, "ERR max ") || !begins(reply, "ERR "))
        return error_set(COUNTER_EDOWN, "%s is not ready: %s", link->name, quoted);
    return error_set(COUNTER_EINVAL, "%s has no database %d: %s", link->name, login->database, quoted);
}

/* AUTH and SELECT, where they are needed, in one round trip. */
static int log_in(struct redis_link *link, const struct redis_login *login, redis_deadline deadline)
{
    char database[DATABASE_TEXT];
    const char *auth[LOGIN_WORDS] = {"AUTH", login->user, login->password}, *choose[] = {"SELECT", database};
    size_t auth_length[LOGIN_WORDS] = {4, strlen(login->user), strlen(login->password)}, choose_length[] = {6, 0};
    struct redis_command commands[LOGIN_COMMANDS];
    redisReply *replies[LOGIN_COMMANDS];
    unsigned n = 0;
    bool has_auth = *login->user || *login->password, sent;

    if (has_auth && !*login->user) {
        auth[1] = login->password;
        auth_length[1] = auth_length[2];
    }
    if (has_auth)
        commands[n++] = (struct redis_command){*login->user ? 3 : 2, auth, auth_length};
    choose_length[1] = (size_t)snprintf(database, sizeof database, "%d", login->database);
    if (login->database)
        commands[n++] = (struct redis_command){2, choose, choose_length};
    if (n == 0)
        return 0;

    int r = redis_link_call(link, commands, n, deadline, replies, &sent);
    if (r < 0)
        return r;
    if (has_auth)
        r = check_auth(link, replies[0], login->password);
    if (r == 0 && login->database)
        r = check_select(link, replies[n - 1], login);
    for (unsigned i = 0; i < n; i++)
        freeReplyObject(replies[i]);
    return r;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

int redis_link_open(struct redis_link **out, const struct redis_host *host, struct redis_known *known,
                    const struct redis_login *login, redis_deadline deadline)
{
    struct redis_link *link = calloc(1, sizeof *link);
    int r;

    *out = NULL;
    if (!link || !(link->reader = redis_reader_open())) {
        free(link);
        return error_set(COUNTER_ENOMEM, "no memory for a connection");
    }
    link->fd = -1;
    link->owner = getpid();
    redis_host_show(link->name, host);
    if ((login->trust && (r = redis_tls_open(&link->tls, host, login->trust)) < 0) ||
        (r = redis_dial(&link->fd, host, known, deadline)) < 0 ||
        (login->trust && (r = redis_tls_handshake(link->tls, link->fd, deadline)) < 0) ||
        (r = log_in(link, login, deadline)) < 0) {
        redis_link_close(link);
        return r;
    }
    *out = link;
    return 0;
}

void redis_link_close(struct redis_link *link)
{
    if (!link)
        return;
    redis_tls_close(link->tls);
    redis_reader_close(link->reader);
    if (link->fd >= 0)
        close(link->fd);
    free(link);
}

bool redis_link_is_good(const struct redis_link *link)
{
    struct pollfd idle = {.fd = link->fd, .events = POLLIN | POLLRDHUP};
    int n;

    if (link->is_broken || link->owner != getpid())
        return false;
    do
        n = poll(&idle, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 0;
}
