/*
 * test_redis_failover.c: calls to a real cluster whose slots move and whose masters die, and to a real master that
 * Sentinels replace.
 *
 * Every number is counted by INCR, which says what it is now: one that was lost or counted twice shows at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/real_cluster.h"
#include "../support/real_sentinels.h"
#include "../support/scripted.h"
#include "error.h"

enum { KEYS = 30, STEP = 7, TRIES = 200, PAUSE_MS = 50, PATIENCE_MS = 250 };

static void skip_unless_started(int started)
{
    if (started > 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    assert_int_equal(started, 0);
}

/* ---- Slots that move ---- */

static void count_all(struct redis_client *client, int value)
{
    for (int i = 0; i < KEYS; i++)
        must_answer(client, text("INCR {site}:%d", i), text("%d", value));
}

/* Two keys in one call: while the slot moves, one is often here and the other there already. */
static void read_all(struct redis_client *client, int value)
{
    for (int i = 0; i < KEYS; i++) {
        const char *const lines[] = {text("GET {site}:%d", i), text("GET {site}:%d", KEYS - 1 - i)};
        redisReply *replies[2];
        assert_int_equal(call_lines(client, REDIS_REPEAT, CALL_MS, lines, 2, replies), 0);
        for (int j = 0; j < 2; j++) {
            is_answer(replies[j], lines[j], text("%d", value));
            freeReplyObject(replies[j]);
        }
    }
}

static int add_one(void *arg, const struct redis_host *host, redisReply **replies)
{
    (void)host;
    *(int *)arg += replies[0]->type == REDIS_REPLY_INTEGER;
    return 0;
}

static void move_and_count(struct real_cluster *cluster, struct redis_client *client)
{
    unsigned slot = real_cluster_slot(cluster, "{site}:0");
    int value = 1, moved, master = real_cluster_master(cluster, slot);

    count_all(client, value);
    assert_int_equal(real_cluster_migrate_begin(cluster, slot, (master + 1) % REAL_CLUSTER_MASTERS), 0);
    do {
        moved = real_cluster_migrate_some(cluster, STEP);
        assert_true(moved >= 0);
        count_all(client, ++value);
        read_all(client, value);
    } while (moved > 0);
    assert_int_equal(real_cluster_migrate_finish(cluster), 0);
    count_all(client, ++value);
    read_all(client, value);
}

/* A call that fails says so in time. At last one is answered, by no less than all that was answered before. */
static void count_until_answered(struct redis_client *client, const char *line, long long *counted)
{
    for (int i = 0; i < TRIES; i++) {
        redisReply *reply;
        int r = call_line(client, 0, PATIENCE_MS, line, &reply);
        bool answered = r == 0 && reply->type == REDIS_REPLY_INTEGER;
        if (r < 0)
            assert_true(r == COUNTER_EDOWN || r == COUNTER_ETIMEOUT);
        if (answered) {
            assert_true(reply->integer > *counted);
            *counted = reply->integer;
        }
        if (r == 0)
            freeReplyObject(reply);
        if (answered)
            return;
        scratch_sleep_ms(PAUSE_MS);
    }
    fail_msg("no answer any more: %s", counter_error());
}

static void a_cluster_that_moves_slots_and_loses_a_master_counts_each_hit_once(void **state)
{
    static struct real_cluster cluster;
    const char *const words[] = {"DBSIZE"};
    const size_t length[] = {6};
    const struct redis_command command = {1, words, length};
    long long counted = 0;
    int masters = 0;

    (void)state;
    skip_unless_started(real_cluster_start(&cluster));
    struct redis_client *client = open_client(text("redis+cluster://%s", cluster.seeds));
    assert_int_equal(redis_client_each(client, &command, 1, redis_deadline_in(CALL_MS), add_one, &masters), 0);
    assert_int_equal(masters, REAL_CLUSTER_MASTERS);
    move_and_count(&cluster, client);

    int master = real_cluster_master(&cluster, real_cluster_slot(&cluster, "key"));
    count_until_answered(client, "INCR key", &counted);
    scratch_sleep_ms(100); /* replicated by then */
    real_cluster_kill(&cluster, master);
    count_until_answered(client, "INCR key", &counted);
    count_until_answered(client, "INCR key", &counted);
    assert_in_range(counted, 3, 5);
    redis_client_close(client);
    real_cluster_stop(&cluster);
}

static void a_master_that_sentinels_replace_is_found_again(void **state)
{
    static struct real_sentinels sentinels;
    long long counted = 0;

    (void)state;
    skip_unless_started(real_sentinels_start(&sentinels, 1));
    struct redis_client *client = open_client(text("redis+sentinel://%s/" REAL_SENTINELS_NAME, sentinels.list));
    count_until_answered(client, "INCR key", &counted);
    scratch_sleep_ms(100);
    int old = real_sentinels_kill_master(&sentinels);
    count_until_answered(client, "INCR key", &counted);
    assert_true(real_sentinels_wait(&sentinels, old) >= 0);
    assert_int_equal(real_sentinels_revive(&sentinels, old), 0);
    count_until_answered(client, "INCR key", &counted);
    assert_in_range(counted, 3, 5);
    redis_client_close(client);
    real_sentinels_stop(&sentinels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_that_moves_slots_and_loses_a_master_counts_each_hit_once),
        cmocka_unit_test(a_master_that_sentinels_replace_is_found_again),
    };
    return cmocka_run_group_tests_name("redis failover", tests, NULL, NULL);
}
