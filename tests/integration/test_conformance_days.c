/*
 * What every store promises about time: which day, week, month and year a hit is in, when a visit ends, what a late hit
 * can still tell, what is kept and what is refused. The same tests run at all places (places.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"
#include "../support/moments.h"

#include <time.h>

static struct counter *open_in(void **state, const char *zone)
{
    struct counter_options options = options_of(state);
    moments_need_zone(zone);
    options.timezone = zone;
    return open_with(&options);
}

/* ---- Windows -------------------------------------------------------------------------------------------------------- */

static void one_hit_is_one_of_everything(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + 5);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 6);
    assert_int_equal(stats.online, 1);
    assert_int_equal(stats.at, MIDNIGHT + 6);
    assert_int_equal(stats.summed, 0);
    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        bool past =
            w == COUNTER_YESTERDAY || w == COUNTER_LAST_WEEK || w == COUNTER_LAST_MONTH || w == COUNTER_LAST_YEAR;
        assert_int_equal(stats.window[w].visitors, !past);
        assert_int_equal(stats.window[w].visits, !past);
        assert_int_equal(stats.window[w].hits, !past);
        assert_true(stats.window[w].error == 0);
    }
    counter_close(c);
}

static void windows_that_are_not_wanted_stay_zero(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + 5);
    for (uint32_t want = 1; want <= COUNTER_WANT_ALL; want = want * 3 + 1) {
        struct counter_stats stats = {.size = sizeof stats, .want = want}, all = look(c, NULL, MIDNIGHT + 5);
        assert_int_equal(counter_read(c, NULL, MIDNIGHT + 5, &stats), 0);
        for (int w = 0; w < COUNTER_WINDOWS; w++)
            assert_int_equal(stats.window[w].hits, want >> w & 1 ? all.window[w].hits : 0);
    }
    counter_close(c);
}

static void a_visit_ends_after_thirty_minutes_and_online_after_five(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + 100);
    count(c, "an", MIDNIGHT + 100 + 1800);
    assert_int_equal(VISITS(look(c, NULL, MIDNIGHT + 1900), TODAY), 1);
    count(c, "an", MIDNIGHT + 1900 + 1801);
    assert_int_equal(VISITS(look(c, NULL, MIDNIGHT + 3701), TODAY), 2);
    assert_int_equal(look(c, NULL, MIDNIGHT + 3701 + 299).online, 1);
    assert_int_equal(look(c, NULL, MIDNIGHT + 3701 + 300).online, 0);
    counter_close(c);
}

static void a_visitor_is_in_a_window_once_however_often_it_comes(void **state)
{
    static const int day[] = {0, 0, 1, 1, 4, 5, 31, 32, 33, 33};
    struct counter *c = open_at(state);
    for (size_t i = 0; i < sizeof day / sizeof day[0]; i++) {
        count(c, "an", MIDNIGHT + day[i] * DAY + (int64_t)i * HOUR);
        struct counter_stats stats = look(c, NULL, MIDNIGHT + day[i] * DAY + (int64_t)i * HOUR);
        assert_int_equal(VISITORS(stats, TODAY), 1);
        assert_int_equal(VISITORS(stats, THIS_WEEK), 1);
        assert_int_equal(VISITORS(stats, THIS_MONTH), 1);
        assert_int_equal(VISITORS(stats, THIS_YEAR), 1);
        assert_int_equal(VISITORS(stats, ALL_TIME), 1);
        assert_int_equal(VISITS(stats, ALL_TIME), i + 1);
        assert_true(ERROR(stats, ALL_TIME) == 0);
    }
    counter_close(c);
}

static void a_day_that_ended_is_yesterday_and_then_only_in_the_series(void **state)
{
    struct counter *c = open_at(state);
    count_crowd(c, 0, 617, MIDNIGHT + 3600, 1);
    count(c, "crowd 5", MIDNIGHT + DAY + 1);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 2);
    assert_int_equal(VISITORS(stats, YESTERDAY), 617);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 617);
    assert_int_equal(HITS(stats, THIS_WEEK), 618);
    count(c, "crowd 6", MIDNIGHT + 5 * DAY);
    stats = look(c, NULL, MIDNIGHT + 5 * DAY);
    assert_int_equal(VISITORS(stats, LAST_WEEK), 617);
    assert_int_equal(VISITORS(stats, YESTERDAY), 0);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 1);
    struct rows rows = series(c, NULL, NULL, COUNTER_BY_DAY);
    assert_int_equal(rows.n, 6);
    assert_row(&rows, 0, "2026-01-01", 617, 617, 617);
    assert_row(&rows, 1, "2026-01-02", 1, 1, 1);
    assert_row(&rows, 2, "2026-01-03", 0, 0, 0);
    assert_row(&rows, 5, "2026-01-06", 1, 1, 1);
    counter_close(c);
}

static void a_visit_goes_on_over_midnight_and_belongs_to_the_day_it_began(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + DAY - 60);
    count(c, "an", MIDNIGHT + DAY + 60);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 60);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITS(stats, TODAY), 0);
    assert_int_equal(VISITS(stats, YESTERDAY), 1);
    assert_int_equal(VISITS(stats, ALL_TIME), 1);
    count(c, "binh", MIDNIGHT + 2 * DAY - 900);
    count(c, "chi", MIDNIGHT + 2 * DAY - 900);
    count(c, "binh", MIDNIGHT + 2 * DAY + 900); /* 30 minutes, to the second */
    assert_int_equal(VISITS(look(c, NULL, MIDNIGHT + 2 * DAY + 900), TODAY), 0);
    count(c, "chi", MIDNIGHT + 2 * DAY + 901);
    assert_int_equal(VISITS(look(c, NULL, MIDNIGHT + 2 * DAY + 901), TODAY), 1);
    counter_close(c);
}

/* The visitor's newest hit is known, and a late one is of its visit where it is at most 30 minutes older. */
static void a_late_hit_is_of_the_visit_within_thirty_minutes(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + 2 * HOUR);
    count(c, "an", MIDNIGHT + 2 * HOUR - 1800);
    assert_int_equal(VISITS(look(c, NULL, MIDNIGHT + 2 * HOUR), TODAY), 1);
    count(c, "an", MIDNIGHT + 2 * HOUR - 1801);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 2 * HOUR);
    assert_int_equal(VISITS(stats, TODAY), 2);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(stats.late, 2);
    counter_close(c);
}

static void a_reader_a_minute_behind_sees_the_day_that_just_ended(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + DAY - 50);
    count(c, "binh", MIDNIGHT + DAY - 40);
    count(c, "an", MIDNIGHT + DAY + 5);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY - 10);
    assert_int_equal(VISITORS(stats, TODAY), 2);
    assert_int_equal(HITS(stats, TODAY), 2);
    assert_int_equal(stats.online, 2);
    counter_close(c);
}

static void a_week_begins_on_the_day_that_the_site_was_created_with(void **state)
{
    static const enum counter_weekday first[] = {COUNTER_MONDAY, COUNTER_SATURDAY, COUNTER_SUNDAY};
    static const int64_t this_week[] = {7, 2, 1}; /* of eight days that end on a Sunday, 2026-01-04 */
    for (int i = 0; i < 3; i++) {
        struct counter_options options = options_of(state);
        options.week_start = first[i];
        struct counter *c = open_with(&options);
        char site[24];
        snprintf(site, sizeof site, "week-%d", i);
        for (int day = -4; day < 4; day++) {
            struct counter_hit hit = hit_of("an", MIDNIGHT + day * DAY + HOUR);
            hit.site = site;
            assert_int_equal(counter_record(c, &hit, NULL), 0);
        }
        struct counter_stats stats = look(c, site, MIDNIGHT + 3 * DAY + HOUR);
        assert_int_equal(HITS(stats, THIS_WEEK), this_week[i]);
        assert_int_equal(HITS(stats, LAST_WEEK), 8 - this_week[i]);
        counter_close(c);
    }
}

/* ---- Late hits ------------------------------------------------------------------------------------------------------ */

static void a_late_hit_counts_in_its_own_day_exactly(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT + DAY - 100);
    count(c, "binh", MIDNIGHT + DAY + 10);
    count(c, "binh", MIDNIGHT + DAY - 10); /* same visit, other day */
    count(c, "chi", MIDNIGHT + DAY - 20);  /* a new visitor of the day before */
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 20);
    assert_int_equal(VISITORS(stats, YESTERDAY), 3);
    assert_int_equal(HITS(stats, YESTERDAY), 3);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(VISITS(stats, THIS_WEEK), 3);
    assert_int_equal(VISITORS(stats, ALL_TIME), 3);
    assert_int_equal(stats.late, 1);
    assert_true(ERROR(stats, YESTERDAY) == 0);
    counter_close(c);
}

/* Yesterday, last week and last month each remember whether they had a visitor who was seen since. */
static void a_second_late_hit_of_a_visitor_makes_no_second_visitor(void **state)
{
    static const int before[] = {1, 7, 31};
    struct counter *c = open_at(state);
    for (int64_t i = 0; i < 3; i++) {
        const char *name[] = {"an", "binh", "chi"};
        count(c, "somebody", MIDNIGHT + HOUR + i);
        count(c, name[i], MIDNIGHT + HOUR + i);
        for (int k = 0; k < 3; k++)
            count(c, name[i], MIDNIGHT - before[i] * DAY + k * HOUR);
    }
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 2 * HOUR);
    assert_int_equal(VISITORS(stats, TODAY), 4);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_int_equal(VISITORS(stats, LAST_WEEK), 1);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 4);
    assert_int_equal(VISITORS(stats, LAST_MONTH), 3);
    assert_int_equal(HITS(stats, LAST_MONTH), 9);
    assert_int_equal(VISITS(stats, ALL_TIME), 4 + 9);
    assert_true(ERROR(stats, YESTERDAY) == 0 && ERROR(stats, LAST_WEEK) == 0 && ERROR(stats, LAST_MONTH) == 0);
    counter_close(c);
}

static void what_a_late_hit_cannot_tell_shows_in_error(void **state)
{
    struct counter *c = open_at(state);
    for (int day = 0; day <= 3; day += 3)
        count_crowd(c, 0, 10, MIDNIGHT + day * DAY + 1000, 1);
    count(c, "crowd 3", MIDNIGHT + 5000); /* was it there already? its last day only is known */
    struct rows rows = series(c, "2026-01-01", "2026-01-01", COUNTER_BY_DAY);
    assert_int_equal(rows.count[0].hits, 11);
    assert_int_equal(rows.count[0].visitors, 10);
    assert_true(rows.count[0].error > 0.099 && rows.count[0].error < 0.101);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 3 * DAY + 2000);
    assert_true(ERROR(stats, TODAY) == 0 && ERROR(stats, THIS_WEEK) == 0 && ERROR(stats, ALL_TIME) == 0);
    assert_int_equal(VISITORS(stats, ALL_TIME), 10);
    counter_close(c);
}

static void visitors_not_seen_for_forget_days_are_forgotten(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit an = hit_of("an", MIDNIGHT);
    count(c, "an", MIDNIGHT + 100);
    count(c, "binh", MIDNIGHT + 34 * DAY);
    assert_true(ERROR(look(c, NULL, MIDNIGHT + 34 * DAY), ALL_TIME) == 0);
    count(c, "binh", MIDNIGHT + 36 * DAY);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 36 * DAY);
    assert_int_equal(VISITORS(stats, ALL_TIME), 2);
    assert_true(ERROR(stats, ALL_TIME) > 0);
    assert_true(ERROR(stats, THIS_MONTH) == 0);
    assert_int_equal(counter_erase(c, &an), 0);
    count(c, "an", MIDNIGHT + 37 * DAY); /* the sketch remembers that it was here */
    assert_int_equal(VISITORS(look(c, NULL, MIDNIGHT + 37 * DAY), ALL_TIME), 2);
    counter_close(c);
}

/* ---- What is kept, what is refused ---------------------------------------------------------------------------------- */

static void what_is_older_than_the_retention_is_refused(void **state)
{
    struct counter_options options = options_of(state);
    options.retention_days = 31;
    struct counter *c = open_with(&options);
    struct counter_hit many[3] = {hit_of("an", MIDNIGHT), hit_of("an", MIDNIGHT - 31 * DAY - 1),
                                  hit_of("an", MIDNIGHT)};
    struct counter_tally tally = {.size = sizeof tally};
    count(c, "an", MIDNIGHT);
    count(c, "binh", MIDNIGHT - 31 * DAY);
    assert_error(try_count(c, "chi", MIDNIGHT - 31 * DAY - 1), COUNTER_ETIME, "retention_days");
    assert_int_equal(counter_record_many(c, many, 3, &tally), 0);
    assert_int_equal(tally.done, 3);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 2);
    assert_int_equal(hits_ever(c, MIDNIGHT), 4);
    counter_close(c);
}

/* Many hits of one day, of which one from the middle cannot be: the others are counted, and the first error is told. */
static void an_impossible_hit_among_many_of_its_day_is_the_only_one_refused(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit[5];
    struct counter_tally tally = {.size = sizeof tally};
    int64_t now = time(NULL) / DAY * DAY + 100; /* before now, and still on the same day after it */
    count(c, "an", now - 402 * DAY);
    for (int i = 0; i < 5; i++)
        hit[i] = hit_of("an", now - 2 * DAY + i);
    assert_int_equal(counter_record_many(c, hit, 5, &tally), 0);
    assert_int_equal(tally.done, 5);
    hit[1].at = now - 403 * DAY;
    assert_int_equal(counter_record_many(c, hit, 5, &tally), 0);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 4);
    assert_non_null(strstr(counter_error(), "retention_days"));
    assert_int_equal(hits_ever(c, now), 10);
    counter_close(c);
}

static void a_leap_of_more_than_400_days_waits_until_the_clock_is_accepted(void **state)
{
    struct counter *c = open_at(state);
    int64_t now = time(NULL), old = now - 900 * DAY;
    struct counter_tally tally = {.size = sizeof tally};
    struct counter_hit hit[2] = {hit_of("an", old + 400 * DAY + 1), hit_of("an", old + 1)};

    count(c, "an", old);
    assert_error(counter_record(c, &hit[0], NULL), COUNTER_ETIME, "accept");
    assert_int_equal(counter_record_many(c, hit, 2, &tally), 0);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 1);
    count(c, "an", old + 400 * DAY); /* the furthest that needs no word */
    assert_error(try_count(c, "an", now + 3600), COUNTER_ETIME, "future");
    assert_int_equal(counter_accept_clock(c, NULL), 0);
    count(c, "an", now - 10);
    assert_int_equal(hits_ever(c, now), 4);
    assert_error(counter_accept_clock(c, "nobody"), COUNTER_ENOSITE, "nobody");
    counter_close(c);
}

/* ---- Series --------------------------------------------------------------------------------------------------------- */

static void a_series_has_its_dates_and_zeros_in_between_and_can_be_left(void **state)
{
    struct counter *c = open_at(state);
    struct rows rows = {.stop_after = 2};
    count(c, "an", MIDNIGHT + HOUR);
    count(c, "binh", MIDNIGHT + 2 * HOUR);
    count(c, "an", MIDNIGHT + 2 * DAY + 23 * HOUR);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, gather, &rows), 17);
    assert_int_equal(rows.n, 2);
    rows = series(c, "2025-12-31", "2026-01-04", COUNTER_BY_DAY);
    assert_int_equal(rows.n, 5);
    assert_row(&rows, 0, "2025-12-31", 0, 0, 0);
    assert_row(&rows, 1, "2026-01-01", 2, 2, 2);
    assert_row(&rows, 2, "2026-01-02", 0, 0, 0);
    assert_row(&rows, 3, "2026-01-03", 1, 1, 1);
    assert_row(&rows, 4, "2026-01-04", 0, 0, 0);
    assert_int_equal(rows.start[1], MIDNIGHT);
    rows = series(c, "2026-01-01", "2026-01-01", COUNTER_BY_HOUR);
    assert_int_equal(rows.n, 24);
    assert_row(&rows, 0, "2026-01-01T00", 0, 0, 0);
    assert_row(&rows, 1, "2026-01-01T01", 0, 0, 1);
    assert_row(&rows, 2, "2026-01-01T02", 0, 0, 1);
    assert_int_equal(rows.start[23], MIDNIGHT + 23 * HOUR);
    counter_close(c);
}

static void dates_that_are_none_are_refused_and_a_range_upside_down_too(void **state)
{
    struct counter *c = open_at(state);
    struct rows rows = {0};
    count(c, "an", MIDNIGHT);
    assert_error(counter_series(c, NULL, "2026-02-30", NULL, COUNTER_BY_DAY, gather, &rows), COUNTER_EINVAL,
                 "2026-02-30");
    assert_error(counter_series(c, NULL, "yesterday", NULL, COUNTER_BY_DAY, gather, &rows), COUNTER_EINVAL,
                 "yesterday");
    assert_error(counter_breakdown(c, NULL, NULL, "2026-13-01", COUNTER_BY_VERDICT, gather, &rows), COUNTER_EINVAL,
                 "2026-13-01");
    assert_int_equal(counter_series(c, NULL, "2026-01-02", "2026-01-01", COUNTER_BY_DAY, gather, &rows),
                     COUNTER_EINVAL);
    assert_int_equal(counter_series(c, "nobody", NULL, NULL, COUNTER_BY_DAY, gather, &rows), COUNTER_ENOSITE);
    assert_int_equal(counter_breakdown(c, "nobody", NULL, NULL, COUNTER_BY_VERDICT, gather, &rows), COUNTER_ENOSITE);
    assert_int_equal(rows.n, 0);
    counter_close(c);
}

/* 2025-10-26: at three o'clock it is two again. */
static void an_hour_that_comes_twice_is_one_row_of_both(void **state)
{
    struct counter *c = open_in(state, "Europe/Berlin");
    int64_t day = 1761429600; /* 2025-10-26T00:00:00+02:00 */
    for (int hour = 0; hour < 25; hour++)
        count(c, "an", day + hour * HOUR + 60);
    struct rows rows = series(c, NULL, NULL, COUNTER_BY_HOUR);
    assert_int_equal(rows.n, 24);
    for (int hour = 0; hour < 24; hour++)
        assert_int_equal(rows.count[hour].hits, hour == 2 ? 2 : 1);
    struct counter_stats stats = look(c, NULL, day + 25 * HOUR - 1);
    assert_int_equal(HITS(stats, TODAY), 25);
    counter_close(c);
}

/* 2018-11-04: the day begins at one o'clock. */
static void a_day_without_a_midnight_begins_with_its_first_second(void **state)
{
    struct counter *c = open_in(state, "America/Sao_Paulo");
    int64_t first = 1541300400; /* 2018-11-04T01:00:00-02:00, a second after 2018-11-03T23:59:59-03:00 */
    count(c, "an", first - 1);
    count(c, "an", first);
    struct counter_stats stats = look(c, NULL, first);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(HITS(stats, YESTERDAY), 1);
    struct rows rows = series(c, "2018-11-04", "2018-11-04", COUNTER_BY_DAY);
    assert_int_equal(rows.start[0], first);
    rows = series(c, NULL, NULL, COUNTER_BY_DAY);
    assert_row(&rows, 0, "2018-11-03", 1, 1, 1);
    assert_row(&rows, 1, "2018-11-04", 1, 0, 1);
    counter_close(c);
}

/* 2011-12-30 was left out. */
static void a_date_that_the_zone_skipped_is_no_row(void **state)
{
    struct counter *c = open_in(state, "Pacific/Apia");
    int64_t saturday = 1325239200; /* 2011-12-31T00:00:00+14:00, a second after 2011-12-29T23:59:59-10:00 */
    count(c, "an", saturday - HOUR);
    count(c, "an", saturday + HOUR);
    struct counter_stats stats = look(c, NULL, saturday + HOUR);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(HITS(stats, THIS_WEEK), 2);
    struct rows rows = series(c, NULL, NULL, COUNTER_BY_DAY);
    assert_int_equal(rows.n, 2);
    assert_row(&rows, 0, "2011-12-29", 1, 1, 1);
    assert_row(&rows, 1, "2011-12-31", 1, 1, 1);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERYWHERE(one_hit_is_one_of_everything),
        EVERYWHERE(windows_that_are_not_wanted_stay_zero),
        EVERYWHERE(a_visit_ends_after_thirty_minutes_and_online_after_five),
        EVERYWHERE(a_visitor_is_in_a_window_once_however_often_it_comes),
        EVERYWHERE(a_day_that_ended_is_yesterday_and_then_only_in_the_series),
        EVERYWHERE(a_visit_goes_on_over_midnight_and_belongs_to_the_day_it_began),
        EVERYWHERE(a_reader_a_minute_behind_sees_the_day_that_just_ended),
        EVERYWHERE(a_week_begins_on_the_day_that_the_site_was_created_with),
        EVERYWHERE(a_late_hit_is_of_the_visit_within_thirty_minutes),
        EVERYWHERE(a_late_hit_counts_in_its_own_day_exactly),
        EVERYWHERE(a_second_late_hit_of_a_visitor_makes_no_second_visitor),
        EVERYWHERE(what_a_late_hit_cannot_tell_shows_in_error),
        EVERYWHERE(visitors_not_seen_for_forget_days_are_forgotten),
        EVERYWHERE(what_is_older_than_the_retention_is_refused),
        EVERYWHERE(an_impossible_hit_among_many_of_its_day_is_the_only_one_refused),
        EVERYWHERE(a_leap_of_more_than_400_days_waits_until_the_clock_is_accepted),
        EVERYWHERE(a_series_has_its_dates_and_zeros_in_between_and_can_be_left),
        EVERYWHERE(dates_that_are_none_are_refused_and_a_range_upside_down_too),
        EVERYWHERE(an_hour_that_comes_twice_is_one_row_of_both),
        EVERYWHERE(a_day_without_a_midnight_begins_with_its_first_second),
        EVERYWHERE(a_date_that_the_zone_skipped_is_no_row),
    };
    return cmocka_run_group_tests_name("conformance_days", tests, NULL, places_end);
}
