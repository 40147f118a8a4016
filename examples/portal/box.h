/*
 * box.h: the store behind the box.
 *
 * A store that fails never takes the page with it: the box shows dashes and the reason goes to the log, once.
 */
#ifndef PORTAL_BOX_H
#define PORTAL_BOX_H

#include <counter.h>

#include "buffer.h"
#include "request.h"

struct box {                    /* zero, but for the members the caller sets */
    struct counter *store;      /* opened by the first request that needs it */
    _Bool broken;               /* never asked again; the caller sets it where the store is unknown */
};

/* Puts the box as the request's reader sees it, after counting the request if `count`. rows NULL: the library's. */
void box_put(struct box *box, const struct request *request, _Bool count, enum counter_format format,
             const char *language, const char *rows, struct buffer *out);

/* Waits for the disk. */
void box_close(struct box *box);

/* To be called once, before the first request: catches SIGBUS. */
void box_guard(void);

#endif
