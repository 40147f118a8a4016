/*
 * The numbers, against an independent exact count: streams as a portal has them, read at hundreds of moments.
 *
 * tests/support/oracle.c is the judge, trial.c says what must hold. Nothing here looks inside the library.
 */
#include "../support/oracle.h"
#include "../support/scale.h"
#include "../support/stream.h"
#include "../support/trial.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400, LEAD = 60, EXACT_VISITORS = 32768 };

static void need_zone(const char *zone)
{
    if (oracle_knows(zone))
        return;
    print_message("# the C library does not know the zone %s\n", zone);
    skip();
}

/* ---- Moments --------------------------------------------------------------------------------------------------------- */

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

static void read_at_moments(struct trial *trial, uint64_t *chance, size_t n, void (*then)(struct trial *))
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

/* ---- Forty days ------------------------------------------------------------------------------------------------------ */

/* The whole of one stream, into memory and into files. */
static void run_stream(const struct stream *stream, bool shuffled)
{
    struct stream part = *stream;
    struct oracle oracle;
    struct trial trial;

    need_zone(stream->zone);
    part.hits = scaled(stream->hits);
    part.visitors = scaled(stream->visitors);
    for (int file = 0; file <= 1; file++) {
        uint64_t seed = stream->seed + (uint64_t)file, chance = seed;
        stream_make(&part, &oracle, &chance);
        oracle_deliver(&oracle, shuffled ? stream_minute : NULL, &chance);
        trial_begin(&trial, &oracle, file, seed);
        trial.shuffled = shuffled;
        read_at_moments(&trial, &chance, scaled(500), NULL);
        trial_judge_series(&trial, true);
        trial_judge_site(&trial);
        if (stream->days > TRIAL_FORGET_DAYS + 1) /* a number that is no longer exact says so */
            assert_true(trial_look(&trial, trial_newest(&trial), 0).window[COUNTER_ALL_TIME].error > 0);
        trial_end(&trial);
        oracle_close(&oracle);
    }
}

static const struct stream saigon = {"Asia/Ho_Chi_Minh", COUNTER_MONDAY, 2025, 12, 5, 40, 200000, 40000, 101};
static const struct stream sao_paulo = {"America/Sao_Paulo", COUNTER_SUNDAY, 2018, 10, 15, 40, 200000, 40000, 202};
static const struct stream cairo = {"Africa/Cairo", COUNTER_SATURDAY, 2024, 4, 1, 40, 200000, 40000, 303};
static const struct stream new_york = {"America/New_York", COUNTER_MONDAY, 2025, 10, 20, 20, 50000, 10000, 404};

static void numbers_are_exact_over_a_new_year_in_saigon(void **state)
{
    (void)state;
    run_stream(&saigon, false);
}

static void numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo(void **state)
{
    (void)state;
    run_stream(&sao_paulo, false);
}

static void numbers_are_exact_where_a_day_begins_at_one_in_cairo(void **state)
{
    (void)state;
    run_stream(&cairo, false);
}

static void numbers_are_exact_where_an_hour_comes_twice_in_new_york(void **state)
{
    (void)state;
    run_stream(&new_york, false);
}

static void shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say(void **state)
{
    (void)state;
    run_stream(&saigon, true);
}

static void shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say(void **state)
{
    (void)state;
    run_stream(&sao_paulo, true);
}

static void shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say(void **state)
{
    (void)state;
    run_stream(&cairo, true);
}

/* ---- The box --------------------------------------------------------------------------------------------------------- */

enum { MONDAY = 1765126800 }; /* 2025-12-08T00:00:00+07:00 */

static void visit(struct counter *c, unsigned visitor, int64_t at, struct counter_stats *stats)
{
    char name[24];
    struct counter_hit hit = {.size = sizeof hit, .at = at, .visitor = name};
    snprintf(name, sizeof name, "visitor %u", visitor);
    if (counter_record(c, &hit, stats) != COUNTER_COUNTED)
        fail_msg("%s", counter_error());
}

/* `n` visitors from `first` on, evenly over some time. */
static void visitors(struct counter *c, unsigned first, unsigned n, int64_t from, int64_t seconds)
{
    for (unsigned i = 0; i < n; i++)
        visit(c, first + i, from + (int64_t)i * seconds / n, NULL);
}

static void assert_box(const struct counter_stats *stats)
{
    static const char rows[] = "online none; today none; this_week space; all_time none";
    static const char text[] = "Đang online: 6\n"
                               "Hôm nay:     617\n"
                               "Trong tuần:  12 766\n"
                               "Tất cả:      1257021\n";
    static const char *const html[] = {"Đang online:</span> <b class=\"counter-value\">6</b>",
                                       "Hôm nay:</span> <b class=\"counter-value\">617</b>",
                                       "Trong tuần:</span> <b class=\"counter-value\">12 766</b>",
                                       "Tất cả:</span> <b class=\"counter-value\">1257021</b>"};
    char buffer[4096];

    for (int w = COUNTER_TODAY; w <= COUNTER_ALL_TIME; w++)
        assert_true(stats->window[w].error == 0);
    assert_int_equal(counter_render(stats, COUNTER_TEXT, "vi", rows, buffer, sizeof buffer), sizeof text - 1);
    assert_string_equal(buffer, text);
    assert_in_range(counter_render(stats, COUNTER_HTML, NULL, rows, buffer, sizeof buffer), 1, sizeof buffer - 1);
    for (size_t i = 0; i < 4; i++)
        assert_non_null(strstr(buffer, html[i]));
}

/* 29 332 visitors of our own: two weeks of 18 000, then this week's, some of whom were there before. */
static void a_box_built_to_show_6_617_12766_and_1257021_shows_exactly_those(void **state)
{
    char folder[SCRATCH_PATH];
    struct counter_count old = {.visitors = 1257021 - 29332, .visits = 3000000, .hits = 9000000};
    struct counter_stats stats = {.size = sizeof stats};
    int64_t thursday = MONDAY + 3 * DAY, now = thursday + 10 * 3600 + 900;
    (void)state;

    scratch_make(folder);
    struct counter *c = scratch_open(folder, 1000);
    assert_non_null(c);
    visitors(c, 0, 18000, MONDAY - 14 * DAY, 14 * DAY);
    visitors(c, 18000 - 1234, 1234 + 11232, MONDAY, 3 * DAY); /* 12 466 until Wednesday */
    visitors(c, 18000, 317, thursday, 3600);                  /* of those */
    visitors(c, 0, 200, thursday + 3600, 3600);               /* of the weeks before */
    visitors(c, 29232, 100, thursday + 7200, 3600);           /* never seen before */
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    visit(c, 18000, now - 300, NULL); /* no longer online */
    for (unsigned i = 1; i <= 5; i++)
        visit(c, 18000 + i, i == 1 ? now - 299 : now - 60 * (int64_t)(6 - i), NULL);
    visit(c, 29233, now, &stats);
    assert_box(&stats);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 9000000 + 18000 + 12466 + 617 + 7);
    counter_close(c);

    c = scratch_open(folder, 1000);
    assert_int_equal(counter_read(c, NULL, now, &stats), 0);
    assert_box(&stats);
    counter_close(c);
    scratch_remove(folder);
}

/* ---- The switch to the estimate ------------------------------------------------------------------------------------- */

enum { CROWD = 210000, REGULARS = 3000 };

/* Three days of some thousands, a Thursday of 210 000, and a Friday like the first three. */
static void make_crowd(struct oracle *oracle, uint64_t *chance)
{
    oracle_open(oracle, "Asia/Ho_Chi_Minh", COUNTER_MONDAY, CROWD, CROWD + 66000);
    for (int day = 0; day < 5; day++)
        for (int i = 0; i < 4000; i++)
            oracle_add(oracle, (uint32_t)stream_below(chance, REGULARS),
                       MONDAY + day * DAY + stream_below(chance, DAY));
    for (int i = 0; i < CROWD + 46000; i++)
        oracle_add(oracle, (uint32_t)(i < CROWD ? i : stream_below(chance, CROWD)),
                   MONDAY + 3 * DAY + stream_below(chance, DAY));
    oracle_deliver(oracle, NULL, NULL);
}

/* The number goes on from the exact one: just past the switch it is far better than an estimate of the whole. */
static void judge_switch(const struct trial *trial, const struct counter_stats *stats)
{
    struct oracle_counts truth;
    oracle_count(trial->oracle, trial->fed, stats->at, &truth);
    int64_t off = stats->window[COUNTER_TODAY].visitors - truth.window[COUNTER_TODAY].visitors;
    if (llabs(off) > truth.window[COUNTER_TODAY].visitors / 250)
        fail_msg("%s, hit %zu: the switch is off by %lld of %lld", trial->what, trial->fed, (long long)off,
                 (long long)truth.window[COUNTER_TODAY].visitors);
}

static void read_every(struct trial *trial, size_t step)
{
    struct counter_stats stats;
    bool switched = false;

    while (trial->fed < trial->oracle->hits) {
        size_t left = trial->oracle->hits - trial->fed;
        trial_feed(trial, trial->fed + (left < step ? left : step));
        stats = trial_judge(trial, trial_newest(trial));
        if (trial_newest(trial) >= MONDAY + 4 * DAY)
            continue;
        bool exact = stats.window[COUNTER_TODAY].error == 0;
        assert_false(switched && exact);
        if (!switched && !exact && step <= 1000)
            judge_switch(trial, &stats);
        switched = !exact;
    }
    assert_true(switched);
    assert_true(stats.window[COUNTER_TODAY].error == 0);
    assert_true(stats.window[COUNTER_YESTERDAY].error > 0);
}

static void a_crowd_ends_exactness_without_lowering_a_number_or_touching_other_days(void **state)
{
    (void)state;
    need_zone("Asia/Ho_Chi_Minh");
    for (int file = 0; file <= 1; file++) {
        uint64_t seed = 505 + (uint64_t)file, chance = seed;
        struct oracle oracle;
        struct trial trial;
        make_crowd(&oracle, &chance);
        trial_begin(&trial, &oracle, file, seed);
        trial.exact_up_to = EXACT_VISITORS;
        read_every(&trial, 100000 / scaled(100));
        trial_judge_series(&trial, true);
        trial_end(&trial);
        oracle_close(&oracle);
    }
}

/* ---- Years ------------------------------------------------------------------------------------------------------------ */

/* Months in files: none that ended long before the retention. */
static void judge_months(const struct trial *trial)
{
    int32_t last = trial->oracle->hit[trial->oracle->hits - 1].date.day;
    char oldest[16];
    struct dirent *entry;
    int months = 0;
    DIR *list = opendir(trial->folder);

    assert_non_null(list);
    oracle_day_name(last - TRIAL_RETENTION_DAYS - 62, oldest);
    while ((entry = readdir(list)) != NULL)
        if (strstr(entry->d_name, ".days")) {
            assert_int_equal(strncmp(entry->d_name, "portal.", 7), 0);
            assert_true(strncmp(entry->d_name + 7, oldest, 7) >= 0);
            months++;
        }
    closedir(list);
    assert_in_range(months, 1, TRIAL_RETENTION_DAYS / 30 + 3);
}

static void refuse_what_is_older(const struct trial *trial)
{
    struct counter_hit hit = {.size = sizeof hit, .visitor = "anybody"};
    hit.at = trial_newest(trial) - (int64_t)TRIAL_RETENTION_DAYS * DAY - 1;
    assert_int_equal(counter_record(trial->c, &hit, NULL), COUNTER_ETIME);
}

static void of_800_days_the_last_400_stay_one_by_one_and_the_totals_for_ever(void **state)
{
    struct stream stream = {"Asia/Ho_Chi_Minh", COUNTER_MONDAY, 2023, 10, 1, 800, scaled(24000), scaled(3000), 606};
    struct oracle oracle;
    struct trial trial;
    (void)state;

    need_zone(stream.zone);
    for (int file = 0; file <= 1; file++) {
        uint64_t seed = stream.seed + (uint64_t)file, chance = seed;
        stream_make(&stream, &oracle, &chance);
        oracle_deliver(&oracle, NULL, NULL);
        trial_begin(&trial, &oracle, file, seed);
        read_at_moments(&trial, &chance, scaled(500), file ? trial_reopen : NULL);
        if (file) /* else months that have gone would be seen until the files are looked after again */
            trial_reopen(&trial);
        trial_judge_series(&trial, false);
        trial_judge_site(&trial);
        refuse_what_is_older(&trial);
        if (file)
            judge_months(&trial);
        trial_end(&trial);
        oracle_close(&oracle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_exact_over_a_new_year_in_saigon),
        cmocka_unit_test(numbers_are_exact_where_midnight_does_not_exist_in_sao_paulo),
        cmocka_unit_test(numbers_are_exact_where_a_day_begins_at_one_in_cairo),
        cmocka_unit_test(numbers_are_exact_where_an_hour_comes_twice_in_new_york),
        cmocka_unit_test(shuffled_by_a_minute_in_saigon_numbers_are_as_good_as_error_and_late_say),
        cmocka_unit_test(shuffled_by_a_minute_in_sao_paulo_numbers_are_as_good_as_error_and_late_say),
        cmocka_unit_test(shuffled_by_a_minute_in_cairo_numbers_are_as_good_as_error_and_late_say),
        cmocka_unit_test(a_box_built_to_show_6_617_12766_and_1257021_shows_exactly_those),
        cmocka_unit_test(a_crowd_ends_exactness_without_lowering_a_number_or_touching_other_days),
        cmocka_unit_test(of_800_days_the_last_400_stay_one_by_one_and_the_totals_for_ever),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
