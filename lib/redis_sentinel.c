/*
 * redis_sentinel.c: get-master-addr-by-name, of whichever Sentinel answers; see redis_sentinel.h.
 *
 * The master known is one pointer into a list of nodes that only grows. Threads that find none ask side by side.
 */
#include "redis_sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "redis_reply.h"

struct redis_sentinel {
    const struct redis_url *url;
    struct redis_login guest;           /* no user, no password, database 0 */
    struct redis_login member;          /* those of the URL, database 0 */
    struct redis_node ask[REDIS_HOSTS]; /* the Sentinels, as a guest */
    struct redis_node ask_as_member[REDIS_HOSTS];
    struct redis_nodes masters;
    _Atomic(struct redis_node *) master; /* as named last; NULL: never */
    _Atomic bool doubted;
    _Atomic redis_deadline asked; /* when somebody asked last */
    _Atomic unsigned first;       /* the Sentinel to ask first */
};

int redis_sentinel_open(struct redis_sentinel **out, const struct redis_url *url, const struct redis_login *login)
{
    struct redis_sentinel *sentinel = calloc(1, sizeof *sentinel);

    *out = sentinel;
    if (!sentinel)
        return error_set(COUNTER_ENOMEM, "a client of Sentinels: out of memory");
    sentinel->url = url;
    sentinel->member = *login;
    sentinel->member.database = 0;
    sentinel->guest = sentinel->member;
    sentinel->guest.user = sentinel->guest.password = "";
    sentinel->masters.login = login;
    sentinel->masters.masters = true;
    for (unsigned i = 0; i < url->hosts; i++) {
        redis_node_init(&sentinel->ask[i], &url->host[i], &sentinel->guest);
        redis_node_init(&sentinel->ask_as_member[i], &url->host[i], &sentinel->member);
    }
    return 0;
}

void redis_sentinel_begin_with(struct redis_sentinel *sentinel, unsigned host)
{
    atomic_store(&sentinel->first, host % sentinel->url->hosts);
}

void redis_sentinel_close(struct redis_sentinel *sentinel)
{
    if (!sentinel)
        return;
    for (unsigned i = 0; i < sentinel->url->hosts; i++) {
        redis_node_close(&sentinel->ask[i]);
        redis_node_close(&sentinel->ask_as_member[i]);
    }
    redis_nodes_close(&sentinel->masters);
    free(sentinel);
}

static int question(struct redis_node *node, const char *name, redis_deadline deadline, redisReply **reply)
{
    const char *const words[] = {"SENTINEL", "get-master-addr-by-name", name};
    const size_t length[] = {strlen(words[0]), strlen(words[1]), strlen(name)};
    const struct redis_command command = {3, words, length};
    bool sent;

    return redis_node_call(node, &command, 1, deadline, reply, &sent);
}

/* An address and a port, as two strings. */
static bool is_address(const redisReply *reply, struct redis_host *host)
{
    const redisReply *name, *port;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return false;
    name = reply->element[0];
    port = reply->element[1];
    return name->type == REDIS_REPLY_STRING && port->type == REDIS_REPLY_STRING &&
           redis_reply_host(host, name->str, name->len, redis_reply_number(port->str, port->len));
}

/* What a reply says: the number of the master it names, or what is wrong. */
static int understand(struct redis_sentinel *sentinel, unsigned i, const redisReply *reply)
{
    char shown[REDIS_NAME + 8], quoted[ERROR_QUOTED];
    const char *name = sentinel->url->master;
    struct redis_host host;

    redis_host_show(shown, &sentinel->url->host[i]);
    if (reply->type == REDIS_REPLY_NIL)
        return error_set(COUNTER_EDOWN, "Sentinel %s knows no master named \"%s\"", shown,
                         error_quote(quoted, name, strlen(name)));
    if (reply->type == REDIS_REPLY_ERROR)
        return redis_reply_error(reply, shown);
    if (!is_address(reply, &host))
        return error_set(COUNTER_EIO, "Sentinel %s names as master what is no address", shown);
    return redis_nodes_number(&sentinel->masters, &host);
}

static int ask(struct redis_sentinel *sentinel, unsigned i, redis_deadline deadline)
{
    redisReply *reply;
    int r = question(&sentinel->ask[i], sentinel->url->master, deadline, &reply);

    if (r == 0 && redis_reply_is(reply, "NOAUTH") && sentinel->member.password[0]) {
        freeReplyObject(reply);
        r = question(&sentinel->ask_as_member[i], sentinel->url->master, deadline, &reply);
    }
    if (r < 0)
        return r;
    r = understand(sentinel, i, reply);
    freeReplyObject(reply);
    return r;
}

/* Is the master named last to be used? Where it is given up anyway, also in doubt, if that was asked about just now. */
static bool may_keep(struct redis_sentinel *sentinel, struct redis_node *master)
{
    redis_deadline now = redis_deadline_in(0), asked = atomic_load(&sentinel->asked);

    if (!master || !atomic_load(&sentinel->doubted))
        return master != NULL;
    if (!redis_node_rests(master))
        return false;
    return now - asked < REDIS_REST_MS * INT64_C(1000000) ||
           !atomic_compare_exchange_strong(&sentinel->asked, &asked, now);
}

int redis_sentinel_master(struct redis_sentinel *sentinel, redis_deadline deadline, struct redis_node **out)
{
    unsigned hosts = sentinel->url->hosts, first = atomic_load(&sentinel->first);
    int r = 0;

    *out = atomic_load(&sentinel->master);
    if (may_keep(sentinel, *out))
        return 0;
    *out = NULL;
    atomic_store(&sentinel->asked, redis_deadline_in(0));
    for (unsigned i = 0; i < hosts && !*out; i++) {
        unsigned asked = (first + i) % hosts;
        r = ask(sentinel, asked, redis_nodes_half(deadline));
        if (r < 0)
            continue;
        atomic_store(&sentinel->first, asked);
        *out = atomic_load(&sentinel->masters.node[r]);
        atomic_store(&sentinel->doubted, false);
        atomic_store(&sentinel->master, *out);
    }
    return *out ? 0 : r;
}

void redis_sentinel_doubt(struct redis_sentinel *sentinel, struct redis_node *node, bool is_there)
{
    if (atomic_load(&sentinel->master) == node && !atomic_exchange(&sentinel->doubted, true) && is_there)
        atomic_fetch_add(&sentinel->first, 1);
}
