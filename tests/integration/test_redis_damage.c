/*
 * Keys of a site that somebody else wrote to: nothing crashes, what can go on goes on, the rest says what is damaged.
 *
 * Sketches stand behind exact counts, so a damaged one stops nobody. A damaged figure refuses hits, and a hit that
 * cannot be counted whole is not counted in part; other windows are shown as ever.
 */
#include "../support/redis_server.h"
#include "../support/scratch.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NOON = 1767243600, DAY = 86400 }; /* 2026-01-01T12:00:00+07:00, a Thursday */
enum { DAYS = 3, PEOPLE = 5 };

#define SITE "counter:{portal}:"
static const int64_t now = NOON + (DAYS - 1) * DAY + 600;

static struct redis_server server;

/* ---- A site, whole ----------------------------------------------------------------------------------------------- */

static int start(void **state)
{
    (void)state;
#ifdef COUNTER_NO_REDIS
    return 0;
#else
    return redis_server_start(&server, NULL) < 0 ? -1 : 0;
#endif
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

static struct counter *open_site(const char *timezone)
{
    char store[160];
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = "portal",
                                      .timezone = timezone,
                                      .deadline = scratch_is_instrumented() ? 30000 : 5000};
    struct counter *c;

    snprintf(store, sizeof store, "redis+unix://%s", server.socket);
    if (counter_open(&c, &options) < 0)
        fail_msg("%s", counter_error());
    return c;
}

static int hit(struct counter *c, const char *visitor, int64_t at)
{
    struct counter_hit one = {.size = sizeof one, .visitor = visitor, .at = at};
    return counter_record(c, &one, NULL);
}

/* The same five visitors on each of three days. */
static struct counter *begin(void)
{
    static const char *const name[PEOPLE] = {"ann", "ben", "cat", "dan", "eve"};

    if (server.pid == 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    assert_true(redis_server_says(&server, "OK", "FLUSHALL"));
    struct counter *c = open_site("+07:00");
    for (int i = 0; i < DAYS * PEOPLE; i++)
        assert_int_equal(hit(c, name[i % PEOPLE], NOON + i / PEOPLE * DAY + i), COUNTER_COUNTED);
    return c;
}

static struct counter_stats look(struct counter *c)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, NULL, now, &stats) < 0)
        fail_msg("%s", counter_error());
    return stats;
}

static int ignore_row(void *arg, const struct counter_row *row)
{
    (void)arg, (void)row;
    return 0;
}

static int ignore_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg, (void)fact;
    return 0;
}

/* All other calls: whatever they say, they say it. */
static void call_all(struct counter *c)
{
    struct counter_site site = {.size = sizeof site};
    struct counter_hit nobody = {.size = sizeof nobody, .visitor = "nobody"};
    struct counter_options memory = {.size = sizeof memory, .config = "", .store = "memory:"};
    struct counter *copy;

    assert_int_equal(counter_open(&copy, &memory), 0);
    const int results[] = {counter_site(c, NULL, &site),
                           counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, ignore_row, NULL),
                           counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, ignore_row, NULL),
                           counter_sites(c, ignore_row, NULL),
                           counter_check(c, NULL, ignore_fact, NULL),
                           counter_erase(c, &nobody),
                           counter_copy(copy, c, "portal")};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i] < 0)
            assert_string_not_equal(counter_error(), "");
    counter_close(copy);
}

/* ---- Sketches ---------------------------------------------------------------------------------------------------- */

static const char *const sketches[] = {"visitors:day:2026-01-03", "visitors:week:2025-12-29", "visitors:month:2026-01",
                                       "visitors:year:2026", "visitors:all"};
enum { SKETCHES = sizeof sketches / sizeof *sketches };

static void put(const char *key, const void *bytes, size_t length)
{
    redisReply *reply = redis_server_ask(&server, "SET " SITE "%s %b", key, bytes, length);
    assert_true(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

/* Ways to damage a sketch of 5 visitors. */
static void damage_sketch(const char *key, int way)
{
    redisReply *sketch = redis_server_ask(&server, "GET " SITE "%s", key);
    char bytes[256];

    assert_true(sketch && sketch->type == REDIS_REPLY_STRING && sketch->len > 20 && sketch->len < sizeof bytes);
    memcpy(bytes, sketch->str, sketch->len);
    switch (way) {
    case 0:
        put(key, "junk", 4);
        break;
    case 1: /* cut off */
        put(key, bytes, sketch->len - 3);
        break;
    case 2: /* an encoding that there is not */
        bytes[4] = 9;
        put(key, bytes, sketch->len);
        break;
    case 3: /* runs of registers that reach beyond the last */
        memset(bytes + 16, 0x7f, sketch->len - 16);
        bytes[15] = (char)0x80; /* the number that it remembers is no good */
        put(key, bytes, sketch->len);
        break;
    default:
        assert_int_equal(redis_server_number(&server, "DEL " SITE "%s", key), 1);
        assert_int_equal(redis_server_number(&server, "LPUSH " SITE "%s junk", key), 1);
        break;
    }
    freeReplyObject(sketch);
}

struct asked {
    const char *name;
    int level; /* of that fact; -1: it was not told */
};

static int find_level(void *arg, const struct counter_fact *fact)
{
    struct asked *asked = arg;
    if (strcmp(fact->name, asked->name) == 0)
        asked->level = (int)fact->level;
    return 0;
}

static void must_be_broken(struct counter *c, const char *key)
{
    struct asked asked = {"sketches", -1};

    if (counter_check(c, NULL, find_level, &asked) != COUNTER_BROKEN || asked.level != COUNTER_BROKEN)
        fail_msg("%s: check says %d", key, asked.level);
}

/* All windows show one visitor and one hit more than before; last week, month and year nothing. */
static void must_have_grown(const struct counter_stats *before, const struct counter_stats *after)
{
    static const bool grows[COUNTER_WINDOWS] = {[COUNTER_TODAY] = true,
                                                [COUNTER_THIS_WEEK] = true,
                                                [COUNTER_ALL_TIME] = true,
                                                [COUNTER_THIS_MONTH] = true,
                                                [COUNTER_THIS_YEAR] = true};
    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        assert_int_equal(after->window[w].hits, before->window[w].hits + grows[w]);
        assert_int_equal(after->window[w].visitors, before->window[w].visitors + grows[w]);
        assert_true(after->window[w].error == 0);
    }
}

static void a_damaged_sketch_stops_nobody_and_check_says_broken(void **state)
{
    enum { WAYS = 5 };

    (void)state;
    for (int way = 0; way < WAYS; way++)
        for (int i = 0; i < SKETCHES; i++) {
            struct counter *c = begin();
            struct counter_stats before = look(c);
            damage_sketch(sketches[i], way);
            must_be_broken(c, sketches[i]);
            assert_int_equal(hit(c, "new", now), COUNTER_COUNTED);
            struct counter_stats after = look(c);
            must_have_grown(&before, &after);
            call_all(c);
            counter_close(c);
            c = open_site(NULL);
            assert_int_equal(hit(c, "ann", now), COUNTER_COUNTED);
            counter_close(c);
        }
}

/* A site that has no room for all needs its sketches: windows whose sketch is damaged stand still, none falls. */
static void without_its_sketches_an_estimate_stands_still(void **state)
{
    struct counter *c;
    char name[16];

    (void)state;
    c = begin();
    assert_int_equal(redis_server_number(&server, "HSET " SITE "meta capacity 4"), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "crowd %d", i);
        assert_int_equal(hit(c, name, now), COUNTER_COUNTED);
    }
    struct counter_stats before = look(c);
    assert_true(before.window[COUNTER_TODAY].error > 0);
    for (int i = 0; i < SKETCHES; i++)
        put(sketches[i], "junk", 4);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "more %d", i);
        assert_int_equal(hit(c, name, now), COUNTER_COUNTED);
    }
    struct counter_stats after = look(c);
    for (int w = 0; w < COUNTER_WINDOWS; w++)
        assert_int_equal(after.window[w].visitors, before.window[w].visitors);
    assert_int_equal(after.window[COUNTER_ALL_TIME].hits, before.window[COUNTER_ALL_TIME].hits + 20);
    counter_close(c);
}

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

static const struct figure {
    const char *key;
    enum counter_window window;
} figures[] = {{"day:2026-01-03", COUNTER_TODAY},
               {"week:2025-12-29", COUNTER_THIS_WEEK},
               {"month:2026-01", COUNTER_THIS_MONTH},
               {"year:2026", COUNTER_THIS_YEAR},
               {"all", COUNTER_ALL_TIME}};
enum { FIGURES = sizeof figures / sizeof *figures };

static void must_be_damaged(int code, const char *what)
{
    if (code != COUNTER_EFORMAT || counter_error()[0] == '\0')
        fail_msg("%s: %d, %s", what, code, counter_error());
}

/* A string in its place; or a field that is no number. */
static void damage_figure(const char *key, bool whole)
{
    if (whole)
        put(key, "junk", 4);
    else
        assert_int_equal(redis_server_number(&server, "HSET " SITE "%s hits junk", key), 0);
}

/* A window whose figure is damaged shows no hits, or says why not. */
static void read_window(struct counter *c, const struct figure *figure, bool damaged)
{
    struct counter_stats stats = {.size = sizeof stats, .want = 1U << figure->window};
    int r = counter_read(c, NULL, now, &stats);

    if (r < 0 && !damaged)
        fail_msg("%s: %s", figure->key, counter_error());
    if (r < 0)
        must_be_damaged(r, figure->key);
    else
        assert_int_equal(stats.window[figure->window].hits == 0, damaged);
}

static void a_damaged_figure_refuses_hits_and_spoils_no_other_window(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++)
        for (int i = 0; i < FIGURES; i++) {
            struct counter *c = begin();
            damage_figure(figures[i].key, whole);
            must_be_damaged(hit(c, "new", now), figures[i].key);
            for (int other = 0; other < FIGURES; other++)
                read_window(c, &figures[other], other == i);
            call_all(c);
            counter_close(c);
        }
}

/* Nothing of it is there afterwards: not in the other figures, and its visitor is still to be counted. */
static void a_hit_that_a_damaged_figure_refuses_is_not_counted_in_part(void **state)
{
    (void)state;
    for (int i = 0; i < FIGURES; i++) {
        struct counter *c = begin();
        struct counter_stats before = look(c);
        assert_true(redis_server_says(&server, "OK", "RENAME " SITE "%s kept", figures[i].key));
        damage_figure(figures[i].key, true);
        must_be_damaged(hit(c, "new", now), figures[i].key);
        must_be_damaged(hit(c, "ann", now), figures[i].key);
        assert_true(redis_server_says(&server, "OK", "RENAME kept " SITE "%s", figures[i].key));
        struct counter_stats after = look(c);
        for (int w = 0; w < COUNTER_WINDOWS; w++)
            assert_memory_equal(&after.window[w], &before.window[w], sizeof after.window[w]);
        assert_int_equal(hit(c, "new", now), COUNTER_COUNTED);
        after = look(c);
        must_have_grown(&before, &after);
        counter_close(c);
    }
}

/* ---- What is fixed about a site, and its state ------------------------------------------------------------------ */

static const struct field {
    const char *name, *value;
} fields[] = {{"id", "zz"},
              {"week_start", "9"},
              {"exact_visitors", "0"},
              {"forget_days", "-1"},
              {"forget_days", "99999999999"},
              {"retention_days", "junk"},
              {"key_rotation", "7"},
              {"key", "xyz"},
              {"layout", "0"},
              {"layout", "99"},
              {"capacity", "junk"},
              {"capacity", "0"},
              {"clock", "1e30"},
              {"clock", "99999999999"}};

/* A handle that was opened before knows what is fixed, and may go on with that. */
static void impossible_values_of_a_site_are_said_to_be_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct counter *old = begin(), *new = open_site(NULL);
        struct counter_stats stats = {.size = sizeof stats};
        assert_int_equal(redis_server_number(&server, "HSET " SITE "meta %s %s", fields[i].name, fields[i].value), 0);
        must_be_damaged(hit(new, "new", now), fields[i].name);
        must_be_damaged(counter_read(new, NULL, now, &stats), fields[i].name);
        int r = hit(old, "new", now);
        if (r != COUNTER_COUNTED)
            must_be_damaged(r, fields[i].name);
        call_all(old);
        call_all(new);
        counter_close(new);
        counter_close(old);
    }
}

/* It may be one that another machine's tzdata has. */
static void a_zone_that_is_not_known_here_is_named(void **state)
{
    (void)state;
    struct counter *old = begin(), *new = open_site(NULL);
    assert_int_equal(redis_server_number(&server, "HSET " SITE "meta timezone Nowhere/None"), 0);
    assert_true(hit(new, "new", now) < 0);
    assert_non_null(strstr(counter_error(), "Nowhere/None"));
    assert_int_equal(hit(old, "new", now), COUNTER_COUNTED);
    call_all(new);
    counter_close(new);
    counter_close(old);
}

/* What changes about a site: junk counts as nothing, or is said to be damage; and nothing crashes. */
static void impossible_values_of_its_state_are_survived(void **state)
{
    static const struct field changing[] = {{"clock", "junk"},
                                            {"clock", "-5"},
                                            {"since", "junk"},
                                            {"since", "99999999999999999999"},
                                            {"accepted", "junk"},
                                            {"forgotten", "junk"},
                                            {"forgotten", "99999999999"},
                                            {"late", "-1"},
                                            {"late", "junk"},
                                            {"baseline_visitors", "junk"},
                                            {"baseline_hits", "99999999999999999999"},
                                            {"capacity", "99999999999999999999"},
                                            {"current_day", "junk"},
                                            {"before_month", "junk"}};
    (void)state;
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++) {
        struct counter *old = begin(), *new = open_site(NULL);
        assert_in_range(redis_server_number(&server, "HSET " SITE "meta %s %s", changing[i].name, changing[i].value), 0,
                        1);
        int r = hit(new, "new", now);
        if (r != COUNTER_COUNTED)
            must_be_damaged(r, changing[i].name);
        r = hit(old, "ann", now + DAY); /* a new day makes use of more of it */
        if (r != COUNTER_COUNTED)
            must_be_damaged(r, changing[i].name);
        call_all(old);
        call_all(new);
        counter_close(new);
        counter_close(old);
    }
}

/* ---- Whole keys ------------------------------------------------------------------------------------------------- */

static void a_key_of_another_type_is_said_to_be_damage(void **state)
{
    static const char *const keys[] = {"meta", "recent"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct counter *old = begin(), *new = open_site(NULL);
        struct counter_stats stats = {.size = sizeof stats};
        put(keys[i], "junk", 4);
        must_be_damaged(hit(old, "new", now), keys[i]);
        must_be_damaged(hit(new, "new", now), keys[i]);
        must_be_damaged(counter_read(old, NULL, now, &stats), keys[i]);
        call_all(old);
        call_all(new);
        counter_close(new);
        counter_close(old);
    }
}

/* The store's own keys: sites that are there have a copy of the identity key, and need no list. */
static void damage_of_the_store_s_key_or_list_stops_only_new_sites(void **state)
{
    static const char *const commands[] = {"SET counter:key junk", "LPUSH counter:key junk", "SET counter:sites junk"};

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct counter *old = begin(), *new = open_site(NULL);
        struct counter_hit first = {.size = sizeof first, .site = "another", .visitor = "ann", .at = now};
        redisReply *reply = redis_server_ask(&server, "DEL counter:%s", i < 2 ? "key" : "sites");
        freeReplyObject(reply);
        reply = redis_server_ask(&server, commands[i]);
        assert_true(reply && reply->type != REDIS_REPLY_ERROR);
        freeReplyObject(reply);
        assert_int_equal(hit(old, "new", now), COUNTER_COUNTED);
        assert_int_equal(hit(new, "ann", now), COUNTER_COUNTED);
        must_be_damaged(counter_record(new, &first, NULL), commands[i]);
        if (i == 2)
            must_be_damaged(counter_sites(new, ignore_row, NULL), commands[i]);
        call_all(old);
        counter_close(new);
        counter_close(old);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_sketch_stops_nobody_and_check_says_broken),
        cmocka_unit_test(without_its_sketches_an_estimate_stands_still),
        cmocka_unit_test(a_damaged_figure_refuses_hits_and_spoils_no_other_window),
        cmocka_unit_test(a_hit_that_a_damaged_figure_refuses_is_not_counted_in_part),
        cmocka_unit_test(impossible_values_of_a_site_are_said_to_be_damage),
        cmocka_unit_test(a_zone_that_is_not_known_here_is_named),
        cmocka_unit_test(impossible_values_of_its_state_are_survived),
        cmocka_unit_test(a_key_of_another_type_is_said_to_be_damage),
        cmocka_unit_test(damage_of_the_store_s_key_or_list_stops_only_new_sites),
    };
    return cmocka_run_group_tests_name("redis damage", tests, start, stop);
}
