/*
 * redis_url.h: where a Redis is and how to log in, from a URL. Pure.
 *
 *     redis://[user:password@]host[:port][/db]          one server; rediss:// the same over TLS
 *     redis+unix:///path/of/socket[?db=N]               user:password@ may stand before the path
 *     redis+sentinel://[user:password@]host1[:port],host2,.../master-name[/db]
 *     redis+cluster://[user:password@]host1[:port],host2,...
 *
 * A user or password may hold any byte but NUL as %XX. A host is a name, an IPv4 address or an IPv6 one in brackets. An
 * empty host is 127.0.0.1; ports are 6379, for Sentinels 26379; in a cluster there is no database but 0.
 */
#ifndef LIBCOUNTER_REDIS_URL_H
#define LIBCOUNTER_REDIS_URL_H

#include <counter.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    REDIS_HOSTS = 16,
    REDIS_NAME = 254,               /* a host name of 253 bytes, or a socket's path of 107, with NUL */
    REDIS_USER = 129,
    REDIS_PASSWORD = 513,
    REDIS_MASTER = 65
};

enum redis_kind { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_host {
    char     name[REDIS_NAME];      /* host name or address; with port 0 the path of a Unix socket */
    uint16_t port;
};

struct redis_url {
    enum redis_kind   kind;
    bool              tls;
    unsigned          hosts;
    struct redis_host host[REDIS_HOSTS];
    int               database;     /* 0 to 65535 */
    char              user[REDIS_USER], password[REDIS_PASSWORD];       /* "" if none */
    char              master[REDIS_MASTER];     /* the master's name as the Sentinels know it */
};

/* Does the text begin like one of the URLs above? */
bool redis_url_is(const char *url);

/* 0, or COUNTER_EINVAL naming what is wrong and the rule, without the password. */
int redis_url_parse(struct redis_url *out, const char *url);

/* Copies a URL of any kind, also one that cannot be parsed, with "***" for what stands between the first ':' after
 * "//" and the last '@': what errors, checks and listings may show. In doubt more is hidden: a login without ':', a
 * "port" that is none, a query other than db=N, all of a text too long. Cut at size; returns buffer. */
const char *redis_url_show(char *buffer, size_t size, const char *url);

/* "127.0.0.1:6379", "[::1]:6379" or "/path/of/socket", for errors. Needs REDIS_NAME + 8 bytes. */
const char *redis_host_show(char *buffer, const struct redis_host *host);

#endif
