/* time.c: see time.h. */
#include "time.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { DIGITS_MOST = 12 }; /* 253402300799 is 9999-12-31T23:59:59Z */
#define TIME_END INT64_C(253402300800)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads exactly n digits that make a number from low to high. */
static bool read_number(const char **text, int n, int low, int high, int *out)
{
    int number = 0;

    for (int i = 0; i < n; i++, ++*text) {
        if (!is_digit(**text))
            return false;
        number = number * 10 + (**text - '0');
    }
    *out = number;
    return number >= low && number <= high;
}

static bool read_one_of(const char **text, const char *set)
{
    if (**text == 0 || !strchr(set, **text))
        return false;
    ++*text;
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool read_date(const char **text, struct tm *out)
{
    if (!read_number(text, 4, 0, 9999, &out->tm_year) || !read_one_of(text, "-") ||
        !read_number(text, 2, 1, 12, &out->tm_mon) || !read_one_of(text, "-") ||
        !read_number(text, 2, 1, days_of_month(out->tm_year, out->tm_mon), &out->tm_mday))
        return false;
    out->tm_year -= 1900;
    out->tm_mon -= 1;
    return true;
}

static bool read_clock(const char **text, struct tm *out)
{
    if (!read_number(text, 2, 0, 23, &out->tm_hour) || !read_one_of(text, ":") ||
        !read_number(text, 2, 0, 59, &out->tm_min) || !read_one_of(text, ":") ||
        !read_number(text, 2, 0, 60, &out->tm_sec))
        return false;
    if (!read_one_of(text, "."))
        return true;
    if (!is_digit(**text))
        return false;
    while (is_digit(**text))
        ++*text;
    return true;
}

/* Seconds that local time is ahead of UTC. */
static bool read_offset(const char **text, int *out)
{
    int sign = **text == '-' ? -1 : 1, hours, minutes;

    *out = 0;
    if (read_one_of(text, "Zz"))
        return true;
    if (!read_one_of(text, "+-") || !read_number(text, 2, 0, 23, &hours) || !read_one_of(text, ":") ||
        !read_number(text, 2, 0, 59, &minutes))
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* Whether a minute of 61 seconds may end before t: t is the first second of a month, UTC. */
static bool may_follow_leap_second(int64_t t)
{
    time_t seconds = (time_t)t;
    struct tm utc;
    return gmtime_r(&seconds, &utc) && utc.tm_mday == 1 && utc.tm_hour == 0 && utc.tm_min == 0 && utc.tm_sec == 0;
}

static bool read_moment(const char *text, int64_t *out)
{
    struct tm tm = {0};
    int offset;

    if (!read_date(&text, &tm) || !read_one_of(&text, "Tt ") || !read_clock(&text, &tm) ||
        !read_offset(&text, &offset) || *text)
        return false;
    bool leap = tm.tm_sec == 60;
    *out = (int64_t)timegm(&tm) - offset;
    return !leap || may_follow_leap_second(*out);
}

static bool read_seconds(const char *text, int64_t *out)
{
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > DIGITS_MOST || text[length])
        return false;
    for (*out = 0; *text; text++)
        *out = *out * 10 + (*text - '0');
    return true;
}

int time_parse(int64_t *out, const char *text)
{
    if (!read_seconds(text, out) && !read_moment(text, out))
        return -1;
    return *out > 0 && *out < TIME_END ? 0 : -1;
}
