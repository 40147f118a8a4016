/*
 * The Redis servers, the cluster and the Sentinels of tests/support do what they promise.
 *
 * Tests of the Redis store lean on them. Here only raw hiredis speaks to them, so a support that is broken is not taken
 * for a library that is.
 */
#include "../support/real_cluster.h"
#include "../support/real_sentinels.h"
#include "../support/redis_server.h"
#include "../support/scratch.h"
#include "../support/wait.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

enum { KEYS = 40 };

static struct real_cluster cluster;
static struct real_sentinels sentinels;

static void skip_without_redis(void)
{
    if (sentinels.servers == 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
}

/* ---- hiredis ---- */

static redisContext *dial(uint16_t port)
{
    redisContext *connection = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){.tv_sec = 5});

    assert_non_null(connection);
    assert_int_equal(connection->err, 0);
    assert_int_equal(redisSetTimeout(connection, (struct timeval){.tv_sec = 5}), REDIS_OK);
    return connection;
}

/* The reply's text, in a buffer of the next call's. */
static const char *text_of(redisReply *reply)
{
    static char text[256];

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(text, sizeof text, "%lld", reply->integer);
    else
        snprintf(text, sizeof text, "%s", reply->str ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

/* Over TCP, while redis_server_ask goes over the socket. */
static const char *say(uint16_t port, const char *command)
{
    redisContext *connection = dial(port);
    const char *text = text_of(redisCommand(connection, command));

    redisFree(connection);
    return text;
}

static const char *redirect(char text[static 64], const char *kind, unsigned slot, int node)
{
    snprintf(text, 64, "%s %u 127.0.0.1:%u", kind, slot, (unsigned)cluster.node[node].port);
    return text;
}

/* A folder whose name leaves room for a socket's, wherever $TMPDIR is. */
static void make_given(char folder[static 32])
{
    snprintf(folder, 32, "/tmp/redis-given-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

/* ---- One server ---- */

static void a_server_answers_on_its_socket_and_on_its_port(void **state)
{
    struct redis_server server;

    (void)state;
    skip_without_redis();
    assert_int_equal(redis_server_start_in(&server, NULL, REDIS_FREE_PORT, NULL), 0);
    assert_int_not_equal(server.port, 0);
    assert_int_equal(redis_server_number(&server, "INCR %s", "a key"), 1);
    assert_int_equal(redis_server_number(&server, "INCR n"), 1);
    assert_string_equal(say(server.port, "INCR n"), "2");
    redis_server_stop(&server);
}

static void questions_give_numbers_parts_of_texts_and_errors(void **state)
{
    struct redis_server server;

    (void)state;
    skip_without_redis();
    assert_int_equal(redis_server_start(&server, NULL), 0);
    assert_int_equal(redis_server_number(&server, "GET nothing"), -1);
    assert_true(redis_server_says(&server, "OK", "SET text %b", "12\0x", (size_t)4));
    assert_int_equal(redis_server_number(&server, "STRLEN text"), 4);
    assert_int_equal(redis_server_number(&server, "GET text"), 12);
    assert_int_equal(redis_server_number(&server, "INCR text"), -1);
    assert_true(redis_server_says(&server, "role:master", "INFO replication"));
    assert_false(redis_server_says(&server, "role:slave", "INFO replication"));
    assert_false(redis_server_says(&server, "ERR", "NONSENSE"));
    assert_string_equal(text_of(redis_server_ask(&server, "INCR text")), "ERR value is not an integer or out of range");
    redis_server_stop(&server);
}

static void a_killed_server_has_all_it_confirmed_when_it_starts_again(void **state)
{
    static const char *const options[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    struct redis_server server;

    (void)state;
    skip_without_redis();
    assert_int_equal(redis_server_start_in(&server, NULL, REDIS_FREE_PORT, options), 0);
    uint16_t port = server.port;
    for (int i = 1; i <= KEYS; i++)
        assert_int_equal(redis_server_number(&server, "INCR n"), i);
    redis_server_kill(&server);
    assert_int_equal(redis_server_connect(&server), -1);
    assert_int_equal(redis_server_restart(&server, options), 0);
    assert_int_equal(server.port, port);
    assert_string_equal(say(port, "GET n"), "40");
    redis_server_end(&server);
    assert_int_equal(redis_server_restart(&server, options), 0);
    assert_int_equal(redis_server_number(&server, "GET n"), KEYS);
    redis_server_stop(&server);
}

/* Reading back thousands of commands, slowly, a server accepts, and refuses what it is asked. */
static void a_server_that_reads_its_data_is_waited_for(void **state)
{
    static const char *const options[] = {"--appendonly", "yes", "--key-load-delay", "100", NULL};
    struct redis_server server;

    (void)state;
    skip_without_redis();
    assert_int_equal(redis_server_start(&server, options), 0);
    assert_int_equal(
        redis_server_number(&server, "EVAL %s 0", "for i = 1, 3000 do redis.call('INCR', 'n') end return 1"), 1);
    redis_server_end(&server);
    assert_int_equal(redis_server_restart(&server, options), 0);
    assert_int_equal(redis_server_number(&server, "GET n"), 3000);
    redis_server_stop(&server);
}

static void its_own_folder_goes_with_the_server_and_a_given_one_stays(void **state)
{
    static const char *const options[] = {"--appendonly", "yes", NULL};
    char given[32], own[sizeof((struct redis_server *)0)->folder];
    struct redis_server server;

    (void)state;
    skip_without_redis();
    assert_int_equal(redis_server_start(&server, options), 0);
    memcpy(own, server.folder, sizeof own);
    assert_true(scratch_has(own, "appendonlydir"));
    redis_server_stop(&server);
    assert_int_equal(access(own, F_OK), -1);

    make_given(given);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(redis_server_start_in(&server, given, REDIS_NO_PORT, options), 0);
        assert_int_equal(redis_server_number(&server, "INCR n"), i);
        redis_server_stop(&server);
        assert_true(scratch_has(given, "appendonlydir"));
    }
    scratch_remove(given);
}

struct orphan {
    struct redis_server server;
    char folder[sizeof((struct redis_server *)0)->folder];
};

static void start_and_die(void *arg)
{
    struct orphan *orphan = arg;

    if (redis_server_start_in(&orphan->server, orphan->folder, REDIS_NO_PORT, NULL) == 0)
        raise(SIGKILL);
}

static bool is_gone(const void *what)
{
    const struct orphan *orphan = what;

    return kill(orphan->server.pid, 0) < 0 && errno == ESRCH;
}

static void a_server_dies_with_the_process_that_started_it(void **state)
{
    (void)state;
    skip_without_redis();
    struct orphan *orphan = scratch_shared(sizeof *orphan);
    make_given(orphan->folder);
    assert_int_equal(scratch_wait(scratch_start(start_and_die, orphan)), 256 + SIGKILL);
    assert_int_not_equal(orphan->server.pid, 0);
    assert_true(wait_until(is_gone, orphan, 5000));
    scratch_remove(orphan->folder);
}

/* ---- The cluster ---- */

static void three_masters_serve_all_slots_and_each_has_a_replica(void **state)
{
    char text[64], seeds[sizeof cluster.seeds] = "";

    (void)state;
    skip_without_redis();
    for (int i = 0; i < REAL_CLUSTER_NODES; i++) {
        size_t used = strlen(seeds);
        snprintf(seeds + used, sizeof seeds - used, "%s127.0.0.1:%u", i ? "," : "", (unsigned)cluster.node[i].port);
        assert_true(redis_server_says(&cluster.node[i], "cluster_slots_ok:16384", "CLUSTER INFO"));
    }
    assert_string_equal(cluster.seeds, seeds);
    assert_int_equal(real_cluster_master(&cluster, 0), 0);
    assert_int_equal(real_cluster_master(&cluster, 5461), 1);
    assert_int_equal(real_cluster_master(&cluster, 10922), 1);
    assert_int_equal(real_cluster_master(&cluster, 16383), 2);

    /* Slots of "a", "b" and "foo", known from the specification's CRC16. */
    assert_int_equal(real_cluster_slot(&cluster, "a"), 15495);
    assert_string_equal(say(cluster.node[2].port, "INCR a"), "1");
    assert_string_equal(say(cluster.node[0].port, "INCR a"), redirect(text, "MOVED", 15495, 2));
    assert_string_equal(say(cluster.node[5].port, "INCR a"), redirect(text, "MOVED", 15495, 2));
    for (int i = 0; i < REAL_CLUSTER_MASTERS; i++)
        assert_int_equal(redis_server_number(&cluster.node[i], "WAIT 1 5000"), 1);
}

static long long keys_of(int node, unsigned slot)
{
    return redis_server_number(&cluster.node[node], "CLUSTER COUNTKEYSINSLOT %u", slot);
}

static void a_slot_that_moves_answers_ask_then_moved_and_loses_no_key(void **state)
{
    (void)state;
    skip_without_redis();
    unsigned slot = real_cluster_slot(&cluster, "{move}");
    int from = real_cluster_master(&cluster, slot), to = (from + 1) % REAL_CLUSTER_MASTERS;
    char text[64];
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(redis_server_number(&cluster.node[from], "INCR {move}%d", i), 1);

    assert_int_equal(real_cluster_migrate_begin(&cluster, slot, to), 0);
    assert_int_equal(real_cluster_migrate_some(&cluster, KEYS / 4), KEYS / 4);
    assert_int_equal(keys_of(from, slot), KEYS - KEYS / 4);
    assert_int_equal(keys_of(to, slot), KEYS / 4);

    /* A key that is not here any more, or not yet anywhere, is asked for there. */
    assert_string_equal(say(cluster.node[from].port, "INCR {move}new"), redirect(text, "ASK", slot, to));
    assert_string_equal(say(cluster.node[to].port, "INCR {move}new"), redirect(text, "MOVED", slot, from));
    redisContext *there = dial(cluster.node[to].port);
    assert_string_equal(text_of(redisCommand(there, "ASKING")), "OK");
    assert_string_equal(text_of(redisCommand(there, "INCR {move}new")), "1");
    redisFree(there);

    assert_int_equal(real_cluster_migrate_finish(&cluster), 0);
    assert_int_equal(real_cluster_master(&cluster, slot), to);
    assert_int_equal(keys_of(from, slot), 0);
    assert_int_equal(keys_of(to, slot), KEYS + 1);
    assert_string_equal(say(cluster.node[from].port, "GET {move}0"), redirect(text, "MOVED", slot, to));
    assert_string_equal(say(cluster.node[to].port, "GET {move}0"), "1");
}

static void the_replica_of_a_killed_node_takes_over_its_slots(void **state)
{
    (void)state;
    skip_without_redis();
    unsigned slot = real_cluster_slot(&cluster, "b");
    int old = real_cluster_master(&cluster, slot);
    redisContext *before = dial(cluster.node[old].port);
    assert_string_equal(text_of(redisCommand(before, "SET b kept")), "OK");
    assert_string_equal(text_of(redisCommand(before, "WAIT 1 5000")), "1");
    redisFree(before);

    real_cluster_kill(&cluster, old);
    assert_int_equal(redis_server_connect(&cluster.node[old]), -1);
    int master = real_cluster_wait(&cluster, slot);
    assert_int_equal(master, old + REAL_CLUSTER_MASTERS);
    assert_string_equal(say(cluster.node[master].port, "GET b"), "kept");

    assert_int_equal(real_cluster_revive(&cluster, old), 0);
    assert_int_equal(real_cluster_master(&cluster, slot), master);
    assert_true(redis_server_says(&cluster.node[old], "role:slave", "INFO replication"));
}

/* ---- Sentinels ---- */

/* As a client asks: the port, by any of those in the list. */
static unsigned port_named_by(const char *address)
{
    unsigned sentinel, port = 0;

    assert_int_equal(sscanf(address, "127.0.0.1:%u", &sentinel), 1);
    redisContext *connection = dial((uint16_t)sentinel);
    redisReply *reply = redisCommand(connection, "SENTINEL get-master-addr-by-name portal");
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, 2);
    assert_int_equal(sscanf(reply->element[1]->str, "%u", &port), 1);
    freeReplyObject(reply);
    redisFree(connection);
    return port;
}

static void assert_all_name(int server)
{
    int asked = 0;

    for (const char *at = sentinels.list; at != NULL; asked++) {
        assert_int_equal(port_named_by(at), sentinels.server[server].port);
        at = strchr(at, ',');
        if (at != NULL)
            at++;
    }
    assert_int_equal(asked, REAL_SENTINELS);
}

static void sentinels_name_the_master_and_another_when_it_is_killed(void **state)
{
    (void)state;
    skip_without_redis();
    assert_int_equal(real_sentinels_master(&sentinels), 0);
    assert_all_name(0);
    assert_true(redis_server_says(&sentinels.server[0], "OK", "SET a kept"));
    assert_int_equal(redis_server_number(&sentinels.server[0], "WAIT 1 5000"), 1);
    assert_string_equal(say(sentinels.server[1].port, "SET a lost"),
                        "READONLY You can't write against a read only replica.");

    assert_int_equal(real_sentinels_kill_master(&sentinels), 0);
    assert_int_equal(real_sentinels_wait(&sentinels, 0), 1);
    assert_all_name(1);
    assert_string_equal(say(sentinels.server[1].port, "GET a"), "kept");
    assert_string_equal(say(sentinels.server[1].port, "SET a new"), "OK");
}

static void a_master_that_comes_back_becomes_a_replica(void **state)
{
    (void)state;
    skip_without_redis();
    if (real_sentinels_master(&sentinels) == 0)
        fail_msg("no failover came before this");
    assert_int_equal(real_sentinels_revive(&sentinels, 0), 0);
    assert_all_name(1);
    assert_string_equal(say(sentinels.server[0].port, "GET a"), "new");
}

/* ---- All of them ---- */

static int start(void **state)
{
    (void)state;
    int started = real_cluster_start(&cluster);

    if (started == 0)
        started = real_sentinels_start(&sentinels, 1);
    if (started != 0)
        real_cluster_stop(&cluster);
    return started < 0 ? -1 : 0;
}

static int stop(void **state)
{
    char folders[2][sizeof cluster.node[0].folder];
    bool ran = sentinels.servers > 0;

    (void)state;
    memcpy(folders[0], cluster.node[0].folder, sizeof folders[0]);
    memcpy(folders[1], sentinels.server[0].folder, sizeof folders[1]);
    real_cluster_stop(&cluster);
    real_sentinels_stop(&sentinels);
    return ran && (access(folders[0], F_OK) == 0 || access(folders[1], F_OK) == 0) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_answers_on_its_socket_and_on_its_port),
        cmocka_unit_test(questions_give_numbers_parts_of_texts_and_errors),
        cmocka_unit_test(a_killed_server_has_all_it_confirmed_when_it_starts_again),
        cmocka_unit_test(a_server_that_reads_its_data_is_waited_for),
        cmocka_unit_test(its_own_folder_goes_with_the_server_and_a_given_one_stays),
        cmocka_unit_test(a_server_dies_with_the_process_that_started_it),
        cmocka_unit_test(three_masters_serve_all_slots_and_each_has_a_replica),
        cmocka_unit_test(a_slot_that_moves_answers_ask_then_moved_and_loses_no_key),
        cmocka_unit_test(the_replica_of_a_killed_node_takes_over_its_slots),
        cmocka_unit_test(sentinels_name_the_master_and_another_when_it_is_killed),
        cmocka_unit_test(a_master_that_comes_back_becomes_a_replica),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
