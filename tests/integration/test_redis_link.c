/*
 * test_redis_link.c: one connection keeps its promises whatever answers at the other end.
 *
 * Servers that hang, drip, lie or vanish are scripted (resp_server.h); what a server makes of our bytes is asked of a
 * real one. Time is bounded from above by what is promised, the deadline and 20 ms; a busy machine gets three tries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/redis_server.h"
#include "../support/resp_server.h"
#include "../support/scratch.h"
#include "redis_link.h"

#define SECRET "Xyzzy-0123456789"

enum { SHORT_MS = 100, LONG_MS = 20000, OVERRUN_MS = 20, TRIES = 3, WORDS = 8, QUEUE = 64 };

static const struct redis_login nobody = {.user = "", .password = ""};

/* ---- Means ---- */

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct redis_host host_at(const char *name, uint16_t port)
{
    struct redis_host host = {.port = port};

    assert_true(strlen(name) < sizeof host.name);
    strcpy(host.name, name);
    return host;
}

static struct redis_host host_of(const struct resp_server *server, bool tcp)
{
    return tcp ? host_at("127.0.0.1", resp_server_port(server)) : host_at(resp_server_path(server), 0);
}

static struct resp_server *serve(bool tcp, const char *const *script)
{
    static const char *const *scripts[QUEUE];
    static unsigned next; /* a list outlives its server */

    next = (next + 2) % QUEUE;
    scripts[next] = script;
    scripts[next + 1] = NULL;
    struct resp_server *server = resp_server_start(tcp, &scripts[next]);
    assert_non_null(server);
    return server;
}

static struct redis_link *linked(const struct redis_host *host, const struct redis_login *login)
{
    struct redis_link *link;

    if (redis_link_open(&link, host, NULL, login, redis_deadline_in(LONG_MS)) != 0)
        fail_msg("%s", counter_error());
    return link;
}

struct words {
    char text[256];
    const char *argv[WORDS];
    size_t length[WORDS];
    struct redis_command command;
};

static const struct redis_command *command(struct words *words, const char *text)
{
    char *rest = NULL;
    int n = 0;

    snprintf(words->text, sizeof words->text, "%s", text);
    for (char *word = strtok_r(words->text, " ", &rest); word && n < WORDS; word = strtok_r(NULL, " ", &rest), n++) {
        words->argv[n] = word;
        words->length[n] = strlen(word);
    }
    words->command = (struct redis_command){n, words->argv, words->length};
    return &words->command;
}

static int ask(struct redis_link *link, const char *text, uint32_t ms, redisReply **reply, bool *sent)
{
    struct words words;

    return redis_link_call(link, command(&words, text), 1, redis_deadline_in(ms), reply, sent);
}

/* Asks, and the answer is as text: "+OK", ":1", "$bytes", "-ERR ...", "nil". */
static void assert_answer(struct redis_link *link, const char *text, const char *expected)
{
    redisReply *reply;
    char shown[128] = "nil";
    bool sent = false;

    if (ask(link, text, LONG_MS, &reply, &sent) != 0)
        fail_msg("%s: %s", text, counter_error());
    assert_true(sent);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(shown, sizeof shown, ":%lld", reply->integer);
    else if (reply->type != REDIS_REPLY_NIL)
        snprintf(shown, sizeof shown, "%c%.100s",
                 reply->type == REDIS_REPLY_STATUS   ? '+'
                 : reply->type == REDIS_REPLY_STRING ? '$'
                                                     : '-',
                 reply->str);
    freeReplyObject(reply);
    assert_string_equal(shown, expected);
}

static void assert_broken(struct redis_link *link)
{
    redisReply *reply = (redisReply *)&reply;
    bool sent = true;

    assert_false(redis_link_is_good(link));
    assert_int_equal(ask(link, "PING", LONG_MS, &reply, &sent), COUNTER_EDOWN);
    assert_null(reply);
    assert_false(sent);
}

/* One PING to a server with that script: the code, whether it was sent, and that nothing is given and the link broken
 * where it failed. Returns the ms it took, from before the connection. */
static int64_t outcome(bool tcp, const char *const *script, uint32_t ms, int *code, bool *sent)
{
    struct resp_server *server = serve(tcp, script);
    struct redis_host host = host_of(server, tcp);
    struct redis_link *link;
    redisReply *reply = NULL;
    int64_t start = now_ms();
    redis_deadline deadline = redis_deadline_in(ms);
    struct words words;

    assert_int_equal(redis_link_open(&link, &host, NULL, &nobody, deadline), 0);
    *code = redis_link_call(link, command(&words, "PING"), 1, deadline, &reply, sent);
    int64_t took = now_ms() - start;
    if (*code < 0) {
        char text[512];
        assert_null(reply);
        snprintf(text, sizeof text, "%s", counter_error());
        assert_broken(link);
        assert_non_null(strstr(text, tcp ? "127.0.0.1:" : "/socket"));
    }
    freeReplyObject(reply);
    redis_link_close(link);
    resp_server_stop(server);
    return took;
}

static void assert_fails(bool tcp, const char *const *script, int expected)
{
    bool sent = false;
    int code;

    outcome(tcp, script, LONG_MS, &code, &sent);
    if (code != expected)
        fail_msg("%s: %d and not %d: %s", script[1], code, expected, counter_error());
    assert_true(sent);
}

static int64_t allowed(int ms)
{
    return ms + OVERRUN_MS * (scratch_is_instrumented() ? 25 : 1);
}

/* ---- Deadlines ---- */

static const char *const hang[] = {"hang", NULL};
static const char *const dripping[] = {
    "expect *", "drip 5 $10000\\r\\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hang", NULL};
static const char *const half[] = {"expect *", "send $100\\r\\nhalf", "hang", NULL};
static const char *const late[] = {"expect *", "sleep 150", "send +LATE\\r\\n", "hang", NULL};
static const char *const huge[] = {"expect *", "send $999999999999\\r\\nabc", "hang", NULL};
#define FOUR(bytes)    bytes bytes bytes bytes
#define SIXTEEN(bytes) FOUR(FOUR(bytes))
#define TEN(bytes)     bytes bytes bytes bytes bytes bytes bytes bytes bytes bytes
static const char *const flood[] = {"expect *", "send *1000000\\r\\n*1000000\\r\\n",
                                    "repeat 2000000000 " TEN(TEN("*0\\r\\n*0\\r\\n")), NULL};
static const char *const endless[] = {"expect *", "send +", "repeat 2000000000 " TEN(TEN("aaaaaaaaaaaaaaaaaaaa")),
                                      NULL};
static const char *const *const slow[] = {hang, dripping, half, late, huge, flood, endless};

static void assert_slow_ones_end_in_time(bool tcp)
{
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        int64_t took = INT64_MAX;
        for (int try = 0; try < TRIES && took > allowed(SHORT_MS); try++) {
            bool sent;
            int code;
            took = outcome(tcp, slow[i], SHORT_MS, &code, &sent);
            if (code != COUNTER_EIO || (slow[i] != flood && slow[i] != endless)) {
                assert_int_equal(code, COUNTER_ETIMEOUT);
                assert_true(took >= SHORT_MS - 1);
            }
            assert_true(sent);
        }
        if (took > allowed(SHORT_MS))
            fail_msg("script %zu: %lld ms", i, (long long)took);
    }
}

static void a_call_never_outlives_its_deadline(void **state)
{
    (void)state;
    assert_slow_ones_end_in_time(false);
    assert_slow_ones_end_in_time(true);
}

static void a_deadline_that_has_passed_sends_nothing(void **state)
{
    struct resp_server *server = serve(false, hang);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    redisReply *reply;
    bool sent = true;

    (void)state;
    assert_int_equal(ask(link, "PING", 0, &reply, &sent), COUNTER_ETIMEOUT);
    assert_false(sent);
    assert_broken(link);
    redis_link_close(link);
    assert_int_equal(redis_link_open(&link, &host, NULL, &nobody, redis_deadline_in(0)), COUNTER_ETIMEOUT);
    assert_null(link);
    resp_server_stop(server);
}

static void an_answer_that_was_given_up_is_not_the_next_one_s(void **state)
{
    static const char *const script[] = {"expect GET a", "sleep 100", "send +A\\r\\n", "hang", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    redisReply *reply;
    bool sent;

    (void)state;
    assert_int_equal(ask(link, "GET a", 20, &reply, &sent), COUNTER_ETIMEOUT);
    scratch_sleep_ms(200);
    assert_broken(link);
    redis_link_close(link);
    resp_server_stop(server);
}

/* ---- Connecting ---- */

/* A listening socket that nobody accepts from, and connections that fill its backlog. */
struct full {
    struct sockaddr_storage address;
    socklen_t length;
    int listener, waiting[QUEUE];
};

static void fill(struct full *full, bool tcp, const char *folder)
{
    struct sockaddr_in *loopback = (struct sockaddr_in *)&full->address;
    struct sockaddr_un *path = (struct sockaddr_un *)&full->address;

    memset(full, 0, sizeof *full);
    if (tcp)
        *loopback = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    else
        snprintf(path->sun_path, sizeof path->sun_path, "%s/socket", folder);
    full->address.ss_family = tcp ? AF_INET : AF_UNIX;
    full->length = tcp ? sizeof *loopback : sizeof *path;
    full->listener = socket(full->address.ss_family, SOCK_STREAM, 0);
    assert_int_equal(bind(full->listener, (struct sockaddr *)&full->address, full->length), 0);
    assert_int_equal(getsockname(full->listener, (struct sockaddr *)&full->address, &full->length), 0);
    assert_int_equal(listen(full->listener, 0), 0);
    for (int i = 0; i < QUEUE; i++) {
        full->waiting[i] = socket(full->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(full->waiting[i], (struct sockaddr *)&full->address, full->length);
    }
}

static void empty(struct full *full)
{
    for (int i = 0; i < QUEUE; i++)
        close(full->waiting[i]);
    close(full->listener);
}

static struct redis_host host_of_full(const struct full *full)
{
    const struct sockaddr_in *loopback = (const struct sockaddr_in *)&full->address;
    const struct sockaddr_un *path = (const struct sockaddr_un *)&full->address;

    return full->address.ss_family == AF_INET ? host_at("127.0.0.1", ntohs(loopback->sin_port))
                                              : host_at(path->sun_path, 0);
}

static void a_full_backlog_is_waited_for_until_the_deadline(void **state)
{
    char folder[SCRATCH_PATH];

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct redis_link *link;
        struct full full;
        int64_t took = INT64_MAX;
        scratch_make(folder);
        fill(&full, tcp, folder);
        struct redis_host host = host_of_full(&full);
        for (int try = 0; try < TRIES && took > allowed(SHORT_MS); try++) {
            int64_t start = now_ms();
            assert_int_equal(redis_link_open(&link, &host, NULL, &nobody, redis_deadline_in(SHORT_MS)),
                             COUNTER_ETIMEOUT);
            assert_null(link);
            took = now_ms() - start;
            assert_true(took >= SHORT_MS - 1);
        }
        assert_true(took <= allowed(SHORT_MS));
        empty(&full);
        scratch_remove(folder);
    }
}

static volatile sig_atomic_t ticks;

static void tick(int number)
{
    (void)number;
    ticks++;
}

static void signals_do_not_stretch_a_deadline(void **state)
{
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    struct sigaction handler = {.sa_handler = tick}, old;

    ticks = 0;
    sigaction(SIGALRM, &handler, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_slow_ones_end_in_time(true);
    a_full_backlog_is_waited_for_until_the_deadline(state);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    assert_true(ticks > 50);
}

static void *accept_later(void *arg)
{
    scratch_sleep_ms(50);
    for (int i = 0; i < 2; i++)
        close(accept(*(int *)arg, NULL, NULL));
    return NULL;
}

static void a_backlog_that_empties_lets_the_connection_in(void **state)
{
    char folder[SCRATCH_PATH];
    struct redis_link *link;
    struct full full;
    pthread_t thread;

    (void)state;
    scratch_make(folder);
    fill(&full, false, folder);
    struct redis_host host = host_of_full(&full);
    assert_int_equal(pthread_create(&thread, NULL, accept_later, &full.listener), 0);
    assert_int_equal(redis_link_open(&link, &host, NULL, &nobody, redis_deadline_in(LONG_MS)), 0);
    redis_link_close(link);
    pthread_join(thread, NULL);
    empty(&full);
    scratch_remove(folder);
}

static void assert_no_link(const struct redis_host *host, int code, const char *words)
{
    struct redis_link *link = (struct redis_link *)&link;

    assert_int_equal(redis_link_open(&link, host, NULL, &nobody, redis_deadline_in(LONG_MS)), code);
    assert_null(link);
    if (!strstr(counter_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), words);
}

static void where_nobody_listens_the_error_says_so_at_once(void **state)
{
    struct resp_server *server = serve(true, hang);
    struct redis_host host = host_of(server, true), name = {.port = 1}, path = {.port = 0};

    (void)state;
    resp_server_stop(server);
    assert_no_link(&host, COUNTER_EDOWN, "Connection refused");
    host = host_at("/nowhere/at/all", 0);
    assert_no_link(&host, COUNTER_EDOWN, "/nowhere/at/all: No such file");
    memset(path.name, 'p', 108);
    assert_no_link(&path, COUNTER_EINVAL, "1 to 107 bytes, not 108");
    memset(name.name, 'x', 64); /* no label has so many bytes, and nobody is asked for it */
    assert_no_link(&name, COUNTER_EDOWN, "xxx:1: ");
}

static void a_process_without_descriptors_does_not_blame_the_server(void **state)
{
    struct resp_server *server = serve(true, hang);
    struct redis_host host = host_of(server, true);
    struct rlimit limit, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct redis_link *link;
    int r = redis_link_open(&link, &host, NULL, &nobody, redis_deadline_in(LONG_MS));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(r, COUNTER_ENOMEM);
    assert_non_null(strstr(counter_error(), "Too many open files"));
    resp_server_stop(server);
}

static void localhost_is_either_loopback_address(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof address;
    struct resp_server *server = serve(true, hang);
    struct redis_host host = host_at("LocalHost", resp_server_port(server));
    int listener = socket(AF_INET6, SOCK_STREAM, 0);

    (void)state;
    redis_link_close(linked(&host, &nobody));
    resp_server_stop(server);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0)
        skip();
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    host = host_at("localhost", ntohs(address.sin6_port));
    redis_link_close(linked(&host, &nobody));
    host = host_at("::1", ntohs(address.sin6_port));
    redis_link_close(linked(&host, &nobody));
    close(listener);
}

static void its_socket_does_not_block_and_is_closed_on_exec(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct resp_server *server = serve(tcp, hang);
        struct redis_host host = host_of(server, tcp);
        int next = dup(0);
        close(next);
        struct redis_link *link = linked(&host, &nobody);
        assert_true(fcntl(next, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(next, F_GETFL) & O_NONBLOCK);
        redis_link_close(link);
        assert_int_equal(fcntl(next, F_GETFD), -1);
        resp_server_stop(server);
    }
}

static void tls_in_a_build_without_is_refused(void **state)
{
    struct redis_trust *trust;

    (void)state;
#ifdef COUNTER_TLS
    (void)trust;
    skip();
#else
    assert_int_equal(redis_trust_open(&trust, ""), COUNTER_ENOTBUILT);
    assert_null(trust);
    assert_non_null(strstr(counter_error(), "TLS=yes"));
#endif
}

/* ---- Replies ---- */

static void what_is_no_reply_is_refused(void **state)
{
    static const char *const lies[] = {
        "send HTTP/1.1 400 Bad Request\\r\\nServer: x\\r\\n\\r\\n",
        "send \\xff\\xfe\\0\\x01junk\\r\\n",
        "send *-2\\r\\n",
        "send *4294967296\\r\\n",
        "send *9223372036854775808\\r\\n",
        "send *1048577\\r\\n",
        "send $-2\\r\\nab\\r\\n",
        "send :12x\\r\\n",
        "repeat 10000 " TEN(TEN("*1\\r\\n")),
        "send *1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*0\\r\\n",
        "send +OK\\r\\n+OK\\r\\n",
        /* Types of RESP 3 */
        "send %1\\r\\n+a\\r\\n+b\\r\\n",
        "send ~1\\r\\n+a\\r\\n",
        "send >1\\r\\n+a\\r\\n",
        "send ,1.5\\r\\n",
        "send #t\\r\\n",
        "send (12345678901234567890\\r\\n",
        "send =5\\r\\ntxt:a\\r\\n",
        "send *1\\r\\n#t\\r\\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const char *script[] = {"expect *", lies[i], "hang", NULL};
        assert_fails(i % 2, script, COUNTER_EIO);
    }
}

static void a_reply_may_be_as_deep_and_wide_as_is_promised(void **state)
{
    static const char *const script[] = {"expect *",
                                         "send *1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n*1\\r\\n:7\\r\\n",
                                         "expect *",
                                         "send *1048576\\r\\n",
                                         "repeat 65536 " SIXTEEN("$-1\\r\\n"),
                                         "expect *",
                                         "send *1048576\\r\\n",
                                         "repeat 65536 " SIXTEEN("$-1\\r\\n"),
                                         "hang",
                                         NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    redisReply *reply, *at;
    bool sent;

    (void)state;
    assert_int_equal(ask(link, "PING", LONG_MS, &reply, &sent), 0);
    at = reply;
    for (int depth = 1; depth <= REDIS_DEPTH; depth++, at = at->element[0])
        assert_int_equal(at->type, REDIS_REPLY_ARRAY);
    assert_int_equal(at->integer, 7);
    freeReplyObject(reply);
    for (int i = 0; i < 2; i++) { /* each call has its bounds anew */
        assert_int_equal(ask(link, "PING", LONG_MS, &reply, &sent), 0);
        assert_int_equal(reply->elements, REDIS_ELEMENTS);
        freeReplyObject(reply);
    }
    redis_link_close(link);
    resp_server_stop(server);
}

static void the_replies_of_one_call_are_bounded_together(void **state)
{
    static const char *const script[] = {"expect *", "send *1\\r\\n+a\\r\\n*1048576\\r\\n", "hang", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    struct words words;
    command(&words, "PING");
    const struct redis_command two[] = {words.command, words.command};
    redisReply *replies[2];
    bool sent;

    (void)state;
    assert_int_equal(redis_link_call(link, two, 2, redis_deadline_in(LONG_MS), replies, &sent), COUNTER_EIO);
    assert_null(replies[0]);
    assert_null(replies[1]);
    redis_link_close(link);
    resp_server_stop(server);
}

static void more_bytes_than_a_reply_may_have_are_refused(void **state)
{
    static char step[1100] = "repeat 80000 ";
    const char *script[] = {"expect *", "send $80000000\\r\\n", step, NULL};

    (void)state;
    memset(step + strlen(step), 'x', 1000);
    assert_fails(false, script, COUNTER_EIO);
    assert_non_null(strstr(counter_error(), "not to be used")); /* what was said last, of the broken link */
}

static void a_connection_that_breaks_is_down(void **state)
{
    static const char *const closed[] = {"expect *", "close", NULL};
    static const char *const cut[] = {"expect *", "send $100\\r\\nhalf", "close", NULL};
    static const char *const cut_array[] = {"expect *", "send *3\\r\\n:1\\r\\n", "close", NULL};
    static const char *const reset[] = {"expect *", "reset", NULL};

    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        assert_fails(tcp, closed, COUNTER_EDOWN);
        assert_fails(tcp, cut, COUNTER_EDOWN);
        assert_fails(tcp, cut_array, COUNTER_EDOWN);
        assert_fails(tcp, reset, COUNTER_EDOWN);
    }
}

/* ---- What was sent ---- */

static void what_a_closed_connection_did_not_take_was_not_sent(void **state)
{
    static const char *const script[] = {"close", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    redisReply *reply;
    bool sent = true;

    (void)state;
    while (redis_link_is_good(link))
        scratch_sleep_ms(1);
    assert_int_equal(ask(link, "PING", LONG_MS, &reply, &sent), COUNTER_EDOWN);
    assert_false(sent);
    redis_link_close(link);
    resp_server_stop(server);
}

static void a_command_that_went_out_in_part_was_not_sent(void **state)
{
    enum { LARGE = 4 << 20, PATIENCE_MS = 5 * SHORT_MS };
    struct resp_server *server = serve(false, hang);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    char *large = calloc(1, LARGE);
    const char *argv[] = {"PING", large};
    size_t length[] = {4, LARGE};
    struct redis_command whole = {1, argv, length}, part = {2, argv, length};
    const struct redis_command part_first[] = {part, whole}, whole_first[] = {whole, part};
    redisReply *replies[2];
    bool sent = true;

    (void)state;
    assert_non_null(large);
    assert_int_equal(redis_link_call(link, part_first, 2, redis_deadline_in(PATIENCE_MS), replies, &sent),
                     COUNTER_ETIMEOUT);
    assert_false(sent);
    redis_link_close(link);
    link = linked(&host, &nobody);
    assert_int_equal(redis_link_call(link, whole_first, 2, redis_deadline_in(PATIENCE_MS), replies, &sent),
                     COUNTER_ETIMEOUT);
    assert_true(sent);
    redis_link_close(link);
    free(large);
    resp_server_stop(server);
}

static void a_server_that_refuses_to_talk_is_heard(void **state)
{
    static const char *const script[] = {"send -ERR max number of clients reached\\r\\n", "close", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    redisReply *reply;
    bool sent;

    (void)state;
    while (redis_link_is_good(link))
        scratch_sleep_ms(1);
    scratch_sleep_ms(20);
    assert_int_equal(ask(link, "PING", LONG_MS, &reply, &sent), 0);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    assert_string_equal(reply->str, "ERR max number of clients reached");
    freeReplyObject(reply);
    assert_broken(link);
    redis_link_close(link);
    resp_server_stop(server);
}

static void a_command_that_was_answered_before_its_end_is_the_last(void **state)
{
    enum { LARGE = 4 << 20 };
    static const char *const script[] = {"send -ERR too long\\r\\n", "hang", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);
    char *large = calloc(1, LARGE);
    const char *argv[] = {large};
    const size_t length[] = {LARGE};
    const struct redis_command whole = {1, argv, length};
    redisReply *reply;
    bool sent = true;

    (void)state;
    assert_non_null(large);
    assert_int_equal(redis_link_call(link, &whole, 1, redis_deadline_in(LONG_MS), &reply, &sent), 0);
    assert_string_equal(reply->str, "ERR too long");
    assert_false(sent);
    freeReplyObject(reply);
    assert_broken(link);
    redis_link_close(link);
    free(large);
    resp_server_stop(server);
}

static void a_link_is_good_while_it_is_idle_and_open(void **state)
{
    static const char *const script[] = {"expect *", "send +PONG\\r\\n", "sleep 50", "send +MORE\\r\\n", "hang", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);

    (void)state;
    assert_true(redis_link_is_good(link));
    assert_answer(link, "PING", "+PONG");
    assert_true(redis_link_is_good(link));
    scratch_sleep_ms(200);
    assert_false(redis_link_is_good(link));
    redis_link_close(link);
    redis_link_close(NULL);
    resp_server_stop(server);
}

/* ---- SIGPIPE and fork ---- */

static bool is_sigpipe_pending(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE);
}

/* Writes into a closed connection. */
static void break_pipe(void **state)
{
    what_a_closed_connection_did_not_take_was_not_sent(state);
}

static void sigpipe_is_neither_raised_nor_taken_away(void **state)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe, old;

    break_pipe(state); /* with the default action it would be our end */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    break_pipe(state);
    assert_false(is_sigpipe_pending());
    raise(SIGPIPE);
    break_pipe(state);
    assert_true(is_sigpipe_pending());
    assert_int_equal(sigtimedwait(&pipe, NULL, &at_once), SIGPIPE);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void a_child_closes_its_copy_and_disturbs_nobody(void **state)
{
    static const char *const script[] = {"expect *", "send +PONG\\r\\n", "again", NULL};
    struct resp_server *server = serve(false, script);
    struct redis_host host = host_of(server, false);
    struct redis_link *link = linked(&host, &nobody);

    (void)state;
    assert_answer(link, "PING", "+PONG");
    pid_t child = fork();
    if (child == 0) {
        redisReply *reply;
        bool sent = true, was_good = redis_link_is_good(link);
        int r = ask(link, "PING", LONG_MS, &reply, &sent);
        redis_link_close(link);
        _exit(!was_good && r == COUNTER_EDOWN && !sent ? 0 : 1);
    }
    assert_int_equal(scratch_wait(child), 0);
    assert_true(redis_link_is_good(link));
    assert_answer(link, "PING", "+PONG");
    assert_int_equal(resp_server_commands(server), 2);
    redis_link_close(link);
    resp_server_stop(server);
}

/* ---- Login ---- */

static void a_login_takes_one_round_trip(void **state)
{
    static const struct {
        struct redis_login login;
        const char *commands[3];
    } tries[] = {
        {{.user = "", .password = "p"}, {"AUTH p"}},
        {{.user = "u", .password = "p"}, {"AUTH u p"}},
        {{.user = "u", .password = ""}, {"AUTH u "}},
        {{.user = "", .password = "", .database = 3}, {"SELECT 3"}},
        {{.user = "u", .password = "p", .database = 65535}, {"AUTH u p", "SELECT 65535"}},
        {{.user = "", .password = ""}, {NULL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        unsigned n = 0;
        while (tries[i].commands[n])
            n++;
        const char *script[] = {n > 0 ? "expect *" : "hang", n > 1 ? "expect *" : "sleep 1",
                                n > 1 ? "send +OK\\r\\n+OK\\r\\n" : "send +OK\\r\\n", "hang", NULL};
        struct resp_server *server = serve(false, script);
        struct redis_host host = host_of(server, false);
        struct redis_link *link = linked(&host, &tries[i].login);
        assert_int_equal(resp_server_commands(server), n);
        for (unsigned at = 0; at < n; at++)
            assert_string_equal(resp_server_command(server, at), tries[i].commands[at]);
        redis_link_close(link);
        resp_server_stop(server);
    }
}

static void a_refused_login_says_why_and_not_the_password(void **state)
{
    static const struct {
        const char *auth, *choose;
        int code;
        const char *words;
    } replies[] = {
        {"-WRONGPASS invalid username-password pair or user is disabled.", "-NOAUTH x", COUNTER_EACCESS, "WRONGPASS"},
        {"-ERR invalid password", "-NOAUTH x", COUNTER_EACCESS, "invalid password"},
        {"-ERR Client sent AUTH, but no password is set", "+OK", COUNTER_EACCESS, "no password is set"},
        {"-NOPERM this user has no permissions", "+OK", COUNTER_EACCESS, "NOPERM"},
        {"-LOADING Redis is loading the dataset in memory", "-LOADING x", COUNTER_EDOWN, "LOADING"},
        {"+OK", "-LOADING Redis is loading the dataset in memory", COUNTER_EDOWN, "LOADING"},
        {"+OK", "-NOAUTH Authentication required.", COUNTER_EACCESS, "NOAUTH"},
        {"+OK", "-NOPERM this user has no permissions to run the select command", COUNTER_EACCESS, "NOPERM"},
        {"+OK", "-ERR DB index is out of range", COUNTER_EINVAL, "no database 7: ERR DB index is out of range"},
        {"+OK", "-ERR SELECT is not allowed in cluster mode", COUNTER_EINVAL, "cluster mode"},
        {"-ERR unknown command 'AUTH', with args beginning with: '" SECRET "' ", "+OK", COUNTER_EACCESS,
         "unknown command"},
        {"-ERR unknown command `AUTH`, with args beginning with: `" SECRET "`, ", "+OK", COUNTER_EACCESS,
         "unknown command"},
        {"-ERR you said " SECRET, "+OK", COUNTER_EACCESS, "refuses"},
        {"-ERR you said Xyzzy-01...", "+OK", COUNTER_EACCESS, "refuses"},
        {"+OK", "-" SECRET, COUNTER_EDOWN, "not ready"},
        {":1", "+OK", COUNTER_EIO, "no Redis"},
        {"+OK", "*0", COUNTER_EIO, "no Redis"},
    };
    const struct redis_login login = {.user = "user", .password = SECRET, .database = 7};

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        char auth[160], choose[160];
        const char *script[] = {"expect AUTH", "expect SELECT", auth, choose, "hang", NULL};
        struct redis_link *link;
        snprintf(auth, sizeof auth, "send %s\\r\\n", replies[i].auth);
        snprintf(choose, sizeof choose, "send %s\\r\\n", replies[i].choose);
        struct resp_server *server = serve(false, script);
        struct redis_host host = host_of(server, false);
        assert_int_equal(redis_link_open(&link, &host, NULL, &login, redis_deadline_in(LONG_MS)), replies[i].code);
        assert_null(link);
        if (!strstr(counter_error(), replies[i].words) || strstr(counter_error(), "Xyzzy"))
            fail_msg("%s %s: %s", replies[i].auth, replies[i].choose, counter_error());
        resp_server_stop(server);
    }
}

static void a_login_keeps_the_deadline_too(void **state)
{
    const struct redis_login login = {.user = "", .password = SECRET, .database = 7};

    (void)state;
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        int64_t took = INT64_MAX;
        for (int try = 0; try < TRIES && took > allowed(SHORT_MS); try++) {
            struct resp_server *server = serve(true, slow[i]);
            struct redis_host host = host_of(server, true);
            struct redis_link *link;
            int64_t start = now_ms();
            int r = redis_link_open(&link, &host, NULL, &login, redis_deadline_in(SHORT_MS));
            took = now_ms() - start;
            assert_true(r == COUNTER_ETIMEOUT || r == COUNTER_EIO);
            assert_null(strstr(counter_error(), "Xyzzy"));
            resp_server_stop(server);
        }
        assert_true(took <= allowed(SHORT_MS));
    }
}

/* ---- A real server ---- */

static char user_password[] = "long-p\xc3\xa4ss \r\n@:/word", default_password[] = "default-s3cret-word";

struct real {
    struct redis_server server;
    struct redis_host host;
};

static int start_real(void **state)
{
    static struct real real;
    const char *const options[] = {
        "--requirepass", default_password, "--user", "empty", "on", "nopass", "~*", "+@all", NULL};

    int r = redis_server_start(&real.server, options);
    *state = r == 0 ? &real : NULL;
    if (r == 0)
        strcpy(real.host.name, real.server.socket);
    return r < 0 ? r : 0;
}

static int stop_real(void **state)
{
    struct real *real = *state;

    if (real)
        redis_server_stop(&real->server);
    return 0;
}

static const struct real *real_or_skip(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static const struct redis_login default_user = {.user = "", .password = default_password};

static void assert_login(const struct real *real, const char *user, const char *password, int database, int code,
                         const char *words)
{
    const struct redis_login login = {user, password, database, NULL};
    struct redis_link *link;

    assert_int_equal(redis_link_open(&link, &real->host, NULL, &login, redis_deadline_in(LONG_MS)), code);
    if (code < 0 && !strstr(counter_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), words);
    if (code == 0)
        assert_answer(link, "PING", "+PONG");
    redis_link_close(link);
}

static void a_real_server_lets_in_who_has_the_right_password(void **state)
{
    const struct real *real = real_or_skip(state);
    char rule[64];
    const char *argv[] = {"ACL", "SETUSER", "user", "on", rule, "~*", "+@all"};
    size_t length[] = {3, 7, 4, 2, 0, 2, 5};
    struct redis_command setuser = {7, argv, length};
    struct redis_link *link = linked(&real->host, &default_user);
    redisReply *reply;
    bool sent;

    length[4] = (size_t)snprintf(rule, sizeof rule, ">%s", user_password);
    assert_int_equal(redis_link_call(link, &setuser, 1, redis_deadline_in(LONG_MS), &reply, &sent), 0);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    redis_link_close(link);

    assert_login(real, "", default_password, 0, 0, "");
    assert_login(real, "default", default_password, 0, 0, "");
    assert_login(real, "user", user_password, 0, 0, "");
    assert_login(real, "empty", "", 0, 0, "");
    assert_login(real, "", "wrong", 0, COUNTER_EACCESS, "WRONGPASS");
    assert_login(real, "user", default_password, 0, COUNTER_EACCESS, "WRONGPASS");
    assert_login(real, "", default_password, 7, COUNTER_EINVAL, "no database 7");
    assert_login(real, "", "", 7, COUNTER_EACCESS, "NOAUTH");
}

static void words_may_hold_any_bytes(void **state)
{
    const struct real *real = real_or_skip(state);
    struct redis_link *link = linked(&real->host, &default_user);
    char value[1024];
    const char *set[] = {"SET", "\0\r\n\xff", value}, *get[] = {"GET", "\0\r\n\xff"}, *other[] = {"GET", ""};
    size_t set_length[] = {3, 4, sizeof value}, get_length[] = {3, 4}, other_length[] = {3, 0};
    const struct redis_command commands[] = {{3, set, set_length}, {2, get, get_length}, {2, other, other_length}};
    redisReply *replies[3];
    bool sent;

    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)i;
    assert_int_equal(redis_link_call(link, commands, 3, redis_deadline_in(LONG_MS), replies, &sent), 0);
    assert_int_equal(replies[0]->type, REDIS_REPLY_STATUS);
    assert_int_equal(replies[1]->len, sizeof value);
    assert_memory_equal(replies[1]->str, value, sizeof value);
    assert_int_equal(replies[2]->type, REDIS_REPLY_NIL);
    for (int i = 0; i < 3; i++)
        freeReplyObject(replies[i]);
    redis_link_close(link);
}

static void many_commands_are_answered_in_their_order(void **state)
{
    enum { MANY = 10000 };
    const struct real *real = real_or_skip(state);
    struct redis_link *link = linked(&real->host, &default_user);
    static char text[MANY][12];
    static const char *argv[MANY][2];
    static size_t length[MANY][2];
    static struct redis_command commands[MANY];
    static redisReply *replies[MANY];
    bool sent;

    for (int i = 0; i < MANY; i++) {
        argv[i][0] = "ECHO", argv[i][1] = text[i];
        length[i][0] = 4, length[i][1] = (size_t)snprintf(text[i], sizeof text[i], "%d", i);
        commands[i] = (struct redis_command){2, argv[i], length[i]};
    }
    assert_int_equal(redis_link_call(link, commands, MANY, redis_deadline_in(LONG_MS), replies, &sent), 0);
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(replies[i]->str, text[i]);
        freeReplyObject(replies[i]);
    }
    assert_true(redis_link_is_good(link));
    redis_link_close(link);
}

/* Both sides' buffers are full at once: who only wrote would wait for ever. */
static void large_words_go_both_ways_at_once(void **state)
{
    enum { LARGE = 4 << 20, TIMES = 8 };
    const struct real *real = real_or_skip(state);
    struct redis_link *link = linked(&real->host, &default_user);
    char *large = malloc(LARGE);
    const char *argv[] = {"ECHO", large};
    size_t length[] = {4, LARGE};
    struct redis_command commands[TIMES];
    redisReply *replies[TIMES];
    bool sent;

    memset(large, 'x', LARGE);
    for (int i = 0; i < TIMES; i++)
        commands[i] = (struct redis_command){2, argv, length};
    assert_int_equal(redis_link_call(link, commands, TIMES, redis_deadline_in(LONG_MS), replies, &sent), 0);
    for (int i = 0; i < TIMES; i++) {
        assert_int_equal(replies[i]->len, LARGE);
        freeReplyObject(replies[i]);
    }
    free(large);
    redis_link_close(link);
}

/* The heap as the kernel shows it: freed memory is there too. */
static bool heap_holds(const char *bytes, size_t n)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool found = false;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (strstr(line, "[heap]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            found = found || memmem((const void *)from, to - from, bytes, n); // NOLINT(performance-no-int-to-ptr)
    }
    fclose(maps);
    return found;
}

static void no_copy_of_a_password_stays_in_memory(void **state)
{
    const struct real *real = real_or_skip(state);

    if (scratch_is_instrumented())
        skip();
    char *copy = strdup(default_password);
    assert_true(heap_holds(default_password + 4, sizeof default_password - 5)); /* the search finds what is there */
    explicit_bzero(copy, sizeof default_password);
    free(copy);
    struct redis_link *link = linked(&real->host, &default_user);
    assert_false(heap_holds(default_password + 4, sizeof default_password - 5));
    redis_link_close(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_never_outlives_its_deadline),
        cmocka_unit_test(a_deadline_that_has_passed_sends_nothing),
        cmocka_unit_test(an_answer_that_was_given_up_is_not_the_next_one_s),
        cmocka_unit_test(a_full_backlog_is_waited_for_until_the_deadline),
        cmocka_unit_test(signals_do_not_stretch_a_deadline),
        cmocka_unit_test(a_backlog_that_empties_lets_the_connection_in),
        cmocka_unit_test(where_nobody_listens_the_error_says_so_at_once),
        cmocka_unit_test(a_process_without_descriptors_does_not_blame_the_server),
        cmocka_unit_test(localhost_is_either_loopback_address),
        cmocka_unit_test(its_socket_does_not_block_and_is_closed_on_exec),
        cmocka_unit_test(tls_in_a_build_without_is_refused),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(a_reply_may_be_as_deep_and_wide_as_is_promised),
        cmocka_unit_test(the_replies_of_one_call_are_bounded_together),
        cmocka_unit_test(more_bytes_than_a_reply_may_have_are_refused),
        cmocka_unit_test(a_connection_that_breaks_is_down),
        cmocka_unit_test(what_a_closed_connection_did_not_take_was_not_sent),
        cmocka_unit_test(a_command_that_went_out_in_part_was_not_sent),
        cmocka_unit_test(a_server_that_refuses_to_talk_is_heard),
        cmocka_unit_test(a_command_that_was_answered_before_its_end_is_the_last),
        cmocka_unit_test(a_link_is_good_while_it_is_idle_and_open),
        cmocka_unit_test(sigpipe_is_neither_raised_nor_taken_away),
        cmocka_unit_test(a_child_closes_its_copy_and_disturbs_nobody),
        cmocka_unit_test(a_login_takes_one_round_trip),
        cmocka_unit_test(a_refused_login_says_why_and_not_the_password),
        cmocka_unit_test(a_login_keeps_the_deadline_too),
        cmocka_unit_test(a_real_server_lets_in_who_has_the_right_password),
        cmocka_unit_test(words_may_hold_any_bytes),
        cmocka_unit_test(many_commands_are_answered_in_their_order),
        cmocka_unit_test(large_words_go_both_ways_at_once),
        cmocka_unit_test(no_copy_of_a_password_stays_in_memory),
    };
    return cmocka_run_group_tests_name("redis link", tests, start_real, stop_real);
}
