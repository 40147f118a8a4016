/*
 * The numbers where they meet their limits: a box that was built to show certain numbers, a crowd that ends exactness,
 * years of which the last 400 days are kept one by one. At every place where a store can live.
 */
#include "../support/moments.h"
#include "../support/scale.h"
#include "../support/stream.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

/* ---- The box --------------------------------------------------------------------------------------------------------- */

enum { MONDAY = 1765126800 }; /* 2025-12-08T00:00:00+07:00 */

static struct counter_hit hit_of(unsigned visitor, int64_t at, char name[24])
{
    snprintf(name, 24, "visitor %u", visitor);
    return (struct counter_hit){.size = sizeof(struct counter_hit), .at = at, .visitor = name};
}

static void visit(struct counter *c, unsigned visitor, int64_t at, struct counter_stats *stats)
{
    char name[24];
    struct counter_hit hit = hit_of(visitor, at, name);
    if (counter_record(c, &hit, stats) != COUNTER_COUNTED)
        fail_msg("%s", counter_error());
}

/* `n` visitors from `first` on, evenly over some time. */
static void visitors(struct counter *c, unsigned first, unsigned n, int64_t from, int64_t seconds)
{
    enum { BATCH = 256 };
    static struct counter_hit hit[BATCH];
    static char name[BATCH][24];

    for (unsigned done = 0; done < n; done += BATCH) {
        unsigned some = n - done < BATCH ? n - done : BATCH;
        for (unsigned i = 0; i < some; i++)
            hit[i] = hit_of(first + done + i, from + (int64_t)(done + i) * seconds / n, name[i]);
        if (counter_record_many(c, hit, some, NULL) < 0)
            fail_msg("%s", counter_error());
    }
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
    struct counter_options options = place_options(place_of(state));
    struct counter_count old = {.visitors = 1257021 - 29332, .visits = 3000000, .hits = 9000000};
    struct counter_stats stats = {.size = sizeof stats};
    int64_t thursday = MONDAY + 3 * DAY, now = thursday + 10 * 3600 + 900;
    struct counter *c;

    assert_int_equal(counter_open(&c, &options), 0);
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

    assert_int_equal(counter_open(&c, &options), 0);
    assert_int_equal(counter_read(c, NULL, now, &stats), 0);
    assert_box(&stats);
    counter_close(c);
}

/* ---- The switch to the estimate ------------------------------------------------------------------------------------- */

enum { CROWD = 210000, REGULARS = 3000, EXACT_VISITORS = 32768 };

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
    const struct place *place = place_of(state);
    uint64_t seed = 505 + place->kind, chance = seed;
    struct oracle oracle;
    struct trial trial;

    moments_need_zone("Asia/Ho_Chi_Minh");
    make_crowd(&oracle, &chance);
    trial_begin(&trial, &oracle, place, seed);
    trial.exact_up_to = EXACT_VISITORS;
    read_every(&trial, 100000 / scaled(100));
    trial_judge_series(&trial, true);
    trial_end(&trial);
    oracle_close(&oracle);
}

/* ---- Years ------------------------------------------------------------------------------------------------------------ */

/* Months in files: none that ended long before the retention. */
static void judge_months(const struct trial *trial)
{
    int32_t last = trial->oracle->hit[trial->oracle->hits - 1].date.day;
    char oldest[16];
    struct dirent *entry;
    int months = 0;
    DIR *list = opendir(trial->place->folder);

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
    const struct place *place = place_of(state);
    uint64_t seed = stream.seed + place->kind, chance = seed;
    bool stays = place->kind != PLACE_MEMORY;
    struct oracle oracle;
    struct trial trial;

    moments_need_zone(stream.zone);
    stream_make(&stream, &oracle, &chance);
    oracle_deliver(&oracle, NULL, NULL);
    trial_begin(&trial, &oracle, place, seed);
    moments_judge(&trial, &chance, scaled(500), stays ? trial_reopen : NULL);
    if (stays) /* else months that have gone would be seen until the files are looked after again */
        trial_reopen(&trial);
    trial_judge_series(&trial, false);
    trial_judge_site(&trial);
    refuse_what_is_older(&trial);
    if (place->kind == PLACE_FILE)
        judge_months(&trial);
    trial_end(&trial);
    oracle_close(&oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(a_box_built_to_show_6_617_12766_and_1257021_shows_exactly_those),
        IN_REDIS(a_box_built_to_show_6_617_12766_and_1257021_shows_exactly_those),
        IN_MEMORY(a_crowd_ends_exactness_without_lowering_a_number_or_touching_other_days),
        IN_FILES(a_crowd_ends_exactness_without_lowering_a_number_or_touching_other_days),
        IN_REDIS(a_crowd_ends_exactness_without_lowering_a_number_or_touching_other_days),
        IN_MEMORY(of_800_days_the_last_400_stay_one_by_one_and_the_totals_for_ever),
        IN_FILES(of_800_days_the_last_400_stay_one_by_one_and_the_totals_for_ever),
        IN_REDIS(of_800_days_the_last_400_stay_one_by_one_and_the_totals_for_ever),
    };
    return cmocka_run_group_tests_name("stream_limits", tests, NULL, places_end);
}
