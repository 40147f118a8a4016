/*
 * test_redis_sentinel.c: masters that Sentinels name, late, wrongly or not at all, as scripts say.
 *
 * An answer tells by its value which server gave it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/scripted.h"
#include "error.h"

#define MASTER  "*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n"
#define REPLICA "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:3129242\r\n"

/* A server in that role that answers every such command alike. */
#define SERVER(role, command, answer) SCRIPT("when ROLE", "send " role, "when " command, "send " answer, "again")

/* What a Sentinel says to be asked: that port. */
static const char *naming(unsigned port)
{
    return text("send *2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%u\r\n", strlen(text("%u", port)), port);
}

static const char *const *sentinel_naming(const struct resp_server *server)
{
    static const char *script[8][4];
    static unsigned next;
    const char **one = script[next++ % 8];

    one[0] = "expect SENTINEL get-master-addr-by-name mymaster";
    one[1] = naming(resp_server_port(server));
    one[2] = "again";
    return one;
}

static const char *port_of(const struct resp_server *server)
{
    return text("127.0.0.1:%u", resp_server_port(server));
}

static struct redis_client *client_of(const struct resp_server *sentinel)
{
    return open_client(text("redis+sentinel://%s/mymaster", port_of(sentinel)));
}

/* ---- Who is asked ---- */

static void the_master_that_a_sentinel_names_is_asked_for_its_role_and_kept(void **state)
{
    struct resp_server *master = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$1\r\n5\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_answer(client, "GET a", "5");
    assert_int_equal(resp_server_commands(sentinel), 1);
    assert_int_equal(commands_like(master, "ROLE"), 1);
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(master);
}

static void the_first_sentinel_hangs_the_second_does_not_know_the_third_answers(void **state)
{
    struct resp_server *master = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$1\r\n5\r\n")));
    struct resp_server *hanging = start_server(1, SCRIPTS(SCRIPT("expect SENTINEL", "hang")));
    struct resp_server *ignorant = start_server(1, SCRIPTS(ALWAYS("SENTINEL", "*-1\r\n")));
    struct resp_server *knowing = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct redis_client *client =
        open_client(text("redis+sentinel://%s,%s,%s/mymaster", port_of(hanging), port_of(ignorant), port_of(knowing)));

    (void)state;
    for (int i = 0; i < 3; i++)
        must_answer(client, "GET a", "5");
    assert_int_equal(resp_server_commands(hanging), 1);
    assert_int_equal(resp_server_commands(knowing), 1);
    redis_client_close(client);
    stop_server(hanging);
    stop_server(ignorant);
    stop_server(knowing);
    stop_server(master);
}

static void a_sentinel_that_is_away_is_passed_over(void **state)
{
    struct resp_server *master = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$1\r\n5\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct redis_client *client =
        open_client(text("redis+sentinel://127.0.0.1:%u,%s/mymaster", dead_port(), port_of(sentinel)));

    (void)state;
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(master);
}

static void junk_of_a_sentinel_is_not_believed_and_the_next_is_asked(void **state)
{
    static const char *const junk[] = {
        ":1\r\n",
        "+OK\r\n",
        "$9\r\n127.0.0.1\r\n",
        "*0\r\n",
        "*1\r\n$9\r\n127.0.0.1\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n:\\p\r\n",
        "*2\r\n:1\r\n$4\r\n6379\r\n",
        "*2\r\n$-1\r\n$-1\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n70000\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$2\r\n-1\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$0\r\n\r\n",
        "*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        "*2\r\n$3\r\na b\r\n$4\r\n6379\r\n",
        "*3\r\n$9\r\n127.0.0.1\r\n$5\r\n\\p\r\n:1\r\n",
        "-ERR unknown command 'SENTINEL'\r\n",
        "-IDONTKNOW I have not enough information\r\n",
        "-NOAUTH Authentication required.\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        struct resp_server *master = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$1\r\n5\r\n")));
        struct resp_server *liar = start_server(1, SCRIPTS(SCRIPT("expect SENTINEL", text("send %s", junk[i]))));
        struct resp_server *honest = start_server(1, SCRIPTS(sentinel_naming(master)));
        struct redis_client *client =
            open_client(text("redis+sentinel://%s,%s/mymaster", port_of(liar), port_of(honest)));
        must_answer(client, "GET a", "5");
        must_answer(client, "GET a", "5");
        assert_int_equal(resp_server_commands(liar), 1);
        redis_client_close(client);
        stop_server(liar);
        stop_server(honest);
        stop_server(master);
    }
}

static void a_master_that_nobody_knows_is_said_by_its_name(void **state)
{
    struct resp_server *sentinel = start_server(1, SCRIPTS(ALWAYS("SENTINEL", "*-1\r\n")));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    for (int i = 0; i < 3; i++)
        must_fail(client, "GET a", COUNTER_EDOWN, "knows no master named \"mymaster\"");
    redis_client_close(client);
    stop_server(sentinel);
}

static void with_all_sentinels_away_calls_fail_clearly(void **state)
{
    struct redis_client *client =
        open_client(text("redis+sentinel://127.0.0.1:%u,127.0.0.1:%u/mymaster", dead_port(), dead_port()));

    (void)state;
    for (int i = 0; i < 5; i++)
        must_fail(client, "GET a", COUNTER_EDOWN, "127.0.0.1:");
    must_fail(client, "GET a", COUNTER_EDOWN, "given up for now");
    redis_client_close(client);
}

/* ---- Passwords ---- */

static void a_sentinel_is_asked_without_the_password_and_with_it_if_it_wants_that(void **state)
{
    struct resp_server *master = start_server(1, SCRIPTS(SCRIPT("expect AUTH web secret", "send +OK\r\n", "expect ROLE",
                                                                "send " MASTER, "expect GET a", "send $1\r\n5\r\n")));
    struct resp_server *open = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct resp_server *closed = start_server(
        1,
        SCRIPTS(SCRIPT("expect SENTINEL", "send -NOAUTH Authentication required.\r\n"),
                SCRIPT("expect AUTH web secret", "send +OK\r\n", "expect SENTINEL", naming(resp_server_port(master)))));
    struct resp_server *sentinels[] = {open, closed};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct redis_client *client =
            open_client(text("redis+sentinel://web:secret@%s/mymaster", port_of(sentinels[i])));
        must_answer(client, "GET a", "5");
        redis_client_close(client);
        assert_int_equal(commands_like(sentinels[i], "AUTH"), i);
        stop_server(sentinels[i]);
    }
    stop_server(master);
}

/* ---- Masters that change ---- */

static void a_server_that_is_a_replica_is_not_used_and_asked_about_again(void **state)
{
    struct resp_server *server =
        start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " REPLICA), SCRIPT("expect ROLE", "send " REPLICA),
                                SERVER(MASTER, "INCR a", ":1\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(server)));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    must_answer(client, "INCR a", "1");
    assert_int_equal(resp_server_commands(sentinel), 3);
    assert_int_equal(commands_like(server, "INCR"), 1);
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(server);
}

static void of_a_sentinel_that_names_a_replica_the_next_is_asked(void **state)
{
    struct resp_server *old = start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " REPLICA)));
    struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", ":1\r\n")));
    struct resp_server *stale = start_server(1, SCRIPTS(sentinel_naming(old)));
    struct resp_server *fresh = start_server(1, SCRIPTS(sentinel_naming(new)));
    struct redis_client *client = open_client(text("redis+sentinel://%s,%s/mymaster", port_of(stale), port_of(fresh)));

    (void)state;
    must_answer(client, "INCR a", "1");
    assert_int_equal(resp_server_commands(stale), 1);
    redis_client_close(client);
    stop_server(stale);
    stop_server(fresh);
    stop_server(old);
    stop_server(new);
}

static void a_server_that_stays_a_replica_is_said_before_the_deadline(void **state)
{
    struct resp_server *server = start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " REPLICA)));
    struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(server)));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    must_fail(client, "INCR a", COUNTER_EDOWN, text("%s is no master now", port_of(server)));
    assert_in_range(resp_server_commands(sentinel), 3, CALL_MS / 40);
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(server);
}

static void a_role_that_cannot_be_had_is_said(void **state)
{
    static const struct {
        const char *reply;
        int code;
    } rows[] = {{"-NOPERM this user has no permissions to run the 'role' command\r\n", COUNTER_EACCESS},
                {"-NOAUTH Authentication required.\r\n", COUNTER_EACCESS},
                {":1\r\n", COUNTER_EIO},
                {"*0\r\n", COUNTER_EIO},
                {"*1\r\n:1\r\n", COUNTER_EIO}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resp_server *server = start_server(
            1, SCRIPTS(SCRIPT("expect ROLE", text("send %s", rows[i].reply)), SERVER(MASTER, "INCR a", ":1\r\n")));
        struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(server)));
        struct redis_client *client = client_of(sentinel);
        must_fail(client, "INCR a", rows[i].code, port_of(server));
        must_answer(client, "INCR a", "1");
        redis_client_close(client);
        stop_server(sentinel);
        stop_server(server);
    }
}

static void a_master_that_steps_down_is_left_for_the_one_named_next(void **state)
{
    static const char *const refusals[] = {"-READONLY You can't write against a read only replica.\r\n",
                                           "-LOADING Redis is loading the dataset in memory\r\n",
                                           "-MASTERDOWN Link with MASTER is down\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct resp_server *old = start_server(
            1, SCRIPTS(SCRIPT("when ROLE", "send " MASTER, "when INCR a", text("send %s", refusals[i]), "again")));
        struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", ":1\r\n")));
        struct resp_server *sentinel = start_server(
            1, SCRIPTS(SCRIPT("expect SENTINEL", naming(resp_server_port(old)), "expect SENTINEL",
                              naming(resp_server_port(old)), "expect SENTINEL", naming(resp_server_port(new)))));
        struct redis_client *client = client_of(sentinel);
        must_answer(client, "INCR a", "1");
        must_answer(client, "INCR a", "1");
        assert_int_equal(commands_like(old, "INCR"), 2);
        assert_int_equal(commands_like(new, "INCR"), 2);
        redis_client_close(client);
        stop_server(sentinel);
        stop_server(old);
        stop_server(new);
    }
}

static void a_refusal_that_lasts_is_given_before_the_deadline(void **state)
{
    struct resp_server *server = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", "-READONLY You can't\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(server)));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    must_refuse(client, "INCR a", "READONLY");
    assert_in_range(commands_like(server, "INCR"), 3, CALL_MS / 40);
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(server);
}

static void other_refusals_of_a_master_are_given_at_once(void **state)
{
    static const char *const rows[] = {"NOREPLICAS Not enough",   "MISCONF Redis is",        "BUSY Redis is busy",
                                       "OOM command not allowed", "MOVED 15495 127.0.0.1:1", "CLUSTERDOWN no"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resp_server *server =
            start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " MASTER, "expect INCR a",
                                           text("send -%s\r\n", rows[i]), "expect INCR a", "send :1\r\n")));
        struct resp_server *sentinel = start_server(1, SCRIPTS(sentinel_naming(server)));
        struct redis_client *client = client_of(sentinel);
        must_refuse(client, "INCR a", rows[i]);
        must_answer(client, "INCR a", "1");
        redis_client_close(client);
        stop_server(sentinel);
        stop_server(server);
    }
}

static void a_dead_master_is_left_within_the_call_where_nothing_was_sent(void **state)
{
    struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", ":1\r\n")));
    struct resp_server *sentinel = start_server(
        1, SCRIPTS(SCRIPT("expect SENTINEL", naming(dead_port()), "expect SENTINEL", naming(resp_server_port(new)))));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    must_answer(client, "INCR a", "1");
    must_answer(client, "INCR a", "1");
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(new);
}

static void a_dead_master_that_goes_on_being_named_fails_clearly(void **state)
{
    unsigned port = dead_port();
    struct resp_server *sentinel = start_server(1, SCRIPTS(SCRIPT("expect SENTINEL", naming(port), "again")));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_fail(client, "INCR a", COUNTER_EDOWN, text("127.0.0.1:%u", port));
    assert_in_range(resp_server_commands(sentinel), 2, 12);
    redis_client_close(client);
    stop_server(sentinel);
}

/* Two calls find it away and ask; those that fail at once do not, but for one in each quarter of a second. */
static void while_a_master_is_given_up_the_sentinels_are_seldom_asked(void **state)
{
    struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", ":1\r\n")));
    const char *dead = naming(dead_port()), *const ask = "expect SENTINEL", *there = naming(resp_server_port(new));
    struct resp_server *sentinel =
        start_server(1, SCRIPTS(SCRIPT(ask, dead, ask, dead, ask, dead, ask, there, "expect *", "hang")));
    struct redis_client *client = client_of(sentinel);
    redis_deadline end = redis_deadline_in(5 * REDIS_REST_MS);
    redisReply *reply;
    int calls = 0, answered = 0;

    (void)state;
    while (redis_deadline_left(end) > 0 && !answered) {
        calls++;
        if (call_line(client, 0, CALL_MS, "INCR a", &reply) == 0) {
            answered = 1;
            freeReplyObject(reply);
        }
    }
    assert_true(answered);
    assert_true(calls > 8);
    assert_int_equal(resp_server_commands(sentinel), 4);
    redis_client_close(client);
    resp_server_stop(sentinel);
    stop_server(new);
}

static void any_sentinel_is_asked_first(void **state)
{
    struct resp_server *master = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$1\r\n5\r\n")));
    struct resp_server *one = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct resp_server *other = start_server(1, SCRIPTS(sentinel_naming(master)));
    struct redis_url url;

    (void)state;
    assert_int_equal(redis_url_parse(&url, text("redis+sentinel://%s,%s/mymaster", port_of(one), port_of(other))), 0);
    for (int i = 0; i < 64; i++) {
        struct redis_client *client;
        assert_int_equal(redis_client_open(&client, &url, ""), 0);
        must_answer(client, "GET a", "5");
        redis_client_close(client);
    }
    assert_in_range(resp_server_commands(one), 1, 63); /* always the same: once in 2^63 runs */
    assert_int_equal(resp_server_commands(one) + resp_server_commands(other), 64);
    stop_server(one);
    stop_server(other);
    stop_server(master);
}

static void a_hit_lost_on_the_way_is_not_sent_to_the_new_master(void **state)
{
    struct resp_server *old = start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " MASTER, "expect INCR a", "close")));
    struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "INCR a", ":1\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(SCRIPT("expect SENTINEL", naming(resp_server_port(old)),
                                                                  "expect SENTINEL", naming(resp_server_port(new)))));
    struct resp_server *ignorant = start_server(1, SCRIPTS(ALWAYS("SENTINEL", "*-1\r\n")));
    struct redis_client *client =
        open_client(text("redis+sentinel://%s,%s/mymaster", port_of(ignorant), port_of(sentinel)));

    (void)state;
    must_fail(client, "INCR a", COUNTER_ETIMEOUT, "once or not at all");
    assert_int_equal(resp_server_commands(new), 0);
    must_answer(client, "INCR a", "1");
    assert_int_equal(resp_server_commands(ignorant), 1); /* who answered is asked first */
    redis_client_close(client);
    stop_server(ignorant);
    stop_server(sentinel);
    stop_server(old);
    stop_server(new);
}

/* Redis closes the connections of a master that steps down. A new one must not go to a replica unnoticed. */
static void a_connection_made_anew_asks_for_the_role_again(void **state)
{
    struct resp_server *old =
        start_server(1, SCRIPTS(SCRIPT("expect ROLE", "send " MASTER, "expect GET a", "send $3\r\nold\r\n", "close"),
                                SERVER(REPLICA, "GET a", "$5\r\nstale\r\n")));
    struct resp_server *new = start_server(1, SCRIPTS(SERVER(MASTER, "GET a", "$3\r\nnew\r\n")));
    struct resp_server *sentinel = start_server(1, SCRIPTS(SCRIPT("expect SENTINEL", naming(resp_server_port(old)),
                                                                  "expect SENTINEL", naming(resp_server_port(new)))));
    struct redis_client *client = client_of(sentinel);

    (void)state;
    must_answer(client, "GET a", "old");
    scratch_sleep_ms(30);
    must_answer(client, "GET a", "new");
    redis_client_close(client);
    stop_server(sentinel);
    stop_server(old);
    stop_server(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_that_a_sentinel_names_is_asked_for_its_role_and_kept),
        cmocka_unit_test(the_first_sentinel_hangs_the_second_does_not_know_the_third_answers),
        cmocka_unit_test(a_sentinel_that_is_away_is_passed_over),
        cmocka_unit_test(junk_of_a_sentinel_is_not_believed_and_the_next_is_asked),
        cmocka_unit_test(a_master_that_nobody_knows_is_said_by_its_name),
        cmocka_unit_test(with_all_sentinels_away_calls_fail_clearly),
        cmocka_unit_test(a_sentinel_is_asked_without_the_password_and_with_it_if_it_wants_that),
        cmocka_unit_test(a_server_that_is_a_replica_is_not_used_and_asked_about_again),
        cmocka_unit_test(of_a_sentinel_that_names_a_replica_the_next_is_asked),
        cmocka_unit_test(a_server_that_stays_a_replica_is_said_before_the_deadline),
        cmocka_unit_test(a_role_that_cannot_be_had_is_said),
        cmocka_unit_test(a_master_that_steps_down_is_left_for_the_one_named_next),
        cmocka_unit_test(a_refusal_that_lasts_is_given_before_the_deadline),
        cmocka_unit_test(other_refusals_of_a_master_are_given_at_once),
        cmocka_unit_test(a_dead_master_is_left_within_the_call_where_nothing_was_sent),
        cmocka_unit_test(a_dead_master_that_goes_on_being_named_fails_clearly),
        cmocka_unit_test(while_a_master_is_given_up_the_sentinels_are_seldom_asked),
        cmocka_unit_test(any_sentinel_is_asked_first),
        cmocka_unit_test(a_hit_lost_on_the_way_is_not_sent_to_the_new_master),
        cmocka_unit_test(a_connection_made_anew_asks_for_the_role_again),
    };
    return cmocka_run_group_tests_name("redis sentinel", tests, NULL, NULL);
}
