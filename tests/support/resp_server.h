/*
 * resp_server.h: a server that says what a test's script says: every reply that a Redis can give, and many it cannot.
 *
 * A script is a list of steps that one connection goes through; each connection accepted takes the next script of the
 * list, the last one serving all further ones. It runs in a thread, on a Unix socket in a folder of its own or on a
 * loopback port, and notes what it received.
 *
 *     static const char *const script[] = {"expect PING", "send +PONG\\r\\n", "expect *", "sleep 50", "close", NULL};
 *
 *     expect WORD...   waits for one command (an array of bulk strings) whose first words are these, without regard to
 *                      case; "*" stands for any command, and skips it
 *     when WORD...     waits for one command, takes it if it is such a one, else leaves it and skips the next step
 *     send BYTES       with \r \n \0 \xHH \\ as in C; \p is the server's own port
 *     drip MS BYTES    the same, one byte every MS milliseconds
 *     repeat N BYTES   N times the same, for very long replies
 *     sleep MS         bounded by the server's stop
 *     hang             reads no more and says nothing until it is stopped
 *     close            closes; the script ends. "reset" the same with a RST
 *     again            starts this connection's script over
 *
 * After the last step the connection stays open until the other side closes it; commands that still come are noted and
 * complained of. A step that fails ends the connection.
 */
#ifndef TESTS_RESP_SERVER_H
#define TESTS_RESP_SERVER_H

#include <stdint.h>

struct resp_server;

/* tcp 0: a Unix socket; 1: 127.0.0.1 and a port that was free. scripts is a list of lists, both ending in NULL, that
 * outlives the server. NULL with a line on stderr when it failed. */
struct resp_server *resp_server_start(int tcp, const char *const *const *scripts);

const char *resp_server_path(const struct resp_server *server);     /* of its Unix socket */
uint16_t resp_server_port(const struct resp_server *server);

/* How many connections and commands came so far; the text of command i ("SET a b", words over 64 bytes cut), for as
 * long as the server lives; NULL beyond the last. */
unsigned resp_server_connections(const struct resp_server *server);
unsigned resp_server_commands(const struct resp_server *server);
const char *resp_server_command(const struct resp_server *server, unsigned i);

/* What did not come as expected, in words; "" if nothing. */
const char *resp_server_complaint(const struct resp_server *server);

/* Ends all connections and the thread, removes the folder. */
void resp_server_stop(struct resp_server *server);

#endif
