/*
 * recency.h: visitor -> last seen, in a table of fixed size that any number of threads and processes share unlocked.
 *
 * One idea: a touch is one compare-and-swap of one 64-bit cell, and a cell's time never decreases.
 *
 *      63                    33  32   31    30     29   28                    0
 *     +------------------------+----+----+-----+-----+------------------------+
 *     | last seen, s since 2000|day |week|month| alt | tag                    |
 *     +------------------------+----+----+-----+-----+------------------------+
 *
 * day, week, month: the visitor was also seen in the day (week, month) before last seen's, so that a scan counts the
 * previous period as exactly as the open one. An all-zero cell was never used.
 *
 * Eight cells are a line (one cache line of 64 bytes); a table has 2^line_bits lines. A visitor's 43-bit key is its
 * first line's number (upper bits) and its tag (the rest). It may sit in that line or, with `alt` set, in the second
 * one, line xor hash(tag), as in a cuckoo filter: so a cell gives the whole key back, and no key is stored. (In tables
 * under 2^14 lines, which only tests make, the key's uppermost bits are lost.)
 *
 * Rules that make it safe without locks; each one dropped gives duplicate visitors:
 *   - a new visitor replaces the minimum of a total order over all its 16 candidates: (time, position, line). Two
 *     writers of one visitor therefore want the same cell, and one of them fails and finds the other's entry: a cell
 *     that was passed over cannot become smaller again.
 *   - a failed swap starts over from the search;
 *   - a hit that is not newer than the minimum is not inserted;
 *   - forgetting clears tag and alt and keeps the time.
 * Choosing the oldest of two independent lines keeps 32 768 visitors of one window whole in 131 072 cells, also when
 * the table is full of older ones.
 */
#ifndef LIBCOUNTER_RECENCY_H
#define LIBCOUNTER_RECENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECENCY_LINE = 8,               /* cells of a line */
    RECENCY_LINE_BITS = 14,         /* the smallest table that keeps whole keys: 131 072 cells, 1 MiB */
    RECENCY_LINE_BITS_MAX = 20,
    RECENCY_TAG_BITS = 29,
    RECENCY_KEY_BITS = 43
};
#define RECENCY_EPOCH 946684800         /* 2000-01-01T00:00:00Z */
#define RECENCY_LAST  0x7fffffffu       /* 2068-01-19T03:14:07Z */

enum recency_bit { RECENCY_MONTH = 1, RECENCY_WEEK = 2, RECENCY_DAY = 4 };

struct recency {
    _Atomic uint64_t *cell;
    unsigned line_bits;
};

size_t recency_bytes(unsigned line_bits);

/* Where a visitor's entry is, or would go. */
struct recency_slot {
    _Atomic uint64_t *line[2];          /* its candidates */
    uint64_t mark[2];                   /* tag and alt as they stand in a cell of that line */
    _Atomic uint64_t *cell;             /* the entry, or the victim */
    uint64_t old;                       /* what was read there */
    unsigned which;                     /* the line that cell is in */
    bool found;
};

/* Works out the two lines, without reading them. */
void recency_locate(const struct recency *table, uint64_t key, struct recency_slot *slot);

/* Reads the candidates: the visitor's cell or the victim. About 10 ns when cached. */
void recency_find(struct recency_slot *slot);

/* Puts the visitor there, last seen at `time` (s since 2000), if nobody changed the cell since recency_find. */
bool recency_swap(struct recency_slot *slot, uint32_t time, unsigned bits);

static inline uint32_t recency_time(uint64_t cell)
{
    return (uint32_t)(cell >> 33);
}
static inline unsigned recency_bits(uint64_t cell)
{
    return (unsigned)(cell >> 30) & 7u;
}

static inline bool recency_is_named(uint64_t cell)
{
    return cell & ((UINT64_C(2) << RECENCY_TAG_BITS) - 1);
}

/* The key of a cell at that index, as identity_short gave it. Only for cells with a tag. */
uint64_t recency_key(const struct recency *table, size_t index, uint64_t cell);

/* The same search for an entry without tag and alt, the nth that is equal to this: it has no key to be found by, but two
 * who bring the same one must want the same cell. recency_swap puts it there. */
void recency_locate_nameless(const struct recency *table, uint32_t time, unsigned bits, uint64_t nth,
                             struct recency_slot *slot);
void recency_find_nameless(struct recency_slot *slot, uint32_t time, unsigned bits);

/* Clears tag and alt of the visitor's cell: it stays counted where it was seen, is unknown and no longer online. */
bool recency_erase(const struct recency *table, uint64_t key);

/* The newest time among cells with a tag that are older than `before`; 0: none. */
uint32_t recency_newest_before(const struct recency *table, uint32_t before);

/* Clears tag and alt of all cells older than `before`. */
void recency_forget(const struct recency *table, uint32_t before);

/* Times in s since 2000. A visitor is in the current period if last seen in [start, end), or later with the bit set;
 * in the previous one if last seen in [previous, start), or in the current one with the bit set. */
struct recency_bounds {
    uint32_t online, online_end;        /* [online, online_end] is online, if the cell has a tag */
    uint32_t previous[4], start[4], end[4];     /* day, week, month, year; years have no bit */
};
struct recency_counts {
    uint32_t online, current[4], previous[4], all;
};

/* Counts everything in one pass. Torn reads do not exist: a cell is one word. */
void recency_scan(const struct recency *table, const struct recency_bounds *bounds, struct recency_counts *out);

/* The same for online, current and all, when no cell is newer than any `end` or online_end: half the work. */
void recency_scan_current(const struct recency *table, const struct recency_bounds *bounds, struct recency_counts *out);

#endif
