/*
 * response.h: an answer, built whole and written once.
 *
 * A program that dies half way through leaves no half page, and one whose memory ran out sends a short error instead.
 */
#ifndef PORTAL_RESPONSE_H
#define PORTAL_RESPONSE_H

#include "buffer.h"

struct response {
    const char   *status;       /* "200 OK" */
    const char   *type;         /* media type, without the charset: always utf-8; NULL for an answer without a body */
    const char   *cache;        /* Cache-Control */
    const char   *policy;       /* Content-Security-Policy */
    const char   *language;     /* Content-Language, NULL: none */
    const char   *allow;        /* Allow, NULL: none */
    struct buffer body;
};

/* Sends header and body, or the header alone, as the answer to HEAD. 0, or -1 where the reader went away. */
int response_send(const struct response *response, int file, _Bool header_only);

#endif
