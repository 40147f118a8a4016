/*
 * trial.h: a stream is fed to a store, and what the store shows is judged by the oracle at any moment.
 *
 * What must hold: hits exact always; visits off by no more than `late`; visitors exact where `error` is 0, else within
 * some standard errors; error 0 wherever the library promises it; online exact; no number of a period ever goes down.
 */
#ifndef TESTS_TRIAL_H
#define TESTS_TRIAL_H

#include "oracle.h"
#include "places.h"

enum { TRIAL_FORGET_DAYS = 35, TRIAL_RETENTION_DAYS = 400, TRIAL_PERIODS = 5, TRIAL_SLOTS = 64 };

struct trial {
    const struct oracle *oracle;
    struct counter *c;
    const struct place *place;
    char what[160];                     /* for messages */
    size_t fed;
    bool shuffled;
    int64_t exact_up_to;                /* visitors of a window that must come out exact */
    double sigmas;                      /* what an estimate may be off by, in standard errors */
    struct {
        int64_t period;
        struct counter_count count;
    } shown[TRIAL_PERIODS][TRIAL_SLOTS];
};

/* Opens the store of a place that is still empty. */
void trial_begin(struct trial *trial, const struct oracle *oracle, const struct place *place, uint64_t seed);
void trial_end(struct trial *trial);
void trial_reopen(struct trial *trial);                 /* closes and opens the store, which must show the same */

void trial_feed(struct trial *trial, size_t until);     /* delivers the hits up to there */
int64_t trial_newest(const struct trial *trial);        /* the time of the newest hit delivered */

struct counter_stats trial_look(const struct trial *trial, int64_t at, uint32_t want);

/* Reads the box, then all windows, and judges both; returns the latter. */
struct counter_stats trial_judge(struct trial *trial, int64_t at);

/* Delivers one hit by the call that answers with the numbers, and judges those. */
void trial_record(struct trial *trial);

/* The days of the stream as counter_series tells them; if all are kept also the hours. */
void trial_judge_series(const struct trial *trial, bool all_kept);
void trial_judge_site(const struct trial *trial);

#endif
