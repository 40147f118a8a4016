/*
 * site_figure.c: the visitors of a period, exact as long as possible, then growing with the estimate.
 *
 * While nothing that a period needs was dropped, the table gives its number and the figure only keeps it for later.
 * When exactness ends, the word becomes (exact : estimate) of that moment, the estimate taken first, so that what is
 * shown from then on, exact + (estimate now - estimate then), starts at or above the exact number and grows: its error
 * is that of the growth, not of the whole. One word, one compare-and-swap, and never written again.
 */
#include "site.h"

#include <string.h>

#define EXACT_MAX    UINT64_C(0x7fffffff)
#define ESTIMATE_MAX UINT64_C(0xffffffff)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void figure_keep(struct layout_figure *figure, uint64_t exact)
{
    uint64_t old = atomic_load(&figure->pair);
    uint64_t kept = least(exact, EXACT_MAX);

    while (!(old & FIGURE_ENDED) && figure_exact(old) < kept)
        if (atomic_compare_exchange_weak(&figure->pair, &old, kept << 32))
            return;
}

void figure_end(struct layout_figure *figure, uint64_t exact, uint64_t estimate)
{
    uint64_t old = atomic_load(&figure->pair), pair;

    do {
        if (old & FIGURE_ENDED)
            return;
        uint64_t kept = least(exact > figure_exact(old) ? exact : figure_exact(old), EXACT_MAX);
        pair = FIGURE_ENDED | kept << 32 | least(estimate, ESTIMATE_MAX);
    } while (!atomic_compare_exchange_weak(&figure->pair, &old, pair));
}

uint64_t figure_grown(struct layout_figure *figure, uint64_t counted, uint64_t estimate, bool writable)
{
    uint64_t pair = atomic_load(&figure->pair), shown;

    if (!(pair & FIGURE_ENDED)) {
        uint64_t known = counted > figure_exact(pair) ? counted : figure_exact(pair);
        shown = known > estimate ? known : estimate;
        if (writable)
            figure_end(figure, shown, estimate);
    } else {
        shown = figure_exact(pair);
        if (estimate > figure_estimate(pair))
            shown += estimate - figure_estimate(pair);
    }
    uint64_t before = atomic_load(&figure->shown);
    return before > shown ? before : shown;
}

int figure_find(struct site *site, const struct period_frame *frame, enum period_kind kind, bool previous,
                struct layout_figure **out)
{
    struct period_date date = previous ? frame->of[kind].previous_first : frame->of[kind].first;
    struct site_month *month;

    *out = NULL;
    if (kind != PERIOD_DAY) {
        *out = site_figure(site, &frame->of[kind], kind, previous);
        return 0;
    }
    int r = site_month(site, site_month_index(date), false, &month);
    if (r == 0 && month)
        *out = &site_day(month, date)->figure;
    return r;
}

/* Adds the sketches of `days` dates to a sum; dates without a file add nothing. */
static int merge_days(struct site *site, struct sketch *sum, struct period_date first, int days)
{
    int64_t day = period_days(first);
    struct site_month *month;
    int r;

    for (int i = 0; i < days; i++) {
        struct period_date date = period_date_of(day + i);
        if ((r = site_month(site, site_month_index(date), false, &month)) < 0)
            return r;
        if (month)
            sketch_merge(sum, site_day_sketch(month, date));
    }
    return 0;
}

static int days_of(const struct period_frame *frame, enum period_kind kind, bool previous)
{
    struct period_date first = previous ? frame->of[kind].previous_first : frame->of[kind].first;
    if (kind == PERIOD_DAY)
        return 1;
    if (kind == PERIOD_WEEK)
        return 7;
    struct period_date next = {(int16_t)(first.year + first.month / 12), (int8_t)(first.month % 12 + 1), 1};
    return (int)(period_days(next) - period_days(first));
}

int figure_estimate_of(struct site *site, const struct period_frame *frame, enum period_kind kind, bool previous,
                       uint64_t *estimate)
{
    struct period_date first = previous ? frame->of[kind].previous_first : frame->of[kind].first;
    struct sketch sum;
    int r;

    *estimate = 0;
    if (kind == PERIOD_YEAR) {
        int year = first.year - LAYOUT_FIRST_YEAR;
        if (year >= 0 && year < LAYOUT_YEARS) /* one that was never fed may be a hole */
            *estimate = region_loads(&site->region, &site->year_sketch[year], SKETCH_REGISTERS)
                            ? sketch_estimate(&site->year_sketch[year])
                            : 0;
        return 0;
    }
    memset(&sum, 0, sizeof sum);
    if ((r = merge_days(site, &sum, first, days_of(frame, kind, previous))) < 0)
        return r;
    *estimate = sketch_estimate(&sum);
    return 0;
}

void figure_bounds(struct recency_bounds *out, const struct period_frame *frame, int64_t at)
{
    out->online = site_time(at - SITE_ONLINE + 1);
    out->online_end = site_time(at + SITE_FUTURE);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        out->previous[kind] = site_time(frame->of[kind].previous);
        out->start[kind] = site_time(frame->of[kind].start);
        out->end[kind] = site_time(frame->of[kind].end);
    }
}
