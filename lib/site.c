/* site.c: opens a site's files, finds its months and frames, looks after write-back. See site.h and layout.h. */
#include "site.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void site_file_name(char *buffer, const char *site)
{
    snprintf(buffer, SITE_FILE_NAME, "%s.counter", site);
}

void site_month_name(char *buffer, const char *site, unsigned month)
{
    snprintf(buffer, SITE_FILE_NAME, "%s.%04u-%02u.days", site, LAYOUT_FIRST_YEAR + month / 12, month % 12 + 1);
}

uint64_t site_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int map_site(struct site *site, const struct site_plan *plan, bool create)
{
    char file[SITE_FILE_NAME];
    struct layout_header header;
    bool missing = site->folder < 0;
    int r = 0;

    site_file_name(file, site->name);
    if (site->folder >= 0)
        r = region_open(&site->region, site->folder, file, sizeof(struct layout_site), &missing);
    if (!missing)
        return r;
    if (!create)
        return error_set(COUNTER_ENOSITE, "there is no site %s", site->name);
    if ((r = header_new(&header, site->name, plan)) < 0)
        return r;
    struct region_plan made = {&header, sizeof header, layout_table_end(header.line_bits),
                               layout_site_size(header.line_bits)};
    if (site->folder < 0)
        return region_memory(&site->region, &made);
    if ((r = region_create(site->folder, file, &made)) < 0)
        return r;
    r = region_open(&site->region, site->folder, file, sizeof(struct layout_site), &missing);
    return missing ? error_set(COUNTER_EIO, "%s vanished while it was created", file) : r;
}

int site_open(struct site **out, int folder, const char *name, const struct site_plan *plan, uint32_t sync_ms,
              bool create)
{
    static _Atomic uint64_t serials;
    char file[SITE_FILE_NAME];
    int r;

    *out = NULL;
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        return error_set(COUNTER_ENOMEM, "no memory for site %s", name);
    snprintf(site->name, sizeof site->name, "%s", name);
    site_file_name(file, name);
    site->folder = folder;
    site->sync_ms = sync_ms;
    site->serial = atomic_fetch_add(&serials, 1) + 1;
    if ((r = map_site(site, plan, create)) < 0)
        goto fail;
    site->file = (struct layout_site *)site->region.base;
    if ((r = header_check_site(site->region.base, site->region.size, name, file)) < 0 ||
        (r = header_check_plan(&site->file->header, plan)) < 0 ||
        (r = zone_open(&site->zone, site->file->header.timezone)) < 0)
        goto fail;
    site->week_start = (enum counter_weekday)site->file->header.week_start;
    site->forget_days = site->file->header.forget_days;
    site->retention_days = site->file->header.retention_days;
    site->key_rotation = (enum counter_rotation)site->file->header.key_rotation;
    site->incarnation = site->file->header.incarnation;
    if (folder >= 0 &&
        (r = region_fill_holes(&site->region, folder, file, layout_table_end(site->file->header.line_bits))) < 0)
        goto fail;
    atomic_init(&site->keyed, plan->key_check != 0);
    site->table = (struct recency){site->file->cell, site->file->header.line_bits};
    site->year_sketch = (struct sketch *)(site->region.base + layout_table_end(site->table.line_bits));
    *out = site;
    return 0;
fail:
    site_close(site);
    return r;
}

static int verify(struct site *site);
static void flush_stray_months(struct site *site);

static void close_months(struct site_month *month)
{
    for (struct site_month *next; month; month = next) {
        next = month->next;
        region_close(&month->region);
        free(month);
    }
}

void site_close(struct site *site)
{
    if (!site)
        return;
    if (!atomic_load(&site->gone) && verify(site) == 0)
        flush_stray_months(site);
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++)
        close_months(atomic_load(&site->month[i]));
    close_months(atomic_load(&site->left));
    region_close(&site->region);
    key_list_free(&site->keys);
    zone_close(site->zone);
    free(site);
}

void site_detach(struct site *site)
{
    if (atomic_exchange(&site->detached, true))
        return;
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++) {
        struct site_month *month = atomic_load(&site->month[i]);
        if (month)
            region_detach(&month->region);
    }
    region_detach(&site->region);
}

/* The header is enough to know whose a month is, and must not be trusted further. */
static bool month_is_ours(const struct site *site, const char *file)
{
    struct layout_header header;
    int fd = openat(site->folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool whole = pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header;
    close(fd);
    return whole && header.incarnation == site->incarnation;
}

int site_remove(struct site *site)
{
    char file[SITE_FILE_NAME];

    if (site->folder < 0)
        return 0;
    site_file_name(file, site->name);
    if (unlinkat(site->folder, file, 0) < 0 && errno != ENOENT)
        return error_system(errno, "cannot remove %s", file);
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++) {
        site_month_name(file, site->name, i);
        if (month_is_ours(site, file) && unlinkat(site->folder, file, 0) < 0 && errno != ENOENT)
            return error_system(errno, "cannot remove %s", file);
    }
    return 0;
}

/* ---- Months and days ---------------------------------------------------------------------------------------------- */

unsigned site_month_index(struct period_date date)
{
    return (unsigned)((date.year - LAYOUT_FIRST_YEAR) * 12 + date.month - 1);
}

/* A month that another incarnation of the site left behind is moved aside, not overwritten and not counted. */
static int set_aside(const struct site *site, const char *file, uint64_t incarnation)
{
    char aside[SITE_FILE_NAME + 24];
    snprintf(aside, sizeof aside, "%s.%016" PRIx64, file, incarnation);
    if (renameat(site->folder, file, site->folder, aside) < 0 && errno != ENOENT)
        return error_system(errno, "%s belongs to an earlier site of that name and cannot be moved aside", file);
    return 0;
}

static int map_month(const struct site *site, struct region *region, const char *file, unsigned index, bool *missing)
{
    int r = region_open(region, site->folder, file, sizeof(struct layout_month), missing);
    if (r < 0)
        return r;
    const struct layout_header *header = &((struct layout_month *)region->base)->header;
    uint64_t incarnation = header->incarnation;
    r = header_check(header, file, LAYOUT_MONTH);
    bool ours = r == 0 && incarnation == site->incarnation && header->month == index;
    if (ours)
        r = region_fill_holes(region, site->folder, file, sizeof(struct layout_month));
    if (ours && r == 0)
        return 0;
    region_close(region);
    if (r < 0)
        return r;
    *missing = true;
    return set_aside(site, file, incarnation);
}

static int open_month(const struct site *site, struct region *region, unsigned index, bool create)
{
    char file[SITE_FILE_NAME];
    struct layout_header header = site->file->header;
    bool missing = site->folder < 0;
    int r;

    site_month_name(file, site->name, index);
    if (!missing) {
        r = map_month(site, region, file, index, &missing);
        if (!missing || (r < 0 && r != COUNTER_ENOSITE))
            return r;
    }
    if (!create)
        return COUNTER_ENOSITE;
    header_for_month(&header, index);
    struct region_plan plan = {&header, sizeof header, sizeof(struct layout_month), sizeof(struct layout_month)};
    if (site->folder < 0)
        return region_memory(region, &plan);
    if ((r = region_create(site->folder, file, &plan)) < 0)
        return r;
    r = map_month(site, region, file, index, &missing);
    return missing ? error_set(COUNTER_EIO, "%s vanished while it was created", file) : r;
}

int site_month(struct site *site, unsigned index, bool create, struct site_month **out)
{
    *out = index < LAYOUT_MONTHS ? atomic_load_explicit(&site->month[index], memory_order_acquire) : NULL;
    if (*out)
        return 0;
    if (index >= LAYOUT_MONTHS)
        return create ? error_set(COUNTER_ETIME, "months from 2000-01 to 2067-12 can be counted") : 0;
    struct site_month *month = calloc(1, sizeof *month), *first = NULL;
    if (!month)
        return error_set(COUNTER_ENOMEM, "no memory for a month of site %s", site->name);
    int r = open_month(site, &month->region, index, create);
    if (r < 0) {
        free(month);
        return r == COUNTER_ENOSITE ? 0 : r;
    }
    month->file = (struct layout_month *)month->region.base;
    if (!atomic_compare_exchange_strong(&site->month[index], &first, month)) {
        region_close(&month->region); /* another thread was first */
        free(month);
        month = first;
    }
    *out = month;
    return 0;
}

struct layout_day *site_day(const struct site_month *month, struct period_date date)
{
    return &month->file->day[date.day - 1];
}

struct sketch *site_day_sketch(const struct site_month *month, struct period_date date)
{
    return &month->file->sketch[date.day - 1];
}

struct layout_figure *site_figure(const struct site *site, const struct period_span *span, enum period_kind kind,
                                  bool previous)
{
    struct period_date first = previous ? span->previous_first : span->first;

    if (first.year < LAYOUT_FIRST_YEAR - 1 || first.year >= LAYOUT_FIRST_YEAR + LAYOUT_YEARS)
        return NULL;
    if (kind == PERIOD_WEEK) {
        /* Weeks begin every seven dates, whatever the clock does; the first week holds 2000-01-01 or its end. */
        int64_t days = period_days(first) - (RECENCY_EPOCH / 86400 - 6);
        return days >= 0 && days / 7 < LAYOUT_WEEKS ? &site->file->week[days / 7] : NULL;
    }
    if (first.year < LAYOUT_FIRST_YEAR)
        return NULL;
    return kind == PERIOD_MONTH ? &site->file->month[site_month_index(first)]
                                : &site->file->year[first.year - LAYOUT_FIRST_YEAR];
}

/* ---- Frames ------------------------------------------------------------------------------------------------------- */

const struct period_frame *site_frame(const struct site *site, int64_t t)
{
    enum { FRAMES = SITE_FRAMES + 1 };
    static _Thread_local struct {
        uint64_t serial, used;
        struct period_frame frame;
    } cache[FRAMES];
    static _Thread_local uint64_t asked;
    unsigned oldest = 0;

    asked++;
    for (unsigned i = 0; i < FRAMES; i++) {
        const struct period_span *day = &cache[i].frame.of[PERIOD_DAY];
        if (cache[i].serial == site->serial && t >= day->start && t < day->end) {
            cache[i].used = asked;
            return &cache[i].frame;
        }
        if (cache[i].used < cache[oldest].used)
            oldest = i;
    }
    cache[oldest].serial = site->serial;
    cache[oldest].used = asked;
    period_frame(&cache[oldest].frame, site->zone, site->week_start, t);
    return &cache[oldest].frame;
}

/* ---- Write-back --------------------------------------------------------------------------------------------------- */

static int flush_month(struct site *site, unsigned index, bool wait)
{
    char file[SITE_FILE_NAME];
    struct site_month *month = atomic_load(&site->month[index]);

    if (!month)
        return 0;
    site_month_name(file, site->name, index);
    return region_flush(&month->region, site->folder, file, wait);
}

static unsigned clock_month(const struct site *site)
{
    int64_t clock = site_moment(&site->file->state.clock);
    unsigned index = clock ? site_month_index(site_frame(site, clock)->date) : 0;
    return index < LAYOUT_MONTHS ? index : 0;
}

/* Months other than the clock's are written by late hits only; whoever wrote one starts its write-back. */
static void flush_stray_months(struct site *site)
{
    if (site->folder < 0 || !site->file || !site->zone)
        return;
    unsigned current = clock_month(site);
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++) {
        struct site_month *month = atomic_load_explicit(&site->month[i], memory_order_acquire);
        if (month && i != current && atomic_exchange(&month->region.written, false))
            flush_month(site, i, false);
    }
}

static void start_write_back(struct site *site)
{
    char file[SITE_FILE_NAME];

    site_file_name(file, site->name);
    region_flush(&site->region, site->folder, file, false);
    flush_month(site, clock_month(site), false);
}

/* Retention removed a month, or somebody put another file in its place. */
static void leave_month(struct site *site, unsigned index, struct site_month *month)
{
    struct site_month *head = atomic_load(&site->left), *expected = month;

    if (!atomic_compare_exchange_strong(&site->month[index], &expected, NULL))
        return;
    region_detach(&month->region);
    do
        month->next = head;
    while (!atomic_compare_exchange_weak(&site->left, &head, month));
}

/* 1 if the site's file has gone or was replaced. */
static int verify(struct site *site)
{
    char file[SITE_FILE_NAME];
    site_file_name(file, site->name);
    int r = region_verify(&site->region, site->folder, file);
    for (unsigned i = 0; r == 0 && i < LAYOUT_MONTHS; i++) {
        struct site_month *month = atomic_load_explicit(&site->month[i], memory_order_acquire);
        if (!month)
            continue;
        site_month_name(file, site->name, i);
        r = region_verify(&month->region, site->folder, file);
        atomic_fetch_add(&month->region.generation, 1);
        if (r > 0) {
            leave_month(site, i, month);
            r = 0;
        }
    }
    return r;
}

/* Once per sync_ms and process. */
static int tend(struct site *site, uint64_t now, bool just_opened)
{
    _Atomic uint64_t *synced = &site->file->state.synced;

    if (!just_opened) {
        int r = verify(site);
        if (r != 0)
            atomic_store(&site->gone, r > 0);
        if (r != 0)
            return r;
        atomic_fetch_add(&site->region.generation, 1);
        flush_stray_months(site);
    }
    uint64_t before = atomic_load(synced);
    if (!site->region.writable || now - before < site->sync_ms ||
        region_guard(&site->region, synced, sizeof *synced) < 0)
        return 0;
    /* Where it cannot be started the kernel does it later; counter_sync is the one who asks. */
    if (atomic_compare_exchange_strong(synced, &before, now))
        start_write_back(site);
    return 0;
}

int site_tend(struct site *site, uint64_t now)
{
    uint64_t last = atomic_load_explicit(&site->tended, memory_order_relaxed);

    if (site->folder < 0 || (now - last < site->sync_ms && last != 0))
        return 0;
    if (!atomic_compare_exchange_strong(&site->tended, &last, now))
        return 0;
    int r = tend(site, now, last == 0);
    if (r < 0)
        atomic_store(&site->tended, 1); /* a damaged file stays refused until it is mended */
    return r;
}

int site_sync(struct site *site)
{
    char file[SITE_FILE_NAME];

    if (site->folder < 0 || atomic_load(&site->gone))
        return 0;
    site_file_name(file, site->name);
    int r = region_flush(&site->region, site->folder, file, true);
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++) {
        int s = flush_month(site, i, true);
        r = r < 0 ? r : s;
    }
    return r;
}
