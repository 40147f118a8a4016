/*
 * redis_node.c: idle links in slots, and a breaker of three words; see redis_node.h.
 *
 * Slots are searched from the first, so that the same few links are used while there is little to do, and the others
 * stay idle until the server or a firewall closes them, which redis_link_is_good finds out. What it cannot find out is
 * that a path died without a word, of a router, a firewall or a server without power. Then all idle links are dead, so
 * the first that fails takes the others along.
 *
 * The breaker is closed while failures < REDIS_FAILURES. A call remembers how many failures there were when it began
 * and counts its own by compare-and-swap against that: of calls that fail side by side one counts. `retry` is stored
 * before the failure that makes it matter. Whoever moves an expired `retry` on, by another compare-and-swap, is the one
 * who tries; it is moved as far as that call can last.
 */
#include "redis_node.h"

#include <string.h>
#include <time.h>

#include "error.h"
#include "redis_reply.h"

#define MS INT64_C(1000000)

void redis_node_init(struct redis_node *node, const struct redis_host *host, const struct redis_login *login)
{
    memset(node, 0, sizeof *node);
    node->host = *host;
    node->login = login;
}

/* ---- Idle links ------------------------------------------------------------------------------------------------- */

/* One that may be used, or NULL. Those that may not are closed: they died, or are a parent process's. */
static struct redis_link *take_idle(struct redis_node *node)
{
    for (int i = 0; i < REDIS_IDLE; i++) {
        struct redis_link *link = atomic_exchange(&node->idle[i], NULL);
        if (link && redis_link_is_good(link))
            return link;
        redis_link_close(link);
    }
    return NULL;
}

static void put_idle(struct redis_node *node, struct redis_link *link)
{
    for (int i = 0; i < REDIS_IDLE; i++) {
        struct redis_link *none = NULL;
        if (atomic_compare_exchange_strong(&node->idle[i], &none, link))
            return;
    }
    redis_link_close(link);
}

static void close_idle(struct redis_node *node)
{
    for (int i = 0; i < REDIS_IDLE; i++)
        redis_link_close(atomic_exchange(&node->idle[i], NULL));
}

void redis_node_close(struct redis_node *node)
{
    close_idle(node);
    redis_address_forget(&node->known);
}

void redis_node_doubt(struct redis_node *node)
{
    if (redis_address_doubt(&node->known))
        close_idle(node);
}

/* ---- The breaker ------------------------------------------------------------------------------------------------ */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 * MS + now.tv_nsec;
}

static int64_t rest_after(unsigned failures)
{
    int64_t rest = REDIS_REST_MS;

    for (unsigned i = REDIS_FAILURES; i < failures && rest < REDIS_REST_MAX_MS; i++)
        rest *= 2;
    return (rest < REDIS_REST_MAX_MS ? rest : REDIS_REST_MAX_MS) * MS;
}

bool redis_node_rests(struct redis_node *node)
{
    return atomic_load(&node->failures) >= REDIS_FAILURES && now_ns() < atomic_load(&node->retry);
}

static int refuse(struct redis_node *node, int64_t left)
{
    int cause = atomic_load(&node->cause);
    const char *what = cause == COUNTER_EACCESS    ? "refused the login"
                       : cause == COUNTER_ETIMEOUT ? "did not answer in time"
                       : cause == COUNTER_EIO      ? "did not speak like a Redis"
                                                   : "could not be reached";
    int tenths = left > 0 ? (int)((left + 100 * MS - 1) / (100 * MS)) : 1;
    char shown[REDIS_NAME + 8];

    return error_set(cause == COUNTER_EACCESS ? COUNTER_EACCESS : COUNTER_EDOWN,
                     "%s %s and was given up for now (tried again in %d.%d s)", redis_host_show(shown, &node->host),
                     what, tenths / 10, tenths % 10);
}

/* May a call go out? If so *failures is what it counts its own failure against. */
static int admit(struct redis_node *node, redis_deadline deadline, unsigned *failures)
{
    int64_t now, until, retry;

    *failures = atomic_load(&node->failures);
    if (*failures < REDIS_FAILURES)
        return 0;
    now = now_ns();
    retry = atomic_load(&node->retry);
    if (now < retry)
        return refuse(node, retry - now);
    until = now + rest_after(*failures);
    if (until < deadline)
        until = deadline;
    return atomic_compare_exchange_strong(&node->retry, &retry, until) ? 0 : refuse(node, retry - now);
}

static bool blames_the_server(int code)
{
    return code == COUNTER_EDOWN || code == COUNTER_ETIMEOUT || code == COUNTER_EACCESS || code == COUNTER_EIO;
}

static void count(struct redis_node *node, int result, unsigned failures)
{
    if (result >= 0 && atomic_load(&node->failures) != 0)
        atomic_store(&node->failures, 0);
    if (!blames_the_server(result))
        return;
    atomic_store(&node->cause, result);
    atomic_store(&node->retry, now_ns() + rest_after(failures + 1));
    atomic_compare_exchange_strong(&node->failures, &failures, failures + 1);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

/* 0: it is a master; REDIS_NO_MASTER; or a failure. An error reply is one: who may not ask cannot know. */
static int ask_role(const struct redis_node *node, struct redis_link *link, redis_deadline deadline)
{
    static const char *const words[] = {"ROLE"};
    static const size_t length[] = {4};
    const struct redis_command command = {1, words, length};
    char shown[REDIS_NAME + 8], quoted[ERROR_QUOTED];
    redisReply *reply;
    bool sent;
    int r = redis_link_call(link, &command, 1, deadline, &reply, &sent);

    if (r < 0)
        return r;
    if (reply->type == REDIS_REPLY_ERROR)
        r = error_set(redis_reply_code(reply) == COUNTER_EDOWN ? COUNTER_EDOWN : COUNTER_EACCESS,
                      "%s does not say whether it is a master: \"%s\"", redis_host_show(shown, &node->host),
                      error_quote(quoted, reply->str, reply->len));
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 || reply->element[0]->type != REDIS_REPLY_STRING)
        r = error_set(COUNTER_EIO, "%s: ROLE was not answered with a role", redis_host_show(shown, &node->host));
    else if (strcmp(reply->element[0]->str, "master") != 0)
        r = REDIS_NO_MASTER;
    freeReplyObject(reply);
    return r;
}

static int dial(struct redis_node *node, struct redis_link **out, redis_deadline deadline)
{
    int r = redis_link_open(out, &node->host, &node->known, node->login, deadline);

    if (r == 0 && node->master && (r = ask_role(node, *out, deadline)) != 0)
        redis_link_close(*out);
    if (r != 0)
        redis_address_doubt(&node->known);
    return r;
}

/* *idle: what failed was an idle link, which tells nothing of the server. */
static int call(struct redis_node *node, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                redisReply **replies, bool *sent, bool *idle)
{
    int r;

    do {
        struct redis_link *link = take_idle(node);
        *idle = link != NULL;
        r = *idle ? 0 : dial(node, &link, deadline);
        if (r != 0)
            return r;
        r = redis_link_call(link, commands, n, deadline, replies, sent);
        if (r == 0) {
            put_idle(node, link);
            return 0;
        }
        redis_link_close(link);
        if (*idle && blames_the_server(r))
            close_idle(node);
    } while (r == COUNTER_EDOWN && *idle && !*sent);
    return r;
}

int redis_node_call(struct redis_node *node, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                    redisReply **replies, bool *sent)
{
    char shown[REDIS_NAME + 8];
    unsigned failures;
    bool idle;
    int r;

    *sent = false;
    if (redis_deadline_left(deadline) == 0) /* used up elsewhere: not this server's fault */
        return error_set(COUNTER_ETIMEOUT, "%s: no time was left to ask it", redis_host_show(shown, &node->host));
    r = admit(node, deadline, &failures);
    if (r < 0)
        return r;
    r = call(node, commands, n, deadline, replies, sent, &idle);
    if (r >= 0 || !idle)
        count(node, r, failures);
    return r;
}
