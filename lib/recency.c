/* recency.c: see recency.h. The searches are a few loads; the scans are vectors of four, which plain x86-64 has. */
#include "recency.h"

#include <string.h>

#define TAG_MASK  ((UINT64_C(1) << RECENCY_TAG_BITS) - 1)
#define ALT       (UINT64_C(1) << RECENCY_TAG_BITS)
#define MARK_MASK (ALT | TAG_MASK)

size_t recency_bytes(unsigned line_bits)
{
    return (size_t)RECENCY_LINE * sizeof(uint64_t) << line_bits;
}

static unsigned tag_bits(unsigned line_bits)
{
    return line_bits > RECENCY_LINE_BITS ? RECENCY_KEY_BITS - line_bits : RECENCY_TAG_BITS;
}

/* The other line of a tag: a multiplicative hash (Knuth, TAOCP 6.4), never 0, so that the two lines differ. */
static uint64_t line_step(uint64_t tag, unsigned line_bits)
{
    uint64_t step = (tag * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - line_bits);
    return step ? step : 1;
}

void recency_locate(const struct recency *table, uint64_t key, struct recency_slot *slot)
{
    unsigned bits = tag_bits(table->line_bits);
    uint64_t lines = UINT64_C(1) << table->line_bits;
    uint64_t tag = key & ((UINT64_C(1) << bits) - 1);
    uint64_t first = (key >> bits) & (lines - 1);
    uint64_t second = first ^ line_step(tag, table->line_bits);

    slot->line[0] = table->cell + first * RECENCY_LINE;
    slot->line[1] = table->cell + second * RECENCY_LINE;
    slot->mark[0] = tag;
    slot->mark[1] = tag | ALT;
    __builtin_prefetch(slot->line[1]);
}

/* Where several nameless entries are equal, the nth has lines of its own: both count up with n, a quarter to three
 * quarters of the table apart. */
void recency_locate_nameless(const struct recency *table, uint32_t time, unsigned bits, uint64_t nth,
                             struct recency_slot *slot)
{
    uint64_t mask = (UINT64_C(1) << table->line_bits) - 1;
    uint64_t hash = ((uint64_t)time << 3 | bits) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t first = (hash >> 32) + nth;
    uint64_t apart = (mask + 1) / 4 + (hash >> 12) % (mask / 2 + 1);

    slot->line[0] = table->cell + (first & mask) * RECENCY_LINE;
    slot->line[1] = table->cell + ((first + apart) & mask) * RECENCY_LINE;
    slot->mark[0] = slot->mark[1] = 0;
}

/* The cell that looks so under the mask, or the minimum of (time, position, line). */
static inline void search(struct recency_slot *slot, uint64_t mask, uint64_t first, uint64_t second)
{
    uint64_t cell[2][RECENCY_LINE], want[2] = {first, second};
    uint64_t least = UINT64_MAX;

    for (unsigned which = 0; which < 2; which++) {
        for (unsigned i = 0; i < RECENCY_LINE; i++) {
            cell[which][i] = atomic_load_explicit(&slot->line[which][i], memory_order_acquire);
            if ((cell[which][i] & mask) == want[which]) {
                slot->cell = &slot->line[which][i];
                slot->old = cell[which][i];
                slot->which = which;
                slot->found = true;
                return;
            }
        }
    }
    for (unsigned which = 0; which < 2; which++)
        for (unsigned i = 0; i < RECENCY_LINE; i++) {
            uint64_t order = (cell[which][i] >> 33) << 4 | i << 1 | which;
            if (order < least)
                least = order;
        }
    slot->which = (unsigned)least & 1u;
    unsigned position = (unsigned)(least >> 1) & 7u;
    slot->cell = &slot->line[slot->which][position];
    slot->old = cell[slot->which][position];
    slot->found = false;
}

void recency_find(struct recency_slot *slot)
{
    search(slot, MARK_MASK, slot->mark[0], slot->mark[1]);
}

void recency_find_nameless(struct recency_slot *slot, uint32_t time, unsigned bits)
{
    uint64_t cell = (uint64_t)time << 33 | (uint64_t)bits << 30;
    search(slot, UINT64_MAX, cell, cell);
}

bool recency_swap(struct recency_slot *slot, uint32_t time, unsigned bits)
{
    uint64_t cell = (uint64_t)time << 33 | (uint64_t)bits << 30 | slot->mark[slot->which];
    uint64_t expected = slot->old;
    return atomic_compare_exchange_strong(slot->cell, &expected, cell);
}

uint64_t recency_key(const struct recency *table, size_t index, uint64_t cell)
{
    uint64_t tag = cell & TAG_MASK;
    uint64_t line = index / RECENCY_LINE;
    if (cell & ALT)
        line ^= line_step(tag, table->line_bits);
    return line << tag_bits(table->line_bits) | tag;
}

bool recency_erase(const struct recency *table, uint64_t key)
{
    struct recency_slot slot;
    uint64_t expected;

    recency_locate(table, key, &slot);
    do {
        recency_find(&slot);
        if (!slot.found)
            return false;
        expected = slot.old;
    } while (!atomic_compare_exchange_strong(slot.cell, &expected, slot.old & ~MARK_MASK));
    return true;
}

uint32_t recency_newest_before(const struct recency *table, uint32_t before)
{
    size_t cells = (size_t)RECENCY_LINE << table->line_bits;
    uint32_t newest = 0;

    for (size_t i = 0; i < cells; i++) {
        uint64_t cell = atomic_load_explicit(&table->cell[i], memory_order_relaxed);
        uint32_t time = recency_time(cell);
        if (time < before && time > newest && (cell & MARK_MASK))
            newest = time;
    }
    return newest;
}

void recency_forget(const struct recency *table, uint32_t before)
{
    size_t cells = (size_t)RECENCY_LINE << table->line_bits;

    for (size_t i = 0; i < cells; i++) {
        uint64_t cell = atomic_load_explicit(&table->cell[i], memory_order_relaxed);
        while (recency_time(cell) < before && (cell & MARK_MASK))
            if (atomic_compare_exchange_weak(&table->cell[i], &cell, cell & ~MARK_MASK))
                break;
    }
}

/* ---- Scans ------------------------------------------------------------------------------------------------------ */

/* A scan comes after what was stored before it and before what is loaded after it: marks of what was dropped. */
static void fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

typedef int32_t four __attribute__((vector_size(16)));

#if defined(__SANITIZE_THREAD__)
#define SCAN_ATOMIC 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCAN_ATOMIC 1
#endif
#endif

/*
 * Splits a line into the upper and the lower halves of its cells. The copy is not atomic as the language sees it, but
 * every supported machine moves an aligned 8-byte word whole, and a scan asks for no order between cells. Under the
 * thread sanitizer the words are loaded one by one.
 *
 * Upper halves are time << 1 | day, an unsigned number; with the top bit turned over they compare as signed ones, the
 * only comparison that SSE2 has.
 */
static inline void load_line(const _Atomic uint64_t *line, four high[2], four low[2])
{
    four pair[4];
#ifdef SCAN_ATOMIC
    uint64_t copy[RECENCY_LINE];
    for (unsigned i = 0; i < RECENCY_LINE; i++)
        copy[i] = atomic_load_explicit(&line[i], memory_order_relaxed);
    memcpy(pair, copy, sizeof pair);
#else
    memcpy(pair, (const void *)line, sizeof pair);
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file layout is little-endian"
#endif
    high[0] = __builtin_shufflevector(pair[0], pair[1], 1, 3, 5, 7) ^ INT32_MIN;
    high[1] = __builtin_shufflevector(pair[2], pair[3], 1, 3, 5, 7) ^ INT32_MIN;
    low[0] = __builtin_shufflevector(pair[0], pair[1], 0, 2, 4, 6);
    low[1] = __builtin_shufflevector(pair[2], pair[3], 0, 2, 4, 6);
}

/* x > from(t) is "time >= t", x <= from(t) "time < t". */
static inline four from(uint32_t time)
{
    int32_t limit = time ? (int32_t)((time << 1 ^ 0x80000000u) - 1) : INT32_MIN;
    return (four){limit, limit, limit, limit};
}

/* Cells without a visitor count where they were seen, but nobody is online there. */
static inline four has_mark(four low)
{
    int32_t mask = (int32_t)MARK_MASK;
    return (low & (four){mask, mask, mask, mask}) != (four){0, 0, 0, 0};
}

static uint32_t sum(four count)
{
    return (uint32_t)(count[0] + count[1] + count[2] + count[3]);
}

void recency_scan_current(const struct recency *table, const struct recency_bounds *bounds, struct recency_counts *out)
{
    size_t lines = (size_t)1 << table->line_bits;
    four limit[6] = {from(bounds->online),   from(bounds->start[0]), from(bounds->start[1]),
                     from(bounds->start[2]), from(bounds->start[3]), from(1)};
    four count[6] = {0};

    fence();
    for (size_t i = 0; i < lines; i++) {
        four high[2], low[2];
        load_line(table->cell + i * RECENCY_LINE, high, low);
        for (unsigned half = 0; half < 2; half++) {
            count[0] -= (high[half] > limit[0]) & has_mark(low[half]); /* a true lane is -1 */
            for (unsigned w = 1; w < 6; w++)
                count[w] -= high[half] > limit[w];
        }
    }
    fence();
    memset(out, 0, sizeof *out);
    out->online = sum(count[0]);
    for (unsigned kind = 0; kind < 4; kind++)
        out->current[kind] = sum(count[1 + kind]);
    out->all = sum(count[5]);
}

/* The two ends of each period, as from() makes them. */
struct limits {
    four previous[4], start[4], end[4];
};

/* Adds four cells: x their upper halves, y their lower ones. */
static inline void count_four(const struct limits *limits, four x, four y, four current[4], four previous[4])
{
    four zero = {0}, one = {1, 1, 1, 1};
    four bit[4] = {(x & one) != zero, y < zero, (y << 1) < zero, zero};

    for (unsigned kind = 0; kind < 4; kind++) {
        four since = x > limits->start[kind], past = x > limits->end[kind];
        current[kind] -= (since & ~past) | (past & bit[kind]);
        previous[kind] -= ((x > limits->previous[kind]) & ~since) | (since & ~past & bit[kind]);
    }
}

void recency_scan(const struct recency *table, const struct recency_bounds *bounds, struct recency_counts *out)
{
    size_t lines = (size_t)1 << table->line_bits;
    four current[4] = {0}, previous[4] = {0}, online = {0}, all = {0};
    four online_from = from(bounds->online), online_end = from(bounds->online_end + 1), used = from(1);
    struct limits limits;

    fence();
    for (unsigned kind = 0; kind < 4; kind++) {
        limits.previous[kind] = from(bounds->previous[kind]);
        limits.start[kind] = from(bounds->start[kind]);
        limits.end[kind] = from(bounds->end[kind]);
    }
    for (size_t i = 0; i < lines; i++) {
        four high[2], low[2];
        load_line(table->cell + i * RECENCY_LINE, high, low);
        for (unsigned half = 0; half < 2; half++) {
            online -= (high[half] > online_from) & (high[half] <= online_end) & has_mark(low[half]);
            all -= high[half] > used;
            count_four(&limits, high[half], low[half], current, previous);
        }
    }
    fence();
    memset(out, 0, sizeof *out);
    out->online = sum(online);
    out->all = sum(all);
    for (unsigned kind = 0; kind < 4; kind++) {
        out->current[kind] = sum(current[kind]);
        out->previous[kind] = sum(previous[kind]);
    }
}
