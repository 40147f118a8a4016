/*
 * oracle.h: an exact count by brute force, to judge the library by. It shares nothing with lib/.
 *
 * It keeps every raw hit, asks the C library's localtime_r for dates, and for each question walks through all hits that
 * were delivered so far, in the order of their times, following the definitions word by word.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <counter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle_date {
    int32_t day;                        /* days since 1970-01-01 of the date that the zone's clock shows */
    int32_t week;                       /* the day on which its week begins */
    int32_t month, year;                /* months since the year 0 */
    int32_t hour;
};

struct oracle_hit {
    int64_t at;
    uint32_t visitor;
    uint32_t turn;                      /* its place in the order of delivery */
    bool late;                          /* delivered after a newer hit of its visitor */
    struct oracle_date date;
};

struct oracle {
    const char *zone;
    enum counter_weekday week_start;
    uint32_t visitors;                  /* numbered from 0 */
    size_t hits, room;
    struct oracle_hit *hit;             /* in the order of their times */
    uint32_t *delivery;                 /* turn -> index */
    int64_t *newest;                    /* by turn: the newest time delivered up to and with it */
    int64_t *last_seen;                 /* by visitor, for one walk */
    uint16_t *windows;                  /* by visitor: the windows it was already seen in */
};

struct oracle_counts {
    int64_t online, late;
    struct counter_count window[COUNTER_WINDOWS];       /* error stays 0 */
};

/* False where the C library does not know the zone. */
bool oracle_knows(const char *zone);

void oracle_open(struct oracle *oracle, const char *zone, enum counter_weekday week_start, uint32_t visitors,
                 size_t room);
void oracle_close(struct oracle *oracle);

/* Until oracle_deliver hits are only collected, in any order; false when there is no more room. */
bool oracle_add(struct oracle *oracle, uint32_t visitor, int64_t at);

/* Fixes the order of delivery: by time, each hit held up for delay(arg) seconds (NULL: none). */
void oracle_deliver(struct oracle *oracle, int64_t (*delay)(void *), void *arg);

/* What a store must say at `at` when the first `delivered` hits have reached it. */
void oracle_count(const struct oracle *oracle, size_t delivered, int64_t at, struct oracle_counts *out);

/* The same for one date, all hits delivered. */
void oracle_day(const struct oracle *oracle, int32_t day, struct counter_count *out);
void oracle_hours(const struct oracle *oracle, int32_t day, int64_t hits[24]);

struct oracle_date oracle_date(const struct oracle *oracle, int64_t at);

/* The second at which the clock shows 12:00 of a date. */
int64_t oracle_noon(const struct oracle *oracle, int year, int month, int day);

/* "2026-11-23" */
void oracle_day_name(int32_t day, char name[16]);

#endif
