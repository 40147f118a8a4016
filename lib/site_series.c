/* site_series.c: the days one by one: visitors, visits and hits, hits by hour, and what was not counted. */
#include "site_series.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

struct range {
    int64_t first, last; /* civil days since 1970 */
};

/* The dates asked for, or the oldest kept and the newest hit's. */
static int range_of(const struct site *site, const char *from, const char *to, struct range *out)
{
    int64_t clock = site_moment(&site->file->state.clock), since = site_moment(&site->file->state.since);
    int64_t oldest = clock - (int64_t)site->retention_days * 86400;
    struct period_frame frame;
    struct period_date date;
    int r;

    if (clock == 0)
        clock = since = oldest = (int64_t)(site_now() / 1000);
    period_frame(&frame, site->zone, site->week_start, clock);
    out->last = period_days(frame.date);
    period_frame(&frame, site->zone, site->week_start, since > oldest ? since : oldest);
    out->first = period_days(frame.date);
    if (from) {
        if ((r = period_parse_date(&date, from)) < 0)
            return r;
        out->first = period_days(date);
    }
    if (to) {
        if ((r = period_parse_date(&date, to)) < 0)
            return r;
        out->last = period_days(date);
    }
    struct period_date begin = {LAYOUT_FIRST_YEAR, 1, 1}, end = {LAYOUT_FIRST_YEAR + LAYOUT_YEARS - 1, 12, 31};
    if (out->first > out->last && from && to)
        return error_set(COUNTER_EINVAL, "the range begins after its end: from %.10s to %.10s", from, to);
    if (out->first < period_days(begin) || out->last > period_days(end))
        return error_set(COUNTER_EINVAL, "days from 2000-01-01 to 2067-12-31 can be asked for");
    return 0;
}

/* The frame of a date; false where the zone skipped it. */
static bool frame_of(const struct site *site, int64_t day, struct period_frame *frame)
{
    struct period_date date = period_date_of(day);
    period_frame(frame, site->zone, site->week_start, period_date_start(site->zone, date));
    return period_days(frame->date) == day;
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
        struct counter_row row = {.start = period_hour_start(frame, hour), .name = name};
        for (int next = hour; row.start < 0 && next < 24; next++) /* skipped: where the next one begins */
            row.start = period_hour_start(frame, next);
        if (row.start < 0)
            row.start = frame->of[PERIOD_DAY].end;
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
    struct range range;
    int r = range_of(site, from, to, &range);

    for (int64_t day = range.first; r == 0 && day <= range.last; day++) {
        if (!frame_of(site, day, &frame))
            continue;
        r = step == COUNTER_BY_HOUR ? hour_rows(site, &frame, each, arg) : day_row(site, &frame, each, arg);
    }
    return r;
}

/* ---- What was not counted ------------------------------------------------------------------------------------------- */

static int sum_verdicts(struct site *site, const struct range *range, uint64_t sum[COUNTER_VERDICTS])
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
    struct range range;
    int r = range_of(site, from, to, &range);

    if (r == 0)
        r = sum_verdicts(site, &range, sum);
    while (r == 0) {
        int largest = 0;
        for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++)
            if (sum[verdict] > sum[largest])
                largest = verdict;
        if (largest == 0)
            break;
        struct counter_row row = {.name = store_verdict_name((enum counter_verdict)largest),
                                  .count.hits = site_saturated(sum[largest])};
        sum[largest] = 0;
        r = each(arg, &row);
    }
    return r;
}
