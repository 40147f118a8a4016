/*
 * moments.h: a whole stream is fed to a store that is looked at again and again on the way: at any moment, soon after
 * another one, at the first hits of a day; at the newest hit, a minute before it or minutes after.
 */
#ifndef TESTS_MOMENTS_H
#define TESTS_MOMENTS_H

#include "trial.h"

/* Skips the test where the C library, and so the oracle, does not know the zone. */
void moments_need_zone(const char *zone);

/* Judges the store at n moments and at the end, and calls then (NULL: nothing) after every sixteenth. */
void moments_judge(struct trial *trial, uint64_t *chance, size_t n, void (*then)(struct trial *));

#endif
