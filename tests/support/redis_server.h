/*
 * redis_server.h: a Redis of a test's own, on a Unix socket in a temporary folder.
 *
 * It keeps nothing on disk, opens no port, and dies with the process that started it. Nothing here speaks to the server.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <sys/types.h>

struct redis_server {
    pid_t pid;
    char folder[64], socket[80];        /* a socket's path has at most 107 bytes */
};

/* Starts redis-server and waits until its socket accepts. `options` are further command line words ("--requirepass",
 * "secret", ..., NULL) or NULL. Returns 0; 1 when no redis-server is installed; -1, with a line on stderr, when it
 * failed. Called from the thread that lives longest: the server dies when that thread ends. */
int redis_server_start(struct redis_server *server, const char *const *options);

/* Ends the server by its pid, by force after 5 seconds, and removes its folder. Does nothing a second time. */
void redis_server_stop(struct redis_server *server);

/* Returns a connected blocking socket with timeouts of 10 seconds, or -1 with errno. */
int redis_server_connect(const struct redis_server *server);

#endif
