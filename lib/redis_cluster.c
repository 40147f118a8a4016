/*
 * redis_cluster.c: the map of slots; see redis_cluster.h.
 *
 * CLUSTER SLOTS answers with ranges of slots, each an array: first slot, last slot, the master, its replicas. A node is
 * an array of endpoint, port and more that versions added. The endpoint is an address or a name; nil or "" is the
 * address that was asked, "?" is one that the node does not know. (CLUSTER SHARDS is Redis 7's, and says no more.)
 *
 * A reply is read into a map of its own, with the servers that it names. Only if all of it can be these are looked up in
 * the list of nodes, which never forgets one, and the map is written over the shared one, slot by slot: each entry is
 * good by itself, so nobody need see them change together.
 */
#include "redis_cluster.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "redis_reply.h"

enum { NOBODY = 0 }; /* else the node's number + 1 */

struct redis_cluster {
    struct redis_nodes nodes;
    unsigned hosts; /* of the URL: nodes 0 to hosts - 1 at most, since one may be named twice */
    _Atomic uint16_t map[REDIS_SLOTS];
    _Atomic bool doubted;
    _Atomic int64_t asked;  /* CLOCK_MONOTONIC, ns; 0: never */
    _Atomic unsigned first; /* the node to ask first: one that answered */
    _Atomic unsigned turn;  /* whom to try where the map has nobody */
};

int redis_cluster_open(struct redis_cluster **out, const struct redis_url *url, const struct redis_login *login)
{
    struct redis_cluster *cluster = calloc(1, sizeof *cluster);

    *out = cluster;
    if (!cluster)
        return error_set(COUNTER_ENOMEM, "a client of a cluster: out of memory");
    cluster->nodes.login = login;
    for (unsigned i = 0; i < url->hosts; i++) {
        int r = redis_nodes_number(&cluster->nodes, &url->host[i]);
        if (r < 0) {
            redis_cluster_close(cluster);
            *out = NULL;
            return r;
        }
    }
    cluster->hosts = redis_nodes_count(&cluster->nodes);
    return 0;
}

void redis_cluster_begin_with(struct redis_cluster *cluster, unsigned host)
{
    atomic_store(&cluster->first, host % cluster->hosts);
}

void redis_cluster_close(struct redis_cluster *cluster)
{
    if (!cluster)
        return;
    redis_nodes_close(&cluster->nodes);
    free(cluster);
}

/* ---- CLUSTER SLOTS ---------------------------------------------------------------------------------------------- */

/* A map that is being read: who holds a slot is UNREAD, NOBODY, or one of the masters + 1. */
struct draft {
    int16_t slot[REDIS_SLOTS];
    unsigned masters;
    struct redis_host master[REDIS_MASTERS];
};

enum { UNREAD = -1, IMPOSSIBLE = -1, TOO_MANY = -2 };

static int number_of(struct draft *draft, const struct redis_host *host)
{
    unsigned i = 0;

    while (i < draft->masters && !redis_nodes_same(&draft->master[i], host))
        i++;
    if (i == REDIS_MASTERS)
        return TOO_MANY;
    if (i == draft->masters)
        draft->master[draft->masters++] = *host;
    return (int)i + 1;
}

/* A node of the reply: who that is, NOBODY where it is not known, IMPOSSIBLE or TOO_MANY. */
static int read_node(struct draft *draft, const redisReply *node, const struct redis_host *asked)
{
    struct redis_host host;
    const redisReply *endpoint;
    const char *name = asked->name;

    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 || node->element[1]->type != REDIS_REPLY_INTEGER)
        return IMPOSSIBLE;
    endpoint = node->element[0];
    if (endpoint->type != REDIS_REPLY_STRING && endpoint->type != REDIS_REPLY_NIL)
        return IMPOSSIBLE;
    if (endpoint->type == REDIS_REPLY_STRING && endpoint->len > 0)
        name = endpoint->str;
    if (strcmp(name, "?") == 0)
        return NOBODY;
    if (!redis_reply_host(&host, name, name == asked->name ? strlen(name) : endpoint->len, node->element[1]->integer))
        return IMPOSSIBLE;
    return number_of(draft, &host);
}

/* Puts a range into the map. Returns what is wrong with it, or NULL. */
static const char *read_range(struct draft *draft, const redisReply *range, const struct redis_host *asked)
{
    int entry;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 || range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER)
        return "a range is not two slots and its nodes";
    long long first = range->element[0]->integer, last = range->element[1]->integer;
    if (first < 0 || first > last || last >= REDIS_SLOTS)
        return "a range does not ascend within 0 to 16383";
    entry = read_node(draft, range->element[2], asked);
    if (entry < 0)
        return entry == TOO_MANY ? "it names more than 1000 masters" : "a node has no address or no port that can be";
    for (long long slot = first; slot <= last; slot++) {
        if (draft->slot[slot] != UNREAD)
            return "a slot is held twice";
        draft->slot[slot] = (int16_t)entry;
    }
    return NULL;
}

static const char *read_map(struct draft *draft, const redisReply *reply, const struct redis_host *asked)
{
    const char *wrong = NULL;

    draft->masters = 0;
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        draft->slot[slot] = UNREAD;
    if (reply->type != REDIS_REPLY_ARRAY)
        return "it is no array";
    if (reply->elements == 0)
        return "no slot is held by anybody";
    for (size_t i = 0; i < reply->elements && !wrong; i++)
        wrong = read_range(draft, reply->element[i], asked);
    return wrong;
}

/* Slots of a node for which the list has no room stay as they were. */
static void adopt(struct redis_cluster *cluster, const struct draft *draft)
{
    uint16_t entries[REDIS_MASTERS + 1] = {NOBODY};

    for (unsigned i = 0; i < draft->masters; i++) {
        int number = redis_nodes_number(&cluster->nodes, &draft->master[i]);
        entries[i + 1] = number < 0 ? NOBODY : (uint16_t)(number + 1);
    }
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        uint16_t entry = draft->slot[slot] > NOBODY ? entries[draft->slot[slot]] : NOBODY;
        if (entry != NOBODY && atomic_load(&cluster->map[slot]) != entry)
            atomic_store(&cluster->map[slot], entry);
    }
}

static int believe(struct redis_cluster *cluster, const redisReply *reply, const struct redis_host *asked)
{
    char shown[REDIS_NAME + 8];
    struct draft *draft;
    const char *wrong;

    redis_host_show(shown, asked);
    if (reply->type == REDIS_REPLY_ERROR)
        return redis_reply_error(reply, shown);
    draft = malloc(sizeof *draft);
    if (!draft)
        return error_set(COUNTER_ENOMEM, "the map of a cluster: out of memory");
    wrong = read_map(draft, reply, asked);
    if (!wrong)
        adopt(cluster, draft);
    free(draft);
    return wrong ? error_set(COUNTER_EIO, "%s: its map of the cluster is not believed: %s", shown, wrong) : 0;
}

static int ask(struct redis_cluster *cluster, struct redis_node *node, redis_deadline deadline)
{
    static const char *const words[] = {"CLUSTER", "SLOTS"};
    static const size_t length[] = {7, 5};
    const struct redis_command command = {2, words, length};
    redisReply *reply;
    bool sent;
    int r = redis_node_call(node, &command, 1, deadline, &reply, &sent);

    if (r < 0)
        return r;
    r = believe(cluster, reply, &node->host);
    freeReplyObject(reply);
    return r;
}

/* ---- The map ---------------------------------------------------------------------------------------------------- */

/* May it be asked for? Of several who would, one. */
static bool may_ask(struct redis_cluster *cluster)
{
    struct timespec time;
    int64_t asked = atomic_load(&cluster->asked), now;

    clock_gettime(CLOCK_MONOTONIC, &time);
    now = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
    return (asked == 0 || now - asked >= REDIS_REFRESH_MS * INT64_C(1000000)) &&
           atomic_compare_exchange_strong(&cluster->asked, &asked, now);
}

/* Who may know: the node that answered last, those of the URL, and those that hold a slot. Not all that were ever named:
 * most of a long list are gone. */
static unsigned list_knowing(struct redis_cluster *cluster, uint16_t list[static REDIS_NODES])
{
    bool listed[REDIS_NODES] = {false};
    unsigned n = 0, first = atomic_load(&cluster->first);

    list[n++] = (uint16_t)first;
    listed[first] = true;
    for (unsigned i = 0; i < cluster->hosts + REDIS_SLOTS; i++) {
        unsigned entry = i < cluster->hosts ? i + 1 : atomic_load(&cluster->map[i - cluster->hosts]);
        if (entry == NOBODY || listed[entry - 1])
            continue;
        list[n++] = (uint16_t)(entry - 1);
        listed[entry - 1] = true;
    }
    return n;
}

/* Asks those who may know in turn, all but `failed`, until a map is believed. */
static void refresh(struct redis_cluster *cluster, const struct redis_node *failed, redis_deadline deadline)
{
    uint16_t list[REDIS_NODES];
    unsigned n;

    if (!may_ask(cluster))
        return;
    atomic_store(&cluster->doubted, false);
    n = list_knowing(cluster, list);
    for (unsigned i = 0; i < n && redis_deadline_left(deadline) > 0; i++) {
        struct redis_node *node = atomic_load(&cluster->nodes.node[list[i]]);
        if (node == failed || ask(cluster, node, redis_nodes_half(deadline)) < 0)
            continue;
        atomic_store(&cluster->first, list[i]);
        return;
    }
    atomic_store(&cluster->doubted, true);
}

static struct redis_node *holder(struct redis_cluster *cluster, unsigned slot)
{
    unsigned entry = atomic_load(&cluster->map[slot]);
    return entry == NOBODY ? NULL : atomic_load(&cluster->nodes.node[entry - 1]);
}

/* Somebody, in turn, who will say who holds a slot; NULL: there is nobody but `failed`. */
static struct redis_node *anybody(struct redis_cluster *cluster, const struct redis_node *failed)
{
    uint16_t list[REDIS_NODES];
    unsigned n = list_knowing(cluster, list), first = atomic_fetch_add(&cluster->turn, 1);
    struct redis_node *resting = NULL;

    for (unsigned i = 0; i < n; i++) {
        struct redis_node *node = atomic_load(&cluster->nodes.node[list[(first + i) % n]]);
        if (node != failed && !redis_node_rests(node))
            return node;
        if (node != failed)
            resting = node;
    }
    return resting;
}

int redis_cluster_node(struct redis_cluster *cluster, unsigned slot, const struct redis_node *failed,
                       redis_deadline deadline, struct redis_node **out)
{
    char shown[REDIS_NAME + 8];

    *out = holder(cluster, slot);
    if (!*out || *out == failed || atomic_load(&cluster->doubted) || redis_node_rests(*out)) {
        refresh(cluster, *out && redis_node_rests(*out) ? *out : failed, deadline);
        *out = holder(cluster, slot);
    }
    if (!*out)
        *out = anybody(cluster, failed);
    if (*out && *out != failed)
        return 0;
    *out = NULL;
    return error_set(COUNTER_EDOWN, "%s does not answer, and no other node of the cluster holds slot %u",
                     redis_host_show(shown, &failed->host), slot);
}

int redis_cluster_moved(struct redis_cluster *cluster, unsigned slot, const struct redis_host *host, bool for_good,
                        struct redis_node **out)
{
    int number = redis_nodes_number(&cluster->nodes, host);

    if (number < 0)
        return number;
    *out = atomic_load(&cluster->nodes.node[number]);
    if (for_good) {
        atomic_store(&cluster->map[slot], (uint16_t)(number + 1));
        redis_cluster_doubt(cluster);
    }
    return 0;
}

void redis_cluster_doubt(struct redis_cluster *cluster)
{
    atomic_store(&cluster->doubted, true);
}

struct redis_node *redis_cluster_next(struct redis_cluster *cluster, unsigned *position)
{
    unsigned count = redis_nodes_count(&cluster->nodes);

    for (; *position < count; (*position)++)
        for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
            if (atomic_load(&cluster->map[slot]) == *position + 1)
                return atomic_load(&cluster->nodes.node[(*position)++]);
    return NULL;
}
