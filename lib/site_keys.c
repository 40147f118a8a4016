/* site_keys.c: see site_keys.h. */
#include "site_keys.h"

#include "error.h"
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum period_kind kind_of(const struct site *site)
{
    return site->key_rotation == COUNTER_ROTATION_DAILY ? PERIOD_DAY : PERIOD_MONTH;
}

/* "SITE.key-2026-11" or "SITE.key-2026-11-23": names of one site sort by time. */
static void name_of(const struct site *site, struct period_date date, char *buffer)
{
    int n = snprintf(buffer, SITE_FILE_NAME, "%s.key-%04d-%02d", site->name, date.year, date.month);
    if (kind_of(site) == PERIOD_DAY)
        snprintf(buffer + n, SITE_FILE_NAME - (size_t)n, "-%02d", date.day);
}

static int get(struct site *site, int64_t start, struct period_date first, bool create, struct identity_key *out)
{
    char name[SITE_FILE_NAME];
    int r;

    if (key_list_find(&site->keys, start, out))
        return 0;
    name_of(site, first, name);
    if (site->folder >= 0)
        r = folder_key(site->folder, name, create, out);
    else
        r = create ? identity_new_key(out) : COUNTER_ENOSITE;
    return r < 0 ? r : key_list_add(&site->keys, start, out);
}

/* ---- Destroying ----------------------------------------------------------------------------------------------------- */

int site_keys_remove(struct site *site, const struct period_date *first)
{
    char prefix[SITE_FILE_NAME], limit[SITE_FILE_NAME];
    struct dirent *entry;

    if (site->folder < 0)
        return 0;
    int length = snprintf(prefix, sizeof prefix, "%s.key-", site->name);
    if (first)
        name_of(site, *first, limit);
    int fd = openat(site->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        int r = error_system(errno, "cannot list the store's folder for old keys");
        if (fd >= 0)
            close(fd);
        return r;
    }
    while ((entry = readdir(list)) != NULL) {
        const char *name = entry->d_name;
        size_t rest = strncmp(name, prefix, (size_t)length) == 0 ? strspn(name + length, "0123456789-") : 0;
        if ((rest == 7 || rest == 10) && !name[(size_t)length + rest] && (!first || strcmp(name, limit) < 0))
            unlinkat(site->folder, name, 0);
    }
    closedir(list);
    return 0;
}

static int destroy_before(struct site *site, int64_t start, struct period_date first)
{
    int r = site_keys_remove(site, &first);

    key_list_wipe(&site->keys, start);
    if (r == 0)
        site_raise_time(&site->keys_destroyed, start);
    return r;
}

/* ---- Asking --------------------------------------------------------------------------------------------------------- */

int site_keys(struct site *site, int64_t t, bool create, struct identity_keys *out)
{
    enum period_kind kind = kind_of(site);
    int64_t clock = site_clock(site), now = t > clock ? t : clock;
    int r;

    *out = (struct identity_keys){0};
    if (t < SITE_FIRST || t > SITE_LAST || t > (int64_t)(site_now() / 1000) + SITE_FUTURE)
        return 0; /* will be refused; no key is made for it */
    int64_t newest_hit = site_moment(&site->file->state.clock);
    if (newest_hit != 0 && t > newest_hit + SITE_LEAP && t > atomic_load(&site->file->state.accepted))
        return 0; /* likewise, and none is destroyed */
    const struct period_span *newest = &site_frame(site, now)->of[kind];
    if (now >= newest->start + SITE_KEY_GRACE && atomic_load(&site->keys_destroyed) < newest->start &&
        (r = destroy_before(site, newest->start, newest->first)) < 0)
        return r;
    const struct period_span *span = &site_frame(site, t)->of[kind];
    if (now >= span->end + SITE_KEY_GRACE)
        return 0;
    if ((r = get(site, span->start, span->first, create, &out->current)) < 0)
        return r;
    out->known = true;
    if (now < span->start + SITE_KEY_GRACE) {
        r = get(site, span->previous, span->previous_first, false, &out->previous);
        out->has_previous = r == 0;
    }
    return r == COUNTER_ENOSITE ? 0 : r;
}

/* ---- Copying -------------------------------------------------------------------------------------------------------- */

static int give(struct site *site, int64_t start, struct period_date first, struct copy_taker *taker)
{
    struct copy_key key = {.first = first, .start = start};
    int r = get(site, start, first, false, &key.key);

    if (r < 0)
        return r == COUNTER_ENOSITE ? 0 : r;
    r = taker->key(taker, &key);
    explicit_bzero(&key, sizeof key);
    return r;
}

int site_keys_give(struct site *site, struct copy_taker *taker)
{
    int64_t clock = site_clock(site);
    int r;

    if (site->key_rotation <= COUNTER_ROTATION_NEVER || clock == 0)
        return 0;
    struct period_span span = site_frame(site, clock)->of[kind_of(site)];
    if (clock < span.start + SITE_KEY_GRACE && (r = give(site, span.previous, span.previous_first, taker)) < 0)
        return r;
    return give(site, span.start, span.first, taker);
}

static int compare(const struct site *site, const char *name, const struct identity_key *own,
                   const struct identity_key *given)
{
    if (memcmp(own, given, sizeof *own) == 0)
        return 0;
    return error_set(COUNTER_ECONFLICT,
                     "the target has another key %s than the source: visitors of site %s would be strangers", name,
                     site->name);
}

int site_keys_take(struct site *site, const struct copy_key *given, bool only_compare)
{
    char name[SITE_FILE_NAME];
    struct identity_key own;
    struct period_frame frame;
    int r;

    if (given->start < SITE_FIRST || given->start > SITE_LAST)
        return error_set(COUNTER_EFORMAT, "a key of site %s is of an impossible time", site->name);
    period_frame(&frame, site->zone, site->week_start, given->start);
    const struct period_span *span = &frame.of[kind_of(site)];
    if (span->start != given->start)
        return error_set(COUNTER_EFORMAT, "a key of site %s is of no day or month", site->name);
    if (site_clock(site) >= span->end + SITE_KEY_GRACE)
        return 0; /* destroyed here, for good */
    name_of(site, span->first, name);
    r = get(site, span->start, span->first, false, &own);
    if (r == 0)
        return compare(site, name, &own, &given->key);
    if (r != COUNTER_ENOSITE || only_compare)
        return r == COUNTER_ENOSITE ? 0 : r;
    own = given->key;
    if ((site->folder >= 0 && (r = folder_put_key(site->folder, name, &own)) < 0) ||
        (r = key_list_add(&site->keys, span->start, &own)) < 0)
        return r;
    return compare(site, name, &own, &given->key);
}
