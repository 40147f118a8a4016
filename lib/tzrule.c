/*
 * tzrule.c: the POSIX TZ string; see tzrule.h. Grammar: POSIX.1-2017, Base Definitions, 8.3, with the longer hours of
 * RFC 8536, section 3.3.1. A cursor moves over the bytes and stops at the first one that does not fit; nothing is read
 * at or beyond `end`, nothing depends on the locale.
 */
#include "tzrule.h"

enum { HOUR = 3600, DAY = 86400, STANDARD_HOURS = 24, RULE_HOURS = 167 };

struct cursor {
    const char *at, *end;
};

static int accept(struct cursor *cursor, char wanted)
{
    if (cursor->at == cursor->end || *cursor->at != wanted)
        return 0;
    cursor->at++;
    return 1;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* A number of one to three digits from low to high. */
static int parse_number(struct cursor *cursor, int low, int high, int *out)
{
    int value = 0, digits = 0;

    while (cursor->at < cursor->end && is_digit(*cursor->at) && digits < 3) {
        value = value * 10 + (*cursor->at++ - '0');
        digits++;
    }
    if (digits == 0 || value < low || value > high)
        return -1;
    *out = value;
    return 0;
}

/* "EST" or "<+07>": at least three characters. The name itself is of no use here. */
static int parse_name(struct cursor *cursor)
{
    int quoted = accept(cursor, '<'), length = 0;

    while (cursor->at < cursor->end) {
        char c = *cursor->at;
        if (!is_letter(c) && !(quoted && (is_digit(c) || c == '+' || c == '-')))
            break;
        cursor->at++;
        length++;
    }
    if (length < 3 || (quoted && !accept(cursor, '>')))
        return -1;
    return 0;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static int parse_time(struct cursor *cursor, int hours_max, int32_t *out)
{
    int hours, minutes = 0, seconds = 0, negative;

    negative = accept(cursor, '-');
    if (!negative)
        accept(cursor, '+');
    if (parse_number(cursor, 0, hours_max, &hours) < 0)
        return -1;
    if (accept(cursor, ':')) {
        if (parse_number(cursor, 0, 59, &minutes) < 0)
            return -1;
        if (accept(cursor, ':') && parse_number(cursor, 0, 59, &seconds) < 0)
            return -1;
    }
    *out = hours * HOUR + minutes * 60 + seconds;
    if (negative)
        *out = -*out;
    return 0;
}

/* The string counts hours west, everybody else seconds east. */
static int parse_offset(struct cursor *cursor, int32_t *out)
{
    int32_t west;

    if (parse_time(cursor, STANDARD_HOURS, &west) < 0)
        return -1;
    *out = -west;
    return 0;
}

static int parse_weekday(struct cursor *cursor, struct tzrule_day *out)
{
    if (parse_number(cursor, 1, 12, &out->month) < 0 || !accept(cursor, '.'))
        return -1;
    if (parse_number(cursor, 1, 5, &out->week) < 0 || !accept(cursor, '.'))
        return -1;
    return parse_number(cursor, 0, 6, &out->day);
}

static int parse_day(struct cursor *cursor, struct tzrule_day *out)
{
    int result;

    *out = (struct tzrule_day){.form = TZRULE_COUNTED, .time = 2 * HOUR};
    if (!accept(cursor, ','))
        return -1;
    if (accept(cursor, 'M')) {
        out->form = TZRULE_WEEKDAY;
        result = parse_weekday(cursor, out);
    } else if (accept(cursor, 'J')) {
        out->form = TZRULE_JULIAN;
        result = parse_number(cursor, 1, 365, &out->day);
    } else {
        result = parse_number(cursor, 0, 365, &out->day);
    }
    if (result < 0 || !accept(cursor, '/'))
        return result;
    return parse_time(cursor, RULE_HOURS, &out->time);
}

int tzrule_parse(struct tzrule *out, const char *text, size_t length)
{
    struct cursor cursor = {text, text + length};

    *out = (struct tzrule){0};
    if (parse_name(&cursor) < 0 || parse_offset(&cursor, &out->standard) < 0)
        return -1;
    out->daylight = out->standard;
    if (cursor.at == cursor.end)
        return 0;
    if (parse_name(&cursor) < 0)
        return -1;
    out->daylight = out->standard + HOUR;
    if (cursor.at < cursor.end && *cursor.at != ',' && parse_offset(&cursor, &out->daylight) < 0)
        return -1;
    if (parse_day(&cursor, &out->start) < 0 || parse_day(&cursor, &out->end) < 0)
        return -1;
    return cursor.at == cursor.end ? 0 : -1;
}

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static int is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to 1 January of a year. */
static int64_t year_start(int64_t year)
{
    int64_t before = year - 1;

    return 365 * before + floor_divide(before, 4) - floor_divide(before, 100) + floor_divide(before, 400) - 719162;
}

/* Days from 1 January to the rule's weekday: the first such day of the month, and `week` - 1 weeks on inside of it. */
static int weekday_of_year(const struct tzrule_day *rule, int64_t year, int64_t january)
{
    static const int month_start[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int leap = is_leap(year);
    int first = month_start[rule->month - 1] + (leap && rule->month > 2);
    int next = month_start[rule->month] + (leap && rule->month > 1);
    int64_t weekday = january + first + 4; /* 1970-01-01 was a Thursday: 4 */
    int day = first + (int)(((rule->day - weekday) % 7 + 7) % 7) + (rule->week - 1) * 7;

    return day < next ? day : day - 7;
}

/* Local seconds, as if the zone were UTC, at which the rule strikes in a year. */
static int64_t strike(const struct tzrule_day *rule, int64_t year)
{
    int64_t january = year_start(year);
    int day = rule->day;

    if (rule->form == TZRULE_WEEKDAY)
        day = weekday_of_year(rule, year, january);
    else if (rule->form == TZRULE_JULIAN)
        day = rule->day - 1 + (is_leap(year) && rule->day >= 60);
    return (january + day) * DAY + rule->time;
}

struct tzrule_span tzrule_span(const struct tzrule *rule, int64_t year)
{
    struct tzrule_span span;

    span.start = strike(&rule->start, year) - rule->standard;
    span.end = strike(&rule->end, year) - rule->daylight;
    if (span.end < span.start)
        span.end = strike(&rule->end, year + 1) - rule->daylight;
    if (span.end < span.start) /* both on new year's eve, a week of hours apart: no summer at all */
        span.end = span.start;
    return span;
}
