/*
 * test_redis_cluster.c: calls to clusters whose nodes move slots, die, lie and loop, as scripts say.
 *
 * Slots of the keys used: a is in 15495, b in 3300. An answer tells by its value which node gave it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <sys/socket.h>

#include "../support/scripted.h"
#include "error.h"
#include "redis_cluster.h"

enum { SLOT_A = 15495, SLOT_B = 3300 };

#define WHOLE    "*1\\r\\n*3\\r\\n:0\\r\\n:16383\\r\\n"
#define LOOPBACK "$9\\r\\n127.0.0.1\\r\\n"

/* A node that says this to CLUSTER SLOTS and answers every GET alike. */
#define NODE(slots, answer)                                                                                            \
    SCRIPT("when CLUSTER SLOTS", text("send %s", slots), "when GET", text("send %s", answer), "again")

/* All slots at this port. */
static const char *all_at(unsigned port)
{
    return text(WHOLE "*2\\r\\n" LOOPBACK ":%u\\r\\n", port);
}

static const char *own(void)
{
    return WHOLE "*2\\r\\n" LOOPBACK ":\\p\\r\\n";
}

static struct redis_client *client_of(unsigned port, unsigned other)
{
    return open_client(text("redis+cluster://127.0.0.1:%u%s", port, other ? text(",127.0.0.1:%u", other) : ""));
}

/* ---- The map ---- */

static void each_key_goes_to_the_node_that_holds_its_slot(void **state)
{
    struct resp_server *high = start_server(1, SCRIPTS(ALWAYS("GET a", "$4\\r\\nhigh\\r\\n")));
    const char *slots =
        text("*2\\r\\n*4\\r\\n:0\\r\\n:8191\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n*2\\r\\n" LOOPBACK ":1\\r\\n"
             "*3\\r\\n:8192\\r\\n:16383\\r\\n*4\\r\\n" LOOPBACK ":%u\\r\\n$2\\r\\nid\\r\\n*0\\r\\n",
             resp_server_port(high));
    struct resp_server *low = start_server(1, SCRIPTS(NODE(slots, "$3\\r\\nlow\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(low), 0);

    (void)state;
    for (int i = 0; i < 3; i++) {
        must_answer(client, "GET a", "high");
        must_answer(client, "GET b", "low");
    }
    assert_int_equal(commands_like(low, "CLUSTER SLOTS"), 1);
    redis_client_close(client);
    stop_server(low);
    stop_server(high);
}

static void an_endpoint_left_out_is_the_address_that_was_asked(void **state)
{
    static const char *const endpoints[] = {"$-1", "$0\\r\\n", "*-1"};

    (void)state;
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        const char *slots = text(WHOLE "*2\\r\\n%s\\r\\n:\\p\\r\\n", endpoints[i]);
        struct resp_server *server = start_server(1, SCRIPTS(NODE(slots, "$1\\r\\n5\\r\\n")));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_answer(client, "GET a", "5");
        must_answer(client, "GET b", "5");
        must_have_connections(server, 1);
        redis_client_close(client);
        stop_server(server);
    }
}

/* Maps that send all calls to the liar if they are believed. */
static const char *const impossible[] = {
    "*0\\r\\n",
    "*-1\\r\\n",
    ":1\\r\\n",
    "+OK\\r\\n",
    "-ERR This instance has cluster support disabled\\r\\n",
    "-NOPERM this user has no permissions to run the 'cluster|slots' command\\r\\n",
    "*1\\r\\n:1\\r\\n",
    "*1\\r\\n*2\\r\\n:0\\r\\n:16383\\r\\n",
    "*1\\r\\n*3\\r\\n$1\\r\\n0\\r\\n$5\\r\\n16383\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    "*1\\r\\n*3\\r\\n:0\\r\\n:16384\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    "*1\\r\\n*3\\r\\n:0\\r\\n:9223372036854775807\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    "*1\\r\\n*3\\r\\n:-1\\r\\n:16383\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    "*1\\r\\n*3\\r\\n:16383\\r\\n:0\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    "*2\\r\\n*3\\r\\n:0\\r\\n:16000\\r\\n*2\\r\\n" LOOPBACK
    ":\\p\\r\\n*3\\r\\n:16000\\r\\n:16383\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n",
    WHOLE "*2\\r\\n" LOOPBACK ":0\\r\\n",
    WHOLE "*2\\r\\n" LOOPBACK ":70000\\r\\n",
    WHOLE "*2\\r\\n" LOOPBACK ":-1\\r\\n",
    WHOLE "*2\\r\\n" LOOPBACK "$4\\r\\n6379\\r\\n",
    WHOLE "*2\\r\\n:1\\r\\n:\\p\\r\\n",
    WHOLE "*2\\r\\n$11\\r\\n127.0.0.1\\0x\\r\\n:\\p\\r\\n",
    WHOLE "*1\\r\\n" LOOPBACK,
    WHOLE ":1\\r\\n",
    "*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n:1\\r\\n",
    "*16777216\\r\\n",
    "HTTP/1.1 400 Bad Request\\r\\n\\r\\n",
};

static void an_impossible_map_is_not_believed_and_the_next_node_is_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        struct resp_server *liar = start_server(1, SCRIPTS(NODE(impossible[i], "$5\\r\\nwrong\\r\\n")));
        struct resp_server *honest = start_server(1, SCRIPTS(NODE(own(), "$5\\r\\nright\\r\\n")));
        struct redis_client *client = client_of(resp_server_port(liar), resp_server_port(honest));

        must_answer(client, "GET a", "right");
        must_answer(client, "GET b", "right");
        assert_int_equal(commands_like(liar, "CLUSTER SLOTS"), 1);
        redis_client_close(client);
        resp_server_stop(liar);
        stop_server(honest);
    }
}

/* A map of n ranges of one slot, each at a port of its own from 1 on, and what comes behind them. To be freed. */
static char *map_of_many(unsigned n, const char *rest)
{
    size_t size = n * 64 + strlen(rest) + 64;
    char *map = malloc(size);
    int length = sprintf(map, "send *%u\\r\\n", n + 1);

    for (unsigned i = 0; i < n; i++)
        length += sprintf(map + length, "*3\\r\\n:%u\\r\\n:%u\\r\\n*2\\r\\n" LOOPBACK ":%u\\r\\n", i, i, i + 1);
    snprintf(map + length, size - (size_t)length, "%s", rest);
    return map;
}

/* Whom a cluster knows that asked this node for a map, which is to be refused. */
static void must_know_nobody_else(unsigned port)
{
    struct redis_login login = {.user = "", .password = ""};
    struct redis_cluster *cluster;
    struct redis_url url;
    struct redis_node *node;
    unsigned position = 0;

    assert_int_equal(redis_url_parse(&url, text("redis+cluster://127.0.0.1:%u", port)), 0);
    assert_int_equal(redis_cluster_open(&cluster, &url, &login), 0);
    assert_int_equal(redis_cluster_node(cluster, 6, NULL, redis_deadline_in(CALL_MS), &node), 0);
    assert_int_equal(node->host.port, port);
    assert_null(redis_cluster_next(cluster, &position));
    redis_cluster_close(cluster);
}

static void a_map_that_is_not_believed_leaves_nothing_behind(void **state)
{
    static const char *const ends[] = {"*3\\r\\n:16384\\r\\n:0\\r\\n:1\\r\\n",
                                       "*3\\r\\n:2000\\r\\n:16383\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n"};

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct resp_server *heir = start_server(1, SCRIPTS(ALWAYS("GET", "$4\\r\\nheir\\r\\n")));
        char *many = map_of_many(1100, ends[i]);
        struct resp_server *liar = start_server(
            1, SCRIPTS(SCRIPT("when CLUSTER SLOTS", many, "when GET",
                              text("send -MOVED %u 127.0.0.1:%u\\r\\n", SLOT_A, resp_server_port(heir)), "again")));
        struct redis_client *client = client_of(resp_server_port(liar), 0);

        must_answer(client, "GET a", "heir");
        must_answer(client, "GET a", "heir");
        assert_int_equal(commands_like(liar, "CLUSTER SLOTS"), 1);
        redis_client_close(client);
        must_know_nobody_else(resp_server_port(liar));
        resp_server_stop(liar);
        stop_server(heir);
        free(many);
    }
}

static void a_map_of_as_many_masters_as_redis_allows_is_believed(void **state)
{
    char *many = map_of_many(REDIS_MASTERS - 1, "*3\\r\\n:1000\\r\\n:16383\\r\\n*2\\r\\n" LOOPBACK ":\\p\\r\\n");
    struct resp_server *server =
        start_server(1, SCRIPTS(SCRIPT("when CLUSTER SLOTS", many, "when GET", "send $1\\r\\n5\\r\\n", "again")));
    struct redis_url url;
    struct redis_login login = {.user = "", .password = ""};
    struct redis_cluster *cluster;
    struct redis_node *node;
    unsigned position = 0, n = 0;

    (void)state;
    assert_int_equal(redis_url_parse(&url, text("redis+cluster://127.0.0.1:%u", resp_server_port(server))), 0);
    assert_int_equal(redis_cluster_open(&cluster, &url, &login), 0);
    assert_int_equal(redis_cluster_node(cluster, SLOT_A, NULL, redis_deadline_in(CALL_MS), &node), 0);
    assert_int_equal(node->host.port, resp_server_port(server));
    assert_int_equal(redis_cluster_node(cluster, 6, NULL, redis_deadline_in(CALL_MS), &node), 0);
    assert_int_equal(node->host.port, 7);
    while (redis_cluster_next(cluster, &position))
        n++;
    assert_int_equal(n, REDIS_MASTERS);
    redis_cluster_close(cluster);
    stop_server(server);
    free(many);
}

static void where_nobody_gives_a_map_any_node_is_asked(void **state)
{
    struct resp_server *server =
        start_server(1, SCRIPTS(NODE("-NOPERM this user has no permissions\\r\\n", "$1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(server), 0);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_answer(client, "GET a", "5");
    assert_int_equal(commands_like(server, "CLUSTER SLOTS"), 1);
    redis_client_close(client);
    stop_server(server);
}

static void a_seed_that_is_away_or_hangs_is_passed_over(void **state)
{
    struct resp_server *hanging = start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", "hang")));
    struct resp_server *server = start_server(1, SCRIPTS(NODE(own(), "$1\\r\\n5\\r\\n")));
    unsigned first[] = {dead_port(), resp_server_port(hanging)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct redis_client *client = client_of(first[i], resp_server_port(server));
        must_answer(client, "GET a", "5");
        must_answer(client, "GET b", "5");
        redis_client_close(client);
    }
    stop_server(server);
    stop_server(hanging);
}

static void with_all_seeds_away_calls_fail_clearly_and_soon_at_once(void **state)
{
    struct redis_client *client = client_of(dead_port(), dead_port());

    (void)state;
    for (int i = 0; i < 10; i++)
        must_fail(client, "GET a", COUNTER_EDOWN, "127.0.0.1:");
    must_fail(client, "GET a", COUNTER_EDOWN, "given up for now");
    redis_client_close(client);
}

static void the_map_is_asked_for_at_most_once_a_second_and_then_heals(void **state)
{
    struct resp_server *heir = start_server(1, SCRIPTS(ALWAYS("GET a", "$4\\r\\nheir\\r\\n")));
    const char *old = text("send %s", all_at(dead_port())), *new = text("send %s", all_at(resp_server_port(heir)));
    struct resp_server *seed =
        start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", old, "expect CLUSTER SLOTS", new)));
    struct resp_server *useless = start_server(1, SCRIPTS(ALWAYS("CLUSTER SLOTS", "-ERR no cluster\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(useless), resp_server_port(seed));

    (void)state;
    for (int i = 0; i < 50; i++)
        must_fail(client, "GET a", COUNTER_EDOWN, "127.0.0.1:");
    assert_int_equal(commands_like(seed, "CLUSTER SLOTS"), 1);
    scratch_sleep_ms(REDIS_REFRESH_MS + 20);
    for (int i = 0; i < 3; i++)
        must_answer(client, "GET a", "heir");
    assert_int_equal(commands_like(seed, "CLUSTER SLOTS"), 2);
    assert_int_equal(commands_like(useless, "CLUSTER SLOTS"), 1); /* who answered is asked first */
    redis_client_close(client);
    stop_server(useless);
    stop_server(seed);
    stop_server(heir);
}

/* ---- MOVED ---- */

static void moved_is_followed_and_remembered(void **state)
{
    struct resp_server *there = start_server(1, SCRIPTS(ALWAYS("GET a", "$5\\r\\nthere\\r\\n")));
    struct resp_server *here =
        start_server(1, SCRIPTS(NODE(own(), text("-MOVED %d 127.0.0.1:%u\\r\\n", SLOT_A, resp_server_port(there)))));
    struct redis_client *client = client_of(resp_server_port(here), 0);

    (void)state;
    for (int i = 0; i < 3; i++)
        must_answer(client, "GET a", "there");
    assert_int_equal(commands_like(here, "GET"), 1);
    assert_int_equal(commands_like(there, "GET"), 3);
    redis_client_close(client);
    stop_server(here);
    stop_server(there);
}

static void moved_may_name_the_node_in_every_way(void **state)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "::ffff:127.0.0.1", ""};
    int v6 = socket(AF_INET6, SOCK_STREAM, 0);

    (void)state;
    for (int i = 0; i < 4; i++) {
        if (i == 2 && v6 < 0)
            continue;
        const char *moved = text("send -MOVED %d %s:\\p\\r\\n", SLOT_A, names[i]);
        struct resp_server *server =
            start_server(1, SCRIPTS(SCRIPT("when CLUSTER SLOTS", text("send %s", own()), "expect GET a", moved,
                                           "when GET a", "send $1\\r\\n5\\r\\n", "when GET a", "send $1\\r\\n6\\r\\n"),
                                    ALWAYS("GET a", "$1\\r\\n5\\r\\n")));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_answer(client, "GET a", "5");
        redis_client_close(client);
        stop_server(server);
    }
    if (v6 >= 0)
        close(v6);
}

static void a_moved_that_cannot_be_is_given_as_it_is(void **state)
{
    const char *const rows[] = {
        "MOVED",
        "MOVED 15495",
        "MOVED 15495 ",
        "MOVED 15495 127.0.0.1",
        "MOVED 15495 127.0.0.1:",
        "MOVED 15495 127.0.0.1:0",
        "MOVED 15495 127.0.0.1:70000",
        "MOVED 15495 127.0.0.1:-1",
        "MOVED 15495 127.0.0.1:6379x",
        "MOVED 15495 127.0.0.1:99999999999999999999",
        "MOVED 15495 ?:6379",
        "MOVED 15495 a\\x01b:6379",
        "MOVED 15495 a b:6379",
        "MOVED 99999 127.0.0.1:6379",
        "MOVED 16384 127.0.0.1:6379",
        "MOVED -1 127.0.0.1:6379",
        "MOVED 15494 127.0.0.1:6379",
        "MOVED x 127.0.0.1:6379",
        "MOVED  127.0.0.1:6379",
        text("MOVED 15495 %0300d:6379", 1),
        "ASK 15495 127.0.0.1:0",
        "ASK",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resp_server *server =
            start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET a",
                                           text("send -%s\\r\\n", rows[i]), "expect GET a", "send $1\\r\\n5\\r\\n")));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_refuse(client, "GET a", rows[i][0] == 'M' ? "MOVED" : "ASK");
        must_answer(client, "GET a", "5");
        must_have_connections(server, 1);
        redis_client_close(client);
        stop_server(server);
    }
}

static void moved_in_a_circle_ends_after_five(void **state)
{
    struct resp_server *server = start_server(1, SCRIPTS(NODE(own(), text("-MOVED %d 127.0.0.1:\\p\\r\\n", SLOT_A))));
    struct redis_client *client = client_of(resp_server_port(server), 0);

    (void)state;
    must_refuse(client, "GET a", "MOVED");
    assert_int_equal(commands_like(server, "GET"), 1 + REDIS_REDIRECTS);
    redis_client_close(client);
    stop_server(server);
}

static void moved_to_a_dead_node_fails_and_heals_with_the_map(void **state)
{
    struct resp_server *server = start_server(
        1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET a",
                          text("send -MOVED %d 127.0.0.1:%u\\r\\n", SLOT_A, dead_port()), "expect CLUSTER SLOTS",
                          text("send %s", own()), "expect GET a", "send $1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(server), 0);

    (void)state;
    for (int i = 0; i < 5; i++)
        must_fail(client, "GET a", COUNTER_EDOWN, "127.0.0.1:");
    scratch_sleep_ms(REDIS_REFRESH_MS + 20);
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(server);
}

/* ---- ASK ---- */

static void ask_is_followed_once_and_not_remembered(void **state)
{
    struct resp_server *target =
        start_server(1, SCRIPTS(SCRIPT("expect ASKING", "send +OK\\r\\n", "expect GET a", "send $3\\r\\nnew\\r\\n")));
    struct resp_server *source =
        start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET a",
                                       text("send -ASK %d 127.0.0.1:%u\\r\\n", SLOT_A, resp_server_port(target)),
                                       "expect GET a", "send $3\\r\\nold\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(source), 0);

    (void)state;
    must_answer(client, "GET a", "new");
    must_answer(client, "GET a", "old");
    redis_client_close(client);
    stop_server(source);
    stop_server(target);
}

static void an_ask_that_comes_too_early_leads_back_to_the_source(void **state)
{
    struct resp_server *target = start_server(
        1, SCRIPTS(SCRIPT("expect ASKING", "send +OK\\r\\n", "expect GET a", "send -TRYAGAIN Multiple keys\\r\\n")));
    struct resp_server *source =
        start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET a",
                                       text("send -ASK %d 127.0.0.1:%u\\r\\n", SLOT_A, resp_server_port(target)),
                                       "expect GET a", "send $1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(source), 0);

    (void)state;
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(source);
    stop_server(target);
}

static void of_several_commands_those_that_were_refused_are_sent_again(void **state)
{
    struct resp_server *target =
        start_server(1, SCRIPTS(SCRIPT("expect ASKING", "send +OK\\r\\n", "expect GET {a}2", "send $1\\r\\n2\\r\\n",
                                       "expect ASKING", "send +OK\\r\\n", "expect GET {a}4", "send $1\\r\\n4\\r\\n")));
    const char *ask = text("send -ASK %d 127.0.0.1:%u\\r\\n", SLOT_A, resp_server_port(target));
    struct resp_server *source = start_server(
        1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET {a}1", "send $1\\r\\n1\\r\\n",
                          "expect GET {a}2", ask, "expect GET {a}3", "send $1\\r\\n3\\r\\n", "expect GET {a}4", ask)));
    struct redis_client *client = client_of(resp_server_port(source), 0);
    const char *const lines[] = {"GET {a}1", "GET {a}2", "GET {a}3", "GET {a}4"};
    redisReply *replies[4];

    (void)state;
    assert_int_equal(call_lines(client, 0, CALL_MS, lines, 4, replies), 0);
    for (int i = 0; i < 4; i++) {
        is_answer(replies[i], lines[i], text("%d", i + 1));
        freeReplyObject(replies[i]);
    }
    redis_client_close(client);
    stop_server(source);
    stop_server(target);
}

static void ask_to_a_node_that_is_away_fails_clearly(void **state)
{
    unsigned port = dead_port();
    struct resp_server *source =
        start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect GET a",
                                       text("send -ASK %d 127.0.0.1:%u\\r\\n", SLOT_A, port), "expect GET a",
                                       "send $1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(source), 0);

    (void)state;
    must_fail(client, "GET a", COUNTER_EDOWN, text("127.0.0.1:%u", port));
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(source);
}

/* What was executed before a failure makes the whole call one that was done once or not at all. */
static void a_failure_after_a_part_was_done_says_so(void **state)
{
    struct resp_server *source = start_server(
        1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect INCR {a}1", "send :1\\r\\n",
                          "expect INCR {a}2", text("send -ASK %d 127.0.0.1:%u\\r\\n", SLOT_A, dead_port()))));
    struct redis_client *client = client_of(resp_server_port(source), 0);
    const char *const lines[] = {"INCR {a}1", "INCR {a}2"};
    redisReply *replies[2];

    (void)state;
    assert_int_equal(call_lines(client, 0, CALL_MS, lines, 2, replies), COUNTER_ETIMEOUT);
    redis_client_close(client);
    stop_server(source);
}

/* ---- Bad moments ---- */

static const char *const passing[] = {"TRYAGAIN Multiple keys request during rehashing of slot",
                                      "CLUSTERDOWN The cluster is down",
                                      "CLUSTERDOWN Hash slot not served",
                                      "LOADING Redis is loading the dataset in memory",
                                      "MASTERDOWN Link with MASTER is down",
                                      "READONLY You can't write"};
enum { PASSING = sizeof passing / sizeof *passing };

static void a_bad_moment_is_waited_for(void **state)
{
    (void)state;
    for (int i = 0; i < PASSING; i++) {
        const char *refusal = text("send -%s\\r\\n", passing[i]);
        struct resp_server *server = start_server(
            1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", own()), "expect INCR a", refusal, "expect INCR a",
                              refusal, "expect INCR a", "send :1\\r\\n", "expect INCR a", "send :2\\r\\n")));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_answer(client, "INCR a", "1");
        must_answer(client, "INCR a", "2");
        redis_client_close(client);
        stop_server(server);
    }
}

static void a_bad_moment_that_lasts_is_said_before_the_deadline_and_not_asked_about_busily(void **state)
{
    (void)state;
    for (int i = 0; i < PASSING; i++) {
        struct resp_server *server = start_server(1, SCRIPTS(NODE(own(), text("-%s\\r\\n", passing[i]))));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_refuse(client, "GET a", passing[i]);
        assert_in_range(commands_like(server, "GET"), 3, CALL_MS / 40);
        assert_in_range(commands_like(server, "CLUSTER SLOTS"), 1, 1 + CALL_MS / REDIS_REFRESH_MS);
        redis_client_close(client);
        stop_server(server);
    }
}

static void other_refusals_are_given_at_once(void **state)
{
    static const char *const rows[] = {"NOAUTH Authentication required.",
                                       "NOPERM this user",
                                       "OOM command not allowed",
                                       "NOREPLICAS Not enough",
                                       "MISCONF Redis is",
                                       "BUSY Redis is busy",
                                       "WRONGTYPE Key is not",
                                       "INVALIDOBJ Corrupted",
                                       "CROSSSLOT Keys in request"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resp_server *server = start_server(1, SCRIPTS(NODE(own(), text("-%s\\r\\n", rows[i]))));
        struct redis_client *client = client_of(resp_server_port(server), 0);
        must_refuse(client, "GET a", rows[i]);
        assert_int_equal(commands_like(server, "GET"), 1);
        redis_client_close(client);
        stop_server(server);
    }
}

static void a_hit_lost_on_the_way_is_not_sent_to_another_node(void **state)
{
    struct resp_server *heir = start_server(1, SCRIPTS(NODE(own(), "$4\\r\\nheir\\r\\n")));
    struct resp_server *dying = start_server(1, SCRIPTS(SCRIPT("expect INCR a", "close")));
    struct resp_server *seed =
        start_server(1, SCRIPTS(SCRIPT("expect CLUSTER SLOTS", text("send %s", all_at(resp_server_port(dying))))));
    struct redis_client *client = client_of(resp_server_port(seed), resp_server_port(heir));

    (void)state;
    must_fail(client, "INCR a", COUNTER_ETIMEOUT, "once or not at all");
    assert_int_equal(resp_server_commands(dying), 1);
    assert_int_equal(resp_server_commands(heir), 0);
    redis_client_close(client);
    stop_server(seed);
    stop_server(dying);
    stop_server(heir);
}

static void a_node_that_hangs_uses_up_no_more_than_the_deadline_and_is_left_for_its_heir(void **state)
{
    struct resp_server *hanging = start_server(1, SCRIPTS(SCRIPT("expect GET", "hang")));
    struct resp_server *heir = start_server(
        1, SCRIPTS(SCRIPT("when CLUSTER SLOTS", text("send %s", all_at(resp_server_port(hanging))), "expect CLUSTER",
                          text("send %s", own()), "expect GET a", "send $1\\r\\n5\\r\\n")));
    struct redis_client *client = client_of(resp_server_port(heir), 0);

    (void)state;
    must_fail_with(client, 0, SHORT_MS, "GET a", COUNTER_ETIMEOUT, "");
    must_fail_with(client, 0, SHORT_MS, "GET a", COUNTER_ETIMEOUT, "");
    must_fail(client, "GET a", COUNTER_EDOWN, "given up for now");
    scratch_sleep_ms(REDIS_REFRESH_MS - 2 * SHORT_MS + 50);
    must_answer(client, "GET a", "5");
    redis_client_close(client);
    stop_server(heir);
    stop_server(hanging);
}

/* ---- Each master, and the list of nodes ---- */

static int add_reply(void *arg, const struct redis_host *host, redisReply **replies)
{
    (void)host;
    *(long long *)arg += replies[0]->integer;
    return 0;
}

static void each_master_is_asked_once(void **state)
{
    struct resp_server *high = start_server(1, SCRIPTS(ALWAYS("DBSIZE", ":100\\r\\n")));
    const char *slots =
        text("*3\\r\\n*3\\r\\n:0\\r\\n:99\\r\\n*2\\r\\n$-1\\r\\n:\\p\\r\\n*3\\r\\n:100\\r\\n:199\\r\\n*2\\r\\n" LOOPBACK
             ":%u\\r\\n*3\\r\\n:200\\r\\n:16383\\r\\n*2\\r\\n$-1\\r\\n:\\p\\r\\n",
             resp_server_port(high));
    struct resp_server *low = start_server(
        1, SCRIPTS(SCRIPT("when CLUSTER SLOTS", text("send %s", slots), "when DBSIZE", "send :1\\r\\n", "again")));
    struct redis_client *client = client_of(resp_server_port(low), 0);
    const char *const words[] = {"DBSIZE"};
    const size_t length[] = {6};
    const struct redis_command command = {1, words, length};
    long long sum = 0;

    (void)state;
    assert_int_equal(redis_client_each(client, &command, 1, redis_deadline_in(CALL_MS), add_reply, &sum), 0);
    assert_int_equal(sum, 101);
    redis_client_close(client);
    stop_server(low);
    stop_server(high);
}

static void a_server_is_one_node_and_there_are_not_more_than_so_many(void **state)
{
    static const struct redis_login login = {.user = "", .password = ""};
    struct redis_nodes *nodes = test_calloc(1, sizeof *nodes);
    struct redis_host host = {.name = "127.0.0.1"};

    (void)state;
    nodes->login = &login;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < REDIS_NODES; i++) {
            host.port = (uint16_t)(i + 1);
            assert_int_equal(redis_nodes_number(nodes, &host), i);
        }
    host.port++;
    assert_int_equal(redis_nodes_number(nodes, &host), COUNTER_ENOMEM);
    assert_int_equal(redis_nodes_count(nodes), REDIS_NODES);
    redis_nodes_close(nodes);
    test_free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_goes_to_the_node_that_holds_its_slot),
        cmocka_unit_test(an_endpoint_left_out_is_the_address_that_was_asked),
        cmocka_unit_test(an_impossible_map_is_not_believed_and_the_next_node_is_asked),
        cmocka_unit_test(a_map_that_is_not_believed_leaves_nothing_behind),
        cmocka_unit_test(a_map_of_as_many_masters_as_redis_allows_is_believed),
        cmocka_unit_test(where_nobody_gives_a_map_any_node_is_asked),
        cmocka_unit_test(a_seed_that_is_away_or_hangs_is_passed_over),
        cmocka_unit_test(with_all_seeds_away_calls_fail_clearly_and_soon_at_once),
        cmocka_unit_test(the_map_is_asked_for_at_most_once_a_second_and_then_heals),
        cmocka_unit_test(moved_is_followed_and_remembered),
        cmocka_unit_test(moved_may_name_the_node_in_every_way),
        cmocka_unit_test(a_moved_that_cannot_be_is_given_as_it_is),
        cmocka_unit_test(moved_in_a_circle_ends_after_five),
        cmocka_unit_test(moved_to_a_dead_node_fails_and_heals_with_the_map),
        cmocka_unit_test(ask_is_followed_once_and_not_remembered),
        cmocka_unit_test(an_ask_that_comes_too_early_leads_back_to_the_source),
        cmocka_unit_test(of_several_commands_those_that_were_refused_are_sent_again),
        cmocka_unit_test(ask_to_a_node_that_is_away_fails_clearly),
        cmocka_unit_test(a_failure_after_a_part_was_done_says_so),
        cmocka_unit_test(a_bad_moment_is_waited_for),
        cmocka_unit_test(a_bad_moment_that_lasts_is_said_before_the_deadline_and_not_asked_about_busily),
        cmocka_unit_test(other_refusals_are_given_at_once),
        cmocka_unit_test(a_hit_lost_on_the_way_is_not_sent_to_another_node),
        cmocka_unit_test(a_node_that_hangs_uses_up_no_more_than_the_deadline_and_is_left_for_its_heir),
        cmocka_unit_test(each_master_is_asked_once),
        cmocka_unit_test(a_server_is_one_node_and_there_are_not_more_than_so_many),
    };
    return cmocka_run_group_tests_name("redis cluster", tests, NULL, NULL);
}
