/*
 * store_file.c: the embedded store: a folder of mapped files, or the same in plain memory.
 *
 * Sites are opened when first asked for and stay open, found through a hash table of chains that only grow at their
 * heads, by compare-and-swap: no lock, so a fork finds nothing half done. A site whose file was replaced or removed is
 * detached and passed over from then on; it is freed at close, since another thread may still be inside.
 */
#include "store_file.h"

#include "error.h"
#include "names.h"
#include "site_check.h"
#include "site_keys.h"
#include "site_series.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Sites ---------------------------------------------------------------------------------------------------------- */

static unsigned chain_of(const char *name)
{
    return (unsigned)(sketch_hash(name, strlen(name)) % STORE_FILE_CHAINS);
}

static struct site *find(struct site *head, const char *name)
{
    for (struct site *site = head; site; site = site->next)
        if (strcmp(site->name, name) == 0 && !atomic_load_explicit(&site->gone, memory_order_relaxed))
            return site;
    return NULL;
}

/* The plan is the settings', but for a site that is copied. */
static int open_site(struct store_file *file, const char *name, const struct site_plan *as, bool create,
                     struct site **out)
{
    struct site_plan plan = as ? *as : store_file_plan(file->settings);
    struct identity_key key;
    int folder;
    int r = store_file_folder(file, create, &folder);

    if (r < 0)
        return r;
    r = store_file_key(file, create, &key);
    if (r < 0 && r != COUNTER_ENOSITE)
        return r;
    plan.key_check = r == 0 ? identity_check(&key) : 0;
    return site_open(out, file->path ? folder : -1, name, &plan, file->settings->sync_ms, create);
}

static int add_site(struct store_file *file, const char *name, const struct site_plan *as, bool create,
                    struct site **out)
{
    _Atomic(struct site *) *chain = &file->chain[chain_of(name)];
    struct site *head = atomic_load_explicit(chain, memory_order_acquire), *made;
    int r;

    if ((r = open_site(file, name, as, create, &made)) < 0)
        return r;
    do { /* another thread may have opened it meanwhile; in memory two would be two different sites */
        if ((*out = find(head, name)) != NULL) {
            site_close(made);
            return 0;
        }
        made->next = head;
    } while (!atomic_compare_exchange_weak(chain, &head, made));
    *out = made;
    return site_tend(made, site_now()); /* from now on its files are looked after */
}

/* Every call comes through here before it loads from a mapping, which a truncated file would make fatal. */
int store_file_site(struct store_file *file, const char *name, const struct site_plan *as, bool create,
                    struct site **out)
{
    _Atomic(struct site *) *chain = &file->chain[chain_of(name)];

    while ((*out = find(atomic_load_explicit(chain, memory_order_acquire), name)) != NULL) {
        int r = site_tend(*out, site_now());
        if (r != SITE_GONE)
            return r;
        site_detach(*out);
    }
    return add_site(file, name, as, create, out);
}

static int get_site(struct store_file *file, const char *name, bool create, struct site **out)
{
    return store_file_site(file, name, NULL, create, out);
}

/* ---- The contract --------------------------------------------------------------------------------------------------- */

/* A site that was opened while the store had lost its key must not be counted with a new one. */
static int check_key(struct site *site, const struct identity_key *key)
{
    struct site_plan plan = {.timezone = "", .key_check = identity_check(key)};
    if (atomic_load_explicit(&site->keyed, memory_order_relaxed))
        return 0;
    int r = header_check_plan(&site->file->header, &plan);
    if (r == 0)
        atomic_store_explicit(&site->keyed, true, memory_order_relaxed);
    return r;
}

static int file_keys(struct store *store, const char *name, int64_t at, _Bool create, struct identity_keys *out)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, create, &site);

    if (r < 0)
        return r;
    if (site->key_rotation > COUNTER_ROTATION_NEVER)
        return site_keys(site, at, create, out);
    *out = (struct identity_keys){.known = true};
    r = store_file_key(store_file_of(store), create, &out->current);
    return r < 0 ? r : check_key(site, &out->current);
}

static int refuse_past(const struct site *site, int64_t at, int64_t clock)
{
    char asked[32], newest[32];
    period_format(site->zone, at, asked, sizeof asked);
    period_format(site->zone, clock, newest, sizeof newest);
    return error_set(COUNTER_ETIME,
                     "%s lies more than 60 s before the newest hit of site %s, %s: what windows showed in the past is "
                     "not kept, a series has the days",
                     asked, site->name, newest);
}

static int file_read(struct store *store, const char *name, int64_t at, struct counter_stats *stats)
{
    struct site *site;
    int r;

    do {
        if ((r = get_site(store_file_of(store), name, false, &site)) < 0)
            return r;
        int64_t clock = site_moment(&site->file->state.clock);
        if (at != 0 && at < clock - SITE_FUTURE)
            return refuse_past(site, at, clock);
        r = site_read(site, at ? at : (int64_t)(site_now() / 1000), stats);
        if (r == SITE_GONE)
            site_detach(site);
    } while (r == SITE_GONE || (r == 0 && atomic_load(&site->detached)));
    return r;
}

static int file_record(struct store *store, const char *name, const struct store_hit *hits, size_t n, size_t *done,
                       struct counter_stats *stats)
{
    struct site *site = NULL;
    int r = 0;

    *done = 0;
    if (stats && ((r = get_site(store_file_of(store), name, true, &site)) < 0 ||
                  (r = site_read_ready(site, hits[n - 1].at, stats->want)) < 0))
        return r;
    while (*done < n) {
        if (!site && (r = get_site(store_file_of(store), name, true, &site)) < 0)
            return r;
        if ((r = site_record(site, &hits[*done])) < 0)
            return r;
        if (r == SITE_GONE)
            site_detach(site);
        if (atomic_load(
                &site->detached)) /* maybe by another thread while the hit was counted: in a file that is gone */
            site = NULL;
        else
            ++*done;
    }
    if (!stats || !site)
        return 0;
    int64_t clock = site_moment(&site->file->state.clock), at = hits[n - 1].at;
    r = site_read(site, at > clock ? at : clock, stats);
    return r == SITE_GONE ? file_read(store, name, 0, stats) : r;
}

static int file_series(struct store *store, const char *name, const char *from, const char *to, enum counter_step step,
                       counter_row_fn *each, void *arg)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);
    return r < 0 ? r : site_series(site, from, to, step, each, arg);
}

static int file_breakdown(struct store *store, const char *name, const char *from, const char *to,
                          enum counter_part part, counter_row_fn *each, void *arg)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);
    (void)part; /* COUNTER_BY_VERDICT is the only one */
    return r < 0 ? r : site_verdicts(site, from, to, each, arg);
}

static int file_site(struct store *store, const char *name, struct counter_site *out)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);

    if (r < 0)
        return r;
    const struct layout_header *header = &site->file->header;
    memcpy(out->name, site->name, sizeof out->name);
    memcpy(out->timezone, header->timezone, sizeof out->timezone);
    out->timezone[sizeof out->timezone - 1] = 0;
    out->week_start = site->week_start;
    out->exact_visitors = header->exact_visitors;
    out->forget_days = site->forget_days;
    out->retention_days = site->retention_days;
    out->key_rotation = site->key_rotation;
    out->since = site_moment(&site->file->state.since);
    out->newest = site_moment(&site->file->state.clock);
    site_baseline(site, &out->baseline);
    return 0;
}

static int file_local_time(struct store *store, const char *name, int64_t at, char *buffer, size_t size)
{
    struct site *site;
    struct zone *zone;
    int r = name ? get_site(store_file_of(store), name, false, &site) : COUNTER_ENOSITE;

    if (r == 0)
        period_format(site->zone, at, buffer, size);
    if (r != COUNTER_ENOSITE)
        return r;
    if ((r = zone_open(&zone, store_file_of(store)->settings->timezone)) < 0)
        return r;
    period_format(zone, at, buffer, size);
    zone_close(zone);
    return 0;
}

static int file_baseline(struct store *store, const char *name, const struct counter_count *old)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, true, &site);
    return r < 0 ? r : site_set_baseline(site, old);
}

static int file_erase(struct store *store, const char *name, uint64_t id)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);

    if (r < 0 || (r = region_guard(&site->region, site->file->cell, recency_bytes(site->table.line_bits))) < 0)
        return r;
    return recency_erase(&site->table, identity_short(id));
}

static int file_remove(struct store *store, const char *name)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);

    if (r < 0 || (r = site_remove(site)) < 0 || (r = site_keys_remove(site, NULL)) < 0)
        return r;
    atomic_store(&site->gone, true);
    site_detach(site);
    return 0;
}

static int file_accept_clock(struct store *store, const char *name)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);

    if (r < 0 || (r = region_guard(&site->region, &site->file->state, sizeof site->file->state)) < 0)
        return r;
    site_raise_time(&site->file->state.accepted, (int64_t)(site_now() / 1000));
    return 0;
}

static int file_check(struct store *store, const char *name, counter_fact_fn *each, void *arg)
{
    struct site *site;
    int r = get_site(store_file_of(store), name, false, &site);
    return r < 0 ? r : site_check(site, store_file_of(store)->path, each, arg);
}

static int file_sync(struct store *store)
{
    struct store_file *file = store_file_of(store);
    int r = 0;

    for (int i = 0; i < STORE_FILE_CHAINS; i++)
        for (struct site *site = atomic_load(&file->chain[i]); site; site = site->next) {
            int s = site_sync(site);
            r = r < 0 ? r : s;
        }
    return r;
}

static void file_close(struct store *store)
{
    struct store_file *file = store_file_of(store);

    for (int i = 0; i < STORE_FILE_CHAINS; i++)
        for (struct site *site = atomic_load(&file->chain[i]), *next; site; site = next) {
            next = site->next;
            site_close(site);
        }
    store_file_close_key(file);
    free(file);
}

/* ---- All sites, by name --------------------------------------------------------------------------------------------- */

static int list_memory(struct store_file *file, struct names *names)
{
    for (int i = 0; i < STORE_FILE_CHAINS; i++)
        for (struct site *site = atomic_load(&file->chain[i]); site; site = site->next)
            if (!atomic_load(&site->gone) && names_add(names, site->name, strlen(site->name)) < 0)
                return COUNTER_ENOMEM;
    return 0;
}

static int file_sites(struct store *store, counter_row_fn *each, void *arg)
{
    struct store_file *file = store_file_of(store);
    struct names names = {0};
    int folder = -1;
    int r = store_file_folder(file, false, &folder);

    if (r == COUNTER_ENOSITE)
        return 0; /* nothing was ever counted: no sites */
    if (r == 0)
        r = file->path ? names_of_folder(&names, folder) : list_memory(file, &names);
    if (r == 0)
        r = names_each(&names, each, arg);
    names_free(&names);
    return r;
}

static const struct store_ops file_ops = {
    .keys = file_keys,
    .record = file_record,
    .read = file_read,
    .series = file_series,
    .breakdown = file_breakdown,
    .sites = file_sites,
    .site = file_site,
    .local_time = file_local_time,
    .baseline = file_baseline,
    .erase = file_erase,
    .remove = file_remove,
    .accept_clock = file_accept_clock,
    .check = file_check,
    .give = store_file_give,
    .take = store_file_take,
    .give_key = store_file_give_key,
    .take_key = store_file_take_key,
    .sync = file_sync,
    .close = file_close,
};

int store_file_open(struct store **out, const struct settings *settings, const char *folder, _Bool network)
{
    *out = NULL;
    struct store_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(COUNTER_ENOMEM, "no memory for a store");
    file->store.ops = &file_ops;
    file->settings = settings;
    file->path = folder;
    file->network = network;
    atomic_store(&file->folder, -1);
    *out = &file->store;
    return 0;
}
