/*
 * Copying a site between stores, through the public calls: in memory and in files, cut short, repeated, at once.
 *
 * The judge is the source itself: a dump of every number that the public calls give must be the same text.
 */
#include "../support/scale.h"
#include "../support/scratch.h"
#include "../support/stream.h"
#include "counter_handle.h"
#include "site_copy.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400, DAYS = 70, HALF = 41, LIVE = 20000, DUMP = 1 << 20 };
enum { FIRST = 1773961200 }; /* 2026-03-20T00:00:00+01:00; on the 29th clocks go forward */

/* ---- Stores --------------------------------------------------------------------------------------------------------- */

enum way { FILE_TO_FILE, MEMORY_TO_FILE, FILE_TO_MEMORY, WAYS };

struct places {
    char folder[8][SCRATCH_PATH];
    int folders;
};

static struct places places;
static enum way way;

static int begin(void **state)
{
    way = *(const enum way *)*state;
    places.folders = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    while (places.folders > 0)
        scratch_remove(places.folder[--places.folders]);
    return 0;
}

static struct counter_options usual(void)
{
    return (struct counter_options){.size = sizeof(struct counter_options),
                                    .config = "",
                                    .site = "portal",
                                    .timezone = "Europe/Berlin",
                                    .exclude = "192.0.2.0/24",
                                    .privacy_signal = COUNTER_SIGNAL_HITS_ONLY,
                                    .sync_ms = 100};
}

static struct counter *open_with(bool memory, struct counter_options options)
{
    char url[SCRATCH_FILE] = "memory:";
    struct counter *c;

    if (!memory) {
        assert_true(places.folders < 8);
        scratch_make(places.folder[places.folders]);
        snprintf(url, sizeof url, "file:%s", places.folder[places.folders++]);
    }
    options.store = url;
    if (counter_open(&c, &options) < 0)
        fail_msg("%s", counter_error());
    return c;
}

static struct counter *open_source(void)
{
    return open_with(way == MEMORY_TO_FILE, usual());
}

static struct counter *open_target(void)
{
    return open_with(way == FILE_TO_MEMORY, usual());
}

static void copy(struct counter *to, struct counter *from)
{
    if (counter_copy(to, from, NULL) != 0)
        fail_msg("%s", counter_error());
}

static void assert_error(int code, int expected, const char *part)
{
    if (code != expected || !strstr(counter_error(), part))
        fail_msg("%d, \"%s\" instead of %d, \"...%s...\"", code, counter_error(), expected, part);
}

/* ---- Hits ----------------------------------------------------------------------------------------------------------- */

static int count(struct counter *c, const char *name, unsigned number, int64_t at)
{
    char visitor[32];
    struct counter_hit hit = {.size = sizeof hit, .visitor = visitor, .at = at};
    snprintf(visitor, sizeof visitor, "%s-%u", name, number);
    return counter_record(c, &hit, NULL);
}

static int erase(struct counter *c, const char *name, unsigned number, int64_t at)
{
    char visitor[32];
    struct counter_hit hit = {.size = sizeof hit, .visitor = visitor, .at = at};
    snprintf(visitor, sizeof visitor, "%s-%u", name, number);
    return counter_erase(c, &hit);
}

static void count_uncounted(struct counter *c, uint64_t *chance, int64_t at)
{
    struct counter_hit hit = {.size = sizeof hit, .address = "192.0.2.7", .agent = "A", .at = at};
    if (stream_below(chance, 2)) {
        hit.address = "198.51.100.1";
        hit.flags = COUNTER_HIT_PRIVACY;
    }
    assert_true(counter_record(c, &hit, NULL) > 0);
}

/* One day, the same whoever gets it: regulars and newcomers, late hits of seconds and days, some who are erased. */
static void feed_day(struct counter *c, int day)
{
    uint64_t chance = (uint64_t)day * 7919 + 1;
    int hits = (int)scaled(150) + 10;
    int64_t at = FIRST + (int64_t)day * DAY;

    for (int i = 0; i < hits; i++) {
        at += stream_below(&chance, 2 * DAY / hits - 10);
        bool regular = stream_below(&chance, 3) > 0;
        unsigned visitor =
            (unsigned)(regular ? stream_below(&chance, 60) : 1000 + day * 100 + stream_below(&chance, 90));
        int64_t late = stream_below(&chance, 10) ? 0 : stream_below(&chance, 60);
        if (day > 2 && stream_below(&chance, 100) == 0)
            late = stream_below(&chance, 2 * DAY);
        assert_int_equal(count(c, "v", visitor, at - late), 0);
        if (stream_below(&chance, 20) == 0)
            count_uncounted(c, &chance, at);
        if (stream_below(&chance, 50) == 0)
            erase(c, "v", visitor, at);
    }
}

static void feed(struct counter *c, int from, int until)
{
    struct counter_count old = {.visitors = 1234, .visits = 2345, .hits = 34567};
    for (int day = from; day < until; day++) {
        feed_day(c, day);
        if (day == 20)
            assert_int_equal(counter_baseline(c, NULL, &old), 0);
    }
}

/* ---- Every public number -------------------------------------------------------------------------------------------- */

struct text {
    size_t length;
    char *bytes;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text->bytes + text->length, DUMP - text->length, format, list);
    va_end(list);
    text->length += (size_t)n;
    assert_true(text->length < DUMP);
}

static void put_count(struct text *text, const struct counter_count *count)
{
    put(text, " %lld %lld %lld %a\n", (long long)count->visitors, (long long)count->visits, (long long)count->hits,
        count->error);
}

static int put_row(void *arg, const struct counter_row *row)
{
    put(arg, "%s %lld", row->name, (long long)row->start);
    put_count(arg, &row->count);
    return 0;
}

static void put_stats(struct text *text, struct counter *c, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, NULL, at, &stats) != 0)
        fail_msg("%s", counter_error());
    put(text, "at %lld online %lld%s late %lld summed %x\n", (long long)(at), (long long)stats.online,
        stats.online_floor ? "+" : "", (long long)stats.late, stats.summed);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        put(text, "window %d", i);
        put_count(text, &stats.window[i]);
    }
}

static char *dump(struct counter *c)
{
    struct text text = {.bytes = calloc(1, DUMP)};
    struct counter_site site = {.size = sizeof site};

    assert_non_null(text.bytes);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    put(&text, "%s %s %d %u %u %u %d since %lld newest %lld", site.name, site.timezone, (int)site.week_start,
        site.exact_visitors, site.forget_days, site.retention_days, (int)site.key_rotation, (long long)site.since,
        (long long)site.newest);
    put_count(&text, &site.baseline);
    put_stats(&text, c, site.newest);
    put_stats(&text, c, site.newest + 200);
    put_stats(&text, c, site.newest + DAY);
    put_stats(&text, c, site.newest + 20 * DAY);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, put_row, &text), 0);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_HOUR, put_row, &text), 0);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, put_row, &text), 0);
    return text.bytes;
}

/* Points at the first line that differs. */
static void assert_same_text(char *a, char *b)
{
    const char *x = a, *y = b, *line_x = a, *line_y = b;
    while (*x && *x == *y) {
        if (*x == '\n') {
            line_x = x + 1;
            line_y = y + 1;
        }
        x++, y++;
    }
    if (*x != *y)
        fail_msg("source: %.*s\ntarget: %.*s", (int)strcspn(line_x, "\n"), line_x, (int)strcspn(line_y, "\n"), line_y);
    free(a);
    free(b);
}

static void assert_same(struct counter *source, struct counter *target)
{
    assert_same_text(dump(source), dump(target));
}

/* ---- The same numbers ------------------------------------------------------------------------------------------------ */

static void every_number_of_the_target_is_the_sources(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, DAYS);
    copy(target, source);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    assert_int_equal(counter_read(target, NULL, 0, &stats), 0);
    assert_true(stats.window[COUNTER_ALL_TIME].error > 0); /* visitors were forgotten by then */
    assert_same(source, target);
    counter_close(source);
    counter_close(target);
}

static void a_copy_of_a_site_that_forgot_nobody_is_exact_too(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, 30);
    copy(target, source);
    assert_same(source, target);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    assert_int_equal(counter_read(target, NULL, FIRST + 31 * DAY, &stats), 0);
    assert_true(stats.window[COUNTER_ALL_TIME].error == 0);
    counter_close(source);
    counter_close(target);
}

static void the_same_copy_twice_changes_nothing(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, DAYS);
    for (int i = 0; i < 3; i++) {
        copy(target, source);
        assert_same(source, target);
    }
    counter_close(source);
    counter_close(target);
}

static void a_copy_kept_up_to_date_shows_the_sources_numbers(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    for (int day = 0; day < DAYS; day += 5) {
        feed(source, day, day + 5);
        copy(target, source);
    }
    struct counter_stats a = {.size = sizeof a, .want = COUNTER_WANT_ALL}, b = a;
    int64_t at = FIRST + (DAYS + 2) * DAY;
    assert_int_equal(counter_read(source, NULL, at, &a), 0);
    assert_int_equal(counter_read(target, NULL, at, &b), 0);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        assert_int_equal(a.window[i].hits, b.window[i].hits);
        assert_int_equal(a.window[i].visits, b.window[i].visits);
    }
    /* A visitor who was erased after it was copied and came back is known to the target twice. */
    int64_t more = b.window[COUNTER_ALL_TIME].visitors - a.window[COUNTER_ALL_TIME].visitors;
    assert_int_equal(more, 0);
    counter_close(source);
    counter_close(target);
}

static void one_half_of_a_stream_here_and_one_there_are_the_whole(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target(), *whole = open_with(true, usual());
    feed(source, 0, HALF);
    assert_int_equal(counter_copy_key(whole, source), 0); /* estimates depend on it */
    feed(whole, 0, HALF);
    copy(target, source);
    feed(target, HALF, DAYS);
    feed(whole, HALF, DAYS);
    assert_same(whole, target);
    copy(target, source); /* a source that stayed behind changes nothing */
    assert_same(whole, target);
    counter_close(source);
    counter_close(target);
    counter_close(whole);
}

/* ---- Cut short ------------------------------------------------------------------------------------------------------ */

/* Passes on so many parts, and then fails. */
struct cut {
    struct copy_taker taker;
    struct copy_taker *real;
    unsigned left;
    bool reached;
};

#define PASS(part, type)                                                                                               \
    static int cut_##part(struct copy_taker *taker, const type *given)                                                 \
    {                                                                                                                  \
        struct cut *cut = (struct cut *)taker;                                                                         \
        if (cut->left == 0)                                                                                            \
            return COUNTER_EIO;                                                                                        \
        cut->left--;                                                                                                   \
        return cut->real->part(cut->real, given);                                                                      \
    }
PASS(site, struct copy_site)
PASS(key, struct copy_key)
PASS(state, struct copy_state)
PASS(period, struct copy_period)

static int cut_visitors(struct copy_taker *taker, const struct copy_visitor *visitors, size_t n)
{
    struct cut *cut = (struct cut *)taker;
    if (cut->left == 0)
        return COUNTER_EIO;
    cut->left--;
    return cut->real->visitors(cut->real, visitors, n);
}

static int cut_end(struct copy_taker *taker, int result)
{
    struct cut *cut = (struct cut *)taker;
    cut->reached = result == COUNTER_EIO;
    return cut->real->end(cut->real, result);
}

/* True if the copy was cut off. */
static bool copy_parts(struct counter *to, struct counter *from, unsigned parts)
{
    struct cut cut = {.taker = {cut_site, cut_key, cut_state, cut_period, cut_visitors, cut_end}, .left = parts};
    assert_int_equal(to->store->ops->take(to->store, "portal", &cut.real), 0);
    int r = from->store->ops->give(from->store, "portal", &cut.taker);
    assert_int_equal(r, cut.reached ? COUNTER_EIO : 0);
    return cut.reached;
}

static void a_copy_that_was_cut_short_is_finished_by_the_next(void **state)
{
    (void)state;
    struct counter *source = open_source();
    feed(source, 0, 50);
    bool cut = true;
    unsigned step = scratch_is_instrumented() ? 24 : 6;
    for (unsigned parts = 0; cut; parts += parts < 4 ? 1 : step) {
        struct counter *target = open_target();
        cut = copy_parts(target, source, parts);
        copy(target, source);
        assert_same(source, target);
        counter_close(target);
        if (way != FILE_TO_MEMORY)
            scratch_remove(places.folder[--places.folders]);
    }
    counter_close(source);
}

static int no_visitors(struct copy_taker *taker, const struct copy_visitor *visitors, size_t n)
{
    (void)taker, (void)visitors, (void)n;
    return COUNTER_EIO;
}

static void periods_show_their_visitors_before_those_come(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    struct counter_stats a = {.size = sizeof a, .want = COUNTER_WANT_ALL & ~(1u << COUNTER_ALL_TIME)}, b = a;
    struct cut cut = {.taker = {cut_site, cut_key, cut_state, cut_period, no_visitors, cut_end}, .left = 1000000};

    feed(source, 0, 30);
    assert_int_equal(target->store->ops->take(target->store, "portal", &cut.real), 0);
    assert_int_equal(source->store->ops->give(source->store, "portal", &cut.taker), COUNTER_EIO);
    int64_t at = FIRST + 31 * DAY;
    assert_int_equal(counter_read(source, NULL, at, &a), 0);
    assert_int_equal(counter_read(target, NULL, at, &b), 0);
    assert_true(a.window[COUNTER_LAST_MONTH].visitors > 0);
    for (int i = 0; i < COUNTER_WINDOWS; i++)
        assert_int_equal(a.window[i].visitors, b.window[i].visitors);
    counter_close(source);
    counter_close(target);
}

static void what_was_cut_short_can_be_counted_into(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, 50);
    assert_true(copy_parts(target, source, 60));
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(count(target, "here", i, FIRST + 50 * DAY), 0);
    copy(target, source);
    struct counter_stats a = {.size = sizeof a, .want = COUNTER_WANT_ALL}, b = a;
    assert_int_equal(counter_read(source, NULL, FIRST + 52 * DAY, &a), 0);
    assert_int_equal(counter_read(target, NULL, FIRST + 52 * DAY, &b), 0);
    assert_int_equal(b.window[COUNTER_ALL_TIME].hits, a.window[COUNTER_ALL_TIME].hits + 20);
    assert_int_equal(b.window[COUNTER_THIS_MONTH].visitors, a.window[COUNTER_THIS_MONTH].visitors + 20);
    counter_close(source);
    counter_close(target);
}

/* ---- Refused -------------------------------------------------------------------------------------------------------- */

static int count_rows(void *arg, const struct counter_row *row)
{
    (void)row;
    ++*(int *)arg;
    return 0;
}

static int sites_of(struct counter *c)
{
    int sites = 0;
    assert_int_equal(counter_sites(c, count_rows, &sites), 0);
    return sites;
}

static void a_target_with_another_key_refuses_and_stays_as_it_was(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, 3);
    struct counter_hit hit = {.size = sizeof hit, .site = "other", .visitor = "v", .at = FIRST};
    assert_int_equal(counter_record(target, &hit, NULL), 0);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "another key than the source");
    assert_int_equal(sites_of(target), 1);
    feed(target, 0, 2);
    char *before = dump(target);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "another key than the source");
    assert_same_text(before, dump(target));
    assert_error(counter_copy_key(target, source), COUNTER_ECONFLICT, "another key than the source");
    counter_close(source);
    counter_close(target);
}

static void a_target_that_lost_its_key_takes_only_the_right_one(void **state)
{
    (void)state;
    struct counter *source = open_source(), *right = open_with(true, usual()), *target = open_with(false, usual());
    const char *folder = places.folder[places.folders - 1];
    char url[SCRATCH_FILE], path[SCRATCH_FILE];

    feed(source, 0, 2);
    feed(target, 0, 2);
    assert_int_equal(counter_copy_key(right, target), 0);
    feed(right, 0, 2);
    counter_close(target);
    assert_int_equal(unlink(scratch_file(path, folder, "key")), 0);
    snprintf(url, sizeof url, "file:%s", folder);
    struct counter_options options = usual();
    options.store = url;
    assert_int_equal(counter_open(&target, &options), 0);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "another key");
    assert_true(access(path, F_OK) < 0);
    copy(target, right);
    assert_int_equal(count(target, "v", 1, FIRST + 3 * DAY), 0);
    counter_close(source);
    counter_close(right);
    counter_close(target);
}

static const struct {
    struct counter_options with;
    const char *says;
} other[] = {
    {{.timezone = "+08:00"}, "Europe/Berlin, not +08:00"},
    {{.week_start = COUNTER_SUNDAY}, "monday, not sunday"},
    {{.exact_visitors = 5000}, "32768, not 5000"},
    {{.forget_days = 34}, "35, not 34"},
    {{.retention_days = 500}, "400, not 500"},
    {{.key_rotation = COUNTER_ROTATION_DAILY}, "never, not daily"},
};

static struct counter_options with(const struct counter_options *one)
{
    struct counter_options options = usual();
    options.timezone = one->timezone ? one->timezone : options.timezone;
    options.week_start = one->week_start;
    options.exact_visitors = one->exact_visitors;
    options.forget_days = one->forget_days;
    options.retention_days = one->retention_days;
    options.key_rotation = one->key_rotation;
    return options;
}

static void a_target_that_asks_for_other_options_refuses_naming_both(void **state)
{
    (void)state;
    struct counter *source = open_source();
    struct identity_key key;
    feed(source, 0, 2);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct counter *target = open_with(true, with(&other[i].with));
        assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, other[i].says);
        assert_int_equal(sites_of(target), 0);
        assert_int_equal(target->store->ops->give_key(target->store, &key), COUNTER_ENOSITE);
        counter_close(target);
    }
    counter_close(source);
}

static void a_target_whose_site_has_other_options_refuses_naming_both(void **state)
{
    (void)state;
    struct counter *source = open_source();
    feed(source, 0, 2);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        char url[SCRATCH_FILE];
        struct counter *target = open_with(false, with(&other[i].with));
        assert_int_equal(counter_copy_key(target, source), 0);
        assert_int_equal(count(target, "v", 1, FIRST), 0);
        counter_close(target);
        snprintf(url, sizeof url, "file:%s", places.folder[places.folders - 1]);
        struct counter_options any = {.size = sizeof any, .config = "", .store = url, .site = "portal"};
        assert_int_equal(counter_open(&target, &any), 0);
        char *before = dump(target), says[64], theirs[32] = "", *not = strstr(other[i].says, ", not ");
        memcpy(theirs, other[i].says, (size_t)(not -other[i].says));
        snprintf(says, sizeof says, "%s, not %s", not +6, theirs); /* the other way round */
        assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, says);
        assert_same_text(before, dump(target));
        counter_close(target);
        scratch_remove(places.folder[--places.folders]);
    }
    counter_close(source);
}

static void a_target_that_asks_for_nothing_gets_the_sources_options(void **state)
{
    (void)state;
    struct counter_options options = usual(), any = usual();
    options.week_start = COUNTER_SUNDAY;
    options.exact_visitors = 40000;
    options.forget_days = 20;
    options.retention_days = 31;
    any.timezone = NULL;
    struct counter *source = open_with(way == MEMORY_TO_FILE, options);
    struct counter *target = open_with(way == FILE_TO_MEMORY, any);
    feed(source, 0, DAYS);
    copy(target, source);
    assert_same(source, target); /* the days of months before the retention are not there, their totals are */
    counter_close(source);
    counter_close(target);
}

static void what_cannot_be_copied_is_said(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    assert_int_equal(counter_copy(target, source, NULL), COUNTER_ENOSITE);
    assert_int_equal(counter_copy_key(target, source), COUNTER_ENOSITE);
    assert_error(counter_copy(target, source, "../x"), COUNTER_EINVAL, "../x");
    feed(source, 0, 1);
    assert_int_equal(counter_copy(target, source, "other"), COUNTER_ENOSITE);
    assert_error(counter_copy(source, source, NULL), COUNTER_EINVAL, "itself");
    assert_error(counter_copy_key(source, source), COUNTER_EINVAL, "itself");
    assert_int_equal(sites_of(target), 0);
    counter_close(source);
    counter_close(target);
}

static void stores_that_share_a_key_from_the_start_can_be_merged(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    feed(source, 0, 1);
    assert_int_equal(counter_remove(source, NULL), 0);
    assert_int_equal(counter_copy_key(target, source), 0);
    assert_int_equal(counter_copy_key(target, source), 1); /* it has that key already */
    for (unsigned i = 0; i < 30; i++)
        count(source, "v", i, FIRST + i);
    for (unsigned i = 20; i < 60; i++)
        count(target, "v", i, FIRST + 100 + i);
    struct counter_stats stats = {.size = sizeof stats};
    assert_int_equal(counter_read(target, NULL, FIRST + 200, &stats), 0); /* what is kept of it is not shown again */
    copy(target, source);
    assert_int_equal(counter_read(target, NULL, FIRST + 200, &stats), 0);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 60);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 40); /* the larger number */
    counter_close(source);
    counter_close(target);
}

static int64_t find_day(struct counter *c, const char *day, struct text *text)
{
    long long visitors = -1, start;
    text->length = 0;
    assert_int_equal(counter_series(c, NULL, day, day, COUNTER_BY_DAY, put_row, text), 0);
    assert_int_equal(sscanf(text->bytes, "%*s %lld %lld", &start, &visitors), 2);
    return visitors;
}

static void what_the_target_counted_before_the_source_is_kept(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    struct counter_count own = {.visitors = 7}, old = {.visitors = 9};
    struct text text = {.bytes = calloc(1, DUMP)};

    count(source, "s", 0, FIRST + DAY);
    assert_int_equal(counter_copy_key(target, source), 0);
    for (unsigned i = 0; i < 5; i++)
        count(target, "t", i, FIRST + 5 * DAY + 7200);
    for (unsigned i = 0; i < 3; i++)
        count(source, "s", i, FIRST + 30 * DAY);
    assert_int_equal(counter_baseline(source, NULL, &old), 0);
    assert_int_equal(counter_baseline(target, NULL, &own), 0);
    copy(target, source);
    assert_int_equal(find_day(target, "2026-03-25", &text), 5);
    assert_int_equal(find_day(target, "2026-03-21", &text), 1);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    assert_int_equal(counter_read(target, NULL, FIRST + 30 * DAY, &stats), 0);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 9);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 8 + 7);
    assert_int_equal(stats.window[COUNTER_LAST_MONTH].visitors, 6);
    free(text.bytes);
    counter_close(source);
    counter_close(target);
}

static void a_month_that_the_target_has_left_is_summed_again(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};

    count(source, "s", 0, FIRST + DAY);
    count(source, "s", 1, FIRST + DAY);
    assert_int_equal(counter_copy_key(target, source), 0);
    count(target, "t", 0, FIRST + 5 * DAY);
    count(target, "t", 0, FIRST + 31 * DAY);
    copy(target, source);
    assert_int_equal(counter_read(target, NULL, FIRST + 31 * DAY, &stats), 0);
    assert_int_equal(stats.window[COUNTER_LAST_MONTH].hits, 3);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits, 4);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 4);
    counter_close(source);
    counter_close(target);
}

static void days_older_than_the_targets_retention_are_only_totals(void **state)
{
    (void)state;
    struct counter_options options = usual();
    options.retention_days = 31;
    struct counter *source = open_with(way == MEMORY_TO_FILE, options);
    struct counter *target = open_with(false, options);
    const char *folder = places.folder[places.folders - 1];

    for (unsigned i = 0; i < 3; i++)
        count(source, "s", i, FIRST + DAY);
    assert_int_equal(counter_copy_key(target, source), 0);
    count(target, "t", 0, FIRST + 150 * DAY);
    copy(target, source);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    assert_int_equal(counter_read(target, NULL, FIRST + 150 * DAY, &stats), 0);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 4);
    assert_false(scratch_has(folder, "2026-03"));
    counter_close(source);
    counter_close(target);
}

/* ---- Erased visitors ------------------------------------------------------------------------------------------------- */

static int64_t visitors_of(struct counter *c, enum counter_window window, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    assert_int_equal(counter_read(c, NULL, at, &stats), 0);
    return stats.window[window].visitors;
}

static void many_erased_in_one_second_are_all_counted(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    for (unsigned i = 0; i < 500; i++)
        count(source, "v", i, FIRST + 5);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(erase(source, "v", i, FIRST + 6), 1);
    for (int i = 0; i < 3; i++) {
        copy(target, source);
        assert_int_equal(visitors_of(target, COUNTER_TODAY, FIRST + 10), 500);
    }
    assert_same(source, target);
    counter_close(source);
    counter_close(target);
}

static void one_who_was_erased_among_others_of_that_second_is_still_one_more(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    for (unsigned i = 0; i < 10; i++)
        count(source, "v", i, FIRST + 5);
    copy(target, source);
    count(source, "v", 10, FIRST + 5);
    assert_int_equal(erase(source, "v", 10, FIRST + 5), 1);
    for (int i = 0; i < 2; i++) {
        copy(target, source);
        assert_int_equal(visitors_of(target, COUNTER_TODAY, FIRST + 10), 11);
    }
    count(target, "v", 11, FIRST + 10); /* the table says so too, not only the figure that came along */
    assert_int_equal(visitors_of(target, COUNTER_TODAY, FIRST + 10), 12);
    counter_close(source);
    counter_close(target);
}

static void who_was_erased_in_one_store_only_is_not_counted_twice(void **state)
{
    (void)state;
    struct counter *source = open_source(), *target = open_target();
    for (unsigned i = 0; i < 500; i++)
        count(source, "v", i, FIRST + i / 9);
    copy(target, source);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(erase(source, "v", i, FIRST), 1);
        assert_int_equal(erase(target, "v", 150 + i, FIRST), 1);
    }
    for (unsigned i = 110; i < 120; i++) { /* in both */
        assert_int_equal(erase(source, "v", i, FIRST), 1);
        assert_int_equal(erase(target, "v", i, FIRST), 1);
    }
    for (int i = 0; i < 2; i++) {
        copy(target, source);
        assert_int_equal(visitors_of(target, COUNTER_TODAY, FIRST + 100), 500);
        copy(source, target);
        assert_int_equal(visitors_of(source, COUNTER_TODAY, FIRST + 100), 500);
    }
    assert_int_equal(erase(target, "v", 160, FIRST), 0); /* who was forgotten does not come back with a copy */
    counter_close(source);
    counter_close(target);
}

/* ---- Keys that rotate ------------------------------------------------------------------------------------------------ */

static void visits_go_on_under_copied_daily_keys(void **state)
{
    (void)state;
    struct counter_options options = usual();
    options.key_rotation = COUNTER_ROTATION_DAILY;
    struct counter *source = open_with(way == MEMORY_TO_FILE, options), *whole = open_with(true, options);
    struct counter *target = open_with(way == FILE_TO_MEMORY, options);
    struct counter *both[2] = {source, whole}, *after[2] = {target, whole};
    int64_t midnight = FIRST + DAY;

    for (int i = 0; i < 2; i++)
        for (unsigned v = 0; v < 50; v++)
            assert_int_equal(count(both[i], "v", v, midnight - 600 + v), 0);
    copy(target, source);
    assert_same(source, target);
    for (int i = 0; i < 2; i++)
        for (unsigned v = 0; v < 60; v++)
            assert_int_equal(count(after[i], "v", v, midnight - 60 + v * 2), 0); /* some before, some after it */
    assert_same(whole, target);
    counter_close(source);
    /* And in the hour in which the key before is still good. */
    struct counter *next = open_with(true, options);
    copy(next, target);
    after[0] = next;
    for (int i = 0; i < 2; i++)
        for (unsigned v = 0; v < 60; v++)
            assert_int_equal(count(after[i], "v", v, midnight + 300 + v), 0);
    assert_same(whole, next);
    counter_close(next);
    counter_close(whole);
    counter_close(target);
}

static void days_that_were_named_by_two_keys_are_refused(void **state)
{
    (void)state;
    struct counter_options options = usual();
    options.key_rotation = COUNTER_ROTATION_MONTHLY;
    struct counter *source = open_with(way == MEMORY_TO_FILE, options);
    struct counter *target = open_with(way == FILE_TO_MEMORY, options);
    count(source, "v", 1, FIRST);
    copy(target, source);
    count(source, "v", 2, FIRST + 20 * DAY);
    count(target, "v", 2, FIRST + 20 * DAY);
    count(source, "v", 3, FIRST + 20 * DAY);
    char *before = dump(target);
    assert_error(counter_copy(target, source, NULL), COUNTER_ECONFLICT, "another key portal.key-2026-04");
    assert_same_text(before, dump(target));
    counter_close(source);
    counter_close(target);
}

static void a_key_that_the_target_destroyed_does_not_come_back(void **state)
{
    (void)state;
    struct counter_options options = usual();
    options.key_rotation = COUNTER_ROTATION_DAILY;
    struct counter *source = open_with(way == MEMORY_TO_FILE, options), *target = open_with(false, options);
    const char *folder = places.folder[places.folders - 1];

    count(source, "v", 1, FIRST + DAY / 2);
    copy(target, source);
    assert_true(scratch_has(folder, "key-2026-03-20"));
    count(target, "v", 1, FIRST + 2 * DAY);
    count(target, "v", 1, FIRST + 3 * DAY / 2 + DAY);
    assert_false(scratch_has(folder, "key-2026-03-20"));
    copy(target, source);
    assert_false(scratch_has(folder, "key-2026-03-20"));
    counter_close(source);
    counter_close(target);
}

/* ---- At once --------------------------------------------------------------------------------------------------------- */

struct crowd {
    struct counter *to, *from;
    pthread_barrier_t start;
    _Atomic(bool) end;
    _Atomic unsigned counted;
    unsigned enough;
};

static void *copy_at_once(void *arg)
{
    struct crowd *crowd = arg;
    pthread_barrier_wait(&crowd->start);
    intptr_t failed = counter_copy(crowd->to, crowd->from, NULL);
    return (void *)failed;
}

static void copies_at_once_add_nothing_twice(void **state)
{
    (void)state;
    struct crowd crowd = {.from = open_source()};
    pthread_t thread[3];
    void *failed;

    feed(crowd.from, 0, 40);
    for (unsigned i = 0; i < 300; i++)
        count(crowd.from, "e", i, FIRST + 40 * DAY);
    for (unsigned i = 0; i < 300; i++)
        erase(crowd.from, "e", i, FIRST + 40 * DAY);
    for (int round = 0; round < (int)scaled(6); round++) {
        crowd.to = open_target();
        pthread_barrier_init(&crowd.start, NULL, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, copy_at_once, &crowd), 0);
        for (int i = 0; i < 3; i++) {
            pthread_join(thread[i], &failed);
            assert_null(failed);
        }
        pthread_barrier_destroy(&crowd.start);
        assert_same(crowd.from, crowd.to);
        counter_close(crowd.to);
        if (way != FILE_TO_MEMORY)
            scratch_remove(places.folder[--places.folders]);
    }
    counter_close(crowd.from);
}

/* Visitors of a day after the stream's end, two hits each at first. */
static void *count_on(void *arg)
{
    struct crowd *crowd = arg;
    pthread_barrier_wait(&crowd->start);
    while (!atomic_load(&crowd->end) || crowd->counted < crowd->enough) {
        unsigned i = crowd->counted;
        if (count(crowd->from ? crowd->from : crowd->to, "live", i / 2 % LIVE, FIRST + 31 * DAY + i / 64) != 0)
            return crowd;
        atomic_store(&crowd->counted, i + 1);
    }
    return NULL;
}

static void a_source_may_be_counted_into_meanwhile(void **state)
{
    (void)state;
    struct crowd crowd = {.from = open_source(), .enough = (unsigned)scaled(5000)};
    struct counter *target = open_target();
    pthread_t thread;
    void *failed;

    feed(crowd.from, 0, 30);
    pthread_barrier_init(&crowd.start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, count_on, &crowd), 0);
    pthread_barrier_wait(&crowd.start);
    int64_t last = 0;
    for (int i = 0; i < 12; i++) {
        unsigned before = crowd.counted;
        copy(target, crowd.from);
        int64_t now = visitors_of(target, COUNTER_TODAY, FIRST + 31 * DAY + 40000);
        assert_true(now >= (before / 2 < LIVE ? before / 2 : LIVE) && now >= last);
        last = now;
    }
    atomic_store(&crowd.end, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    copy(target, crowd.from);
    assert_same(crowd.from, target);
    pthread_barrier_destroy(&crowd.start);
    counter_close(crowd.from);
    counter_close(target);
}

static void a_target_may_be_counted_into_meanwhile(void **state)
{
    (void)state;
    struct counter *source = open_source();
    struct crowd crowd = {.to = open_target(), .enough = (unsigned)scaled(5000)};
    struct counter_stats a = {.size = sizeof a, .want = COUNTER_WANT_ALL}, b = a;
    pthread_t thread;
    void *failed;

    feed(source, 0, 30);
    assert_int_equal(counter_copy_key(crowd.to, source), 0);
    pthread_barrier_init(&crowd.start, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, count_on, &crowd), 0);
    pthread_barrier_wait(&crowd.start);
    for (int i = 0; i < 12; i++)
        copy(crowd.to, source);
    atomic_store(&crowd.end, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    int64_t at = FIRST + 31 * DAY + 40000;
    assert_int_equal(counter_read(source, NULL, at, &a), 0);
    assert_int_equal(counter_read(crowd.to, NULL, at, &b), 0);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        bool past =
            i == COUNTER_YESTERDAY || i == COUNTER_LAST_WEEK || i == COUNTER_LAST_MONTH || i == COUNTER_LAST_YEAR;
        unsigned more = past ? 0 : crowd.counted, visitors = more / 2 < LIVE ? (more + 1) / 2 : LIVE;
        assert_int_equal(b.window[i].hits, a.window[i].hits + more);
        assert_int_equal(b.window[i].visitors, a.window[i].visitors + visitors);
    }
    pthread_barrier_destroy(&crowd.start);
    counter_close(source);
    counter_close(crowd.to);
}

/* ---- Small tables, through the inner door ---------------------------------------------------------------------------- */

static struct site *taken_into;

static int open_taken(struct store *store, const char *name, const struct copy_site *given, struct site **out)
{
    (void)store, (void)name, (void)given;
    *out = taken_into;
    return 0;
}

static struct site *site_of(unsigned line_bits)
{
    struct site_plan plan = {.timezone = "+07:00", .line_bits = line_bits};
    struct site *site;
    assert_int_equal(site_open(&site, -1, "portal", &plan, 1000, true), 0);
    return site;
}

static void copy_site(struct site *to, struct site *from)
{
    struct copy_taker *taker;
    taken_into = to;
    assert_int_equal(site_take(&taker, NULL, "portal", open_taken), 0);
    assert_int_equal(taker->end(taker, site_give(from, NULL, taker)), 0);
}

/* `off`: how far visitors may be from each other where they are estimates. */
static void assert_same_numbers(struct site *source, struct site *target, int64_t at, double off)
{
    struct counter_stats a = {.size = sizeof a, .want = COUNTER_WANT_ALL}, b = a;
    assert_int_equal(site_read(source, at, &a), 0);
    assert_int_equal(site_read(target, at, &b), 0);
    assert_int_equal(a.late, b.late);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        double most = a.window[i].error > 0 || b.window[i].error > 0 ? off * (double)a.window[i].visitors : 0;
        assert_true((double)llabs(a.window[i].visitors - b.window[i].visitors) <= most);
        assert_int_equal(a.window[i].visits, b.window[i].visits);
        assert_int_equal(a.window[i].hits, b.window[i].hits);
    }
}

static void assert_same_marks(const struct layout_state *source, const struct layout_state *target)
{
    assert_int_equal(atomic_load(&source->clock), atomic_load(&target->clock));
    assert_int_equal(atomic_load(&source->rolled), atomic_load(&target->rolled));
    assert_int_equal(atomic_load(&source->accepted), atomic_load(&target->accepted));
    assert_true(atomic_load(&source->forgotten_until) <= atomic_load(&target->forgotten_until));
}

static void a_table_too_small_for_all_who_come_says_so(void **state)
{
    (void)state;
    struct site *source = site_of(14), *target = site_of(8);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    uint64_t chance = 9;

    for (int i = 0; i < 5000; i++) {
        struct store_hit hit = {.at = FIRST + DAY / 4 + i, .id = stream_draw(&chance) | 1};
        assert_int_equal(site_record(source, &hit), 0);
    }
    for (int i = 0; i < 2; i++) {
        copy_site(target, source);
        assert_same_numbers(source, target, FIRST + DAY / 4 + 5000, 0);
    }
    assert_int_equal(site_read(target, FIRST + DAY / 4 + 5000, &stats), 0);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 5000);
    assert_true(stats.window[COUNTER_TODAY].error > 0);
    site_close(source);
    site_close(target);
}

static void hits_that_other_processors_added_are_not_added_again(void **state)
{
    (void)state;
    struct site *source = site_of(8), *target = site_of(8);
    struct site_month *month;

    for (unsigned i = 0; i < 8; i++) {
        struct store_hit hit = {.at = FIRST + DAY / 2, .id = i + 1};
        assert_int_equal(site_record(source, &hit), 0);
    }
    const struct period_frame *frame = site_frame(target, FIRST + DAY / 2);
    assert_int_equal(site_month(target, site_month_index(frame->date), true, &month), 0);
    struct layout_day *day = site_day(month, frame->date);
    unsigned hour = (unsigned)period_hour(frame, FIRST + DAY / 2);
    atomic_store(&day->hour[2][hour], 5);
    copy_site(target, source);
    assert_int_equal(site_hour_hits(day, hour), 8);
    atomic_store(&day->hour[3][hour], 20);
    copy_site(target, source);
    assert_int_equal(site_hour_hits(day, hour), 28);
    site_close(source);
    site_close(target);
}

/* 2048 cells: days of a few hundred are exact, weeks are not, and the table is always full. Once both stores count for
 * themselves, a month may lose its exactness in one a little sooner than in the other. */
static void numbers_that_are_no_longer_exact_are_the_same_and_grow_the_same(void **state)
{
    (void)state;
    struct site *source = site_of(8), *target = site_of(8);
    uint64_t chance = 5;
    int64_t at = FIRST;

    atomic_store(&source->file->state.accepted, FIRST + 7);
    for (int i = 1; i <= 16000; i++) {
        at += stream_below(&chance, 600);
        struct store_hit hit = {.at = at - stream_below(&chance, 30), .id = stream_draw(&chance) | 1};
        assert_int_equal(site_record(source, &hit), 0);
        if (i % 1500 == 1499)
            assert_same_numbers(source, source, at, 0); /* what was shown is remembered */
        if (i > 12000)
            assert_int_equal(site_record(target, &hit), 0);
        for (int again = 0; again < 2 && i % 1500 == 0; again++) {
            copy_site(target, source);
            assert_same_marks(&source->file->state, &target->file->state);
            assert_true(atomic_load(&target->file->all.shown) >= atomic_load(&source->file->all.shown));
            assert_same_numbers(source, target, at, i > 12000 ? 0.01 : 0);
        }
    }
    assert_true(atomic_load(&source->file->state.forgotten_until) > 0);
    assert_same_numbers(source, target, at, 0.01);
    site_close(source);
    site_close(target);
}

#define WAY(test, name, which)                                                                                         \
    {                                                                                                                  \
#test " (" name ")", test, begin, end, (void *)&ways[which]                                                    \
    }
#define ALL(test)                                                                                                      \
    WAY(test, "file to file", FILE_TO_FILE), WAY(test, "memory to file", MEMORY_TO_FILE),                              \
        WAY(test, "file to memory", FILE_TO_MEMORY)

int main(void)
{
    static enum way ways[WAYS] = {FILE_TO_FILE, MEMORY_TO_FILE, FILE_TO_MEMORY};
    const struct CMUnitTest tests[] = {
        ALL(every_number_of_the_target_is_the_sources),
        ALL(a_copy_of_a_site_that_forgot_nobody_is_exact_too),
        ALL(the_same_copy_twice_changes_nothing),
        ALL(a_copy_kept_up_to_date_shows_the_sources_numbers),
        ALL(one_half_of_a_stream_here_and_one_there_are_the_whole),
        ALL(a_copy_that_was_cut_short_is_finished_by_the_next),
        ALL(periods_show_their_visitors_before_those_come),
        ALL(what_was_cut_short_can_be_counted_into),
        ALL(a_target_with_another_key_refuses_and_stays_as_it_was),
        WAY(a_target_that_lost_its_key_takes_only_the_right_one, "file to file", FILE_TO_FILE),
        WAY(a_target_that_asks_for_other_options_refuses_naming_both, "file to memory", FILE_TO_MEMORY),
        WAY(a_target_whose_site_has_other_options_refuses_naming_both, "file to file", FILE_TO_FILE),
        ALL(a_target_that_asks_for_nothing_gets_the_sources_options),
        ALL(what_cannot_be_copied_is_said),
        ALL(stores_that_share_a_key_from_the_start_can_be_merged),
        ALL(what_the_target_counted_before_the_source_is_kept),
        ALL(a_month_that_the_target_has_left_is_summed_again),
        WAY(days_older_than_the_targets_retention_are_only_totals, "memory to file", MEMORY_TO_FILE),
        ALL(many_erased_in_one_second_are_all_counted),
        ALL(one_who_was_erased_among_others_of_that_second_is_still_one_more),
        ALL(who_was_erased_in_one_store_only_is_not_counted_twice),
        ALL(visits_go_on_under_copied_daily_keys),
        ALL(days_that_were_named_by_two_keys_are_refused),
        WAY(a_key_that_the_target_destroyed_does_not_come_back, "memory to file", MEMORY_TO_FILE),
        ALL(copies_at_once_add_nothing_twice),
        ALL(a_source_may_be_counted_into_meanwhile),
        ALL(a_target_may_be_counted_into_meanwhile),
        cmocka_unit_test(a_table_too_small_for_all_who_come_says_so),
        cmocka_unit_test(hits_that_other_processors_added_are_not_added_again),
        cmocka_unit_test(numbers_that_are_no_longer_exact_are_the_same_and_grow_the_same),
    };
    return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
