/*
 * Copies of a site whose exactness had ended, since it had more visitors than there is room to know by name: estimates
 * and their errors are the source's, and while both go on counting they grow alike.
 */
#include "../support/copies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DAY = COPIES_DAY, HOUR = 3600 };

static struct place from, to;

static int begin(void **state)
{
    const enum place_kind *kind = *state;
    *state = place_make(&from, *kind) && place_make(&to, PLACE_REDIS) ? &from : NULL;
    return 0;
}

static int end(void **state)
{
    (void)state;
    place_clear(&from);
    place_clear(&to);
    return 0;
}

static struct counter *open_source(void **state)
{
    if (!*state)
        skip();
    struct counter_options options = copies_options(&from);
    return copies_open(&options);
}

static struct counter *open_target(void)
{
    struct counter_options options = copies_options(&to);
    return copies_open(&options);
}

/* ---- A server with little room ----------------------------------------------------------------------------------- */

/* 2000 visitors at most are known by name: weeks, months and what is longer become estimates. */
static struct counter *open_small(void **state)
{
    struct counter *source = open_source(state);
    struct counter_count none = {0};
    assert_int_equal(counter_baseline(source, NULL, &none), 0); /* makes the site */
    assert_int_equal(redis_server_number(places_server(), "HSET %s:{portal}:meta capacity 2000", from.prefix), 0);
    return source;
}

static void visit_days(struct counter *c, int day, int until)
{
    for (; day < until; day++)
        for (int hour = 0; hour < 20; hour++)
            copies_visit(c, (unsigned)(day * 350 + hour * 40), 45, COPIES_FIRST + day * DAY + hour * HOUR);
}

static void assert_near(struct counter *a, struct counter *b, int64_t at)
{
    struct counter_stats x = copies_look(a, at), y = copies_look(b, at);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        const struct counter_count *one = &x.window[i], *two = &y.window[i];
        double error = one->error + two->error;
        assert_int_equal(one->hits, two->hits);
        assert_int_equal(one->visits, two->visits);
        if ((double)llabs(one->visitors - two->visitors) > 4 * error * (double)one->visitors)
            fail_msg("window %d: %lld and %lld", i, (long long)one->visitors, (long long)two->visitors);
    }
}

static void estimates_are_the_sources_and_grow_like_them(struct counter *source, struct counter *target)
{
    visit_days(source, 0, 40);
    for (int i = 0; i < 2; i++) {
        copies_copy(target, source);
        copies_assert_same("after the copy", source, target);
    }
    assert_true(copies_look(target, COPIES_FIRST + 40 * DAY).window[COUNTER_LAST_WEEK].error > 0);
    assert_true(copies_look(target, COPIES_FIRST + 40 * DAY).window[COUNTER_ALL_TIME].error > 0);
    int64_t all = 0;
    for (int day = 40; day < 52; day++) {
        visit_days(source, day, day + 1);
        visit_days(target, day, day + 1);
        int64_t at = COPIES_FIRST + day * DAY + 20 * HOUR;
        assert_near(source, target, at);
        struct counter_stats stats = copies_look(target, at);
        assert_true(stats.window[COUNTER_ALL_TIME].visitors >= all + (day > 40 ? 200 : 0));
        all = stats.window[COUNTER_ALL_TIME].visitors;
    }
    copies_copy(target, source);
    assert_near(source, target, COPIES_FIRST + 52 * DAY);
}

static void a_site_that_was_too_small_goes_on_as_it_was(void **state)
{
    struct counter *source = open_small(state), *target = open_target();
    estimates_are_the_sources_and_grow_like_them(source, target);
    counter_close(source);
    counter_close(target);
}

static void a_site_that_was_too_small_goes_on_in_a_file(void **state)
{
    struct counter *source = open_small(state);
    place_make(&to, PLACE_FILE);
    struct counter *target = open_target();
    estimates_are_the_sources_and_grow_like_them(source, target);
    counter_close(source);
    counter_close(target);
}

/* An estimate may not go down, so its largest value goes along. */
static void what_was_shown_once_is_shown_by_the_target_too(void **state)
{
    struct counter *source = open_small(state), *target = open_target();
    struct place back;
    place_make(&back, PLACE_FILE);
    struct counter_options options = copies_options(&back);
    struct counter *file = copies_open(&options);

    visit_days(source, 0, 10);
    int64_t at = COPIES_FIRST + 10 * DAY;
    int64_t more = copies_look(source, at).window[COUNTER_ALL_TIME].visitors + 300;
    assert_int_equal(
        redis_server_number(places_server(), "HSET %s:{portal}:all shown %lld", from.prefix, (long long)more), 0);
    copies_copy(target, source);
    copies_copy(file, target);
    assert_int_equal(copies_look(target, at).window[COUNTER_ALL_TIME].visitors, more);
    assert_int_equal(copies_look(file, at).window[COUNTER_ALL_TIME].visitors, more);
    counter_close(source);
    counter_close(target);
    counter_close(file);
    place_clear(&back);
}

static void a_target_with_little_room_says_so_and_loses_no_number(void **state)
{
    struct counter *source = open_source(state), *target = open_target();

    copies_visit(source, 0, 1, COPIES_FIRST);
    copies_copy(target, source);
    assert_int_equal(redis_server_number(places_server(), "HSET %s:{portal}:meta capacity 2000", to.prefix), 0);
    for (unsigned i = 0; i < 100; i++)
        copies_visit(source, 50 * i, 50, COPIES_FIRST + HOUR + i);
    for (int i = 0; i < 2; i++) {
        copies_copy(target, source);
        struct counter_stats stats = copies_look(target, COPIES_FIRST + 2 * HOUR);
        assert_int_equal(stats.window[COUNTER_TODAY].visitors, 5000);
        assert_true(stats.window[COUNTER_TODAY].error > 0);
        assert_in_range(redis_server_number(places_server(), "ZCARD %s:{portal}:recent", to.prefix), 1, 2000);
    }
    counter_close(source);
    counter_close(target);
}

/* ---- A file with little room ------------------------------------------------------------------------------------- */

/* More visitors in three days than the smallest table of a file has room for. */
static void a_file_with_too_many_visitors_goes_on_as_it_was(void **state)
{
    if (!*state)
        skip();
    struct counter_options options = copies_options(&from);
    options.exact_visitors = 1;
    struct counter *source = copies_open(&options);
    options = copies_options(&to);
    options.exact_visitors = 1;
    struct counter *target = copies_open(&options);

    for (unsigned day = 0; day < 3; day++)
        for (unsigned i = 0; i < 100; i++)
            copies_visit(source, day * 40000 + i * 500, 500, COPIES_FIRST + (8 + day) * DAY + 800 * i);
    copies_copy(target, source);
    copies_assert_same("after the copy", source, target);
    struct counter_stats stats = copies_look(target, COPIES_FIRST + 11 * DAY);
    assert_true(stats.window[COUNTER_THIS_MONTH].error > 0);
    for (unsigned i = 0; i < 10; i++) {
        copies_visit(source, 200000 + i * 1000, 1000, COPIES_FIRST + 11 * DAY + i);
        copies_visit(target, 200000 + i * 1000, 1000, COPIES_FIRST + 11 * DAY + i);
        assert_near(source, target, COPIES_FIRST + 11 * DAY + i);
    }
    assert_int_equal(copies_look(target, COPIES_FIRST + 11 * DAY + 9).window[COUNTER_TODAY].visitors, 10000);
    counter_close(source);
    counter_close(target);
}

#define FROM(test, name, kind)                                                                                         \
    {                                                                                                                  \
#test " (from " name ")", test, begin, end, (void *)(uintptr_t)&place_kinds[kind]                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FROM(a_site_that_was_too_small_goes_on_as_it_was, "redis", PLACE_REDIS),
        FROM(a_site_that_was_too_small_goes_on_in_a_file, "redis", PLACE_REDIS),
        FROM(what_was_shown_once_is_shown_by_the_target_too, "redis", PLACE_REDIS),
        FROM(a_target_with_little_room_says_so_and_loses_no_number, "file", PLACE_FILE),
        FROM(a_target_with_little_room_says_so_and_loses_no_number, "redis", PLACE_REDIS),
        FROM(a_file_with_too_many_visitors_goes_on_as_it_was, "file", PLACE_FILE),
    };
    return cmocka_run_group_tests_name("redis copy limits", tests, NULL, places_end);
}
