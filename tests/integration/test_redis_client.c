/*
 * test_redis_client.c: calls to one server that dies, hangs, refuses or breaks off, as scripts say.
 *
 * Whatever happens, a call ends by its deadline with the right answer or a failure that says what is wrong, a hit is
 * not sent twice, and the next call gets its own answer and none that was left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "../support/redis_server.h"
#include "../support/scripted.h"
#include "error.h"

enum { THREADS = 8, ROUNDS = 200 };

static struct redis_client *client_of(const struct resp_server *server)
{
    return open_client(text("redis+unix://%s", resp_server_path(server)));
}

/* ---- Answers and refusals ---- */

static void a_call_is_answered_over_one_connection(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(ALWAYS("GET", "$1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_answer(client, "GET a", "5");
    must_have_connections(server, 1);
    assert_int_equal(resp_server_commands(server), 5);
    redis_client_close(client);
    stop_server(server);
}

static const struct {
    const char *text;
    int code;
} refusals[] = {
    {"NOAUTH Authentication required.", COUNTER_EACCESS},
    {"WRONGPASS invalid username-password pair or user is disabled.", COUNTER_EACCESS},
    {"NOPERM this user has no permissions to access one of the keys used as arguments", COUNTER_EACCESS},
    {"ERR The user executing the script can't run this command or subcommand script: beef", COUNTER_EACCESS},
    {"OOM command not allowed when used memory > 'maxmemory'.", COUNTER_EFULL},
    {"ERR Error running script (call to f_beef): @user_script:1: @user_script: 1: -OOM command not allowed when used "
     "memory > 'maxmemory'.",
     COUNTER_EFULL},
    {"READONLY You can't write against a read only replica.", COUNTER_EDOWN},
    {"LOADING Redis is loading the dataset in memory", COUNTER_EDOWN},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", COUNTER_EDOWN},
    {"NOREPLICAS Not enough good replicas to write.", COUNTER_EDOWN},
    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", COUNTER_EDOWN},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", COUNTER_EDOWN},
    {"TRYAGAIN Multiple keys request during rehashing of slot", COUNTER_EDOWN},
    {"CLUSTERDOWN The cluster is down", COUNTER_EDOWN},
    {"WRONGTYPE Key is not a valid HyperLogLog string value.", COUNTER_EFORMAT},
    {"INVALIDOBJ Corrupted HLL object detected", COUNTER_EFORMAT},
    {"MOVED 15495 127.0.0.1:1", COUNTER_EDOWN},
    {"ASK 15495 127.0.0.1:1", COUNTER_EDOWN},
    {"ERR max number of clients reached", COUNTER_EDOWN},
    {"ERR max number of clients + cluster connections reached", COUNTER_EDOWN},
    {"DENIED Redis is running in protected mode because protected mode is enabled", COUNTER_EACCESS},
    {"ERR ERR The user executing the script can't run this command or subcommand", COUNTER_EACCESS},
    {"ERR ERR ERR ACL failure in script: beef", COUNTER_EACCESS},
    {"NOSCRIPT No matching script. Please use EVAL.", COUNTER_EIO},
    {"@user_script: 345: -NOREPLICAS Not enough good replicas to write.", COUNTER_EDOWN},
    {"ERR hash value is not an integer", COUNTER_EFORMAT},
    {"ERR unknown command", COUNTER_EIO},
    {"ERR ERR", COUNTER_EIO},
    {"OOMPH", COUNTER_EIO},
    {"", COUNTER_EIO},
};

static void a_refusal_of_one_server_is_given_at_once_and_means_what_its_first_word_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *const *script =
            SCRIPT("expect INCR a", text("send -%s\\r\\n", refusals[i].text), "expect INCR b", "send :7\\r\\n");
        struct resp_server *server = start_server(0, SCRIPTS(script));
        struct redis_client *client = client_of(server);
        redisReply *reply;

        assert_int_equal(call_line(client, 0, CALL_MS, "INCR a", &reply), 0);
        assert_int_equal(redis_reply_error(reply, "counting a hit"), refusals[i].code);
        assert_ptr_equal(strstr(counter_error(), "counting a hit: "), counter_error());
        assert_non_null(strstr(counter_error(), text("\"%.60s", refusals[i].text)));
        freeReplyObject(reply);
        must_answer(client, "INCR b", "7");
        must_have_connections(server, 1);
        redis_client_close(client);
        stop_server(server);
    }
}

static void an_answer_of_another_kind_is_no_refusal_but_an_error(void **state)
{
    redisReply reply = {.type = REDIS_REPLY_INTEGER};

    (void)state;
    assert_int_equal(redis_reply_error(&reply, "reading"), COUNTER_EIO);
    assert_non_null(strstr(counter_error(), "reading: "));
}

/* ---- Connections that break ---- */

static void an_idle_connection_that_died_is_replaced_without_failing(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct resp_server *server =
            start_server(tcp, SCRIPTS(SCRIPT("expect INCR", "send :1\\r\\n", "close"), ALWAYS("INCR", ":2\\r\\n")));
        struct redis_client *client = open_client(tcp ? text("redis://127.0.0.1:%u", resp_server_port(server))
                                                      : text("redis+unix://%s", resp_server_path(server)));
        must_answer(client, "INCR a", "1");
        scratch_sleep_ms(30);
        must_answer(client, "INCR a", "2");
        must_have_connections(server, 2);
        assert_int_equal(resp_server_commands(server), 2);
        redis_client_close(client);
        stop_server(server);
    }
}

static void a_hit_that_was_sent_into_a_breaking_connection_is_not_sent_again(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(SCRIPT("expect INCR", "close"), ALWAYS("INCR", ":1\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    must_fail(client, "INCR a", COUNTER_ETIMEOUT, "once or not at all");
    assert_int_equal(resp_server_commands(server), 1);
    must_answer(client, "INCR a", "1");
    redis_client_close(client);
    stop_server(server);
}

static void a_question_that_may_be_repeated_is_sent_again_once(void **state)
{
    struct resp_server *server = start_server(
        0, SCRIPTS(SCRIPT("expect GET", "close"), SCRIPT("expect GET", "send $1\\r\\n5\\r\\n", "expect GET", "close"),
                   SCRIPT("expect GET", "close"), ALWAYS("GET", "$1\\r\\n6\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    must_answer_with(client, REDIS_REPEAT, CALL_MS, "GET a", "5");
    assert_int_equal(resp_server_commands(server), 2);
    must_fail_with(client, REDIS_REPEAT, CALL_MS, "GET a", COUNTER_EDOWN, resp_server_path(server));
    assert_int_equal(resp_server_commands(server), 4);
    scratch_sleep_ms(REDIS_REST_MS + 10);
    must_answer_with(client, REDIS_REPEAT, CALL_MS, "GET a", "6");
    redis_client_close(client);
    stop_server(server);
}

static void an_answer_that_came_too_late_is_not_given_to_the_next_call(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(SCRIPT("expect GET a", "sleep 120", "send +late\\r\\n"),
                                                         SCRIPT("expect GET b", "send +right\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    must_fail_with(client, 0, 50, "GET a", COUNTER_ETIMEOUT, resp_server_path(server));
    scratch_sleep_ms(150);
    must_answer(client, "GET b", "right");
    redis_client_close(client);
    stop_server(server);
}

static void junk_is_an_error_and_the_next_call_is_right(void **state)
{
    static const char *const junk[] = {
        "HTTP/1.1 400 Bad Request\\r\\n\\r\\n",
        ":12abc\\r\\n",
        "*4294967296\\r\\n",
        "$9000000000\\r\\n",
        ":1\\r\\n:2\\r\\n",
        ("*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n"
         "*1\\r\\n*1\\r\\n:1\\r\\n"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        struct resp_server *server =
            start_server(0, SCRIPTS(SCRIPT("expect GET", text("send %s", junk[i])), ALWAYS("GET", "$1\\r\\n5\\r\\n")));
        struct redis_client *client = client_of(server);
        redisReply *reply;

        int r = call_line(client, REDIS_REPEAT, SHORT_MS, "GET a", &reply);
        if (r == 0) { /* more than was asked for may come too late to be noticed by this call */
            is_answer(reply, "GET a", "1");
            freeReplyObject(reply);
        } else if (r != COUNTER_EIO && r != COUNTER_ETIMEOUT) { /* what was announced may never come */
            fail_msg("\"%s\": %d %s", junk[i], r, counter_error());
        }
        scratch_sleep_ms(5);
        must_answer(client, "GET a", "5");
        redis_client_close(client);
        stop_server(server);
    }
}

/* ---- The breaker ---- */

struct crowd {
    struct redis_client *client;
    uint32_t ms;
    atomic_int answered, failed, wrong;
    pthread_barrier_t together;
};

static void *ask_once(void *arg)
{
    struct crowd *crowd = arg;
    const char *const words[] = {"GET", "a"};
    const size_t length[] = {3, 1};
    struct redis_command command = {2, words, length};
    redisReply *reply;

    pthread_barrier_wait(&crowd->together);
    if (redis_client_call(crowd->client, "a", &command, 1, 0, redis_deadline_in(crowd->ms), &reply) == 0) {
        crowd->answered++;
        freeReplyObject(reply);
    } else {
        crowd->failed++;
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd, void *(*body)(void *))
{
    pthread_t thread[THREADS];

    pthread_barrier_init(&crowd->together, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, body, crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&crowd->together);
}

static void a_dead_server_is_given_up_after_two_calls_and_tried_again_by_one(void **state)
{
    const char *const *dying = SCRIPT("expect *", "close");
    struct resp_server *server = start_server(0, SCRIPTS(dying, dying, dying, ALWAYS("GET", "$1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        must_fail(client, "GET a", COUNTER_ETIMEOUT, resp_server_path(server));
        must_have_connections(server, i);
    }
    for (int i = 0; i < 10; i++)
        must_fail_with(client, REDIS_REPEAT, CALL_MS, "GET a", COUNTER_EDOWN,
                       "was given up for now (tried again in 0.");
    must_have_connections(server, 2);

    scratch_sleep_ms(REDIS_REST_MS + 10);
    must_fail(client, "GET a", COUNTER_ETIMEOUT, "once or not at all");
    must_fail(client, "GET a", COUNTER_EDOWN, "was given up for now");
    scratch_sleep_ms(REDIS_REST_MS + 10); /* the rest is twice as long now */
    must_fail(client, "GET a", COUNTER_EDOWN, "was given up for now");
    must_have_connections(server, 3);

    scratch_sleep_ms(REDIS_REST_MS);
    for (int i = 0; i < 3; i++)
        must_answer(client, "GET a", "5");
    must_have_connections(server, 4);
    redis_client_close(client);
    stop_server(server);
}

static void a_server_that_answers_in_between_is_not_given_up(void **state)
{
    const char *const *flaky = SCRIPT("expect GET", "send $1\\r\\n5\\r\\n", "expect GET", "close");
    struct resp_server *server = start_server(0, SCRIPTS(flaky));
    struct redis_client *client = client_of(server);

    (void)state;
    for (int i = 0; i < 4; i++) {
        must_answer(client, "GET a", "5");
        must_fail(client, "GET a", COUNTER_ETIMEOUT, "once or not at all");
    }
    must_have_connections(server, 4);
    redis_client_close(client);
    stop_server(server);
}

/* As many idle connections as threads, all of which fail at their second command. */
static void a_call_that_fails_over_an_idle_connection_takes_the_others_along(void **state)
{
    static const char *const failures[] = {"reset", "hang", "send junk\\r\\n"};

    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        const char *const *dying = SCRIPT("expect GET", "sleep 300", "send $1\\r\\n5\\r\\n", "expect GET", failures[i]);
        struct resp_server *server = start_server(
            0, SCRIPTS(dying, dying, dying, dying, dying, dying, dying, dying, ALWAYS("GET", "$1\\r\\n6\\r\\n")));
        struct redis_client *client = client_of(server);
        struct crowd crowd = {.client = client, .ms = 4 * CALL_MS};

        run_crowd(&crowd, ask_once);
        assert_int_equal(crowd.failed, 0);
        must_have_connections(server, THREADS);
        must_fail_with(client, 0, SHORT_MS, "GET a", COUNTER_ETIMEOUT, "");
        for (int again = 0; again < 3; again++)
            must_answer(client, "GET a", "6");
        must_have_connections(server, THREADS + 1);
        redis_client_close(client);
        stop_server(server);
    }
}

static void of_a_server_that_goes_away_only_fresh_connections_are_counted(void **state)
{
    const char *const *dying = SCRIPT("expect GET", "close");
    struct resp_server *server =
        start_server(0, SCRIPTS(SCRIPT("expect GET", "send $1\\r\\n5\\r\\n", "expect GET", "close"), dying));
    struct redis_client *client = client_of(server);

    (void)state;
    must_answer(client, "GET a", "5");
    for (int i = 0; i < 3; i++)
        must_fail(client, "GET a", COUNTER_ETIMEOUT, "once or not at all");
    must_fail(client, "GET a", COUNTER_EDOWN, "given up for now");
    must_have_connections(server, 3);
    redis_client_close(client);
    stop_server(server);
}

static void a_refused_login_is_said_also_while_the_server_is_given_up(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(ALWAYS("AUTH", "-WRONGPASS invalid password\\r\\n")));
    struct redis_client *client = open_client(text("redis+unix://web:hunter2@%s", resp_server_path(server)));

    (void)state;
    for (int i = 0; i < 4; i++) {
        must_fail(client, "GET a", COUNTER_EACCESS, "");
        assert_null(strstr(counter_error(), "hunter2"));
    }
    must_have_connections(server, 2);
    redis_client_close(client);
    stop_server(server);
}

static void a_deadline_used_up_elsewhere_is_not_blamed_on_the_server(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(ALWAYS("GET", "$1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_fail_with(client, 0, 0, "GET a", COUNTER_ETIMEOUT, "no time was left");
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(server);
}

/* ---- Threads and processes ---- */

static void calls_that_fail_side_by_side_count_as_one(void **state)
{
    const char *const *hanging = SCRIPT("expect GET", "hang");
    struct resp_server *server = start_server(0, SCRIPTS(hanging, hanging, hanging, hanging, hanging, hanging, hanging,
                                                         hanging, ALWAYS("GET", "$1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(server);
    struct crowd crowd = {.client = client, .ms = 100};

    (void)state;
    run_crowd(&crowd, ask_once);
    assert_int_equal(crowd.failed, THREADS);
    must_have_connections(server, THREADS);
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(server);
}

static void of_many_threads_one_tries_a_server_again(void **state)
{
    const char *const *dying = SCRIPT("expect *", "close");
    struct resp_server *server = start_server(0, SCRIPTS(dying, dying, SCRIPT("expect GET", "hang")));
    struct redis_client *client = client_of(server);
    struct crowd crowd = {.client = client, .ms = REDIS_REST_MS + 150};

    (void)state;
    must_fail(client, "GET a", COUNTER_ETIMEOUT, "");
    must_fail(client, "GET a", COUNTER_ETIMEOUT, "");
    scratch_sleep_ms(REDIS_REST_MS + 10);
    run_crowd(&crowd, ask_once);
    assert_int_equal(crowd.failed, THREADS);
    must_have_connections(server, 3);
    redis_client_close(client);
    stop_server(server);
}

static void while_one_tries_a_server_for_long_the_others_still_fail_at_once(void **state)
{
    const char *const *dying = SCRIPT("expect *", "close");
    struct resp_server *server = start_server(0, SCRIPTS(dying, dying, SCRIPT("expect GET", "hang")));
    struct redis_client *client = client_of(server);
    struct crowd crowd = {.client = client, .ms = 3 * REDIS_REST_MS};
    pthread_t thread;

    (void)state;
    must_fail(client, "GET a", COUNTER_ETIMEOUT, "");
    must_fail(client, "GET a", COUNTER_ETIMEOUT, "");
    scratch_sleep_ms(REDIS_REST_MS + 10);
    pthread_barrier_init(&crowd.together, NULL, 1);
    assert_int_equal(pthread_create(&thread, NULL, ask_once, &crowd), 0);
    scratch_sleep_ms(2 * REDIS_REST_MS);
    must_fail_with(client, 0, SHORT_MS, "GET a", COUNTER_EDOWN, "given up for now");
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&crowd.together);
    must_have_connections(server, 3);
    redis_client_close(client);
    stop_server(server);
}

/* Sets and reads a value that no other thread has. */
static void *use_own_key(void *arg)
{
    struct crowd *crowd = arg;
    char key[16], value[48];
    const char *const set[] = {"SET", key, value}, *const get[] = {"GET", key};

    pthread_barrier_wait(&crowd->together);
    snprintf(key, sizeof key, "k%d", crowd->answered++);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(value, sizeof value, "%s-%d", key, i);
        const size_t set_length[] = {3, strlen(key), strlen(value)}, get_length[] = {3, strlen(key)};
        const struct redis_command commands[] = {{3, set, set_length}, {2, get, get_length}};
        redisReply *replies[2];
        if (redis_client_call(crowd->client, key, commands, 2, 0, redis_deadline_in(10000), replies) < 0) {
            crowd->failed++;
            continue;
        }
        crowd->wrong += replies[1]->type != REDIS_REPLY_STRING || strcmp(replies[1]->str, value) != 0;
        freeReplyObject(replies[0]);
        freeReplyObject(replies[1]);
    }
    return NULL;
}

static void threads_share_a_client_and_each_gets_its_own_answers(void **state)
{
    struct redis_server server;
    int started = redis_server_start(&server, NULL);

    (void)state;
    if (started > 0)
        skip();
    assert_int_equal(started, 0);
    struct crowd crowd = {.client = open_client(text("redis+unix://%s", server.socket))};
    run_crowd(&crowd, use_own_key);
    assert_int_equal(crowd.failed, 0);
    assert_int_equal(crowd.wrong, 0);
    redis_client_close(crowd.client);
    redis_server_stop(&server);
}

static void ask_in_child(void *arg)
{
    redisReply *reply;

    scratch_expect(call_line(arg, 0, CALL_MS, "INCR a", &reply) == 0);
    scratch_expect(reply->integer == 101);
    freeReplyObject(reply);
}

static void a_forked_child_has_connections_of_its_own(void **state)
{
    const char *const *parents = SCRIPT("expect INCR", "send :1\\r\\n", "expect INCR", "send :2\\r\\n");
    struct resp_server *server = start_server(0, SCRIPTS(parents, SCRIPT("expect INCR", "send :101\\r\\n")));
    struct redis_client *client = client_of(server);

    (void)state;
    must_answer(client, "INCR a", "1");
    scratch_run(ask_in_child, client);
    must_answer(client, "INCR a", "2");
    must_have_connections(server, 2);
    redis_client_close(client);
    stop_server(server);
}

/* ---- Each server ---- */

static int add_reply(void *arg, const struct redis_host *host, redisReply **replies)
{
    long long *sum = arg;

    assert_true(host->name[0]);
    *sum += replies[0]->integer;
    return 0;
}

static void one_server_is_each_server(void **state)
{
    struct resp_server *server = start_server(0, SCRIPTS(ALWAYS("DBSIZE", ":7\\r\\n")));
    struct redis_client *client = client_of(server);
    const char *const words[] = {"DBSIZE"};
    const size_t length[] = {6};
    const struct redis_command command = {1, words, length};
    long long sum = 0;

    (void)state;
    assert_int_equal(redis_client_each(client, &command, 1, redis_deadline_in(CALL_MS), add_reply, &sum), 0);
    assert_int_equal(sum, 7);
    redis_client_close(client);
    stop_server(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_over_one_connection),
        cmocka_unit_test(a_refusal_of_one_server_is_given_at_once_and_means_what_its_first_word_says),
        cmocka_unit_test(an_answer_of_another_kind_is_no_refusal_but_an_error),
        cmocka_unit_test(an_idle_connection_that_died_is_replaced_without_failing),
        cmocka_unit_test(a_hit_that_was_sent_into_a_breaking_connection_is_not_sent_again),
        cmocka_unit_test(a_question_that_may_be_repeated_is_sent_again_once),
        cmocka_unit_test(an_answer_that_came_too_late_is_not_given_to_the_next_call),
        cmocka_unit_test(junk_is_an_error_and_the_next_call_is_right),
        cmocka_unit_test(a_dead_server_is_given_up_after_two_calls_and_tried_again_by_one),
        cmocka_unit_test(a_server_that_answers_in_between_is_not_given_up),
        cmocka_unit_test(a_call_that_fails_over_an_idle_connection_takes_the_others_along),
        cmocka_unit_test(of_a_server_that_goes_away_only_fresh_connections_are_counted),
        cmocka_unit_test(a_refused_login_is_said_also_while_the_server_is_given_up),
        cmocka_unit_test(a_deadline_used_up_elsewhere_is_not_blamed_on_the_server),
        cmocka_unit_test(calls_that_fail_side_by_side_count_as_one),
        cmocka_unit_test(of_many_threads_one_tries_a_server_again),
        cmocka_unit_test(while_one_tries_a_server_for_long_the_others_still_fail_at_once),
        cmocka_unit_test(threads_share_a_client_and_each_gets_its_own_answers),
        cmocka_unit_test(a_forked_child_has_connections_of_its_own),
        cmocka_unit_test(one_server_is_each_server),
    };
    return cmocka_run_group_tests_name("redis client", tests, NULL, NULL);
}
