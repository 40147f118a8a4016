/*
 * bench_redis.c: a hit in the Redis store, beside the five raw commands that everybody would send instead.
 *
 * Both go over a Unix socket to one private redis-server without persistence, in turn, with the same visitors: 10 000
 * known ones, each hit by one of them at random. The raw hit is three PFADD (day, week, all time), ZADD of the last seen
 * time and INCR, pipelined like ours; it answers nothing, where ours knows visits, hours and what is exact. The server's
 * own time comes from INFO. Medians of ROUNDS rounds.
 */
#include "../tests/support/redis_server.h"

#include <counter.h>

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, VISITORS = 10000, HITS = 20000, MOST = 64 };

static struct redis_server server;
static struct counter *handle;
static redisContext *raw;
static int64_t base;
static uint64_t turn;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, counter_error());
    redis_server_stop(&server);
    exit(1);
}

static double server_us(void)
{
    redisReply *reply = redisCommand(raw, "INFO cpu");
    double user = 0, system = 0;
    if (!reply || reply->type != REDIS_REPLY_STRING)
        fail("INFO");
    const char *at = strstr(reply->str, "used_cpu_user:"), *and = strstr(reply->str, "used_cpu_sys:");
    if (at && and) {
        user = strtod(at + 14, NULL);
        system = strtod(and+13, NULL);
    }
    freeReplyObject(reply);
    return (user + system) * 1e6;
}

/* ---- Ours ------------------------------------------------------------------------------------------------------------ */

static void send_ours(int batch)
{
    static char name[MOST][24];
    struct counter_hit hit[MOST];
    struct counter_tally tally = {.size = sizeof tally};

    for (int i = 0; i < batch; i++, turn++) {
        snprintf(name[i], sizeof name[i], "visitor %u", (unsigned)(mix(turn) % VISITORS));
        hit[i] = (struct counter_hit){.size = sizeof hit[i], .visitor = name[i], .at = base + (int64_t)(turn / 1000)};
    }
    if (counter_record_many(handle, hit, (size_t)batch, &tally) < 0 || tally.done != (size_t)batch)
        fail("recording");
}

/* One hit and the four numbers of the box. */
static void show_ours(int batch)
{
    struct counter_stats stats = {.size = sizeof stats};
    char name[24];
    struct counter_hit hit = {.size = sizeof hit, .visitor = name, .at = base + (int64_t)(turn / 1000)};

    (void)batch;
    snprintf(name, sizeof name, "visitor %u", (unsigned)(mix(turn++) % VISITORS));
    if (counter_record(handle, &hit, &stats) < 0)
        fail("recording");
}

/* ---- Raw ------------------------------------------------------------------------------------------------------------- */

static void send_raw(int batch)
{
    redisReply *reply;

    for (int i = 0; i < batch; i++, turn++) {
        uint64_t visitor = mix(turn) % VISITORS, id = mix(visitor);
        redisAppendCommand(raw, "PFADD raw:day %b", &id, sizeof id);
        redisAppendCommand(raw, "PFADD raw:week %b", &id, sizeof id);
        redisAppendCommand(raw, "PFADD raw:all %b", &id, sizeof id);
        redisAppendCommand(raw, "ZADD raw:recent %lld %011llx", (long long)base + (long long)(turn / 1000),
                           (unsigned long long)(id >> 21));
        redisAppendCommand(raw, "INCR raw:hits");
    }
    for (int i = 0; i < 5 * batch; i++) {
        if (redisGetReply(raw, (void **)&reply) != REDIS_OK)
            fail("raw commands");
        freeReplyObject(reply);
    }
}

/* The same, and then what the box needs. */
static void show_raw(int batch)
{
    redisReply *reply;

    (void)batch;
    redisAppendCommand(raw, "ZCOUNT raw:recent %lld +inf", (long long)base + (long long)(turn / 1000) - 299);
    redisAppendCommand(raw, "PFCOUNT raw:day");
    redisAppendCommand(raw, "PFCOUNT raw:week");
    redisAppendCommand(raw, "PFCOUNT raw:all");
    send_raw(1);
    for (int i = 0; i < 4; i++) {
        if (redisGetReply(raw, (void **)&reply) != REDIS_OK)
            fail("raw commands");
        freeReplyObject(reply);
    }
}

/* ---- Side by side ------------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *value)
{
    qsort(value, ROUNDS, sizeof *value, by_value);
    return value[ROUNDS / 2];
}

typedef void send_fn(int batch);

struct figure {
    double wall, server; /* us a hit */
};

static struct figure measure(send_fn *send, int batch)
{
    int rounds = batch == 1 ? HITS / 10 : HITS / batch;
    double busy = server_us(), start = now_us();
    for (int i = 0; i < rounds; i++)
        send(batch);
    double spent = now_us() - start;
    return (struct figure){spent / (rounds * batch), (server_us() - busy) / (rounds * batch)};
}

static void compare(const char *what, send_fn *ours, send_fn *bare, int batch)
{
    double a[ROUNDS], b[ROUNDS], c[ROUNDS], d[ROUNDS], ratio[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        struct figure one = measure(ours, batch), other = measure(bare, batch);
        a[i] = 1e6 / one.wall;
        b[i] = 1e6 / other.wall;
        c[i] = one.server;
        d[i] = other.server;
        ratio[i] = other.wall / one.wall;
    }
    double ours_rate = median(a), bare_rate = median(b), ours_server = median(c), bare_server = median(d);
    printf("%-34s %9.0f hits/s %6.1f us   %9.0f hits/s %6.1f us   %5.2f\n", what, ours_rate, ours_server, bare_rate,
           bare_server, median(ratio));
}

int main(void)
{
    char url[128];
    int r = redis_server_start(&server, NULL);

    if (r != 0) {
        puts(r > 0 ? "redis-server is not installed: nothing measured" : "redis-server did not start");
        return r > 0 ? 0 : 1;
    }
    snprintf(url, sizeof url, "redis+unix://%s", server.socket);
    struct counter_options options = {
        .size = sizeof options, .config = "", .store = url, .site = "portal", .timezone = "+07:00", .deadline = 5000};
    base = (int64_t)time(NULL) - 86400;
    raw = redisConnectUnix(server.socket);
    if (!raw || raw->err || counter_open(&handle, &options) < 0)
        fail("opening");
    for (int i = 0; i < 4 * VISITORS / MOST; i++) {
        send_ours(MOST);
        send_raw(MOST);
    }
    printf("%-34s %16s %9s   %16s %9s   %5s\n", "", "counter", "server", "five commands", "server", "ratio");
    compare("64 hits a round trip", send_ours, send_raw, 64);
    compare("16 hits a round trip", send_ours, send_raw, 16);
    compare("one hit a round trip", send_ours, send_raw, 1);
    compare("one hit and the box", show_ours, show_raw, 1);
    counter_close(handle);
    redisFree(raw);
    redis_server_stop(&server);
    return 0;
}
