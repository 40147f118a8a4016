/* store_range.c: see store_range.h. */
#include "store_range.h"

#include "error.h"
#include "store.h"

#include <time.h>

enum { FIRST_YEAR = 2000, LAST_YEAR = 2067 };

static int64_t day_of(const struct zone *zone, int64_t t)
{
    struct period_frame frame;
    period_frame(&frame, zone, COUNTER_MONDAY, t);
    return period_days(frame.date);
}

int store_range(struct store_range *out, const struct zone *zone, int64_t clock, int64_t since, uint32_t retention_days,
                const char *from, const char *to)
{
    int64_t oldest = clock - (int64_t)retention_days * 86400;
    struct period_date begin = {FIRST_YEAR, 1, 1}, end = {LAST_YEAR, 12, 31}, date;
    int r;

    if (clock == 0)
        clock = since = oldest = (int64_t)time(NULL);
    out->last = day_of(zone, clock);
    out->first = day_of(zone, since > oldest ? since : oldest);
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
    if (out->first > out->last && from && to)
        return error_set(COUNTER_EINVAL, "the range begins after its end: from %.10s to %.10s", from, to);
    if (out->first < period_days(begin) || out->last > period_days(end))
        return error_set(COUNTER_EINVAL, "days from 2000-01-01 to 2067-12-31 can be asked for");
    return 0;
}

bool store_range_frame(const struct zone *zone, enum counter_weekday week_start, int64_t day, struct period_frame *out)
{
    struct period_date date = period_date_of(day);
    period_frame(out, zone, week_start, period_date_start(zone, date));
    return period_days(out->date) == day;
}

int64_t store_hour_start(const struct period_frame *frame, int hour)
{
    for (; hour < 24; hour++) {
        int64_t start = period_hour_start(frame, hour);
        if (start >= 0)
            return start;
    }
    return frame->of[PERIOD_DAY].end;
}

int store_tell_verdicts(uint64_t sum[COUNTER_VERDICTS], counter_row_fn *each, void *arg)
{
    int r = 0;

    while (r == 0) {
        int largest = COUNTER_COUNTED;
        for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++)
            if (sum[verdict] > sum[largest])
                largest = verdict;
        if (largest == COUNTER_COUNTED)
            break;
        struct counter_row row = {.name = store_verdict_name((enum counter_verdict)largest)};
        row.count.hits = sum[largest] > INT64_MAX ? INT64_MAX : (int64_t)sum[largest];
        sum[largest] = 0;
        r = each(arg, &row);
    }
    return r;
}
