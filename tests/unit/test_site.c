/* One site's counting through its inner door, with tables small enough that the end of exactness comes soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/scale.h"
#include "site.h"
#include "site_keys.h"

#include <stdlib.h>
#include <string.h>

enum { MIDNIGHT = 1767200400 }; /* 2026-01-01T00:00:00+07:00, a Thursday */
enum { DAY = 86400 };

static struct site *new_site(unsigned line_bits)
{
    struct site_plan plan = {.timezone = "+07:00", .line_bits = line_bits};
    struct site *site;
    assert_int_equal(site_open(&site, -1, "portal", &plan, 1000, true), 0);
    return site;
}

static uint64_t id_of(uint64_t visitor)
{
    visitor = (visitor + 1) * UINT64_C(0x9e3779b97f4a7c15);
    visitor = (visitor ^ visitor >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    visitor = (visitor ^ visitor >> 27) * UINT64_C(0x94d049bb133111eb);
    return visitor ^ visitor >> 31;
}

static int hit(struct site *site, uint64_t visitor, int64_t at)
{
    struct store_hit given = {.at = at, .id = id_of(visitor)};
    return site_record(site, &given);
}

static struct counter_stats look(struct site *site, int64_t at, uint32_t want)
{
    struct counter_stats stats = {.size = sizeof stats, .want = want};
    assert_int_equal(site_read(site, at, &stats), 0);
    return stats;
}

#define VISITORS(stats, which) ((stats).window[COUNTER_##which].visitors)
#define VISITS(stats, which)   ((stats).window[COUNTER_##which].visits)
#define HITS(stats, which)     ((stats).window[COUNTER_##which].hits)
#define ERROR(stats, which)    ((stats).window[COUNTER_##which].error)

static void one_hit_is_one_of_everything(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    assert_int_equal(hit(site, 1, MIDNIGHT + 5), 0);
    struct counter_stats stats = look(site, MIDNIGHT + 6, COUNTER_WANT_ALL);
    assert_int_equal(stats.online, 1);
    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        bool past =
            w == COUNTER_YESTERDAY || w == COUNTER_LAST_WEEK || w == COUNTER_LAST_MONTH || w == COUNTER_LAST_YEAR;
        assert_int_equal(stats.window[w].visitors, !past);
        assert_int_equal(stats.window[w].visits, !past);
        assert_int_equal(stats.window[w].hits, !past);
        assert_true(stats.window[w].error == 0);
    }
    site_close(site);
}

static void a_visit_ends_after_thirty_minutes_and_online_after_five(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    hit(site, 1, MIDNIGHT + 100);
    hit(site, 1, MIDNIGHT + 100 + 1800);
    assert_int_equal(VISITS(look(site, MIDNIGHT + 1900, 0), TODAY), 1);
    hit(site, 1, MIDNIGHT + 1900 + 1801);
    assert_int_equal(VISITS(look(site, MIDNIGHT + 3701, 0), TODAY), 2);
    assert_int_equal(look(site, MIDNIGHT + 3701 + 299, 0).online, 1);
    assert_int_equal(look(site, MIDNIGHT + 3701 + 300, 0).online, 0);
    site_close(site);
}

static void a_day_that_ended_is_yesterday_and_then_only_in_the_series(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    for (uint64_t v = 0; v < 617; v++)
        hit(site, v, MIDNIGHT + 3600 + (int64_t)v);
    hit(site, 5, MIDNIGHT + DAY + 1);
    struct counter_stats stats = look(site, MIDNIGHT + DAY + 2, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, YESTERDAY), 617);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 617);
    assert_int_equal(HITS(stats, THIS_WEEK), 618);
    hit(site, 6, MIDNIGHT + 5 * DAY);
    struct period_frame frame;
    struct counter_count count;
    period_frame(&frame, site->zone, site->week_start, MIDNIGHT);
    assert_int_equal(site_read_day(site, &frame, &count), 0);
    assert_int_equal(count.visitors, 617);
    assert_int_equal(count.visits, 617);
    assert_true(count.error == 0);
    stats = look(site, MIDNIGHT + 5 * DAY, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, LAST_WEEK), 617);
    assert_int_equal(VISITORS(stats, YESTERDAY), 0);
    site_close(site);
}

static void a_late_hit_counts_in_its_own_day_exactly(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    hit(site, 1, MIDNIGHT + DAY - 100);
    hit(site, 2, MIDNIGHT + DAY + 10);
    hit(site, 2, MIDNIGHT + DAY - 10); /* same visit, other day */
    hit(site, 3, MIDNIGHT + DAY - 20); /* a new visitor of the day before */
    struct counter_stats stats = look(site, MIDNIGHT + DAY + 20, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, YESTERDAY), 3);
    assert_int_equal(HITS(stats, YESTERDAY), 3);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(VISITS(stats, THIS_WEEK), 3);
    assert_int_equal(VISITORS(stats, ALL_TIME), 3);
    assert_int_equal(stats.late, 1);
    assert_true(ERROR(stats, YESTERDAY) == 0);
    site_close(site);
}

static void what_the_table_cannot_tell_shows_in_error(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    for (uint64_t v = 0; v < 10; v++)
        hit(site, v, MIDNIGHT + 1000 + (int64_t)v);
    for (uint64_t v = 0; v < 10; v++)
        hit(site, v, MIDNIGHT + 3 * DAY + (int64_t)v);
    hit(site, 3, MIDNIGHT + 5000); /* was it there already? the table has forgotten */
    struct period_frame frame;
    struct counter_count count;
    period_frame(&frame, site->zone, site->week_start, MIDNIGHT);
    assert_int_equal(site_read_day(site, &frame, &count), 0);
    assert_int_equal(count.hits, 11);
    assert_int_equal(count.visitors, 10);
    assert_true(count.error > 0.099 && count.error < 0.101);
    site_close(site);
}

/* ---- The end of exactness ------------------------------------------------------------------------------------------ */

static void a_full_table_hands_over_to_the_sketch_and_no_number_falls(void **state)
{
    (void)state;
    uint64_t total = 2000 + scaled(18000);
    struct site *site = new_site(7); /* 1024 cells */
    int64_t last[COUNTER_WINDOWS] = {0};
    bool ended = false;

    for (uint64_t v = 0; v < total; v++) {
        int64_t at = MIDNIGHT + 3600 + (int64_t)v * 2;
        hit(site, v, at);
        struct counter_stats stats = look(site, at, COUNTER_WANT_ALL);
        for (int w = 0; w < COUNTER_WINDOWS; w++) {
            assert_true(stats.window[w].visitors >= last[w]);
            last[w] = stats.window[w].visitors;
        }
        int64_t truth = (int64_t)v + 1, today = VISITORS(stats, TODAY);
        if (ERROR(stats, TODAY) == 0) {
            assert_false(ended);
            assert_int_equal(today, truth);
        } else {
            ended = true;
            assert_true((double)labs(today - truth) <= 3 * 0.0081 * (double)truth + 1);
        }
        assert_true(VISITORS(stats, THIS_WEEK) >= today);
        assert_true(VISITORS(stats, THIS_MONTH) >= VISITORS(stats, THIS_WEEK));
        assert_true(VISITORS(stats, ALL_TIME) >= VISITORS(stats, THIS_YEAR));
        assert_int_equal(HITS(stats, ALL_TIME), truth);
    }
    assert_true(ended);
    site_close(site);
}

static void a_new_day_is_exact_again_and_closed_days_stay_so(void **state)
{
    (void)state;
    struct site *site = new_site(8); /* 2048 cells: some 500 a window */
    uint64_t next = 0;
    for (int day = 0; day < 60; day++)
        for (int i = 0; i < 300; i++)
            assert_int_equal(hit(site, next++, MIDNIGHT + day * DAY + 3600 + i * 60), 0);
    struct counter_stats stats = look(site, MIDNIGHT + 59 * DAY + 80000, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, TODAY), 300);
    assert_int_equal(VISITORS(stats, YESTERDAY), 300);
    assert_true(ERROR(stats, TODAY) == 0 && ERROR(stats, YESTERDAY) == 0);
    assert_true(ERROR(stats, ALL_TIME) > 0);
    assert_true((double)labs(VISITORS(stats, ALL_TIME) - 18000) < 3 * 0.0081 * 18000);
    for (int day = 0; day < 60; day++) {
        struct period_frame frame;
        struct counter_count count;
        period_frame(&frame, site->zone, site->week_start, MIDNIGHT + day * DAY + 100);
        assert_int_equal(site_read_day(site, &frame, &count), 0);
        assert_int_equal(count.visitors, 300);
        assert_true(count.error == 0);
    }
    site_close(site);
}

static void visitors_not_seen_for_forget_days_are_forgotten(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    hit(site, 1, MIDNIGHT + 100);
    hit(site, 2, MIDNIGHT + 34 * DAY);
    assert_true(ERROR(look(site, MIDNIGHT + 34 * DAY, COUNTER_WANT_ALL), ALL_TIME) == 0);
    hit(site, 2, MIDNIGHT + 36 * DAY);
    struct counter_stats stats = look(site, MIDNIGHT + 36 * DAY, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, ALL_TIME), 2);
    assert_true(ERROR(stats, ALL_TIME) > 0);
    assert_true(ERROR(stats, THIS_MONTH) == 0);
    struct recency_slot slot;
    recency_locate(&site->table, identity_short(id_of(1)), &slot);
    recency_find(&slot);
    assert_false(slot.found);
    hit(site, 1, MIDNIGHT + 37 * DAY); /* the sketch remembers that it was here */
    assert_int_equal(VISITORS(look(site, MIDNIGHT + 37 * DAY, COUNTER_WANT_ALL), ALL_TIME), 2);
    site_close(site);
}

/* ---- Time ----------------------------------------------------------------------------------------------------------- */

static void impossible_times_are_refused_and_count_nothing(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    int64_t now = (int64_t)(site_now() / 1000);
    assert_int_equal(hit(site, 1, 1000), COUNTER_ETIME);
    assert_int_equal(hit(site, 1, now + 65), COUNTER_ETIME);
    assert_int_equal(hit(site, 1, now - 500 * DAY), 0);
    assert_int_equal(hit(site, 1, now - 90 * DAY), COUNTER_ETIME); /* 410 days after the newest */
    atomic_store(&site->file->state.accepted, now);
    assert_int_equal(hit(site, 1, now - 90 * DAY), 0);
    assert_int_equal(hit(site, 1, now - 500 * DAY), COUNTER_ETIME); /* before the retention */
    assert_int_equal(HITS(look(site, now, 0), ALL_TIME), 2);
    site_close(site);
}

static void a_reader_a_minute_behind_sees_the_day_that_just_ended(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    hit(site, 1, MIDNIGHT + DAY - 50);
    hit(site, 2, MIDNIGHT + DAY - 40);
    hit(site, 1, MIDNIGHT + DAY + 5);
    struct counter_stats stats = look(site, MIDNIGHT + DAY - 10, COUNTER_WANT_ALL);
    assert_int_equal(VISITORS(stats, TODAY), 2);
    assert_int_equal(HITS(stats, TODAY), 2);
    assert_int_equal(stats.online, 2);
    site_close(site);
}

static void an_anonymous_hit_is_a_hit_without_a_visitor(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    struct store_hit given = {.at = MIDNIGHT + 10, .verdict = COUNTER_PRIVACY_SIGNAL, .anonymous = true};
    assert_int_equal(site_record(site, &given), 0);
    given.anonymous = false; /* and one that is only totalled */
    assert_int_equal(site_record(site, &given), 0);
    struct counter_stats stats = look(site, MIDNIGHT + 10, COUNTER_WANT_ALL);
    assert_int_equal(HITS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, TODAY), 0);
    site_close(site);
}

static void the_last_baseline_holds_and_a_torn_one_does_not(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    struct counter_count count;
    for (int64_t i = 1; i <= 20; i++) {
        assert_int_equal(
            site_set_baseline(site, &(struct counter_count){.visitors = i, .visits = 2 * i, .hits = 3 * i}), 0);
        assert_true(site_baseline(site, &count));
        assert_int_equal(count.visitors, i);
        assert_int_equal(count.hits, 3 * i);
    }
    atomic_store(&site->file->state.baselines[20 % LAYOUT_BASELINES].visits, 7);
    assert_false(site_baseline(site, &count));
    assert_int_equal(count.visitors, 19);
    site_close(site);
}

/* A model of visits and distinct visitors, day by day, on a random stream with jumps over midnights and weeks. */
static void random_streams_equal_an_exact_model(void **state)
{
    (void)state;
    enum { PEOPLE = 400, DAYS = 120 };
    static bool seen[DAYS][PEOPLE];
    for (uint64_t seed = 0; seed < scaled(20); seed++) {
        struct site *site = new_site(14);
        int64_t at = MIDNIGHT, last[PEOPLE] = {0};
        int64_t visits[DAYS] = {0}, hits[DAYS] = {0};
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; at < MIDNIGHT + (DAYS - 10) * (int64_t)DAY; i++) {
            uint64_t r = id_of(seed << 32 | i);
            at += r % 100 == 0 ? (int64_t)(r >> 8) % (3 * DAY) : (int64_t)(r >> 8) % 600;
            uint64_t who = (r >> 40) % PEOPLE;
            int day = (int)((at - MIDNIGHT) / DAY);
            visits[day] += last[who] == 0 || at - last[who] > 1800;
            hits[day]++;
            seen[day][who] = true;
            last[who] = at;
            assert_int_equal(hit(site, who, at), 0);
        }
        for (int day = 0; day <= (at - MIDNIGHT) / DAY; day++) {
            struct period_frame frame;
            struct counter_count count;
            int64_t people = 0;
            for (int who = 0; who < PEOPLE; who++)
                people += seen[day][who];
            period_frame(&frame, site->zone, site->week_start, MIDNIGHT + day * (int64_t)DAY);
            assert_int_equal(site_read_day(site, &frame, &count), 0);
            assert_int_equal(count.hits, hits[day]);
            assert_int_equal(count.visits, visits[day]);
            assert_int_equal(count.visitors, people);
        }
        site_close(site);
    }
}

/* ---- Keys that rotate ------------------------------------------------------------------------------------------------ */

static void under_daily_keys_a_visit_goes_on_over_midnight_and_longer_windows_are_sums(void **state)
{
    (void)state;
    struct site_plan plan = {.timezone = "+07:00", .key_rotation = COUNTER_ROTATION_DAILY};
    struct identity_keys before, after, late;
    struct site *site;
    assert_int_equal(site_open(&site, -1, "portal", &plan, 1000, true), 0);

    assert_int_equal(site_keys(site, MIDNIGHT + DAY - 100, true, &before), 0);
    assert_true(before.known && !before.has_previous);
    struct store_hit hit_before = {.at = MIDNIGHT + DAY - 100, .id = id_of(1)};
    assert_int_equal(site_record(site, &hit_before), 0);

    assert_int_equal(site_keys(site, MIDNIGHT + DAY + 100, true, &after), 0);
    assert_true(after.known && after.has_previous);
    assert_memory_equal(&after.previous, &before.current, sizeof before.current);
    assert_memory_not_equal(&after.current, &before.current, sizeof before.current);
    struct store_hit hit_after = {
        .at = MIDNIGHT + DAY + 100, .id = id_of(2), .previous_id = id_of(1), .has_previous = true};
    assert_int_equal(site_record(site, &hit_after), 0);

    struct counter_stats stats = look(site, MIDNIGHT + DAY + 100, COUNTER_WANT_ALL);
    assert_int_equal(stats.online, 1);
    assert_int_equal(VISITORS(stats, TODAY), 1);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_int_equal(VISITS(stats, TODAY), 0); /* it is yesterday's, going on */
    assert_int_equal(VISITS(stats, YESTERDAY), 1);
    assert_int_equal(VISITORS(stats, THIS_WEEK), 2);
    assert_int_equal(stats.summed, COUNTER_WANT_ALL & ~(1u << COUNTER_TODAY | 1u << COUNTER_YESTERDAY));

    /* An hour after the rotation the old key is gone, and a late hit has no name. */
    assert_int_equal(hit(site, 3, MIDNIGHT + DAY + 3600), 0);
    assert_int_equal(site_keys(site, MIDNIGHT + DAY + 3600, true, &after), 0);
    assert_true(after.known && !after.has_previous);
    assert_int_equal(site_keys(site, MIDNIGHT + DAY - 50, true, &late), 0);
    assert_false(late.known);
    struct store_hit nameless = {.at = MIDNIGHT + DAY - 50, .nameless = true};
    assert_int_equal(site_record(site, &nameless), 0);
    stats = look(site, MIDNIGHT + DAY + 3600, COUNTER_WANT_ALL);
    assert_int_equal(HITS(stats, YESTERDAY), 2);
    assert_int_equal(VISITORS(stats, YESTERDAY), 1);
    assert_true(ERROR(stats, YESTERDAY) > 0);
    site_close(site);
}

/* ---- Late hits, against an exact model ----------------------------------------------------------------------------- */

enum { LATE_HITS = 3000, LATE_PEOPLE = 400 };

struct model {
    struct site *site;
    size_t n;
    int64_t newest;
    struct {
        int64_t at;
        uint32_t who;
    } hit[LATE_HITS];
    struct shown {
        int64_t start, visitors, hits;
    } shown[PERIOD_KINDS + 1][64];
};

static void model_count(const struct model *model, int64_t start, int64_t end, int64_t *visitors, int64_t *hits)
{
    bool seen[LATE_PEOPLE] = {false};
    *visitors = *hits = 0;
    for (size_t i = 0; i < model->n; i++) {
        if (model->hit[i].at < start || model->hit[i].at >= end)
            continue;
        *visitors += !seen[model->hit[i].who];
        seen[model->hit[i].who] = true;
        ++*hits;
    }
}

static void judge_window(struct model *model, int kind, int64_t start, int64_t end, const struct counter_count *count)
{
    struct shown *shown = &model->shown[kind][start / DAY % 64];
    int64_t visitors, hits;

    model_count(model, start, end, &visitors, &hits);
    assert_int_equal(count->hits, hits);
    if (count->error == 0)
        assert_int_equal(count->visitors, visitors);
    if (shown->start == start)
        assert_true(count->visitors >= shown->visitors && count->hits >= shown->hits);
    *shown = (struct shown){start, count->visitors, count->hits};
}

static void judge(struct model *model, int64_t at, uint32_t want)
{
    static const int window[PERIOD_KINDS][2] = {{COUNTER_TODAY, COUNTER_YESTERDAY},
                                                {COUNTER_THIS_WEEK, COUNTER_LAST_WEEK},
                                                {COUNTER_THIS_MONTH, COUNTER_LAST_MONTH},
                                                {COUNTER_THIS_YEAR, COUNTER_LAST_YEAR}};
    struct counter_stats stats = look(model->site, at, want);
    struct period_frame frame;

    period_frame(&frame, model->site->zone, model->site->week_start, at);
    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        const struct period_span *span = &frame.of[kind];
        if (want & 1u << window[kind][0])
            judge_window(model, kind, span->start, span->end, &stats.window[window[kind][0]]);
        if (want & 1u << window[kind][1])
            judge_window(model, kind, span->previous, span->start, &stats.window[window[kind][1]]);
    }
    judge_window(model, PERIOD_KINDS, 0, INT64_MAX, &stats.window[COUNTER_ALL_TIME]);
}

/* From seconds to weeks late, into tables so small that they drop visitors, with silences of days. */
static void stream_late_hits(struct model *model, uint64_t seed)
{
    int64_t now = MIDNIGHT - 300 * DAY;

    for (uint64_t i = 0; i < LATE_HITS; i++) {
        uint64_t r = id_of(seed << 32 | i), late = r >> 24 & 63;
        now += r % 200 == 0 ? (int64_t)(r >> 8 & 0xfffff) : (int64_t)(r >> 8 & 0xff);
        int64_t at = now - (late < 12   ? (int64_t)(r >> 32 & 63)
                            : late < 15 ? (int64_t)(r >> 32) % DAY
                            : late < 16 ? (int64_t)(r >> 32) % (40 * DAY)
                                        : 0);
        uint32_t who = (uint32_t)(r >> 40) % LATE_PEOPLE;
        if (at < model->newest - 400 * DAY)
            continue;
        assert_int_equal(hit(model->site, who, at), 0);
        model->hit[model->n].at = at;
        model->hit[model->n++].who = who;
        if (at > model->newest)
            model->newest = at;
        if (i % 16 == 0)
            judge(model, model->newest + (int64_t)(r >> 50 & 255), r & 64 ? COUNTER_WANT_ALL : COUNTER_WANT_BOX);
    }
}

static void what_is_called_exact_is_exact_however_late_hits_come_and_no_number_falls(void **state)
{
    (void)state;
    struct model *model = malloc(sizeof *model);
    assert_non_null(model);
    for (uint64_t seed = 1; seed <= scaled(40); seed++) {
        memset(model, 0, sizeof *model);
        model->site = new_site(3 + (unsigned)(seed % 5));
        stream_late_hits(model, seed);
        site_close(model->site);
    }
    free(model);
}

/* As after a power cut between the pages of the two files, or a kill at midnight. */
static void a_months_total_that_was_lost_is_summed_again_with_the_next_day(void **state)
{
    (void)state;
    struct site *site = new_site(14);
    hit(site, 1, MIDNIGHT + 100);
    hit(site, 2, MIDNIGHT + 31 * DAY);
    struct layout_total *total = &site->file->total[26 * 12];
    assert_int_equal(atomic_exchange(&total->hits, 0), 1);
    atomic_store(&total->visits, 0);
    hit(site, 2, MIDNIGHT + 32 * DAY);
    struct counter_stats stats = look(site, MIDNIGHT + 32 * DAY, COUNTER_WANT_ALL);
    assert_int_equal(HITS(stats, ALL_TIME), 3);
    assert_int_equal(VISITS(stats, THIS_YEAR), 3);
    site_close(site);
}

/* Anything may stand in a file's words. */
static void words_of_a_damaged_file_make_wrong_numbers_and_no_worse(void **state)
{
    (void)state;
    struct site *site = new_site(6);
    struct site_month *month;
    hit(site, 1, MIDNIGHT + 100);
    assert_int_equal(site_month(site, 26 * 12, false, &month), 0);
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t *word = (uint64_t *)(void *)&site->file->state, *day = (uint64_t *)(void *)month->file->day;
        for (size_t i = 0; i < sizeof site->file->state / 8; i++)
            word[i] = id_of(seed * 1000 + i) >> id_of(i + seed) % 64;
        for (size_t i = 0; i < sizeof month->file->day / 8; i++)
            day[i] = id_of(seed * 1000000 + i);
        for (size_t i = 0; i < 512; i++)
            atomic_store(&site->table.cell[i], id_of(seed * 777777 + i));
        struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
        site_read(site, MIDNIGHT + (int64_t)seed * DAY, &stats);
        for (int w = 0; w < COUNTER_WINDOWS; w++)
            assert_true(stats.window[w].hits >= 0 && stats.window[w].visitors >= 0 && stats.window[w].visits >= 0);
        hit(site, seed, MIDNIGHT + (int64_t)seed * DAY / 4);
    }
    site_close(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_hit_is_one_of_everything),
        cmocka_unit_test(a_visit_ends_after_thirty_minutes_and_online_after_five),
        cmocka_unit_test(a_day_that_ended_is_yesterday_and_then_only_in_the_series),
        cmocka_unit_test(a_late_hit_counts_in_its_own_day_exactly),
        cmocka_unit_test(what_the_table_cannot_tell_shows_in_error),
        cmocka_unit_test(a_full_table_hands_over_to_the_sketch_and_no_number_falls),
        cmocka_unit_test(a_new_day_is_exact_again_and_closed_days_stay_so),
        cmocka_unit_test(visitors_not_seen_for_forget_days_are_forgotten),
        cmocka_unit_test(impossible_times_are_refused_and_count_nothing),
        cmocka_unit_test(a_reader_a_minute_behind_sees_the_day_that_just_ended),
        cmocka_unit_test(an_anonymous_hit_is_a_hit_without_a_visitor),
        cmocka_unit_test(the_last_baseline_holds_and_a_torn_one_does_not),
        cmocka_unit_test(random_streams_equal_an_exact_model),
        cmocka_unit_test(what_is_called_exact_is_exact_however_late_hits_come_and_no_number_falls),
        cmocka_unit_test(a_months_total_that_was_lost_is_summed_again_with_the_next_day),
        cmocka_unit_test(words_of_a_damaged_file_make_wrong_numbers_and_no_worse),
        cmocka_unit_test(under_daily_keys_a_visit_goes_on_over_midnight_and_longer_windows_are_sums),
    };
    return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
