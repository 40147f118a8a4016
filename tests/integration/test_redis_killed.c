/*
 * A server that is killed and started again, with everything on disk, while two clients count, one hit by hit and one
 * in batches: no call outlives its deadline, what was acknowledged is there, nothing is there twice.
 */
#include "../support/places.h"
#include "../support/scale.h"
#include "../support/wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

enum { MOMENT = 1767195000 }; /* 2025-12-31T22:30:00+07:00 */

/*
 * Every hit is of a visitor of its own, so each one that was acknowledged can be asked for, and one that was counted
 * twice would make more hits than visitors. A hit that failed is sent again, unless it timed out.
 */
enum { PATIENCE = 250, LATENESS = 20, SLOW_LATENESS = 400, TOGETHER = 32, DEATHS = 6, DOUBT_MAX = 100000 };

struct worker {
    struct place place;
    uint64_t hits;
    bool many;
    unsigned number;
    _Atomic uint64_t done, timeouts, failures;
    _Atomic uint64_t longest_ms;
    unsigned char fate[DOUBT_MAX]; /* by hit: acknowledged or in doubt */
};
enum { IN_DOUBT = 1, ACKNOWLEDGED };

static struct counter_hit nth(const struct worker *worker, uint64_t i, char name[32])
{
    snprintf(name, 32, "hit %u/%u", worker->number, (unsigned)i);
    return (struct counter_hit){.size = sizeof(struct counter_hit), .at = MOMENT, .visitor = name};
}

/* Counts some hits; how many were dealt with, the code in *r. */
static size_t count_some(const struct worker *worker, struct counter *c, size_t n, int *r)
{
    struct counter_tally tally = {.size = sizeof tally};
    struct counter_hit hit[TOGETHER];
    char name[TOGETHER][32];

    for (size_t i = 0; i < n; i++)
        hit[i] = nth(worker, worker->done + i, name[i]);
    if (worker->many) {
        *r = counter_record_many(c, hit, n, &tally);
        return tally.done;
    }
    *r = counter_record(c, &hit[0], NULL);
    return *r == COUNTER_COUNTED;
}

static void work(void *arg)
{
    struct worker *worker = arg;
    struct counter_options options = place_options(&worker->place);
    struct counter *c;

    options.deadline = PATIENCE;
    scratch_expect(counter_open(&c, &options) == 0);
    while (worker->done < worker->hits) {
        uint64_t left = worker->hits - worker->done;
        size_t n = !worker->many ? 1 : left < TOGETHER ? (size_t)left : TOGETHER;
        int64_t begin = wait_clock_ms();
        int r;
        size_t counted = count_some(worker, c, n, &r);
        uint64_t took = (uint64_t)(wait_clock_ms() - begin);
        worker->longest_ms = took > worker->longest_ms ? took : worker->longest_ms;
        scratch_expect(r == 0 || r == COUNTER_ETIMEOUT || r == COUNTER_EDOWN || r == COUNTER_EIO);
        memset(worker->fate + worker->done, ACKNOWLEDGED, counted);
        if (r == COUNTER_ETIMEOUT) {
            memset(worker->fate + worker->done + counted, IN_DOUBT, n - counted);
            worker->timeouts += n - counted;
            counted = n;
        }
        worker->failures += r < 0;
        worker->done += counted;
        if (r < 0)
            scratch_sleep_ms(1);
    }
    counter_close(c);
}

/* At moments that depend on how far the work is, so that each death interrupts it. */
static void kill_again_and_again(struct redis_server *server, const char *const *options, struct worker *const *worker)
{
    for (uint64_t death = 1; death <= DEATHS; death++) {
        for (int64_t end = wait_clock_ms() + 60000;; scratch_sleep_ms(1)) {
            if (wait_clock_ms() > end)
                fail_msg("the work does not go on");
            if (worker[0]->done >= worker[0]->hits * death / (DEATHS + 1) ||
                worker[1]->done >= worker[1]->hits * death / (DEATHS + 1))
                break;
        }
        redis_server_kill(server);
        scratch_sleep_ms(20);
        assert_int_equal(redis_server_restart(server, options), 0);
    }
}

static void judge_work(struct counter *c, struct worker *worker)
{
    char name[32];
    uint64_t limit = PATIENCE + (scratch_is_instrumented() ? SLOW_LATENESS : LATENESS);

    if (worker->longest_ms > limit)
        fail_msg("a call took %llu ms", (unsigned long long)worker->longest_ms);
    assert_true(worker->failures > 0);
    for (uint64_t i = 0; i < worker->hits; i++) {
        struct counter_hit hit = nth(worker, i, name);
        if (worker->fate[i] == ACKNOWLEDGED && counter_erase(c, &hit) != 1)
            fail_msg("hit %llu of %u was acknowledged and is lost", (unsigned long long)i, worker->number);
    }
}

static void a_server_killed_again_and_again_loses_no_acknowledged_hit_and_counts_none_twice(void **state)
{
    static const char *const options[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    struct redis_server server;
    struct worker *worker[2];
    pid_t pid[2];
    (void)state;

    int started = redis_server_start(&server, options);
    if (started > 0)
        skip();
    assert_int_equal(started, 0);
    for (unsigned i = 0; i < 2; i++) {
        worker[i] = scratch_shared(sizeof *worker[i]);
        worker[i]->number = i;
        worker[i]->many = i == 1;
        worker[i]->hits = scaled(i == 1 ? 37000 : 3000);
        snprintf(worker[i]->place.url, sizeof worker[i]->place.url, "redis+unix://%s", server.socket);
        snprintf(worker[i]->place.prefix, sizeof worker[i]->place.prefix, "deaths");
        pid[i] = scratch_start(work, worker[i]);
    }
    kill_again_and_again(&server, options, worker);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(scratch_wait(pid[i]), 0);

    assert_true(redis_server_says(&server, "OK", "CONFIG SET appendfsync no")); /* asking is not what takes time */
    struct counter_options all = place_options(&worker[0]->place);
    struct counter *c;
    assert_int_equal(counter_open(&c, &all), 0);
    uint64_t doubt = worker[0]->timeouts + worker[1]->timeouts, sent = worker[0]->hits + worker[1]->hits;
    struct counter_stats stats = scratch_read(c, MOMENT);
    assert_int_equal(stats.at, MOMENT);
    assert_in_range(stats.window[COUNTER_ALL_TIME].hits, sent - doubt, sent);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, stats.window[COUNTER_ALL_TIME].hits);
    assert_true(stats.window[COUNTER_ALL_TIME].error == 0);
    judge_work(c, worker[0]);
    judge_work(c, worker[1]);
    counter_close(c);
    redis_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_killed_again_and_again_loses_no_acknowledged_hit_and_counts_none_twice),
    };
    return cmocka_run_group_tests_name("redis_killed", tests, NULL, NULL);
}
