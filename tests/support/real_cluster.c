/*
 * real_cluster.c: see real_cluster.h.
 *
 * Joined by the commands that redis-cli uses underneath (Redis Cluster tutorial and specification): each node gets a
 * configuration epoch of its own, masters get their slots, nodes meet, replicas take their masters. Every node is told
 * to meet every one before it, as gossip alone would take seconds to make them all known to each other.
 */
#include "real_cluster.h"

#include "wait.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

enum { NODES = REAL_CLUSTER_NODES, MASTERS = REAL_CLUSTER_MASTERS, SLOTS = REAL_CLUSTER_SLOTS, WAIT_MS = 20000 };

/* A replica that was away for long, by this clock, may be elected all the same; and none leaves its master for another,
 * so that a test knows who takes over. */
static const char *const node_options[] = {"--cluster-enabled",
                                           "yes",
                                           "--cluster-node-timeout",
                                           "1000",
                                           "--cluster-replica-validity-factor",
                                           "0",
                                           "--cluster-migration-barrier",
                                           "9",
                                           "--repl-diskless-sync-delay",
                                           "0",
                                           "--repl-ping-replica-period",
                                           "1",
                                           NULL};

static int first_slot(int master)
{
    return (master * SLOTS + MASTERS / 2) / MASTERS;
}

static int complain(const char *what)
{
    fprintf(stderr, "redis cluster: %s\n", what);
    return -1;
}

/* ---- What nodes say ---- */

unsigned real_cluster_slot(const struct real_cluster *cluster, const char *key)
{
    for (int i = 0; i < NODES; i++)
        if (cluster->node[i].pid != 0) {
            long long slot = redis_server_number(&cluster->node[i], "CLUSTER KEYSLOT %s", key);
            return slot < 0 ? SLOTS : (unsigned)slot;
        }
    return SLOTS;
}

static int node_of_port(const struct real_cluster *cluster, long long port)
{
    for (int i = 0; i < NODES; i++)
        if (cluster->node[i].port == port)
            return i;
    return -1;
}

/* An entry of CLUSTER SLOTS: first slot, last slot, then [address, port, id, ...] of the master and of each replica. */
static bool is_entry_of(const redisReply *entry, unsigned slot)
{
    return entry->elements >= 3 && entry->element[0]->integer <= slot && slot <= entry->element[1]->integer &&
           entry->element[2]->elements >= 2;
}

/* The master of a slot in the eyes of one node. With `replicas`, only where it knows of that many replicas of it. */
static int master_seen_by(const struct real_cluster *cluster, int node, unsigned slot, size_t replicas)
{
    redisReply *reply = redis_server_ask(&cluster->node[node], "CLUSTER SLOTS");
    int master = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            if (is_entry_of(reply->element[i], slot) && reply->element[i]->elements >= 3 + replicas)
                master = node_of_port(cluster, reply->element[i]->element[2]->element[1]->integer);
    freeReplyObject(reply);
    return master;
}

int real_cluster_master(const struct real_cluster *cluster, unsigned slot)
{
    int agreed = -1;

    for (int i = 0; i < NODES; i++)
        if (cluster->node[i].pid != 0) {
            int master = master_seen_by(cluster, i, slot, 0);
            if (master < 0 || (agreed >= 0 && master != agreed))
                return -1;
            agreed = master;
        }
    return agreed;
}

static bool every_living_node_is_well(const struct real_cluster *cluster)
{
    for (int i = 0; i < NODES; i++)
        if (cluster->node[i].pid != 0 && !redis_server_says(&cluster->node[i], "cluster_state:ok", "CLUSTER INFO"))
            return false;
    return true;
}

/* ---- Joining ---- */

static int start_nodes(struct real_cluster *cluster)
{
    for (int i = 0; i < NODES; i++) {
        struct redis_server *node = &cluster->node[i];
        int started = redis_server_start_in(node, NULL, REDIS_FREE_PORT, node_options);
        if (started != 0)
            return started;

        redisReply *id = redis_server_ask(node, "CLUSTER MYID");
        if (id != NULL && id->type == REDIS_REPLY_STRING)
            snprintf(cluster->id[i], sizeof cluster->id[i], "%s", id->str);
        freeReplyObject(id);
        if (cluster->id[i][0] == '\0')
            return complain("a node has no name");

        size_t used = strlen(cluster->seeds);
        snprintf(cluster->seeds + used, sizeof cluster->seeds - used, "%s127.0.0.1:%u", i ? "," : "", node->port);
    }
    return 0;
}

/* Redis before 7.0 takes slots one by one only. */
static bool give_slots_singly(const struct redis_server *node, int first, int end)
{
    char text[SLOTS / MASTERS + 1][12];
    const char *words[2 + SLOTS / MASTERS + 1] = {"CLUSTER", "ADDSLOTS"};
    int n = 2, fd = redis_server_connect(node);
    redisContext *connection = fd < 0 ? NULL : redisConnectFd(fd);

    if (connection == NULL)
        return false;
    for (int slot = first; slot < end; slot++, n++) {
        snprintf(text[n - 2], sizeof text[n - 2], "%d", slot);
        words[n] = text[n - 2];
    }
    redisReply *reply = redisCommandArgv(connection, n, words, NULL);
    bool given = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(connection);
    return given;
}

static bool give_slots(const struct real_cluster *cluster, int master)
{
    const struct redis_server *node = &cluster->node[master];
    int first = first_slot(master), end = first_slot(master + 1);

    return redis_server_says(node, "OK", "CLUSTER ADDSLOTSRANGE %d %d", first, end - 1) ||
           give_slots_singly(node, first, end);
}

static int introduce_nodes(const struct real_cluster *cluster)
{
    for (int i = 0; i < NODES; i++) {
        if (!redis_server_says(&cluster->node[i], "OK", "CLUSTER SET-CONFIG-EPOCH %d", i + 1))
            return complain("a node refuses its epoch");
        if (i < MASTERS && !give_slots(cluster, i))
            return complain("a master refuses its slots");
        for (int j = 0; j < i; j++)
            if (!redis_server_says(&cluster->node[i], "OK", "CLUSTER MEET 127.0.0.1 %d", cluster->node[j].port))
                return complain("a node will not meet another");
    }
    return 0;
}

/* CLUSTER REPLICATE is refused as long as the two do not know each other. */
static bool replicas_have_masters(const void *what)
{
    const struct real_cluster *cluster = what;

    for (int i = MASTERS; i < NODES; i++) {
        redisReply *reply = redis_server_ask(&cluster->node[i], "CLUSTER REPLICATE %s", cluster->id[i - MASTERS]);
        bool taken = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (!taken)
            return false;
    }
    return true;
}

static bool is_complete(const void *what)
{
    const struct real_cluster *cluster = what;

    for (int i = MASTERS; i < NODES; i++)
        if (!redis_server_says(&cluster->node[i], "master_link_status:up", "INFO replication"))
            return false;
    for (int i = 0; i < NODES; i++)
        for (int master = 0; master < MASTERS; master++)
            if (master_seen_by(cluster, i, (unsigned)first_slot(master), 1) != master)
                return false;
    return every_living_node_is_well(cluster);
}

int real_cluster_start(struct real_cluster *cluster)
{
    int started;

    memset(cluster, 0, sizeof *cluster);
    started = start_nodes(cluster);
    if (started == 0)
        started = introduce_nodes(cluster);
    if (started == 0 && !wait_until(replicas_have_masters, cluster, WAIT_MS / 2))
        started = complain("replicas do not get to know their masters");
    if (started == 0 && !wait_until(is_complete, cluster, WAIT_MS / 2))
        started = complain("nodes do not become a cluster");
    if (started != 0)
        real_cluster_stop(cluster);
    return started;
}

/* By force: a node that ends as it should waits for replicas that are gone. */
void real_cluster_stop(struct real_cluster *cluster)
{
    for (int i = 0; i < NODES; i++)
        redis_server_kill(&cluster->node[i]);
    for (int i = 0; i < NODES; i++)
        redis_server_stop(&cluster->node[i]);
    memset(cluster, 0, sizeof *cluster);
}

/* ---- Migration ---- */

int real_cluster_migrate_begin(struct real_cluster *cluster, unsigned slot, int to)
{
    int from = real_cluster_master(cluster, slot);

    if (from < 0 || from == to)
        return complain("a slot has nowhere to move from");
    cluster->migration.slot = slot;
    cluster->migration.from = from;
    cluster->migration.to = to;
    if (!redis_server_says(&cluster->node[to], "OK", "CLUSTER SETSLOT %u IMPORTING %s", slot, cluster->id[from]) ||
        !redis_server_says(&cluster->node[from], "OK", "CLUSTER SETSLOT %u MIGRATING %s", slot, cluster->id[to]))
        return complain("a slot cannot be moved");
    return 0;
}

/* MIGRATE key by key, so that keys may hold any bytes. */
int real_cluster_migrate_some(struct real_cluster *cluster, unsigned n)
{
    const struct redis_server *from = &cluster->node[cluster->migration.from];
    unsigned port = cluster->node[cluster->migration.to].port;
    redisReply *keys = redis_server_ask(from, "CLUSTER GETKEYSINSLOT %u %u", cluster->migration.slot, n);
    int moved = keys != NULL && keys->type == REDIS_REPLY_ARRAY ? 0 : complain("a slot's keys are not known");

    for (size_t i = 0; moved >= 0 && i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        redisReply *reply = redis_server_ask(from, "MIGRATE 127.0.0.1 %u %b 0 5000", port, key->str, key->len);
        if (reply != NULL && reply->type == REDIS_REPLY_STATUS)
            moved++;
        else
            moved = complain(reply != NULL ? reply->str : "a key cannot be moved");
        freeReplyObject(reply);
    }
    freeReplyObject(keys);
    return moved;
}

static bool slot_has_moved(const void *what)
{
    const struct real_cluster *cluster = what;

    return real_cluster_master(cluster, cluster->migration.slot) == cluster->migration.to;
}

/* The new master first, so that there is always one that serves the slot; then the old, then those not concerned. */
static bool tell_masters(const struct real_cluster *cluster)
{
    const char *owner = cluster->id[cluster->migration.to];
    const int order[] = {cluster->migration.to, cluster->migration.from};

    for (int i = 0; i < 2; i++)
        if (!redis_server_says(&cluster->node[order[i]], "OK", "CLUSTER SETSLOT %u NODE %s", cluster->migration.slot,
                               owner))
            return false;
    for (int i = 0; i < NODES; i++)
        if (i != order[0] && i != order[1] && cluster->node[i].pid != 0 &&
            redis_server_says(&cluster->node[i], "role:master", "INFO replication"))
            redis_server_says(&cluster->node[i], "OK", "CLUSTER SETSLOT %u NODE %s", cluster->migration.slot, owner);
    return true;
}

int real_cluster_migrate_finish(struct real_cluster *cluster)
{
    int moved;

    while ((moved = real_cluster_migrate_some(cluster, 100)) > 0)
        ;
    if (moved < 0)
        return -1;
    if (!tell_masters(cluster) || !wait_until(slot_has_moved, cluster, WAIT_MS))
        return complain("a slot did not move");
    return 0;
}

/* ---- Failure ---- */

void real_cluster_kill(struct real_cluster *cluster, int node)
{
    redis_server_kill(&cluster->node[node]);
}

/* Well, of one mind about the masters, and every replica with its master. */
static bool is_settled(const void *what)
{
    const struct real_cluster *cluster = what;

    for (int i = 0; i < MASTERS; i++)
        if (real_cluster_master(cluster, (unsigned)first_slot(i)) < 0)
            return false;
    for (int i = 0; i < NODES; i++)
        if (cluster->node[i].pid != 0 && !redis_server_says(&cluster->node[i], "role:master", "INFO replication") &&
            !redis_server_says(&cluster->node[i], "master_link_status:up", "INFO replication"))
            return false;
    return every_living_node_is_well(cluster);
}

int real_cluster_revive(struct real_cluster *cluster, int node)
{
    int started = redis_server_restart(&cluster->node[node], node_options);

    if (started == 0 && !wait_until(is_settled, cluster, WAIT_MS))
        started = complain("a node that came back is not well");
    return started;
}

struct takeover {
    const struct real_cluster *cluster;
    unsigned slot;
};

static bool has_living_master(const void *what)
{
    const struct takeover *takeover = what;
    int master = real_cluster_master(takeover->cluster, takeover->slot);

    return master >= 0 && takeover->cluster->node[master].pid != 0 && every_living_node_is_well(takeover->cluster);
}

int real_cluster_wait(const struct real_cluster *cluster, unsigned slot)
{
    const struct takeover takeover = {.cluster = cluster, .slot = slot};

    if (!wait_until(has_living_master, &takeover, WAIT_MS))
        return complain("no master took over");
    return real_cluster_master(cluster, slot);
}
