/*
 * The numbers, against an independent exact count: streams as a portal has them, read at hundreds of moments, at every
 * place where a store can live.
 *
 * tests/support/oracle.c is the judge, trial.c says what must hold. Nothing here looks inside the library.
 */
#include "../support/moments.h"
#include "../support/scale.h"
#include "../support/stream.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- Forty days ------------------------------------------------------------------------------------------------------ */

/* In Redis a hit costs ten times what it costs in files. */
static struct stream part_of(const struct stream *stream, enum place_kind kind)
{
    struct stream part = *stream;
    uint64_t share = kind < PLACE_REDIS ? 1 : 2;
    part.hits = scaled(stream->hits / share);
    part.visitors = scaled(stream->visitors / share);
    part.seed += kind;
    return part;
}

static void run_stream(void **state, const struct stream *stream, bool shuffled)
{
    const struct place *place = place_of(state);
    struct stream part = part_of(stream, place->kind);
    uint64_t chance = part.seed;
    struct oracle oracle;
    struct trial trial;

    moments_need_zone(stream->zone);
    stream_make(&part, &oracle, &chance);
    oracle_deliver(&oracle, shuffled ? stream_minute : NULL, &chance);
    trial_begin(&trial, &oracle, place, part.seed);
    trial.shuffled = shuffled;
    moments_judge(&trial, &chance, scaled(500), NULL);
    trial_judge_series(&trial, true);
    trial_judge_site(&trial);
    if (stream->days > TRIAL_FORGET_DAYS + 1) /* a number that is no longer exact says so */
        assert_true(trial_look(&trial, trial_newest(&trial), 0).window[COUNTER_ALL_TIME].error > 0);
    trial_end(&trial);
    oracle_close(&oracle);
}

static const struct stream saigon = {"Asia/Ho_Chi_Minh", COUNTER_MONDAY, 2025, 12, 5, 40, 200000, 40000, 101};
static const struct stream sao_paulo = {"America/Sao_Paulo", COUNTER_SUNDAY, 2018, 10, 15, 40, 200000, 40000, 202};
static const struct stream cairo = {"Africa/Cairo", COUNTER_SATURDAY, 2024, 4, 1, 40, 200000, 40000, 303};
static const struct stream new_york = {"America/New_York", COUNTER_MONDAY, 2025, 10, 20, 20, 50000, 10000, 404};

static void numbers_are_exact_over_a_new_year_in_saigon(void **state)
{
    run_stream(state, &saigon, false);
}

static void numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo(void **state)
{
    run_stream(state, &sao_paulo, false);
}

static void numbers_are_exact_where_a_day_begins_at_one_in_cairo(void **state)
{
    run_stream(state, &cairo, false);
}

static void numbers_are_exact_where_an_hour_comes_twice_in_new_york(void **state)
{
    run_stream(state, &new_york, false);
}

static void shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say(void **state)
{
    run_stream(state, &saigon, true);
}

static void shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say(void **state)
{
    run_stream(state, &sao_paulo, true);
}

static void shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say(void **state)
{
    run_stream(state, &cairo, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_MEMORY(numbers_are_exact_over_a_new_year_in_saigon),
        IN_FILES(numbers_are_exact_over_a_new_year_in_saigon),
        IN_REDIS(numbers_are_exact_over_a_new_year_in_saigon),
        IN_MEMORY(numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo),
        IN_FILES(numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo),
        IN_REDIS(numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo),
        IN_MEMORY(numbers_are_exact_where_a_day_begins_at_one_in_cairo),
        IN_FILES(numbers_are_exact_where_a_day_begins_at_one_in_cairo),
        IN_REDIS(numbers_are_exact_where_a_day_begins_at_one_in_cairo),
        IN_MEMORY(numbers_are_exact_where_an_hour_comes_twice_in_new_york),
        IN_FILES(numbers_are_exact_where_an_hour_comes_twice_in_new_york),
        IN_REDIS(numbers_are_exact_where_an_hour_comes_twice_in_new_york),
        IN_MEMORY(shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say),
        IN_FILES(shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say),
        IN_REDIS(shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say),
        IN_A_CLUSTER(shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say),
        IN_MEMORY(shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say),
        IN_FILES(shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say),
        IN_REDIS(shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say),
        IN_MEMORY(shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say),
        IN_FILES(shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say),
        IN_REDIS(shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, places_end);
}
