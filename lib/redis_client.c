/*
 * redis_client.c: a call, and what becomes of it when it does not arrive; see redis_client.h.
 *
 * Two loops. deliver() sends commands until somebody answers: it looks for whom to ask, and after a failure for whom
 * else. redis_client_call() looks at what was answered: commands that were refused because they belong elsewhere or
 * come at a bad moment are delivered again, there or then, and their new replies take the place of the refusals. In a
 * slot that is being moved some keys are here and some there already, so of several commands only those refused are
 * sent again, and only those that were refused with the same word as the first.
 *
 * Each turn is bought from one of three purses: redirections (REDIS_REDIRECTS), waits (each twice as long as the one
 * before, while the deadline lasts), and one repetition. So it ends.
 */
#include "redis_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "redis_cluster.h"
#include "redis_sentinel.h"

enum { WAIT_MS = 10, WAIT_DOUBLINGS = 4 };

struct redis_client {
    struct redis_url url;
    struct redis_trust *trust; /* NULL: no TLS */
    struct redis_login login;
    struct redis_node node;          /* single */
    struct redis_sentinel *sentinel; /* or NULL */
    struct redis_cluster *cluster;   /* or NULL */
};

/* ---- Open and close --------------------------------------------------------------------------------------------- */

static int open_kind(struct redis_client *client)
{
    switch (client->url.kind) {
    case REDIS_SENTINEL:
        return redis_sentinel_open(&client->sentinel, &client->url, &client->login);
    case REDIS_CLUSTER:
        return redis_cluster_open(&client->cluster, &client->url, &client->login);
    case REDIS_SINGLE:
        break;
    }
    redis_node_init(&client->node, &client->url.host[0], &client->login);
    return 0;
}

void redis_client_begin_with(struct redis_client *client, unsigned host)
{
    if (client->cluster)
        redis_cluster_begin_with(client->cluster, host);
    if (client->sentinel)
        redis_sentinel_begin_with(client->sentinel, host);
}

/* Other processes, and other moments, begin with another. */
static unsigned any_host(void)
{
    return (unsigned)(((uint64_t)redis_deadline_in(0) ^ (uint64_t)getpid() << 32) * UINT64_C(0x9E3779B97F4A7C15) >> 48);
}

int redis_client_open(struct redis_client **out, const struct redis_url *url, const char *ca)
{
    struct redis_client *client = calloc(1, sizeof *client);
    int r = 0;

    *out = NULL;
    if (!client)
        return error_set(COUNTER_ENOMEM, "a Redis client: out of memory");
    if (url->tls && (r = redis_trust_open(&client->trust, ca ? ca : "")) < 0) {
        free(client);
        return r;
    }
    client->url = *url;
    client->login = (struct redis_login){
        .user = client->url.user, .password = client->url.password, .database = url->database, .trust = client->trust};
    r = open_kind(client);
    if (r < 0) {
        redis_client_close(client);
        return r;
    }
    redis_client_begin_with(client, any_host());
    *out = client;
    return 0;
}

void redis_client_close(struct redis_client *client)
{
    if (!client)
        return;
    redis_node_close(&client->node);
    redis_sentinel_close(client->sentinel);
    redis_cluster_close(client->cluster);
    redis_trust_close(client->trust);
    explicit_bzero(client->url.password, sizeof client->url.password);
    free(client);
}

/* ---- Whom to ask ------------------------------------------------------------------------------------------------ */

struct call {
    struct redis_client *client;
    unsigned slot, flags;
    redis_deadline deadline;
    struct redis_node *node; /* to ask next; NULL: to be found */
    bool asking;             /* as ASK said */
    bool repeated;
    unsigned redirects, waits;
};

static int find(struct redis_client *client, unsigned slot, const struct redis_node *failed, redis_deadline deadline,
                struct redis_node **out)
{
    if (client->cluster)
        return redis_cluster_node(client->cluster, slot, failed, deadline, out);
    if (client->sentinel)
        return redis_sentinel_master(client->sentinel, deadline, out);
    *out = &client->node;
    return 0;
}

/* A node did not answer, or (is_there) answered as the right one does not: next time others are asked which it is. */
static void doubt(const struct redis_client *client, struct redis_node *node, bool is_there)
{
    if (client->cluster)
        redis_cluster_doubt(client->cluster);
    if (client->sentinel)
        redis_sentinel_doubt(client->sentinel, node, is_there);
}

/* Nothing was sent to call->node, which does not answer: finds another, or leaves the text that said why. */
static bool find_another(struct call *call)
{
    struct redis_node *failed = call->node;
    char text[ERROR_TEXT];

    if ((!call->client->cluster && !call->client->sentinel) || call->asking || call->redirects++ >= REDIS_REDIRECTS)
        return false;
    snprintf(text, sizeof text, "%s", counter_error());
    doubt(call->client, failed, false);
    if (find(call->client, call->slot, failed, call->deadline, &call->node) == 0 && call->node != failed)
        return true;
    error_set(COUNTER_EDOWN, "%s", text);
    return false;
}

/* 10, 20, 40 ... ms, of which up to half is left out at random, so that those who wait do not come back together.
 * False, at once, where that is later than the deadline. */
static bool wait_a_little(struct call *call)
{
    struct timespec now;
    unsigned doublings = call->waits < WAIT_DOUBLINGS ? call->waits : WAIT_DOUBLINGS;
    int64_t longest = INT64_C(1000000) * (WAIT_MS << doublings), until;

    call->waits++;
    clock_gettime(CLOCK_MONOTONIC, &now);
    until = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (until + longest >= call->deadline)
        return false;
    until += longest / 2 + (int64_t)((uint64_t)now.tv_nsec * 2654435761 % (uint64_t)(longest / 2));
    now = (struct timespec){.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL) == EINTR)
        ;
    return true;
}

/* ---- Delivery --------------------------------------------------------------------------------------------------- */

/* Room for commands and their replies. */
struct batch {
    redisReply **replies;
    struct redis_command commands[];
};

static struct batch *batch_open(size_t n)
{
    struct batch *batch = calloc(1, sizeof *batch + n * (sizeof batch->commands[0] + sizeof(void *)));

    if (batch)
        batch->replies = (redisReply **)(batch->commands + n);
    else
        error_set(COUNTER_ENOMEM, "commands to Redis: out of memory");
    return batch;
}

/* Each command with ASKING before it. */
static int call_asking(const struct call *call, const struct redis_command *commands, unsigned n, redisReply **replies,
                       bool *sent)
{
    static const char *const words[] = {"ASKING"};
    static const size_t length[] = {6};
    struct batch *batch = batch_open(2 * (size_t)n);
    int r;

    *sent = false;
    if (!batch)
        return COUNTER_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        batch->commands[2 * i] = (struct redis_command){1, words, length};
        batch->commands[2 * i + 1] = commands[i];
    }
    r = redis_node_call(call->node, batch->commands, 2 * n, call->deadline, batch->replies, sent);
    for (unsigned i = 0; i < n && r == 0; i++) {
        freeReplyObject(batch->replies[2 * i]);
        replies[i] = batch->replies[2 * i + 1];
    }
    free(batch);
    return r;
}

static int call_once(const struct call *call, const struct redis_command *commands, unsigned n, redisReply **replies,
                     bool *sent)
{
    if (call->asking)
        return call_asking(call, commands, n, replies, sent);
    return redis_node_call(call->node, commands, n, call->deadline, replies, sent);
}

/* Something went out, and no answer came. */
static int lost(const struct call *call, int code)
{
    if (code == COUNTER_ETIMEOUT || call->flags & REDIS_REPEAT)
        return code;
    return error_set(COUNTER_ETIMEOUT, "%s; what was sent was done once or not at all", counter_error());
}

/* After a failure: is there another way? *code is what is to be said if not. */
static bool may_go_on(struct call *call, bool sent, int *code)
{
    char shown[REDIS_NAME + 8];

    if (*code == REDIS_NO_MASTER) {
        *code = error_set(COUNTER_EDOWN, "%s is no master now", redis_host_show(shown, &call->node->host));
        doubt(call->client, call->node, true);
        call->node = NULL;
        return wait_a_little(call);
    }
    if (sent) {
        bool repeat = call->flags & REDIS_REPEAT && !call->repeated && *code == COUNTER_EDOWN;
        *code = lost(call, *code);
        doubt(call->client, call->node, false);
        call->repeated = true;
        return repeat;
    }
    if (*code == COUNTER_EDOWN || *code == COUNTER_EIO)
        return find_another(call);
    if (*code == COUNTER_ETIMEOUT)
        doubt(call->client, call->node, false);
    return false;
}

/* Sends commands until they are answered. */
static int deliver(struct call *call, const struct redis_command *commands, unsigned n, redisReply **replies)
{
    bool sent;
    int r;

    do {
        r = call->node ? 0 : find(call->client, call->slot, NULL, call->deadline, &call->node);
        if (r < 0)
            return r;
        r = call_once(call, commands, n, replies, &sent);
    } while (r != 0 && may_go_on(call, sent, &r));
    return r;
}

/* ---- Refusals --------------------------------------------------------------------------------------------------- */

/* "MOVED 3999 127.0.0.1:6381": an empty address is that of who says so. */
static bool read_redirection(const struct call *call, const redisReply *reply, struct redis_host *out)
{
    const char *text = reply->str, *end = text + reply->len;
    const char *slot = memchr(text, ' ', reply->len);
    const char *address = slot ? memchr(slot + 1, ' ', (size_t)(end - slot - 1)) : NULL;
    const char *colon = address ? memrchr(address, ':', (size_t)(end - address)) : NULL;

    if (!colon || redis_reply_number(slot + 1, (size_t)(address - slot - 1)) != (long long)call->slot)
        return false;
    long long port = redis_reply_number(colon + 1, (size_t)(end - colon - 1));
    size_t length = (size_t)(colon - ++address);
    if (length == 0)
        return redis_reply_host(out, call->node->host.name, strlen(call->node->host.name), port);
    return (length != 1 || *address != '?') && redis_reply_host(out, address, length, port);
}

static bool follow(struct call *call, const redisReply *reply, bool for_good)
{
    struct redis_host host;

    if (call->redirects++ >= REDIS_REDIRECTS || !read_redirection(call, reply, &host)) {
        doubt(call->client, call->node, true);
        return false;
    }
    call->asking = !for_good;
    return redis_cluster_moved(call->client->cluster, call->slot, &host, for_good, &call->node) == 0;
}

/* What to do about a refusal; false: nothing, it is given as it is. */
static bool obey(struct call *call, const redisReply *reply)
{
    bool moved = redis_reply_is(reply, "MOVED");

    if (call->client->cluster && (moved || redis_reply_is(reply, "ASK")))
        return follow(call, reply, moved);
    if (!redis_reply_is(reply, "TRYAGAIN"))
        doubt(call->client, call->node, true);
    call->node = NULL;
    call->asking = false;
    return wait_a_little(call);
}

/* The first word of a refusal that may be tried again; NULL of another reply. */
static const char *refusal(const struct redis_client *client, const redisReply *reply)
{
    static const char *const words[] = {"READONLY", "LOADING", "MASTERDOWN", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"};
    size_t n = client->cluster ? sizeof words / sizeof *words : client->sentinel ? 3 : 0;

    for (size_t i = 0; i < n; i++)
        if (redis_reply_is(reply, words[i]))
            return words[i];
    return NULL;
}

/* Delivers again the commands that were refused with this word, and puts their new replies in place of the refusals. */
static int deliver_again(struct call *call, const struct redis_command *commands, unsigned n, const char *word,
                         redisReply **replies)
{
    struct batch *batch = batch_open(n);
    unsigned count = 0;
    int r;

    if (!batch)
        return COUNTER_ENOMEM;
    for (unsigned i = 0; i < n; i++)
        if (redis_reply_is(replies[i], word))
            batch->commands[count++] = commands[i];
    r = deliver(call, batch->commands, count, batch->replies);
    for (unsigned i = 0, next = 0; i < n && r == 0; i++)
        if (redis_reply_is(replies[i], word)) {
            freeReplyObject(replies[i]);
            replies[i] = batch->replies[next++];
        }
    free(batch);
    return r < 0 && count < n ? lost(call, r) : r;
}

/* The first refusal, and whether a turn may be taken because of it. One server that has become a replica is perhaps no
 * more what its name means. */
static const char *next_refusal(struct call *call, redisReply **replies, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (call->node == &call->client->node && redis_reply_is(replies[i], "READONLY"))
            redis_node_doubt(call->node);
        const char *word = refusal(call->client, replies[i]);
        if (word)
            return obey(call, replies[i]) ? word : NULL;
    }
    return NULL;
}

static void discard(redisReply **replies, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

int redis_client_call(struct redis_client *client, const char *key, const struct redis_command *commands, unsigned n,
                      unsigned flags, redis_deadline deadline, redisReply **replies)
{
    struct call call = {.client = client, .slot = redis_slot(key, strlen(key)), .flags = flags, .deadline = deadline};
    const char *word;
    int r = deliver(&call, commands, n, replies);

    if (r < 0)
        return r;
    while ((word = next_refusal(&call, replies, n)) != NULL) {
        r = deliver_again(&call, commands, n, word, replies);
        if (r < 0) {
            discard(replies, n);
            return r;
        }
    }
    return 0;
}

static int call_each(struct redis_node *node, const struct redis_command *commands, unsigned n, redis_deadline deadline,
                     redis_each_fn *each, void *arg)
{
    struct batch *batch = batch_open(n);
    char shown[REDIS_NAME + 8];
    bool sent;
    int r;

    if (!batch)
        return COUNTER_ENOMEM;
    r = redis_node_call(node, commands, n, deadline, batch->replies, &sent);
    if (r == REDIS_NO_MASTER)
        r = error_set(COUNTER_EDOWN, "%s is no master now", redis_host_show(shown, &node->host));
    if (r == 0) {
        r = each(arg, &node->host, batch->replies);
        discard(batch->replies, n);
    }
    free(batch);
    return r;
}

int redis_client_each(struct redis_client *client, const struct redis_command *commands, unsigned n,
                      redis_deadline deadline, redis_each_fn *each, void *arg)
{
    struct redis_node *node;
    unsigned position = 0;
    int r = find(client, 0, NULL, deadline, &node);

    if (r < 0)
        return r;
    if (!client->cluster)
        return call_each(node, commands, n, deadline, each, arg);
    node = redis_cluster_next(client->cluster, &position);
    if (!node)
        return error_set(COUNTER_EDOWN, "no node of the cluster gave a map of it");
    for (; node && r >= 0; node = redis_cluster_next(client->cluster, &position))
        r = call_each(node, commands, n, deadline, each, arg);
    return r;
}
