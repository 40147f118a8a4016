/*
 * real_cluster.h: a real Redis Cluster of a test's own: six nodes on loopback ports, three masters with a replica each.
 *
 * Nodes are redis_servers (redis_server.h), so they are asked, paused and killed as such:
 *
 *     struct real_cluster cluster;
 *     if (real_cluster_start(&cluster) == 0) {
 *         unsigned slot = real_cluster_slot(&cluster, "key");
 *         int node = real_cluster_master(&cluster, slot);
 *         long long n = redis_server_number(&cluster.node[node], "INCR key");
 *         ...
 *     }
 *     real_cluster_stop(&cluster);
 *
 * At first nodes 0 to 2 are masters of 0-5460, 5461-10922 and 10923-16383, and node i + 3 is the replica of node i.
 * A silent node is given up after one second, and its replica is master about two seconds later. Starting takes about
 * three seconds: a Redis that becomes a cluster's node serves nothing in its first two.
 *
 * Functions that return int and no node return 0, or -1 with a line on stderr. All waits are bounded by 20 seconds.
 */
#ifndef TESTS_REAL_CLUSTER_H
#define TESTS_REAL_CLUSTER_H

#include "redis_server.h"

enum { REAL_CLUSTER_MASTERS = 3, REAL_CLUSTER_NODES = 6, REAL_CLUSTER_SLOTS = 16384 };

struct real_cluster {
    struct redis_server node[REAL_CLUSTER_NODES];
    char id[REAL_CLUSTER_NODES][41];
    char seeds[REAL_CLUSTER_NODES * 16];        /* "127.0.0.1:10000,127.0.0.1:10001,..." */
    struct { unsigned slot; int from, to; } migration;
};

/* Starts six nodes, joins them and waits until each says that the cluster is well. 1 when no redis-server is installed.
 * What failed or was not installed needs no stop. */
int real_cluster_start(struct real_cluster *cluster);

/* Ends the nodes that live and removes their folders. Does nothing a second time. */
void real_cluster_stop(struct real_cluster *cluster);

/* The slot of a key, as the cluster itself says; REAL_CLUSTER_SLOTS if it says nothing. */
unsigned real_cluster_slot(const struct real_cluster *cluster, const char *key);

/* The node that all living nodes take for the master of that slot; -1 while they do not agree. */
int real_cluster_master(const struct real_cluster *cluster, unsigned slot);

/* ---- Moving one slot from its master to another, as resharding does ---- */

/* From now on the old master answers ASK for keys that it has not. */
int real_cluster_migrate_begin(struct real_cluster *cluster, unsigned slot, int to);

/* Moves up to n keys, and returns how many: 0 when none is left, -1 when it failed. */
int real_cluster_migrate_some(struct real_cluster *cluster, unsigned n);

/* Moves the rest, tells every master who owns the slot now, and waits until all nodes agree: the old one says MOVED. */
int real_cluster_migrate_finish(struct real_cluster *cluster);

/* ---- Failure ---- */

/* Kills a node, as a machine that lost its power. */
void real_cluster_kill(struct real_cluster *cluster, int node);

/* Starts it again in its place; it finds by itself what it is now. Waits until all living nodes are well with it. */
int real_cluster_revive(struct real_cluster *cluster, int node);

/* Waits until the living nodes agree on a living master of that slot and are well, and returns that master; or -1. */
int real_cluster_wait(const struct real_cluster *cluster, unsigned slot);

#endif
