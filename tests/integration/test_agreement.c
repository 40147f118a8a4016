/*
 * The same hits give the same numbers wherever they are counted: a store in files and one at another place are fed the
 * same streams and compared all over, at many moments: what counter_record answers, all windows, days, hours, what was
 * not counted, and what is known of the site. Where the numbers themselves are right is test_stream.c's matter.
 */
#include "../support/places.h"
#include "../support/scale.h"
#include "../support/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400, RETENTION_DAYS = 60, ROWS = 100 * 24, BATCH = 300 };

struct pair {
    struct place file;
    struct counter *c[2]; /* files; the other place */
    const struct oracle *oracle;
    bool rotates;
    uint64_t chance;
    size_t fed;
    struct counter_hit hit[BATCH];
    char text[BATCH][24];
};

/* ---- Two stores ----------------------------------------------------------------------------------------------------- */

static struct counter *open_one(const struct place *place, const struct stream *stream, enum counter_rotation rotation)
{
    struct counter_options options = place_options(place);
    struct counter *c;

    options.timezone = stream->zone;
    options.week_start = stream->week_start;
    options.retention_days = RETENTION_DAYS;
    options.key_rotation = rotation;
    options.exclude = "192.0.2.0/24";
    options.privacy_signal = COUNTER_SIGNAL_HITS_ONLY;
    if (counter_open(&c, &options) < 0)
        fail_msg("%s: %s", place_name(place->kind), counter_error());
    return c;
}

/* The key of one goes to the other: then sketches hold the same, and estimates are the same too. */
static void open_pair(struct pair *pair, const struct place *place, const struct stream *stream,
                      enum counter_rotation rotation)
{
    struct counter_hit hit = {.size = sizeof hit, .visitor = "nobody", .site = "other"};

    place_make(&pair->file, PLACE_FILE);
    pair->c[0] = open_one(&pair->file, stream, rotation);
    pair->c[1] = open_one(place, stream, rotation);
    assert_int_equal(counter_record(pair->c[0], &hit, NULL), 0); /* makes the key */
    if (counter_copy_key(pair->c[1], pair->c[0]) < 0)
        fail_msg("%s", counter_error());
}

static void close_pair(struct pair *pair)
{
    counter_close(pair->c[0]);
    counter_close(pair->c[1]);
    place_clear(&pair->file);
}

/* ---- Feeding -------------------------------------------------------------------------------------------------------- */

/* One in 16 comes from an address of our own, one in 16 has a privacy signal. */
static void describe(struct pair *pair, unsigned i, size_t turn)
{
    const struct oracle_hit *raw = &pair->oracle->hit[pair->oracle->delivery[turn]];
    uint64_t kind = stream_draw(&pair->chance) % 16;

    snprintf(pair->text[i], sizeof pair->text[i], "visitor %u", raw->visitor);
    pair->hit[i] = (struct counter_hit){.size = sizeof pair->hit[i], .at = raw->at, .visitor = pair->text[i]};
    if (kind == 0)
        pair->hit[i].address = "192.0.2.1";
    else if (kind == 1)
        pair->hit[i].flags = COUNTER_HIT_PRIVACY;
}

static void feed_batch(struct pair *pair)
{
    size_t left = pair->oracle->hits - pair->fed, n = 1 + (size_t)stream_below(&pair->chance, BATCH);
    struct counter_tally tally[2] = {{.size = sizeof tally[0]}, {.size = sizeof tally[0]}};

    n = n < left ? n : left;
    for (unsigned i = 0; i < n; i++)
        describe(pair, i, pair->fed + i);
    for (int k = 0; k < 2; k++)
        if (counter_record_many(pair->c[k], pair->hit, n, &tally[k]) < 0)
            fail_msg("%s", counter_error());
    assert_memory_equal(&tally[0], &tally[1], sizeof tally[0]);
    pair->fed += n;
}

/* Keys of periods are each store's own: then sketches differ, and only estimates may, by some standard errors. */
static bool is_same(const struct pair *pair, const struct counter_count *a, const struct counter_count *b)
{
    bool estimates = pair->rotates && a->error > 0 && b->error > 0;
    int64_t slack = estimates ? (int64_t)(6 * a->error * (double)a->visitors) : 0;

    return a->hits == b->hits && a->visits == b->visits && llabs(a->visitors - b->visitors) <= slack &&
           (estimates || a->error == b->error);
}

static void assert_same_stats(const struct pair *pair, const struct counter_stats *a, const struct counter_stats *b)
{
    for (int w = 0; w < COUNTER_WINDOWS; w++)
        if (!is_same(pair, &a->window[w], &b->window[w]))
            fail_msg("hit %zu, at %lld: window %d is %lld, %lld, %lld, error %f, and %lld, %lld, %lld, error %f",
                     pair->fed, (long long)a->at, w, (long long)a->window[w].visitors, (long long)a->window[w].visits,
                     (long long)a->window[w].hits, a->window[w].error, (long long)b->window[w].visitors,
                     (long long)b->window[w].visits, (long long)b->window[w].hits, b->window[w].error);
    assert_int_equal(a->online, b->online);
    assert_int_equal(a->late, b->late);
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->summed, b->summed);
    assert_int_equal(a->online_floor, b->online_floor);
}

static void feed_one(struct pair *pair)
{
    struct counter_stats stats[2] = {{.size = sizeof stats[0], .want = COUNTER_WANT_ALL},
                                     {.size = sizeof stats[0], .want = COUNTER_WANT_ALL}};
    describe(pair, 0, pair->fed);
    int a = counter_record(pair->c[0], &pair->hit[0], &stats[0]);
    int b = counter_record(pair->c[1], &pair->hit[0], &stats[1]);
    if (a < 0 || b < 0)
        fail_msg("%s", counter_error());
    assert_int_equal(a, b);
    pair->fed++;
    assert_same_stats(pair, &stats[0], &stats[1]);
}

/* ---- Comparing ------------------------------------------------------------------------------------------------------ */

struct rows {
    size_t n;
    struct {
        int64_t start;
        struct counter_count count;
        char name[66];
    } row[ROWS];
};

static int gather(void *arg, const struct counter_row *row)
{
    struct rows *rows = arg;
    assert_true(rows->n < ROWS);
    rows->row[rows->n].start = row->start;
    rows->row[rows->n].count = row->count;
    snprintf(rows->row[rows->n++].name, sizeof rows->row[0].name, "%s", row->name);
    return 0;
}

static void assert_same_rows(const struct rows *a, const struct rows *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (memcmp(&a->row[i].count, &b->row[i].count, sizeof a->row[i].count) != 0 ||
            a->row[i].start != b->row[i].start || strcmp(a->row[i].name, b->row[i].name) != 0)
            fail_msg("row %zu is %s: %lld, %lld, %lld, error %f, and %s: %lld, %lld, %lld, error %f", i, a->row[i].name,
                     (long long)a->row[i].count.visitors, (long long)a->row[i].count.visits,
                     (long long)a->row[i].count.hits, a->row[i].count.error, b->row[i].name,
                     (long long)b->row[i].count.visitors, (long long)b->row[i].count.visits,
                     (long long)b->row[i].count.hits, b->row[i].count.error);
    assert_int_equal(a->n, b->n);
}

static void compare_rows(struct pair *pair)
{
    static struct rows rows[2];

    for (int what = 0; what < 3; what++) {
        memset(rows, 0, sizeof rows);
        for (int k = 0; k < 2; k++) {
            int r = what == 2 ? counter_breakdown(pair->c[k], NULL, NULL, NULL, COUNTER_BY_VERDICT, gather, &rows[k])
                              : counter_series(pair->c[k], NULL, NULL, NULL, what ? COUNTER_BY_HOUR : COUNTER_BY_DAY,
                                               gather, &rows[k]);
            if (r != 0)
                fail_msg("%s", counter_error());
        }
        assert_same_rows(&rows[0], &rows[1]);
    }
}

static void compare_sites(struct pair *pair)
{
    struct counter_site site[2] = {{.size = sizeof site[0]}, {.size = sizeof site[0]}};
    for (int k = 0; k < 2; k++)
        assert_int_equal(counter_site(pair->c[k], NULL, &site[k]), 0);
    assert_memory_equal(&site[0], &site[1], sizeof site[0]);
}

static void compare(struct pair *pair, int64_t at)
{
    struct counter_stats stats[2] = {{.size = sizeof stats[0], .want = COUNTER_WANT_ALL},
                                     {.size = sizeof stats[0], .want = COUNTER_WANT_ALL}};
    for (int k = 0; k < 2; k++)
        if (counter_read(pair->c[k], NULL, at, &stats[k]) < 0)
            fail_msg("%s", counter_error());
    assert_same_stats(pair, &stats[0], &stats[1]);
}

/* ---- Streams -------------------------------------------------------------------------------------------------------- */

/* Most in order, some a minute late, a few by hours or days. */
static int64_t any_delay(void *chance)
{
    int64_t kind = stream_below(chance, 40);
    return kind > 8   ? 0
           : kind > 1 ? stream_below(chance, 90)
           : kind     ? stream_below(chance, 12 * 3600)
                      : stream_below(chance, 20 * DAY);
}

static void run(void **state, enum counter_rotation rotation, int64_t (*delay)(void *), const struct stream *all)
{
    static struct pair pair;
    struct stream stream = *all;
    const struct place *place = place_of(state);
    struct oracle oracle;

    pair = (struct pair){.oracle = &oracle, .rotates = rotation != COUNTER_ROTATION_NEVER, .chance = 700 + rotation};
    if (!oracle_knows(stream.zone))
        skip();
    stream.hits = scaled(stream.hits);
    stream.visitors = scaled(stream.visitors);
    stream_make(&stream, &oracle, &pair.chance);
    oracle_deliver(&oracle, delay, &pair.chance);
    open_pair(&pair, place, &stream, rotation);
    for (unsigned i = 0; pair.fed < oracle.hits; i++) {
        for (int64_t n = stream_below(&pair.chance, 6); n > 0 && pair.fed < oracle.hits; n--)
            feed_one(&pair);
        if (pair.fed < oracle.hits)
            feed_batch(&pair);
        struct counter_site site = {.size = sizeof site};
        assert_int_equal(counter_site(pair.c[0], NULL, &site), 0);
        compare(&pair, site.newest + stream_below(&pair.chance, 400) - 60);
        if (i % 4 == 0) /* and as they will stand days, months and years later, without another hit */
            compare(&pair, site.newest + stream_below(&pair.chance, (i % 3 ? 20 : 500) * (int64_t)DAY));
        if (i % 8 == 0)
            compare_rows(&pair);
        compare_sites(&pair);
    }
    compare_rows(&pair);
    close_pair(&pair);
    oracle_close(&oracle);
}

static const struct stream new_year = {"Asia/Ho_Chi_Minh", COUNTER_MONDAY, 2025, 11, 20, 90, 30000, 4000, 1};
static const struct stream autumn = {"America/New_York", COUNTER_SUNDAY, 2025, 9, 20, 90, 30000, 4000, 1};

static void in_time_order_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_NEVER, NULL, &new_year);
}

static void a_minute_late_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_NEVER, stream_minute, &new_year);
}

static void however_late_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_NEVER, any_delay, &new_year);
}

static void however_late_and_while_clocks_are_put_back_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_NEVER, any_delay, &autumn);
}

static void under_daily_keys_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_DAILY, stream_minute, &new_year);
}

static void under_monthly_keys_all_numbers_are_those_of_files(void **state)
{
    run(state, COUNTER_ROTATION_MONTHLY, stream_minute, &new_year);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERYWHERE(in_time_order_all_numbers_are_those_of_files),
        EVERYWHERE(a_minute_late_all_numbers_are_those_of_files),
        EVERYWHERE(however_late_all_numbers_are_those_of_files),
        EVERYWHERE(however_late_and_while_clocks_are_put_back_all_numbers_are_those_of_files),
        EVERYWHERE(under_daily_keys_all_numbers_are_those_of_files),
        EVERYWHERE(under_monthly_keys_all_numbers_are_those_of_files),
    };
    return cmocka_run_group_tests_name("agreement", tests, NULL, places_end);
}
