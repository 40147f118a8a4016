/*
 * layout.h: the bytes of a site's files. Little-endian, every mutable word aligned and of at most 8 bytes.
 *
 *     SITE.counter                                          SITE.2026-11.days, one a month
 *     +-----------------------------------+ 0               +-----------------------------------+ 0
 *     | header, written once, checksummed |                 | header, the same                  |
 *     +-----------------------------------+ 4096            +-----------------------------------+ 4096
 *     | state: clock, marks, figures kept |                 | 31 days: visits, 24 hours ...     |
 *     +-----------------------------------+ 8192            +-----------------------------------+
 *     | figures of weeks, months, years   |                 | 31 sketches of 16 KiB             |
 *     | totals of months                  |                 +-----------------------------------+
 *     +-----------------------------------+
 *     | sketch of all time                |    Invariants: words only grow (as maxima or sums), except where a comment
 *     +-----------------------------------+    says otherwise; none depends on another; nothing is ever cleared for
 *     | recency table                     |    reuse. So any mix of old and new pages, and any copy of a live file, is
 *     +-----------------------------------+    a valid file, and retention deletes whole months.
 *     | sketches of 68 years, allocated   |
 *     | when a year begins                |    Zero bytes are "nothing happened" everywhere.
 *     +-----------------------------------+
 */
#ifndef LIBCOUNTER_LAYOUT_H
#define LIBCOUNTER_LAYOUT_H

#include "recency.h"
#include "sketch.h"

enum {
    LAYOUT_VERSION = 1,
    LAYOUT_PAGE = 4096,
    LAYOUT_FIRST_YEAR = 2000,
    LAYOUT_YEARS = 68,
    LAYOUT_MONTHS = LAYOUT_YEARS * 12,
    LAYOUT_WEEKS = LAYOUT_YEARS * 366 / 7 + 2,
    LAYOUT_DAYS = 31,
    LAYOUT_VERDICTS = 16,
    LAYOUT_BASELINES = 8,
    LAYOUT_STRIPES = 4,
    LAYOUT_STRIPE = 32
};

struct layout_header {
    char     magic[8];                  /* LAYOUT_SITE or LAYOUT_MONTH */
    uint32_t version;
    uint32_t line_bits;                 /* of the recency table */
    uint32_t month;                     /* months since 2000-01 of a month's file */
    uint32_t week_start;
    uint32_t exact_visitors, forget_days, retention_days;
    uint32_t key_rotation;              /* enum counter_rotation */
    uint64_t incarnation;               /* random: a month belongs to the site file with the same */
    uint64_t key_check;                 /* identity_check of the store's key */
    int64_t  created;
    char     site[72];
    char     timezone[72];
    uint64_t checksum;                  /* of all before it */
};
#define LAYOUT_SITE  "counterS"
#define LAYOUT_MONTH "counterM"

/*
 * The visitors of one period, when the recency table alone no longer gives them.
 *     pair    63: exactness ended   62..32: exact   31..0: estimate when it ended
 *             A closed period has its exact figure here. Where exactness ended, what is shown is the exact number then
 *             plus what the estimate grew since, so that it never goes down. Never written once bit 63 is set.
 *     shown   the largest number ever shown
 *     unsure  hits whose visitor may have been counted or not: the table could not tell
 */
struct layout_figure {
    _Atomic uint64_t pair, shown, unsure;
};

struct layout_baseline {
    _Atomic int64_t  visitors, visits, hits;
    _Atomic uint64_t check;             /* of the three and its number: a torn baseline is not believed */
};

/* Figures of open windows as somebody counted them: second (s since 2000) : count. Not monotone, but only a cache. */
enum layout_kept { KEPT_DAY, KEPT_WEEK, KEPT_MONTH, KEPT_YEAR, KEPT_ALL, KEPT_ONLINE, KEPT };

struct layout_state {
    _Atomic int64_t  clock;             /* newest hit */
    _Atomic int64_t  since;             /* oldest hit: the only minimum; 0: none */
    _Atomic int64_t  accepted;          /* hits up to here are believed, however long after clock */
    _Atomic int64_t  rolled;            /* start of the newest day that was prepared: see site_roll.c */
    _Atomic uint64_t forgotten_until;   /* s since 2000; no entry newer than this was ever dropped */
    _Atomic uint64_t baseline;          /* how often one was set; the last is slot % LAYOUT_BASELINES */
    uint64_t unused[10];
    _Alignas(64) _Atomic uint64_t late;         /* hits older than their visitor's last seen */
    _Alignas(64) _Atomic uint64_t synced;       /* ms since 1970 when write-back was last started */
    _Alignas(64) _Atomic uint64_t kept[KEPT];
    _Alignas(64) struct layout_baseline baselines[LAYOUT_BASELINES];
};

struct layout_total {                   /* a month's days, summed when it was last looked at after its end */
    _Atomic uint64_t hits, visits;
};

struct layout_site {
    struct layout_header header;
    _Alignas(LAYOUT_PAGE) struct layout_state state;
    _Alignas(LAYOUT_PAGE) struct layout_figure all;
    struct layout_figure year[LAYOUT_YEARS], month[LAYOUT_MONTHS], week[LAYOUT_WEEKS];
    struct layout_total total[LAYOUT_MONTHS];
    _Alignas(LAYOUT_PAGE) struct sketch all_sketch;
    _Alignas(LAYOUT_PAGE) _Atomic uint64_t cell[];      /* the table, and then struct sketch year_sketch[LAYOUT_YEARS] */
};

struct layout_day {
    _Alignas(64) struct layout_figure figure;
    _Atomic uint64_t visits;
    /* Hits by clock hour, a sum for each of a few processors, far enough apart (256 bytes) that they do not fight for
     * cache lines, not even for the neighbours that a processor fetches along. A day's hits are the sum of all. */
    _Alignas(64) _Atomic uint64_t hour[LAYOUT_STRIPES][LAYOUT_STRIPE];  /* 24 are used */
    _Atomic uint64_t excluded[LAYOUT_VERDICTS];         /* requests that were not counted, by enum counter_verdict */
    unsigned char countries[1152];      /* room for visits and hits by country */
};

struct layout_month {
    struct layout_header header;
    _Alignas(LAYOUT_PAGE) struct layout_day day[LAYOUT_DAYS];
    _Alignas(LAYOUT_PAGE) struct sketch sketch[LAYOUT_DAYS];
};

/* Frozen: files of this version are out there. */
_Static_assert(sizeof(struct layout_header) == 216, "header");
_Static_assert(sizeof(struct layout_day) == 2368, "day");
_Static_assert(sizeof(struct layout_month) == 585728, "month");
_Static_assert(offsetof(struct layout_site, all) == 8192, "figures");
_Static_assert(offsetof(struct layout_site, cell) % LAYOUT_PAGE == 0, "table");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "words are lock-free");
_Static_assert(sizeof(struct sketch) == SKETCH_REGISTERS, "sketch");

static inline size_t layout_table_end(unsigned line_bits)       /* what is allocated from the start */
{
    return offsetof(struct layout_site, cell) + recency_bytes(line_bits);
}
static inline size_t layout_site_size(unsigned line_bits)
{
    return layout_table_end(line_bits) + LAYOUT_YEARS * sizeof(struct sketch);
}

#endif
