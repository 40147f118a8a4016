/*
 * period.c: days, weeks, months and years of a zone's calendar; see period.h.
 *
 * Everything rests on one function, date_start: the first moment from which on the clock never again shows an earlier
 * date. It grows with the date, so the spans between neighbouring values tile the time line, whatever clocks do: a date
 * that a zone skipped gets a span of length 0, and the minute that repeats around midnight belongs to the old day.
 * Offsets are bounded (zone.c), so only the 51 hours around a date's midnight in Greenwich need be looked at.
 */
#include "period.h"

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "tzrule.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, SEGMENTS = 3 };

/* ---- Civil dates ------------------------------------------------------------------------------------------------ */

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Hinnant's days_from_civil: years begin in March, so that the leap day is the last; 400 years are an era. */
int64_t period_days(struct period_date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

/* Hinnant's civil_from_days. */
struct period_date period_date_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_divide(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;

    return (struct period_date){
        .year = (int16_t)(year_of_era + era * 400 + (month <= 2)),
        .month = (int8_t)month,
        .day = (int8_t)(day_of_year - (153 * march_month + 2) / 5 + 1),
    };
}

/* 1970-01-01 was a Thursday. */
int period_weekday(int64_t days)
{
    return (int)(((days + 3) % 7 + 7) % 7) + 1;
}

/* ---- Where dates and periods begin ------------------------------------------------------------------------------ */

/* The first moment from which on the clock shows `days` or a later date, for good. Walks backwards, from where every
 * zone has reached the date, through the intervals of one offset; `from` of the last one seen is the answer's upper
 * bound. Ends where no zone has reached it yet. */
static int64_t date_start(const struct zone *zone, int64_t days)
{
    int64_t midnight = days * DAY, start = midnight - TZRULE_OFFSET_MIN;
    struct zone_local local;

    for (;;) {
        zone_at(zone, start - 1, &local);
        if (start - 1 + local.offset < midnight)
            return start;
        if (midnight - local.offset > local.from)
            return midnight - local.offset;
        start = local.from;
    }
}

/* The date whose span holds t. The clock can be ahead of it, by a date it will take back, but never behind. */
static int64_t date_at(const struct zone *zone, int64_t t)
{
    struct zone_local local;
    int64_t days;

    zone_at(zone, t, &local);
    days = floor_divide(t + local.offset, DAY);
    while (date_start(zone, days) > t)
        days--;
    return days;
}

/* The same date, or where the zone skipped it, the next that it had. */
static int64_t next_real_date(const struct zone *zone, int64_t days, int64_t start)
{
    while (date_start(zone, days + 1) == start)
        days++;
    return days;
}

/* The first date of the period of one kind that holds a date. */
static int64_t first_date(enum period_kind kind, int week_start, int64_t days)
{
    struct period_date date = period_date_of(days);

    switch (kind) {
    case PERIOD_WEEK:
        return days - (period_weekday(days) - week_start + 7) % 7;
    case PERIOD_MONTH:
        return days - date.day + 1;
    case PERIOD_YEAR:
        return period_days((struct period_date){date.year, 1, 1});
    default:
        return days;
    }
}

/* `days` is the frame's date. A month and a year have less than 32 and 367 days, so their first date and that many more
 * lie in the next one. */
static void fill_span(struct period_span *out, const struct zone *zone, enum period_kind kind, int week_start,
                      int64_t days)
{
    static const int to_next[PERIOD_KINDS] = {1, 7, 31, 366};
    int64_t first = first_date(kind, week_start, days);
    int64_t next = first_date(kind, week_start, first + to_next[kind]);
    int64_t previous = first;

    out->start = date_start(zone, first);
    out->end = date_start(zone, next);
    do {
        previous = first_date(kind, week_start, previous - 1);
        out->previous = date_start(zone, previous);
    } while (out->previous == out->start); /* a skipped day is not yesterday */
    out->first = period_date_of(next_real_date(zone, first, out->start));
    out->previous_first = period_date_of(next_real_date(zone, previous, out->previous));
}

int64_t period_date_start(const struct zone *zone, struct period_date date)
{
    return date_start(zone, period_days(date));
}

void period_frame(struct period_frame *out, const struct zone *zone, enum counter_weekday week_start, int64_t t)
{
    int64_t days = date_at(zone, t), from;
    struct zone_local local;

    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        fill_span(&out->of[kind], zone, (enum period_kind)kind, (int)week_start, days);
    out->date = period_date_of(days);
    from = out->of[PERIOD_DAY].start;
    for (int i = 0; i < SEGMENTS; i++) {
        out->offset[i] = i > 0 ? out->offset[i - 1] : 0;
        out->offset_from[i] = INT64_MAX;
        if (from >= out->of[PERIOD_DAY].end)
            continue;
        zone_at(zone, from, &local);
        out->offset[i] = local.offset;
        out->offset_from[i] = from;
        from = local.until;
    }
}

/* ---- Hours of the clock ----------------------------------------------------------------------------------------- */

int period_hour(const struct period_frame *frame, int64_t t)
{
    int segment = 0;
    int64_t clock;

    while (segment + 1 < SEGMENTS && t >= frame->offset_from[segment + 1])
        segment++;
    clock = t + frame->offset[segment] - period_days(frame->date) * DAY;
    if (clock < 0)
        return 0;
    return clock < DAY ? (int)(clock / HOUR) : 23;
}

int64_t period_hour_start(const struct period_frame *frame, int hour)
{
    int64_t midnight = period_days(frame->date) * DAY;

    for (int i = 0; i < SEGMENTS && frame->offset_from[i] != INT64_MAX; i++) {
        int64_t from = frame->offset_from[i], until = frame->of[PERIOD_DAY].end;
        int64_t start = midnight + hour * HOUR - frame->offset[i], end = start + HOUR;

        if (i + 1 < SEGMENTS && frame->offset_from[i + 1] < until)
            until = frame->offset_from[i + 1];
        if (start < from)
            start = from;
        if (start < end && start < until)
            return start;
    }
    return -1;
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

/* `count` digits as a number, -1 if one is none. */
static int parse_digits(const char *text, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

int period_parse_date(struct period_date *out, const char *text)
{
    char quoted[ERROR_QUOTED];
    size_t length = strnlen(text, ERROR_QUOTED);
    struct period_date date, real;

    if (length == 10 && text[4] == '-' && text[7] == '-') {
        int year = parse_digits(text, 4), month = parse_digits(text + 5, 2), day = parse_digits(text + 8, 2);
        if (year >= 0 && month >= 1 && month <= 12 && day >= 1) {
            date = (struct period_date){(int16_t)year, (int8_t)month, (int8_t)day};
            real = period_date_of(period_days(date)); /* 31 April turns into 1 May */
            if (real.month == date.month) {
                *out = date;
                return 0;
            }
        }
    }
    return error_set(COUNTER_EINVAL, "date \"%s\": not a date like 2026-11-23", error_quote(quoted, text, length));
}

/* RFC 3339, section 5.8: an offset that is no whole minute (Monrovia until 1972) is shown as the nearest one that is,
 * and the clock time with it, so that the text still names the same instant. */
void period_format(const struct zone *zone, int64_t t, char *buffer, size_t size)
{
    struct zone_local local;
    struct period_date date;
    int64_t minutes, clock, days;
    unsigned second, ahead;

    /* Its years have four digits. */
    t = t < -62135510400 ? -62135510400 : t > 253402214400 ? 253402214400 : t;
    zone_at(zone, t, &local);
    minutes = floor_divide(local.offset + MINUTE / 2, MINUTE);
    clock = t + minutes * MINUTE;
    days = floor_divide(clock, DAY);
    date = period_date_of(days);
    second = (unsigned)(clock - days * DAY);
    ahead = (unsigned)(minutes < 0 ? -minutes : minutes);
    snprintf(buffer, size, "%04d-%02d-%02dT%02u:%02u:%02u%c%02u:%02u", date.year, date.month, date.day, second / HOUR,
             second % HOUR / MINUTE, second % MINUTE, minutes < 0 ? '-' : '+', ahead / 60, ahead % 60);
}
