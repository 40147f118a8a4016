/* scale.h: how much of a long test to run: COUNTER_TEST_SCALE, percent, for sanitizers and valgrind. */
#ifndef TESTS_SCALE_H
#define TESTS_SCALE_H

#include <stdint.h>
#include <stdlib.h>

/* n at the scale asked for, at least 1. */
static inline uint64_t scaled(uint64_t n)
{
    const char *text = getenv("COUNTER_TEST_SCALE");
    long percent = text ? strtol(text, NULL, 10) : 100;
    if (percent < 1 || percent > 100)
        percent = 100;
    uint64_t part = n * (uint64_t)percent / 100;
    return part ? part : 1;
}

#endif
