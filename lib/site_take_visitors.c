/*
 * site_take_visitors.c: visitors of another store come into a table that others are counting into.
 *
 * A visitor is one compare-and-swap, as with a hit: the later time wins, and where there is no room for it, or another
 * must make room, forgotten_until says so first. Figures came before, so no number suffers.
 *
 * The nameless are a multiset. To bring the same ones twice, or by two at once, must add nothing:
 *   - every entry that was here before the first one came (`own`, sorted) makes one of those that look the same
 *     superfluous: a nameless one of the source, which may still have its name here; or one with a name that is not
 *     found here, since here it was erased;
 *   - those that are missing go where all who bring them look: the nth of equal ones has lines of its own.
 */
#include "site_copy.h"

#include "error.h"

#include <stdlib.h>

/* ---- What was here before ------------------------------------------------------------------------------------------- */

/* An own entry: value | named | index | matched. Equal ones lie together, the nameless in front. */
enum { VALUE_SHIFT = 26, INDEX_SHIFT = 1 };
#define NAMED   (UINT64_C(1) << 25)
#define MATCHED UINT64_C(1)
_Static_assert(RECENCY_LINE_BITS_MAX + 3 + INDEX_SHIFT < 25, "an index fits");

static uint64_t value_of(uint32_t time, unsigned bits)
{
    return (uint64_t)time << 3 | bits;
}

static uint64_t own_entry(const struct recency *table, const _Atomic uint64_t *at, uint64_t cell)
{
    return (cell >> 30) << VALUE_SHIFT | (recency_is_named(cell) ? NAMED : 0) |
           (uint64_t)(at - table->cell) << INDEX_SHIFT;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int look(struct site *site, struct site_arrivals *arrivals)
{
    const struct recency *table = &site->table;
    size_t cells = (size_t)RECENCY_LINE << table->line_bits, used = 0;

    for (size_t i = 0; i < cells; i++)
        used += atomic_load_explicit(&table->cell[i], memory_order_relaxed) != 0;
    if (used > 0 && !(arrivals->own = malloc(used * sizeof *arrivals->own)))
        return error_set(COUNTER_ENOMEM, "no memory for the visitors of site %s", site->name);
    for (size_t i = 0; i < cells && arrivals->n < used; i++) {
        uint64_t cell = atomic_load_explicit(&table->cell[i], memory_order_relaxed);
        if (cell != 0)
            arrivals->own[arrivals->n++] = own_entry(table, &table->cell[i], cell);
    }
    if (arrivals->n > 0)
        qsort(arrivals->own, arrivals->n, sizeof *arrivals->own, ascending);
    arrivals->begun = true;
    return 0;
}

static size_t first_from(const struct site_arrivals *arrivals, uint64_t entry)
{
    size_t low = 0, high = arrivals->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (arrivals->own[middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The own entry of a visitor that was brought is spoken for. */
static void match_named(struct site_arrivals *arrivals, const struct recency *table, const struct recency_slot *slot)
{
    uint64_t entry = own_entry(table, slot->cell, slot->old);
    size_t i = first_from(arrivals, entry);
    if (i < arrivals->n && (arrivals->own[i] & ~MATCHED) == entry)
        arrivals->own[i] |= MATCHED;
}

/* One of the same value that is not spoken for, nameless or, if allowed, with a name. */
static bool match_value(struct site_arrivals *arrivals, uint64_t value, bool named)
{
    if (value != arrivals->value || arrivals->next == 0) {
        arrivals->value = value;
        arrivals->nth = 0;
        arrivals->next = first_from(arrivals, value << VALUE_SHIFT) + 1;
    }
    for (size_t i = arrivals->next - 1; i < arrivals->n; i++) {
        uint64_t entry = arrivals->own[i];
        if (entry >> VALUE_SHIFT != value || (!named && (entry & NAMED)))
            return false;
        arrivals->next = i + 2;
        if (entry & MATCHED)
            continue;
        arrivals->own[i] |= MATCHED;
        return true;
    }
    return false;
}

/* ---- Into the table ------------------------------------------------------------------------------------------------- */

/* An entry of that time is about to be dropped, or not to come in at all. 1 in the latter case. */
static int make_room(struct site *site, uint32_t victim, uint32_t time)
{
    bool comes = time > victim;
    uint32_t dropped = comes ? victim : time;
    int r = 0;

    if (dropped > atomic_load(&site->file->state.forgotten_until))
        r = site_forget(site, dropped);
    return r < 0 ? r : !comes;
}

static int take_named(struct site *site, struct site_arrivals *arrivals, const struct copy_visitor *visitor)
{
    uint32_t time = site_time(visitor->seen), there;
    struct recency_slot slot;
    unsigned bits;
    int r;

    recency_locate(&site->table, visitor->key, &slot);
    do {
        recency_find(&slot);
        there = recency_time(slot.old);
        bits = visitor->bits;
        if (slot.found) {
            match_named(arrivals, &site->table, &slot);
            if (there == time)
                bits |= recency_bits(slot.old);
            if (there > time || (there == time && bits == recency_bits(slot.old)))
                return 0;
        } else {
            if (match_value(arrivals, value_of(time, bits), false))
                return 0;
            if ((r = make_room(site, there, time)) != 0)
                return r < 0 ? r : 0;
        }
        if ((r = region_guard(&site->region, slot.cell, 8)) < 0)
            return r;
    } while (!recency_swap(&slot, time, bits));
    return 0;
}

static int take_nameless(struct site *site, struct site_arrivals *arrivals, const struct copy_visitor *visitor)
{
    uint32_t time = site_time(visitor->seen);
    struct recency_slot slot;
    int r;

    if (time <= atomic_load(&site->file->state.forgotten_until))
        return 0; /* it would count nowhere */
    bool here = match_value(arrivals, value_of(time, visitor->bits), true);
    uint64_t nth = arrivals->nth++;
    if (here)
        return 0;
    recency_locate_nameless(&site->table, time, visitor->bits, nth, &slot);
    do {
        recency_find_nameless(&slot, time, visitor->bits);
        if (slot.found)
            return 0;
        if ((r = make_room(site, recency_time(slot.old), time)) != 0)
            return r < 0 ? r : 0;
        if ((r = region_guard(&site->region, slot.cell, 8)) < 0)
            return r;
    } while (!recency_swap(&slot, time, visitor->bits));
    return 0;
}

/* What was counted this second may lack those who came. */
static void drop_kept(struct layout_state *state)
{
    for (int i = 0; i < KEPT; i++) {
        uint64_t before = atomic_load(&state->kept[i]);
        while (!atomic_compare_exchange_weak(&state->kept[i], &before, site_dropped(before)))
            ;
    }
}

static bool is_possible(const struct copy_visitor *visitor)
{
    uint64_t tag = visitor->key & ((UINT64_C(1) << (RECENCY_KEY_BITS - RECENCY_LINE_BITS_MAX - 1)) - 1);
    return visitor->seen >= SITE_FIRST && visitor->seen <= SITE_LAST && visitor->bits < 8 &&
           visitor->key >> RECENCY_KEY_BITS == 0 && (visitor->key == 0 || tag != 0);
}

int site_arrivals_take(struct site *site, struct site_arrivals *arrivals, const struct copy_visitor *visitor, size_t n)
{
    int r = arrivals->begun ? 0 : look(site, arrivals);

    for (size_t i = 0; r == 0 && i < n; i++) {
        if (!is_possible(&visitor[i]))
            r = error_set(COUNTER_EFORMAT, "the source of site %s gave a visitor that cannot be", site->name);
        else if (visitor[i].key != 0)
            r = take_named(site, arrivals, &visitor[i]);
        else
            r = take_nameless(site, arrivals, &visitor[i]);
    }
    drop_kept(&site->file->state);
    return r;
}

void site_arrivals_free(struct site_arrivals *arrivals)
{
    free(arrivals->own);
    *arrivals = (struct site_arrivals){0};
}
