/*
 * site_check.c: looks at everything of a site that can be looked at, and says what it means.
 *
 * Facts are told in a fixed order; the worst level is the result. Nothing is changed.
 */
#include "site_check.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct report {
    counter_fact_fn *each;
    void *arg;
    int worst, stopped;
};

__attribute__((format(printf, 5, 6))) static void tell(struct report *report, enum counter_level level,
                                                       const char *name, const char *why, const char *format, ...)
{
    char value[256];
    struct counter_fact fact = {.level = level, .name = name, .value = value, .why = why};
    va_list list;

    if (report->stopped)
        return;
    va_start(list, format);
    vsnprintf(value, sizeof value, format, list);
    va_end(list);
    if ((int)level > report->worst)
        report->worst = (int)level;
    report->stopped = report->each(report->arg, &fact);
}

static void tell_time(struct report *report, const struct site *site, const char *name, const char *why, int64_t t)
{
    char when[32];
    period_format(site->zone, t, when, sizeof when);
    tell(report, COUNTER_FACT, name, why, "%s", when);
}

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

static void check_owner(struct report *report, const struct stat *st)
{
    char buffer[1024], number[24];
    struct passwd user, *found = NULL;
    const char *owner = number;

    snprintf(number, sizeof number, "%u", (unsigned)st->st_uid);
    if (getpwuid_r(st->st_uid, &user, buffer, sizeof buffer, &found) == 0 && found)
        owner = found->pw_name;
    if (st->st_mode & 077)
        tell(report, COUNTER_WARNING, "owner", "others may read the file: chmod 600", "%s, mode %04o", owner,
             (unsigned)st->st_mode & 07777);
    else
        tell(report, COUNTER_FACT, "owner", "", "%s, mode %04o", owner, (unsigned)st->st_mode & 07777);
}

static void check_disk(struct report *report, const struct site *site, const struct stat *st)
{
    struct statvfs fs;
    char file[SITE_FILE_NAME];
    struct stat month;
    unsigned months = 0;
    int64_t bytes = (int64_t)st->st_blocks * 512;

    for (unsigned i = 0; i < LAYOUT_MONTHS; i++) {
        site_month_name(file, site->name, i);
        if (fstatat(site->folder, file, &month, AT_SYMLINK_NOFOLLOW) == 0) {
            months++;
            bytes += (int64_t)month.st_blocks * 512;
        }
    }
    tell(report, COUNTER_FACT, "disk", "the site's file and its months", "%" PRId64 " bytes, %u months", bytes, months);
    if ((size_t)st->st_blocks * 512 < recency_bytes(site->table.line_bits))
        tell(report, COUNTER_WARNING, "holes",
             "the file was copied sparse and may fail to grow: copy it with cp --sparse=never", "%lld of %lld bytes",
             (long long)st->st_blocks * 512, (long long)st->st_size);
    if (fstatvfs(site->folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < 2 * sizeof(struct layout_month))
        tell(report, COUNTER_WARNING, "space", "the next month's file may not fit", "%" PRIu64 " bytes free",
             (uint64_t)fs.f_bavail * fs.f_frsize);
}

static void check_files(struct report *report, const struct site *site, const char *path)
{
    char file[SITE_FILE_NAME];
    struct stat st;

    if (!path) {
        tell(report, COUNTER_FACT, "path", "gone when the program ends", "memory");
        return;
    }
    site_file_name(file, site->name);
    tell(report, COUNTER_FACT, "path", "", "%s/%s", path, file);
    if (fstatat(site->folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        tell(report, COUNTER_BROKEN, "file", "it vanished while it was looked at", "missing");
        return;
    }
    check_owner(report, &st);
    if (!site->region.writable)
        tell(report, COUNTER_WARNING, "access", "this user can show the counts, not count", "read-only");
    check_disk(report, site, &st);
}

/* ---- Settings and time ------------------------------------------------------------------------------------------------ */

static void check_time(struct report *report, const struct site *site)
{
    static const char *const weekday[] = {"",         "monday", "tuesday",  "wednesday",
                                          "thursday", "friday", "saturday", "sunday"};
    const struct layout_state *state = &site->file->state;
    int64_t now = (int64_t)(site_now() / 1000), clock = site_moment(&state->clock), since = site_moment(&state->since);
    struct period_frame frame;

    tell(report, COUNTER_FACT, "timezone", "fixed when the site was created", "%s", zone_name(site->zone));
    period_frame(&frame, site->zone, site->week_start, now);
    tell_time(report, site, "today", "began then", frame.of[PERIOD_DAY].start);
    tell(report, COUNTER_FACT, "week_start", "", "%s", weekday[site->week_start]);
    if (clock == 0) {
        tell(report, COUNTER_FACT, "newest", "", "no hit yet");
        return;
    }
    tell_time(report, site, "since", "the oldest hit", since);
    tell_time(report, site, "newest", "the newest hit: the site's clock", clock);
    if (clock > now + SITE_FUTURE)
        tell(report, COUNTER_WARNING, "clock",
             "the newest hit lies in this machine's future: one of the clocks was or is wrong", "%" PRId64 " s ahead",
             clock - now);
    if (now > clock + SITE_LEAP && atomic_load(&state->accepted) <= clock)
        tell(report, COUNTER_WARNING, "clock",
             "hits of today are refused until the machine's clock is accepted (counter check --accept-clock)",
             "%" PRId64 " days after the newest hit", (now - clock) / 86400);
}

/* ---- The table -------------------------------------------------------------------------------------------------------- */

struct fill {
    uint64_t used, known, ahead;
};

static struct fill look_through(const struct site *site, int64_t now)
{
    size_t cells = (size_t)RECENCY_LINE << site->table.line_bits;
    uint32_t limit = site_time(now + SITE_FUTURE);
    struct fill fill = {0};

    for (size_t i = 0; i < cells; i++) {
        uint64_t cell = atomic_load_explicit(&site->table.cell[i], memory_order_relaxed);
        fill.used += recency_time(cell) != 0;
        fill.known += (cell & ((UINT64_C(2) << RECENCY_TAG_BITS) - 1)) != 0;
        fill.ahead += recency_time(cell) > limit;
    }
    return fill;
}

static void check_table(struct report *report, const struct site *site)
{
    size_t cells = (size_t)RECENCY_LINE << site->table.line_bits;
    uint64_t forgotten = atomic_load(&site->file->state.forgotten_until);
    struct fill fill = look_through(site, (int64_t)(site_now() / 1000));

    tell(report, COUNTER_FACT, "exact_visitors", "a window is exact at least up to so many", "%" PRIu32,
         site->file->header.exact_visitors);
    tell(report, COUNTER_FACT, "table", "recency table", "%zu cells of 8 bytes, layout %d", cells, LAYOUT_VERSION);
    tell(report, COUNTER_FACT, "fill", "visitors seen, and of them still recognised", "%" PRIu64 " of %zu, %" PRIu64,
         fill.used, cells, fill.known);
    if (fill.ahead > 0)
        tell(report, COUNTER_WARNING, "ahead", "seen in this machine's future: they are not shown as online",
             "%" PRIu64 " visitors", fill.ahead);
    if (forgotten == 0)
        tell(report, COUNTER_FACT, "forgotten_until", "nobody was dropped: every window is exact", "never");
    else
        tell_time(report, site, "forgotten_until", "windows that began later are exact", site_utc(forgotten));
    tell(report, COUNTER_FACT, "forget_days", "a visitor not seen for so long is forgotten", "%" PRIu32,
         site->forget_days);
    static const char *const rotation[] = {"", "never", "monthly", "daily"};
    tell(report, COUNTER_FACT, "key_rotation",
         site->key_rotation > COUNTER_ROTATION_NEVER ? "longer windows are sums; old keys are destroyed" : "", "%s",
         rotation[site->key_rotation]);
    tell(report, COUNTER_FACT, "retention_days", "days kept one by one", "%" PRIu32, site->retention_days);
}

static void check_rest(struct report *report, struct site *site)
{
    const struct layout_state *state = &site->file->state;
    struct counter_count old;
    bool whole = site_baseline(site, &old);

    tell(report, COUNTER_FACT, "late", "hits older than their visitor's last", "%" PRIu64, atomic_load(&state->late));
    tell(report, whole ? COUNTER_FACT : COUNTER_WARNING, "baseline",
         whole ? "visitors, visits, hits of an older counter" : "the last one was torn by a crash: set it again",
         "%" PRId64 ", %" PRId64 ", %" PRId64, old.visitors, old.visits, old.hits);
}

/* Every month that is there must open. */
static void check_months(struct report *report, struct site *site)
{
    struct site_month *month;
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++)
        if (site_month(site, i, false, &month) < 0)
            tell(report, COUNTER_BROKEN, "month", counter_error(), "%04u-%02u", LAYOUT_FIRST_YEAR + i / 12, i % 12 + 1);
}

int site_check(struct site *site, const char *path, counter_fact_fn *each, void *arg)
{
    struct report report = {.each = each, .arg = arg};

    tell(&report, COUNTER_FACT, "site", "", "%s", site->name);
    check_files(&report, site, path);
    check_time(&report, site);
    check_table(&report, site);
    check_rest(&report, site);
    check_months(&report, site);
    return report.stopped ? report.stopped : report.worst;
}
