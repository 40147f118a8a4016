/*
 * Where Redis no longer knows all visitors by name: what is called exact is exact, no number goes down, a longer window
 * never shows less than one inside it. A site's room (the field `capacity`) is made so small that its end comes soon.
 * Files have the same tests in tests/unit/test_site.c. And what the server may drop after a time, and must after a
 * removal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"
#include "../support/oracle.h"
#include "../support/scale.h"
#include "../support/stream.h"

#include <stdlib.h>

static struct counter *open_small(void **state, const char *site, unsigned capacity)
{
    const struct place *place = place_of(state);
    struct counter_options options = place_options(place);
    struct counter_count none = {0};

    options.site = site;
    struct counter *c = open_with(&options);
    assert_int_equal(counter_baseline(c, NULL, &none), 0); /* makes the site */
    assert_int_equal(
        redis_server_number(places_server(), "HSET %s:{%s}:meta capacity %u", place->prefix, site, capacity), 0);
    return c;
}

static void assert_nested(const struct counter_stats *stats)
{
    assert_true(VISITORS(*stats, THIS_WEEK) >= VISITORS(*stats, TODAY));
    assert_true(VISITORS(*stats, THIS_MONTH) >= VISITORS(*stats, TODAY));
    assert_true(VISITORS(*stats, THIS_YEAR) >= VISITORS(*stats, THIS_MONTH));
    assert_true(VISITORS(*stats, ALL_TIME) >= VISITORS(*stats, THIS_WEEK));
    assert_true(VISITORS(*stats, ALL_TIME) >= VISITORS(*stats, THIS_YEAR));
    assert_true(VISITORS(*stats, ALL_TIME) >= VISITORS(*stats, LAST_YEAR));
}

/* ---- In time order -------------------------------------------------------------------------------------------------- */

static void a_full_site_hands_over_to_the_sketch_and_no_number_falls(void **state)
{
    enum { ROOM = 1000 };
    struct counter *c = open_small(state, "portal", ROOM);
    int64_t last[COUNTER_WINDOWS] = {0}, total = 2000 + (int64_t)scaled(18000);

    for (int64_t truth = 20; truth <= total; truth += 20) {
        int64_t at = MIDNIGHT + HOUR + truth * 2;
        count_crowd(c, (unsigned)truth - 20, 20, at - 38, 2);
        struct counter_stats stats = look(c, NULL, at);
        for (int w = 0; w < COUNTER_WINDOWS; w++) {
            assert_true(stats.window[w].visitors >= last[w]);
            last[w] = stats.window[w].visitors;
        }
        assert_true((ERROR(stats, TODAY) == 0) == (truth <= ROOM));
        double slack = truth <= ROOM ? 0 : 5 * 0.0081 * (double)truth;
        assert_true((double)llabs(VISITORS(stats, TODAY) - truth) <= slack);
        assert_nested(&stats);
        assert_int_equal(HITS(stats, ALL_TIME), truth);
    }
    counter_close(c);
}

static void a_new_day_is_exact_again_and_closed_days_stay_so(void **state)
{
    struct counter *c = open_small(state, "portal", 700);
    for (unsigned day = 0; day < 60; day++)
        count_crowd(c, day * 300, 300, MIDNIGHT + day * (int64_t)DAY + HOUR, 60);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 59 * DAY + 80000);
    assert_int_equal(VISITORS(stats, TODAY), 300);
    assert_int_equal(VISITORS(stats, YESTERDAY), 300);
    assert_true(ERROR(stats, TODAY) == 0 && ERROR(stats, YESTERDAY) == 0);
    assert_true(ERROR(stats, ALL_TIME) > 0);
    assert_true((double)llabs(VISITORS(stats, ALL_TIME) - 18000) < 5 * 0.0081 * 18000);
    for (int month = 0; month < 2; month++) {
        struct rows rows =
            series(c, month ? "2026-02-01" : "2026-01-01", month ? "2026-02-28" : "2026-01-31", COUNTER_BY_DAY);
        for (int i = 0; i < rows.n; i++) {
            assert_int_equal(rows.count[i].visitors, 300);
            assert_true(rows.count[i].error == 0);
        }
        assert_int_equal(rows.n, month ? 28 : 31);
    }
    counter_close(c);
}

/* All time is an estimate then, today is exact, and all have come today. */
static void after_a_visitor_was_forgotten_all_time_shows_no_less_than_today(void **state)
{
    struct counter *c = open_small(state, "portal", 100000);
    int64_t later = MIDNIGHT + 40 * DAY;

    count(c, "an", MIDNIGHT);
    for (unsigned n = 0; n < 4000; n += 20) {
        count_crowd(c, n, 20, later + n, 0);
        struct counter_stats stats = look(c, NULL, later + n);
        assert_true(ERROR(stats, TODAY) == 0 && ERROR(stats, ALL_TIME) > 0);
        assert_int_equal(VISITORS(stats, TODAY), n + 20);
        assert_nested(&stats);
    }
    counter_close(c);
}

/* More are online than there is room for. */
static void online_says_when_it_is_a_lower_bound(void **state)
{
    struct counter *c = open_small(state, "portal", 16);
    struct counter_stats stats;
    count_crowd(c, 0, 16, MIDNIGHT + 100, 1);
    stats = look(c, NULL, MIDNIGHT + 200);
    assert_int_equal(stats.online, 16);
    assert_int_equal(stats.online_floor, 0);
    count_crowd(c, 16, 2000, MIDNIGHT + 200, 0);
    stats = look(c, NULL, MIDNIGHT + 201);
    assert_in_range(stats.online, 16, 2015);
    assert_int_equal(stats.online_floor, 1);
    counter_close(c);
}

/* ---- Late hits, against an exact model ------------------------------------------------------------------------------ */

enum { LATE_HITS = 3200, LATE_PEOPLE = 400, KINDS = 5, BATCH = 16 };

struct model {
    struct counter *c;
    struct oracle oracle; /* of dates only */
    struct counter_hit batch[BATCH];
    char name[BATCH][16];
    size_t n;
    int64_t newest;
    struct {
        int64_t at;
        uint32_t who;
        struct oracle_date date;
    } hit[LATE_HITS];
    struct shown {
        int64_t period, visitors, hits;
    } shown[KINDS][64];
};

/* The period behind a window that shows a date of it, as a number: kinds are day, week, month, year, all. */
static int64_t period_in(const struct oracle_date *date, int kind)
{
    const int64_t period[KINDS] = {date->day, date->week / 7, date->month, date->year, 1};
    return period[kind];
}

static void judge_window(struct model *model, int kind, int64_t period, const struct counter_count *count)
{
    struct shown *shown = &model->shown[kind][period % 64];
    bool seen[LATE_PEOPLE] = {false};
    int64_t visitors = 0, hits = 0;

    for (size_t i = 0; i < model->n; i++) {
        if (period_in(&model->hit[i].date, kind) != period)
            continue;
        visitors += !seen[model->hit[i].who];
        seen[model->hit[i].who] = true;
        hits++;
    }
    if (count->hits != hits || (count->error == 0 && count->visitors != visitors))
        fail_msg("hit %zu: kind %d shows %lld, %lld, error %f; it is %lld, %lld", model->n, kind,
                 (long long)count->visitors, (long long)count->hits, count->error, (long long)visitors,
                 (long long)hits);
    if (shown->period == period && (count->visitors < shown->visitors || count->hits < shown->hits))
        fail_msg("hit %zu: kind %d went down from %lld, %lld to %lld, %lld", model->n, kind, (long long)shown->visitors,
                 (long long)shown->hits, (long long)count->visitors, (long long)count->hits);
    *shown = (struct shown){period, count->visitors, count->hits};
}

static void judge(struct model *model, int64_t at, uint32_t want)
{
    static const int window[KINDS][2] = {{COUNTER_TODAY, COUNTER_YESTERDAY},
                                         {COUNTER_THIS_WEEK, COUNTER_LAST_WEEK},
                                         {COUNTER_THIS_MONTH, COUNTER_LAST_MONTH},
                                         {COUNTER_THIS_YEAR, COUNTER_LAST_YEAR},
                                         {COUNTER_ALL_TIME, COUNTER_ALL_TIME}};
    struct counter_stats stats = {.size = sizeof stats, .want = want};
    struct oracle_date now = oracle_date(&model->oracle, at);

    if (counter_read(model->c, NULL, at, &stats) < 0)
        fail_msg("%s", counter_error());
    for (int kind = 0; kind < KINDS; kind++)
        for (int before = 0; before <= (kind < KINDS - 1); before++)
            if (want & 1u << window[kind][before])
                judge_window(model, kind, period_in(&now, kind) - before, &stats.window[window[kind][before]]);
    if (want == COUNTER_WANT_ALL)
        assert_nested(&stats);
}

/* One by one or sixteen together, from seconds to weeks late, with silences of days, into sites so small that they drop
 * visitors. */
static void stream_late_hits(struct model *model, uint64_t seed, bool together)
{
    int64_t now = MIDNIGHT - 300 * DAY;

    for (uint64_t i = 0; i < LATE_HITS; i++) {
        uint64_t r = stream_draw(&seed), late = r >> 24 & 63;
        now += r % 200 == 0 ? (int64_t)(r >> 8 & 0xfffff) : (int64_t)(r >> 8 & 0xff);
        int64_t at = now - (late < 12   ? (int64_t)(r >> 32 & 63)
                            : late < 15 ? (int64_t)(r >> 32) % DAY
                            : late < 16 ? (int64_t)(r >> 32) % (40 * DAY)
                                        : 0);
        uint32_t who = (uint32_t)(r >> 40) % LATE_PEOPLE;
        snprintf(model->name[i % BATCH], sizeof model->name[0], "%u", who);
        model->batch[i % BATCH] = hit_of(model->name[i % BATCH], at);
        if (!together)
            count(model->c, model->name[i % BATCH], at);
        else if (i % BATCH == BATCH - 1)
            assert_int_equal(counter_record_many(model->c, model->batch, BATCH, NULL), 0);
        model->hit[model->n].at = at;
        model->hit[model->n].date = oracle_date(&model->oracle, at);
        model->hit[model->n++].who = who;
        model->newest = at > model->newest ? at : model->newest;
        if (i % BATCH == BATCH - 1)
            judge(model, model->newest + (int64_t)(r >> 50 & 255), r & 64 ? COUNTER_WANT_ALL : COUNTER_WANT_BOX);
    }
}

static void what_is_called_exact_is_exact_however_late_hits_come_alone_or_together_and_no_number_falls(void **state)
{
    struct model *model = malloc(sizeof *model);
    assert_non_null(model);
    for (uint64_t seed = 1; seed <= scaled(28); seed++) {
        char site[16];
        memset(model, 0, sizeof *model);
        oracle_open(&model->oracle, "Asia/Ho_Chi_Minh", COUNTER_MONDAY, 1, 1);
        snprintf(site, sizeof site, "late-%u", (unsigned)seed);
        model->c = open_small(state, site, 8u << seed % 7);
        stream_late_hits(model, seed << 32, seed / 7 % 2);
        counter_close(model->c);
        oracle_close(&model->oracle);
    }
    free(model);
}

/* ---- What expires --------------------------------------------------------------------------------------------------- */

static void assert_left(const struct place *place, const char *key, long long least, long long most)
{
    long long left = redis_server_number(places_server(), "TTL %s:{portal}:%s", place->prefix, key);
    if (left < least || left > most)
        fail_msg("%s expires in %lld s", key, left);
}

/* A server that evicts what expires (volatile-ttl) must find nothing that a window shows. */
static void only_what_no_window_shows_any_more_expires_after_the_retention(void **state)
{
    const struct place *place = place_of(state);
    const long long retention = 402 * DAY;
    struct counter *c = open_at(state);

    for (int day = 0; day < 70; day++)
        count(c, "an", MIDNIGHT + day * DAY); /* up to 2026-03-11, a Wednesday */
    count(c, "binh", MIDNIGHT + 3 * DAY);     /* late: it must not bring a closed day back for ever */
    count(c, "binh", MIDNIGHT - 300 * DAY);
    assert_left(place, "day:2026-03-11", -1, -1);
    assert_left(place, "day:2026-03-10", -1, -1);
    assert_left(place, "day:2026-03-09", 1, retention);
    assert_left(place, "day:2026-01-04", 1, retention);
    assert_left(place, "day:2025-03-07", 1, retention);
    assert_left(place, "visitors:day:2026-03-09", 1, retention);
    assert_left(place, "visitors:day:2025-03-07", 1, retention);
    assert_left(place, "week:2026-03-09", -1, -1);
    assert_left(place, "week:2026-03-02", -1, -1);
    assert_left(place, "week:2026-02-23", 1, retention);
    assert_left(place, "visitors:week:2026-02-23", 1, retention);
    assert_left(place, "visitors:month:2026-03", -1, -1);
    assert_left(place, "visitors:month:2026-02", -1, -1);
    assert_left(place, "visitors:month:2026-01", 1, retention);
    static const char *const stays[] = {"month:2025-03", "month:2026-01", "month:2026-02", "month:2026-03", "year:2025",
                                        "year:2026",     "all",           "visitors:all",  "recent",        "meta"};
    for (size_t i = 0; i < sizeof stays / sizeof stays[0]; i++)
        assert_left(place, stays[i], -1, -1);
    count(c, "an", MIDNIGHT + 140 * DAY); /* after a silence of ten weeks */
    assert_left(place, "day:2026-03-11", 1, retention);
    assert_left(place, "week:2026-03-09", 1, retention);
    assert_left(place, "visitors:month:2026-03", 1, retention);
    counter_close(c);
}

/* Nothing is left of a removed site but the store's key and its empty list of sites. */
static void a_removed_site_leaves_no_key_behind(void **state)
{
    const struct place *place = place_of(state);
    struct counter_options options = place_options(place);
    options.key_rotation = COUNTER_ROTATION_DAILY;
    struct counter *c = open_with(&options);
    struct counter_count old = {.hits = 5};
    struct counter_hit an = hit_of("an", MIDNIGHT + 69 * DAY);

    for (int day = 0; day < 70; day++)
        count(c, "an", MIDNIGHT + day * DAY);
    count(c, "binh", MIDNIGHT - 300 * DAY);
    assert_int_equal(counter_erase(c, &an), 1);
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(counter_remove(c, NULL), 0);
    assert_int_equal(redis_server_number(places_server(), "EVAL %s 0 %s", "return #redis.call('KEYS', ARGV[1] .. ':*')",
                                         place->prefix),
                     1);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_REDIS(a_full_site_hands_over_to_the_sketch_and_no_number_falls),
        IN_REDIS(a_new_day_is_exact_again_and_closed_days_stay_so),
        IN_REDIS(after_a_visitor_was_forgotten_all_time_shows_no_less_than_today),
        IN_REDIS(online_says_when_it_is_a_lower_bound),
        IN_REDIS(what_is_called_exact_is_exact_however_late_hits_come_alone_or_together_and_no_number_falls),
        IN_REDIS(only_what_no_window_shows_any_more_expires_after_the_retention),
        IN_REDIS(a_removed_site_leaves_no_key_behind),
    };
    return cmocka_run_group_tests_name("redis_limits", tests, NULL, places_end);
}
