/*
 * site.h: one site's counts over plain memory, heap or mapped: it cannot tell.
 *
 * The recency table is the truth. What a window shows is a scan of it, for as long as no entry that the window needs
 * was dropped; figures, sketches and marks take over where that ends. site.c opens and finds things, site_record.c
 * counts a hit, site_read.c answers, site_roll.c does what a new day and a full table ask for.
 *
 * Any number of threads and processes work on a site at once, without locks. A struct site is made once and never
 * changes but for its months, which appear by compare-and-swap.
 */
#ifndef LIBCOUNTER_SITE_H
#define LIBCOUNTER_SITE_H

#include "header.h"
#include "key_list.h"
#include "period.h"
#include "region.h"
#include "store.h"

enum { SITE_FUTURE = 60, SITE_LEAP = 400 * 86400, SITE_ONLINE = 300, SITE_VISIT_GAP = 1800, SITE_FILE_NAME = 96 };

struct site_month {
    struct site_month *next;            /* of those that were left */
    struct region region;
    struct layout_month *file;
};

struct site {
    struct site *next;                  /* of the store's chain */
    uint64_t serial;                    /* tells sites apart in the threads' frame caches */
    char name[65];
    int folder;                         /* of the store, -1: memory; borrowed */
    uint32_t sync_ms;
    struct zone *zone;
    enum counter_weekday week_start;    /* copies of the header's: it may go while a thread is still inside */
    uint32_t forget_days, retention_days;
    enum counter_rotation key_rotation;
    uint64_t incarnation;
    struct region region;
    struct layout_site *file;
    struct sketch *year_sketch;         /* LAYOUT_YEARS of them, behind the table */
    struct recency table;
    _Atomic uint64_t tended;            /* ms: when this process last looked after the files */
    _Atomic(bool) gone;                 /* the file was replaced or removed: open the site anew */
    _Atomic(bool) detached;             /* and what it maps now is empty memory */
    _Atomic(bool) keyed;                /* its key was compared with the store's */
    struct key_list keys;               /* of periods: see site_keys.h */
    _Atomic int64_t keys_destroyed;     /* those that ended by then are gone */
    _Atomic(struct site_month *) month[LAYOUT_MONTHS], left;
};

/* Opens the site or, with create, makes it. folder -1 is memory. COUNTER_ENOSITE where there is none, COUNTER_ECONFLICT
 * naming both values where the plan asks for something else than the site has. */
int site_open(struct site **out, int folder, const char *name, const struct site_plan *plan, uint32_t sync_ms,
              bool create);
void site_close(struct site *site);

/* Leaves files that were found replaced: other threads may still be inside. Once; closed later. */
void site_detach(struct site *site);

/* Removes the site's file and then its months. Keys of periods are site_keys_remove's. */
int site_remove(struct site *site);

/* The file names, into SITE_FILE_NAME bytes. */
void site_file_name(char *buffer, const char *site);
void site_month_name(char *buffer, const char *site, unsigned month);

/* ---- Finding -------------------------------------------------------------------------------------------------------- */

uint64_t site_now(void);                /* the machine's clock, ms since 1970; coarse, 5 ns */

/* The frame of t's day, from the calling thread's small cache, which gives up the one not asked for the longest: valid
 * until the thread has asked for SITE_FRAMES others. */
enum { SITE_FRAMES = 7 };
const struct period_frame *site_frame(const struct site *site, int64_t t);

unsigned site_month_index(struct period_date date);             /* months since 2000-01 */

/* The month's file; *out NULL where there is none and `create` is not set. */
int site_month(struct site *site, unsigned index, bool create, struct site_month **out);

/* The day's record and sketch in its month. */
struct layout_day *site_day(const struct site_month *month, struct period_date date);
struct sketch *site_day_sketch(const struct site_month *month, struct period_date date);

/* Of the week, month or year that holds the frame's day, or its predecessor (kinds other than PERIOD_DAY). */
struct layout_figure *site_figure(const struct site *site, const struct period_span *span, enum period_kind kind,
                                  bool previous);

/* Whole days around what 31 bits hold, in any time zone. */
#define SITE_FIRST (RECENCY_EPOCH + INT64_C(86400))
#define SITE_LAST  (RECENCY_EPOCH + (int64_t)RECENCY_LAST - 20 * INT64_C(86400))

/* A moment kept in the file: 0, none, or one that can be. Files hold anything. */
static inline int64_t site_moment(const _Atomic int64_t *word)
{
    int64_t t = atomic_load(word);
    return t < SITE_FIRST ? 0 : t > SITE_LAST ? SITE_LAST : t;
}

/* The newest hit's time, or the day that was prepared for the next one. */
static inline int64_t site_clock(const struct site *site)
{
    int64_t clock = site_moment(&site->file->state.clock), rolled = site_moment(&site->file->state.rolled);
    return clock > rolled ? clock : rolled;
}

/* Looks after the files at `now` (ms): starts write-back when it is due, notices replaced files. At most once per
 * sync_ms. Also what site_record and site_read return when they did nothing, since the files are others by now. */
enum { SITE_GONE = 1 };
int site_tend(struct site *site, uint64_t now);
int site_sync(struct site *site);       /* waits for the disk */

static inline uint32_t site_time(int64_t t)     /* s since 2000, clamped */
{
    t -= RECENCY_EPOCH;
    return t <= 0 ? 0 : t > RECENCY_LAST ? RECENCY_LAST : (uint32_t)t;
}
static inline int64_t site_utc(uint64_t time)
{
    return (int64_t)(time + RECENCY_EPOCH);
}

/* Sums saturate. */
static inline void site_add(uint64_t *sum, uint64_t value)
{
    if (__builtin_add_overflow(*sum, value, sum))
        *sum = UINT64_MAX;
}

static inline int64_t site_saturated(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* The hits of one clock hour. */
static inline uint64_t site_hour_hits(const struct layout_day *day, unsigned hour)
{
    uint64_t hits = 0;
    for (unsigned stripe = 0; stripe < LAYOUT_STRIPES; stripe++)
        site_add(&hits, atomic_load(&day->hour[stripe][hour]));
    return hits;
}

/* *word = max(*word, value). True if it grew. */
static inline bool site_raise(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    while (old < value)
        if (atomic_compare_exchange_weak(word, &old, value))
            return true;
    return false;
}
static inline void site_raise_time(_Atomic int64_t *word, int64_t value)
{
    int64_t old = atomic_load_explicit(word, memory_order_relaxed);
    while (old < value && !atomic_compare_exchange_weak(word, &old, value))
        ;
}

/* What becomes of a kept figure that holds no more: second 0; the count still changes, so that a scan under way is not
 * kept. */
static inline uint64_t site_dropped(uint64_t kept)
{
    return (uint32_t)(kept + 1);
}

/* ---- Counting, answering -------------------------------------------------------------------------------------------- */

int site_record(struct site *site, const struct store_hit *hit);                /* site_record.c */
int site_read(struct site *site, int64_t at, struct counter_stats *stats);      /* site_read.c */

/* Opens what site_read will need after a hit of `at`: what cannot be shown must not be counted first. */
int site_read_ready(struct site *site, int64_t at, uint32_t want);

/* Visitors, visits, hits of one day. */
int site_read_day(struct site *site, const struct period_frame *frame, struct counter_count *out);

/* The baseline in force, zeros if none; false if the last one was torn by a crash and the one before is given. */
bool site_baseline(const struct site *site, struct counter_count *out);
int site_set_baseline(struct site *site, const struct counter_count *old);

/* ---- Figures (site_figure.c): exact as long as possible, then growing with the estimate -------------------------------- */

#define FIGURE_ENDED (UINT64_C(1) << 63)

static inline uint32_t figure_exact(uint64_t pair)
{
    return (uint32_t)(pair >> 32) & 0x7fffffffu;
}
static inline uint32_t figure_estimate(uint64_t pair)
{
    return (uint32_t)pair;
}

/* Keeps an exact count, if larger and exactness has not ended. */
void figure_keep(struct layout_figure *figure, uint64_t exact);

/* Ends exactness at that count and estimate, the estimate taken first. */
void figure_end(struct layout_figure *figure, uint64_t exact, uint64_t estimate);

/* The number to show for a period whose exactness ended: the exact number then plus the estimate's growth. `counted` is
 * what the table still holds; it matters only where a crash lost the word and exactness has to be ended here. */
uint64_t figure_grown(struct layout_figure *figure, uint64_t counted, uint64_t estimate, bool writable);

/* The figure of the frame's day, week, month or year or its predecessor; NULL where nothing was counted. */
int figure_find(struct site *site, const struct period_frame *frame, enum period_kind kind, bool previous,
                struct layout_figure **out);

/* The distinct visitors that the sketches of that period tell: 5 us, and 0.3 us a day for weeks and months. */
int figure_estimate_of(struct site *site, const struct period_frame *frame, enum period_kind kind, bool previous,
                       uint64_t *estimate);

/* The table's bounds for the day of a frame and the moment at. */
void figure_bounds(struct recency_bounds *out, const struct period_frame *frame, int64_t at);

/* ---- Rollover and forgetting (site_roll.c) ------------------------------------------------------------------------- */

/* Before the first hit of a new day: keeps the figures of the periods that may close, forgets who is due. */
int site_roll(struct site *site, const struct period_frame *frame);

/* Keeps the exact numbers of the frame's periods, which are open, and of those before. */
int site_keep_figures(struct site *site, const struct period_frame *frame);

/* Before an entry of that time is dropped from the table: ends the exactness of the open periods that need it. */
int site_forget(struct site *site, uint32_t time);

/* Sums a month's days into its total, and gives the larger of the two; only the total where the days are gone. */
int site_total(struct site *site, unsigned month, struct layout_total *out);

#endif
