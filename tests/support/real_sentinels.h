/*
 * real_sentinels.h: a real Redis with a replica or two, and three Sentinels that watch over it under the name "portal".
 *
 * Servers and Sentinels are redis_servers (redis_server.h) on loopback ports, so they are asked, paused and killed as
 * such:
 *
 *     struct real_sentinels sentinels;
 *     if (real_sentinels_start(&sentinels, 1) == 0) {
 *         int old = real_sentinels_kill_master(&sentinels);
 *         int master = real_sentinels_wait(&sentinels, old);
 *         redis_server_number(&sentinels.server[master], "INCR key");
 *         ...
 *     }
 *     real_sentinels_stop(&sentinels);
 *
 * A master that is silent for 1.5 seconds is given up by a Sentinel; two of three must say so. The new one serves about
 * two seconds later. Starting takes about two seconds as well: that is how often Sentinels greet each other.
 */
#ifndef TESTS_REAL_SENTINELS_H
#define TESTS_REAL_SENTINELS_H

#include "redis_server.h"

#define REAL_SENTINELS_NAME "portal"

enum { REAL_SENTINELS = 3, REAL_SENTINELS_SERVERS = 3 };

struct real_sentinels {
    struct redis_server server[REAL_SENTINELS_SERVERS];         /* 0 is the master at first; the rest as wanted */
    struct redis_server sentinel[REAL_SENTINELS];
    int servers;
    char list[REAL_SENTINELS * 16];                             /* "127.0.0.1:10000,127.0.0.1:10001,..." */
};

/* Starts a master, its replicas (1 or 2) and the Sentinels, and waits until all know each other and could agree upon a
 * failover. 1 when no redis-server is installed; -1, with a line on stderr, when it failed. What failed or was not
 * installed needs no stop. */
int real_sentinels_start(struct real_sentinels *sentinels, int replicas);

/* Ends those that live and removes their folders. Does nothing a second time. */
void real_sentinels_stop(struct real_sentinels *sentinels);

/* The server that all living Sentinels name; -1 while they do not agree. Its port is .server[i].port. */
int real_sentinels_master(const struct real_sentinels *sentinels);

/* Kills it, as a machine that lost its power, and returns which it was; -1 if there was none. */
int real_sentinels_kill_master(struct real_sentinels *sentinels);

/* Waits, at most 30 seconds, until all living Sentinels name another server than `old`, and that one has taken office;
 * returns it; or -1 with a line on stderr. */
int real_sentinels_wait(const struct real_sentinels *sentinels, int old);

/* Starts a killed server again, still believing to be what it was at the start: for server 0, a master. The Sentinels
 * make it a replica; waits at most 30 seconds for that. 0, or -1 with a line on stderr. */
int real_sentinels_revive(struct real_sentinels *sentinels, int server);

#endif
