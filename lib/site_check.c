/*
 * site_check.c: looks at everything of a site that can be looked at, and says what it means.
 *
 * Facts are told in a fixed order; the worst level is the result. Nothing is changed.
 */
#include "site_check.h"

#include "error.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

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
        report_tell(report, COUNTER_WARNING, "owner", "others may read the file: chmod 600", "%s, mode %04o", owner,
                    (unsigned)st->st_mode & 07777);
    else
        report_tell(report, COUNTER_FACT, "owner", "", "%s, mode %04o", owner, (unsigned)st->st_mode & 07777);
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
    report_tell(report, COUNTER_FACT, "disk", "the site's file and its months", "%" PRId64 " bytes, %u months", bytes,
                months);
    if ((size_t)st->st_blocks * 512 < recency_bytes(site->table.line_bits))
        report_tell(report, COUNTER_WARNING, "holes",
                    "the file was copied sparse and may fail to grow: copy it with cp --sparse=never",
                    "%lld of %lld bytes", (long long)st->st_blocks * 512, (long long)st->st_size);
    if (fstatvfs(site->folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < 2 * sizeof(struct layout_month))
        report_tell(report, COUNTER_WARNING, "space", "the next month's file may not fit", "%" PRIu64 " bytes free",
                    (uint64_t)fs.f_bavail * fs.f_frsize);
}

static void check_files(struct report *report, const struct site *site, const char *path)
{
    char file[SITE_FILE_NAME];
    struct stat st;

    if (!path) {
        report_tell(report, COUNTER_FACT, "path", "gone when the program ends", "memory");
        return;
    }
    site_file_name(file, site->name);
    report_tell(report, COUNTER_FACT, "path", "", "%s/%s", path, file);
    if (fstatat(site->folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        report_tell(report, COUNTER_BROKEN, "file", "it vanished while it was looked at", "missing");
        return;
    }
    check_owner(report, &st);
    if (!site->region.writable)
        report_tell(report, COUNTER_WARNING, "access", "this user can show the counts, not count", "read-only");
    check_disk(report, site, &st);
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
    struct fill fill = look_through(site, (int64_t)(site_now() / 1000));

    report_tell(report, COUNTER_FACT, "table", "recency table", "%zu cells of 8 bytes, layout %d", cells,
                LAYOUT_VERSION);
    report_tell(report, COUNTER_FACT, "fill", "visitors seen, and of them still recognised",
                "%" PRIu64 " of %zu, %" PRIu64, fill.used, cells, fill.known);
    if (fill.ahead > 0)
        report_tell(report, COUNTER_WARNING, "ahead", "seen in this machine's future: they are not shown as online",
                    "%" PRIu64 " visitors", fill.ahead);
}

static struct report_site describe(const struct site *site)
{
    const struct layout_state *state = &site->file->state;
    uint64_t forgotten = atomic_load(&state->forgotten_until);
    struct report_site out = {.zone = site->zone,
                              .week_start = site->week_start,
                              .key_rotation = site->key_rotation,
                              .exact_visitors = site->file->header.exact_visitors,
                              .forget_days = site->forget_days,
                              .retention_days = site->retention_days,
                              .since = site_moment(&state->since),
                              .clock = site_moment(&state->clock),
                              .accepted = atomic_load(&state->accepted),
                              .forgotten = forgotten > 0 ? site_utc(forgotten) : 0,
                              .late = atomic_load(&state->late)};

    out.torn = !site_baseline(site, &out.baseline);
    return out;
}

/* Every month that is there must open. */
static void check_months(struct report *report, struct site *site)
{
    struct site_month *month;
    for (unsigned i = 0; i < LAYOUT_MONTHS; i++)
        if (site_month(site, i, false, &month) < 0)
            report_tell(report, COUNTER_BROKEN, "month", counter_error(), "%04u-%02u", LAYOUT_FIRST_YEAR + i / 12,
                        i % 12 + 1);
}

int site_check(struct site *site, const char *path, counter_fact_fn *each, void *arg)
{
    struct report report = {.each = each, .arg = arg};
    struct report_site about = describe(site);

    report_tell(&report, COUNTER_FACT, "site", "", "%s", site->name);
    check_files(&report, site, path);
    report_clock(&report, &about, (int64_t)(site_now() / 1000));
    check_table(&report, site);
    report_limits(&report, &about);
    report_sums(&report, &about);
    check_months(&report, site);
    return report_result(&report);
}
