/*
 * test_period.c: days, weeks, months and years against a slow oracle on the C library, and the odd days of history.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "period.h"

enum { HOUR = 3600, DAY = 86400 };

static struct zone *open_zone(const char *name)
{
    struct zone *zone;

    if (zone_open(&zone, name) < 0) {
        print_message("%s\n", counter_error());
        skip();
    }
    return zone;
}

/* UTC, by arithmetic of the C library: "2024-04-26 01:00". */
static int64_t utc(const char *text)
{
    struct tm tm = {0};

    assert_true(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                       &tm.tm_sec) >= 3);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm);
}

static void assert_date(struct period_date date, const char *expected)
{
    char text[32];

    snprintf(text, sizeof text, "%04d-%02d-%02d", date.year, date.month, date.day);
    assert_string_equal(text, expected);
}

static void assert_local(const struct zone *zone, int64_t t, const char *expected)
{
    char text[32];

    period_format(zone, t, text, sizeof text);
    assert_string_equal(text, expected);
}

static struct period_frame frame_of(const struct zone *zone, int week_start, int64_t t)
{
    struct period_frame frame;

    period_frame(&frame, zone, (enum counter_weekday)week_start, t);
    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        assert_true(frame.of[kind].start <= t && t < frame.of[kind].end &&
                    frame.of[kind].previous < frame.of[kind].start);
    return frame;
}

/* ---- The slow oracle -------------------------------------------------------------------------------------------- */

/*
 * Walks the C library's clock forward hour by hour (second by second where its offset changes) and notes each upward
 * change of date as the start of all dates it reaches: a later one replaces an earlier one, as period.h defines a day.
 */
enum { ORACLE_FIRST = 0, ORACLE_DAYS = 36525, ORACLE_MARGIN = 800 };

static int64_t oracle_start[ORACLE_DAYS + 2 * ORACLE_MARGIN]; /* of day i - ORACLE_MARGIN since 1970 */

static int64_t c_clock(int64_t t)
{
    time_t time = (time_t)t;
    struct tm tm;

    localtime_r(&time, &tm);
    return t + tm.tm_gmtoff;
}

static int64_t floor_day(int64_t clock)
{
    return clock / DAY - (clock % DAY < 0);
}

/* `clock` was read at t, `before` at the step's begin; where the offset changed, a step is one second. */
static void oracle_step(int64_t before, int64_t clock, int64_t t)
{
    for (int64_t day = floor_day(before) + 1; day <= floor_day(clock); day++) {
        int64_t i = day + ORACLE_MARGIN;
        if (i >= 0 && i < (int64_t)(sizeof oracle_start / sizeof oracle_start[0]))
            oracle_start[i] = clock - before == HOUR ? t - (clock - day * DAY) : t;
    }
}

static void use_tz(const char *name)
{
    if (name)
        setenv("TZ", name, 1);
    else
        unsetenv("TZ");
    tzset();
}

static void oracle_fill(void)
{
    int64_t from = -(ORACLE_MARGIN + 5) * (int64_t)DAY, end = (ORACLE_DAYS + ORACLE_MARGIN + 5) * (int64_t)DAY;
    int64_t before = c_clock(from), clock;

    for (int64_t t = from; t < end; t += HOUR, before = clock) {
        clock = c_clock(t + HOUR);
        if (clock - before == HOUR) {
            oracle_step(before, clock, t + HOUR);
            continue;
        }
        for (int64_t second = t + 1; second <= t + HOUR; second++, before = clock) {
            clock = c_clock(second);
            oracle_step(before, clock, second);
        }
    }
}

static int64_t oracle(int64_t day)
{
    return oracle_start[day + ORACLE_MARGIN];
}

static struct tm civil(int64_t day)
{
    time_t time = (time_t)(day * DAY);
    struct tm tm;

    gmtime_r(&time, &tm);
    return tm;
}

/* Which periods begin with a day, by the calendar: one bit each for day, month, year and the weekdays. */
enum { NEW_DAY = 1, NEW_MONTH = 2, NEW_YEAR = 4, NEW_WEEKDAY = 8 };

static uint16_t oracle_begins[sizeof oracle_start / sizeof oracle_start[0]];

static void calendar_fill(void)
{
    for (int64_t i = 0; i < (int64_t)(sizeof oracle_begins / sizeof oracle_begins[0]); i++) {
        struct tm tm = civil(i - ORACLE_MARGIN);
        oracle_begins[i] = (uint16_t)(NEW_DAY | (tm.tm_mday == 1) * NEW_MONTH | (tm.tm_yday == 0) * NEW_YEAR |
                                      NEW_WEEKDAY << tm.tm_wday);
    }
}

static int begins(int kind, int week_start, int64_t day)
{
    const int bit[PERIOD_KINDS] = {NEW_DAY, NEW_WEEKDAY << week_start % 7, NEW_MONTH, NEW_YEAR};

    return oracle_begins[day + ORACLE_MARGIN] & bit[kind];
}

/* The first day of the next period (step 1), of the one that holds the day (0), of the one before it (-1). */
static int64_t oracle_first(int kind, int week_start, int64_t day, int step)
{
    if (step > 0)
        day++;
    while (!begins(kind, week_start, day))
        day += step > 0 ? 1 : -1;
    if (step < 0)
        return oracle_first(kind, week_start, day - 1, 0);
    return day;
}

/* As a period's first date is shown: not one that the zone skipped. */
static void assert_first(struct period_date date, int64_t day)
{
    struct tm tm;

    while (oracle(day) == oracle(day + 1))
        day++;
    tm = civil(day);
    assert_true(date.year == tm.tm_year + 1900 && date.month == tm.tm_mon + 1 && date.day == tm.tm_mday);
}

static void assert_frame(const struct zone *zone, int week_start, int64_t day, int64_t t)
{
    struct period_frame frame = frame_of(zone, week_start, t);

    assert_first(frame.date, day);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        const struct period_span *span = &frame.of[kind];
        int64_t first = oracle_first(kind, week_start, day, 0);
        int64_t next = oracle_first(kind, week_start, day, 1);
        int64_t previous = oracle_first(kind, week_start, first, -1);
        while (oracle(previous) == oracle(first))
            previous--; /* only a day can have been skipped whole */
        if (span->start != oracle(first) || span->end != oracle(next) || span->previous != oracle(previous))
            fail_msg("%s, week %d, day %lld, kind %d: [%lld %lld) after %lld, expected [%lld %lld) after %lld",
                     zone_name(zone), week_start, (long long)day, kind, (long long)span->start, (long long)span->end,
                     (long long)span->previous, (long long)oracle(first), (long long)oracle(next),
                     (long long)oracle(previous));
        assert_first(span->first, first);
        assert_first(span->previous_first, previous);
    }
}

/* Every clock hour of a day, by looking at the C library's clock each `step` seconds. */
static void assert_hours(const struct zone *zone, int64_t day, int step)
{
    struct period_frame frame = frame_of(zone, 1, oracle(day));
    int64_t first[24];

    for (int hour = 0; hour < 24; hour++)
        first[hour] = INT64_MAX;
    for (int64_t t = oracle(day); t < oracle(day + 1); t += step) {
        int64_t clock = c_clock(t) - day * DAY;
        int hour = clock < DAY ? (int)(clock / HOUR) : 23;
        assert_int_equal(period_hour(&frame, t), hour);
        if (first[hour] == INT64_MAX)
            first[hour] = t;
    }
    for (int hour = 0; hour < 24; hour++)
        assert_int_equal(period_hour_start(&frame, hour), first[hour] == INT64_MAX ? -1 : first[hour]);
}

/* St. John's, Apia and so on have their odd days in here; Chatham and Kathmandu have quarters of hours. */
static const char *const model_zones[] = {
    "UTC",
    "Asia/Ho_Chi_Minh",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "Africa/Monrovia",
    "Antarctica/Troll",
    "America/Nuuk",
    "Europe/Dublin",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Antarctica/Casey",
};

static void assert_day(const struct zone *zone, int64_t day)
{
    int64_t start = oracle(day), end = oracle(day + 1);
    int week_start = (int)(day / 400 % 7) + 1;
    struct tm tm = civil(day);
    struct period_date date = {(int16_t)(tm.tm_year + 1900), (int8_t)(tm.tm_mon + 1), (int8_t)tm.tm_mday};

    assert_int_equal(start, period_date_start(zone, date));
    if (start == end) /* the zone skipped it */
        return;
    assert_frame(zone, week_start, day, start);
    if (end - start == DAY && day % 16)
        return;
    assert_frame(zone, week_start, day, start + (end - start) / 3);
    assert_frame(zone, week_start, day, end - 1);
    assert_hours(zone, day, end - start == DAY ? HOUR / 4 : 30);
}

static void every_day_from_1970_to_2069_is_as_the_slow_oracle_has_it(void **state)
{
    (void)state;
    calendar_fill();
    for (size_t i = 0; i < sizeof model_zones / sizeof model_zones[0]; i++) {
        struct zone *zone = open_zone(model_zones[i]);
        use_tz(model_zones[i]);
        oracle_fill();
        for (int64_t day = ORACLE_FIRST; day < ORACLE_DAYS; day++)
            assert_day(zone, day);
        zone_close(zone);
    }
    use_tz(NULL);
}

/* A frame has room for three offsets: no day of any of these zones had more. */
static void no_day_has_more_than_three_offsets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof model_zones / sizeof model_zones[0]; i++) {
        struct zone *zone = open_zone(model_zones[i]);
        for (int64_t day = ORACLE_FIRST; day < ORACLE_DAYS; day++) {
            int64_t start = period_date_start(zone, period_date_of(day));
            int64_t end = period_date_start(zone, period_date_of(day + 1));
            struct zone_local local;
            int offsets = 0;
            for (int64_t t = start; t < end; t = local.until, offsets++)
                zone_at(zone, t, &local);
            assert_true(offsets <= 3);
        }
        zone_close(zone);
    }
}

/* ---- Odd days --------------------------------------------------------------------------------------------------- */

struct odd_day {
    const char *zone, *inside;      /* a moment in the day, UTC */
    const char *date, *start, *end; /* the day's bounds as local time */
    int hours;
};

static void days_whose_midnight_moved_have_neither_gap_nor_overlap(void **state)
{
    static const struct odd_day days[] = {
        /* no midnight: the clock goes from 00:00 to 01:00 */
        {"Africa/Cairo", "2024-04-26 12:00", "2024-04-26", "2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00",
         23},
        {"America/Havana", "2024-03-10 12:00", "2024-03-10", "2024-03-10T01:00:00-04:00", "2024-03-11T00:00:00-04:00",
         23},
        {"Asia/Beirut", "2024-03-31 12:00", "2024-03-31", "2024-03-31T01:00:00+03:00", "2024-04-01T00:00:00+03:00", 23},
        {"America/Sao_Paulo", "2018-11-04 12:00", "2018-11-04", "2018-11-04T01:00:00-02:00",
         "2018-11-05T00:00:00-02:00", 23},
        /* back from midnight to 23:00: the date is left once only, at the end */
        {"America/Sao_Paulo", "2019-02-16 12:00", "2019-02-16", "2019-02-16T00:00:00-02:00",
         "2019-02-17T00:00:00-03:00", 25},
        {"Africa/Cairo", "2024-10-31 12:00", "2024-10-31", "2024-10-31T00:00:00+03:00", "2024-11-01T00:00:00+02:00",
         25},
        /* two midnights: back from 01:00 to 00:00 of the same date, and from 00:01 to 23:01 of the date before */
        {"America/Havana", "2024-11-03 12:00", "2024-11-03", "2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00",
         25},
        {"America/St_Johns", "2010-11-06 12:00", "2010-11-06", "2010-11-06T00:00:00-02:30", "2010-11-07T00:00:00-03:30",
         25},
        /* forward at 00:01 */
        {"America/St_Johns", "2011-03-13 12:00", "2011-03-13", "2011-03-13T00:00:00-03:30", "2011-03-14T00:00:00-02:30",
         23},
        {"Europe/Berlin", "2026-03-29 12:00", "2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00",
         23},
        {"Europe/Berlin", "2026-10-25 12:00", "2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00",
         25},
        {"Asia/Ho_Chi_Minh", "2026-11-23 12:00", "2026-11-23", "2026-11-23T00:00:00+07:00", "2026-11-24T00:00:00+07:00",
         24},
    };

    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct zone *zone = open_zone(days[i].zone);
        struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc(days[i].inside)), next;
        const struct period_span *day = &frame.of[PERIOD_DAY];
        assert_date(frame.date, days[i].date);
        assert_local(zone, day->start, days[i].start);
        assert_local(zone, day->end, days[i].end);
        assert_int_equal(day->end - day->start, days[i].hours * HOUR);
        next = frame_of(zone, COUNTER_MONDAY, day->end);
        assert_int_equal(next.of[PERIOD_DAY].start, day->end);
        assert_int_equal(next.of[PERIOD_DAY].previous, day->start);
        zone_close(zone);
    }
}

static void the_minute_after_the_first_midnight_stays_with_the_old_day(void **state)
{
    struct zone *zone = open_zone("America/St_Johns");
    int64_t first_midnight = utc("2010-11-07 02:30"); /* 00:00 at -02:30; one minute later it is 23:01 */
    struct period_frame frame = frame_of(zone, COUNTER_SUNDAY, first_midnight + 30);

    (void)state;
    assert_local(zone, first_midnight + 30, "2010-11-07T00:00:30-02:30");
    assert_local(zone, first_midnight + 60, "2010-11-06T23:01:00-03:30");
    assert_date(frame.date, "2010-11-06");
    assert_int_equal(period_hour(&frame, first_midnight - 1), 23);
    assert_int_equal(period_hour(&frame, first_midnight + 30), 23);
    assert_int_equal(period_hour(&frame, first_midnight + 60), 23);
    assert_int_equal(frame.of[PERIOD_DAY].end, utc("2010-11-07 03:30"));
    assert_int_equal(frame.of[PERIOD_WEEK].end, utc("2010-11-07 03:30"));
    zone_close(zone);
}

static void the_day_before_a_skipped_date_is_yesterday(void **state)
{
    struct zone *zone = open_zone("Pacific/Apia");
    struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc("2011-12-30 10:00"));
    const struct period_span *day = &frame.of[PERIOD_DAY];

    (void)state;
    assert_date(frame.date, "2011-12-31");
    assert_date(day->previous_first, "2011-12-29");
    assert_int_equal(day->start, utc("2011-12-30 10:00"));
    assert_int_equal(day->previous, utc("2011-12-29 10:00"));
    assert_int_equal(period_date_start(zone, (struct period_date){2011, 12, 30}), day->start);
    assert_int_equal(period_date_start(zone, (struct period_date){2011, 12, 31}), day->start);
    assert_int_equal(frame.of[PERIOD_WEEK].end - frame.of[PERIOD_WEEK].start, 6 * DAY);

    frame = frame_of(zone, COUNTER_MONDAY, utc("2011-12-30 09:59:59"));
    assert_date(frame.date, "2011-12-29");
    assert_int_equal(frame.of[PERIOD_DAY].end, utc("2011-12-30 10:00"));
    zone_close(zone);
}

static void a_week_that_begins_on_a_skipped_date_shows_its_first_real_one(void **state)
{
    struct zone *zone = open_zone("Pacific/Kwajalein"); /* 1993-08-21, a Saturday, was skipped */
    struct period_frame frame = frame_of(zone, COUNTER_SATURDAY, utc("1993-08-25 00:00"));
    const struct period_span *week = &frame.of[PERIOD_WEEK];

    (void)state;
    assert_date(week->first, "1993-08-22");
    assert_date(week->previous_first, "1993-08-14");
    assert_int_equal(week->start, utc("1993-08-21 12:00"));
    assert_int_equal(week->end, utc("1993-08-27 12:00"));
    assert_int_equal(week->previous, utc("1993-08-14 12:00"));
    frame = frame_of(zone, COUNTER_SATURDAY, week->end);
    assert_date(frame.of[PERIOD_WEEK].previous_first, "1993-08-22");
    zone_close(zone);
}

/* ---- Weeks, months, years --------------------------------------------------------------------------------------- */

static void weeks_begin_on_the_weekday_asked_for(void **state)
{
    static const struct {
        int week_start;
        const char *inside, *first, *previous_first;
    } weeks[] = {
        {COUNTER_MONDAY, "2026-11-22 12:00", "2026-11-16", "2026-11-09"}, /* a Sunday is a Monday-week's last day */
        {COUNTER_MONDAY, "2026-11-23 00:00", "2026-11-23", "2026-11-16"},
        {COUNTER_SUNDAY, "2026-11-22 00:00", "2026-11-22", "2026-11-15"},
        {COUNTER_SUNDAY, "2026-11-28 23:59", "2026-11-22", "2026-11-15"},
        {COUNTER_SATURDAY, "2026-11-21 00:00", "2026-11-21", "2026-11-14"},
        {COUNTER_SATURDAY, "2026-11-20 23:59", "2026-11-14", "2026-11-07"},
        {COUNTER_MONDAY, "2021-01-01 12:00", "2020-12-28", "2020-12-21"}, /* ISO week 53 of 2020 */
        {COUNTER_MONDAY, "2021-01-04 00:00", "2021-01-04", "2020-12-28"},
        {COUNTER_SUNDAY, "2021-01-01 12:00", "2020-12-27", "2020-12-20"},
        {COUNTER_SATURDAY, "2021-01-01 23:59", "2020-12-26", "2020-12-19"},
        {COUNTER_SATURDAY, "2021-01-02 00:00", "2021-01-02", "2020-12-26"},
        {3, "2024-02-29 12:00", "2024-02-28", "2024-02-21"}, /* Wednesday */
    };
    struct zone *zone = open_zone("UTC");

    (void)state;
    for (size_t i = 0; i < sizeof weeks / sizeof weeks[0]; i++) {
        struct period_frame frame = frame_of(zone, weeks[i].week_start, utc(weeks[i].inside));
        const struct period_span *week = &frame.of[PERIOD_WEEK];
        assert_date(week->first, weeks[i].first);
        assert_date(week->previous_first, weeks[i].previous_first);
        assert_int_equal(week->start, utc(weeks[i].first));
        assert_int_equal(week->end - week->start, 7 * DAY);
        assert_int_equal(week->previous, utc(weeks[i].previous_first));
    }
    zone_close(zone);
}

static void months_and_years_have_the_lengths_of_the_calendar(void **state)
{
    static const struct {
        const char *inside, *month, *previous_month;
        int days, year_days;
    } months[] = {
        {"2024-02-29 23:59", "2024-02-01", "2024-01-01", 29, 366},
        {"2023-02-28 12:00", "2023-02-01", "2023-01-01", 28, 365},
        {"2000-02-29 12:00", "2000-02-01", "2000-01-01", 29, 366},
        {"2100-02-28 12:00", "2100-02-01", "2100-01-01", 28, 365},
        {"2024-03-01 00:00", "2024-03-01", "2024-02-01", 31, 366},
        {"2026-01-01 00:00", "2026-01-01", "2025-12-01", 31, 365},
        {"2026-12-31 23:59", "2026-12-01", "2026-11-01", 31, 365},
        {"1970-01-01 00:00", "1970-01-01", "1969-12-01", 31, 365},
    };
    struct zone *zone = open_zone("UTC");

    (void)state;
    for (size_t i = 0; i < sizeof months / sizeof months[0]; i++) {
        struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc(months[i].inside));
        const struct period_span *month = &frame.of[PERIOD_MONTH], *year = &frame.of[PERIOD_YEAR];
        assert_date(month->first, months[i].month);
        assert_date(month->previous_first, months[i].previous_month);
        assert_int_equal(month->start, utc(months[i].month));
        assert_int_equal(month->previous, utc(months[i].previous_month));
        assert_int_equal(month->end - month->start, months[i].days * DAY);
        assert_int_equal(year->end - year->start, months[i].year_days * DAY);
        assert_true(year->first.month == 1 && year->first.day == 1 && year->first.year == frame.date.year);
        assert_true(year->previous_first.year == frame.date.year - 1);
    }
    zone_close(zone);
}

static void the_yesterday_of_new_years_day_is_of_the_old_year(void **state)
{
    struct zone *zone = open_zone("Asia/Ho_Chi_Minh");
    struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc("2025-12-31 17:00"));

    (void)state;
    assert_date(frame.date, "2026-01-01");
    assert_date(frame.of[PERIOD_DAY].previous_first, "2025-12-31");
    assert_date(frame.of[PERIOD_MONTH].previous_first, "2025-12-01");
    assert_date(frame.of[PERIOD_YEAR].previous_first, "2025-01-01");
    assert_int_equal(frame.of[PERIOD_YEAR].start, utc("2025-12-31 17:00"));
    frame = frame_of(zone, COUNTER_MONDAY, utc("2025-12-31 16:59:59"));
    assert_date(frame.date, "2025-12-31");
    zone_close(zone);
}

/* ---- Hours ------------------------------------------------------------------------------------------------------ */

static void a_day_of_25_hours_has_one_number_per_clock_hour(void **state)
{
    struct zone *zone = open_zone("Europe/Berlin");
    struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc("2026-10-25 12:00"));

    (void)state;
    assert_int_equal(period_hour(&frame, utc("2026-10-25 00:30")), 2); /* 02:30 summer time */
    assert_int_equal(period_hour(&frame, utc("2026-10-25 01:30")), 2); /* 02:30 again */
    assert_int_equal(period_hour(&frame, utc("2026-10-25 02:00")), 3);
    assert_int_equal(period_hour(&frame, frame.of[PERIOD_DAY].start), 0);
    assert_int_equal(period_hour(&frame, frame.of[PERIOD_DAY].end - 1), 23);
    assert_int_equal(period_hour_start(&frame, 2), utc("2026-10-25 00:00"));
    assert_int_equal(period_hour_start(&frame, 3), utc("2026-10-25 02:00"));
    assert_int_equal(period_hour_start(&frame, 23), utc("2026-10-25 22:00"));
    zone_close(zone);
}

static void a_day_of_23_hours_has_no_hour_that_the_clock_skips(void **state)
{
    struct zone *zone = open_zone("Europe/Berlin");
    struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc("2026-03-29 12:00"));

    (void)state;
    assert_int_equal(period_hour_start(&frame, 1), utc("2026-03-29 00:00"));
    assert_int_equal(period_hour_start(&frame, 2), -1);
    assert_int_equal(period_hour_start(&frame, 3), utc("2026-03-29 01:00"));
    assert_int_equal(period_hour(&frame, utc("2026-03-29 00:59:59")), 1);
    assert_int_equal(period_hour(&frame, utc("2026-03-29 01:00:00")), 3);
    zone_close(zone);

    zone = open_zone("Africa/Cairo");
    frame = frame_of(zone, COUNTER_MONDAY, utc("2024-04-26 12:00"));
    assert_int_equal(period_hour_start(&frame, 0), -1);
    assert_int_equal(period_hour_start(&frame, 1), frame.of[PERIOD_DAY].start);
    zone_close(zone);
}

static void lord_howe_moves_its_clock_by_half_an_hour(void **state)
{
    struct zone *zone = open_zone("Australia/Lord_Howe");
    struct period_frame frame = frame_of(zone, COUNTER_MONDAY, utc("2026-10-04 00:00")); /* 02:00 turns into 02:30 */

    (void)state;
    assert_int_equal(frame.of[PERIOD_DAY].end - frame.of[PERIOD_DAY].start, 23 * HOUR + HOUR / 2);
    assert_int_equal(period_hour_start(&frame, 2), utc("2026-10-03 15:30"));
    assert_int_equal(period_hour_start(&frame, 3), utc("2026-10-03 16:00"));
    frame = frame_of(zone, COUNTER_MONDAY, utc("2026-04-05 00:00")); /* 02:00 turns into 01:30 */
    assert_int_equal(frame.of[PERIOD_DAY].end - frame.of[PERIOD_DAY].start, 24 * HOUR + HOUR / 2);
    assert_int_equal(period_hour_start(&frame, 1), utc("2026-04-04 14:00"));
    assert_int_equal(period_hour(&frame, utc("2026-04-04 15:15")), 1); /* 01:45 again */
    assert_int_equal(period_hour_start(&frame, 2), utc("2026-04-04 15:30"));
    zone_close(zone);
}

/* ---- Dates and text --------------------------------------------------------------------------------------------- */

static void civil_dates_agree_with_gmtime_and_come_back(void **state)
{
    (void)state;
    for (int64_t day = -800000; day<900000; day += day> - 1000 && day < 60000 ? 1 : 17) {
        struct period_date date = period_date_of(day);
        struct tm tm = civil(day);
        assert_true(date.year == tm.tm_year + 1900 && date.month == tm.tm_mon + 1 && date.day == tm.tm_mday);
        assert_int_equal(period_weekday(day), tm.tm_wday ? tm.tm_wday : 7);
        assert_int_equal(period_days(date), day);
    }
}

static void a_date_that_exists_is_parsed(void **state)
{
    static const char *const texts[] = {"2026-11-23", "1970-01-01", "2024-02-29",
                                        "2000-02-29", "2099-12-31", "0001-01-01"};
    struct period_date date;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(period_parse_date(&date, texts[i]), 0);
        assert_date(date, texts[i]);
    }
}

static void a_date_that_does_not_exist_is_refused_by_name(void **state)
{
    static const char *const texts[] = {
        "",           "2026-11-31", "2023-02-29",  "2100-02-29",  "2026-13-01",  "2026-00-10", "2026-01-00",
        "2026-01-32", "2026-1-1",   "2026-11-23 ", "2026-11-23T", "26-11-23",    "2026/11/23", "2026-11-2x",
        "-026-11-23", "20261123",   "2026-11--1",  "2026-+1-01",  "12026-11-23",
    };
    struct period_date date = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\"", texts[i]);
        if (period_parse_date(&date, texts[i]) != COUNTER_EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_non_null(strstr(counter_error(), quoted));
        assert_true(date.year == 1 && date.month == 2 && date.day == 3);
    }
}

static void moments_are_written_as_rfc_3339_has_it(void **state)
{
    static const struct {
        const char *zone, *utc, *text;
    } moments[] = {
        {"UTC", "1970-01-01 00:00:00", "1970-01-01T00:00:00+00:00"},
        {"+07:00", "2026-11-23 03:15:09", "2026-11-23T10:15:09+07:00"},
        {"-03:30", "2026-01-01 03:29:59", "2025-12-31T23:59:59-03:30"},
        {"Asia/Kathmandu", "2026-12-31 18:15:00", "2027-01-01T00:00:00+05:45"},
        {"Africa/Monrovia", "1971-06-01 12:00:00", "1971-06-01T11:16:00-00:44"}, /* -00:44:30: the nearest minute */
    };

    (void)state;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct zone *zone = open_zone(moments[i].zone);
        char text[40];
        memset(text, 'x', sizeof text);
        period_format(zone, utc(moments[i].utc), text, 26);
        assert_string_equal(text, moments[i].text);
        assert_int_equal(text[26], 'x');
        zone_close(zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_from_1970_to_2069_is_as_the_slow_oracle_has_it),
        cmocka_unit_test(no_day_has_more_than_three_offsets),
        cmocka_unit_test(days_whose_midnight_moved_have_neither_gap_nor_overlap),
        cmocka_unit_test(the_minute_after_the_first_midnight_stays_with_the_old_day),
        cmocka_unit_test(the_day_before_a_skipped_date_is_yesterday),
        cmocka_unit_test(a_week_that_begins_on_a_skipped_date_shows_its_first_real_one),
        cmocka_unit_test(weeks_begin_on_the_weekday_asked_for),
        cmocka_unit_test(months_and_years_have_the_lengths_of_the_calendar),
        cmocka_unit_test(the_yesterday_of_new_years_day_is_of_the_old_year),
        cmocka_unit_test(a_day_of_25_hours_has_one_number_per_clock_hour),
        cmocka_unit_test(a_day_of_23_hours_has_no_hour_that_the_clock_skips),
        cmocka_unit_test(lord_howe_moves_its_clock_by_half_an_hour),
        cmocka_unit_test(civil_dates_agree_with_gmtime_and_come_back),
        cmocka_unit_test(a_date_that_exists_is_parsed),
        cmocka_unit_test(a_date_that_does_not_exist_is_refused_by_name),
        cmocka_unit_test(moments_are_written_as_rfc_3339_has_it),
    };

    return cmocka_run_group_tests_name("period", tests, NULL, NULL);
}
