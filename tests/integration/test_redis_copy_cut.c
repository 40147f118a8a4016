/*
 * Copies that do not come to their end: cut after any part, by a server that was killed or silent, by a deadline. The
 * next copy finishes what was begun, as if it had been the only one. And copies of what others are counting into.
 */
#include "../support/copies.h"
#include "../support/scale.h"
#include "../support/wait.h"
#include "copy.h"
#include "counter_handle.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = COPIES_DAY, END = COPIES_END };

struct route {
    enum place_kind from, to;
};

static struct place from, to;
static struct copies_stream stream;

static int begin(void **state)
{
    const struct route *route = *state;
    *state = place_make(&from, route->from) && place_make(&to, route->to) ? &from : NULL;
    copies_stream_make(&stream, (int)scaled(40) + 10);
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

/* A target that is still empty, in the place of the one before. */
static struct counter *open_target(void)
{
    place_clear(&to);
    place_make(&to, to.kind);
    struct counter_options options = copies_options(&to);
    return copies_open(&options);
}

/* ---- After any part -------------------------------------------------------------------------------------------------- */

/* Passes on so many parts, and then fails. */
struct cut {
    struct copy_taker taker;
    struct copy_taker *real;
    unsigned left;
    bool reached;
};

static bool is_over(struct copy_taker *taker, struct copy_taker **real)
{
    struct cut *cut = (struct cut *)taker;
    *real = cut->real;
    return cut->left == 0 || cut->left-- == 0;
}

#define PASS(part, type)                                                                                               \
    static int cut_##part(struct copy_taker *taker, const type *given)                                                 \
    {                                                                                                                  \
        struct copy_taker *real;                                                                                       \
        return is_over(taker, &real) ? COUNTER_EIO : real->part(real, given);                                          \
    }
PASS(site, struct copy_site)
PASS(key, struct copy_key)
PASS(state, struct copy_state)
PASS(period, struct copy_period)

static int cut_visitors(struct copy_taker *taker, const struct copy_visitor *visitors, size_t n)
{
    struct copy_taker *real;
    return is_over(taker, &real) ? COUNTER_EIO : real->visitors(real, visitors, n);
}

static int cut_end(struct copy_taker *taker, int result)
{
    struct cut *cut = (struct cut *)taker;
    cut->reached = result == COUNTER_EIO;
    return cut->real->end(cut->real, result);
}

/* True if the copy was cut off. */
static bool copy_parts(struct counter *target, struct counter *source, unsigned parts)
{
    struct cut cut = {.taker = {cut_site, cut_key, cut_state, cut_period, cut_visitors, cut_end}, .left = parts};
    assert_int_equal(target->store->ops->take(target->store, "portal", &cut.real), 0);
    int r = source->store->ops->give(source->store, "portal", &cut.taker);
    assert_int_equal(r, cut.reached ? COUNTER_EIO : 0);
    return cut.reached;
}

static void a_copy_cut_after_any_part_is_finished_by_the_next(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    bool cut = true;
    unsigned step = scratch_is_instrumented() ? 60 : 7;
    for (unsigned parts = 0; cut; parts += parts < 4 ? 1 : step) {
        struct counter *target = open_target();
        cut = copy_parts(target, source, parts);
        copies_copy(target, source);
        copies_assert_same("the second copy", source, target);
        counter_close(target);
    }
    counter_close(source);
}

/* No number is larger than in the source, and none that lacks a visitor is called exact. */
static void a_copy_that_was_cut_shows_nothing_false(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    struct counter_stats whole = copies_look(source, END + DAY);
    bool cut = true;
    for (unsigned parts = 3; cut; parts += scratch_is_instrumented() ? 60 : 7) {
        struct counter_stats part = {.size = sizeof part, .want = COUNTER_WANT_ALL};
        struct counter *target = open_target();
        cut = copy_parts(target, source, parts);
        assert_int_equal(counter_read(target, NULL, END + DAY, &part), 0);
        for (int i = 0; i < COUNTER_WINDOWS; i++) {
            assert_true(part.window[i].hits <= whole.window[i].hits);
            assert_true(part.window[i].visits <= whole.window[i].visits);
            assert_true((double)part.window[i].visitors <= (double)whole.window[i].visitors * 1.05);
        }
        counter_close(target);
    }
    counter_close(source);
}

/* Files add up what both had of a longer period; on a server the larger number of each stays. */
static void assert_more(int64_t of_target, int64_t of_source, int more)
{
    assert_true(of_target >= of_source + (to.kind == PLACE_FILE ? more : 0) && of_target <= of_source + more);
}

static void what_was_cut_can_be_counted_into(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    for (unsigned parts = 20; parts < 110; parts += 30) {
        struct counter *target = open_target();
        assert_true(copy_parts(target, source, parts));
        copies_visit(target, 500000, 20, END + 3 * DAY);
        copies_copy(target, source);
        struct counter_stats a = copies_look(source, END + 3 * DAY), b = copies_look(target, END + 3 * DAY);
        assert_int_equal(b.window[COUNTER_TODAY].hits, 20);
        assert_int_equal(b.window[COUNTER_TODAY].visitors, 20);
        for (int i = 0; i < COUNTER_WINDOWS; i++) {
            bool past =
                i == COUNTER_YESTERDAY || (i >= COUNTER_LAST_WEEK && i != COUNTER_THIS_MONTH && i != COUNTER_THIS_YEAR);
            double error = b.window[i].error * (double)b.window[i].visitors;
            assert_more(b.window[i].hits, a.window[i].hits, past ? 0 : 20);
            if (error == 0)
                assert_more(b.window[i].visitors, a.window[i].visitors, past ? 0 : 20);
        }
        counter_close(target);
    }
    counter_close(source);
}

/* The source has no room for all its visitors: what ended exactness there may not take hold here before its numbers. */
static void what_was_cut_of_a_full_site_counts_every_visitor(void **state)
{
    struct counter *source = open_source(state);
    copies_visit(source, 500000, 1, COPIES_FIRST); /* makes the site */
    assert_int_equal(redis_server_number(places_server(), "HSET %s:{portal}:meta capacity 100", from.prefix), 0);
    copies_feed(source, &stream, 0, stream.n);
    bool cut = true;
    for (unsigned parts = 2; cut; parts += parts < 4 ? 1 : 20) {
        struct counter *target = open_target();
        cut = copy_parts(target, source, parts);
        copies_visit(target, 500000, 200, COPIES_END + DAY / 2);
        struct counter_stats stats = copies_look(target, COPIES_END + DAY / 2);
        static const enum counter_window now[] = {COUNTER_TODAY, COUNTER_THIS_WEEK, COUNTER_THIS_MONTH,
                                                  COUNTER_THIS_YEAR, COUNTER_ALL_TIME};
        for (size_t i = 0; i < sizeof now / sizeof now[0]; i++) {
            const struct counter_count *count = &stats.window[now[i]];
            double least = 200 * (1 - 5 * count->error);
            if ((double)count->visitors < least || count->hits < 200)
                fail_msg("after %u parts window %d shows %lld visitors, error %f", parts, now[i],
                         (long long)count->visitors, count->error);
        }
        counter_close(target);
    }
    counter_close(source);
}

/* ---- By the server ---------------------------------------------------------------------------------------------------- */

static const char *const keeps[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

struct copying {
    struct counter *target, *source;
    _Atomic(bool) done;
    int result;
};

static void *copy_in_a_thread(void *arg)
{
    struct copying *copying = arg;
    copying->result = counter_copy(copying->target, copying->source, NULL);
    atomic_store(&copying->done, true);
    return NULL;
}

static long long keys_of(const struct redis_server *server)
{
    return redis_server_number(server, "DBSIZE");
}

struct reached {
    const struct redis_server *server;
    const struct copying *copying;
    long long keys;
};

static bool has_reached(const void *what)
{
    const struct reached *reached = what;
    return atomic_load(&reached->copying->done) || keys_of(reached->server) >= reached->keys;
}

/* Begins a copy, and returns when the target holds so many keys; the copy goes on. */
static void begin_copy(struct copying *copying, const struct redis_server *server, long long keys, pthread_t *thread)
{
    copying->done = false;
    assert_int_equal(pthread_create(thread, NULL, copy_in_a_thread, copying), 0);
    wait_until(has_reached, &(struct reached){server, copying, keys}, 5000);
}

/* A server of the test's own, whose end is nobody else's; 250 ms of patience with it. */
static struct counter *open_own(struct redis_server *server, const struct place *like, char url[SCRATCH_FILE])
{
    struct counter_options options = copies_options(like);
    snprintf(url, SCRATCH_FILE, "redis+unix://%s", server->socket);
    options.store = url;
    options.deadline = scratch_is_instrumented() ? 2000 : 250;
    return copies_open(&options);
}

enum harm { KILL, PAUSE };

static int copy_until_it_works(struct counter *target, struct counter *source)
{
    int r = -1;
    for (int64_t until = wait_clock_ms() + 10000; r < 0 && wait_clock_ms() < until;) {
        r = counter_copy(target, source, NULL);
        if (r < 0)
            scratch_sleep_ms(20);
    }
    return r;
}

static unsigned harm_copies(struct counter *source, enum harm harm)
{
    unsigned failed = 0;
    char url[SCRATCH_FILE];

    for (long long keys = 5; keys < 150; keys += 35) {
        struct redis_server server;
        pthread_t thread;
        assert_int_equal(redis_server_start(&server, keeps), 0);
        struct copying copying = {.target = open_own(&server, &to, url), .source = source};
        begin_copy(&copying, &server, keys, &thread);
        if (harm == KILL)
            redis_server_kill(&server);
        else
            kill(server.pid, SIGSTOP);
        pthread_join(thread, NULL);
        failed += copying.result < 0;
        if (harm == KILL)
            assert_int_equal(redis_server_restart(&server, keeps), 0);
        else
            kill(server.pid, SIGCONT);
        if (copy_until_it_works(copying.target, source) < 0)
            fail_msg("%s", counter_error());
        copies_assert_same("after the second copy", source, copying.target);
        counter_close(copying.target);
        redis_server_stop(&server);
    }
    return failed;
}

static void a_copy_into_a_server_that_was_killed_is_finished_by_the_next(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    assert_true(harm_copies(source, KILL) > 0);
    counter_close(source);
}

static void a_copy_into_a_server_that_was_silent_is_finished_by_the_next(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    assert_true(harm_copies(source, PAUSE) > 0);
    counter_close(source);
}

/* ---- Counted into meanwhile ------------------------------------------------------------------------------------------- */

struct crowd {
    struct counter *c;
    _Atomic(bool) end;
    _Atomic unsigned counted;
};

enum { LIVE = 20000 };

/* Two hits of each of many visitors, on the day after the stream, and then of the same ones again. */
static void *count_on(void *arg)
{
    struct crowd *crowd = arg;
    unsigned least = (unsigned)scaled(1500);

    for (unsigned i = 0; !atomic_load(&crowd->end) || i < least; i++) {
        char visitor[32];
        struct counter_hit hit = {.size = sizeof hit, .visitor = visitor};
        hit.at = END + DAY + (i < 2 * LIVE ? i : 2 * LIVE) / 64;
        snprintf(visitor, sizeof visitor, "live-%u", i / 2 % LIVE);
        if (counter_record(crowd->c, &hit, NULL) != 0)
            return crowd;
        atomic_store(&crowd->counted, i + 1);
    }
    return NULL;
}

static int64_t live(unsigned hits)
{
    return hits / 2 < LIVE ? hits / 2 : LIVE;
}

static void a_source_may_be_counted_into_meanwhile(void **state)
{
    struct counter *source = open_source(state), *target = open_target();
    static struct crowd crowd; /* a failed test leaves the thread running */
    pthread_t thread;
    void *failed;
    int64_t last = 0;

    copies_feed(source, &stream, 0, stream.n);
    crowd = (struct crowd){.c = source};
    assert_int_equal(pthread_create(&thread, NULL, count_on, &crowd), 0);
    for (int i = 0; i < 8; i++) {
        unsigned before = crowd.counted;
        copies_copy(target, source);
        struct counter_stats stats = copies_look(target, END + DAY + 40000);
        assert_true(stats.window[COUNTER_TODAY].hits >= before);
        assert_true(stats.window[COUNTER_TODAY].visitors >= live(before) &&
                    stats.window[COUNTER_TODAY].visitors >= last);
        last = stats.window[COUNTER_TODAY].visitors;
    }
    atomic_store(&crowd.end, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    copies_copy(target, source);
    copies_assert_same("when it is quiet again", source, target);
    counter_close(source);
    counter_close(target);
}

static void a_target_may_be_counted_into_meanwhile(void **state)
{
    struct counter *source = open_source(state), *target = open_target();
    static struct crowd crowd;
    pthread_t thread;
    void *failed;

    copies_feed(source, &stream, 0, stream.n);
    copies_copy(target, source); /* so that the sums of longer periods are there before others add to them */
    crowd = (struct crowd){.c = target};
    assert_int_equal(pthread_create(&thread, NULL, count_on, &crowd), 0);
    for (int i = 0; i < 8; i++)
        copies_copy(target, source);
    atomic_store(&crowd.end, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    struct counter_stats a = copies_look(source, END + DAY + 40000), b = copies_look(target, END + DAY + 40000);
    assert_int_equal(b.window[COUNTER_TODAY].hits, crowd.counted);
    assert_int_equal(b.window[COUNTER_TODAY].visitors, live(crowd.counted + 1));
    assert_int_equal(b.window[COUNTER_ALL_TIME].hits, a.window[COUNTER_ALL_TIME].hits + crowd.counted);
    assert_int_equal(b.window[COUNTER_THIS_MONTH].visitors,
                     a.window[COUNTER_THIS_MONTH].visitors + live(crowd.counted + 1));
    counter_close(source);
    counter_close(target);
}

static void copies_at_once_add_nothing_twice(void **state)
{
    struct counter *source = open_source(state);
    copies_feed(source, &stream, 0, stream.n);
    for (int round = 0; round < 3; round++) {
        struct copying copying[3];
        pthread_t thread[3];
        struct counter *target = open_target();
        for (int i = 0; i < 3; i++) {
            copying[i] = (struct copying){.target = target, .source = source};
            assert_int_equal(pthread_create(&thread[i], NULL, copy_in_a_thread, &copying[i]), 0);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(thread[i], NULL);
            assert_int_equal(copying[i].result, 0);
        }
        copies_assert_same("three copies at once", source, target);
        counter_close(target);
    }
    counter_close(source);
}

#define WAY(test, name, which)                                                                                         \
    {                                                                                                                  \
#test " (" name ")", test, begin, end, &routes[which]                                                          \
    }
#define ALL(test)                                                                                                      \
    WAY(test, "file to redis", FILE_REDIS), WAY(test, "redis to file", REDIS_FILE),                                    \
        WAY(test, "redis to redis", REDIS_REDIS)

int main(void)
{
    enum { FILE_REDIS, REDIS_FILE, REDIS_REDIS, ROUTES };
    static struct route routes[ROUTES] = {
        {PLACE_FILE, PLACE_REDIS}, {PLACE_REDIS, PLACE_FILE}, {PLACE_REDIS, PLACE_REDIS}};
    const struct CMUnitTest tests[] = {
        ALL(a_copy_cut_after_any_part_is_finished_by_the_next),
        ALL(a_copy_that_was_cut_shows_nothing_false),
        ALL(what_was_cut_can_be_counted_into),
        WAY(what_was_cut_of_a_full_site_counts_every_visitor, "redis to file", REDIS_FILE),
        WAY(what_was_cut_of_a_full_site_counts_every_visitor, "redis to redis", REDIS_REDIS),
        WAY(a_copy_into_a_server_that_was_killed_is_finished_by_the_next, "file to redis", FILE_REDIS),
        WAY(a_copy_into_a_server_that_was_killed_is_finished_by_the_next, "redis to redis", REDIS_REDIS),
        WAY(a_copy_into_a_server_that_was_silent_is_finished_by_the_next, "file to redis", FILE_REDIS),
        WAY(a_copy_into_a_server_that_was_silent_is_finished_by_the_next, "redis to redis", REDIS_REDIS),
        ALL(a_source_may_be_counted_into_meanwhile),
        ALL(a_target_may_be_counted_into_meanwhile),
        ALL(copies_at_once_add_nothing_twice),
    };
    return cmocka_run_group_tests_name("redis copy cut", tests, NULL, places_end);
}
