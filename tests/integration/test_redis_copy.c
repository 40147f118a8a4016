/*
 * A site on its way between stores of different kinds: half of a stream was counted in one, the other half is counted in
 * another after a copy, and every public number must be that of the whole stream in one store.
 */
#include "../support/copies.h"
#include "../support/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DAY = COPIES_DAY, HOUR = 3600, END = COPIES_END };

/* ---- Routes --------------------------------------------------------------------------------------------------------- */

struct route {
    enum place_kind from, to;
};

static struct places {
    struct place from, to, whole;
} at;

static struct copies_stream stream;

static int begin(void **state)
{
    const struct route *route = *state;
    *state = NULL;
    if (!place_make(&at.from, route->from) || !place_make(&at.to, route->to) || !place_make(&at.whole, route->to))
        return 0;
    copies_stream_make(&stream, (int)scaled(120) + 10);
    *state = &at;
    return 0;
}

static int end(void **state)
{
    (void)state;
    copies_stream_free(&stream);
    place_clear(&at.from);
    place_clear(&at.to);
    place_clear(&at.whole);
    return 0;
}

static struct counter *open_at(const struct place *place, enum counter_rotation rotation)
{
    struct counter_options options = copies_options(place);
    options.key_rotation = rotation;
    return copies_open(&options);
}

/* The three stores of a test; the one of the whole stream has the source's key, on which estimates depend. */
struct three {
    struct counter *source, *target, *whole;
};

static struct three open_three(void **state, enum counter_rotation rotation)
{
    if (!*state)
        skip();
    struct three three = {open_at(&at.from, rotation), open_at(&at.to, rotation), open_at(&at.whole, rotation)};
    struct counter_count none = {0};
    assert_int_equal(counter_baseline(three.source, NULL, &none), 0); /* makes the site */
    if (rotation == COUNTER_ROTATION_NEVER) {
        copies_visit(three.source, 999999, 1, COPIES_FIRST); /* makes the key */
        assert_int_equal(counter_copy_key(three.whole, three.source), 0);
        copies_visit(three.whole, 999999, 1, COPIES_FIRST);
    }
    return three;
}

static void close_three(struct three *three)
{
    counter_close(three->source);
    counter_close(three->target);
    counter_close(three->whole);
}

/* ---- Halves --------------------------------------------------------------------------------------------------------- */

/* Cut at that moment. Where keys rotate each store makes its own, so that only exact numbers are the same. */
static void join_halves(struct three *three, int64_t moment, enum counter_rotation rotation)
{
    void (*same)(const char *, struct counter *, struct counter *) =
        rotation == COUNTER_ROTATION_NEVER ? copies_assert_same : copies_assert_alike;
    size_t cut = copies_until(&stream, moment);

    copies_feed(three->source, &stream, 0, cut);
    copies_feed(three->whole, &stream, 0, cut);
    copies_copy(three->target, three->source);
    copies_assert_same("after the copy", three->source, three->target);
    copies_copy(three->target, three->source);
    copies_assert_same("after the same copy again", three->source, three->target);
    copies_feed(three->target, &stream, cut, stream.n);
    copies_feed(three->whole, &stream, cut, stream.n);
    same("both halves", three->whole, three->target);
    copies_copy(three->target, three->source);
    same("copied again from the source that stayed behind", three->whole, three->target);
}

static void one_half_here_and_one_there_are_the_whole(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    join_halves(&three, COPIES_FIRST + 41 * DAY + 13 * HOUR, COUNTER_ROTATION_NEVER);
    close_three(&three);
}

static void a_site_that_forgot_nobody_stays_exact(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    copies_stream_forgive(&stream);
    stream.n = copies_until(&stream, COPIES_FIRST + 34 * DAY);
    join_halves(&three, COPIES_FIRST + 20 * DAY + 5 * HOUR, COUNTER_ROTATION_NEVER);
    struct counter_stats stats = copies_look(three.target, COPIES_FIRST + 34 * DAY);
    for (int i = 0; i < COUNTER_WINDOWS; i++) /* late hits may leave a doubt of some visitors */
        assert_true(stats.window[i].error < 0.003);
    close_three(&three);
}

/* In the middle of a day, and in the hour after midnight when the key before is still alive. */
static void with_daily_keys_visits_go_on_after_the_copy(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_DAILY);
    join_halves(&three, COPIES_FIRST + 41 * DAY + 13 * HOUR, COUNTER_ROTATION_DAILY);
    close_three(&three);
}

static void with_daily_keys_visits_go_on_over_midnight(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_DAILY);
    join_halves(&three, COPIES_FIRST + 41 * DAY + HOUR / 2, COUNTER_ROTATION_DAILY);
    close_three(&three);
}

static void with_monthly_keys_visits_go_on_after_the_copy(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_MONTHLY);
    join_halves(&three, COPIES_FIRST + 30 * DAY + 13 * HOUR, COUNTER_ROTATION_MONTHLY);
    close_three(&three);
}

static void with_monthly_keys_visits_go_on_into_a_new_year(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_MONTHLY);
    join_halves(&three, COPIES_FIRST + 17 * DAY + HOUR / 2, COUNTER_ROTATION_MONTHLY);
    close_three(&three);
}

/* ---- Often, and back ------------------------------------------------------------------------------------------------ */

/* A visitor who was erased after it was copied and came back is known to the target twice: none of those here. */
static void a_copy_kept_up_to_date_shows_the_sources_numbers(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    copies_stream_forgive(&stream);
    for (int day = 0; day < COPIES_DAYS; day += 9) {
        size_t from = copies_until(&stream, COPIES_FIRST + day * DAY);
        copies_feed(three.source, &stream, from, copies_until(&stream, COPIES_FIRST + (day + 9) * DAY));
        copies_copy(three.target, three.source);
    }
    copies_assert_same("after many copies", three.source, three.target);
    close_three(&three);
}

static void a_site_goes_on_to_a_third_store_and_comes_back(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    struct place back;
    if (!place_make(&back, at.from.kind))
        skip();
    struct counter *last = open_at(&back, COUNTER_ROTATION_NEVER);

    copies_feed(three.source, &stream, 0, stream.n);
    copies_copy(three.target, three.source);
    copies_copy(last, three.target);
    copies_assert_same("there and back", three.source, last);
    copies_copy(three.source, last);
    copies_copy(three.target, last);
    copies_assert_same("back into the source", last, three.source);
    copies_assert_same("back into the target", last, three.target);
    counter_close(last);
    place_clear(&back);
    close_three(&three);
}

/* ---- Erased visitors ------------------------------------------------------------------------------------------------ */

static int64_t today(struct counter *c)
{
    return copies_look(c, END + 300).window[COUNTER_TODAY].visitors;
}

static void many_erased_in_one_second_are_all_counted(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    copies_visit(three.source, 0, 500, END + 5);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(copies_erase(three.source, i, END + 6), 1);
    for (int i = 0; i < 3; i++) {
        copies_copy(three.target, three.source);
        assert_int_equal(today(three.target), 500);
    }
    copies_assert_same("400 erased", three.source, three.target);
    close_three(&three);
}

static void one_erased_among_others_of_that_second_is_one_more(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    copies_visit(three.source, 0, 10, END + 5);
    copies_copy(three.target, three.source);
    copies_visit(three.source, 10, 1, END + 5);
    assert_int_equal(copies_erase(three.source, 10, END + 5), 1);
    for (int i = 0; i < 2; i++) {
        copies_copy(three.target, three.source);
        assert_int_equal(today(three.target), 11);
    }
    close_three(&three);
}

static void who_was_erased_in_one_store_only_is_not_counted_twice(void **state)
{
    struct three three = open_three(state, COUNTER_ROTATION_NEVER);
    copies_visit(three.source, 0, 300, END + 5);
    copies_visit(three.source, 300, 200, END + 6);
    copies_copy(three.target, three.source);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(copies_erase(three.source, i, END + 6), 1);
        assert_int_equal(copies_erase(three.target, 250 + i, END + 6), 1);
    }
    for (int i = 0; i < 2; i++) {
        copies_copy(three.target, three.source);
        assert_int_equal(today(three.target), 500);
        copies_copy(three.source, three.target);
        assert_int_equal(today(three.source), 500);
    }
    assert_int_equal(copies_erase(three.target, 260, END + 6),
                     0); /* who was forgotten does not come back with a copy */
    close_three(&three);
}

#define WAY(test, name, which)                                                                                         \
    {                                                                                                                  \
#test " (" name ")", test, begin, end, &routes[which]                                                          \
    }
#define FILE_AND_REDIS(test) WAY(test, "file to redis", FILE_REDIS), WAY(test, "redis to file", REDIS_FILE)
#define ALL(test)                                                                                                      \
    FILE_AND_REDIS(test), WAY(test, "redis to redis", REDIS_REDIS), WAY(test, "redis to cluster", REDIS_CLUSTER),      \
        WAY(test, "file to cluster", FILE_CLUSTER), WAY(test, "cluster to file", CLUSTER_FILE)

int main(void)
{
    enum { FILE_REDIS, REDIS_FILE, REDIS_REDIS, REDIS_CLUSTER, FILE_CLUSTER, CLUSTER_FILE, ROUTES };
    static struct route routes[ROUTES] = {{PLACE_FILE, PLACE_REDIS},   {PLACE_REDIS, PLACE_FILE},
                                          {PLACE_REDIS, PLACE_REDIS},  {PLACE_REDIS, PLACE_CLUSTER},
                                          {PLACE_FILE, PLACE_CLUSTER}, {PLACE_CLUSTER, PLACE_FILE}};
    const struct CMUnitTest tests[] = {
        ALL(one_half_here_and_one_there_are_the_whole),
        FILE_AND_REDIS(a_site_that_forgot_nobody_stays_exact),
        ALL(with_daily_keys_visits_go_on_after_the_copy),
        FILE_AND_REDIS(with_daily_keys_visits_go_on_over_midnight),
        WAY(with_daily_keys_visits_go_on_over_midnight, "redis to redis", REDIS_REDIS),
        ALL(with_monthly_keys_visits_go_on_after_the_copy),
        FILE_AND_REDIS(with_monthly_keys_visits_go_on_into_a_new_year),
        FILE_AND_REDIS(a_copy_kept_up_to_date_shows_the_sources_numbers),
        WAY(a_copy_kept_up_to_date_shows_the_sources_numbers, "redis to redis", REDIS_REDIS),
        FILE_AND_REDIS(a_site_goes_on_to_a_third_store_and_comes_back),
        WAY(a_site_goes_on_to_a_third_store_and_comes_back, "redis to cluster", REDIS_CLUSTER),
        FILE_AND_REDIS(many_erased_in_one_second_are_all_counted),
        WAY(many_erased_in_one_second_are_all_counted, "redis to redis", REDIS_REDIS),
        FILE_AND_REDIS(one_erased_among_others_of_that_second_is_one_more),
        WAY(one_erased_among_others_of_that_second_is_one_more, "redis to redis", REDIS_REDIS),
        FILE_AND_REDIS(who_was_erased_in_one_store_only_is_not_counted_twice),
        WAY(who_was_erased_in_one_store_only_is_not_counted_twice, "redis to redis", REDIS_REDIS),
    };
    return cmocka_run_group_tests_name("redis copy", tests, NULL, places_end);
}
