/*
 * store_range.h: the days that a series or a breakdown is about, for all stores alike.
 */
#ifndef LIBCOUNTER_STORE_RANGE_H
#define LIBCOUNTER_STORE_RANGE_H

#include "period.h"

#include <stdbool.h>

struct store_range {
    int64_t first, last;                /* civil days since 1970 */
};

/* The dates asked for, "YYYY-MM-DD"; NULL: the oldest that is kept, the newest hit's. clock and since are those of the
 * newest and the oldest hit, 0 without any. COUNTER_EINVAL names what is wrong. */
int store_range(struct store_range *out, const struct zone *zone, int64_t clock, int64_t since, uint32_t retention_days,
                const char *from, const char *to);

/* The frame of a date; false where the zone skipped it. */
bool store_range_frame(const struct zone *zone, enum counter_weekday week_start, int64_t day, struct period_frame *out);

/* Where a row of a clock hour begins: one that the zone skipped, where the next one does. */
int64_t store_hour_start(const struct period_frame *frame, int hour);

/* Tells the sums of enum counter_verdict, the largest first, without those of zero. */
int store_tell_verdicts(uint64_t sum[COUNTER_VERDICTS], counter_row_fn *each, void *arg);

#endif
