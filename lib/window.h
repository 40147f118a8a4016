/*
 * window.h: what the windows of counter.h are, in periods. Pure.
 *
 * Each is the day, week, month or year that holds a moment, or the one before it; all time is none of these and has no
 * bounds. What all stores say alike about them, in numbers and in words, stands here.
 */
#ifndef LIBCOUNTER_WINDOW_H
#define LIBCOUNTER_WINDOW_H

#include "period.h"

#include <stdbool.h>

struct window {
    enum period_kind kind;
    bool previous;
};
extern const struct window window_is[COUNTER_WINDOWS];      /* all time's says nothing */

/* [start, end) of a window, for a moment in the frame's day; INT64_MIN, INT64_MAX for all time. */
int64_t window_start(const struct period_frame *frame, int window);
int64_t window_end(const struct period_frame *frame, int window);

/* With key_rotation a visitor has a new id in each day or month: what spans two of them is a sum. */
bool window_is_sum(const struct period_frame *frame, int window, const struct zone *zone,
                   enum counter_weekday week_start, enum counter_rotation rotation);

/* counter_count.error of an exact number, `unsure` of whom may have been counted or not. */
double window_error(uint64_t visitors, uint64_t unsure);

/* The windows to answer with: want, where 0 means the box. */
static inline uint32_t window_wanted(uint32_t want)
{
    return (want ? want : COUNTER_WANT_BOX) & COUNTER_WANT_ALL;
}

/* Why a hit of that time is not counted: COUNTER_ETIME and the rule. */
enum window_refusal { WINDOW_IMPOSSIBLE, WINDOW_FUTURE, WINDOW_OLD, WINDOW_LEAP };
int window_refuse_hit(const struct zone *zone, const char *site, int64_t t, enum window_refusal why);

/* A moment asked about lies too far before the site's newest hit: COUNTER_ETIME. */
int window_refuse_past(const struct zone *zone, const char *site, int64_t at, int64_t clock);

#endif
