/*
 * One Redis, many clients: processes, threads, children of a fork. Oracles are exact: whatever the order in which the
 * clients meet, the same numbers must come out. And what a client sends for a hit.
 */
#include "../support/places.h"
#include "../support/scale.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { START = 1767195000 }; /* 2025-12-31T22:30:00+07:00: an hour and a half before a day, a month and a year */
enum { HOUR = 3600 };

static struct counter *opened(const struct place *place)
{
    struct counter_options options = place_options(place);
    struct counter *c;
    return counter_open(&c, &options) == 0 ? c : NULL;
}

static struct counter_stats look(struct counter *c, int64_t at)
{
    struct counter_stats stats = scratch_read(c, at);
    if (stats.at == 0)
        fail_msg("%s", counter_error());
    return stats;
}

/* ---- The same visitors at once -------------------------------------------------------------------------------------- */

/*
 * In each round, an hour after the one before, all clients count all visitors, several times and within 20 minutes: one
 * visit a visitor and round, in whatever order the hits arrive. Nobody begins a round before all have ended the last.
 */
enum { CLIENTS = 2, ROUNDS = 4, VISITORS = 200, TIMES = 5 };

struct meeting {
    const struct place *place;
    struct counter *c; /* of all threads; NULL: each client opens its own */
    _Atomic unsigned arrived;
};

struct client {
    struct meeting *meeting;
    unsigned number;
};

static void wait_for_all(struct meeting *meeting, unsigned round)
{
    atomic_fetch_add(&meeting->arrived, 1);
    while (atomic_load(&meeting->arrived) < round * CLIENTS)
        sched_yield();
}

/* By odd clients in batches, by even ones hit by hit. */
static void count_round(struct counter *c, unsigned number, unsigned round)
{
    enum { HITS = VISITORS * TIMES };
    struct counter_hit hit[20];
    char name[20][16];

    for (unsigned i = 0; i < HITS; i++) {
        unsigned place = i % 20, visitor = (i * 7 + number * 3) % VISITORS;
        int length = snprintf(name[place], sizeof name[0], "v%u", visitor);
        hit[place] = (struct counter_hit){.size = sizeof hit[0],
                                          .at = START + (int64_t)round * HOUR + i,
                                          .visitor = name[place],
                                          .visitor_length = (uint32_t)length};
        if (number % 2 == 0)
            scratch_expect(counter_record(c, &hit[place], NULL) == COUNTER_COUNTED);
        else if (place == 19)
            scratch_expect(counter_record_many(c, hit, 20, NULL) == 0);
    }
}

static void count_all(void *arg)
{
    const struct client *client = arg;
    struct meeting *meeting = client->meeting;
    struct counter *c = meeting->c ? meeting->c : opened(meeting->place);

    scratch_expect(c != NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        wait_for_all(meeting, round + 1);
        count_round(c, client->number, round);
    }
    if (!meeting->c)
        counter_close(c);
}

static void *count_all_in_a_thread(void *arg)
{
    count_all(arg);
    return NULL;
}

static void judge_meeting(struct counter *c)
{
    struct counter_stats stats = look(c, START + ROUNDS * HOUR);
    const struct counter_count *all = &stats.window[COUNTER_ALL_TIME];

    assert_int_equal(all->hits, CLIENTS * ROUNDS * VISITORS * TIMES);
    assert_int_equal(all->visits, ROUNDS * VISITORS);
    assert_int_equal(all->visitors, VISITORS);
    assert_true(all->error == 0);
    for (int w = 0; w < COUNTER_ALL_TIME; w++)
        assert_int_equal(stats.window[w].visitors, VISITORS);
    assert_int_equal(stats.window[COUNTER_TODAY].visits, 2 * VISITORS);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].visits, 2 * VISITORS);
}

static void two_processes_that_count_the_same_visitors_count_each_once(void **state)
{
    struct meeting *meeting = scratch_shared(sizeof *meeting);
    struct client client[CLIENTS];
    pid_t pid[CLIENTS];

    meeting->place = place_of(state);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client[i] = (struct client){meeting, i};
        pid[i] = scratch_start(count_all, &client[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(scratch_wait(pid[i]), 0);
    struct counter *c = opened(meeting->place);
    assert_non_null(c);
    judge_meeting(c);
    counter_close(c);
}

static void two_threads_that_count_the_same_visitors_count_each_once(void **state)
{
    struct meeting meeting = {.place = place_of(state)};
    struct client client[CLIENTS];
    pthread_t thread[CLIENTS];

    meeting.c = opened(meeting.place);
    assert_non_null(meeting.c);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client[i] = (struct client){&meeting, i};
        assert_int_equal(pthread_create(&thread[i], NULL, count_all_in_a_thread, &client[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(thread[i], NULL);
    judge_meeting(meeting.c);
    counter_close(meeting.c);
}

/* ---- A site that is removed while others count ---------------------------------------------------------------------- */

struct traffic {
    struct counter *c;
    _Atomic(bool) end;
    _Atomic int64_t hits;
};

static void *count_until_the_end(void *arg)
{
    struct traffic *traffic = arg;
    struct counter_stats stats = {.size = sizeof stats};

    for (unsigned i = 0; !atomic_load(&traffic->end); i++) {
        struct counter_hit hit = {.size = sizeof hit, .at = START + i, .visitor = i % 2 ? "an" : "binh"};
        scratch_expect(counter_record(traffic->c, &hit, i % 3 ? NULL : &stats) == COUNTER_COUNTED);
        atomic_fetch_add(&traffic->hits, 1);
    }
    return NULL;
}

static void counting_goes_on_while_a_site_is_removed_again_and_again(void **state)
{
    struct traffic traffic = {.c = opened(place_of(state))};
    struct counter *c = opened(place_of(state));
    pthread_t thread[2];
    int removed = 0;

    assert_true(traffic.c != NULL && c != NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_until_the_end, &traffic), 0);
    for (uint64_t i = 0; i < scaled(100); i++) {
        int r = counter_remove(i % 2 ? c : traffic.c, NULL);
        assert_true(r == 0 || r == COUNTER_ENOSITE);
        removed += r == 0;
        scratch_sleep_ms(2);
    }
    atomic_store(&traffic.end, true);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_in_range(removed, 1, 100);
    assert_in_range(look(c, 0).window[COUNTER_ALL_TIME].hits, 1, atomic_load(&traffic.hits));
    counter_close(traffic.c);
    counter_close(c);
}

/* ---- After a fork --------------------------------------------------------------------------------------------------- */

enum { CHILDREN = 3, CHILDS_HITS = 300 };

struct family {
    struct counter *c;
    unsigned member;
};

static void count_as_a_child(void *arg)
{
    const struct family *family = arg;
    for (unsigned i = 0; i < CHILDS_HITS; i++) {
        struct counter_stats stats = {.size = sizeof stats};
        char name[24];
        snprintf(name, sizeof name, "%u of %u", i, family->member);
        struct counter_hit hit = {.size = sizeof hit, .at = START + i, .visitor = name};
        scratch_expect(counter_record(family->c, &hit, &stats) == COUNTER_COUNTED);
        scratch_expect(stats.at >= START + i && stats.window[COUNTER_ALL_TIME].hits > i);
    }
    if (family->member % 2) /* the others end without a word */
        counter_close(family->c);
}

static void children_go_on_with_their_parents_handle_and_disturb_nobody(void **state)
{
    struct family family = {.c = opened(place_of(state))};
    pid_t pid[CHILDREN];

    assert_non_null(family.c);
    assert_int_equal(scratch_hit(family.c, 0, START), 0); /* its connection is open */
    for (unsigned i = 0; i < CHILDREN; i++) {
        family.member = i + 1;
        pid[i] = scratch_start(count_as_a_child, &family);
    }
    for (unsigned i = 0; i < CHILDS_HITS; i++)
        assert_int_equal(scratch_hit(family.c, i, START + i), 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(scratch_wait(pid[i]), 0);
    struct counter_stats stats = look(family.c, START + CHILDS_HITS);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 1 + (CHILDREN + 1) * CHILDS_HITS);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, (CHILDREN + 1) * CHILDS_HITS);
    counter_close(family.c);
}

/* ---- What goes over the wire ---------------------------------------------------------------------------------------- */

/* MONITOR shows every command, those of scripts as coming from "lua". */
static FILE *monitor(const struct redis_server *server)
{
    char line[64];
    int fd = redis_server_connect(server);
    assert_true(fd >= 0 && send(fd, "MONITOR\r\n", 9, MSG_NOSIGNAL) == 9);
    FILE *in = fdopen(fd, "r");
    assert_non_null(in);
    assert_non_null(fgets(line, sizeof line, in));
    assert_string_equal(line, "+OK\r\n");
    return in;
}

struct traced {
    unsigned commands, scripts;
};

/* What clients sent since the last call. */
static struct traced trace(FILE *in, const struct redis_server *server)
{
    struct traced traced = {0};
    char *line = NULL;
    size_t room = 0;

    assert_true(redis_server_says(server, "so far", "ECHO %s", "so far"));
    while (getline(&line, &room, in) > 0 && !strstr(line, "] \"ECHO\"")) {
        if (strstr(line, "[0 lua]"))
            continue;
        traced.commands++;
        traced.scripts += strstr(line, "] \"EVALSHA\"") != NULL;
    }
    free(line);
    return traced;
}

static void assert_one_script(FILE *in)
{
    struct traced traced = trace(in, places_server());
    assert_int_equal(traced.scripts, 1);
    assert_int_equal(traced.commands, 1);
}

static void a_hit_with_its_numbers_is_one_round_trip_and_so_are_64_hits_of_a_day(void **state)
{
    struct counter *c = opened(place_of(state));
    struct counter_stats stats = {.size = sizeof stats};
    struct counter_hit hit[64];
    char name[64][8];
    FILE *in = monitor(places_server());

    assert_non_null(c);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(name[i], sizeof name[0], "v%u", i);
        hit[i] = (struct counter_hit){.size = sizeof hit[0], .at = START + 60 + i, .visitor = name[i]};
    }
    assert_int_equal(scratch_hit(c, 0, START), 0); /* opens the connection, the store and the site */
    assert_true(trace(in, places_server()).commands > 1);
    assert_int_equal(counter_record(c, &hit[0], &stats), COUNTER_COUNTED);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 2);
    assert_one_script(in);
    assert_int_equal(counter_record_many(c, hit, 64, NULL), 0);
    assert_one_script(in);
    assert_int_equal(scratch_read(c, START + 200).window[COUNTER_ALL_TIME].hits, 66);
    assert_one_script(in);
    assert_int_equal(counter_record(c, &hit[63], NULL), COUNTER_COUNTED);
    assert_one_script(in);
    assert_int_equal(scratch_hit(c, 1, START - 24 * HOUR),
                     0); /* late, by a day: the newest hit's calendar goes along */
    assert_one_script(in);
    fclose(in);
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_REDIS(two_processes_that_count_the_same_visitors_count_each_once),
        IN_A_CLUSTER(two_processes_that_count_the_same_visitors_count_each_once),
        IN_REDIS(two_threads_that_count_the_same_visitors_count_each_once),
        IN_A_CLUSTER(two_threads_that_count_the_same_visitors_count_each_once),
        IN_REDIS(counting_goes_on_while_a_site_is_removed_again_and_again),
        IN_REDIS(children_go_on_with_their_parents_handle_and_disturb_nobody),
        IN_REDIS(a_hit_with_its_numbers_is_one_round_trip_and_so_are_64_hits_of_a_day),
    };
    return cmocka_run_group_tests_name("redis_shared", tests, NULL, places_end);
}
