/*
 * site_baseline.c: the totals of an older counter, shown in all time on top of our own.
 *
 * A baseline replaces the one before, so it is the one thing here that does not only grow; and it is three words. Each
 * one set gets a slot of its own, filled first and then made the last one by raising the number of baselines. A slot
 * carries a check of its words and number: one that a crash tore apart is not believed, and the one before holds.
 */
#include "site.h"

#include "error.h"

static uint64_t check_of(uint64_t number, const struct counter_count *count)
{
    int64_t words[4] = {(int64_t)number, count->visitors, count->visits, count->hits};
    return sketch_hash(words, sizeof words);
}

static bool load(const struct site *site, uint64_t number, struct counter_count *out)
{
    const struct layout_baseline *slot = &site->file->state.baselines[number % LAYOUT_BASELINES];
    *out = (struct counter_count){.visitors = atomic_load(&slot->visitors),
                                  .visits = atomic_load(&slot->visits),
                                  .hits = atomic_load(&slot->hits)};
    return atomic_load(&slot->check) == check_of(number, out) && out->visitors >= 0 && out->visits >= 0 &&
           out->hits >= 0;
}

bool site_baseline(const struct site *site, struct counter_count *out)
{
    uint64_t number = atomic_load(&site->file->state.baseline);

    if (number == 0 || load(site, number, out)) {
        if (number == 0)
            *out = (struct counter_count){0};
        return true;
    }
    if (number == 1 || !load(site, number - 1, out))
        *out = (struct counter_count){0};
    return false;
}

int site_set_baseline(struct site *site, const struct counter_count *old)
{
    struct layout_state *state = &site->file->state;
    uint64_t number = atomic_load(&state->baseline);
    int r = region_guard(&site->region, state, sizeof *state);

    if (r < 0)
        return r;
    do { /* lost to another setter: its baseline came first, ours goes into the next slot */
        struct layout_baseline *slot = &state->baselines[(number + 1) % LAYOUT_BASELINES];
        atomic_store(&slot->check, 0);
        atomic_store(&slot->visitors, old->visitors);
        atomic_store(&slot->visits, old->visits);
        atomic_store(&slot->hits, old->hits);
        atomic_store(&slot->check, check_of(number + 1, old));
    } while (!atomic_compare_exchange_strong(&state->baseline, &number, number + 1));
    return 0;
}
