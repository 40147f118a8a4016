/* header.c: see header.h. */
#include "header.h"

#include "error.h"
#include "zone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t header_checksum(const struct layout_header *header)
{
    return sketch_hash(header, offsetof(struct layout_header, checksum));
}

static unsigned lines_for(uint32_t exact_visitors)
{
    unsigned bits = RECENCY_LINE_BITS;
    while (bits < RECENCY_LINE_BITS_MAX && UINT64_C(2) << bits < exact_visitors)
        bits++;
    return bits;
}

/* The header of a new site; opens its zone on the way, so that no file is made for an unknown one. */
int header_new(struct layout_header *header, const char *name, const struct site_plan *plan)
{
    struct zone *zone;
    int r = zone_open(&zone, plan->timezone);
    if (r < 0)
        return r;

    memset(header, 0, sizeof *header);
    memcpy(header->magic, LAYOUT_SITE, sizeof header->magic);
    header->version = LAYOUT_VERSION;
    header->week_start = plan->week_start ? plan->week_start : COUNTER_MONDAY;
    header->exact_visitors = plan->exact_visitors ? plan->exact_visitors : SETTINGS_EXACT_VISITORS;
    header->forget_days = plan->forget_days ? plan->forget_days : SETTINGS_FORGET_DAYS;
    header->retention_days = plan->retention_days ? plan->retention_days : SETTINGS_RETENTION_DAYS;
    header->key_rotation = plan->key_rotation ? plan->key_rotation : COUNTER_ROTATION_NEVER;
    header->line_bits = plan->line_bits ? plan->line_bits : lines_for(header->exact_visitors);
    header->key_check = plan->key_check;
    header->created = (int64_t)time(NULL);
    snprintf(header->site, sizeof header->site, "%s", name);
    snprintf(header->timezone, sizeof header->timezone, "%s", zone_name(zone));
    zone_close(zone);
    if (getrandom(&header->incarnation, sizeof header->incarnation, 0) != (ssize_t)sizeof header->incarnation)
        return error_system(errno, "the kernel gave no random bytes");
    header->checksum = header_checksum(header);
    return 0;
}

int header_check(const struct layout_header *header, const char *file, const char *magic)
{
    if (memcmp(header->magic, magic, sizeof header->magic) != 0)
        return error_set(COUNTER_EFORMAT, "%s is no file of a counter", file);
    if (header->version > LAYOUT_VERSION)
        return error_set(COUNTER_EFORMAT, "%s has layout %" PRIu32 ", newer than this library's %d", file,
                         header->version, LAYOUT_VERSION);
    if (header->version == 0 || header->checksum != header_checksum(header))
        return error_set(COUNTER_EFORMAT, "%s is damaged: its header does not match its checksum", file);
    return 0;
}

/* A header that passes its checksum was still written by somebody: what is used as a size or a name is checked. */
int header_check_site(const void *bytes, size_t length, const char *site, const char *file)
{
    const struct layout_header *header = bytes;
    int r;

    if (length < sizeof *header)
        return error_set(COUNTER_EFORMAT, "%s is truncated: %zu bytes", file, length);
    if ((r = header_check(header, file, LAYOUT_SITE)) < 0)
        return r;
    if (header->line_bits < 1 || header->line_bits > RECENCY_LINE_BITS_MAX || !memchr(header->site, 0, 65) ||
        !memchr(header->timezone, 0, ZONE_NAME) || header->week_start < 1 || header->week_start > 7 ||
        header->key_rotation < COUNTER_ROTATION_NEVER || header->key_rotation > COUNTER_ROTATION_DAILY ||
        header->forget_days < 1 || header->forget_days > 4000 || header->retention_days < 1 ||
        header->retention_days > 4000)
        return error_set(COUNTER_EFORMAT, "%s is damaged: its header holds impossible values", file);
    if (length < layout_site_size(header->line_bits))
        return error_set(COUNTER_EFORMAT, "%s is truncated: %zu bytes of %zu", file, length,
                         layout_site_size(header->line_bits));
    if (strcmp(header->site, site) != 0)
        return error_set(COUNTER_EFORMAT, "%s holds site %.64s: site files cannot be renamed", file, header->site);
    return 0;
}

void header_for_month(struct layout_header *header, unsigned month)
{
    memcpy(header->magic, LAYOUT_MONTH, sizeof header->magic);
    header->month = month;
    header->checksum = header_checksum(header);
}

static const char *weekday_name(uint32_t day)
{
    return day == COUNTER_MONDAY ? "monday" : day == COUNTER_SATURDAY ? "saturday" : "sunday";
}

static const char *rotation_name(uint32_t rotation)
{
    return rotation == COUNTER_ROTATION_DAILY ? "daily" : rotation == COUNTER_ROTATION_MONTHLY ? "monthly" : "never";
}

static int conflict(const char *site, const char *option, uint32_t asked, uint32_t has)
{
    if (asked == 0 || asked == has)
        return 0;
    return error_set(COUNTER_ECONFLICT, "site %s was created with %s %" PRIu32 ", not %" PRIu32, site, option, has,
                     asked);
}

/* "Z" and "UTC" are one zone; names are compared as a site would keep them. */
static int check_timezone(const struct layout_header *header, const char *asked)
{
    struct zone *zone;
    int r;

    if (!asked[0] || strcmp(asked, header->timezone) == 0)
        return 0;
    if ((r = zone_open(&zone, asked)) < 0)
        return r;
    if (strcmp(zone_name(zone), header->timezone) != 0)
        r = error_set(COUNTER_ECONFLICT, "site %s was created with timezone %s, not %s", header->site, header->timezone,
                      zone_name(zone));
    zone_close(zone);
    return r;
}

int header_check_plan(const struct layout_header *header, const struct site_plan *plan)
{
    const char *site = header->site;
    int r;

    if (plan->key_check && plan->key_check != header->key_check)
        return error_set(COUNTER_ECONFLICT,
                         "site %s was counted with another key than the store's: visitors would be strangers", site);
    if ((r = check_timezone(header, plan->timezone)) < 0)
        return r;
    if (plan->week_start && plan->week_start != header->week_start)
        return error_set(COUNTER_ECONFLICT, "site %s was created with week_start %s, not %s", site,
                         weekday_name(header->week_start), weekday_name(plan->week_start));
    if (plan->key_rotation && plan->key_rotation != header->key_rotation)
        return error_set(COUNTER_ECONFLICT, "site %s was created with key_rotation %s, not %s", site,
                         rotation_name(header->key_rotation), rotation_name(plan->key_rotation));
    if ((r = conflict(site, "exact_visitors", plan->exact_visitors, header->exact_visitors)) < 0 ||
        (r = conflict(site, "forget_days", plan->forget_days, header->forget_days)) < 0)
        return r;
    return conflict(site, "retention_days", plan->retention_days, header->retention_days);
}
