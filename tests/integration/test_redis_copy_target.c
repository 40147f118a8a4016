/*
 * What a copy does to the server that takes it: nothing at all where it refuses; where it does not, what no window shows
 * any more expires and nothing else does; destroyed keys stay destroyed; what was counted there stays.
 *
 * What the server holds is read by commands of its own, past the library.
 */
#include "../support/copies.h"
#include "../support/scale.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { DAY = COPIES_DAY, HOUR = 3600, END = COPIES_END, KEYS = 4096 };

static struct place from, to;
static struct copies_stream stream;

static int begin(void **state)
{
    const enum place_kind *kind = *state;
    *state = place_make(&from, *kind) && place_make(&to, PLACE_REDIS) ? &from : NULL;
    copies_stream_make(&stream, (int)scaled(60) + 10);
    return 0;
}

static int end(void **state)
{
    (void)state;
    copies_stream_free(&stream);
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

static void feed_all(struct counter *c)
{
    copies_feed(c, &stream, 0, stream.n);
}

static void assert_error(int code, int expected, const char *part)
{
    if (code != expected || !strstr(counter_error(), part))
        fail_msg("%d, \"%s\" instead of %d, \"...%s...\"", code, counter_error(), expected, part);
}

/* ---- What a server holds -------------------------------------------------------------------------------------------- */

struct held {
    char *name[KEYS], *value[KEYS];
    size_t length[KEYS];
    long long ttl[KEYS];
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct held *hold(const struct place *place)
{
    struct held *held = calloc(1, sizeof *held);
    redisReply *keys = redis_server_ask(places_server(), "KEYS %s:*", place->prefix);

    assert_non_null(held);
    assert_non_null(keys);
    assert_true(keys->elements < KEYS);
    for (held->n = 0; held->n < keys->elements; held->n++)
        held->name[held->n] = strdup(keys->element[held->n]->str + strlen(place->prefix) + 1);
    freeReplyObject(keys);
    qsort(held->name, held->n, sizeof held->name[0], by_name);
    for (size_t i = 0; i < held->n; i++) {
        redisReply *value = redis_server_ask(places_server(), "DUMP %s:%s", place->prefix, held->name[i]);
        assert_int_equal(value->type, REDIS_REPLY_STRING);
        held->length[i] = (size_t)value->len;
        held->value[i] = malloc((size_t)value->len + 1);
        memcpy(held->value[i], value->str, (size_t)value->len);
        freeReplyObject(value);
        held->ttl[i] = redis_server_number(places_server(), "TTL %s:%s", place->prefix, held->name[i]);
    }
    return held;
}

static void drop(struct held *held)
{
    for (size_t i = 0; i < held->n; i++) {
        free(held->name[i]);
        free(held->value[i]);
    }
    free(held);
}

/* The same keys with the same values, and none begins to expire. */
static void assert_nothing_changed(struct held *before)
{
    struct held *after = hold(&to);
    for (size_t i = 0; i < before->n && i < after->n; i++) {
        if (strcmp(before->name[i], after->name[i]) != 0)
            fail_msg("%s became %s", before->name[i], after->name[i]);
        if (before->length[i] != after->length[i] || memcmp(before->value[i], after->value[i], before->length[i]) != 0)
            fail_msg("%s changed", before->name[i]);
        if ((before->ttl[i] < 0) != (after->ttl[i] < 0))
            fail_msg("the expiry of %s changed", before->name[i]);
    }
    if (before->n != after->n)
        fail_msg("%zu keys became %zu", before->n, after->n);
    drop(before);
    drop(after);
}

/* ---- Refused -------------------------------------------------------------------------------------------------------- */

static void a_target_with_another_key_refuses_and_stays_as_it_was(void **state)
{
    struct counter *source = open_source(state), *target = open_target();
    struct counter_hit hit = {.size = sizeof hit, .site = "other", .visitor = "v", .at = COPIES_FIRST};

    feed_all(source);
    assert_int_equal(counter_record(target, &hit, NULL), 0);
    struct held *before = hold(&to);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "key");
    assert_nothing_changed(before);
    copies_feed(target, &stream, 0, stream.n / 2);
    before = hold(&to);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "key");
    assert_error(counter_copy_key(target, source), COUNTER_ECONFLICT, "key");
    assert_nothing_changed(before);
    counter_close(source);
    counter_close(target);
}

/* A site has its key in itself: it does not become another's where the store's own was lost. */
static void a_site_with_another_key_refuses_where_the_store_has_lost_its_own(void **state)
{
    struct counter *source = open_source(state), *target = open_target();

    copies_visit(source, 0, 20, COPIES_FIRST);
    copies_visit(target, 0, 20, COPIES_FIRST);
    assert_int_equal(redis_server_number(places_server(), "DEL %s:key", to.prefix), 1);
    struct held *before = hold(&to);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "key");
    assert_nothing_changed(before);
    counter_close(source);
    counter_close(target);
}

static const struct {
    struct counter_options with;
    const char *one, *other;
} others[] = {
    {{.timezone = "+08:00"}, "America/Sao_Paulo", "+08:00"},
    {{.week_start = COUNTER_MONDAY}, "sunday", "monday"},
    {{.exact_visitors = 5000}, "32768", "5000"},
    {{.forget_days = 34}, "35", "34"},
    {{.retention_days = 500}, "400", "500"},
    {{.key_rotation = COUNTER_ROTATION_DAILY}, "never", "daily"},
};
enum { OTHERS = sizeof others / sizeof others[0] };

static struct counter *open_other(size_t i, const char *prefix)
{
    struct counter_options options = copies_options(&to);
    const struct counter_options *with = &others[i].with;

    options.prefix = prefix;
    options.timezone = with->timezone ? with->timezone : options.timezone;
    options.week_start = with->week_start ? with->week_start : options.week_start;
    options.exact_visitors = with->exact_visitors;
    options.forget_days = with->forget_days;
    options.retention_days = with->retention_days;
    options.key_rotation = with->key_rotation;
    return copies_open(&options);
}

static void a_target_that_asks_for_other_options_refuses_naming_both(void **state)
{
    struct counter *source = open_source(state);
    copies_visit(source, 0, 20, COPIES_FIRST);
    for (size_t i = 0; i < OTHERS; i++) {
        struct counter *target = open_other(i, to.prefix);
        struct held *before = hold(&to);
        int r = counter_copy(target, source, NULL);
        assert_error(r, COUNTER_ECONFLICT, others[i].one);
        assert_error(r, COUNTER_ECONFLICT, others[i].other);
        assert_nothing_changed(before); /* neither a site nor a key */
        counter_close(target);
    }
    counter_close(source);
}

static void a_target_whose_site_has_other_options_refuses_naming_both(void **state)
{
    struct counter *source = open_source(state);
    copies_visit(source, 0, 20, COPIES_FIRST);
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(to.prefix, sizeof to.prefix, "other-%zu-%d", i, (int)from.kind);
        struct counter *target = open_other(i, to.prefix);
        assert_int_equal(counter_copy_key(target, source), 0);
        copies_visit(target, 0, 1, COPIES_FIRST);
        counter_close(target);
        struct counter_options any = place_options(&to);
        any.timezone = NULL;
        target = copies_open(&any);
        struct held *before = hold(&to);
        int r = counter_copy(target, source, NULL);
        assert_error(r, COUNTER_ECONFLICT, others[i].one);
        assert_error(r, COUNTER_ECONFLICT, others[i].other);
        assert_nothing_changed(before);
        counter_close(target);
    }
    counter_close(source);
}

/* A site that was made by a copy has its key from the start, for whoever asks for the key only. */
static void a_target_without_a_key_takes_it_over_and_says_so(void **state)
{
    struct counter *source = open_source(state), *target = open_target();
    copies_visit(source, 0, 20, COPIES_FIRST);
    assert_int_equal(counter_copy_key(target, source), 0);
    assert_int_equal(counter_copy_key(target, source), 1);
    copies_copy(target, source);
    assert_int_equal(counter_copy_key(source, target), 1);
    counter_close(source);
    counter_close(target);
}

/* ---- What expires --------------------------------------------------------------------------------------------------- */

/* Days of the date in the name that stands behind that word, since 1970; of "2019-02" its first. 0: no such name. */
static int32_t date_in(const char *name, const char *word)
{
    const char *at = strstr(name, word);
    int year, month, day = 1;
    struct tm tm = {0};

    if (!at || sscanf(at + strlen(word), "%d-%d-%d", &year, &month, &day) < 2)
        return 0;
    tm.tm_year = year - 1900, tm.tm_mon = month - 1, tm.tm_mday = day;
    return (int32_t)(timegm(&tm) / DAY);
}

/* With the clock on a day, whose week began on `week`: is a key of that name shown by some window, or kept for ever? */
static bool stays(const char *name, int32_t today, int32_t week, int32_t last_month)
{
    int32_t date;
    if (strncmp(name, "{portal}:", 9) != 0)
        return true;
    name += 9;
    if ((date = date_in(name, "day:")) != 0)
        return date >= today - 1;
    if ((date = date_in(name, "week:")) != 0)
        return date >= week - 7;
    if ((date = date_in(name, "visitors:month:")) != 0)
        return date >= last_month;
    return true; /* months, years, all time, visitors, keys, the site itself */
}

/* At the target's clock; that of Brazil's winter is three hours behind. */
static void assert_expiry(struct counter *target)
{
    struct counter_site site = {.size = sizeof site};
    assert_int_equal(counter_site(target, NULL, &site), 0);
    int32_t today = (int32_t)((site.newest - 3 * HOUR) / DAY),
            week = today - (today + 4) % 7; /* 1970 began on a Thursday */
    time_t noon = (time_t)today * DAY + DAY / 2;
    struct tm tm = *gmtime(&noon);
    tm.tm_mon--, tm.tm_mday = 1;
    int32_t last_month = (int32_t)(timegm(&tm) / DAY);
    struct held *held = hold(&to);
    long long most = (400 + 2) * (long long)DAY;
    unsigned expiring = 0;

    for (size_t i = 0; i < held->n; i++) {
        bool never = stays(held->name[i], today, week, last_month);
        expiring += !never;
        if (never ? held->ttl[i] != -1 : held->ttl[i] < most - 300 || held->ttl[i] > most)
            fail_msg("%s expires in %lld s, but should %s", held->name[i], held->ttl[i],
                     never ? "never" : "in 402 days");
    }
    assert_true(expiring > 100);
    drop(held);
}

static void what_no_window_shows_expires_and_nothing_else(void **state)
{
    struct counter *source = open_source(state), *target = open_target();

    feed_all(source);
    for (int i = 0; i < 2; i++) {
        copies_copy(target, source);
        assert_expiry(target);
    }
    copies_visit(target, 0, 3, END + 8 * DAY + 3 * HOUR); /* from then on it goes by itself */
    assert_expiry(target);
    counter_close(source);
    counter_close(target);
}

static void a_copy_from_a_source_that_stayed_behind_lets_old_days_expire(void **state)
{
    struct counter *source = open_source(state), *target = open_target();

    feed_all(source);
    assert_int_equal(counter_copy_key(target, source), 0);
    copies_visit(target, 0, 3, END + 8 * DAY + 3 * HOUR);
    copies_copy(target, source);
    assert_expiry(target);
    counter_close(source);
    counter_close(target);
}

/* ---- Keys that rotate ----------------------------------------------------------------------------------------------- */

static struct counter *open_daily(const struct place *place)
{
    struct counter_options options = copies_options(place);
    options.key_rotation = COUNTER_ROTATION_DAILY;
    return copies_open(&options);
}

static long long keys_kept(const char *day)
{
    return redis_server_number(places_server(), "HEXISTS %s:{portal}:keys %s", to.prefix, day);
}

static void a_key_that_the_target_destroyed_does_not_come_back(void **state)
{
    if (!*state)
        skip();
    struct counter *source = open_daily(&from), *target = open_daily(&to);

    copies_visit(source, 0, 20, COPIES_FIRST + 20 * HOUR);
    copies_copy(target, source);
    assert_int_equal(keys_kept("2018-12-15"), 1);
    copies_visit(target, 0, 20, COPIES_FIRST + DAY + 2 * HOUR);
    assert_int_equal(keys_kept("2018-12-15"), 0);
    copies_copy(target, source);
    assert_int_equal(keys_kept("2018-12-15"), 0);
    counter_close(source);
    counter_close(target);
}

static void a_key_that_is_due_does_not_go_along(void **state)
{
    if (!*state)
        skip();
    struct counter *source = open_daily(&from), *target = open_daily(&to);

    copies_visit(source, 0, 20, COPIES_FIRST + 20 * HOUR);
    copies_visit(source, 0, 20, COPIES_FIRST + DAY + HOUR / 2); /* both keys live */
    copies_copy(target, source);
    assert_int_equal(keys_kept("2018-12-15"), 1);
    assert_int_equal(keys_kept("2018-12-16"), 1);
    copies_visit(source, 0, 20, COPIES_FIRST + DAY + 2 * HOUR);
    counter_close(target);
    assert_int_equal(
        redis_server_number(places_server(), "DEL %s:{portal}:meta %s:{portal}:keys", to.prefix, to.prefix), 2);
    target = open_daily(&to);
    copies_copy(target, source);
    assert_int_equal(keys_kept("2018-12-15"), 0);
    assert_int_equal(keys_kept("2018-12-16"), 1);
    counter_close(source);
    counter_close(target);
}

static void a_day_named_by_two_keys_is_refused(void **state)
{
    if (!*state)
        skip();
    struct counter *source = open_daily(&from), *target = open_daily(&to);

    copies_visit(source, 0, 20, COPIES_FIRST + 20 * HOUR);
    assert_int_equal(counter_copy_key(target, source), 0);
    copies_visit(target, 0, 20, COPIES_FIRST + 20 * HOUR);
    struct held *before = hold(&to);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "2018-12-15");
    assert_nothing_changed(before);
    counter_close(source);
    counter_close(target);
}

/* ---- Both counted --------------------------------------------------------------------------------------------------- */

static void what_the_target_counted_before_the_source_is_kept(void **state)
{
    struct counter *source = open_source(state), *target = open_target();
    struct counter_count own = {.visitors = 7}, old = {.visitors = 9};

    copies_visit(source, 0, 1, END + DAY);
    assert_int_equal(counter_copy_key(target, source), 0);
    copies_visit(target, 100, 5, END + 5 * DAY + 7200);
    copies_visit(source, 0, 3, END + 30 * DAY);
    assert_int_equal(counter_baseline(source, NULL, &old), 0);
    assert_int_equal(counter_baseline(target, NULL, &own), 0);
    copies_copy(target, source);
    struct counter_stats stats = copies_look(target, END + 30 * DAY);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 9); /* that of its months */
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 3);
    assert_true(stats.window[COUNTER_ALL_TIME].visitors >= 5 + 7);
    counter_close(source);
    counter_close(target);
}

static void a_target_that_is_further_on_keeps_its_windows(void **state)
{
    struct counter *source = open_source(state), *target = open_target();

    copies_visit(source, 0, 40, END + 2 * HOUR);
    copies_copy(target, source);
    copies_visit(target, 20, 40, END + 9 * DAY);
    struct counter_stats before = copies_look(target, END + 9 * DAY);
    assert_int_equal(before.window[COUNTER_ALL_TIME].visitors, 60);
    copies_copy(target, source);
    struct counter_stats after = copies_look(target, END + 9 * DAY);
    assert_memory_equal(&before, &after, sizeof before);
    counter_close(source);
    counter_close(target);
}

#define FROM(test, name, kind)                                                                                         \
    {                                                                                                                  \
#test " (from " name ")", test, begin, end, (void *)(uintptr_t)&place_kinds[kind]                              \
    }
#define FROM_FILE(test)  FROM(test, "file", PLACE_FILE)
#define FROM_REDIS(test) FROM(test, "redis", PLACE_REDIS)
#define FROM_BOTH(test)  FROM_FILE(test), FROM_REDIS(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FROM_BOTH(a_target_with_another_key_refuses_and_stays_as_it_was),
        FROM_BOTH(a_site_with_another_key_refuses_where_the_store_has_lost_its_own),
        FROM_BOTH(a_target_that_asks_for_other_options_refuses_naming_both),
        FROM_BOTH(a_target_whose_site_has_other_options_refuses_naming_both),
        FROM_BOTH(a_target_without_a_key_takes_it_over_and_says_so),
        FROM_BOTH(what_no_window_shows_expires_and_nothing_else),
        FROM_BOTH(a_copy_from_a_source_that_stayed_behind_lets_old_days_expire),
        FROM_BOTH(a_key_that_the_target_destroyed_does_not_come_back),
        FROM_BOTH(a_key_that_is_due_does_not_go_along),
        FROM_BOTH(a_day_named_by_two_keys_is_refused),
        FROM_BOTH(what_the_target_counted_before_the_source_is_kept),
        FROM_BOTH(a_target_that_is_further_on_keeps_its_windows),
    };
    return cmocka_run_group_tests_name("redis copy target", tests, NULL, places_end);
}
