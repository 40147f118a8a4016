/* oracle.c: see oracle.h. */
#include "oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { VISIT_GAP = 1800, ONLINE = 300 };

/* ---- The C library's calendar ------------------------------------------------------------------------------------- */

/* Outside of these two the process's own zone is one that no test counts in: a library that looked at it would err. */
static void enter_zone(const char *zone)
{
    char name[80];
    snprintf(name, sizeof name, ":%s", zone);
    setenv("TZ", name, 1);
    tzset();
}

static void leave_zone(void)
{
    setenv("TZ", "NOWHERE-13:37", 1);
    tzset();
}

bool oracle_knows(const char *zone)
{
    time_t winter = 1735689600, summer = 1751328000;
    struct tm a, b;

    enter_zone(zone); /* an unknown one is read as UTC */
    bool known = localtime_r(&winter, &a) && localtime_r(&summer, &b) && (a.tm_gmtoff != 0 || b.tm_gmtoff != 0);
    leave_zone();
    return known;
}

static struct oracle_date date_of(const struct oracle *oracle, int64_t at)
{
    time_t t = at;
    struct tm tm, utc;

    assert_non_null(localtime_r(&t, &tm));
    utc = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    int32_t day = (int32_t)(timegm(&utc) / 86400);
    int32_t into_week = (tm.tm_wday - (int)oracle->week_start + 7) % 7;
    return (struct oracle_date){.day = day,
                                .week = day - into_week,
                                .month = (tm.tm_year + 1900) * 12 + tm.tm_mon,
                                .year = tm.tm_year + 1900,
                                .hour = tm.tm_hour};
}

struct oracle_date oracle_date(const struct oracle *oracle, int64_t at)
{
    enter_zone(oracle->zone);
    struct oracle_date date = date_of(oracle, at);
    leave_zone();
    return date;
}

int64_t oracle_noon(const struct oracle *oracle, int year, int month, int day)
{
    struct tm noon = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12, .tm_isdst = -1};
    enter_zone(oracle->zone);
    int64_t at = mktime(&noon);
    leave_zone();
    return at;
}

void oracle_day_name(int32_t day, char name[16])
{
    time_t t = (time_t)day * 86400;
    struct tm tm;
    assert_non_null(gmtime_r(&t, &tm));
    assert_int_equal(strftime(name, 16, "%Y-%m-%d", &tm), 10);
}

/* ---- Hits ----------------------------------------------------------------------------------------------------------- */

static void *zeroed(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    assert_non_null(memory);
    return memory;
}

void oracle_open(struct oracle *oracle, const char *zone, enum counter_weekday week_start, uint32_t visitors,
                 size_t room)
{
    *oracle = (struct oracle){.zone = zone, .week_start = week_start, .visitors = visitors, .room = room};
    oracle->hit = zeroed(room, sizeof *oracle->hit);
    oracle->delivery = zeroed(room, sizeof *oracle->delivery);
    oracle->newest = zeroed(room, sizeof *oracle->newest);
    oracle->last_seen = zeroed(visitors, sizeof *oracle->last_seen);
    oracle->windows = zeroed(visitors, sizeof *oracle->windows);
}

void oracle_close(struct oracle *oracle)
{
    free(oracle->windows);
    free(oracle->last_seen);
    free(oracle->newest);
    free(oracle->delivery);
    free(oracle->hit);
}

bool oracle_add(struct oracle *oracle, uint32_t visitor, int64_t at)
{
    assert_true(visitor < oracle->visitors);
    if (oracle->hits == oracle->room)
        return false;
    oracle->hit[oracle->hits++] = (struct oracle_hit){.at = at, .visitor = visitor};
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct oracle_hit *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->visitor < y->visitor ? -1 : x->visitor > y->visitor;
}

struct parcel {
    int64_t arrives;
    uint32_t index;
};

static int by_arrival(const void *a, const void *b)
{
    const struct parcel *x = a, *y = b;
    if (x->arrives != y->arrives)
        return x->arrives < y->arrives ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void oracle_deliver(struct oracle *oracle, int64_t (*delay)(void *), void *arg)
{
    struct parcel *parcel = zeroed(oracle->hits, sizeof *parcel);

    qsort(oracle->hit, oracle->hits, sizeof *oracle->hit, by_time);
    enter_zone(oracle->zone);
    for (uint32_t i = 0; i < oracle->hits; i++) {
        oracle->hit[i].date = date_of(oracle, oracle->hit[i].at);
        parcel[i] = (struct parcel){oracle->hit[i].at + (delay ? delay(arg) : 0), i};
    }
    leave_zone();
    qsort(parcel, oracle->hits, sizeof *parcel, by_arrival);

    int64_t newest = INT64_MIN;
    memset(oracle->last_seen, 0, oracle->visitors * sizeof *oracle->last_seen);
    for (uint32_t turn = 0; turn < oracle->hits; turn++) {
        struct oracle_hit *hit = &oracle->hit[parcel[turn].index];
        int64_t *seen = &oracle->last_seen[hit->visitor];
        hit->turn = turn;
        hit->late = hit->at < *seen;
        *seen = hit->at > *seen ? hit->at : *seen;
        newest = hit->at > newest ? hit->at : newest;
        oracle->delivery[turn] = parcel[turn].index;
        oracle->newest[turn] = newest;
    }
    free(parcel);
}

/* ---- Counting ------------------------------------------------------------------------------------------------------- */

/* A bit (1 << window) for each window of a moment that the date belongs to. */
static unsigned windows_of(const struct oracle_date *now, const struct oracle_date *date)
{
    unsigned in = 1u << COUNTER_ALL_TIME;
    in |= (unsigned)(date->day == now->day) << COUNTER_TODAY;
    in |= (unsigned)(date->day == now->day - 1) << COUNTER_YESTERDAY;
    in |= (unsigned)(date->week == now->week) << COUNTER_THIS_WEEK;
    in |= (unsigned)(date->week == now->week - 7) << COUNTER_LAST_WEEK;
    in |= (unsigned)(date->month == now->month) << COUNTER_THIS_MONTH;
    in |= (unsigned)(date->month == now->month - 1) << COUNTER_LAST_MONTH;
    in |= (unsigned)(date->year == now->year) << COUNTER_THIS_YEAR;
    in |= (unsigned)(date->year == now->year - 1) << COUNTER_LAST_YEAR;
    return in;
}

void oracle_count(const struct oracle *oracle, size_t delivered, int64_t at, struct oracle_counts *out)
{
    struct oracle_date now = oracle_date(oracle, at);
    int64_t *last_seen = oracle->last_seen;

    memset(out, 0, sizeof *out);
    memset(last_seen, 0, oracle->visitors * sizeof *last_seen);
    memset(oracle->windows, 0, oracle->visitors * sizeof *oracle->windows);
    for (const struct oracle_hit *hit = oracle->hit; hit < oracle->hit + oracle->hits; hit++) {
        if (hit->turn >= delivered)
            continue;
        unsigned in = windows_of(&now, &hit->date);
        unsigned first_in = in & ~(unsigned)oracle->windows[hit->visitor];
        bool opens = hit->at - last_seen[hit->visitor] > VISIT_GAP;
        for (int w = 0; w < COUNTER_WINDOWS; w++) {
            out->window[w].hits += in >> w & 1;
            out->window[w].visits += opens & in >> w;
            out->window[w].visitors += first_in >> w & 1;
        }
        out->late += hit->late;
        last_seen[hit->visitor] = hit->at;
        oracle->windows[hit->visitor] |= (uint16_t)in;
    }
    for (uint32_t visitor = 0; visitor < oracle->visitors; visitor++)
        out->online += last_seen[visitor] > at - ONLINE;
}

void oracle_day(const struct oracle *oracle, int32_t day, struct counter_count *out)
{
    memset(out, 0, sizeof *out);
    memset(oracle->last_seen, 0, oracle->visitors * sizeof *oracle->last_seen);
    memset(oracle->windows, 0, oracle->visitors * sizeof *oracle->windows);
    for (const struct oracle_hit *hit = oracle->hit; hit < oracle->hit + oracle->hits; hit++) {
        if (hit->date.day == day) {
            out->hits++;
            out->visits += hit->at - oracle->last_seen[hit->visitor] > VISIT_GAP;
            out->visitors += !oracle->windows[hit->visitor];
            oracle->windows[hit->visitor] = 1;
        }
        oracle->last_seen[hit->visitor] = hit->at;
    }
}

void oracle_hours(const struct oracle *oracle, int32_t day, int64_t hits[24])
{
    memset(hits, 0, 24 * sizeof *hits);
    for (const struct oracle_hit *hit = oracle->hit; hit < oracle->hit + oracle->hits; hit++)
        if (hit->date.day == day)
            hits[hit->date.hour]++;
}
