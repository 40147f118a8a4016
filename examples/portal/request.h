/*
 * request.h: what the web server says about one request, read from the CGI variables (RFC 3875).
 *
 * Everything here came from outside and is only ever compared or handed to the library: none of it is printed.
 */
#ifndef PORTAL_REQUEST_H
#define PORTAL_REQUEST_H

#include "buffer.h"

enum { REQUEST_PATH = 128, REQUEST_AGENT = 1024 };

enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_OPTIONS, REQUEST_OTHER };

/* Whose list of addresses is handed on. A client can write either header; a proxy overwrites or extends only its own. */
enum request_forwarded {
    REQUEST_EITHER,             /* X-Forwarded-For, where it is missing Forwarded */
    REQUEST_X_FORWARDED_FOR,
    REQUEST_RFC7239             /* Forwarded */
};

struct request {
    enum request_method method;
    _Bool       prefetch;       /* nobody looks at the answer yet */
    _Bool       privacy;        /* Sec-GPC: 1 or DNT: 1 */
    const char *path;           /* PATH_INFO; "/" for none; NULL: longer than REQUEST_PATH */
    const char *address;        /* REMOTE_ADDR, "" for none */
    const char *agent;          /* not ended by NUL */
    size_t      agent_length;   /* at most REQUEST_AGENT */
    struct buffer forwarded;    /* all values, joined by commas in order of arrival; not ended by NUL */
};

/* variables: "NAME=value" strings, NULL at the end; they must outlive *out. */
void request_read(struct request *out, char *const *variables, enum request_forwarded forwarded);
void request_free(struct request *request);

#endif
