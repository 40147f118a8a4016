/*
 * redis_server.h: a Redis of a test's own, on a Unix socket in a temporary folder, and on a loopback port if wanted.
 *
 * It keeps nothing on disk unless options say so, and dies with the process that started it. A server that was killed
 * or ended can be started again where it was: same folder, socket and port, and with "--appendonly", "yes" its data.
 *
 * Functions that start something return 0; 1 when no redis-server is installed; -1, with a line on stderr, when it
 * failed. They are called from the thread that lives longest: the server dies when that thread ends.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redis_server {
    pid_t pid;                          /* 0: not running */
    uint16_t port;                      /* on 127.0.0.1; 0: none */
    bool keeps_folder;                  /* the folder was given, and outlives the server */
    char folder[64], socket[80];        /* a socket's path has at most 107 bytes */
};

enum { REDIS_NO_PORT = 0, REDIS_FREE_PORT = -1 };

/* Starts redis-server in a folder of its own and waits until it answers. `options` are further command line words
 * ("--requirepass", "secret", ..., NULL) or NULL; where the first is a path it is that of a configuration file. */
int redis_server_start(struct redis_server *server, const char *const *options);

/* The same in a folder that exists and stays, or in its own if that is NULL; and on a port, or one of the above. With
 * REDIS_FREE_PORT it is .port. */
int redis_server_start_in(struct redis_server *server, const char *folder, int port, const char *const *options);

/* Starts what was killed or ended again in its place. Options are not remembered. */
int redis_server_restart(struct redis_server *server, const char *const *options);

/* Ends the server by its pid: at once, or as an administrator would, by force after 5 seconds. The folder stays. */
void redis_server_kill(struct redis_server *server);
void redis_server_end(struct redis_server *server);

/* Ends the server and removes its folder, unless that was given. Does nothing a second time. */
void redis_server_stop(struct redis_server *server);

/* Returns a connected blocking socket with timeouts of 10 seconds, or -1 with errno. */
int redis_server_connect(const struct redis_server *server);

/* A port that is free on 127.0.0.1, as is the one 10000 above it, where a cluster's nodes talk. 0 if none was found.
 * It stays below the range that the kernel gives to clients. */
uint16_t redis_server_free_port(void);

/* ---- Questions (redis_ask.c, which needs hiredis) ---------------------------------------------------------------- */

struct redisReply;

/* One command over a connection of its own, as hiredis' redisCommand. Its reply, possibly an error, to be freed by
 * freeReplyObject; NULL, with a line on stderr, if none came within 10 seconds. */
struct redisReply *redis_server_ask(const struct redis_server *server, const char *format, ...);

/* What the reply says: its number, or the number it begins with; -1 for anything else. */
long long redis_server_number(const struct redis_server *server, const char *format, ...);

/* Whether the reply is a text that holds that part: an OK, a line of INFO. */
bool redis_server_says(const struct redis_server *server, const char *part, const char *format, ...);

#endif
