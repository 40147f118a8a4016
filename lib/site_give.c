/*
 * site_give.c: walks over a site that others may be counting into, and gives its parts in copy.h's order.
 *
 * Nobody is stopped for it, so what is read when matters:
 *   - the table is counted, then copied to memory, and forgotten_until is read last: whoever was dropped until then is
 *     not newer than the mark that is given, and no figure is larger than what the visitors given add up to;
 *   - totals of months are given before their days: they are never ahead of them.
 * The copy of the table takes 24 bytes a visitor, 3 MB for a full table of the smallest size.
 */
#include "site_copy.h"

#include "error.h"
#include "site_keys.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct site *site;
    struct copy_taker *taker;
    int64_t clock;
    struct period_frame frame; /* of the clock, or of now where nothing was counted */
    struct recency_counts counts;
    uint64_t forgotten; /* read after the counts and the visitors */
    struct copy_visitor *visitor;
    size_t visitors, room;
};

int site_copy_tend(struct site *site)
{
    int r = site_tend(site, site_now());

    if (r == SITE_GONE)
        site_detach(site);
    if (r >= 0 && atomic_load(&site->gone))
        return error_set(COUNTER_ENOSITE, "site %s was removed while it was copied", site->name);
    return r;
}

unsigned site_copy_first_month(const struct site *site, int64_t clock)
{
    struct period_frame edge;
    int64_t oldest = site_frame(site, clock)->of[PERIOD_DAY].start - (int64_t)site->retention_days * 86400;

    period_frame(&edge, site->zone, site->week_start, oldest < SITE_FIRST ? SITE_FIRST : oldest);
    return site_month_index(edge.date);
}

static int give_site(struct walk *walk, const struct identity_key *key)
{
    const struct layout_header *header = &walk->site->file->header;
    struct copy_site out = {.week_start = walk->site->week_start,
                            .exact_visitors = header->exact_visitors,
                            .forget_days = walk->site->forget_days,
                            .retention_days = walk->site->retention_days,
                            .key_rotation = walk->site->key_rotation,
                            .has_key = key != NULL};

    memcpy(out.timezone, header->timezone, sizeof out.timezone);
    out.timezone[sizeof out.timezone - 1] = 0;
    if (key)
        out.key = *key;
    int r = walk->taker->site(walk->taker, &out);
    explicit_bzero(&out, sizeof out);
    return r;
}

/* ---- The table ------------------------------------------------------------------------------------------------------ */

static int add_visitor(struct walk *walk, size_t index, uint64_t cell)
{
    if (walk->visitors == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 1024;
        struct copy_visitor *more = realloc(walk->visitor, room * sizeof *more);
        if (!more)
            return error_set(COUNTER_ENOMEM, "no memory for the visitors of site %s", walk->site->name);
        walk->visitor = more;
        walk->room = room;
    }
    walk->visitor[walk->visitors++] =
        (struct copy_visitor){.key = recency_is_named(cell) ? recency_key(&walk->site->table, index, cell) : 0,
                              .seen = site_utc(recency_time(cell)),
                              .bits = recency_bits(cell)};
    return 0;
}

/* Nameless entries that are not newer than the mark count nowhere any more. */
static int copy_table(struct walk *walk)
{
    const struct recency *table = &walk->site->table;
    size_t cells = (size_t)RECENCY_LINE << table->line_bits;
    uint64_t forgotten = atomic_load(&walk->site->file->state.forgotten_until);
    int r;

    for (size_t i = 0; i < cells; i++) {
        uint64_t cell = atomic_load_explicit(&table->cell[i], memory_order_acquire);
        bool needed = recency_time(cell) != 0 && (recency_is_named(cell) || recency_time(cell) > forgotten);
        if (needed && (r = add_visitor(walk, i, cell)) < 0)
            return r;
    }
    return 0;
}

/* Oldest first; of equal ones the nameless last. */
static int by_time(const void *a, const void *b)
{
    const struct copy_visitor *x = a, *y = b;
    if (x->seen != y->seen)
        return x->seen < y->seen ? -1 : 1;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    return (x->key == 0) - (y->key == 0);
}

static int look(struct walk *walk)
{
    struct site *site = walk->site;
    struct recency_bounds bounds;
    int r;

    walk->clock = site_clock(site);
    walk->frame = *site_frame(site, walk->clock ? walk->clock : (int64_t)(site_now() / 1000));
    figure_bounds(&bounds, &walk->frame, walk->frame.of[PERIOD_DAY].end - 1);
    recency_scan(&site->table, &bounds, &walk->counts);
    if ((r = copy_table(walk)) < 0)
        return r;
    walk->forgotten = atomic_load(&site->file->state.forgotten_until);
    if (walk->visitors > 0)
        qsort(walk->visitor, walk->visitors, sizeof *walk->visitor, by_time);
    return 0;
}

static int give_visitors(struct walk *walk)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < walk->visitors; at += COPY_BATCH) {
        size_t left = walk->visitors - at;
        r = walk->taker->visitors(walk->taker, walk->visitor + at, left < COPY_BATCH ? left : COPY_BATCH);
    }
    return r;
}

static int give_state(struct walk *walk)
{
    const struct layout_state *state = &walk->site->file->state;
    struct copy_state out = {.clock = site_moment(&state->clock),
                             .since = site_moment(&state->since),
                             .accepted = site_moment(&state->accepted),
                             .forgotten = walk->forgotten ? site_utc(walk->forgotten) : 0,
                             .late = atomic_load(&state->late)};

    site_baseline(walk->site, &out.baseline);
    return walk->taker->state(walk->taker, &out);
}

/* ---- Figures -------------------------------------------------------------------------------------------------------- */

static void fill_figure(const struct layout_figure *figure, struct copy_period *out)
{
    uint64_t pair = atomic_load(&figure->pair);

    out->ended = (pair & FIGURE_ENDED) != 0;
    out->visitors = figure_exact(pair);
    out->estimate = out->ended ? figure_estimate(pair) : 0;
    out->shown = atomic_load(&figure->shown);
    out->unsure = atomic_load(&figure->unsure);
}

/* The open period's number, or the previous one's, is what the table tells while all of it is there. Where it is not
 * and nothing says so, a crash lost the word: it is ended as figure_grown would. */
static int count_figure(struct walk *walk, enum period_kind kind, bool previous, struct copy_period *out)
{
    const struct period_span *span = &walk->frame.of[kind];
    uint64_t counted = previous ? walk->counts.previous[kind] : walk->counts.current[kind];
    bool whole = walk->forgotten < site_time(previous ? span->previous : span->start);
    int r;

    if (out->ended || (previous && (!whole || kind == PERIOD_YEAR)))
        return 0;
    if (counted > out->visitors)
        out->visitors = counted;
    if (whole)
        return 0;
    if ((r = figure_estimate_of(walk->site, &walk->frame, kind, false, &out->estimate)) < 0)
        return r;
    if (out->estimate > out->visitors)
        out->visitors = out->estimate;
    out->ended = true;
    return 0;
}

static bool same_date(struct period_date a, struct period_date b)
{
    return a.year == b.year && a.month == b.month && a.day == b.day;
}

/* The figure of a period of that first date; the numbers of most are as they were kept. */
static int read_figure(struct walk *walk, const struct layout_figure *figure, struct copy_period *out)
{
    enum period_kind kind = (enum period_kind)out->kind;
    const struct period_span *span = &walk->frame.of[kind];

    fill_figure(figure, out);
    if (same_date(out->first, span->first))
        return count_figure(walk, kind, false, out);
    return same_date(out->first, span->previous_first) ? count_figure(walk, kind, true, out) : 0;
}

static bool is_empty(const struct copy_period *out)
{
    uint64_t excluded = 0;
    for (int verdict = 0; verdict < COUNTER_VERDICTS; verdict++)
        excluded |= out->excluded[verdict];
    return !(out->visitors | out->estimate | out->shown | out->unsure | out->hits | out->visits | excluded) &&
           !out->ended && (!out->sketch || sketch_estimate(out->sketch) == 0);
}

static int give_period(struct walk *walk, const struct copy_period *out)
{
    return is_empty(out) ? 0 : walk->taker->period(walk->taker, out);
}

/* ---- Days and months ------------------------------------------------------------------------------------------------ */

static void fill_sums(const struct layout_day *day, struct copy_period *out)
{
    for (unsigned hour = 0; hour < 24; hour++) {
        out->hour[hour] = site_hour_hits(day, hour);
        site_add(&out->hits, out->hour[hour]);
    }
    out->visits = atomic_load(&day->visits);
    for (unsigned verdict = 0; verdict < COUNTER_VERDICTS; verdict++)
        out->excluded[verdict] = atomic_load(&day->excluded[verdict]);
}

static struct period_date first_of_month(unsigned index)
{
    return (struct period_date){(int16_t)(LAYOUT_FIRST_YEAR + index / 12), (int8_t)(index % 12 + 1), 1};
}

/* What the month is shown with: its total, or the sum of its days where that is ahead. Reads only. */
static int fill_total(struct walk *walk, unsigned index, bool has_days, struct copy_period *out)
{
    const struct layout_total *total = &walk->site->file->total[index];
    struct site_month *month = NULL;
    uint64_t hits = 0, visits = 0;
    int r;

    if (has_days && (r = site_month(walk->site, index, false, &month)) < 0)
        return r;
    for (unsigned i = 0; month && i < LAYOUT_DAYS; i++) {
        struct copy_period day = {.kind = PERIOD_DAY};
        fill_sums(&month->file->day[i], &day);
        site_add(&hits, day.hits);
        site_add(&visits, day.visits);
    }
    out->hits = atomic_load(&total->hits);
    out->visits = atomic_load(&total->visits);
    out->hits = hits > out->hits ? hits : out->hits;
    out->visits = visits > out->visits ? visits : out->visits;
    out->has_sums = out->hits || out->visits;
    return 0;
}

/* Figures of older months are shown nowhere. */
static int give_months(struct walk *walk, unsigned first, unsigned last)
{
    const struct period_span *span = &walk->frame.of[PERIOD_MONTH];
    int r = 0;

    for (unsigned i = 0; r == 0 && i < LAYOUT_MONTHS; i++) {
        struct copy_period out = {.kind = PERIOD_MONTH, .first = first_of_month(i)};
        if ((r = fill_total(walk, i, i >= first && i <= last, &out)) < 0)
            return r;
        bool shown = same_date(out.first, span->first) || same_date(out.first, span->previous_first);
        if (shown && (r = read_figure(walk, &walk->site->file->month[i], &out)) < 0)
            return r;
        r = give_period(walk, &out);
    }
    return r;
}

static int give_day(struct walk *walk, struct site_month *month, struct period_date date)
{
    struct copy_period out = {.kind = PERIOD_DAY, .first = date, .sketch = site_day_sketch(month, date)};
    int r;

    fill_sums(site_day(month, date), &out);
    if ((r = read_figure(walk, &site_day(month, date)->figure, &out)) < 0 || (r = site_copy_tend(walk->site)) < 0)
        return r;
    return give_period(walk, &out);
}

static int give_days(struct walk *walk, unsigned first, unsigned last)
{
    struct site_month *month;
    int r;

    for (unsigned i = first; i <= last && i < LAYOUT_MONTHS; i++) {
        if ((r = site_month(walk->site, i, false, &month)) < 0)
            return r;
        int64_t begin = period_days(first_of_month(i)), end = period_days(first_of_month(i + 1));
        for (int64_t day = begin; month && day < end; day++)
            if ((r = give_day(walk, month, period_date_of(day))) < 0)
                return r;
    }
    return 0;
}

/* ---- Weeks, years, all time ----------------------------------------------------------------------------------------- */

static int give_week(struct walk *walk, bool previous)
{
    const struct period_span *span = &walk->frame.of[PERIOD_WEEK];
    const struct layout_figure *figure = site_figure(walk->site, span, PERIOD_WEEK, previous);
    struct copy_period out = {.kind = PERIOD_WEEK, .first = previous ? span->previous_first : span->first};
    int r = 0;

    if (figure)
        r = read_figure(walk, figure, &out);
    return r < 0 || !figure ? r : give_period(walk, &out);
}

/* A year that was never fed may be a hole, which not every file system lets read. */
static int give_years(struct walk *walk)
{
    struct site *site = walk->site;
    int64_t since = site_moment(&site->file->state.since);
    int first = since ? site_frame(site, since)->date.year - LAYOUT_FIRST_YEAR : 0;
    int last = walk->frame.date.year - LAYOUT_FIRST_YEAR, r = 0;

    for (int i = first < 0 ? 0 : first; since && r == 0 && i <= last && i < LAYOUT_YEARS; i++) {
        struct sketch *sketch = &site->year_sketch[i];
        struct copy_period out = {.kind = PERIOD_YEAR,
                                  .first = {(int16_t)(LAYOUT_FIRST_YEAR + i), 1, 1},
                                  .sketch = region_loads(&site->region, sketch, sizeof *sketch) ? sketch : NULL};
        if ((r = read_figure(walk, &site->file->year[i], &out)) == 0)
            r = give_period(walk, &out);
    }
    return r;
}

static int give_all_time(struct walk *walk)
{
    struct layout_site *file = walk->site->file;
    struct copy_period out = {.kind = COPY_ALL_TIME, .sketch = &file->all_sketch};

    fill_figure(&file->all, &out);
    if (!out.ended && walk->counts.all > out.visitors)
        out.visitors = walk->counts.all;
    if (!out.ended && walk->forgotten != 0) {
        out.estimate = sketch_estimate(out.sketch);
        out.visitors = out.estimate > out.visitors ? out.estimate : out.visitors;
        out.ended = true;
    }
    return give_period(walk, &out);
}

/* ---- All together --------------------------------------------------------------------------------------------------- */

/* Through this month: requests that are only totalled do not move the clock. */
static int give_periods(struct walk *walk)
{
    int64_t now = (int64_t)(site_now() / 1000), moment = walk->clock ? walk->clock : now;
    unsigned first = site_copy_first_month(walk->site, moment);
    unsigned last = site_month_index(site_frame(walk->site, now > moment ? now : moment)->date);
    int r;

    if ((r = give_months(walk, first, last)) < 0 || (r = give_days(walk, first, last)) < 0 ||
        (r = give_week(walk, true)) < 0 || (r = give_week(walk, false)) < 0 || (r = give_years(walk)) < 0)
        return r;
    return give_all_time(walk);
}

int site_give(struct site *site, const struct identity_key *key, struct copy_taker *taker)
{
    struct walk walk = {.site = site, .taker = taker};
    int r;

    if ((r = site_copy_tend(site)) == 0 && (r = give_site(&walk, key)) == 0 && (r = site_keys_give(site, taker)) == 0 &&
        (r = look(&walk)) == 0 && (r = give_state(&walk)) == 0 && (r = give_periods(&walk)) == 0)
        r = give_visitors(&walk);
    free(walk.visitor);
    return r;
}
