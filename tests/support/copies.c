/* copies.c: see copies.h. */
#include "copies.h"

#include "stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = COPIES_DAY, DUMP = 1 << 20, BATCH = 256 };

/* ---- The stream ----------------------------------------------------------------------------------------------------- */

static void add_event(struct copies_stream *stream, struct copies_event event)
{
    stream->event[stream->n++] = event;
}

static void add_day(struct copies_stream *stream, int day, int hits)
{
    uint64_t chance = (uint64_t)day * 7919 + 1;
    int64_t at = COPIES_FIRST + (int64_t)day * DAY;

    for (int i = 0; i < hits; i++) {
        at += stream_below(&chance, 2 * DAY / hits - 10);
        bool regular = stream_below(&chance, 3) > 0;
        unsigned visitor =
            (unsigned)(regular ? stream_below(&chance, 60) : 1000 + day * 100 + stream_below(&chance, 90));
        int64_t late = stream_below(&chance, 10) ? 0 : stream_below(&chance, 60);
        if (day > 2 && stream_below(&chance, 100) == 0)
            late = stream_below(&chance, 2 * DAY);
        add_event(stream, (struct copies_event){at, at - late, visitor, COPIES_HIT});
        if (stream_below(&chance, 20) == 0)
            add_event(stream, (struct copies_event){at, at, visitor,
                                                    stream_below(&chance, 2) ? COPIES_EXCLUDED : COPIES_SIGNAL});
        if (stream_below(&chance, 50) == 0)
            add_event(stream, (struct copies_event){at, at, visitor, COPIES_ERASE});
    }
    if (day == 20)
        add_event(stream, (struct copies_event){at, at, 0, COPIES_BASELINE});
}

static int by_arrival(const void *a, const void *b)
{
    const struct copies_event *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at ? 1 : x->what != y->what ? (int)x->what - (int)y->what : 0;
}

void copies_stream_make(struct copies_stream *stream, int hits_a_day)
{
    size_t room = (size_t)COPIES_DAYS * ((size_t)hits_a_day * 3 + 1);

    *stream = (struct copies_stream){.event = calloc(room, sizeof *stream->event)};
    assert_non_null(stream->event);
    for (int day = 0; day < COPIES_DAYS; day++)
        add_day(stream, day, hits_a_day);
    qsort(stream->event, stream->n, sizeof *stream->event, by_arrival);
}

void copies_stream_forgive(struct copies_stream *stream)
{
    size_t n = 0;
    for (size_t i = 0; i < stream->n; i++)
        if (stream->event[i].what != COPIES_ERASE)
            stream->event[n++] = stream->event[i];
    stream->n = n;
}

void copies_stream_free(struct copies_stream *stream)
{
    free(stream->event);
    *stream = (struct copies_stream){0};
}

size_t copies_until(const struct copies_stream *stream, int64_t at)
{
    size_t i = 0;
    while (i < stream->n && stream->event[i].at < at)
        i++;
    return i;
}

/* ---- Stores --------------------------------------------------------------------------------------------------------- */

struct counter_options copies_options(const struct place *place)
{
    struct counter_options options = place_options(place);
    options.timezone = "America/Sao_Paulo";
    options.week_start = COUNTER_SUNDAY;
    options.exclude = "192.0.2.0/24";
    options.privacy_signal = COUNTER_SIGNAL_HITS_ONLY;
    return options;
}

struct counter *copies_open(const struct counter_options *options)
{
    struct counter *c;
    if (counter_open(&c, options) < 0)
        fail_msg("%s: %s", options->store, counter_error());
    return c;
}

static void record(struct counter *c, const struct counter_hit *hit, size_t n)
{
    struct counter_tally tally = {.size = sizeof tally};
    if (counter_record_many(c, hit, n, &tally) < 0 || tally.done < n || tally.refused > 0)
        fail_msg("%s", counter_error());
}

static void describe(struct counter_hit *hit, char visitor[32], const struct copies_event *event)
{
    *hit = (struct counter_hit){.size = sizeof *hit, .at = event->seen, .agent = "A"};
    snprintf(visitor, 32, "v-%u", event->visitor);
    if (event->what == COPIES_EXCLUDED)
        hit->address = "192.0.2.7";
    else if (event->what == COPIES_SIGNAL)
        hit->address = "198.51.100.1";
    else
        hit->visitor = visitor;
    hit->flags = event->what == COPIES_SIGNAL ? COUNTER_HIT_PRIVACY : 0;
}

void copies_feed(struct counter *c, const struct copies_stream *stream, size_t from, size_t until)
{
    static struct counter_hit hit[BATCH];
    static char visitor[BATCH][32];
    struct counter_count old = {.visitors = 1234, .visits = 2345, .hits = 34567};
    size_t n = 0;

    for (size_t i = from; i < until; i++) {
        const struct copies_event *event = &stream->event[i];
        if (event->what < COPIES_ERASE)
            describe(&hit[n], visitor[n], event), n++;
        if (n == BATCH || i + 1 == until || event->what >= COPIES_ERASE) {
            record(c, hit, n);
            n = 0;
        }
        if (event->what == COPIES_ERASE)
            copies_erase(c, event->visitor, event->at);
        else if (event->what == COPIES_BASELINE)
            assert_int_equal(counter_baseline(c, NULL, &old), 0);
    }
}

void copies_visit(struct counter *c, unsigned first, unsigned n, int64_t at)
{
    static struct counter_hit hit[BATCH];
    static char visitor[BATCH][32];

    for (unsigned i = 0; i < n;) {
        size_t batch = 0;
        for (; batch < BATCH && i < n; i++, batch++)
            describe(&hit[batch], visitor[batch], &(struct copies_event){at, at, first + i, COPIES_HIT});
        record(c, hit, batch);
    }
}

int copies_erase(struct counter *c, unsigned visitor, int64_t at)
{
    char text[32];
    struct counter_hit hit;

    describe(&hit, text, &(struct copies_event){at, at, visitor, COPIES_ERASE});
    int r = counter_erase(c, &hit);
    if (r < 0)
        fail_msg("%s", counter_error());
    return r;
}

void copies_copy(struct counter *to, struct counter *from)
{
    if (counter_copy(to, from, NULL) != 0)
        fail_msg("%s", counter_error());
}

/* ---- Every public number -------------------------------------------------------------------------------------------- */

struct text {
    size_t length;
    char *bytes;
    bool estimates;
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
    if (count->error > 0 && !text->estimates)
        put(text, " * visitors %lld visits %lld hits\n", (long long)count->visits, (long long)count->hits);
    else
        put(text, " %lld visitors %lld visits %lld hits %a\n", (long long)count->visitors, (long long)count->visits,
            (long long)count->hits, count->error);
}

static int put_row(void *arg, const struct counter_row *row)
{
    put(arg, "%s %lld", row->name, (long long)row->start);
    put_count(arg, &row->count);
    return 0;
}

struct counter_stats copies_look(struct counter *c, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, NULL, at, &stats) != 0)
        fail_msg("%s", counter_error());
    return stats;
}

static void put_stats(struct text *text, struct counter *c, int64_t newest, int64_t later)
{
    static const char *const window[COUNTER_WINDOWS] = {"today",      "this week", "all time",
                                                        "yesterday",  "last week", "this month",
                                                        "last month", "this year", "last year"};
    struct counter_stats stats = copies_look(c, newest + later);

    put(text, "%lld s later: online %lld%s late %lld summed %x\n", (long long)later, (long long)stats.online,
        stats.online_floor ? "+" : "", (long long)stats.late, stats.summed);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        put(text, "%lld s later: %s", (long long)later, window[i]);
        put_count(text, &stats.window[i]);
    }
}

char *copies_dump(struct counter *c, bool estimates)
{
    struct text text = {.bytes = calloc(1, DUMP), .estimates = estimates};
    struct counter_site site = {.size = sizeof site};

    assert_non_null(text.bytes);
    if (counter_site(c, NULL, &site) != 0)
        fail_msg("%s", counter_error());
    put(&text, "%s %s %d %u %u %u %d since %lld newest %lld", site.name, site.timezone, (int)site.week_start,
        site.exact_visitors, site.forget_days, site.retention_days, (int)site.key_rotation, (long long)site.since,
        (long long)site.newest);
    put_count(&text, &site.baseline);
    static const int64_t later[] = {0, 200, DAY, 8 * DAY, 20 * DAY};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        put_stats(&text, c, site.newest, later[i]);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, put_row, &text), 0);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_HOUR, put_row, &text), 0);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, put_row, &text), 0);
    assert_int_equal(counter_breakdown(c, NULL, "2019-01-01", "2019-01-14", COUNTER_BY_VERDICT, put_row, &text), 0);
    return text.bytes;
}

void copies_assert_same_text(const char *what, char *expected, char *got)
{
    const char *x = expected, *y = got, *line_x = x, *line_y = y;

    while (*x && *x == *y) {
        if (*x == '\n') {
            line_x = x + 1;
            line_y = y + 1;
        }
        x++, y++;
    }
    if (*x != *y)
        fail_msg("%s\nexpected: %.*s\n     got: %.*s", what, (int)strcspn(line_x, "\n"), line_x,
                 (int)strcspn(line_y, "\n"), line_y);
    free(expected);
    free(got);
}

void copies_assert_same(const char *what, struct counter *expected, struct counter *got)
{
    copies_assert_same_text(what, copies_dump(expected, true), copies_dump(got, true));
}

void copies_assert_alike(const char *what, struct counter *expected, struct counter *got)
{
    copies_assert_same_text(what, copies_dump(expected, false), copies_dump(got, false));
    struct counter_site site = {.size = sizeof site};
    assert_int_equal(counter_site(expected, NULL, &site), 0);
    struct counter_stats a = copies_look(expected, site.newest), b = copies_look(got, site.newest);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        const struct counter_count *x = &a.window[i], *y = &b.window[i];
        double slack = 5 * (x->error * (double)x->visitors + y->error * (double)y->visitors);
        if ((double)llabs(x->visitors - y->visitors) > slack)
            fail_msg("%s: window %d: expected about %lld, got %lld", what, i, (long long)x->visitors,
                     (long long)y->visitors);
    }
}
