/* stream.c: see stream.h. */
#include "stream.h"

enum { DAY = 86400 };

/* ---- Chance ----------------------------------------------------------------------------------------------------- */

uint64_t stream_draw(uint64_t *chance) /* splitmix64 */
{
    uint64_t x = *chance += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

int64_t stream_below(uint64_t *chance, int64_t n)
{
    return (int64_t)(stream_draw(chance) % (uint64_t)n);
}

/* ---- Streams ------------------------------------------------------------------------------------------------------ */

/* Percent of the evening's traffic, by the hours since the first day began. */
static const int rhythm[24] = {30, 16, 9,  6,  5,  8,  18, 40, 62,  74, 78, 76,
                               70, 68, 72, 74, 72, 70, 76, 90, 100, 98, 80, 52};

static int64_t second_of_traffic(const struct stream *stream, uint64_t *chance)
{
    int64_t since;
    do
        since = stream_below(chance, (int64_t)stream->days * DAY);
    while (stream_below(chance, 100) >= rhythm[since % DAY / 3600]);
    return since;
}

/* From one hit of a visit to the next: often soon, sometimes at once, now and then about where a visit ends. */
static int64_t next_gap(uint64_t *chance)
{
    int64_t kind = stream_below(chance, 100);
    return kind < 4    ? 1797 + stream_below(chance, 8)
           : kind < 12 ? 0
                       : 1 + stream_below(chance, stream_below(chance, 10) ? 90 : 900);
}

/*
 * Every second visit is somebody's first while there are such, the others are returns; a hundredth of the visitors
 * makes a third of those. A visit is of 2.5 hits on average.
 */
void stream_make(const struct stream *stream, struct oracle *oracle, uint64_t *chance)
{
    oracle_open(oracle, stream->zone, stream->week_start, (uint32_t)stream->visitors, stream->hits);
    int64_t first = oracle_noon(oracle, stream->year, stream->month, stream->day) - DAY / 2;
    int64_t end = first + (int64_t)stream->days * DAY;
    uint64_t newcomers = 0;

    while (oracle->hits < stream->hits) {
        bool newcomer = newcomers < stream->visitors && stream_below(chance, 2) == 0;
        double u = (double)stream_below(chance, 1000000) / 1e6;
        uint64_t visitor = newcomer ? newcomers++ : (uint64_t)(u * u * u * u * (double)stream->visitors);
        int64_t at = first + second_of_traffic(stream, chance);
        do
            oracle_add(oracle, (uint32_t)visitor, at);
        while ((at += next_gap(chance)) < end && stream_below(chance, 100) < 60);
    }
}

int64_t stream_minute(void *chance)
{
    return stream_below(chance, 61);
}
