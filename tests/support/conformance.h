/* conformance.h: short words for tests of what every store promises, at the places of places.h. After <cmocka.h>. */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include "places.h"

#include <string.h>

enum { MIDNIGHT = 1767200400 };         /* 2026-01-01T00:00:00+07:00, a Thursday */
enum { HOUR = 3600, DAY = 86400 };

#define VISITORS(stats, which) ((stats).window[COUNTER_##which].visitors)
#define VISITS(stats, which)   ((stats).window[COUNTER_##which].visits)
#define HITS(stats, which)     ((stats).window[COUNTER_##which].hits)
#define ERROR(stats, which)    ((stats).window[COUNTER_##which].error)

static inline struct counter_options options_of(void **state)
{
    return place_options(place_of(state));
}

static inline struct counter *open_with(const struct counter_options *options)
{
    struct counter *c;
    if (counter_open(&c, options) < 0)
        fail_msg("%s", counter_error());
    return c;
}

static inline struct counter *open_at(void **state)
{
    struct counter_options options = options_of(state);
    return open_with(&options);
}

static inline struct counter_hit hit_of(const char *visitor, int64_t at)
{
    return (struct counter_hit){.size = sizeof(struct counter_hit), .visitor = visitor, .at = at};
}

/* What counter_record said. */
static inline int try_count(struct counter *c, const char *visitor, int64_t at)
{
    struct counter_hit hit = hit_of(visitor, at);
    return counter_record(c, &hit, NULL);
}

static inline void count(struct counter *c, const char *visitor, int64_t at)
{
    if (try_count(c, visitor, at) != COUNTER_COUNTED)
        fail_msg("%s at %lld: %s", visitor, (long long)at, counter_error());
}

/* n visitors who come for the first time, `every` seconds apart, in batches. */
static inline void count_crowd(struct counter *c, unsigned first, unsigned n, int64_t at, int64_t every)
{
    enum { BATCH = 256 };
    static struct counter_hit hit[BATCH];
    static char name[BATCH][16];

    for (unsigned done = 0; done < n; done += BATCH) {
        unsigned some = n - done < BATCH ? n - done : BATCH;
        for (unsigned i = 0; i < some; i++) {
            snprintf(name[i], sizeof name[i], "crowd %u", first + done + i);
            hit[i] = hit_of(name[i], at + (int64_t)(done + i) * every);
        }
        if (counter_record_many(c, hit, some, NULL) < 0)
            fail_msg("%s", counter_error());
    }
}

static inline struct counter_stats look(struct counter *c, const char *site, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, site, at, &stats) < 0)
        fail_msg("%s", counter_error());
    return stats;
}

static inline int64_t hits_ever(struct counter *c, int64_t at)
{
    return look(c, NULL, at).window[COUNTER_ALL_TIME].hits;
}

static inline void assert_error(int code, int expected, const char *part)
{
    if (code != expected || !strstr(counter_error(), part))
        fail_msg("%d, \"%s\" instead of %d, \"...%s...\"", code, counter_error(), expected, part);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------------ */

enum { ROWS = 48 };

struct rows {
    int n, stop_after;
    char name[ROWS][66];
    int64_t start[ROWS];
    struct counter_count count[ROWS];
};

static inline int gather(void *arg, const struct counter_row *row)
{
    struct rows *rows = arg;
    if (rows->n < ROWS) {
        snprintf(rows->name[rows->n], sizeof rows->name[0], "%s", row->name);
        rows->start[rows->n] = row->start;
        rows->count[rows->n] = row->count;
    }
    return ++rows->n == rows->stop_after ? 17 : 0;
}

static inline struct rows series(struct counter *c, const char *from, const char *to, enum counter_step step)
{
    struct rows rows = {0};
    if (counter_series(c, NULL, from, to, step, gather, &rows) != 0)
        fail_msg("%s", counter_error());
    return rows;
}

static inline struct rows breakdown(struct counter *c, const char *from, const char *to)
{
    struct rows rows = {0};
    if (counter_breakdown(c, NULL, from, to, COUNTER_BY_VERDICT, gather, &rows) != 0)
        fail_msg("%s", counter_error());
    return rows;
}

static inline void assert_row(const struct rows *rows, int i, const char *name, int64_t visitors, int64_t visits,
                              int64_t hits)
{
    const struct counter_count *count = &rows->count[i];
    if (i >= rows->n || strcmp(rows->name[i], name) != 0 || count->visitors != visitors || count->visits != visits ||
        count->hits != hits)
        fail_msg("row %d of %d is %s: %lld, %lld, %lld instead of %s: %lld, %lld, %lld", i, rows->n,
                 i < rows->n ? rows->name[i] : "none", (long long)count->visitors, (long long)count->visits,
                 (long long)count->hits, name, (long long)visitors, (long long)visits, (long long)hits);
}

#endif
