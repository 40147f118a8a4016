/*
 * stream.h: hits as a portal has them, made up: the rhythm of a day, visits of several hits, few visitors who come often
 * and many who come once. The same seed gives the same stream.
 */
#ifndef TESTS_STREAM_H
#define TESTS_STREAM_H

#include "oracle.h"

struct stream {
    const char *zone;
    enum counter_weekday week_start;
    int year, month, day, days;         /* its first date */
    uint64_t hits, visitors, seed;
};

uint64_t stream_draw(uint64_t *chance);                 /* splitmix64 */
int64_t stream_below(uint64_t *chance, int64_t n);      /* 0 .. n - 1 */

/* Opens the oracle and fills it; oracle_deliver is left to the caller. */
void stream_make(const struct stream *stream, struct oracle *oracle, uint64_t *chance);

/* A delay for oracle_deliver: 0 to 60 s. Its argument is a uint64_t *chance. */
int64_t stream_minute(void *chance);

#endif
