/* window.c: see window.h. */
#include "window.h"

#include "error.h"

#include <stdio.h>

const struct window window_is[COUNTER_WINDOWS] = {
    [COUNTER_TODAY] = {PERIOD_DAY, false},        [COUNTER_YESTERDAY] = {PERIOD_DAY, true},
    [COUNTER_THIS_WEEK] = {PERIOD_WEEK, false},   [COUNTER_LAST_WEEK] = {PERIOD_WEEK, true},
    [COUNTER_THIS_MONTH] = {PERIOD_MONTH, false}, [COUNTER_LAST_MONTH] = {PERIOD_MONTH, true},
    [COUNTER_THIS_YEAR] = {PERIOD_YEAR, false},   [COUNTER_LAST_YEAR] = {PERIOD_YEAR, true},
};

int64_t window_start(const struct period_frame *frame, int window)
{
    const struct period_span *span = &frame->of[window_is[window].kind];
    if (window == COUNTER_ALL_TIME)
        return INT64_MIN;
    return window_is[window].previous ? span->previous : span->start;
}

int64_t window_end(const struct period_frame *frame, int window)
{
    const struct period_span *span = &frame->of[window_is[window].kind];
    if (window == COUNTER_ALL_TIME)
        return INT64_MAX;
    return window_is[window].previous ? span->start : span->end;
}

bool window_is_sum(const struct period_frame *frame, int window, const struct zone *zone,
                   enum counter_weekday week_start, enum counter_rotation rotation)
{
    struct period_frame first;

    if (rotation <= COUNTER_ROTATION_NEVER || window == COUNTER_ALL_TIME)
        return rotation > COUNTER_ROTATION_NEVER;
    period_frame(&first, zone, week_start, window_start(frame, window));
    return first.of[rotation == COUNTER_ROTATION_DAILY ? PERIOD_DAY : PERIOD_MONTH].end < window_end(frame, window);
}

double window_error(uint64_t visitors, uint64_t unsure)
{
    return unsure == 0 ? 0 : visitors > unsure ? (double)unsure / (double)visitors : 1;
}

int window_refuse_hit(const struct zone *zone, const char *site, int64_t t, enum window_refusal why)
{
    static const char leap[] = "lies more than 400 days after the newest: if this machine's clock is right, accept it "
                               "(counter check --accept-clock)";
    static const char *const rule[] = {
        [WINDOW_IMPOSSIBLE] = "cannot be counted: only 2000-01-02 to 2067-12-30 can",
        [WINDOW_FUTURE] = "lies more than 60 s in the future of this machine's clock",
        [WINDOW_OLD] = "is older than the days that are kept (retention_days)",
        [WINDOW_LEAP] = leap,
    };
    char when[32];

    if (why == WINDOW_IMPOSSIBLE)
        snprintf(when, sizeof when, "second %lld", (long long)t);
    else
        period_format(zone, t, when, sizeof when);
    return error_set(COUNTER_ETIME, "a hit of %s at site %s %s", when, site, rule[why]);
}

int window_refuse_past(const struct zone *zone, const char *site, int64_t at, int64_t clock)
{
    char asked[32], newest[32];

    period_format(zone, at, asked, sizeof asked);
    period_format(zone, clock, newest, sizeof newest);
    return error_set(COUNTER_ETIME,
                     "%s lies more than 60 s before the newest hit of site %s, %s: what windows showed in the past is "
                     "not kept, a series has the days",
                     asked, site, newest);
}
