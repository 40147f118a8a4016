/*
 * What every store promises about who is counted as whom: what is not counted, privacy signals, visitors that are
 * erased, identity keys that rotate. The same tests run at all places (places.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"

/* ---- What is not counted -------------------------------------------------------------------------------------------- */

static void a_breakdown_has_what_was_not_counted_largest_first(void **state)
{
    struct counter_options options = options_of(state);
    options.exclude = "192.0.2.0/24";
    options.privacy_signal = COUNTER_SIGNAL_HITS_ONLY;
    struct counter *c = open_with(&options);
    struct counter_hit hit = hit_of(NULL, MIDNIGHT);
    struct rows rows = {0};

    hit.address = "192.0.2.9";
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_OWN_ADDRESS);
    hit.flags = COUNTER_HIT_ALL;
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_COUNTED);
    hit.flags = COUNTER_HIT_PRIVACY;
    hit.address = "198.51.100.1";
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_PRIVACY_SIGNAL);
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_PRIVACY_SIGNAL);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, gather, &rows), 0);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.name[0], "privacy_signal");
    assert_int_equal(rows.count[0].hits, 2);
    assert_string_equal(rows.name[1], "own_address");
    assert_int_equal(rows.count[1].hits, 1);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 3); /* hits only: counted, without a visitor */
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    rows = (struct rows){.stop_after = 1};
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, gather, &rows), 17);
    counter_close(c);
}

static int signal_verdict(struct counter *c, const char *visitor, int64_t at)
{
    struct counter_hit hit = hit_of(visitor, at);
    hit.flags = COUNTER_HIT_PRIVACY;
    return counter_record(c, &hit, NULL);
}

static void a_privacy_signal_is_counted_or_is_only_a_hit_or_is_nothing(void **state)
{
    static const struct {
        enum counter_signal_policy policy;
        int verdict;
        int64_t hits, visitors, visits;
    } expected[] = {{0, COUNTER_COUNTED, 3, 2, 2},
                    {COUNTER_SIGNAL_COUNT, COUNTER_COUNTED, 3, 2, 2},
                    {COUNTER_SIGNAL_HITS_ONLY, COUNTER_PRIVACY_SIGNAL, 3, 1, 1},
                    {COUNTER_SIGNAL_SKIP, COUNTER_PRIVACY_SIGNAL, 1, 1, 1}};

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct counter_options options = options_of(state);
        char site[16];
        snprintf(site, sizeof site, "signal-%zu", i);
        options.site = site;
        options.privacy_signal = expected[i].policy;
        struct counter *c = open_with(&options);
        count(c, "an", MIDNIGHT);
        assert_int_equal(signal_verdict(c, "binh", MIDNIGHT + 1), expected[i].verdict);
        assert_int_equal(signal_verdict(c, "binh", MIDNIGHT + 2), expected[i].verdict);
        struct counter_stats stats = look(c, NULL, MIDNIGHT + 2);
        for (int w = 0; w <= COUNTER_ALL_TIME; w++) {
            assert_int_equal(stats.window[w].hits, expected[i].hits);
            assert_int_equal(stats.window[w].visitors, expected[i].visitors);
            assert_int_equal(stats.window[w].visits, expected[i].visits);
            assert_true(stats.window[w].error == 0);
        }
        assert_int_equal(stats.online, expected[i].visitors);
        struct rows hours = series(c, NULL, NULL, COUNTER_BY_HOUR), sums = breakdown(c, NULL, NULL);
        assert_int_equal(hours.count[0].hits, expected[i].hits);
        assert_int_equal(sums.n, expected[i].verdict ? 1 : 0);
        assert_int_equal(sums.count[0].hits, expected[i].verdict ? 2 : 0);
        counter_close(c);
    }
}

static void what_was_not_counted_is_totalled_by_its_day(void **state)
{
    struct counter_options options = options_of(state);
    options.exclude = "192.0.2.0/24";
    options.privacy_signal = COUNTER_SIGNAL_SKIP;
    struct counter *c = open_with(&options);
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.7"};
    for (int day = 0; day < 40; day++) {
        count(c, "an", MIDNIGHT + day * DAY + HOUR);
        for (int i = 0; i <= day; i++) {
            own.at = MIDNIGHT + day * DAY + HOUR + i;
            assert_int_equal(counter_record(c, &own, NULL), COUNTER_OWN_ADDRESS);
        }
    }
    assert_int_equal(signal_verdict(c, "binh", MIDNIGHT + 3 * DAY), COUNTER_PRIVACY_SIGNAL);
    struct rows rows = breakdown(c, "2026-01-04", "2026-01-04");
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.name[0], "own_address");
    assert_int_equal(rows.count[0].hits, 4);
    assert_string_equal(rows.name[1], "privacy_signal");
    assert_int_equal(rows.count[1].hits, 1);
    rows = breakdown(c, "2026-01-31", "2026-02-01"); /* of two months */
    assert_int_equal(rows.count[0].hits, 31 + 32);
    rows = breakdown(c, NULL, NULL);
    assert_int_equal(rows.count[0].hits, 40 * 41 / 2);
    rows = breakdown(c, "2025-01-01", "2025-12-31");
    assert_int_equal(rows.n, 0);
    assert_int_equal(hits_ever(c, MIDNIGHT + 39 * DAY + HOUR), 40);
    counter_close(c);
}

/* A hit that is not counted may come first, and does not move the site's clock. */
static void what_is_not_counted_makes_no_visitor_and_no_newest_hit(void **state)
{
    struct counter_options options = options_of(state);
    options.exclude = "192.0.2.0/24";
    struct counter *c = open_with(&options);
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.7", .at = MIDNIGHT + HOUR};
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_site site = {.size = sizeof site};

    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_record(c, &own, &stats), COUNTER_OWN_ADDRESS);
    for (int w = 0; w < COUNTER_WINDOWS; w++)
        assert_true(stats.window[w].hits <= 1 && stats.window[w].visitors <= 1);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_int_equal(site.since, MIDNIGHT);
    assert_int_equal(site.newest, MIDNIGHT);
    counter_close(c);
}

/* The first that a site hears of may be a hit that is not counted: it is there, and shows nothing. */
static void a_site_without_a_counted_hit_shows_zeros(void **state)
{
    struct counter_options options = options_of(state);
    options.exclude = "192.0.2.0/24";
    struct counter *c = open_with(&options);
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.7", .at = MIDNIGHT + HOUR};
    struct counter_site site = {.size = sizeof site};

    assert_int_equal(counter_record(c, &own, NULL), COUNTER_OWN_ADDRESS);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_int_equal(site.since, 0);
    assert_int_equal(site.newest, 0);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + HOUR);
    for (int w = 0; w < COUNTER_WINDOWS; w++)
        assert_true(stats.window[w].hits == 0 && stats.window[w].visitors == 0 && stats.window[w].error == 0);
    assert_int_equal(stats.online, 0);
    struct rows sums = breakdown(c, "2026-01-01", "2026-01-01"),
                days = series(c, "2026-01-01", "2026-01-01", COUNTER_BY_DAY);
    assert_int_equal(sums.n, 1);
    assert_int_equal(sums.count[0].hits, 1);
    assert_row(&days, 0, "2026-01-01", 0, 0, 0);
    count(c, "an", MIDNIGHT + HOUR);
    stats = look(c, NULL, MIDNIGHT + HOUR);
    assert_int_equal(HITS(stats, ALL_TIME), 1);
    counter_close(c);
}

/* ---- Erasing -------------------------------------------------------------------------------------------------------- */

static void an_erased_visitor_stays_counted_and_comes_back_as_a_new_one(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    count(c, "an", MIDNIGHT);
    count(c, "binh", MIDNIGHT);
    assert_int_equal(counter_erase(c, &hit), 1);
    assert_int_equal(counter_erase(c, &hit), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT).window[COUNTER_TODAY].visitors, 2);
    count(c, "binh", MIDNIGHT + 1);
    count(c, "an", MIDNIGHT + 1);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 3);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 4);
    counter_close(c);
}

static void only_the_visitor_that_was_named_is_erased(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = {.size = sizeof hit, .at = MIDNIGHT, .address = "198.51.100.1", .agent = "A"};
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.agent = "B";
    assert_int_equal(counter_erase(c, &hit), 0); /* never seen */
    hit.site = "nobody";
    assert_int_equal(counter_erase(c, &hit), COUNTER_ENOSITE);
    hit.site = NULL;
    hit.agent = "A";
    assert_int_equal(counter_erase(c, &hit), 1);
    assert_int_equal(look(c, NULL, MIDNIGHT + 10).online, 0);
    for (int i = 0; i < 5; i++) { /* each time a new one, all of the same second */
        assert_int_equal(counter_record(c, &hit, NULL), 0);
        assert_int_equal(counter_erase(c, &hit), 1);
    }
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 10);
    assert_int_equal(VISITORS(stats, TODAY), 6);
    assert_int_equal(HITS(stats, ALL_TIME), 6);
    assert_true(ERROR(stats, ALL_TIME) == 0);
    counter_close(c);
}

/* ---- Keys that rotate ------------------------------------------------------------------------------------------------ */

static struct counter *open_rotating(void **state, enum counter_rotation rotation)
{
    struct counter_options options = options_of(state);
    options.key_rotation = rotation;
    return open_with(&options);
}

static void without_rotation_a_visitor_is_one_for_ever(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_NEVER);
    for (int day = 0; day < 33; day++)
        count(c, "an", MIDNIGHT + day * DAY);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 32 * DAY);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 1);
    assert_int_equal(VISITORS(stats, LAST_MONTH), 1);
    assert_int_equal(VISITORS(stats, ALL_TIME), 1);
    assert_int_equal(stats.summed, 0);
    counter_close(c);
}

static void under_daily_keys_a_visit_goes_on_over_midnight_and_longer_windows_are_sums(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_DAILY);
    count(c, "an", MIDNIGHT + DAY - 100);
    count(c, "an", MIDNIGHT + DAY + 100);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 100);
    assert_int_equal(stats.online, 1);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_int_equal(VISITS(stats, TODAY), 0); /* it is yesterday's, going on */
    assert_int_equal(VISITS(stats, YESTERDAY), 1);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 2);
    assert_int_equal(VISITORS(stats, ALL_TIME), 2);
    assert_int_equal(stats.summed, COUNTER_WANT_ALL & ~(1u << COUNTER_TODAY | 1u << COUNTER_YESTERDAY));
    count(c, "an", MIDNIGHT + DAY + 200);
    count(c, "an", MIDNIGHT + DAY + 200 + 1801);
    stats = look(c, NULL, MIDNIGHT + DAY + 2001);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITS(stats, TODAY), 1);
    assert_int_equal(HITS(stats, TODAY), 3);
    counter_close(c);
}

/* In one batch, with both sides of midnight in it. */
static void under_daily_keys_many_hits_at_once_mean_the_same(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_DAILY);
    struct counter_hit hit[6] = {hit_of("an", MIDNIGHT + DAY - 100), hit_of("binh", MIDNIGHT + DAY - 90),
                                 hit_of("an", MIDNIGHT + DAY + 100), hit_of("binh", MIDNIGHT + DAY + 110),
                                 hit_of("an", MIDNIGHT + DAY + 110), hit_of("chi", MIDNIGHT + DAY + 120)};
    assert_int_equal(counter_record_many(c, hit, 6, NULL), 0);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 120);
    assert_int_equal(HITS(stats, TODAY), 4);
    assert_int_equal(HITS(stats, YESTERDAY), 2);
    assert_int_equal(VISITORS(stats, TODAY), 3);
    assert_int_equal(VISITORS(stats, YESTERDAY), 2);
    assert_int_equal(VISITS(stats, TODAY), 1);
    assert_int_equal(VISITS(stats, YESTERDAY), 2);
    assert_int_equal(stats.online, 3);
    assert_int_equal(stats.late, 0);
    counter_close(c);
}

static void an_hour_after_its_day_a_key_is_gone_and_a_late_hit_has_no_name(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_DAILY);
    count(c, "an", MIDNIGHT + DAY - 100);
    count(c, "an", MIDNIGHT + DAY + 3599); /* the key is still there: the same visitor, another visit */
    struct counter_stats stats = look(c, NULL, MIDNIGHT + DAY + 3599);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_int_equal(VISITS(stats, TODAY), 1);
    count(c, "binh", MIDNIGHT + DAY + 3600);
    count(c, "an", MIDNIGHT + DAY - 50);
    stats = look(c, NULL, MIDNIGHT + DAY + 3600);
    assert_int_equal(HITS(stats, YESTERDAY), 2);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_true(ERROR(stats, YESTERDAY) > 0);
    assert_int_equal(stats.late, 1);
    counter_close(c);
}

static void under_monthly_keys_visitors_are_one_within_the_month_only(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_MONTHLY);
    count(c, "an", MIDNIGHT + 29 * DAY);
    count(c, "an", MIDNIGHT + 30 * DAY); /* 2026-01-31, a Saturday */
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 30 * DAY);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 1);
    assert_int_equal(VISITORS(stats, THIS_MONTH), 1);
    assert_int_equal(stats.summed & 1u << COUNTER_THIS_MONTH, 0);
    assert_int_equal(stats.summed & 1u << COUNTER_TODAY, 0);
    count(c, "an", MIDNIGHT + 31 * DAY); /* 2026-02-01, the same week */
    stats = look(c, NULL, MIDNIGHT + 31 * DAY);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 2);
    assert_int_equal(VISITORS(stats, THIS_MONTH), 1);
    assert_int_equal(VISITORS(stats, LAST_MONTH), 1);
    assert_int_equal(VISITORS(stats, THIS_YEAR), 2);
    assert_int_equal(VISITORS(stats, ALL_TIME), 2);
    assert_int_equal(stats.summed & 1u << COUNTER_THIS_MONTH, 0);
    assert_int_equal(stats.summed & 1u << COUNTER_THIS_WEEK, 1u << COUNTER_THIS_WEEK);
    assert_int_equal(stats.summed & 1u << COUNTER_ALL_TIME, 1u << COUNTER_ALL_TIME);
    counter_close(c);
}

/* Which numbers a rotating site gives must not depend on which handle made its keys. */
static void two_handles_share_the_keys_of_the_day(void **state)
{
    struct counter *a = open_rotating(state, COUNTER_ROTATION_DAILY), *b = open_rotating(state, COUNTER_ROTATION_DAILY);
    for (int i = 0; i < 12; i++)
        count(i % 2 ? a : b, "an", MIDNIGHT + i * DAY / 4);
    struct counter_stats stats = look(a, NULL, MIDNIGHT + 11 * DAY / 4);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_int_equal(VISITORS(stats, ALL_TIME), 3);
    assert_int_equal(HITS(stats, ALL_TIME), 12);
    counter_close(b);
    counter_close(a);
}

static void a_visitor_is_erased_under_the_key_of_its_day(void **state)
{
    struct counter *c = open_rotating(state, COUNTER_ROTATION_DAILY);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_erase(c, &hit), 1);
    assert_int_equal(counter_erase(c, &hit), 0);
    count(c, "an", MIDNIGHT + 1);
    assert_int_equal(VISITORS(look(c, NULL, MIDNIGHT + 1), TODAY), 2);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERYWHERE(a_breakdown_has_what_was_not_counted_largest_first),
        EVERYWHERE(a_privacy_signal_is_counted_or_is_only_a_hit_or_is_nothing),
        EVERYWHERE(what_was_not_counted_is_totalled_by_its_day),
        EVERYWHERE(what_is_not_counted_makes_no_visitor_and_no_newest_hit),
        EVERYWHERE(a_site_without_a_counted_hit_shows_zeros),
        EVERYWHERE(an_erased_visitor_stays_counted_and_comes_back_as_a_new_one),
        EVERYWHERE(only_the_visitor_that_was_named_is_erased),
        EVERYWHERE(without_rotation_a_visitor_is_one_for_ever),
        EVERYWHERE(under_daily_keys_a_visit_goes_on_over_midnight_and_longer_windows_are_sums),
        EVERYWHERE(under_daily_keys_many_hits_at_once_mean_the_same),
        EVERYWHERE(an_hour_after_its_day_a_key_is_gone_and_a_late_hit_has_no_name),
        EVERYWHERE(under_monthly_keys_visitors_are_one_within_the_month_only),
        WHERE_IT_STAYS(two_handles_share_the_keys_of_the_day),
        EVERYWHERE(a_visitor_is_erased_under_the_key_of_its_day),
    };
    return cmocka_run_group_tests_name("conformance_visitors", tests, NULL, places_end);
}
