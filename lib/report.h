/*
 * report.h: facts about a site, told one by one, and what all stores have to tell alike.
 */
#ifndef LIBCOUNTER_REPORT_H
#define LIBCOUNTER_REPORT_H

#include "zone.h"

#include <stdbool.h>

struct report {
    counter_fact_fn *each;
    void *arg;
    int worst;                          /* level told so far */
    int stopped;                        /* what the reader returned to end it */
};

__attribute__((format(printf, 5, 6))) void report_tell(struct report *report, enum counter_level level,
                                                       const char *name, const char *why, const char *format, ...);
void report_time(struct report *report, const struct zone *zone, const char *name, const char *why, int64_t t);

/* The worst level, or what ended it. */
int report_result(const struct report *report);

struct report_site {                    /* times in s since 1970, 0: none */
    const struct zone *zone;
    enum counter_weekday week_start;
    enum counter_rotation key_rotation;
    uint32_t exact_visitors, forget_days, retention_days;
    int64_t since, clock, accepted, forgotten;
    uint64_t late;
    struct counter_count baseline;
    bool torn;                          /* the last baseline was not stored whole */
};
void report_clock(struct report *report, const struct report_site *site, int64_t now);
void report_limits(struct report *report, const struct report_site *site);
void report_sums(struct report *report, const struct report_site *site);

#endif
