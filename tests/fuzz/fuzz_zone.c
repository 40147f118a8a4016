/*
 * fuzz_zone.c: any bytes as a TZif file. What zone_parse accepts must be a clock that never contradicts itself: its
 * intervals tile all time, and its days, weeks, months and years hold the moment they were asked for and abut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "period.h"
#include "tzrule.h"

enum { DAY = 86400, INTERVALS = 2000 };

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_at(const struct zone *zone, int64_t t)
{
    struct zone_local now, other;

    zone_at(zone, t, &now);
    check(now.from <= t && (t < now.until || now.until == INT64_MAX));
    check(now.offset >= TZRULE_OFFSET_MIN && now.offset <= TZRULE_OFFSET_MAX);
    if (now.from != INT64_MIN) {
        zone_at(zone, now.from - 1, &other);
        check(other.until == now.from && other.offset != now.offset);
    }
    if (now.until != INT64_MAX) {
        zone_at(zone, now.until, &other);
        check(other.from == now.until && other.offset != now.offset);
    }
}

static void check_hours(const struct period_frame *frame)
{
    const struct period_span *day = &frame->of[PERIOD_DAY];

    for (int64_t t = day->start; t < day->end; t += 1800) {
        int hour = period_hour(frame, t);
        check(hour >= 0 && hour <= 23);
    }
    for (int hour = 0; hour < 24; hour++) {
        int64_t start = period_hour_start(frame, hour);
        check(start == -1 || (start >= day->start && start < day->end && period_hour(frame, start) == hour));
    }
}

/* Twice around each moment: the next period's `previous` is where this one began. */
static void check_frame(const struct zone *zone, int week_start, int64_t t)
{
    struct period_frame frame, next;
    char text[26];

    period_frame(&frame, zone, (enum counter_weekday)week_start, t);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        const struct period_span *span = &frame.of[kind];
        check(span->previous < span->start && span->start <= t && t < span->end);
        check(period_date_start(zone, span->first) == span->start);
        check(period_date_start(zone, span->previous_first) == span->previous);
        period_frame(&next, zone, (enum counter_weekday)week_start, span->end);
        check(next.of[kind].start == span->end && next.of[kind].previous == span->start);
    }
    check(frame.of[PERIOD_YEAR].start <= frame.of[PERIOD_MONTH].start);
    check(frame.of[PERIOD_MONTH].start <= frame.of[PERIOD_DAY].start);
    check(frame.of[PERIOD_WEEK].start <= frame.of[PERIOD_DAY].start);
    check_hours(&frame);
    period_format(zone, t, text, sizeof text);
    check(strlen(text) == 25);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t extremes[] = {INT64_MIN,        INT64_MIN + 1,    -(INT64_C(1) << 59), -1,       0, 1,
                                       INT64_C(1) << 33, INT64_C(1) << 59, INT64_MAX - 1,       INT64_MAX};
    struct zone_local local;
    struct zone *zone;
    int week_start = 1;

    if (zone_parse(&zone, "fuzz", data, size) < 0) {
        check(zone == NULL);
        return 0;
    }
    check(strcmp(zone_name(zone), "fuzz") == 0);
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++)
        check_at(zone, extremes[i]);
    for (int64_t t = 0; t < INT64_C(4102444800); t += INT64_C(97) * DAY + 4567, week_start = week_start % 7 + 1) {
        check_at(zone, t);
        check_frame(zone, week_start, t);
    }
    zone_at(zone, 0, &local);
    for (int i = 0; i < INTERVALS && local.until < INT64_C(4102444800); i++) {
        if (i % 16 == 0) {
            check_frame(zone, week_start, local.until - 1);
            check_frame(zone, week_start, local.until);
        }
        check_at(zone, local.until);
        zone_at(zone, local.until, &local);
    }
    zone_close(zone);
    return 0;
}
