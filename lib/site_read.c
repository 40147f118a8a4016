/*
 * site_read.c: the windows as they stand at a moment.
 *
 * Visitors come from one scan of the table, hits and visits from sums of days. The scan goes first and forgotten_until
 * is read last: if it is still older than a window's start, nothing that the window needs was dropped while the scan
 * ran, and its number is exact. Scans are not per page view: whoever is first in a second keeps the figures of the open
 * windows for everybody, and new visitors add themselves (site_record.c).
 */
#include "site.h"

#include "window.h"

#include <string.h>

#define WANT_PREVIOUS                                                                                                  \
    (1u << COUNTER_YESTERDAY | 1u << COUNTER_LAST_WEEK | 1u << COUNTER_LAST_MONTH | 1u << COUNTER_LAST_YEAR)

/* One answer under way. */
struct reading {
    struct site *site;
    const struct period_frame *frame; /* of the moment asked for */
    int64_t clock;                    /* newest hit, its month is summed live */
    struct recency_counts counts;
    uint64_t forgotten; /* read after the counts */
};

/* ---- Counts of the table ------------------------------------------------------------------------------------------ */

static bool use_kept(const uint64_t kept[KEPT], uint32_t second, struct recency_counts *counts)
{
    for (int i = 0; i < KEPT; i++)
        if (kept[i] >> 32 != second || second == 0)
            return false;
    memset(counts, 0, sizeof *counts);
    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        counts->current[kind] = (uint32_t)kept[KEPT_DAY + kind];
    counts->all = (uint32_t)kept[KEPT_ALL];
    counts->online = (uint32_t)kept[KEPT_ONLINE];
    return true;
}

static void keep(struct layout_state *state, uint64_t before[KEPT], uint32_t second,
                 const struct recency_counts *counts)
{
    uint32_t figure[KEPT] = {counts->current[PERIOD_DAY],
                             counts->current[PERIOD_WEEK],
                             counts->current[PERIOD_MONTH],
                             counts->current[PERIOD_YEAR],
                             counts->all,
                             counts->online};
    for (int i = 0; i < KEPT; i++) /* fails where a new visitor came meanwhile: then the next reader scans */
        atomic_compare_exchange_strong(&state->kept[i], &before[i], (uint64_t)second << 32 | figure[i]);
}

/* Nobody was seen after the day or far ahead of the moment: the simple scan will do. */
static bool nothing_later(const struct site *site, const struct period_frame *frame, int64_t at)
{
    int64_t clock = site_clock(site);
    return clock < frame->of[PERIOD_DAY].end && clock <= at + SITE_FUTURE;
}

static void count(struct reading *reading, int64_t at, bool previous)
{
    struct site *site = reading->site;
    struct layout_state *state = &site->file->state;
    struct recency_bounds bounds;
    uint64_t kept[KEPT];

    for (int i = 0; i < KEPT; i++)
        kept[i] = atomic_load(&state->kept[i]);
    if (previous || !use_kept(kept, site_time(at), &reading->counts)) {
        figure_bounds(&bounds, reading->frame, at);
        bool simple = !previous && nothing_later(site, reading->frame, at);
        if (simple)
            recency_scan_current(&site->table, &bounds, &reading->counts);
        if (!simple || !nothing_later(site, reading->frame, at))
            recency_scan(&site->table, &bounds, &reading->counts);
        if (site->region.writable && region_guard(&site->region, state, sizeof *state) == 0)
            keep(state, kept, site_time(at), &reading->counts);
    }
    reading->forgotten = atomic_load(&state->forgotten_until);
}

/* ---- Visitors ------------------------------------------------------------------------------------------------------- */

/* Exact but for those who may have been counted or not: where there are such, what was shown is the least. */
static void exact(struct counter_count *out, uint64_t visitors, const struct layout_figure *figure)
{
    uint64_t unsure = figure ? atomic_load(&figure->unsure) : 0;
    uint64_t shown = unsure > 0 ? atomic_load(&figure->shown) : 0;
    if (visitors < shown)
        visitors = shown;
    out->visitors = site_saturated(visitors);
    out->error = window_error(visitors, unsure);
}

static void grown(struct counter_count *out, struct layout_figure *figure, uint64_t counted, uint64_t estimate,
                  bool writable)
{
    out->visitors = site_saturated(figure_grown(figure, counted, estimate, writable));
    out->error = out->visitors > 0 ? SKETCH_ERROR : 0;
}

static int window_visitors(const struct reading *reading, enum period_kind kind, bool previous,
                           struct counter_count *out)
{
    const struct period_span *span = &reading->frame->of[kind];
    uint32_t start = site_time(previous ? span->previous : span->start);
    uint64_t counted = previous ? reading->counts.previous[kind] : reading->counts.current[kind];
    bool whole = reading->forgotten < start;
    struct layout_figure *figure;
    uint64_t estimate;

    int r = figure_find(reading->site, reading->frame, kind, previous, &figure);
    if (r < 0)
        return r;
    if (!figure) {
        exact(out, counted, NULL);
        return 0;
    }
    /* Of a closed period that lost an entry only what was kept holds: a late hit may put somebody back a second time.
     * So it is with last year once somebody came in this one, as years have no bit in the table. */
    bool counts = whole && (kind != PERIOD_YEAR || !previous || site_clock(reading->site) < span->start);
    uint64_t pair = atomic_load(&figure->pair), known = figure_exact(pair);
    if (counts && counted > known)
        known = counted;
    if (!(pair & FIGURE_ENDED) && (whole || (previous && known > 0))) {
        exact(out, known, figure);
        return 0;
    }
    if ((r = figure_estimate_of(reading->site, reading->frame, kind, previous, &estimate)) < 0)
        return r;
    bool writable = reading->site->region.writable && kind != PERIOD_DAY &&
                    region_guard(&reading->site->region, figure, sizeof *figure) == 0;
    grown(out, figure, counted, estimate, writable);
    return 0;
}

static void all_visitors(const struct reading *reading, struct counter_count *out)
{
    struct layout_figure *figure = &reading->site->file->all;
    if (reading->forgotten == 0 && !(atomic_load(&figure->pair) & FIGURE_ENDED))
        exact(out, reading->counts.all, figure);
    else
        grown(out, figure, reading->counts.all, sketch_estimate(&reading->site->file->all_sketch),
              reading->site->region.writable && region_guard(&reading->site->region, figure, sizeof *figure) == 0);
}

/* ---- Hits and visits ------------------------------------------------------------------------------------------------ */

static int add_day(struct site *site, struct period_date date, uint64_t *hits, uint64_t *visits)
{
    struct site_month *month;
    int r = site_month(site, site_month_index(date), false, &month);
    if (r < 0 || !month)
        return r;
    const struct layout_day *day = site_day(month, date);
    for (unsigned hour = 0; hour < 24; hour++)
        site_add(hits, site_hour_hits(day, hour));
    site_add(visits, atomic_load_explicit(&day->visits, memory_order_relaxed));
    return 0;
}

static int add_days(struct site *site, struct period_date first, int64_t end, uint64_t *hits, uint64_t *visits)
{
    for (int64_t day = period_days(first); day < end; day++) {
        int r = add_day(site, period_date_of(day), hits, visits);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Totals of months from `first` to before `end`. The clock's own month and one asked for alone are summed afresh. */
static int add_months(const struct reading *reading, int64_t first, int64_t end, uint64_t *hits, uint64_t *visits)
{
    struct layout_site *file = reading->site->file;
    struct layout_total live;
    int64_t current = (int64_t)site_month_index(site_frame(reading->site, reading->clock)->date);

    for (int64_t i = first < 0 ? 0 : first; i < end && i < LAYOUT_MONTHS && i <= current; i++) {
        struct layout_total *total = &file->total[i];
        if (i == current || end - first == 1) {
            int r = site_total(reading->site, (unsigned)i, &live);
            if (r < 0)
                return r;
            total = &live;
        }
        site_add(hits, atomic_load_explicit(&total->hits, memory_order_relaxed));
        site_add(visits, atomic_load_explicit(&total->visits, memory_order_relaxed));
    }
    return 0;
}

static int window_sums(const struct reading *reading, enum period_kind kind, bool previous, struct counter_count *out)
{
    struct period_date first = previous ? reading->frame->of[kind].previous_first : reading->frame->of[kind].first;
    struct period_date next = reading->frame->of[kind].first;
    uint64_t hits = 0, visits = 0;
    int r;

    if (kind == PERIOD_DAY) {
        r = add_day(reading->site, first, &hits, &visits);
    } else if (kind == PERIOD_WEEK) {
        int64_t end = previous ? period_days(next) : period_days(first) + 7;
        r = add_days(reading->site, first, end, &hits, &visits);
    } else {
        int64_t month = (int64_t)(first.year - LAYOUT_FIRST_YEAR) * 12 + first.month - 1;
        r = add_months(reading, month, month + (kind == PERIOD_MONTH ? 1 : 12), &hits, &visits);
    }
    out->hits = site_saturated(hits);
    out->visits = site_saturated(visits);
    return r;
}

static int all_sums(const struct reading *reading, struct counter_count *out)
{
    int64_t since = site_moment(&reading->site->file->state.since);
    uint64_t hits = 0, visits = 0;
    int r = 0;

    if (since != 0) {
        int64_t first = (int64_t)site_month_index(site_frame(reading->site, since)->date);
        r = add_months(reading, first - 1, LAYOUT_MONTHS, &hits, &visits);
    }
    out->hits = site_saturated(hits);
    out->visits = site_saturated(visits);
    return r;
}

/* ---- All together --------------------------------------------------------------------------------------------------- */

static void add_baseline(const struct reading *reading, struct counter_count *all)
{
    struct counter_count old;
    site_baseline(reading->site, &old);
    int64_t own = all->visitors;
    if (__builtin_add_overflow(all->visitors, old.visitors, &all->visitors))
        all->visitors = INT64_MAX;
    if (__builtin_add_overflow(all->visits, old.visits, &all->visits))
        all->visits = INT64_MAX;
    if (__builtin_add_overflow(all->hits, old.hits, &all->hits))
        all->hits = INT64_MAX;
    if (all->visitors > 0)
        all->error *= (double)own / (double)all->visitors;
}

static struct layout_figure *window_figure(const struct reading *reading, int window)
{
    struct layout_figure *figure = &reading->site->file->all;
    if (window != COUNTER_ALL_TIME &&
        figure_find(reading->site, reading->frame, window_is[window].kind, window_is[window].previous, &figure) < 0)
        return NULL;
    return figure;
}

/* A longer window never shows less than one inside it: what is not exact is lifted to what those show, or have shown. */
static void lift(const struct reading *reading, struct counter_stats *stats, uint32_t want, int window)
{
    struct counter_count *longer = &stats->window[window];
    int64_t start = window_start(reading->frame, window), end = window_end(reading->frame, window);

    if (longer->error == 0)
        return;
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        if (i == window || window_start(reading->frame, i) < start || window_end(reading->frame, i) > end)
            continue;
        const struct layout_figure *figure = want & 1u << i ? NULL : window_figure(reading, i);
        int64_t shorter = want & 1u << i ? stats->window[i].visitors
                          : figure       ? site_saturated(atomic_load(&figure->shown))
                                         : 0;
        if (shorter <= longer->visitors)
            continue;
        if (longer->error != SKETCH_ERROR) /* so many may be wrong, of more than was thought */
            longer->error *= (double)longer->visitors / (double)shorter;
        longer->visitors = shorter;
    }
}

/* What was shown stays the least that is shown, whoever asks and for whichever windows. */
static void remember(const struct reading *reading, int window, int64_t visitors)
{
    struct layout_figure *figure = window_figure(reading, window);
    struct site_month *month = NULL;
    struct region *region = &reading->site->region;

    if (!figure || !region->writable || atomic_load(&figure->shown) >= (uint64_t)visitors)
        return;
    if (window_is[window].kind == PERIOD_DAY && window != COUNTER_ALL_TIME) {
        struct period_date date =
            window_is[window].previous ? reading->frame->of[PERIOD_DAY].previous_first : reading->frame->date;
        if (site_month(reading->site, site_month_index(date), false, &month) < 0 || !month)
            return;
        region = &month->region;
    }
    if (region_guard(region, figure, sizeof *figure) == 0)
        site_raise(&figure->shown, (uint64_t)visitors);
}

static int fill_window(const struct reading *reading, int window, struct counter_count *out)
{
    int r;
    if (window == COUNTER_ALL_TIME) {
        all_visitors(reading, out);
        return all_sums(reading, out);
    }
    if ((r = window_visitors(reading, window_is[window].kind, window_is[window].previous, out)) < 0)
        return r;
    return window_sums(reading, window_is[window].kind, window_is[window].previous, out);
}

/* From the shortest to the longest, so that a window is lifted to lifted ones. */
static const unsigned char by_length[COUNTER_WINDOWS] = {COUNTER_TODAY,     COUNTER_YESTERDAY,  COUNTER_THIS_WEEK,
                                                         COUNTER_LAST_WEEK, COUNTER_THIS_MONTH, COUNTER_LAST_MONTH,
                                                         COUNTER_THIS_YEAR, COUNTER_LAST_YEAR,  COUNTER_ALL_TIME};

static int64_t possible(int64_t at)
{
    return at < SITE_FIRST ? SITE_FIRST : at > SITE_LAST ? SITE_LAST : at;
}

int site_read_ready(struct site *site, int64_t at, uint32_t want)
{
    int64_t clock = site_moment(&site->file->state.clock);
    struct reading reading = {.site = site, .clock = possible(at > clock ? at : clock)};
    struct counter_count unused;
    int r = 0;

    reading.frame = site_frame(site, reading.clock);
    for (int i = 0; r == 0 && i < COUNTER_WINDOWS; i++)
        if ((window_wanted(want) & 1u << i) && i != COUNTER_ALL_TIME)
            r = window_sums(&reading, window_is[i].kind, window_is[i].previous, &unused);
    return r;
}

static int read_windows(struct site *site, int64_t at, struct counter_stats *stats)
{
    uint32_t want = window_wanted(stats->want);
    struct reading reading = {.site = site};
    int r;

    at = possible(at);
    reading.frame = site_frame(site, at);
    reading.clock = site_moment(&site->file->state.clock);
    count(&reading, at, want & WANT_PREVIOUS);
    memset(stats->window, 0, sizeof stats->window);
    for (int i = 0; i < COUNTER_WINDOWS; i++)
        if ((want & 1u << i) && (r = fill_window(&reading, i, &stats->window[i])) < 0)
            return r;
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        int window = by_length[i];
        if (!(want & 1u << window))
            continue;
        lift(&reading, stats, want, window);
        remember(&reading, window, stats->window[window].visitors);
    }
    if (want & 1u << COUNTER_ALL_TIME)
        add_baseline(&reading, &stats->window[COUNTER_ALL_TIME]);
    stats->at = at;
    stats->online = reading.counts.online;
    stats->summed = 0;
    for (int i = 0; i < COUNTER_WINDOWS; i++)
        if ((want & 1u << i) && window_is_sum(reading.frame, i, site->zone, site->week_start, site->key_rotation))
            stats->summed |= 1u << i;
    stats->online_floor = reading.forgotten >= site_time(at - SITE_ONLINE + 1);
    stats->late = site_saturated(atomic_load(&site->file->state.late));
    return 0;
}

int site_read(struct site *site, int64_t at, struct counter_stats *stats)
{
    int r = site_tend(site, site_now());
    return r != 0 ? r : read_windows(site, at, stats);
}

int site_read_day(struct site *site, const struct period_frame *frame, struct counter_count *out)
{
    struct reading reading = {.site = site, .frame = frame, .clock = site_moment(&site->file->state.clock)};
    int64_t clock_day = site_frame(site, reading.clock)->of[PERIOD_DAY].start;
    struct layout_figure *figure;
    int r;

    *out = (struct counter_count){0};
    if ((r = window_sums(&reading, PERIOD_DAY, false, out)) < 0 ||
        (r = figure_find(site, frame, PERIOD_DAY, false, &figure)) < 0 || !figure)
        return r;
    if (frame->of[PERIOD_DAY].start > clock_day) /* nobody came yet */
        return 0;
    if (site_frame(site, reading.clock)->of[PERIOD_DAY].previous <= frame->of[PERIOD_DAY].start) {
        struct counter_stats stats = {.want = 1u << COUNTER_TODAY | 1u << COUNTER_YESTERDAY};
        if ((r = read_windows(site, reading.clock, &stats)) < 0)
            return r;
        bool yesterday = frame->of[PERIOD_DAY].start < clock_day;
        *out = stats.window[yesterday ? COUNTER_YESTERDAY : COUNTER_TODAY];
        return 0;
    }
    uint64_t pair = atomic_load(&figure->pair), estimate;
    if (!(pair & FIGURE_ENDED)) {
        exact(out, figure_exact(pair), figure);
        return 0;
    }
    if ((r = figure_estimate_of(site, frame, PERIOD_DAY, false, &estimate)) < 0)
        return r;
    grown(out, figure, 0, estimate, false);
    return 0;
}
