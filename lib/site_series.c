/* site_series.c: the days one by one: visitors, visits and hits, hits by hour, and what was not counted. */
#include "site_series.h"

#include "store_range.h"

#include <stdio.h>

static int range_of(const struct site *site, const char *from, const char *to, struct store_range *out)
{
    return store_range(out, site->zone, site_moment(&site->file->state.clock), site_moment(&site->file->state.since),
                       site->retention_days, from, to);
}

static int day_row(struct site *site, const struct period_frame *frame, counter_row_fn *each, void *arg)
{
    char name[32];
    struct counter_row row = {.start = frame->of[PERIOD_DAY].start, .name = name};
    int r = site_read_day(site, frame, &row.count);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "%04d-%02d-%02d", frame->date.year, frame->date.month, frame->date.day);
    return each(arg, &row);
}

static int hour_rows(struct site *site, const struct period_frame *frame, counter_row_fn *each, void *arg)
{
    struct site_month *month;
    char name[32];
    int r = site_month(site, site_month_index(frame->date), false, &month);

    for (int hour = 0; r == 0 && hour < 24; hour++) {
        struct counter_row row = {.start = store_hour_start(frame, hour), .name = name};
        if (month)
            row.count.hits = site_saturated(site_hour_hits(site_day(month, frame->date), (unsigned)hour));
        snprintf(name, sizeof name, "%04d-%02d-%02dT%02d", frame->date.year, frame->date.month, frame->date.day, hour);
        r = each(arg, &row);
    }
    return r;
}

int site_series(struct site *site, const char *from, const char *to, enum counter_step step, counter_row_fn *each,
                void *arg)
{
    struct period_frame frame;
    struct store_range range;
    int r = range_of(site, from, to, &range);

    for (int64_t day = range.first; r == 0 && day <= range.last; day++) {
        if (!store_range_frame(site->zone, site->week_start, day, &frame))
            continue;
        r = step == COUNTER_BY_HOUR ? hour_rows(site, &frame, each, arg) : day_row(site, &frame, each, arg);
    }
    return r;
}

/* ---- What was not counted ------------------------------------------------------------------------------------------- */

static int sum_verdicts(struct site *site, const struct store_range *range, uint64_t sum[COUNTER_VERDICTS])
{
    struct site_month *month;

    for (int64_t day = range->first; day <= range->last; day++) {
        struct period_date date = period_date_of(day);
        int r = site_month(site, site_month_index(date), false, &month);
        if (r < 0)
            return r;
        if (!month)
            continue;
        for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++)
            site_add(&sum[verdict], atomic_load(&site_day(month, date)->excluded[verdict]));
    }
    return 0;
}

int site_verdicts(struct site *site, const char *from, const char *to, counter_row_fn *each, void *arg)
{
    uint64_t sum[COUNTER_VERDICTS] = {0};
    struct store_range range;
    int r = range_of(site, from, to, &range);

    if (r == 0)
        r = sum_verdicts(site, &range, sum);
    return r < 0 ? r : store_tell_verdicts(sum, each, arg);
}
