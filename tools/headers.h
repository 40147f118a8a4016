/*
 * headers.h: headers of a request as the user writes them, 'Name: value', made into what a hit says of them.
 */
#ifndef COUNTER_TOOLS_HEADERS_H
#define COUNTER_TOOLS_HEADERS_H

#include "arguments.h"

#include <counter.h>

struct headers {
    char       *forwarded;      /* X-Forwarded-For's, or else Forwarded's, joined by commas; NULL: none */
    const char *agent;          /* NULL: none; length 0: it ends in NUL */
    uint32_t    agent_length;
    bool        privacy;        /* Sec-GPC: 1 or DNT: 1 */
};

/* 0, or OUTPUT_USAGE after saying which header is malformed. Free with headers_close, also after a failure. */
int headers_open(struct headers *out, const struct arguments *arguments);
void headers_close(struct headers *headers);

/* Tells of each header that was passed over, and why. */
int headers_each_ignored(const struct arguments *arguments, counter_fact_fn *each, void *arg);

#endif
