/* moments.c: see moments.h. */
#include "moments.h"

#include "stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LEAD = 60 };

void moments_need_zone(const char *zone)
{
    if (oracle_knows(zone))
        return;
    print_message("# the C library does not know the zone %s\n", zone);
    skip();
}

/* Where to stop and look: anywhere, soon after another such place, or at the first hits of a day. */
static void choose_moments(const struct oracle *oracle, uint64_t *chance, uint32_t *moment, size_t n)
{
    uint32_t last = (uint32_t)stream_below(chance, (int64_t)oracle->hits);

    for (size_t i = 0; i < n; i++) {
        int64_t kind = stream_below(chance, 10);
        if (kind < 4)
            last = last + 1 + (uint32_t)stream_below(chance, 3);
        else
            last = (uint32_t)stream_below(chance, (int64_t)oracle->hits);
        if (kind == 9)
            while (last > 0 && last < oracle->hits && oracle->hit[last].date.day == oracle->hit[last - 1].date.day)
                last++;
        last = last < oracle->hits ? last : (uint32_t)oracle->hits - 1;
        moment[i] = last;
    }
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The same moment again where that is allowed, or one from a minute before the newest hit to some minutes after it. */
static int64_t choose_at(const struct trial *trial, uint64_t *chance, int64_t last_at)
{
    int64_t kind = stream_below(chance, 4);
    if (kind == 0 && last_at >= trial_newest(trial) - LEAD)
        return last_at;
    return kind < 3 ? trial_newest(trial) : trial_newest(trial) - LEAD + stream_below(chance, 480);
}

void moments_judge(struct trial *trial, uint64_t *chance, size_t n, void (*then)(struct trial *))
{
    uint32_t *moment = calloc(n, sizeof *moment);
    int64_t at = 0;

    assert_non_null(moment);
    choose_moments(trial->oracle, chance, moment, n);
    qsort(moment, n, sizeof *moment, ascending);
    for (size_t i = 0; i < n; i++) {
        if (moment[i] < trial->fed) /* twice the same */
            continue;
        trial_feed(trial, moment[i]);
        if (stream_below(chance, 4) == 0 || trial->fed == 0) {
            trial_record(trial);
            continue;
        }
        trial_feed(trial, moment[i] + 1);
        at = choose_at(trial, chance, at);
        trial_judge(trial, at);
        if (then && i % 16 == 0)
            then(trial);
    }
    free(moment);
    trial_feed(trial, trial->oracle->hits);
    trial_judge(trial, trial_newest(trial));
}
