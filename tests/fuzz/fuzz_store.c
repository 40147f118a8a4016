/*
 * Whatever bytes a site's files hold behind a believed header, counting and asking do not crash, and the numbers keep
 * their rules; whatever a header holds, only a sound one is believed.
 */
#include "header.h"
#include "site.h"

#include <stdlib.h>
#include <string.h>

enum { AT = 1767200400 }; /* 2026-01-01 in +07:00 */

static void require(int condition)
{
    if (!condition)
        abort();
}

static void try_header(const uint8_t *data, size_t length)
{
    struct layout_header *header = calloc(1, length > sizeof *header ? length : sizeof *header);
    require(header != NULL);
    memcpy(header, data, length);
    if (header_check_site(header, length, "portal", "portal.counter") == 0)
        require(length >= layout_site_size(header->line_bits));
    free(header);
}

static struct site *damaged_site(const uint8_t *data, size_t length)
{
    struct site_plan plan = {.timezone = "+07:00", .line_bits = 3};
    struct store_hit hit = {.at = AT, .id = 1};
    struct site *site;
    struct site_month *month;

    require(site_open(&site, -1, "portal", &plan, 1000, true) == 0);
    require(site_record(site, &hit) == 0 && site_month(site, 26 * 12, false, &month) == 0 && month);
    /* The input lies over the state and the figures, over the table, and over the days. */
    unsigned char *state = (unsigned char *)&site->file->state, *table = (unsigned char *)site->file->cell;
    for (size_t i = 0; i < length; i++) {
        if (i < 512)
            state[i] = data[i];
        else if (i < 1024)
            table[i - 512] = data[i];
        else if (i - 1024 < sizeof month->file->day)
            ((unsigned char *)month->file->day)[i - 1024] = data[i];
        else
            break;
    }
    return site;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};

    try_header(data, length);
    struct site *site = damaged_site(data, length);
    for (uint64_t i = 0; i < 40; i++) {
        struct store_hit hit = {.at = AT + (int64_t)(i * i) * 997, .id = i * UINT64_C(0x9e3779b97f4a7c15)};
        site_record(site, &hit);
    }
    if (site_read(site, AT + 1600000, &stats) == 0)
        for (int w = 0; w < COUNTER_WINDOWS; w++)
            require(stats.window[w].visitors >= 0 && stats.window[w].visits >= 0 && stats.window[w].hits >= 0 &&
                    stats.window[w].error >= 0 && stats.window[w].error <= 1);
    site_close(site);
    return 0;
}
