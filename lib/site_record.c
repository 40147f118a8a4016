/*
 * site_record.c: counts one hit.
 *
 * The order is the algorithm. A process may be killed, or stopped for an hour, between any two steps:
 *   1. fix the time, refuse the impossible; the first hit of a day prepares it (site_roll.c)
 *   2. read the visitor's 16 candidates and decide what the hit means
 *   3. make sure that nothing below can fail
 *   4. if another visitor must be dropped: end what needs that one, then raise forgotten_until
 *   5. feed the sketches of the periods that the hit is new to
 *   6. swap the cell; where somebody else changed it, back to 2
 *   7. add the visit and the hit to the day
 * A hit is acknowledged after 7. Until then it may be counted as a visitor without a hit, never the other way round.
 */
#include "site.h"

#include "window.h"

#include <sched.h>

/* What one hit changes, decided from one reading of its visitor's cell. Sets are of 1 << enum period_kind. */
struct touch {
    uint32_t time; /* the cell's new contents */
    unsigned bits;
    unsigned fresh;           /* periods of the hit in which the visitor was not known */
    unsigned unsure;          /* of those, and ALL_TIME, the ones in which it may have been all the same */
    bool write;               /* the cell changes */
    bool stranger;            /* the table does not know the visitor */
    bool rejoins;             /* but it does under the key before the last rotation */
    bool late, visit, online; /* older than last seen; opens a visit; was not online before */
    int64_t seen;             /* of one that is not late: last seen before it, 0: never */
};

enum { ALL_KINDS = (1 << PERIOD_KINDS) - 1, ALL_TIME = 1 << PERIOD_KINDS };

static unsigned bit_of(int kind)
{
    static const unsigned bit[PERIOD_KINDS] = {RECENCY_DAY, RECENCY_WEEK, RECENCY_MONTH, 0};
    return bit[kind];
}

/* ---- 1. Time ---------------------------------------------------------------------------------------------------- */

static int admit(const struct site *site, int64_t t, int64_t now)
{
    const struct layout_state *state = &site->file->state;
    int64_t clock = site_moment(&state->clock);

    if (t < SITE_FIRST || t > SITE_LAST)
        return window_refuse_hit(site->zone, site->name, t, WINDOW_IMPOSSIBLE);
    if (t > now + SITE_FUTURE)
        return window_refuse_hit(site->zone, site->name, t, WINDOW_FUTURE);
    if (clock == 0)
        return 0;
    if (t < clock - (int64_t)site->retention_days * 86400)
        return window_refuse_hit(site->zone, site->name, t, WINDOW_OLD);
    if (t > clock + SITE_LEAP && t > atomic_load(&state->accepted))
        return window_refuse_hit(site->zone, site->name, t, WINDOW_LEAP);
    return 0;
}

/* ---- 2. Decide -------------------------------------------------------------------------------------------------- */

/* Can the table still tell whether a visitor was in t's period? In the open one and, but for years, in the one before:
 * older figures are closed. */
static bool covered(const struct site *site, const struct period_frame *now, int kind, int64_t t)
{
    if (t >= now->of[kind].start)
        return true;
    if (kind == PERIOD_YEAR || t < now->of[kind].previous)
        return false;
    return atomic_load(&site->file->state.forgotten_until) < site_time(now->of[kind].previous);
}

static void decide_coverage(const struct site *site, struct touch *touch, int64_t t)
{
    int64_t clock = touch->fresh ? site_clock(site) : t;

    if (t >= clock)
        return;
    const struct period_frame *now = site_frame(site, clock);
    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        if ((touch->fresh & 1u << kind) && !covered(site, now, kind, t))
            touch->unsure |= 1u << kind;
}

/* Last seen at `seen`, at or before the hit. */
static void decide_next(struct touch *touch, const struct period_frame *frame, int64_t seen, unsigned bits, int64_t t)
{
    touch->write = t > seen;
    touch->time = site_time(t);
    touch->visit = t - seen > SITE_VISIT_GAP;
    touch->online = t - seen >= SITE_ONLINE;
    touch->seen = seen;
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if (seen >= frame->of[kind].start) {
            touch->bits |= bits & bit_of(kind);
            continue;
        }
        touch->fresh |= 1u << kind;
        if (seen >= frame->of[kind].previous)
            touch->bits |= bit_of(kind);
    }
}

/* Last seen after the hit: a late one. It belongs to the visit within 30 minutes of it. */
static void decide_late(struct touch *touch, const struct period_frame *seen_frame, int64_t seen, unsigned bits,
                        int64_t t)
{
    touch->late = true;
    touch->visit = seen - t > SITE_VISIT_GAP;
    touch->time = site_time(seen);
    touch->bits = bits;
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if (t >= seen_frame->of[kind].start)
            continue;
        if (kind == PERIOD_YEAR || t < seen_frame->of[kind].previous)
            touch->unsure |= 1u << kind;
        else if (bits & bit_of(kind))
            continue;
        touch->fresh |= 1u << kind;
        if (!(touch->unsure & 1u << kind))
            touch->bits |= bit_of(kind);
    }
    touch->write = touch->bits != bits;
}

static void decide_stranger(struct touch *touch, uint64_t victim, int64_t t)
{
    touch->stranger = true;
    touch->visit = true;
    touch->online = true;
    touch->fresh = ALL_KINDS;
    touch->time = site_time(t);
    touch->write = touch->time > recency_time(victim);
    if (!touch->write) { /* no room for one so old: known to the sketches only */
        touch->late = true;
        touch->unsure = ALL_KINDS | ALL_TIME;
    }
}

/* Just after a rotation a stranger may be known under the key before: then its visit goes on, and its old entry will be
 * made nameless, so that it is online once. It stays counted in the periods it was seen in. */
static int decide_rejoin(struct site *site, uint64_t previous_id, int64_t t, struct touch *touch)
{
    struct recency_slot old;

    recency_locate(&site->table, identity_short(previous_id), &old);
    recency_find(&old);
    if (!old.found)
        return 0;
    touch->rejoins = true;
    touch->seen = site_utc(recency_time(old.old));
    touch->visit = t - touch->seen > SITE_VISIT_GAP || touch->seen - t > SITE_VISIT_GAP;
    return region_guard(&site->region, old.cell, 8);
}

static void decide(const struct site *site, const struct recency_slot *slot, const struct period_frame *frame,
                   int64_t t, struct touch *touch)
{
    int64_t seen = site_utc(recency_time(slot->old));
    unsigned bits = recency_bits(slot->old);

    *touch = (struct touch){0};
    if (!slot->found)
        decide_stranger(touch, slot->old, t);
    else if (t >= seen)
        decide_next(touch, frame, seen, bits, t);
    else
        decide_late(touch, site_frame(site, seen), seen, bits, t);
    decide_coverage(site, touch, t);
}

/* ---- 3, 5. Sketches ----------------------------------------------------------------------------------------------- */

struct feed {
    uint64_t hash;
    struct sketch *day, *year, *all; /* NULL: not this one */
};

static int guard_register(struct region *region, struct sketch *sketch, uint64_t hash)
{
    return sketch ? region_guard(region, &sketch->reg[hash % SKETCH_REGISTERS], 1) : 0;
}

static int prepare_feed(struct site *site, struct site_month *month, const struct period_frame *frame,
                        const struct touch *touch, uint64_t id, struct feed *feed)
{
    int year = frame->of[PERIOD_YEAR].first.year - LAYOUT_FIRST_YEAR;
    int r;

    *feed = (struct feed){0};
    if (!touch->fresh)
        return 0;
    feed->hash = sketch_hash(&id, sizeof id);
    if (touch->fresh & 1u << PERIOD_DAY)
        feed->day = site_day_sketch(month, frame->date);
    if ((touch->fresh & 1u << PERIOD_YEAR) && year >= 0 && year < LAYOUT_YEARS)
        feed->year = &site->year_sketch[year];
    if (touch->stranger)
        feed->all = &site->file->all_sketch;
    /* All of the year's, as it begins with a hole: a year that was fed can then be read. */
    if ((r = guard_register(&month->region, feed->day, feed->hash)) < 0 ||
        (feed->year && (r = region_guard(&site->region, feed->year, sizeof *feed->year)) < 0))
        return r;
    return guard_register(&site->region, feed->all, feed->hash);
}

static void feed_sketches(const struct feed *feed)
{
    if (feed->day)
        sketch_add(feed->day, feed->hash);
    if (feed->year)
        sketch_add(feed->year, feed->hash);
    if (feed->all)
        sketch_add(feed->all, feed->hash);
}

/* ---- 6. Kept figures ---------------------------------------------------------------------------------------------- */

/*
 * Somebody may have counted an open window this second and kept the figure. A visitor's first hit adds itself, by
 * compare-and-swap from the word read before its cell was swapped: had a scan been kept in between, it may or may not
 * have seen the cell, so then the figure is dropped and the next reader scans.
 */
static void keep_or_drop(_Atomic uint64_t *kept, uint64_t before, bool same_window)
{
    uint64_t next = same_window && before >> 32 ? before + 1 : site_dropped(before);
    if (atomic_compare_exchange_strong(kept, &before, next))
        return;
    while (!atomic_compare_exchange_weak(kept, &before, site_dropped(before)))
        ;
}

/* Who is online depends on the moment that was asked about, which need not be the hit's. */
static void update_online(_Atomic uint64_t *kept, uint64_t before, const struct touch *touch, int64_t t)
{
    int64_t from = site_utc(before >> 32) - SITE_ONLINE + 1, to = site_utc(before >> 32) + SITE_FUTURE;
    bool was = touch->seen >= from && touch->seen <= to, is = t >= from && t <= to;
    if (touch->online || was != is)
        keep_or_drop(kept, before, !was && is);
}

static void update_kept(struct layout_state *state, const uint64_t before[KEPT], const struct period_frame *frame,
                        const struct touch *touch)
{
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        if (!(touch->fresh & 1u << kind))
            continue;
        int64_t at = site_utc(before[KEPT_DAY + kind] >> 32);
        bool same = !(touch->unsure & 1u << kind) && at >= frame->of[kind].start && at < frame->of[kind].end;
        keep_or_drop(&state->kept[KEPT_DAY + kind], before[KEPT_DAY + kind], same);
    }
    if (touch->stranger)
        keep_or_drop(&state->kept[KEPT_ALL], before[KEPT_ALL], touch->write);
}

/* ---- 2 to 6 ------------------------------------------------------------------------------------------------------- */

/* The new entry is there: the old one leaves. A scan between the two may have seen both online. */
static void leave_old_entry(struct site *site, uint64_t previous_id)
{
    recency_erase(&site->table, identity_short(previous_id));
    _Atomic uint64_t *online = &site->file->state.kept[KEPT_ONLINE];
    keep_or_drop(online, atomic_load(online), false);
}

static int touch_visitor(struct site *site, struct site_month *month, const struct period_frame *frame,
                         const struct store_hit *hit, struct touch *touch)
{
    struct layout_state *state = &site->file->state;
    struct recency_slot slot;
    uint64_t id = hit->id;
    int64_t t = hit->at;
    struct feed feed;
    uint64_t kept[KEPT] = {0};
    int r;

    recency_locate(&site->table, identity_short(id), &slot);
    do {
        recency_find(&slot);
        decide(site, &slot, frame, t, touch);
        if (touch->stranger && touch->write && hit->has_previous &&
            (r = decide_rejoin(site, hit->previous_id, t, touch)) < 0)
            return r;
        if (touch->write && (r = region_guard(&site->region, slot.cell, 8)) < 0)
            return r;
        if ((r = prepare_feed(site, month, frame, touch, id, &feed)) < 0)
            return r;
        for (int i = touch->fresh ? 0 : KEPT_ONLINE; i < KEPT; i++)
            kept[i] = atomic_load(&state->kept[i]);
        if (touch->stranger && touch->write && recency_time(slot.old) > atomic_load(&state->forgotten_until) &&
            (r = site_forget(site, recency_time(slot.old))) < 0)
            return r;
        feed_sketches(&feed);
    } while (touch->write && !recency_swap(&slot, touch->time, touch->bits));
    decide_coverage(site, touch, t); /* again: a period may have closed, or lost its exactness, before the swap */
    if (touch->fresh)
        update_kept(state, kept, frame, touch);
    if (touch->write && !touch->late)
        update_online(&state->kept[KEPT_ONLINE], kept[KEPT_ONLINE], touch, t);
    if (touch->rejoins)
        leave_old_entry(site, hit->previous_id);
    return 0;
}

/* ---- 7. Sums ------------------------------------------------------------------------------------------------------ */

static void add_unsure(struct site *site, struct layout_day *day, const struct period_frame *frame, unsigned kinds)
{
    struct layout_figure *all = &site->file->all;

    if (kinds & 1u << PERIOD_DAY)
        atomic_fetch_add(&day->figure.unsure, 1);
    if ((kinds & ALL_TIME) && region_guard(&site->region, all, sizeof *all) == 0)
        atomic_fetch_add(&all->unsure, 1);
    for (int kind = PERIOD_WEEK; kind < PERIOD_KINDS; kind++) {
        struct layout_figure *figure = site_figure(site, &frame->of[kind], (enum period_kind)kind, false);
        if ((kinds & 1u << kind) && figure && region_guard(&site->region, figure, sizeof *figure) == 0)
            atomic_fetch_add(&figure->unsure, 1);
    }
}

/* Where this processor adds. Which one it is only matters for speed. */
static unsigned stripe(void)
{
    return (unsigned)sched_getcpu() % LAYOUT_STRIPES;
}

static void set_clock(struct layout_state *state, int64_t t)
{
    site_raise_time(&state->clock, t);
    int64_t since = atomic_load(&state->since);
    while ((since < SITE_FIRST || t < since) && !atomic_compare_exchange_weak(&state->since, &since, t))
        ;
}

static bool is_past(const struct site *site, const struct period_frame *frame)
{
    return site_moment(&site->file->state.rolled) >= frame->of[PERIOD_MONTH].end;
}

/* Years and all time add up months; a month that the clock has left is summed again after each late hit. The hit is
 * counted by now: where a month ended meanwhile and cannot be summed, the next day does it. */
static void total_if_past(struct site *site, struct site_month *month, const struct period_frame *frame)
{
    struct layout_total total;
    if (!is_past(site, frame))
        return;
    atomic_store_explicit(&month->region.written, true, memory_order_relaxed);
    site_total(site, site_month_index(frame->date), &total);
}

static int guard_sums(struct site *site, struct site_month *month, const struct period_frame *frame)
{
    struct layout_site *file = site->file;
    int r = region_guard(&month->region, site_day(month, frame->date), offsetof(struct layout_day, countries));
    if (r == 0 && is_past(site, frame))
        r = region_guard(&site->region, &file->total[site_month_index(frame->date)], sizeof file->total[0]);
    return r < 0 ? r : region_guard(&site->region, &file->state, sizeof file->state);
}

int site_record(struct site *site, const struct store_hit *hit)
{
    struct layout_state *state = &site->file->state;
    struct touch touch = {0};
    struct site_month *month;
    int r;

    uint64_t now = site_now();
    if ((r = site_tend(site, now)) != 0 || (r = admit(site, hit->at, (int64_t)(now / 1000))) < 0)
        return r;
    const struct period_frame *frame = site_frame(site, hit->at);
    if ((r = site_month(site, site_month_index(frame->date), true, &month)) < 0)
        return r;
    if ((r = guard_sums(site, month, frame)) < 0)
        return r;
    struct layout_day *day = site_day(month, frame->date);
    if (hit->verdict != COUNTER_COUNTED && !hit->anonymous) {
        atomic_fetch_add(&day->excluded[(unsigned)hit->verdict % LAYOUT_VERDICTS], 1);
        return 0;
    }
    if (frame->of[PERIOD_DAY].start > site_moment(&state->rolled) && (r = site_roll(site, frame)) < 0)
        return r;
    if (hit->nameless)
        touch = (struct touch){.unsure = ALL_KINDS | ALL_TIME, .late = true};
    else if (!hit->anonymous && (r = touch_visitor(site, month, frame, hit, &touch)) < 0)
        return r;

    if (touch.unsure)
        add_unsure(site, day, frame, touch.unsure);
    if (touch.late)
        atomic_fetch_add(&state->late, 1);
    if (touch.visit)
        atomic_fetch_add(&day->visits, 1);
    if (hit->anonymous)
        atomic_fetch_add(&day->excluded[(unsigned)hit->verdict % LAYOUT_VERDICTS], 1);
    atomic_fetch_add(&day->hour[stripe()][period_hour(frame, hit->at)], 1);
    set_clock(state, hit->at);
    total_if_past(site, month, frame);
    return 0;
}
