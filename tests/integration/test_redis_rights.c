/*
 * The rights that README.md gives a user of the Redis store: with them everything works, and each one is needed.
 *
 * The recipe is read out of the README, so that what people copy is what is tried. For each right everything is done
 * once more by a user who lacks it, on a server that was emptied and forgot its scripts: something must fail.
 */
#include "../support/real_cluster.h"
#include "../support/real_sentinels.h"
#include "../support/scratch.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOON = 1767243600, DAY = 86400 }; /* 2026-01-01T12:00:00+07:00 */
enum { RECIPE = 2048, WORDS = 80, SMALL_ROOM = 16, CROWD = 400 };

static struct redis_server server;

/* ---- The recipe ------------------------------------------------------------------------------------------------- */

static struct recipe {
    char text[RECIPE]; /* its words, each with NUL */
    size_t used;
    const char *word[WORDS];
    int words, last_line; /* the number of the last line's first word */
} recipe;

static void read_words(const char *line)
{
    static const char space[] = " \n";

    line += strspn(line, space);
    if (*line)
        recipe.last_line = recipe.words;
    while (*line) {
        size_t length = strcspn(line, space);
        assert_true(recipe.words < WORDS && recipe.used + length < RECIPE);
        memcpy(recipe.text + recipe.used, line, length);
        recipe.word[recipe.words++] = recipe.text + recipe.used;
        recipe.used += length + 1;
        line += length + strspn(line + length, space);
    }
}

static int read_recipe(void)
{
    const char *top = getenv("TOP");
    char path[SCRATCH_FILE], line[512];
    bool inside = false;
    FILE *file = fopen(scratch_file(path, top ? top : ".", "README.md"), "re");

    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file)) {
        if (strstr(line, "<!-- acl -->"))
            inside = true;
        else if (strstr(line, "<!-- /acl -->"))
            inside = false;
        else if (inside)
            read_words(line);
    }
    fclose(file);
    return recipe.words > 30 ? 0 : -1;
}

/* Makes the user anew, without one word of the recipe, or (NULL) with all. */
static void grant(const struct redis_server *to, const char *without)
{
    char command[RECIPE] = "";
    size_t used = 0;

    for (int i = 0; i < recipe.words; i++)
        if (without == NULL || strcmp(recipe.word[i], without) != 0)
            used += (size_t)snprintf(command + used, sizeof command - used, "%s%s", i ? " " : "", recipe.word[i]);
    assert_true(redis_server_number(to, "ACL DELUSER web") >= 0);
    if (!redis_server_says(to, "OK", command))
        fail_msg("the server does not take: %s", command);
}

/* ---- All that can be done to a store ---------------------------------------------------------------------------- */

struct work {
    const char *store;
    struct counter *c, *rotating, *memory;
    const struct redis_server *server; /* for what only an administrator may */
};

static struct counter_options options_for(const char *store, const char *site)
{
    return (struct counter_options){.size = sizeof(struct counter_options),
                                    .config = "",
                                    .store = store,
                                    .prefix = "counter",
                                    .site = site,
                                    .timezone = "+07:00",
                                    .exclude = "192.0.2.0/24",
                                    .forget_days = 3,
                                    .deadline = scratch_is_instrumented() ? 30000 : 3000};
}

static int hit(struct counter *c, const char *site, const char *visitor, int64_t at, struct counter_stats *stats)
{
    struct counter_hit one = {.size = sizeof one, .site = site, .visitor = visitor, .at = at};
    return counter_record(c, &one, stats);
}

/* 0 where the condition holds; else a result that no call gives. */
enum { WRONG = 1000 };
static int must(bool condition)
{
    return condition ? 0 : WRONG;
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

/* Days after one another, so that periods leave the windows and visitors are forgotten; then a late hit. */
static int do_hits(const struct work *work)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_hit hits[40];
    int r;

    for (int i = 0; i < 40; i++)
        hits[i] = (struct counter_hit){
            .size = sizeof hits[0], .visitor = i % 2 ? "ann" : "ben", .at = NOON + (int64_t)i * DAY};
    if ((r = counter_record_many(work->c, hits, 40, NULL)) < 0 ||
        (r = hit(work->c, NULL, "late", NOON + 9 * DAY, NULL)) < 0 ||
        (r = hit(work->c, NULL, "joe", NOON + 39 * DAY, &stats)) < 0)
        return r;
    return must(stats.window[COUNTER_ALL_TIME].hits == 42 && stats.window[COUNTER_TODAY].visitors == 2);
}

static int do_excluded(const struct work *work)
{
    struct counter_hit own = {.size = sizeof own, .address = "192.0.2.1", .at = NOON + 39 * DAY};
    int r = counter_record(work->c, &own, NULL);

    return r < 0 ? r : must(r == COUNTER_OWN_ADDRESS);
}

static int do_read(const struct work *work)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    int r = counter_read(work->c, NULL, NOON + 39 * DAY, &stats);

    return r < 0 ? r : must(stats.window[COUNTER_ALL_TIME].hits == 42 && stats.online == 2);
}

static int do_series(const struct work *work)
{
    int days = 0, hours = 0, r;

    if ((r = counter_series(work->c, NULL, NULL, NULL, COUNTER_BY_DAY, ignore_row, &days)) < 0 ||
        (r = counter_series(work->c, NULL, "2026-01-01", "2026-01-02", COUNTER_BY_HOUR, ignore_row, &hours)) < 0)
        return r;
    return must(days == 40 && hours == 48);
}

static int do_breakdown(const struct work *work)
{
    int rows = 0, r = counter_breakdown(work->c, NULL, NULL, NULL, COUNTER_BY_VERDICT, ignore_row, &rows);
    return r < 0 ? r : must(rows > 0);
}

static int do_site(const struct work *work)
{
    struct counter_site site = {.size = sizeof site};
    char time[40];
    int r;

    if ((r = counter_site(work->c, NULL, &site)) < 0 ||
        (r = counter_local_time(work->c, NULL, NOON, time, sizeof time)) < 0)
        return r;
    return must(site.newest == NOON + 39 * DAY && strcmp(time, "2026-01-01T12:00:00+07:00") == 0);
}

static int do_sites(const struct work *work)
{
    int sites = 0, r = counter_sites(work->c, ignore_row, &sites);
    return r < 0 ? r : must(sites == 1);
}

static int do_baseline(const struct work *work)
{
    const struct counter_count old = {5, 6, 7, 0};
    return counter_baseline(work->c, NULL, &old);
}

static int do_accept_clock(const struct work *work)
{
    return counter_accept_clock(work->c, NULL);
}

static int do_erase(const struct work *work)
{
    struct counter_hit joe = {.size = sizeof joe, .visitor = "joe"};
    int r = counter_erase(work->c, &joe);
    return r < 0 ? r : must(r == 1);
}

/* A site that has no room for all its visitors goes on as an estimate. */
static int do_estimate(const struct work *work)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_hit hits[CROWD];
    char name[CROWD][16];
    int r, days = 0;

    if ((r = hit(work->c, "small", "first", NOON, NULL)) < 0)
        return r;
    assert_int_equal(redis_server_number(work->server, "HSET counter:{small}:meta capacity %d", SMALL_ROOM), 0);
    for (int i = 0; i < CROWD; i++) {
        snprintf(name[i], sizeof name[i], "crowd %d", i);
        hits[i] = (struct counter_hit){.size = sizeof hits[0], .site = "small", .visitor = name[i], .at = NOON + i};
    }
    if ((r = counter_record_many(work->c, hits, CROWD, NULL)) < 0 ||
        (r = counter_read(work->c, "small", NOON + CROWD, &stats)) < 0 ||
        (r = counter_series(work->c, "small", NULL, NULL, COUNTER_BY_DAY, ignore_row, &days)) < 0)
        return r;
    int64_t visitors = stats.window[COUNTER_TODAY].visitors;
    long long known = redis_server_number(work->server, "ZCARD counter:{small}:recent");
    return must(known == SMALL_ROOM && days == 1 && visitors > CROWD * 9 / 10 && visitors < CROWD * 11 / 10);
}

static int do_rotation(const struct work *work)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    int r;

    for (int day = 0; day < 3; day++)
        if ((r = hit(work->rotating, NULL, "ann", NOON + day * DAY, NULL)) < 0)
            return r;
    if ((r = counter_read(work->rotating, NULL, NOON + 2 * DAY, &stats)) < 0)
        return r;
    return must(stats.window[COUNTER_TODAY].visitors == 1 && stats.window[COUNTER_ALL_TIME].visitors == 3);
}

static int do_key(const struct work *work)
{
    int r = counter_copy_key(work->memory, work->c);
    return r < 0 ? r : must(counter_copy_key(work->c, work->memory) >= 0);
}

static int64_t hits_ever(struct counter *c, const char *site, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    return counter_read(c, site, at, &stats) < 0 ? -1 : stats.window[COUNTER_ALL_TIME].hits;
}

static int do_copy_out(const struct work *work)
{
    int r;

    if ((r = counter_copy(work->memory, work->c, "portal")) < 0 ||
        (r = counter_copy(work->memory, work->rotating, "rotating")) < 0)
        return r;
    return must(hits_ever(work->memory, "portal", NOON + 39 * DAY) == 42 + 7);
}

static int do_copy_in(const struct work *work)
{
    int r;

    for (int day = 0; day < 5; day++)
        if ((r = hit(work->memory, "fresh", "ann", NOON + day * DAY, NULL)) < 0)
            return r;
    if ((r = counter_copy(work->c, work->memory, "fresh")) < 0 ||
        (r = counter_copy(work->c, work->memory, "fresh")) < 0)
        return r;
    return must(hits_ever(work->c, "fresh", NOON + 4 * DAY) == 5);
}

static int do_check(const struct work *work)
{
    int r = counter_check(work->c, NULL, ignore_fact, NULL);
    return r < 0 ? r : must(r < COUNTER_BROKEN);
}

static int do_remove(const struct work *work)
{
    int sites = 0, r = counter_remove(work->c, "fresh");

    if (r < 0 || (r = counter_sites(work->c, ignore_row, &sites)) < 0)
        return r;
    return must(sites == 3); /* portal, small, rotating */
}

static const struct operation {
    const char *name;
    int (*work)(const struct work *work);
} operations[] = {
    {"hits", do_hits},
    {"excluded hits", do_excluded},
    {"read", do_read},
    {"series", do_series},
    {"breakdown", do_breakdown},
    {"site", do_site},
    {"sites", do_sites},
    {"baseline", do_baseline},
    {"erase", do_erase},
    {"accept_clock", do_accept_clock},
    {"estimate", do_estimate},
    {"key_rotation", do_rotation},
    {"key", do_key},
    {"copy out", do_copy_out},
    {"copy in", do_copy_in},
    {"check", do_check},
    {"remove", do_remove},
};

/* What became of it: the first operation that failed, or NULL, and how. */
struct outcome {
    const char *failed;
    int code;
    char text[512];
};

static struct counter *open_for(const char *store, const char *site, enum counter_rotation rotation)
{
    struct counter_options options = options_for(store, site);
    struct counter *c;

    options.key_rotation = rotation;
    assert_int_equal(counter_open(&c, &options), 0);
    return c;
}

static struct outcome do_everything(const struct redis_server *to, const char *store)
{
    struct work work = {.store = store, .server = to};
    struct outcome outcome = {0};

    work.c = open_for(store, "portal", 0);
    work.rotating = open_for(store, "rotating", COUNTER_ROTATION_DAILY);
    work.memory = open_for("memory:", "portal", 0);
    for (size_t i = 0; i < sizeof operations / sizeof *operations && !outcome.failed; i++) {
        int r = operations[i].work(&work);
        if (r == 0)
            continue;
        outcome.failed = operations[i].name;
        outcome.code = r;
        snprintf(outcome.text, sizeof outcome.text, "%s", r < 0 ? counter_error() : "wrong numbers");
    }
    counter_close(work.memory);
    counter_close(work.rotating);
    counter_close(work.c);
    return outcome;
}

/* ---- One server ------------------------------------------------------------------------------------------------- */

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

static const char *store_of(const char *login)
{
    static char store[160];
    snprintf(store, sizeof store, "redis+unix://%s%s", login, server.socket);
    return store;
}

static void skip_without_server(void)
{
    char path[SCRATCH_FILE];

    if (server.pid == 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    if (redis_server_number(&server, "ACL DELUSER nobody") < 0) {
        print_message("this server has no users\n"); /* before Redis 6 */
        skip();
    }
    if (recipe.words == 0 && read_recipe() < 0)
        fail_msg("no recipe in %s", scratch_file(path, getenv("TOP") ? getenv("TOP") : ".", "README.md"));
}

static struct outcome do_everything_without(const char *word)
{
    assert_true(redis_server_says(&server, "OK", "FLUSHALL"));
    assert_true(redis_server_says(&server, "OK", "SCRIPT FLUSH"));
    grant(&server, word);
    return do_everything(&server, store_of("web:secret@"));
}

static void must_have_worked(const struct outcome *outcome, const char *without)
{
    if (outcome->failed)
        fail_msg("without %s, %s: %d, %s", without ? without : "anything", outcome->failed, outcome->code,
                 outcome->text);
}

static void with_the_rights_of_the_readme_everything_works(void **state)
{
    (void)state;
    skip_without_server();
    struct outcome outcome = do_everything_without(NULL);
    must_have_worked(&outcome, NULL);
}

static bool is_among(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* Those that only a cluster or Sentinels ask for have tests of their own below. ZMSCORE came with Redis 6.2 and saves
 * time, nothing else. */
static const char *const elsewhere[] = {"+cluster|slots", "+asking", "+role", NULL};
static const char *const faster[] = {"+zmscore", NULL};

static void without_any_one_of_them_something_fails_and_says_so(void **state)
{
    int tried = 0;

    (void)state;
    skip_without_server();
    for (int i = 0; i < recipe.last_line; i++) {
        const char *word = recipe.word[i];
        if (word[0] != '+' || is_among(word, elsewhere) || is_among(word, faster))
            continue;
        struct outcome outcome = do_everything_without(word);
        if (outcome.failed == NULL) {
            print_error("%s is not needed\n", word);
            fail();
        }
        if (outcome.code < 0 && outcome.code != COUNTER_EACCESS)
            fail_msg("without %s, %s: %d, %s", word, outcome.failed, outcome.code, outcome.text);
        assert_null(strstr(outcome.text, "secret"));
        tried++;
    }
    assert_true(tried > 25);
}

static void a_server_that_lacks_a_faster_command_does_without(void **state)
{
    (void)state;
    skip_without_server();
    for (int i = 0; faster[i]; i++) {
        struct outcome outcome = do_everything_without(faster[i]);
        must_have_worked(&outcome, faster[i]);
    }
}

struct told {
    const char *part;
    int facts;
};

static int find_fact(void *arg, const struct counter_fact *fact)
{
    struct told *told = arg;
    told->facts += strstr(fact->why, told->part) != NULL;
    assert_null(strstr(fact->value, "secret"));
    return 0;
}

static void without_the_last_line_check_says_that_it_may_not_ask(void **state)
{
    static const struct {
        const char *word, *part;
    } rights[] = {{"+info", "(INFO)"}, {"+config|get", "(CONFIG GET)"}, {"+memory|usage", "(MEMORY USAGE)"}};

    (void)state;
    skip_without_server();
    assert_int_equal(recipe.words - recipe.last_line, 3);
    for (size_t i = 0; i < 3; i++) {
        struct told told = {rights[i].part, 0};
        assert_string_equal(recipe.word[recipe.last_line + (int)i], rights[i].word);
        struct outcome outcome = do_everything_without(rights[i].word);
        must_have_worked(&outcome, rights[i].word);
        struct counter *c = open_for(store_of("web:secret@"), "portal", 0);
        assert_in_range(counter_check(c, NULL, find_fact, &told), COUNTER_FACT, COUNTER_WARNING);
        assert_int_equal(told.facts, 1);
        counter_close(c);
    }
}

/* The recipe's keys are those of the prefix, and no others. */
static void keys_of_others_are_out_of_reach(void **state)
{
    struct counter_options options;
    struct counter *c;

    (void)state;
    skip_without_server();
    grant(&server, NULL);
    options = options_for(store_of("web:secret@"), "portal");
    options.prefix = "other";
    assert_int_equal(counter_open(&c, &options), 0);
    assert_int_equal(hit(c, NULL, "ann", NOON, NULL), COUNTER_EACCESS);
    assert_null(strstr(counter_error(), "secret"));
    counter_close(c);
}

/* ---- Logins that fail ------------------------------------------------------------------------------------------- */

enum { CALLS = 20 };

static long long number_of_info(const char *section, const char *name)
{
    redisReply *reply = redis_server_ask(&server, "INFO %s", section);
    const char *line = reply && reply->str ? strstr(reply->str, name) : NULL;
    long long number = line ? strtoll(line + strlen(name), NULL, 10) : 0;

    freeReplyObject(reply);
    return number;
}

/* Calls of a user who is not let in: all are refused, none says the password, and none tries more than once. */
static void must_be_refused(const char *login, const char *part)
{
    struct counter *c = open_for(store_of(login), "portal", 0);
    struct counter_stats stats = {.size = sizeof stats};
    long long before = number_of_info("stats", "total_connections_received:");

    for (int i = 0; i < CALLS; i++) {
        int r = i % 2 ? counter_read(c, NULL, 0, &stats) : hit(c, NULL, "ann", NOON, NULL);
        if (r != COUNTER_EACCESS || !strstr(counter_error(), i == 0 ? part : "") || strstr(counter_error(), "s3cret"))
            fail_msg("%s: %d, %s", login, r, counter_error());
    }
    long long tried = number_of_info("stats", "total_connections_received:") - before - 1; /* the question's own */
    assert_in_range(tried, 1, CALLS / 2);
    counter_close(c);
}

static void a_login_that_fails_is_said_without_the_password_and_seldom_tried(void **state)
{
    (void)state;
    skip_without_server();
    grant(&server, NULL);
    must_be_refused("web:s3cret@", "WRONGPASS");
    must_be_refused("nobody:s3cret@", "WRONGPASS");
    assert_true(redis_server_says(&server, "OK", "ACL SETUSER default resetpass >other"));
    struct counter *c = open_for(store_of(""), "portal", 0);
    assert_int_equal(hit(c, NULL, "ann", NOON, NULL), COUNTER_EACCESS);
    assert_non_null(strstr(counter_error(), "NOAUTH"));
    counter_close(c);
    redis_server_stop(&server); /* nobody may ask it any more */
    assert_int_equal(redis_server_start(&server, NULL), 0);
}

/* The connection is good, so the breaker stays closed: one try for each call. */
static void a_command_that_is_not_allowed_is_tried_once_a_call(void **state)
{
    (void)state;
    skip_without_server();
    assert_true(redis_server_says(&server, "OK", "FLUSHALL"));
    grant(&server, "+evalsha");
    assert_true(redis_server_says(&server, "OK", "CONFIG RESETSTAT"));
    struct counter *c = open_for(store_of("web:secret@"), "portal", 0);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(hit(c, NULL, "ann", NOON, NULL), COUNTER_EACCESS);
        assert_non_null(strstr(counter_error(), "NOPERM"));
        assert_null(strstr(counter_error(), "secret"));
    }
    counter_close(c);
    assert_in_range(number_of_info("stats", "acl_access_denied_cmd:"), 0, CALLS);
    assert_int_equal(number_of_info("errorstats", "errorstat_NOPERM:count="), CALLS);
    assert_int_equal(redis_server_number(&server, "DBSIZE"), 0);
}

/* ---- Clusters and Sentinels ------------------------------------------------------------------------------------- */

static void skip_unless_started(int started)
{
    if (started > 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    assert_int_equal(started, 0);
}

static void grant_everywhere(const struct real_cluster *cluster, const char *without)
{
    for (int i = 0; i < REAL_CLUSTER_NODES; i++)
        grant(&cluster->node[i], without);
}

static int count_servers(void *arg, const struct counter_fact *fact)
{
    *(int *)arg += strcmp(fact->name, "server") == 0;
    return 0;
}

/* The first failure of a few calls, or 0; and how many servers there are. */
static int use(const char *store, int *servers)
{
    *servers = 0;
    struct counter *c = open_for(store, "portal", 0);
    struct counter_stats stats = {.size = sizeof stats};
    int r;

    for (int i = 0; i < 3; i++)
        if ((r = hit(c, NULL, "ann", NOON, &stats)) < 0)
            break;
    if (r == 0 && (r = counter_check(c, NULL, count_servers, servers)) > 0)
        r = must(r < COUNTER_BROKEN);
    counter_close(c);
    return r;
}

/* Moves all keys of the site's slot away, and tells nobody: the map still leads to the old place, which says ASK. */
static void move_keys(struct real_cluster *cluster)
{
    unsigned slot = real_cluster_slot(cluster, "counter:{portal}:meta");
    int to = (real_cluster_master(cluster, slot) + 1) % REAL_CLUSTER_MASTERS, moved;

    assert_int_equal(real_cluster_migrate_begin(cluster, slot, to), 0);
    do {
        moved = real_cluster_migrate_some(cluster, 100);
        assert_true(moved >= 0);
    } while (moved > 0);
}

/* What is fixed about a site stands in one key, so it can be had from a slot that is half moved. */
static int open_site(const char *store)
{
    struct counter *c = open_for(store, "portal", 0);
    char time[40];
    int r = counter_local_time(c, "portal", NOON, time, sizeof time);

    counter_close(c);
    return r;
}

/* Without the map hits find their way by what servers say, but some servers are never met. */
static void a_cluster_needs_two_more(void **state)
{
    static struct real_cluster cluster;
    char store[256];
    int servers;

    (void)state;
    skip_without_server();
    skip_unless_started(real_cluster_start(&cluster));
    snprintf(store, sizeof store, "redis+cluster://web:secret@%s", cluster.seeds);
    grant_everywhere(&cluster, NULL);
    assert_int_equal(use(store, &servers), 0);
    assert_int_equal(servers, REAL_CLUSTER_MASTERS);
    grant_everywhere(&cluster, "+cluster|slots");
    assert_int_equal(use(store, &servers), 0);
    assert_in_range(servers, 1, REAL_CLUSTER_MASTERS - 1);
    grant_everywhere(&cluster, NULL);
    move_keys(&cluster);
    assert_int_equal(open_site(store), 0);
    grant_everywhere(&cluster, "+asking");
    assert_true(open_site(store) < 0);
    assert_null(strstr(counter_error(), "secret"));
    real_cluster_stop(&cluster);
}

static void sentinels_need_one_more(void **state)
{
    static struct real_sentinels sentinels;
    char store[256];
    int servers;

    (void)state;
    skip_without_server();
    skip_unless_started(real_sentinels_start(&sentinels, 1));
    snprintf(store, sizeof store, "redis+sentinel://web:secret@%s/" REAL_SENTINELS_NAME, sentinels.list);
    grant(&sentinels.server[0], NULL);
    assert_int_equal(use(store, &servers), 0);
    grant(&sentinels.server[0], "+role");
    assert_int_equal(use(store, &servers), COUNTER_EACCESS);
    assert_null(strstr(counter_error(), "secret"));
    real_sentinels_stop(&sentinels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_the_rights_of_the_readme_everything_works),
        cmocka_unit_test(without_any_one_of_them_something_fails_and_says_so),
        cmocka_unit_test(a_server_that_lacks_a_faster_command_does_without),
        cmocka_unit_test(without_the_last_line_check_says_that_it_may_not_ask),
        cmocka_unit_test(keys_of_others_are_out_of_reach),
        cmocka_unit_test(a_login_that_fails_is_said_without_the_password_and_seldom_tried),
        cmocka_unit_test(a_command_that_is_not_allowed_is_tried_once_a_call),
        cmocka_unit_test(a_cluster_needs_two_more),
        cmocka_unit_test(sentinels_need_one_more),
    };
    return cmocka_run_group_tests_name("redis rights", tests, start, stop);
}
