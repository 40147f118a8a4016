/*
 * copies.h: what tests of copies between stores share: one stream of all that can happen to a site, which can be cut at
 * any hit, and all public numbers of a site as one text. The judge of a copy is that text: of the source, or of a store
 * that got the whole stream.
 */
#ifndef TESTS_COPIES_H
#define TESTS_COPIES_H

#include "places.h"

#include <counter.h>

/* 72 days in Brazil, weeks from Sunday: a new year, and on 16 February 2019 a clock that goes back at midnight. */
enum {
    COPIES_FIRST = 1544839200,          /* 2018-12-15T00:00:00-02:00 */
    COPIES_DAYS = 72,
    COPIES_DAY = 86400,
    COPIES_END = COPIES_FIRST + COPIES_DAYS * COPIES_DAY + 3600     /* 2019-02-25T00:00:00-03:00 */
};

struct copies_event {
    int64_t at;                         /* when it reaches the store */
    int64_t seen;                       /* a hit's own time: late ones are older */
    unsigned visitor;
    enum { COPIES_HIT, COPIES_EXCLUDED, COPIES_SIGNAL, COPIES_ERASE, COPIES_BASELINE } what;
};

struct copies_stream {
    struct copies_event *event;
    size_t n;
};

/* Regulars and newcomers with visits of several hits: late hits of seconds and of days, excluded ones, privacy signals,
 * erased visitors, a baseline. */
void copies_stream_make(struct copies_stream *stream, int hits_a_day);
void copies_stream_forgive(struct copies_stream *stream);                /* takes the erasures out */
void copies_stream_free(struct copies_stream *stream);
size_t copies_until(const struct copies_stream *stream, int64_t at);    /* the first event not before that time */

struct counter_options copies_options(const struct place *place);
struct counter *copies_open(const struct counter_options *options);

void copies_feed(struct counter *c, const struct copies_stream *stream, size_t from, size_t until);
void copies_visit(struct counter *c, unsigned first, unsigned n, int64_t at);   /* a hit each of visitors first .. */
int copies_erase(struct counter *c, unsigned visitor, int64_t at);
void copies_copy(struct counter *to, struct counter *from);

struct counter_stats copies_look(struct counter *c, int64_t at);

/* Every public number of the site, to be freed; estimates as stars where they are not wanted. */
char *copies_dump(struct counter *c, bool estimates);

/* Fails the test at the first line that differs; frees both. */
void copies_assert_same_text(const char *what, char *expected, char *got);
void copies_assert_same(const char *what, struct counter *expected, struct counter *got);

/* The same, but estimates may differ as those of two stores with different keys do. */
void copies_assert_alike(const char *what, struct counter *expected, struct counter *got);

#endif
