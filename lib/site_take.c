/*
 * site_take.c: takes the parts of another store's site, as a maximum of both, into a site that others may count into.
 *
 * Everything here raises words, so copies may be repeated, cut short and run at once. Two things need thought:
 *   - A copy of a copy's source must show the source's numbers. So the pair that ended a period's exactness there is
 *     taken over before this site has reason to end it by itself: the marks of the source, though they come first, are
 *     held back until all figures are there, and take effect before the first visitor does.
 *   - The source's clock is a hit of its day: the day is prepared before it (site_roll.c), as before any hit.
 * Hits of an hour are a sum over stripes. What it lacks is added to the first one, by compare-and-swap from the word
 * that the sum was made with: a second copy at the same time sees the addition and adds nothing.
 */
#include "site_copy.h"

#include "error.h"
#include "site_keys.h"

#include <stdlib.h>
#include <string.h>

struct taker {
    struct copy_taker taker;
    struct store *store;
    site_take_open_fn *open;
    char name[65];
    struct site *site;
    struct copy_key key[2]; /* of the period before and the open one: taken when none of them is in conflict */
    unsigned keys;
    struct copy_state state;
    bool settled; /* the state took effect */
    struct site_arrivals arrivals;
};

static struct taker *taker_of(struct copy_taker *taker)
{
    return (struct taker *)taker;
}

/* Before each part: is the site still there, can its state be written? */
static int ready(const struct taker *taker)
{
    int r = site_copy_tend(taker->site);
    return r < 0 ? r : region_guard(&taker->site->region, &taker->site->file->state, sizeof(struct layout_state));
}

/* ---- Site, keys, state ---------------------------------------------------------------------------------------------- */

static int take_site(struct copy_taker *given_to, const struct copy_site *given)
{
    struct taker *taker = taker_of(given_to);
    int r = taker->open(taker->store, taker->name, given, &taker->site);
    return r < 0 ? r : ready(taker);
}

static int take_key(struct copy_taker *given_to, const struct copy_key *key)
{
    struct taker *taker = taker_of(given_to);
    int r = site_keys_take(taker->site, key, true);

    if (r == 0 && taker->keys < 2)
        taker->key[taker->keys++] = *key;
    return r;
}

static bool is_possible(int64_t t)
{
    return t == 0 || (t >= SITE_FIRST && t <= SITE_LAST);
}

/* The exact numbers of what may close are kept first, as before a new day: a figure taken must not lie below them. */
static int take_state(struct copy_taker *given_to, const struct copy_state *given)
{
    struct taker *taker = taker_of(given_to);
    struct site *site = taker->site;
    int64_t clock = site_moment(&site->file->state.clock);
    int r = ready(taker);

    if (!is_possible(given->clock) || !is_possible(given->since) || !is_possible(given->accepted) ||
        given->forgotten < 0 || given->forgotten > SITE_LAST)
        return error_set(COUNTER_EFORMAT, "the source of site %s gave a clock that cannot be", site->name);
    for (unsigned i = 0; r == 0 && i < taker->keys; i++)
        r = site_keys_take(site, &taker->key[i], false);
    if (r < 0)
        return r;
    taker->state = *given;
    if (clock == 0)
        return 0;
    struct period_frame frame = *site_frame(site, clock);
    return site_keep_figures(site, &frame);
}

static int advance(struct site *site, int64_t clock)
{
    struct layout_state *state = &site->file->state;
    struct period_frame frame;
    int r;

    if (clock <= site_moment(&state->clock))
        return 0;
    frame = *site_frame(site, clock);
    if (frame.of[PERIOD_DAY].start > site_moment(&state->rolled) && (r = site_roll(site, &frame)) < 0)
        return r;
    site_raise_time(&state->clock, clock);
    return 0;
}

static void lower(_Atomic int64_t *since, int64_t t)
{
    int64_t old = atomic_load(since);
    while (t != 0 && (old < SITE_FIRST || t < old) && !atomic_compare_exchange_weak(since, &old, t))
        ;
}

/* All figures are there: now the marks, and then visitors may come. */
static int settle(struct taker *taker)
{
    struct layout_state *state = &taker->site->file->state;
    const struct copy_state *given = &taker->state;
    const struct counter_count *old = &given->baseline;
    int r;

    if (taker->settled)
        return 0;
    if ((r = advance(taker->site, given->clock)) < 0 ||
        (given->forgotten != 0 && (r = site_forget(taker->site, site_time(given->forgotten))) < 0))
        return r;
    lower(&state->since, given->since);
    site_raise_time(&state->accepted, given->accepted);
    site_raise(&state->late, given->late);
    if ((old->visitors > 0 || old->visits > 0 || old->hits > 0) && atomic_load(&state->baseline) == 0 &&
        (r = site_set_baseline(taker->site, old)) < 0)
        return r;
    taker->settled = true;
    return 0;
}

/* ---- Figures -------------------------------------------------------------------------------------------------------- */

/* Where exactness ended there but more were known here, the estimate then moves along: the growth since is the same. */
static int take_figure(struct region *region, struct layout_figure *figure, const struct copy_period *given)
{
    uint64_t known = figure_exact(atomic_load(&figure->pair)), exact = given->visitors, estimate = given->estimate;
    int r = region_guard(region, figure, sizeof *figure);

    if (r < 0)
        return r;
    if (given->ended && known > exact) {
        site_add(&estimate, known - exact);
        exact = known;
    }
    if (given->ended)
        figure_end(figure, exact, estimate);
    else
        figure_keep(figure, exact);
    site_raise(&figure->shown, given->shown);
    site_raise(&figure->unsure, given->unsure);
    return 0;
}

static int take_sketch(struct region *region, struct sketch *sketch, const struct copy_period *given)
{
    if (!given->sketch)
        return 0;
    int r = region_guard(region, sketch, sizeof *sketch);
    if (r == 0)
        sketch_raise(sketch, given->sketch);
    return r;
}

/* Raises the sum over the stripes to at least `hits`. */
static void raise_hour(struct layout_day *day, unsigned hour, uint64_t hits)
{
    _Atomic uint64_t *first = &day->hour[0][hour];
    uint64_t old = atomic_load(first), sum;

    do {
        sum = old;
        for (unsigned stripe = 1; stripe < LAYOUT_STRIPES; stripe++)
            site_add(&sum, atomic_load(&day->hour[stripe][hour]));
    } while (sum < hits && !atomic_compare_exchange_weak(first, &old, old + (hits - sum)));
}

/* Days before the retention are in the totals of their months. */
static int take_day(struct taker *taker, const struct copy_period *given)
{
    struct site *site = taker->site;
    int64_t clock = site_moment(&site->file->state.clock);
    int64_t newest = clock > taker->state.clock ? clock : taker->state.clock;
    unsigned index = site_month_index(given->first);
    struct site_month *month;
    struct layout_total unused;
    int r;

    if (newest != 0 && index < site_copy_first_month(site, newest))
        return 0;
    if ((r = site_month(site, index, true, &month)) < 0)
        return r;
    struct layout_day *day = site_day(month, given->first);
    if ((r = region_guard(&month->region, day, offsetof(struct layout_day, countries))) < 0 ||
        (r = take_sketch(&month->region, site_day_sketch(month, given->first), given)) < 0 ||
        (r = take_figure(&month->region, &day->figure, given)) < 0)
        return r;
    for (unsigned hour = 0; hour < 24; hour++)
        raise_hour(day, hour, given->hour[hour]);
    site_raise(&day->visits, given->visits);
    for (unsigned verdict = 0; verdict < COUNTER_VERDICTS; verdict++)
        site_raise(&day->excluded[verdict], given->excluded[verdict]);
    atomic_store_explicit(&month->region.written, true, memory_order_relaxed);
    return site_total(site, index, &unused);
}

static int take_total(struct site *site, const struct copy_period *given)
{
    struct layout_total *total = &site->file->total[site_month_index(given->first)];
    int r = given->has_sums ? region_guard(&site->region, total, sizeof *total) : 0;

    if (r == 0 && given->has_sums) {
        site_raise(&total->hits, given->hits);
        site_raise(&total->visits, given->visits);
    }
    return r;
}

static int take_all_time(struct site *site, const struct copy_period *given)
{
    int r = take_sketch(&site->region, &site->file->all_sketch, given);
    return r < 0 ? r : take_figure(&site->region, &site->file->all, given);
}

static bool is_date(struct period_date date)
{
    if (date.year < LAYOUT_FIRST_YEAR || date.year >= LAYOUT_FIRST_YEAR + LAYOUT_YEARS || date.month < 1 ||
        date.month > 12 || date.day < 1 || date.day > 31)
        return false;
    struct period_date again = period_date_of(period_days(date));
    return again.month == date.month && again.day == date.day;
}

/* A week may begin in the year before the first. */
static bool has_date(const struct copy_period *given)
{
    struct period_date next = given->first;

    if (given->kind != PERIOD_WEEK || next.year != LAYOUT_FIRST_YEAR - 1)
        return is_date(next);
    return next.month == 12 && next.day > 24 && next.day <= 31;
}

static int take_period(struct copy_taker *given_to, const struct copy_period *given)
{
    struct taker *taker = taker_of(given_to);
    struct site *site = taker->site;
    struct period_span span = {.first = given->first};
    int r = ready(taker);

    if (r < 0)
        return r;
    if (given->kind == COPY_ALL_TIME)
        return take_all_time(site, given);
    if (given->kind < 0 || given->kind >= PERIOD_KINDS || !has_date(given))
        return error_set(COUNTER_EFORMAT, "the source of site %s gave a period that cannot be", site->name);
    if (given->kind == PERIOD_DAY)
        return take_day(taker, given);
    if (given->kind == PERIOD_MONTH && (r = take_total(site, given)) < 0)
        return r;
    if (given->kind == PERIOD_YEAR &&
        (r = take_sketch(&site->region, &site->year_sketch[given->first.year - LAYOUT_FIRST_YEAR], given)) < 0)
        return r;
    struct layout_figure *figure = site_figure(site, &span, (enum period_kind)given->kind, false);
    return figure ? take_figure(&site->region, figure, given) : 0;
}

/* ---- Visitors, end -------------------------------------------------------------------------------------------------- */

/* The last one is the newest; hits that came to the source during the walk may be newer than the clock it gave. */
static int take_visitors(struct copy_taker *given_to, const struct copy_visitor *visitor, size_t n)
{
    struct taker *taker = taker_of(given_to);
    int r = ready(taker);

    if (r < 0 || n == 0 || (r = settle(taker)) < 0)
        return r;
    int64_t newest = visitor[n - 1].seen;
    if (newest >= SITE_FIRST && newest <= SITE_LAST && (r = advance(taker->site, newest)) < 0)
        return r;
    return site_arrivals_take(taker->site, &taker->arrivals, visitor, n);
}

static int take_end(struct copy_taker *given_to, int result)
{
    struct taker *taker = taker_of(given_to);

    if (result == 0 && taker->site && (result = ready(taker)) == 0)
        result = settle(taker);
    site_arrivals_free(&taker->arrivals);
    explicit_bzero(taker, sizeof *taker);
    free(taker);
    return result;
}

int site_take(struct copy_taker **out, struct store *store, const char *name, site_take_open_fn *open)
{
    struct taker *taker = calloc(1, sizeof *taker);

    *out = NULL;
    if (!taker)
        return error_set(COUNTER_ENOMEM, "no memory to copy site %s", name);
    taker->taker = (struct copy_taker){.site = take_site,
                                       .key = take_key,
                                       .state = take_state,
                                       .period = take_period,
                                       .visitors = take_visitors,
                                       .end = take_end};
    taker->store = store;
    taker->open = open;
    memcpy(taker->name, name, strnlen(name, sizeof taker->name - 1));
    *out = &taker->taker;
    return 0;
}
