/*
 * What every store promises, through the public calls: counting, many hits at once, and two handles on one store. The
 * same tests run in memory, in files, on a Redis server and on a Redis cluster. Days and windows have their own in
 * test_conformance_days.c, sites in test_conformance_sites.c, who is counted as whom in test_conformance_visitors.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"

#include <stdlib.h>
#include <time.h>

/* ---- Counting ------------------------------------------------------------------------------------------------------- */

static void a_hit_answered_with_numbers_is_in_them(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT + 10);
    struct counter_stats stats = {.size = sizeof stats};
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_COUNTED);
    assert_int_equal(stats.at, MIDNIGHT + 10);
    assert_int_equal(stats.online, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 1);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits, 0); /* not in the box */
    hit = hit_of("binh", MIDNIGHT + 3);                        /* a little late: answered as of the newest */
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_COUNTED);
    assert_int_equal(stats.at, MIDNIGHT + 10);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 2);
    counter_close(c);
}

static void visitors_are_told_apart_by_name_or_by_address_and_agent(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = {.size = sizeof hit, .at = MIDNIGHT + 10, .address = "192.0.2.1", .agent = "A"};
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.agent = "B";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "::ffff:192.0.2.1"; /* the same address */
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "2001:db8:0:1::1";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "2001:db8:0:1::2"; /* the same network */
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.visitor = "anna";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.visitor = "annabel"; /* its first four bytes */
    hit.visitor_length = 4;
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT + 10).window[COUNTER_TODAY].visitors, 4);
    assert_int_equal(hits_ever(c, MIDNIGHT + 10), 7);
    counter_close(c);
}

static void hits_that_break_a_rule_are_refused_with_the_rule_and_count_nothing(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.site = "../portal";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "../portal");
    hit.site = ".portal";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, ".portal");
    hit.site = "";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "no site");
    hit = (struct counter_hit){.size = sizeof hit};
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "address");
    hit.address = "192.0.2.256";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "192.0.2.256");
    hit = hit_of("an", time(NULL) + 100);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "future");
    hit = hit_of("an", MIDNIGHT - 401 * DAY);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "retention_days");
    hit = hit_of("an", -1);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "-1");
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

static void a_site_that_was_never_counted_is_none(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats = {.size = sizeof stats};
    struct counter_site site = {.size = sizeof site};
    assert_int_equal(counter_read(c, NULL, 0, &stats), COUNTER_ENOSITE);
    assert_int_equal(counter_site(c, "other", &site), COUNTER_ENOSITE);
    assert_int_equal(counter_remove(c, "other"), COUNTER_ENOSITE);
    counter_close(c);
}

static void the_past_is_refused_by_name(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats = {.size = sizeof stats};
    count(c, "an", MIDNIGHT + 100);
    assert_int_equal(counter_read(c, NULL, MIDNIGHT + 40, &stats), 0);
    assert_error(counter_read(c, NULL, MIDNIGHT + 39, &stats), COUNTER_ETIME, "2026-01-01T00:01:40+07:00");
    counter_close(c);
}

/* ---- Many at once --------------------------------------------------------------------------------------------------- */

static void many_hits_of_mixed_sites_are_tallied(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit[200];
    struct counter_tally tally = {.size = sizeof tally};
    for (int i = 0; i < 200; i++) {
        hit[i] = hit_of("an", MIDNIGHT + i);
        hit[i].site = i % 3 ? "one" : "two";
    }
    hit[10].site = "a b";                                  /* refused: name */
    hit[20].at = time(NULL) + 1000;                        /* refused: time */
    hit[30] = (struct counter_hit){.size = sizeof hit[0]}; /* refused: nobody */
    assert_int_equal(counter_record_many(c, hit, 200, &tally), 0);
    assert_int_equal(tally.done, 200);
    assert_int_equal(tally.refused, 3);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 197);
    assert_non_null(strstr(counter_error(), "address"));
    assert_int_equal(look(c, "one", MIDNIGHT + 200).window[COUNTER_TODAY].hits, 133 - 2);
    assert_int_equal(look(c, "two", MIDNIGHT + 200).window[COUNTER_TODAY].hits, 67 - 1);
    assert_int_equal(counter_record_many(c, hit, 0, &tally), 0);
    assert_int_equal(tally.done, 0);
    counter_close(c);
}

static void the_error_told_is_the_one_that_stopped_it(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit[3] = {hit_of("an", MIDNIGHT), hit_of("an", time(NULL) + 1000), hit_of("an", MIDNIGHT)};
    struct counter_tally tally = {.size = sizeof tally};
    hit[2].size = 8;
    assert_error(counter_record_many(c, hit, 3, &tally), COUNTER_EINVAL, "hit 2");
    assert_int_equal(tally.done, 2);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 1);
    hit[0].size = 0; /* forgotten: nothing can be known of any */
    assert_error(counter_record_many(c, hit, 3, &tally), COUNTER_EINVAL, ".size is 0");
    assert_int_equal(tally.done, 0);
    counter_close(c);
}

static void a_store_that_cannot_count_stops_many_hits_instead_of_refusing_each(void **state)
{
    struct counter_options options = options_of(state);
    struct counter *c = open_with(&options);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    options.week_start = COUNTER_SUNDAY;
    c = open_with(&options);
    struct counter_hit hit[2] = {hit_of("an", MIDNIGHT), hit_of("an", MIDNIGHT)};
    hit[0].site = "a b";
    struct counter_tally tally = {.size = sizeof tally};
    assert_error(counter_record_many(c, hit, 2, &tally), COUNTER_ECONFLICT, "week_start");
    assert_int_equal(tally.done, 1);
    assert_int_equal(tally.refused, 1);
    counter_close(c);
}

/* A thread keeps what it works out of a day; many sites and many days must not get into each other's. */
static void one_thread_counts_many_sites_and_days_by_turns(void **state)
{
    enum { SITES = 7, HITS = 2900 };
    struct counter *c = open_at(state);
    int64_t hits[SITES] = {0}, newest = 0;
    char name[SITES][24], visitor[24];

    for (int i = 0; i < SITES; i++)
        snprintf(name[i], sizeof name[i], "site-%d", i);
    srand(1);
    for (int i = 0; i < HITS; i++) {
        int site = rand() % SITES;
        int64_t now = MIDNIGHT + (int64_t)i * 900;
        snprintf(visitor, sizeof visitor, "%d", i % 50);
        struct counter_hit hit = hit_of(visitor, now - rand() % 4 * DAY / 2);
        hit.site = name[site];
        assert_int_equal(counter_record(c, &hit, NULL), 0);
        hits[site]++;
        newest = hit.at > newest ? hit.at : newest;
        struct counter_stats stats = look(c, name[site], newest);
        assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, hits[site]);
        assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits + stats.window[COUNTER_LAST_YEAR].hits, hits[site]);
        assert_int_equal(stats.window[COUNTER_THIS_MONTH].hits + stats.window[COUNTER_LAST_MONTH].hits, hits[site]);
    }
    counter_close(c);
}

/* ---- What a caller brings and may do -------------------------------------------------------------------------------- */

static void an_older_caller_gets_the_members_it_knows(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats;
    memset(&stats, 0x55, sizeof stats);
    stats.size = offsetof(struct counter_stats, window) + sizeof(struct counter_count);
    stats.want = 0;
    stats.reserved = 0;
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_read(c, NULL, MIDNIGHT, &stats), 0);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 1);
    assert_int_equal(stats.window[COUNTER_THIS_WEEK].hits, INT64_C(0x5555555555555555));
    counter_close(c);
}

static void after_a_silence_of_years_a_clock_must_be_accepted(void **state)
{
    struct counter *c = open_at(state);
    int64_t now = time(NULL);
    count(c, "an", now - 900 * DAY);
    assert_error(try_count(c, "an", now), COUNTER_ETIME, "accept");
    assert_int_equal(counter_accept_clock(c, NULL), 0);
    count(c, "an", now);
    assert_int_equal(hits_ever(c, now), 2);
    counter_close(c);
}

/* ---- Two handles, one after the other or at once ------------------------------------------------------------------- */

static void options_that_differ_from_a_sites_are_refused_naming_both(void **state)
{
    static const struct {
        struct counter_options with;
        const char *says;
    } other[] = {
        {{.timezone = "+08:00"}, "+07:00, not +08:00"}, {{.week_start = COUNTER_SUNDAY}, "monday, not sunday"},
        {{.exact_visitors = 5000}, "32768, not 5000"},  {{.forget_days = 34}, "35, not 34"},
        {{.retention_days = 500}, "400, not 500"},      {{.key_rotation = COUNTER_ROTATION_DAILY}, "never, not daily"}};
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct counter_options options = options_of(state);
        options.timezone = other[i].with.timezone;
        options.week_start = other[i].with.week_start;
        options.exact_visitors = other[i].with.exact_visitors;
        options.forget_days = other[i].with.forget_days;
        options.retention_days = other[i].with.retention_days;
        options.key_rotation = other[i].with.key_rotation;
        c = open_with(&options);
        assert_error(try_count(c, "an", MIDNIGHT), COUNTER_ECONFLICT, other[i].says);
        counter_close(c);
    }
}

static void what_was_counted_is_there_when_it_is_opened_again(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct counter *c = open_at(state);
        count(c, "an", MIDNIGHT + i);
        assert_int_equal(counter_sync(c), 0);
        counter_close(c);
    }
    struct counter *c = open_at(state);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 3);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visits, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 3);
    counter_close(c);
}

static void two_handles_on_one_store_count_together(void **state)
{
    struct counter *a = open_at(state), *b = open_at(state);
    struct counter_stats stats = {.size = sizeof stats};
    for (int i = 0; i < 20; i++) {
        struct counter_hit hit = hit_of(i % 3 ? "an" : "binh", MIDNIGHT + i * 10);
        assert_int_equal(counter_record(i % 2 ? a : b, &hit, &stats), COUNTER_COUNTED);
        assert_int_equal(HITS(stats, TODAY), i + 1);
        assert_int_equal(VISITORS(stats, TODAY), i == 0 ? 1 : 2);
    }
    assert_int_equal(VISITS(stats, TODAY), 2);
    assert_int_equal(stats.online, 2);
    counter_close(a);
    stats = look(b, NULL, MIDNIGHT + 190);
    assert_int_equal(HITS(stats, ALL_TIME), 20);
    assert_int_equal(VISITORS(stats, ALL_TIME), 2);
    counter_close(b);
}

static void a_handle_notices_that_another_one_removed_the_site_whatever_it_is_asked(void **state)
{
    struct counter_count old = {.visitors = 5};
    struct counter *a = open_at(state), *b = open_at(state);
    struct counter_site site = {.size = sizeof site};
    struct rows rows = {0};

    for (int i = 0; i < 3; i++)
        count(a, "an", MIDNIGHT);
    assert_int_equal(counter_remove(b, NULL), 0);
    count(b, "an", MIDNIGHT);
    scratch_sleep_ms(150);
    assert_int_equal(counter_series(a, NULL, NULL, NULL, COUNTER_BY_DAY, gather, &rows), 0);
    assert_int_equal(rows.count[0].hits, 1);
    assert_int_equal(counter_remove(b, NULL), 0);
    count(b, "an", MIDNIGHT);
    scratch_sleep_ms(150);
    assert_int_equal(counter_baseline(a, NULL, &old), 0);
    assert_int_equal(counter_site(b, NULL, &site), 0);
    assert_int_equal(site.baseline.visitors, 5);
    counter_close(a);
    counter_close(b);
}

/* One that names no zone takes the site's own, and that of the site which took its place. */
static void a_handle_takes_up_the_zone_of_a_site_made_anew(void **state)
{
    struct counter_options own = options_of(state), other = own;
    own.timezone = NULL;
    other.timezone = "+08:00";
    struct counter *first = open_at(state), *second = open_with(&other), *c = open_with(&own);
    char text[26];

    count(first, "an", MIDNIGHT);
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_remove(first, NULL), 0);
    count(second, "an", MIDNIGHT - HOUR); /* there a new year has begun */
    scratch_sleep_ms(150);
    count(c, "an", MIDNIGHT - HOUR);
    struct counter_stats stats = look(c, NULL, MIDNIGHT - HOUR);
    assert_int_equal(HITS(stats, THIS_YEAR), 2);
    assert_int_equal(HITS(stats, ALL_TIME), 2);
    assert_int_equal(counter_local_time(c, NULL, MIDNIGHT - HOUR, text, sizeof text), 0);
    assert_string_equal(text, "2026-01-01T00:00:00+08:00");
    counter_close(first);
    counter_close(second);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERYWHERE(a_hit_answered_with_numbers_is_in_them),
        EVERYWHERE(visitors_are_told_apart_by_name_or_by_address_and_agent),
        EVERYWHERE(hits_that_break_a_rule_are_refused_with_the_rule_and_count_nothing),
        EVERYWHERE(a_site_that_was_never_counted_is_none),
        EVERYWHERE(the_past_is_refused_by_name),
        EVERYWHERE(many_hits_of_mixed_sites_are_tallied),
        EVERYWHERE(the_error_told_is_the_one_that_stopped_it),
        WHERE_IT_STAYS(a_store_that_cannot_count_stops_many_hits_instead_of_refusing_each),
        EVERYWHERE(one_thread_counts_many_sites_and_days_by_turns),
        EVERYWHERE(an_older_caller_gets_the_members_it_knows),
        EVERYWHERE(after_a_silence_of_years_a_clock_must_be_accepted),
        WHERE_IT_STAYS(options_that_differ_from_a_sites_are_refused_naming_both),
        WHERE_IT_STAYS(what_was_counted_is_there_when_it_is_opened_again),
        WHERE_IT_STAYS(two_handles_on_one_store_count_together),
        WHERE_IT_STAYS(a_handle_notices_that_another_one_removed_the_site_whatever_it_is_asked),
        WHERE_IT_STAYS(a_handle_takes_up_the_zone_of_a_site_made_anew),
    };
    return cmocka_run_group_tests_name("conformance", tests, NULL, places_end);
}
