/*
 * What every store promises about its sites: what they were created with, their list, baseline and removal; names as
 * long as they may be and numbers as large as they can be; facts for whoever asks how a site is; the store's key. The
 * same tests run at all places (places.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"

/* ---- Sites and what they were created with ----------------------------------------------------------------------- */

static void sites_are_listed_by_name(void **state)
{
    struct counter *c = open_at(state);
    static const char *const names[] = {"zebra", "Ant", "bee.2", "bee-1"};
    struct rows rows = {0};
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 0);
    for (int i = 0; i < 4; i++) {
        struct counter_hit hit = hit_of("an", MIDNIGHT);
        hit.site = names[i];
        assert_int_equal(counter_record(c, &hit, NULL), 0);
    }
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 4);
    assert_string_equal(rows.name[0], "Ant");
    assert_string_equal(rows.name[1], "bee-1");
    assert_string_equal(rows.name[2], "bee.2");
    assert_string_equal(rows.name[3], "zebra");
    counter_close(c);
}

static void a_site_tells_what_it_was_created_with(void **state)
{
    struct counter_options options = options_of(state);
    options.timezone = "Europe/Berlin";
    options.week_start = COUNTER_SUNDAY;
    options.exact_visitors = 40000;
    options.forget_days = 20;
    options.retention_days = 100;
    struct counter *c = open_with(&options);
    struct counter_site site = {.size = sizeof site};
    struct counter_count old = {.visitors = 5, .visits = 6, .hits = 7};
    count(c, "an", MIDNIGHT + 50);
    count(c, "an", MIDNIGHT + 20);
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_string_equal(site.name, "portal");
    assert_string_equal(site.timezone, "Europe/Berlin");
    assert_int_equal(site.week_start, COUNTER_SUNDAY);
    assert_int_equal(site.exact_visitors, 40000);
    assert_int_equal(site.forget_days, 20);
    assert_int_equal(site.retention_days, 100);
    assert_int_equal(site.since, MIDNIGHT + 20);
    assert_int_equal(site.newest, MIDNIGHT + 50);
    assert_int_equal(site.baseline.visits, 6);
    counter_close(c);
}

static void a_local_time_is_in_the_sites_zone_or_the_options(void **state)
{
    struct counter *c = open_at(state);
    char text[26];
    assert_int_equal(counter_local_time(c, NULL, MIDNIGHT, text, sizeof text), 0);
    assert_string_equal(text, "2026-01-01T00:00:00+07:00");
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_local_time(c, "portal", MIDNIGHT + 1, text, sizeof text), 0);
    assert_string_equal(text, "2026-01-01T00:00:01+07:00");
    assert_int_equal(counter_local_time(c, NULL, MIDNIGHT, text, 25), COUNTER_EINVAL);
    counter_close(c);
}

static void an_unknown_zone_is_named_before_anything_is_counted(void **state)
{
    struct counter_options options = options_of(state);
    options.timezone = "Mars/Olympus";
    struct counter *c;
    int r = counter_open(&c, &options);
    if (r == 0)
        r = try_count(c, "an", MIDNIGHT);
    assert_error(r, COUNTER_EINVAL, "Mars/Olympus");
    counter_close(c);
}

static void the_last_baseline_is_shown_on_top_of_all_time_only(void **state)
{
    struct counter *c = open_at(state);
    struct counter_count old = {.visitors = 1000, .visits = 2000, .hits = 3000, .error = 9};
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 1001);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visits, 2001);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 3001);
    assert_true(stats.window[COUNTER_ALL_TIME].error == 0);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].visitors, 1);
    old = (struct counter_count){.visitors = 10};
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT).window[COUNTER_ALL_TIME].visitors, 11);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    old.hits = -1;
    assert_error(counter_baseline(c, NULL, &old), COUNTER_EINVAL, "-1 hits");
    counter_close(c);
}

static void a_removed_site_begins_anew(void **state)
{
    struct counter *c = open_at(state);
    struct rows rows = {0};
    for (int i = 0; i < 10; i++)
        count(c, "an", MIDNIGHT - i * 10 * DAY);
    assert_int_equal(counter_remove(c, NULL), 0);
    assert_int_equal(counter_remove(c, NULL), COUNTER_ENOSITE);
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 0);
    count(c, "an", MIDNIGHT - 5 * DAY);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 1);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 1);
    counter_close(c);
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static const char longest[] = "a.b-c_D0123456789012345678901234567890123456789012345678901234xy";

static void a_site_and_a_prefix_may_have_names_of_64_bytes(void **state)
{
    struct counter_options options = options_of(state);
    struct rows rows = {0};
    char prefix[65];

    assert_int_equal(strlen(longest), 64);
    snprintf(prefix, sizeof prefix, "%s%s", options.prefix, longest + strlen(options.prefix));
    options.prefix = prefix;
    options.site = longest;
    options.key_rotation = COUNTER_ROTATION_DAILY;
    struct counter *c = open_with(&options);
    for (int day = 0; day < 3; day++)
        count(c, "an", MIDNIGHT + day * DAY);
    assert_int_equal(hits_ever(c, MIDNIGHT + 2 * DAY), 3);
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_string_equal(rows.name[0], longest);
    assert_int_equal(counter_remove(c, NULL), 0);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    hit.site = "a.b-c_D0123456789012345678901234567890123456789012345678901234xyz";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "64");
    counter_close(c);
}

static void names_that_differ_in_case_or_a_dot_are_different_sites(void **state)
{
    static const char *const names[] = {"portal",         "Portal", "portal.", "portal-",
                                        "portal.counter", "key",    "sites",   "meta"};
    enum { NAMES = sizeof names / sizeof names[0] };
    struct counter *c = open_at(state);
    struct rows rows = {0};

    for (int i = 0; i < NAMES; i++)
        for (int k = 0; k <= i; k++) {
            struct counter_hit hit = hit_of("an", MIDNIGHT + k);
            hit.site = names[i];
            assert_int_equal(counter_record(c, &hit, NULL), 0);
        }
    for (int i = 0; i < NAMES; i++)
        assert_int_equal(HITS(look(c, names[i], MIDNIGHT + 10), ALL_TIME), i + 1);
    assert_int_equal(counter_remove(c, "key"), 0);
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, NAMES - 1);
    rows = (struct rows){.stop_after = 3};
    assert_int_equal(counter_sites(c, gather, &rows), 17);
    assert_int_equal(rows.n, 3);
    count(c, "an", MIDNIGHT + 20); /* as the same visitor: the store's key is still there */
    assert_int_equal(VISITORS(look(c, NULL, MIDNIGHT + 20), ALL_TIME), 1);
    counter_close(c);
}

/* ---- Limits, facts, keys ----------------------------------------------------------------------------------------- */

static void a_baseline_as_large_as_can_be_makes_no_number_negative(void **state)
{
    struct counter_count old = {.visitors = INT64_MAX, .visits = INT64_MAX - 1, .hits = INT64_MAX - 2};
    struct counter *c = open_at(state);
    struct counter_site site = {.size = sizeof site};

    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_int_equal(site.baseline.visitors, INT64_MAX);
    assert_int_equal(site.baseline.visits, INT64_MAX - 1);
    assert_int_equal(site.baseline.hits, INT64_MAX - 2);
    for (int i = 0; i < 3; i++)
        count(c, "an", MIDNIGHT + i);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 3);
    assert_true(VISITORS(stats, ALL_TIME) == INT64_MAX);
    assert_true(VISITS(stats, ALL_TIME) == INT64_MAX);
    assert_true(HITS(stats, ALL_TIME) == INT64_MAX);
    assert_int_equal(HITS(stats, TODAY), 3);
    counter_close(c);
}

static int count_facts(void *arg, const struct counter_fact *fact)
{
    assert_non_null(fact->name);
    assert_non_null(fact->value);
    assert_non_null(fact->why);
    ++*(int *)arg;
    return 0;
}

static void a_site_that_is_well_is_not_called_broken_and_one_that_is_not_there_is_none(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    int facts = 0;

    count(c, "an", MIDNIGHT);
    int level = counter_check(c, NULL, count_facts, &facts);
    if (level != COUNTER_FACT && level != COUNTER_WARNING) /* as of a server that keeps nothing on disk */
        fail_msg("%d: %s", level, counter_error());
    assert_true(facts > 3);
    assert_int_equal(counter_check(c, "nobody", count_facts, &facts), COUNTER_ENOSITE);
    facts = 0;
    assert_int_equal(counter_explain(c, &hit, count_facts, &facts), 0);
    assert_true(facts > 0);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1); /* it was not counted again */
    assert_int_equal(counter_sync(c), 0);
    counter_close(c);
}

/* The key decides who is whom; whoever has it first gives it, and then it stays. */
static void a_key_is_taken_over_where_there_is_none_and_refused_where_there_is_another(void **state)
{
    struct place other;
    struct counter *c = open_at(state);
    struct counter_options options;
    struct counter *from;

    assert_true(place_make(&other, PLACE_FILE));
    options = place_options(&other);
    from = open_with(&options);
    assert_int_equal(counter_copy_key(c, from), COUNTER_ENOSITE); /* it has none itself */
    count(from, "an", MIDNIGHT);
    assert_int_equal(counter_copy_key(c, from), 0);
    assert_int_equal(counter_copy_key(c, from), 1);
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_copy_key(from, c), 1);
    counter_close(from);
    place_clear(&other);
    assert_true(place_make(&other, PLACE_FILE));
    options = place_options(&other);
    from = open_with(&options);
    count(from, "an", MIDNIGHT);
    assert_error(counter_copy_key(c, from), COUNTER_ECONFLICT, "key");
    counter_close(from);
    place_clear(&other);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERYWHERE(sites_are_listed_by_name),
        EVERYWHERE(a_site_tells_what_it_was_created_with),
        EVERYWHERE(a_local_time_is_in_the_sites_zone_or_the_options),
        EVERYWHERE(an_unknown_zone_is_named_before_anything_is_counted),
        EVERYWHERE(the_last_baseline_is_shown_on_top_of_all_time_only),
        EVERYWHERE(a_removed_site_begins_anew),
        EVERYWHERE(a_site_and_a_prefix_may_have_names_of_64_bytes),
        EVERYWHERE(names_that_differ_in_case_or_a_dot_are_different_sites),
        EVERYWHERE(a_baseline_as_large_as_can_be_makes_no_number_negative),
        EVERYWHERE(a_site_that_is_well_is_not_called_broken_and_one_that_is_not_there_is_none),
        EVERYWHERE(a_key_is_taken_over_where_there_is_none_and_refused_where_there_is_another),
    };
    return cmocka_run_group_tests_name("conformance_sites", tests, NULL, places_end);
}
