/*
 * period.h: which day, week, month and year a moment belongs to, and where those begin and end. Pure.
 *
 * A period is an interval of UTC seconds [start, end). A day is the span in which the zone's clock shows one date; it
 * begins at the last moment the date changed to it, so days have no gaps and no overlaps even where a clock goes back
 * over midnight (St. John's until 2011: the minute after the first midnight stays with the old day), where midnight
 * does not exist (Cairo 2024-04-26 begins at 01:00) and where a date does not (Apia 2011-12-30: 31 follows 29). Weeks,
 * months and years are runs of whole days. Nothing assumes 86 400 seconds.
 *
 * A frame is everything about the day of one moment, computed once a day (under a microsecond) and then only compared
 * against.
 */
#ifndef LIBCOUNTER_PERIOD_H
#define LIBCOUNTER_PERIOD_H

#include "zone.h"

enum period_kind { PERIOD_DAY, PERIOD_WEEK, PERIOD_MONTH, PERIOD_YEAR, PERIOD_KINDS };

struct period_date { int16_t year; int8_t month, day; };        /* 2026, 11, 23 */

struct period_span {
    int64_t start, end;                 /* the period that holds the moment: [start, end) */
    int64_t previous;                   /* where the period before it begins; it ends at start */
    struct period_date first;           /* its first date, or where the zone skipped it, the first real one */
    struct period_date previous_first;
};

struct period_frame {
    struct period_span of[PERIOD_KINDS];
    struct period_date date;            /* of the day */
    /* Local clock hour of t in the day: the offset changes at most twice in a day that any zone ever had. */
    int32_t offset[3];
    int64_t offset_from[3];             /* offset[i] holds from here on; INT64_MAX where unused */
};

/* Fills the frame of the day that holds UTC second t, 1970-01-01 to 2100. Any ISO weekday, 1 to 7, may start a week. */
void period_frame(struct period_frame *out, const struct zone *zone, enum counter_weekday week_start, int64_t t);

/* The clock hour 0..23 of t, which lies in the frame's day. A repeated hour has one number; a moment that the clock
 * shows on another date (see St. John's) gets the nearest hour of the frame's date, 23 or 0. */
int period_hour(const struct period_frame *frame, int64_t t);

/* UTC second at which the given clock hour of the frame's day begins; -1 if the clock skips that hour. */
int64_t period_hour_start(const struct period_frame *frame, int hour);

/* The first second of a date in the zone; where the zone skipped the date, that of the next one. */
int64_t period_date_start(const struct zone *zone, struct period_date date);

/* Civil dates (proleptic Gregorian; H. Hinnant, "chrono-Compatible Low-Level Date Algorithms") as days since 1970. */
int64_t period_days(struct period_date date);
struct period_date period_date_of(int64_t days);
int period_weekday(int64_t days);               /* ISO: 1 Monday .. 7 Sunday */

/* "YYYY-MM-DD" to a date that exists: 0, or COUNTER_EINVAL naming it (no error text for NULL arguments: do not). */
int period_parse_date(struct period_date *out, const char *text);

/* RFC 3339 in the zone, "2026-11-23T10:15:00+07:00", into at least 26 bytes, NUL included. Where the offset is no whole
 * minute (Monrovia until 1972) the nearest is shown, with the clock time to match: the instant stays exact. */
void period_format(const struct zone *zone, int64_t t, char *buffer, size_t size);

#endif
