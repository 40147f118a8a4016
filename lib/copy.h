/*
 * copy.h: a whole site in parts that no layout shows through, for carrying it from one store to another.
 *
 * A store gives a site as a walk over its parts, in this order, and another takes them one by one: first what the site
 * is, then its clock and marks, then the figures of its periods, then its visitors, the oldest first. Taking is merging,
 * and merging is taking the maximum, part by part: so a copy that was cut short is finished by the next one, the same
 * copy twice changes nothing, and a source that is counted into meanwhile gives each number as of some moment of the
 * walk. Two stores that both went on counting the same site are not added up: the larger number stays.
 *
 * Visitors come sorted by time, then bits, and of equal ones those with a key before the nameless. The nameless are a
 * multiset: a target that has as many entries of that time and bits, nameless or named for somebody who did not come,
 * takes no more. Those not newer than `forgotten` count in no window any more and do not come at all.
 *
 * A source reads its marks after its visitors, so that nobody newer than `forgotten` is missing; a taker holds the marks
 * back until all periods came, so that the pairs which ended exactness in the source are not forestalled, and then puts
 * them into effect before the first visitor.
 *
 * Periods of weeks and months come only as far as some window may still show them, days as far as they are kept; years
 * and all time always come.
 */
#ifndef LIBCOUNTER_COPY_H
#define LIBCOUNTER_COPY_H

#include "identity.h"
#include "period.h"
#include "sketch.h"

/* What is fixed at a site's creation. A target that has the site must have it with the same, else COUNTER_ECONFLICT. */
struct copy_site {
    char timezone[ZONE_NAME];
    enum counter_weekday week_start;
    uint32_t exact_visitors, forget_days, retention_days;
    enum counter_rotation key_rotation;
    _Bool has_key;                      /* false where the source lost its key */
    struct identity_key key;            /* the store's */
};

/* A key of one period, where keys rotate; only those that were not destroyed. */
struct copy_key {
    struct period_date first;           /* of the day or month */
    int64_t start;
    struct identity_key key;
};

struct copy_state {                     /* times in s since 1970, 0: none */
    int64_t clock, since, accepted;
    int64_t forgotten;                  /* no visitor last seen later than this was ever dropped */
    uint64_t late;
    struct counter_count baseline;      /* taken where the target has none */
};

enum { COPY_ALL_TIME = PERIOD_KINDS, COPY_KINDS };

struct copy_period {
    int kind;                           /* enum period_kind or COPY_ALL_TIME */
    struct period_date first;           /* its first date; all zero for all time */
    uint64_t visitors;                  /* exact; if `ended`, as of the moment when exactness ended */
    uint64_t estimate;                  /* of the sketch at that moment */
    _Bool ended;
    uint64_t shown, unsure;             /* see layout_figure */
    uint64_t hits, visits;              /* of days, and of months if has_sums: never less than their days then come to */
    _Bool has_sums;
    uint64_t hour[24];                  /* days only, as the next; hits are their sum */
    uint64_t excluded[COUNTER_VERDICTS];
    const struct sketch *sketch;        /* of days, years and all time; NULL: none */
};

struct copy_visitor {
    uint64_t key;                       /* identity_short; 0: nameless, erased but still counted */
    int64_t seen;                       /* s since 1970 */
    unsigned bits;                      /* enum recency_bit */
};

/* Who takes. Each returns 0 or a negative code, which ends the walk and is returned by it. */
struct copy_taker {
    int (*site)(struct copy_taker *taker, const struct copy_site *site);
    int (*key)(struct copy_taker *taker, const struct copy_key *key);
    int (*state)(struct copy_taker *taker, const struct copy_state *state);
    int (*period)(struct copy_taker *taker, const struct copy_period *period);
    int (*visitors)(struct copy_taker *taker, const struct copy_visitor *visitors, size_t n);   /* at most COPY_BATCH */
    int (*end)(struct copy_taker *taker, int result);   /* always called once, with what the walk came to; frees */
};
enum { COPY_BATCH = 256 };

#endif
