/*
 * Sites are counted while their slot moves, their master dies, or Sentinels replace it.
 *
 * Counters go on in processes or threads of their own, and keep account of what they were told. Whatever happened:
 * every hit that was acknowledged is there, and none is there twice. Only one that was answered with COUNTER_ETIMEOUT
 * may be there or not. What a dead master had not yet given to its replica is lost with it, so counters pause, and the
 * replica has caught up, before a master is killed.
 */
#include "../support/real_cluster.h"
#include "../support/real_sentinels.h"
#include "../support/scratch.h"
#include "../support/wait.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOON = 1767243600 }; /* 2026-01-01T12:00:00+07:00 */
enum { PEOPLE = 50, BATCH = 20, LATENESS_MS = 20, PATIENCE_MS = 20000, MORE = 20 };

#define DEADLINE_MS (scratch_is_instrumented() ? 2000 : 500)

/* ---- Those who count -------------------------------------------------------------------------------------------- */

enum manner { SINGLY, IN_BATCHES, AMONG_QUESTIONS };

struct teller {
    const char *store, *site;
    struct counter *c; /* shared with others; NULL: opens its own */
    unsigned number;
    enum manner manner;
    pthread_t thread;
    pid_t process;
    _Atomic(bool) stop, hold, held;
    _Atomic int64_t acknowledged, doubtful, failures, longest_ms;
    char complaint[256]; /* what was told that should not be */
};

static struct counter *open_store(const char *store, const char *site)
{
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = site,
                                      .timezone = "+07:00",
                                      .deadline = (uint32_t)DEADLINE_MS};
    struct counter *c;
    return counter_open(&c, &options) == 0 ? c : NULL;
}

static void fill_hit(const struct teller *teller, struct counter_hit *hit, char name[24], int64_t n)
{
    snprintf(name, 24, "%u of %u", (unsigned)(n % PEOPLE), teller->number);
    *hit = (struct counter_hit){.size = sizeof *hit, .site = teller->site, .visitor = name, .at = NOON + n / PEOPLE};
}

/* One call: how many hits it has, and how many of them were acknowledged. */
struct outcome {
    int code;
    int64_t size, done;
};

static struct outcome count_one(const struct teller *teller, struct counter *c, int64_t n)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_hit hit;
    char name[24];

    fill_hit(teller, &hit, name, n);
    int code = counter_record(c, &hit, &stats);
    return (struct outcome){code, 1, code >= 0};
}

static struct outcome count_batch(const struct teller *teller, struct counter *c, int64_t n)
{
    struct counter_tally tally = {.size = sizeof tally};
    struct counter_hit hit[BATCH];
    char name[BATCH][24];

    for (int i = 0; i < BATCH; i++)
        fill_hit(teller, &hit[i], name[i], n * BATCH + i);
    int code = counter_record_many(c, hit, BATCH, &tally);
    return (struct outcome){code, BATCH, (int64_t)tally.done};
}

static int ignore_row(void *arg, const struct counter_row *row)
{
    (void)arg, (void)row;
    return 0;
}

/* Questions of several kinds, and after each three of them a hit. */
static struct outcome ask(const struct teller *teller, struct counter *c, int64_t n)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_site site = {.size = sizeof site};

    switch (n % 4) {
    case 0:
        return (struct outcome){counter_site(c, NULL, &site), 0, 0};
    case 1:
        return (struct outcome){counter_read(c, NULL, 0, &stats), 0, 0};
    case 2:
        return (struct outcome){counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, ignore_row, NULL), 0, 0};
    default:
        return count_one(teller, c, n / 4);
    }
}

static void judge_failure(struct teller *teller, int code)
{
    atomic_fetch_add(&teller->failures, 1);
    if (code != COUNTER_EDOWN && code != COUNTER_ETIMEOUT)
        snprintf(teller->complaint, sizeof teller->complaint, "%d, %s", code, counter_error());
}

static void account(struct teller *teller, const struct outcome *outcome, int64_t took)
{
    if (took > atomic_load(&teller->longest_ms))
        atomic_store(&teller->longest_ms, took);
    if (outcome->code < 0)
        judge_failure(teller, outcome->code);
    if (outcome->code == COUNTER_ETIMEOUT)
        atomic_fetch_add(&teller->doubtful, outcome->size - outcome->done);
    atomic_fetch_add(&teller->acknowledged, outcome->done);
}

static void tell(struct teller *teller, struct counter *c)
{
    static struct outcome (*const call[])(const struct teller *, struct counter *, int64_t) = {count_one, count_batch,
                                                                                               ask};
    for (int64_t n = 0; !atomic_load(&teller->stop); n++) {
        while (atomic_load(&teller->hold) && !atomic_load(&teller->stop)) {
            atomic_store(&teller->held, true);
            scratch_sleep_ms(1);
        }
        atomic_store(&teller->held, false);
        int64_t begin = wait_clock_ms();
        struct outcome outcome = call[teller->manner](teller, c, n);
        account(teller, &outcome, wait_clock_ms() - begin);
        scratch_sleep_ms(1); /* servers need processors, too */
    }
}

static void tell_alone(void *arg)
{
    struct teller *teller = arg;
    struct counter *c = open_store(teller->store, teller->site);

    if (c == NULL)
        snprintf(teller->complaint, sizeof teller->complaint, "%s", counter_error());
    else
        tell(teller, c);
    counter_close(c);
}

static void *tell_together(void *arg)
{
    struct teller *teller = arg;
    tell(teller, teller->c);
    return NULL;
}

/* In a thread where a handle is given, else in a process. */
static void start_teller(struct teller *teller, struct counter *c, const char *store, const char *site,
                         enum manner manner)
{
    static unsigned numbers;

    memset(teller, 0, sizeof *teller);
    teller->store = store;
    teller->site = site;
    teller->number = numbers++;
    teller->manner = manner;
    teller->c = c;
    if (c)
        assert_int_equal(pthread_create(&teller->thread, NULL, tell_together, teller), 0);
    else
        teller->process = scratch_start(tell_alone, teller);
}

static void stop_teller(struct teller *teller)
{
    int64_t limit = DEADLINE_MS + LATENESS_MS * (scratch_is_instrumented() ? 25 : 1);

    atomic_store(&teller->stop, true);
    if (teller->c)
        assert_int_equal(pthread_join(teller->thread, NULL), 0);
    else
        assert_int_equal(scratch_wait(teller->process), 0);
    if (teller->complaint[0])
        fail_msg("%s: %s", teller->site, teller->complaint);
    if (atomic_load(&teller->longest_ms) > limit)
        fail_msg("%s: a call took %lld ms", teller->site, (long long)atomic_load(&teller->longest_ms));
}

struct progress {
    const struct teller *teller;
    int64_t acknowledged;
};

static bool has_progressed(const void *what)
{
    const struct progress *progress = what;
    return atomic_load(&progress->teller->acknowledged) >= progress->acknowledged;
}

/* Waits until that many more hits were acknowledged. */
static void must_go_on(const struct teller *teller, int64_t more)
{
    const struct progress progress = {teller, atomic_load(&teller->acknowledged) + more};

    if (!wait_until(has_progressed, &progress, PATIENCE_MS))
        fail_msg("%s is counted no more: %s", teller->site, teller->complaint);
}

static bool is_held(const void *what)
{
    const struct teller *teller = what;
    return atomic_load(&teller->held);
}

static void hold_teller(struct teller *teller)
{
    atomic_store(&teller->hold, true);
    assert_true(wait_until(is_held, teller, PATIENCE_MS));
}

static void release_teller(struct teller *teller)
{
    atomic_store(&teller->hold, false);
}

/* ---- What must be there ----------------------------------------------------------------------------------------- */

static void must_hold_hits(const char *store, const char *site, const struct teller *const *tellers, int n, int64_t own)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_site about = {.size = sizeof about};
    struct counter *c = open_store(store, site);
    int64_t acknowledged = own, doubtful = 0;

    assert_non_null(c);
    for (int i = 0; i < n; i++) {
        acknowledged += atomic_load(&tellers[i]->acknowledged);
        doubtful += atomic_load(&tellers[i]->doubtful);
    }
    if (counter_site(c, NULL, &about) < 0 || counter_read(c, NULL, about.newest, &stats) < 0)
        fail_msg("%s: %s", site, counter_error());
    const int windows[] = {COUNTER_TODAY, COUNTER_THIS_WEEK, COUNTER_THIS_MONTH, COUNTER_THIS_YEAR, COUNTER_ALL_TIME};
    for (int w = 0; w < 5; w++) {
        const struct counter_count *count = &stats.window[windows[w]];
        if (count->hits < acknowledged || count->hits > acknowledged + doubtful)
            fail_msg("%s: %lld hits in window %d; acknowledged were %lld, and %lld in doubt", site,
                     (long long)count->hits, windows[w], (long long)acknowledged, (long long)doubtful);
        assert_int_equal(count->visitors, n * PEOPLE + (own > 0));
        assert_true(count->error == 0);
    }
    counter_close(c);
}

/* One hit of a visitor of its own on a handle that was opened long ago. */
static void must_count(struct counter *c, const char *site)
{
    struct counter_hit hit = {.size = sizeof hit, .site = site, .visitor = "old acquaintance", .at = NOON};
    if (counter_record(c, &hit, NULL) < 0)
        fail_msg("%s: %s", site, counter_error());
}

/* ---- Replicas that have caught up ------------------------------------------------------------------------------- */

static long long replication_number(const struct redis_server *server, const char *name)
{
    redisReply *reply = redis_server_ask(server, "INFO replication");
    const char *line = reply && reply->str ? strstr(reply->str, name) : NULL;
    long long number = line ? strtoll(line + strlen(name), NULL, 10) : -1;

    freeReplyObject(reply);
    return number;
}

struct replication {
    const struct redis_server *replica;
    long long offset;
};

static bool has_caught_up(const void *what)
{
    const struct replication *replication = what;
    return replication_number(replication->replica, "slave_repl_offset:") >= replication->offset;
}

static void must_catch_up(const struct redis_server *replica, const struct redis_server *master)
{
    const struct replication replication = {replica, replication_number(master, "master_repl_offset:")};

    assert_true(replication.offset > 0);
    assert_true(wait_until(has_caught_up, &replication, PATIENCE_MS));
}

/* ---- A cluster -------------------------------------------------------------------------------------------------- */

static struct real_cluster cluster;
static int cluster_started = 1;
static char cluster_store[256];

static int start(void **state)
{
    (void)state;
#ifndef COUNTER_NO_REDIS
    cluster_started = real_cluster_start(&cluster);
    snprintf(cluster_store, sizeof cluster_store, "redis+cluster://%s", cluster.seeds);
#endif
    return cluster_started < 0 ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    real_cluster_stop(&cluster);
    return 0;
}

static void skip_unless_started(int started)
{
    if (started > 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    assert_int_equal(started, 0);
}

static int master_of(const char *site)
{
    char key[64];

    snprintf(key, sizeof key, "counter:{%s}:meta", site);
    return real_cluster_master(&cluster, real_cluster_slot(&cluster, key));
}

/* A site that the given node holds, and no test had before. */
static void find_site(char site[16], int node)
{
    static unsigned tried;

    do
        snprintf(site, 16, "site-%u", tried++);
    while (master_of(site) != node);
}

/* Key by key, slowly, so that the counters meet every state in between. */
static void migrate(const char *site, int to)
{
    char key[64];
    int moved;

    snprintf(key, sizeof key, "counter:{%s}:meta", site);
    assert_int_equal(real_cluster_migrate_begin(&cluster, real_cluster_slot(&cluster, key), to), 0);
    for (int i = 0; i < 40; i++) {
        moved = real_cluster_migrate_some(&cluster, 1);
        assert_true(moved >= 0);
        scratch_sleep_ms(15);
    }
    assert_int_equal(real_cluster_migrate_finish(&cluster), 0);
    assert_int_equal(master_of(site), to);
}

static void a_site_whose_slot_moves_loses_no_hit_and_counts_none_twice(void **state)
{
    enum { TELLERS = 4, OF_SITE = 3 };
    struct teller *tellers = scratch_shared(TELLERS * sizeof *tellers);
    const struct teller *const all[] = {&tellers[0], &tellers[1], &tellers[2]}, *const other[] = {&tellers[3]};
    char site[16], neighbour[16];

    (void)state;
    skip_unless_started(cluster_started);
    find_site(site, 0);
    find_site(neighbour, 1);
    struct counter *old = open_store(cluster_store, site);
    must_count(old, site);
    start_teller(&tellers[0], NULL, cluster_store, site, SINGLY);
    start_teller(&tellers[1], NULL, cluster_store, site, IN_BATCHES);
    start_teller(&tellers[2], NULL, cluster_store, site, AMONG_QUESTIONS);
    start_teller(&tellers[3], NULL, cluster_store, neighbour, SINGLY);
    for (int i = 0; i < TELLERS; i++)
        must_go_on(&tellers[i], MORE);
    migrate(site, 1);
    for (int i = 0; i < TELLERS; i++)
        must_go_on(&tellers[i], MORE);
    must_count(old, site);
    migrate(site, 2); /* and on, to one that the handles did not use yet */
    must_count(old, site);
    for (int i = 0; i < TELLERS; i++)
        must_go_on(&tellers[i], 2 * PEOPLE);
    for (int i = 0; i < TELLERS; i++)
        stop_teller(&tellers[i]);
    must_hold_hits(cluster_store, site, all, OF_SITE, 3);
    must_hold_hits(cluster_store, neighbour, other, 1, 0);
    assert_int_equal(atomic_load(&tellers[3].failures), 0);
    counter_close(old);
}

/* Without this a cluster that lacks one master serves nothing. */
static void allow_gaps(void)
{
    for (int i = 0; i < REAL_CLUSTER_NODES; i++)
        assert_true(redis_server_says(&cluster.node[i], "OK", "CONFIG SET cluster-require-full-coverage no"));
}

static void a_site_goes_on_by_itself_when_its_master_dies_and_others_are_not_disturbed(void **state)
{
    enum { SITES = REAL_CLUSTER_MASTERS };
    static struct teller tellers[SITES];
    char site[SITES][16], key[64];

    (void)state;
    skip_unless_started(cluster_started);
    allow_gaps();
    struct counter *c = open_store(cluster_store, "portal");
    for (int i = 0; i < SITES; i++) {
        find_site(site[i], i);
        start_teller(&tellers[i], c, cluster_store, site[i], i == 1 ? IN_BATCHES : SINGLY);
        must_go_on(&tellers[i], 2 * PEOPLE);
    }
    hold_teller(&tellers[0]);
    must_catch_up(&cluster.node[REAL_CLUSTER_MASTERS], &cluster.node[0]);
    real_cluster_kill(&cluster, 0);
    release_teller(&tellers[0]);
    snprintf(key, sizeof key, "counter:{%s}:meta", site[0]);
    assert_int_equal(real_cluster_wait(&cluster, real_cluster_slot(&cluster, key)), REAL_CLUSTER_MASTERS);
    for (int i = 0; i < SITES; i++)
        must_go_on(&tellers[i], 2 * PEOPLE);
    assert_true(atomic_load(&tellers[0].failures) > 0);
    for (int i = 0; i < SITES; i++) {
        const struct teller *const one[] = {&tellers[i]};
        stop_teller(&tellers[i]);
        must_hold_hits(cluster_store, site[i], one, 1, 0);
        assert_int_equal(i > 0 ? atomic_load(&tellers[i].failures) : 0, 0);
    }
    counter_close(c);
}

/* ---- Sentinels -------------------------------------------------------------------------------------------------- */

struct exchange {
    const struct real_sentinels *sentinels;
    int from, to;
};

/* Asked for until it happened: a Sentinel wants to know first that the replica is well, of which it hears every ten
 * seconds, and gives up a failover that takes longer than two. */
static bool has_failed_over(const void *what)
{
    const struct exchange *exchange = what;
    int master = real_sentinels_master(exchange->sentinels);

    if (master == exchange->from)
        redis_server_says(&exchange->sentinels->sentinel[0], "OK", "SENTINEL FAILOVER " REAL_SENTINELS_NAME);
    return master == exchange->to &&
           redis_server_says(&exchange->sentinels->server[master], "role:master", "INFO replication");
}

/* Sentinels name a new master while the old one lives, and make a replica of that some time later. Here it is made one
 * at once: who writes there is told READONLY, or finds the connection closed by a Sentinel. */
static void change_places(const struct real_sentinels *sentinels, int from, int to)
{
    const struct exchange exchange = {sentinels, from, to};

    assert_true(wait_until(has_failed_over, &exchange, PATIENCE_MS));
    assert_true(
        redis_server_says(&sentinels->server[from], "OK", "REPLICAOF 127.0.0.1 %d", (int)sentinels->server[to].port));
}

/* The master dies and its replica takes over; it comes back, believing to be the master, and is made a replica; then
 * the two change places once more, both being well. Nothing may be written to the wrong one of them. */
static void a_site_goes_on_when_sentinels_replace_its_master_and_the_old_one_is_left_alone(void **state)
{
    static struct real_sentinels sentinels;
    static struct teller teller;
    const struct teller *const one[] = {&teller};
    char store[256];

    (void)state;
    skip_unless_started(cluster_started);
    skip_unless_started(real_sentinels_start(&sentinels, 1));
    snprintf(store, sizeof store, "redis+sentinel://%s/" REAL_SENTINELS_NAME, sentinels.list);
    struct counter *c = open_store(store, "portal");
    start_teller(&teller, c, store, "portal", SINGLY);
    must_go_on(&teller, 2 * PEOPLE);

    hold_teller(&teller);
    must_catch_up(&sentinels.server[1], &sentinels.server[0]);
    int old = real_sentinels_kill_master(&sentinels);
    release_teller(&teller);
    assert_int_equal(real_sentinels_wait(&sentinels, old), 1);
    must_go_on(&teller, MORE);
    assert_true(atomic_load(&teller.failures) > 0);

    assert_int_equal(real_sentinels_revive(&sentinels, old), 0);
    must_go_on(&teller, MORE);
    hold_teller(&teller);
    must_catch_up(&sentinels.server[old], &sentinels.server[1]);
    must_hold_hits(store, "portal", one, 1, 0);

    change_places(&sentinels, 1, old);
    release_teller(&teller);
    must_go_on(&teller, MORE);
    stop_teller(&teller);
    must_hold_hits(store, "portal", one, 1, 0);
    counter_close(c);
    real_sentinels_stop(&sentinels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_whose_slot_moves_loses_no_hit_and_counts_none_twice),
        cmocka_unit_test(a_site_goes_on_by_itself_when_its_master_dies_and_others_are_not_disturbed),
        cmocka_unit_test(a_site_goes_on_when_sentinels_replace_its_master_and_the_old_one_is_left_alone),
    };
    return cmocka_run_group_tests_name("redis failover, sites", tests, start, stop);
}
