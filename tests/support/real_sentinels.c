/*
 * real_sentinels.c: see real_sentinels.h.
 *
 * A Sentinel is a redis-server in another mode, and keeps what it learns in its configuration file, so each has one of
 * its own. It finds the replicas by asking the master, and the other Sentinels by greetings on a channel of the master.
 */
#include "real_sentinels.h"

#include "wait.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENTINELS = REAL_SENTINELS, WAIT_MS = 30000 };

/* Half a second would be enough to call a master down, but not to call a new one well: after a failover a Sentinel may
 * keep its last try to reach the old master in mind, and reach for the new one a second later. What is given up within
 * that second is given up again and again. */
static const char configuration[] = "sentinel monitor " REAL_SENTINELS_NAME " 127.0.0.1 %u 2\n"
                                    "sentinel down-after-milliseconds " REAL_SENTINELS_NAME " 1500\n"
                                    "sentinel failover-timeout " REAL_SENTINELS_NAME " 2000\n"
                                    "sentinel parallel-syncs " REAL_SENTINELS_NAME " 2\n";

static int complain(const char *what)
{
    fprintf(stderr, "redis sentinels: %s\n", what);
    return -1;
}

/* ---- Starting ---- */

/* Starts a server, in its place where it has one. Server 0 starts as the master, the others as its replicas. */
static int start_server(struct real_sentinels *sentinels, int i)
{
    char port[8];
    const char *const options[] = {
        "--repl-diskless-sync-delay", "0", i == 0 ? NULL : "--replicaof", "127.0.0.1", port, NULL};
    struct redis_server *server = &sentinels->server[i];

    snprintf(port, sizeof port, "%u", (unsigned)sentinels->server[0].port);
    if (server->folder[0] != '\0')
        return redis_server_restart(server, options);
    return redis_server_start_in(server, NULL, REDIS_FREE_PORT, options);
}

static int write_configuration(const struct real_sentinels *sentinels, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return -1;
    fprintf(file, configuration, (unsigned)sentinels->server[0].port);
    return fclose(file);
}

/* A folder is not known before a server has it, so configurations lie in the master's. */
static int start_sentinel(struct real_sentinels *sentinels, int i)
{
    char path[96];
    const char *const options[] = {path, "--sentinel", NULL};
    struct redis_server *sentinel = &sentinels->sentinel[i];

    snprintf(path, sizeof path, "%s/sentinel-%d.conf", sentinels->server[0].folder, i);
    if (write_configuration(sentinels, path) < 0)
        return complain("no configuration could be written");
    int started = redis_server_start_in(sentinel, NULL, REDIS_FREE_PORT, options);
    if (started == 0) {
        size_t used = strlen(sentinels->list);
        snprintf(sentinels->list + used, sizeof sentinels->list - used, "%s127.0.0.1:%u", i ? "," : "",
                 (unsigned)sentinel->port);
    }
    return started;
}

static bool replicas_follow(const void *what)
{
    const struct real_sentinels *sentinels = what;

    for (int i = 1; i < sentinels->servers; i++)
        if (!redis_server_says(&sentinels->server[i], "master_link_status:up", "INFO replication"))
            return false;
    return true;
}

/* CKQUORUM counts the Sentinels that one knows and finds well; INFO names the replicas it knows, and all Sentinels. */
static bool sentinels_know_all(const void *what)
{
    const struct real_sentinels *sentinels = what;
    char known[64];

    snprintf(known, sizeof known, "slaves=%d,sentinels=%d", sentinels->servers - 1, SENTINELS);
    for (int i = 0; i < SENTINELS; i++)
        if (!redis_server_says(&sentinels->sentinel[i], known, "INFO sentinel") ||
            !redis_server_says(&sentinels->sentinel[i], "OK 3 usable", "SENTINEL CKQUORUM " REAL_SENTINELS_NAME))
            return false;
    return true;
}

static int start_all(struct real_sentinels *sentinels)
{
    int started = 0;

    for (int i = 0; i < sentinels->servers && started == 0; i++)
        started = start_server(sentinels, i);
    if (started == 0 && !wait_until(replicas_follow, sentinels, WAIT_MS))
        started = complain("replicas do not reach their master");
    for (int i = 0; i < SENTINELS && started == 0; i++)
        started = start_sentinel(sentinels, i);
    if (started == 0 && !wait_until(sentinels_know_all, sentinels, WAIT_MS))
        started = complain("Sentinels do not get to know each other");
    return started;
}

int real_sentinels_start(struct real_sentinels *sentinels, int replicas)
{
    memset(sentinels, 0, sizeof *sentinels);
    if (replicas < 1 || replicas >= REAL_SENTINELS_SERVERS)
        return complain("one replica or two");
    sentinels->servers = 1 + replicas;
    int started = start_all(sentinels);
    if (started != 0)
        real_sentinels_stop(sentinels);
    return started;
}

/* By force, the Sentinels first: they would write their configurations, and a master waits for replicas. */
void real_sentinels_stop(struct real_sentinels *sentinels)
{
    for (int i = 0; i < SENTINELS; i++)
        redis_server_kill(&sentinels->sentinel[i]);
    for (int i = 0; i < REAL_SENTINELS_SERVERS; i++)
        redis_server_kill(&sentinels->server[i]);
    for (int i = 0; i < SENTINELS; i++)
        redis_server_stop(&sentinels->sentinel[i]);
    for (int i = 0; i < REAL_SENTINELS_SERVERS; i++)
        redis_server_stop(&sentinels->server[i]);
    memset(sentinels, 0, sizeof *sentinels);
}

/* ---- Who is master ---- */

/* The server that one Sentinel names: an array of address and port. */
static int master_named_by(const struct real_sentinels *sentinels, int sentinel)
{
    redisReply *reply =
        redis_server_ask(&sentinels->sentinel[sentinel], "SENTINEL GET-MASTER-ADDR-BY-NAME " REAL_SENTINELS_NAME);
    int master = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        for (int i = 0; i < sentinels->servers; i++)
            if (strtol(reply->element[1]->str, NULL, 10) == sentinels->server[i].port)
                master = i;
    freeReplyObject(reply);
    return master;
}

int real_sentinels_master(const struct real_sentinels *sentinels)
{
    int agreed = -1;

    for (int i = 0; i < SENTINELS; i++)
        if (sentinels->sentinel[i].pid != 0) {
            int master = master_named_by(sentinels, i);
            if (master < 0 || (agreed >= 0 && master != agreed))
                return -1;
            agreed = master;
        }
    return agreed;
}

int real_sentinels_kill_master(struct real_sentinels *sentinels)
{
    int master = real_sentinels_master(sentinels);

    if (master >= 0)
        redis_server_kill(&sentinels->server[master]);
    return master;
}

struct failover {
    const struct real_sentinels *sentinels;
    int old;
};

static bool has_happened(const void *what)
{
    const struct failover *failover = what;
    int master = real_sentinels_master(failover->sentinels);

    return master >= 0 && master != failover->old && failover->sentinels->server[master].pid != 0 &&
           redis_server_says(&failover->sentinels->server[master], "role:master", "INFO replication");
}

int real_sentinels_wait(const struct real_sentinels *sentinels, int old)
{
    const struct failover failover = {.sentinels = sentinels, .old = old};

    if (!wait_until(has_happened, &failover, WAIT_MS))
        return complain("no failover happened");
    return real_sentinels_master(sentinels);
}

static bool follows(const void *what)
{
    return redis_server_says(what, "role:slave", "INFO replication") &&
           redis_server_says(what, "master_link_status:up", "INFO replication");
}

/* A second master under the old address is looked at every 10 seconds and told what it is after 8; since Redis 7.0 a
 * Sentinel can be asked to do that sooner. */
static void hurry(const struct real_sentinels *sentinels)
{
    for (int i = 0; i < SENTINELS; i++)
        if (sentinels->sentinel[i].pid != 0)
            freeReplyObject(
                redis_server_ask(&sentinels->sentinel[i], "SENTINEL DEBUG INFO-PERIOD 500 PUBLISH-PERIOD 250"));
}

int real_sentinels_revive(struct real_sentinels *sentinels, int server)
{
    if (start_server(sentinels, server) != 0)
        return -1;
    hurry(sentinels);
    if (!wait_until(follows, &sentinels->server[server], WAIT_MS))
        return complain("a server that came back does not follow the new master");
    return 0;
}
