/*
 * redis_tls.h: TLS over a socket that does not block.
 *
 * The server's certificate must be signed by an authority we trust and name the host we asked for; a certificate that
 * is not looked at would only keep out those who listen, not those who answer. A build without TLS refuses at once.
 */
#ifndef LIBCOUNTER_REDIS_TLS_H
#define LIBCOUNTER_REDIS_TLS_H

#include "redis_dial.h"

#include <sys/types.h>

struct redis_tls;

/*
 * Whose certificates are believed: read once, for all connections of a client, in any number of threads. ca: a regular
 * file of certificates (PEM), "": the system's. COUNTER_EINVAL: the file cannot be used; COUNTER_ENOTBUILT in a build
 * without.
 */
struct redis_trust;
int redis_trust_open(struct redis_trust **out, const char *ca);
void redis_trust_close(struct redis_trust *trust);              /* NULL is fine */

/* Prepares a connection to the host. trust is borrowed until close. */
int redis_tls_open(struct redis_tls **out, const struct redis_host *host, const struct redis_trust *trust);

/* NULL is fine. Says nothing to the server and leaves the socket open. */
void redis_tls_close(struct redis_tls *tls);

/* COUNTER_EACCESS: refused by either side; COUNTER_ETIMEOUT; COUNTER_EDOWN: the server closed the connection. */
int redis_tls_handshake(struct redis_tls *tls, int fd, redis_deadline deadline);

/* As send() and recv(), without SIGPIPE. With EAGAIN *events says what to wait for. EPROTO: see redis_tls_failed. */
ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t n, short *events);
ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t n, short *events);

/* Why TLS broke after the handshake: COUNTER_EACCESS, the server ended it by an alert; COUNTER_EDOWN: what came is none. */
int redis_tls_failed(const struct redis_tls *tls);

#endif
