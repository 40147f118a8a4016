/*
 * site_roll.c: what a new day and a full table ask for.
 *
 * Nobody is elected. Whoever has a hit of a day that was not prepared prepares it, all of it, before the hit; whoever
 * finds it done does nothing. Each step only raises maxima, so any number may do it at once, and one that is stopped in
 * the middle holds up nobody and loses nothing. Only when all is kept does `rolled` say so.
 */
#include "site.h"

#include "error.h"

#include <unistd.h>

static int guard_figure(struct site *site, struct layout_figure *figure, const struct period_frame *frame,
                        enum period_kind kind, bool previous)
{
    struct period_date date = previous ? frame->of[kind].previous_first : frame->of[kind].first;
    struct region *region = &site->region;
    struct site_month *month;

    if (kind == PERIOD_DAY) {
        int r = site_month(site, site_month_index(date), false, &month);
        if (r < 0)
            return r;
        if (month && site_month_index(date) != site_month_index(frame->date))
            atomic_store_explicit(&month->region.written, true, memory_order_relaxed);
        if (month)
            region = &month->region;
    }
    return region_guard(region, figure, sizeof *figure);
}

/* A figure that may be written, or NULL where the period has none. */
static int find_figure(struct site *site, const struct period_frame *frame, int kind, bool previous,
                       struct layout_figure **out)
{
    int r = figure_find(site, frame, (enum period_kind)kind, previous, out);
    return r < 0 || !*out ? r : guard_figure(site, *out, frame, (enum period_kind)kind, previous);
}

static void scan(const struct site *site, const struct period_frame *frame, struct recency_counts *counts)
{
    struct recency_bounds bounds;
    figure_bounds(&bounds, frame, frame->of[PERIOD_DAY].end - 1);
    recency_scan(&site->table, &bounds, counts);
}

/* ---- A new day ---------------------------------------------------------------------------------------------------- */

/* Where a crash lost the word that ended a period's exactness, the estimate takes over before the period closes. */
static int mend_figure(struct site *site, const struct period_frame *frame, enum period_kind kind,
                       struct layout_figure *figure, uint64_t exact)
{
    uint64_t estimate;
    if (atomic_load(&figure->pair) & FIGURE_ENDED)
        return 0;
    int r = figure_estimate_of(site, frame, kind, false, &estimate);
    if (r == 0)
        figure_grown(figure, exact, estimate, true);
    return r;
}

/* Any of them may be closed from now on. */
int site_keep_figures(struct site *site, const struct period_frame *frame)
{
    struct layout_figure *figure;
    struct recency_counts counts;
    int r;

    scan(site, frame, &counts);
    uint64_t forgotten = atomic_load(&site->file->state.forgotten_until);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if ((r = find_figure(site, frame, kind, false, &figure)) < 0)
            return r;
        if (figure && forgotten < site_time(frame->of[kind].start))
            figure_keep(figure, counts.current[kind]);
        else if (figure && (r = mend_figure(site, frame, (enum period_kind)kind, figure, counts.current[kind])) < 0)
            return r;
        if (kind == PERIOD_YEAR)
            break;
        if ((r = find_figure(site, frame, kind, true, &figure)) < 0)
            return r;
        if (figure && forgotten < site_time(frame->of[kind].previous))
            figure_keep(figure, counts.previous[kind]);
    }
    return 0;
}

int site_total(struct site *site, unsigned index, struct layout_total *out)
{
    struct layout_total *total = &site->file->total[index];
    struct site_month *month;
    uint64_t hits = 0, visits = 0;
    int r;

    if ((r = site_month(site, index, false, &month)) < 0)
        return r;
    if (month) {
        for (unsigned i = 0; i < LAYOUT_DAYS; i++) {
            const struct layout_day *day = &month->file->day[i];
            for (unsigned hour = 0; hour < 24; hour++)
                site_add(&hits, site_hour_hits(day, hour));
            site_add(&visits, atomic_load(&day->visits));
        }
    }
    bool grew = hits > atomic_load(&total->hits) || visits > atomic_load(&total->visits);
    if (grew && site->region.writable) {
        if ((r = region_guard(&site->region, total, sizeof *total)) < 0)
            return r;
        site_raise(&total->hits, hits);
        site_raise(&total->visits, visits);
    }
    uint64_t kept_hits = atomic_load(&total->hits), kept_visits = atomic_load(&total->visits);
    atomic_init(&out->hits, hits > kept_hits ? hits : kept_hits);
    atomic_init(&out->visits, visits > kept_visits ? visits : kept_visits);
    return 0;
}

/* The month of the newest hit, and once more the one before: its last hits may have come while it was left, and whoever
 * should have summed them was killed. */
static int sum_months(struct site *site, unsigned index)
{
    struct layout_total total;
    if (index > 0)
        site_total(site, index - 1, &total);
    return site_total(site, index, &total);
}

/* What was stored at a month's end is written back with the next one's. */
static void write_later(struct site *site, unsigned index)
{
    struct site_month *month;
    if (site_month(site, index, false, &month) == 0 && month)
        atomic_store_explicit(&month->region.written, true, memory_order_relaxed);
}

/* Visitors who were not seen for forget_days become unknown; what still counted them says goodbye to exactness. */
static int forget_due(struct site *site, const struct period_frame *frame)
{
    uint32_t before = site_time(frame->of[PERIOD_DAY].start - (int64_t)site->forget_days * 86400);
    uint32_t newest = recency_newest_before(&site->table, before);
    int r;

    if (newest == 0)
        return 0;
    if ((r = site_forget(site, newest)) < 0 ||
        (r = region_guard(&site->region, site->table.cell, recency_bytes(site->table.line_bits))) < 0)
        return r;
    recency_forget(&site->table, before);
    return 0;
}

/* Removes months that ended before the retention, after their totals were taken. */
static int drop_old_months(struct site *site, const struct period_frame *frame)
{
    int64_t oldest = frame->of[PERIOD_DAY].start - (int64_t)site->retention_days * 86400;
    int64_t since = site_moment(&site->file->state.since);
    char file[SITE_FILE_NAME];
    struct layout_total total;
    struct period_frame edge;
    int r;

    if (since == 0 || oldest <= since)
        return 0;
    period_frame(&edge, site->zone, site->week_start, since);
    unsigned first = site_month_index(edge.date);
    period_frame(&edge, site->zone, site->week_start, oldest);
    unsigned end = site_month_index(edge.date);
    for (unsigned index = first; index < end && index < LAYOUT_MONTHS; index++) {
        if ((r = site_total(site, index, &total)) < 0)
            return r;
        struct site_month *month = atomic_load(&site->month[index]);
        site_month_name(file, site->name, index);
        if (site->folder >= 0)
            unlinkat(site->folder, file, 0);
        else if (month)
            region_detach(&month->region);
    }
    return 0;
}

int site_roll(struct site *site, const struct period_frame *frame)
{
    struct layout_state *state = &site->file->state;
    int64_t clock = site_moment(&state->clock), start = frame->of[PERIOD_DAY].start;
    int r;

    if (clock == 0) {
        site_raise_time(&state->rolled, start);
        return 0;
    }
    const struct period_frame *last = site_frame(site, clock);
    unsigned month = site_month_index(last->date);
    bool new_month = month != site_month_index(frame->date);
    if ((r = site_keep_figures(site, last)) < 0 || (r = sum_months(site, month)) < 0)
        return r;
    if (new_month)
        write_later(site, month);
    site_raise_time(&state->rolled, start);
    /* Again: a writer that missed `rolled` was there before it; one that saw it looks after its hit by itself. */
    if ((r = site_keep_figures(site, last)) < 0 || (r = sum_months(site, month)) < 0 ||
        (r = forget_due(site, frame)) < 0)
        return r;
    return new_month ? drop_old_months(site, frame) : 0;
}

/* ---- A full table --------------------------------------------------------------------------------------------------- */

/* Is this period still whole, and would dropping an entry of that time end that? */
static bool crosses(uint64_t forgotten, uint32_t time, int64_t start)
{
    return forgotten < site_time(start) && site_time(start) <= time;
}

static bool crosses_any(const struct period_frame *now, uint64_t forgotten, uint32_t time)
{
    if (forgotten == 0)
        return true;
    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        if (crosses(forgotten, time, now->of[kind].start) ||
            (kind != PERIOD_YEAR && crosses(forgotten, time, now->of[kind].previous)))
            return true;
    return false;
}

static int end_all_time(struct site *site)
{
    struct recency_bounds bounds = {0};
    struct recency_counts counts;
    int r;

    if ((r = region_guard(&site->region, &site->file->all, sizeof site->file->all)) < 0)
        return r;
    uint64_t estimate = sketch_estimate(&site->file->all_sketch);
    recency_scan_current(&site->table, &bounds, &counts);
    figure_end(&site->file->all, counts.all, estimate);
    return 0;
}

/* Estimates first, the scan second: what comes in between is then in both, and the number shown cannot fall. */
static int end_periods(struct site *site, const struct period_frame *now, uint64_t forgotten, uint32_t time)
{
    uint64_t estimate[PERIOD_KINDS] = {0};
    struct layout_figure *open[PERIOD_KINDS] = {NULL}, *closed[PERIOD_KINDS] = {NULL};
    struct recency_counts counts;
    int r;

    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if (crosses(forgotten, time, now->of[kind].start)) {
            if ((r = find_figure(site, now, kind, false, &open[kind])) < 0 ||
                (r = figure_estimate_of(site, now, (enum period_kind)kind, false, &estimate[kind])) < 0)
                return r;
        }
        if (kind != PERIOD_YEAR && crosses(forgotten, time, now->of[kind].previous) &&
            (r = find_figure(site, now, kind, true, &closed[kind])) < 0)
            return r;
    }
    scan(site, now, &counts);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if (open[kind])
            figure_end(open[kind], counts.current[kind], estimate[kind]);
        if (closed[kind])
            figure_keep(closed[kind], counts.previous[kind]);
    }
    return 0;
}

int site_forget(struct site *site, uint32_t time)
{
    struct layout_state *state = &site->file->state;
    uint64_t forgotten = atomic_load(&state->forgotten_until);
    int r;

    if (time <= forgotten)
        return 0;
    const struct period_frame *now = site_frame(site, site_clock(site));
    if (forgotten == 0 && (r = end_all_time(site)) < 0)
        return r;
    if (!crosses_any(now, forgotten, time)) {
        site_raise(&state->forgotten_until, time);
        return 0;
    }
    if ((r = end_periods(site, now, forgotten, time)) < 0)
        return r;
    site_raise(&state->forgotten_until, time);
    /* A late hit that missed the mark was there before it, so this scan has it; one that saw it says so in `unsure`. */
    return end_periods(site, now, forgotten, time);
}
