/*
 * A Redis whose memory ends: what it may drop without a number changing, what it refuses, and what `check` says of it.
 *
 * Only what no window shows has a time to live, so a server that evicts what has one (volatile-ttl) takes nothing that
 * counts. A server that evicts nothing refuses hits, whole, and is read all the same.
 */
#include "../support/redis_server.h"
#include "../support/scratch.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { FIRST_NOON = 1759294800, HOUR = 3600, DAY = 24 * HOUR }; /* 2025-10-01T12:00:00+07:00, a Wednesday */
enum { SITES = 3, PEOPLE = 200, DAILY = 60, RETENTION = 400 };

static struct redis_server server;

/* ---- Servers and handles ---------------------------------------------------------------------------------------- */

static int start(void **state)
{
    (void)state;
#ifdef COUNTER_NO_REDIS
    return 0;
#else
    return redis_server_start(&server, NULL) < 0 ? -1 : 0;
#endif
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

/* An empty server that has all the memory it wants. */
static void begin(void)
{
    if (server.pid == 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory 0"));
    assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory-policy noeviction"));
    assert_true(redis_server_says(&server, "OK", "FLUSHALL"));
    assert_true(redis_server_says(&server, "OK", "CONFIG RESETSTAT"));
}

/* Nobody is forgotten within these months, so all windows stay exact. */
static struct counter *open_store(const char *store)
{
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = "portal",
                                      .timezone = "+07:00",
                                      .exclude = "192.0.2.0/24",
                                      .forget_days = RETENTION,
                                      .retention_days = RETENTION,
                                      .deadline = scratch_is_instrumented() ? 30000 : 5000};
    struct counter *c;

    if (counter_open(&c, &options) < 0)
        fail_msg("%s", counter_error());
    return c;
}

static struct counter *open_on(const struct redis_server *at)
{
    char store[160];
    snprintf(store, sizeof store, "redis+unix://%s", at->socket);
    return open_store(store);
}

static long long info(const char *name)
{
    redisReply *reply = redis_server_ask(&server, "INFO");
    const char *line = reply && reply->str ? strstr(reply->str, name) : NULL;
    long long number = line ? strtoll(line + strlen(name), NULL, 10) : -1;

    freeReplyObject(reply);
    return number;
}

static struct counter_stats look(struct counter *c, const char *site, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, site, at, &stats) < 0)
        fail_msg("%s", counter_error());
    return stats;
}

static int hit(struct counter *c, const char *site, const char *visitor, int64_t at)
{
    struct counter_hit one = {.size = sizeof one, .site = site, .visitor = visitor, .at = at};
    return counter_record(c, &one, NULL);
}

static const char *name_of_site(int site)
{
    static const char *const name[SITES] = {"portal", "forum", "shop"};
    return name[site];
}

/* A day's visitors of a site, some of whom came before: one minute after the other, from noon on. */
static void count_day(struct counter *c, int site, int day)
{
    struct counter_hit hits[DAILY];
    char name[DAILY][16];

    for (int i = 0; i < DAILY; i++) {
        snprintf(name[i], sizeof name[i], "%d", (day * 17 + i * 7 + site * 13) % PEOPLE);
        hits[i] = (struct counter_hit){.size = sizeof hits[0],
                                       .site = name_of_site(site),
                                       .visitor = name[i],
                                       .at = FIRST_NOON + (int64_t)day * DAY + i * 60};
    }
    if (counter_record_many(c, hits, DAILY, NULL) < 0)
        fail_msg("day %d: %s", day, counter_error());
}

static int64_t evening(int day)
{
    return FIRST_NOON + (int64_t)day * DAY + DAILY * 60;
}

/* ---- Eviction --------------------------------------------------------------------------------------------------- */

static void must_agree(struct counter *c, struct counter *roomy, int site, int day)
{
    struct counter_stats got = look(c, name_of_site(site), evening(day));
    struct counter_stats expected = look(roomy, name_of_site(site), evening(day));

    assert_int_equal(got.online, expected.online);
    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        const struct counter_count *a = &got.window[w], *b = &expected.window[w];
        if (a->visitors != b->visitors || a->visits != b->visits || a->hits != b->hits || a->error != 0)
            fail_msg("%s, day %d, window %d: %lld, %lld, %lld, error %f instead of %lld, %lld, %lld",
                     name_of_site(site), day, w, (long long)a->visitors, (long long)a->visits, (long long)a->hits,
                     a->error, (long long)b->visitors, (long long)b->visits, (long long)b->hits);
    }
}

static void an_evicting_server_drops_only_days_that_no_window_shows(void **state)
{
    enum { ROOMY = 95, MOST = 200, ENOUGH = 100 };
    struct counter *c, *roomy;
    int day;

    (void)state;
    begin();
    c = open_on(&server);
    roomy = open_store("memory:");
    assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory-policy volatile-ttl"));
    for (day = 0; day < MOST && info("evicted_keys:") < ENOUGH; day++) {
        if (day == ROOMY)
            assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory %lld", info("used_memory:")));
        for (int site = 0; site < SITES; site++) {
            count_day(c, site, day);
            count_day(roomy, site, day);
        }
        for (int site = 0; day >= ROOMY && site < SITES; site++)
            must_agree(c, roomy, site, day);
    }
    assert_true(info("evicted_keys:") >= ENOUGH);
    assert_true(look(c, NULL, evening(day - 1)).window[COUNTER_LAST_YEAR].hits == 92 * DAILY);
    counter_close(roomy);
    counter_close(c);
}

/* ---- What has a time to live ------------------------------------------------------------------------------------ */

/* A key's last part: "2026-01-13" of a moment, or of the week, month or year that holds it, at +07:00. */
static void name_period(char name[16], const char *kind, int64_t at)
{
    time_t local = (time_t)at + 7 * HOUR;
    struct tm date;

    gmtime_r(&local, &date);
    if (strcmp(kind, "week") == 0) {
        local -= (date.tm_wday + 6) % 7 * (time_t)DAY;
        gmtime_r(&local, &date);
    }
    const char *format = strcmp(kind, "year") == 0 ? "%Y" : strcmp(kind, "month") == 0 ? "%Y-%m" : "%Y-%m-%d";
    strftime(name, 16, format, &date);
}

/* Is that period one that windows show at that moment: the one that holds it, or the one before? */
static bool is_shown(const char *kind, const char *name, int64_t at)
{
    static const struct {
        const char *kind;
        int days; /* back from any moment of a period into the one before, at that moment of the test */
    } before[] = {{"day", 1}, {"week", 7}, {"month", 31}, {"year", 365}};
    char one[16];

    name_period(one, kind, at);
    if (strcmp(one, name) == 0)
        return true;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(before[i].kind, kind) == 0)
            name_period(one, kind, at - (int64_t)before[i].days * DAY);
    return strcmp(one, name) == 0;
}

/* Must that key of a site expire? */
static bool must_expire(const char *rest, int64_t at)
{
    bool sketch = strncmp(rest, "visitors:", 9) == 0;
    const char *kind = sketch ? rest + 9 : rest, *name = strchr(kind, ':');
    char word[8];

    if (name == NULL) /* meta, recent, nameless, keys, all */
        return false;
    snprintf(word, sizeof word, "%.*s", (int)(name - kind), kind);
    bool leaves = strcmp(word, "day") == 0 || strcmp(word, "week") == 0 || (sketch && strcmp(word, "month") == 0);
    return leaves && !is_shown(word, name + 1, at);
}

/* Judges all keys; how many expire, and how many do not. */
static void judge_keys(int64_t at, int *expire, int *stay)
{
    redisReply *keys = redis_server_ask(&server, "KEYS *");
    const long long kept = (RETENTION + 2LL) * DAY;

    assert_true(keys && keys->type == REDIS_REPLY_ARRAY);
    *expire = *stay = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str, *rest = strstr(key, "}:");
        bool must = rest && must_expire(rest + 2, at);
        long long ttl = redis_server_number(&server, "TTL %s", key);
        if (must ? ttl > kept || ttl < kept - DAY : ttl != -1)
            fail_msg("%s has a time to live of %lld s", key, ttl);
        ++*(must ? expire : stay);
    }
    freeReplyObject(keys);
}

static void only_what_no_window_shows_expires(void **state)
{
    enum { DAYS = 137 }; /* until 2026-02-14, a Saturday */
    const int64_t now = evening(DAYS - 1);
    int expire, stay;

    (void)state;
    begin();
    struct counter *c = open_on(&server);
    for (int day = 0; day < DAYS; day++)
        count_day(c, 0, day);
    judge_keys(now, &expire, &stay);
    /* days but two, weeks but two, with their sketches; sketches of October to December */
    assert_int_equal(expire, 2 * (DAYS - 2) + 2 * (20 - 2) + 3);
    /* key, sites; meta, recent, all; 2 days, 2 weeks, 5 months, 2 years; their sketches but of old months, and all */
    assert_int_equal(stay, 2 + 3 + 2 + 2 + 5 + 2 + 2 + 2 + 2 + 2 + 1);

    /* A late hit into a day that expired or was evicted makes it anew. */
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.1", .at = evening(50)};
    assert_int_equal(
        redis_server_number(&server, "DEL counter:{portal}:day:2025-11-10 counter:{portal}:visitors:day:2025-11-10"),
        2);
    assert_int_equal(hit(c, NULL, "late", evening(40)), COUNTER_COUNTED);
    assert_int_equal(redis_server_number(&server, "DEL counter:{portal}:day:2025-11-20"), 1);
    assert_int_equal(counter_record(c, &own, NULL), COUNTER_OWN_ADDRESS);
    judge_keys(now, &expire, &stay);
    counter_close(c);
}

/* ---- A full server ---------------------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t value, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) /* FNV-1a */
        value = (value ^ (unsigned char)bytes[i]) * 1099511628211U;
    return value;
}

/* A number that changes when any key or value does. */
static uint64_t digest(void)
{
    redisReply *keys = redis_server_ask(&server, "KEYS *");
    uint64_t sum = 0;

    assert_true(keys && keys->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < keys->elements; i++) {
        redisReply *value = redis_server_ask(&server, "DUMP %s", keys->element[i]->str);
        assert_true(value && value->type == REDIS_REPLY_STRING);
        sum += hash(hash(14695981039346656037U, keys->element[i]->str, keys->element[i]->len), value->str, value->len);
        freeReplyObject(value);
    }
    freeReplyObject(keys);
    return sum;
}

static void fill_up(void)
{
    assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory 1"));
}

static void must_be_full(int code)
{
    if (code != COUNTER_EFULL || !strstr(counter_error(), "OOM"))
        fail_msg("%d, %s", code, counter_error());
}

static void must_refuse_all(struct counter *c)
{
    const struct counter_count old = {1, 2, 3, 0};
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.1", .at = evening(9)};
    struct counter_hit two[2] = {{.size = sizeof two[0], .visitor = "0", .at = evening(9)},
                                 {.size = sizeof two[0], .visitor = "0", .at = evening(10)}};
    struct counter_tally tally = {.size = sizeof tally};

    must_be_full(hit(c, NULL, "0", evening(9)));      /* known */
    must_be_full(hit(c, NULL, "new", evening(9)));    /* a stranger */
    must_be_full(hit(c, NULL, "0", evening(4)));      /* late */
    must_be_full(hit(c, NULL, "0", evening(10)));     /* a new day */
    must_be_full(hit(c, NULL, "0", evening(40)));     /* a new month */
    must_be_full(hit(c, NULL, "0", evening(130)));    /* a new year */
    must_be_full(hit(c, "unknown", "0", evening(9))); /* a new site */
    must_be_full(counter_record(c, &own, NULL));
    must_be_full(counter_record_many(c, two, 2, &tally));
    assert_int_equal(tally.done, 0);
    must_be_full(counter_baseline(c, NULL, &old));
}

static int ignore_row(void *arg, const struct counter_row *row)
{
    (void)row;
    ++*(int *)arg;
    return 0;
}

static int ignore_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg, (void)fact;
    return 0;
}

static void must_be_readable(struct counter *c, int64_t hits)
{
    struct counter_site site = {.size = sizeof site};
    int rows = 0;

    assert_int_equal(look(c, NULL, evening(9)).window[COUNTER_ALL_TIME].hits, hits);
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, ignore_row, &rows), 0);
    assert_int_equal(rows, 10);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, ignore_row, &rows), 0);
    assert_int_equal(counter_sites(c, ignore_row, &rows), 0);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_true(counter_check(c, NULL, ignore_fact, NULL) >= 0);
}

static void a_full_server_refuses_hits_whole_and_is_read_all_the_same(void **state)
{
    (void)state;
    begin();
    struct counter *c = open_on(&server), *kept = open_store("memory:");
    for (int day = 0; day < 10; day++)
        count_day(c, 0, day);
    uint64_t before = digest();
    fill_up();
    must_refuse_all(c);
    assert_true(digest() == before);
    must_be_readable(c, 10 * DAILY);
    before = digest(); /* a sketch that was asked keeps its answer */
    assert_true(redis_server_says(&server, "OK", "SCRIPT FLUSH"));
    struct counter *fresh = open_on(&server); /* which knows nothing yet, like the server */
    must_be_readable(fresh, 10 * DAILY);
    must_refuse_all(fresh);
    assert_true(digest() == before);
    assert_int_equal(counter_copy(kept, fresh, "portal"), 0);
    must_be_readable(kept, 10 * DAILY);

    assert_true(redis_server_says(&server, "OK", "CONFIG SET maxmemory 0"));
    assert_int_equal(hit(c, NULL, "new", evening(9)), COUNTER_COUNTED);
    assert_int_equal(hit(fresh, NULL, "0", evening(10)), COUNTER_COUNTED);
    assert_int_equal(look(c, NULL, evening(10)).window[COUNTER_ALL_TIME].hits, 10 * DAILY + 2);
    counter_close(fresh);
    counter_close(kept);
    counter_close(c);
}

/* Where the windows are estimates, too. */
static void a_full_server_shows_estimates(void **state)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};

    (void)state;
    begin();
    struct counter *c = open_on(&server);
    assert_int_equal(hit(c, NULL, "first", FIRST_NOON), COUNTER_COUNTED);
    assert_int_equal(redis_server_number(&server, "HSET counter:{portal}:meta capacity 50"), 0);
    for (int day = 0; day < 10; day++)
        count_day(c, 0, day);
    fill_up();
    if (counter_read(c, NULL, evening(9), &stats) < 0)
        fail_msg("%s", counter_error());
    assert_true(stats.window[COUNTER_TODAY].visitors >= 50 && stats.window[COUNTER_ALL_TIME].error > 0);
    counter_close(c);
}

/* ---- What check says -------------------------------------------------------------------------------------------- */

struct asked {
    const char *name;
    int level; /* of that fact; -1: it was not told */
};

static int find_level(void *arg, const struct counter_fact *fact)
{
    struct asked *asked = arg;
    if (strcmp(fact->name, asked->name) == 0)
        asked->level = (int)fact->level;
    return 0;
}

static int level_of(struct counter *c, const char *name)
{
    struct asked asked = {name, -1};
    int worst = counter_check(c, NULL, find_level, &asked);

    assert_true(worst >= asked.level);
    return asked.level;
}

static void configure(const char *name, const char *value)
{
    redisReply *reply = redis_server_ask(&server, "CONFIG SET %s %s", name, value);
    assert_true(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

static void check_warns_of_a_server_that_drops_or_forgets(void **state)
{
    static const struct {
        const char *policy;
        int level;
    } policies[] = {{"allkeys-lru", COUNTER_WARNING},    {"allkeys-lfu", COUNTER_WARNING},
                    {"allkeys-random", COUNTER_WARNING}, {"volatile-ttl", COUNTER_FACT},
                    {"volatile-lru", COUNTER_FACT},      {"noeviction", COUNTER_FACT}};

    (void)state;
    begin();
    struct counter *c = open_on(&server);
    assert_int_equal(hit(c, NULL, "ann", 0), COUNTER_COUNTED);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        configure("maxmemory-policy", policies[i].policy);
        if (level_of(c, "eviction") != policies[i].level)
            fail_msg("%s: %d", policies[i].policy, level_of(c, "eviction"));
    }
    assert_int_equal(level_of(c, "persistence"), COUNTER_WARNING);
    assert_int_equal(counter_check(c, NULL, ignore_fact, NULL), COUNTER_WARNING);
    configure("appendonly", "yes");
    assert_int_equal(level_of(c, "persistence"), COUNTER_FACT);
    assert_int_equal(counter_check(c, NULL, ignore_fact, NULL), COUNTER_FACT);
    configure("appendonly", "no");
    counter_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_evicting_server_drops_only_days_that_no_window_shows),
        cmocka_unit_test(only_what_no_window_shows_expires),
        cmocka_unit_test(a_full_server_refuses_hits_whole_and_is_read_all_the_same),
        cmocka_unit_test(a_full_server_shows_estimates),
        cmocka_unit_test(check_warns_of_a_server_that_drops_or_forgets),
    };
    return cmocka_run_group_tests_name("redis memory", tests, start, stop);
}
