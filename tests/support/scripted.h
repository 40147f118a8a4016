/*
 * scripted.h: calls of a Redis client to scripted servers, each bounded by its deadline. After <cmocka.h>.
 *
 * A call is a line of words, the second being the key: "GET a". What it must lead to is said in one line:
 *
 *     must_answer(client, "GET a", "5");                          a string, status or number
 *     must_refuse(client, "INCR a", "OOM");                       an error reply that begins so
 *     must_fail(client, "INCR a", COUNTER_ETIMEOUT, "closed");    no reply; the text holds that part
 */
#ifndef TESTS_SCRIPTED_H
#define TESTS_SCRIPTED_H

#include "redis_client.h"
#include "redis_node.h"
#include "resp_server.h"
#include "scratch.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCRIPT(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define SCRIPTS(...) ((const char *const *const[]){__VA_ARGS__, NULL})

/* One script that answers every such command alike. */
#define ALWAYS(command, bytes) SCRIPT("expect " command, "send " bytes, "again")

enum { CALL_WORDS = 16, SHORT_MS = 200 };

/* More than a call needs that is answered; SHORT_MS is for those that are not. */
#define CALL_MS (scratch_is_instrumented() ? 4000U : 1000U)

/* Formatted, in a buffer that is used again after 512 such texts. */
__attribute__((format(printf, 1, 2))) static inline const char *text(const char *format, ...)
{
    static char buffers[512][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffers[0], format, arguments);
    va_end(arguments);
    return buffer;
}

/* The scripts are copied: a test that fails leaves its server behind, and its stack to the next. */
static inline struct resp_server *start_server(int tcp, const char *const *const *scripts)
{
    static const char *lists[512][16];
    static const char *const *list[256][32];
    static unsigned next_list, next;
    const char *const **copy = list[next++ % 256];
    unsigned n = 0;

    memset(copy, 0, sizeof list[0]);
    for (; scripts[n]; n++) {
        const char **steps = lists[next_list++ % 512];
        unsigned i = 0;
        assert_true(n < 31);
        for (; scripts[n][i]; i++) {
            assert_true(i < 15);
            steps[i] = scripts[n][i];
        }
        steps[i] = NULL;
        copy[n] = steps;
    }
    struct resp_server *server = resp_server_start(tcp, copy);
    assert_non_null(server);
    return server;
}

static inline void stop_server(struct resp_server *server)
{
    assert_string_equal(resp_server_complaint(server), "");
    resp_server_stop(server);
}

/* Connections are accepted a moment after they were made. */
static inline void must_have_connections(const struct resp_server *server, unsigned n)
{
    for (int i = 0; i < 500 && resp_server_connections(server) < n; i++)
        scratch_sleep_ms(2);
    assert_int_equal(resp_server_connections(server), n);
}

/* How many of its commands begin so. */
static inline unsigned commands_like(const struct resp_server *server, const char *beginning)
{
    unsigned n = 0;
    const char *command;

    for (unsigned i = 0; (command = resp_server_command(server, i)) != NULL; i++)
        n += strncmp(command, beginning, strlen(beginning)) == 0;
    return n;
}

/* A port at which nobody listens. */
static inline unsigned dead_port(void)
{
    struct resp_server *server = start_server(1, SCRIPTS(SCRIPT("close")));
    unsigned port = resp_server_port(server);
    resp_server_stop(server);
    return port;
}

static inline struct redis_client *open_client(const char *url)
{
    struct redis_url parsed;
    struct redis_client *client = NULL;

    if (redis_url_parse(&parsed, url) < 0 || redis_client_open(&client, &parsed, "") < 0)
        fail_msg("%s: %s", url, counter_error());
    redis_client_begin_with(client, 0);
    return client;
}

/* One call of n lines, the first one's key being that of all. Fails the test when it takes longer than its deadline. */
static inline int call_lines(struct redis_client *client, unsigned flags, uint32_t ms, const char *const *lines,
                             unsigned n, redisReply **replies)
{
    static _Thread_local char words[CALL_WORDS][256];
    static _Thread_local const char *argv[CALL_WORDS];
    static _Thread_local size_t length[CALL_WORDS];
    struct redis_command commands[CALL_WORDS];
    struct timespec begin, end;
    unsigned used = 0;

    for (unsigned i = 0; i < n; i++) {
        commands[i] = (struct redis_command){0, argv + used, length + used};
        for (const char *at = lines[i]; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL) {
            snprintf(words[used], sizeof words[used], "%.*s", (int)strcspn(at, " "), at);
            argv[used] = words[used];
            length[used] = strlen(words[used]);
            commands[i].argc++;
            used++;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int r = redis_client_call(client, argv[1], commands, n, flags, redis_deadline_in(ms), replies);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long took = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    if (took > (long)ms + (scratch_is_instrumented() ? 400 : 20))
        fail_msg("\"%s\" took %ld ms of %u", lines[0], took, ms);
    return r;
}

static inline int call_line(struct redis_client *client, unsigned flags, uint32_t ms, const char *line,
                            redisReply **reply)
{
    return call_lines(client, flags, ms, &line, 1, reply);
}

static inline void is_answer(const redisReply *reply, const char *line, const char *answer)
{
    const char *got = reply->type == REDIS_REPLY_INTEGER ? text("%lld", reply->integer)
                      : reply->type == REDIS_REPLY_NIL   ? "(nil)"
                      : reply->str                       ? reply->str
                                                         : "(an array)";
    if (strcmp(got, answer) != 0)
        fail_msg("\"%s\": expected \"%s\", got \"%s\"", line, answer, got);
}

static inline void must_answer_with(struct redis_client *client, unsigned flags, uint32_t ms, const char *line,
                                    const char *answer)
{
    redisReply *reply;

    if (call_line(client, flags, ms, line, &reply) < 0)
        fail_msg("\"%s\": %s", line, counter_error());
    is_answer(reply, line, answer);
    freeReplyObject(reply);
}

static inline void must_answer(struct redis_client *client, const char *line, const char *answer)
{
    must_answer_with(client, 0, CALL_MS, line, answer);
}

static inline void must_refuse(struct redis_client *client, const char *line, const char *beginning)
{
    redisReply *reply;

    if (call_line(client, 0, CALL_MS, line, &reply) < 0)
        fail_msg("\"%s\": %s", line, counter_error());
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    if (strncmp(reply->str, beginning, strlen(beginning)) != 0)
        fail_msg("\"%s\": expected \"%s\", got \"%s\"", line, beginning, reply->str);
    freeReplyObject(reply);
}

static inline void must_fail_with(struct redis_client *client, unsigned flags, uint32_t ms, const char *line, int code,
                                  const char *part)
{
    redisReply *reply;
    int r = call_line(client, flags, ms, line, &reply);

    if (r == 0)
        is_answer(reply, line, "(no answer)");
    if (r != code || !strstr(counter_error(), part))
        fail_msg("\"%s\": expected %d \"%s\", got %d \"%s\"", line, code, part, r, counter_error());
}

static inline void must_fail(struct redis_client *client, const char *line, int code, const char *part)
{
    must_fail_with(client, 0, CALL_MS, line, code, part);
}

#endif
