/* What a store promises through the public calls, in memory and in files alike; and what only files can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/scratch.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MIDNIGHT = 1767200400 }; /* 2026-01-01T00:00:00+07:00, a Thursday */
enum { DAY = 86400 };

/* ---- A store of its own for each test, in memory or in a folder ----------------------------------------------------- */

struct place {
    char folder[SCRATCH_PATH]; /* "": memory */
    char url[SCRATCH_FILE];
};

static int in_memory(void **state)
{
    static struct place place = {.url = "memory:"};
    *state = &place;
    return 0;
}

static int in_a_folder(void **state)
{
    static struct place place;
    scratch_make(place.folder);
    snprintf(place.url, sizeof place.url, "file:%s", place.folder);
    *state = &place;
    return 0;
}

static int cleared(void **state)
{
    struct place *place = *state;
    if (place->folder[0])
        scratch_remove(place->folder);
    return 0;
}

static struct counter_options options_of(const struct place *place)
{
    return (struct counter_options){.size = sizeof(struct counter_options),
                                    .config = "",
                                    .store = place->url,
                                    .site = "portal",
                                    .timezone = "+07:00",
                                    .sync_ms = 100};
}

static struct counter *open_with(const struct counter_options *options)
{
    struct counter *c;
    if (counter_open(&c, options) < 0)
        fail_msg("%s", counter_error());
    return c;
}

static struct counter *open_at(void **state)
{
    struct counter_options options = options_of(*state);
    return open_with(&options);
}

static struct counter_hit hit_of(const char *visitor, int64_t at)
{
    return (struct counter_hit){.size = sizeof(struct counter_hit), .visitor = visitor, .at = at};
}

static int count(struct counter *c, const char *visitor, int64_t at)
{
    struct counter_hit hit = hit_of(visitor, at);
    return counter_record(c, &hit, NULL);
}

static struct counter_stats look(struct counter *c, const char *site, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, site, at, &stats) < 0)
        fail_msg("%s", counter_error());
    return stats;
}

static int64_t hits_ever(struct counter *c, int64_t at)
{
    return look(c, NULL, at).window[COUNTER_ALL_TIME].hits;
}

static void assert_error(int code, int expected, const char *part)
{
    if (code != expected || !strstr(counter_error(), part))
        fail_msg("%d, \"%s\" instead of %d, \"...%s...\"", code, counter_error(), expected, part);
}

/* ---- Counting ------------------------------------------------------------------------------------------------------- */

static void a_hit_answered_with_numbers_is_in_them(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT + 10);
    struct counter_stats stats = {.size = sizeof stats};
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_COUNTED);
    assert_int_equal(stats.at, MIDNIGHT + 10);
    assert_int_equal(stats.online, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 1);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits, 0); /* not in the box */
    hit = hit_of("binh", MIDNIGHT + 3);                        /* a little late: answered as of the newest */
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_COUNTED);
    assert_int_equal(stats.at, MIDNIGHT + 10);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 2);
    counter_close(c);
}

static void visitors_are_told_apart_by_name_or_by_address_and_agent(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = {.size = sizeof hit, .at = MIDNIGHT + 10, .address = "192.0.2.1", .agent = "A"};
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.agent = "B";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "::ffff:192.0.2.1"; /* the same address */
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "2001:db8:0:1::1";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.address = "2001:db8:0:1::2"; /* the same network */
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.visitor = "anna";
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.visitor = "annabel"; /* its first four bytes */
    hit.visitor_length = 4;
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT + 10).window[COUNTER_TODAY].visitors, 4);
    assert_int_equal(hits_ever(c, MIDNIGHT + 10), 7);
    counter_close(c);
}

static void hits_that_break_a_rule_are_refused_with_the_rule_and_count_nothing(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    assert_int_equal(counter_record(c, &hit, NULL), 0);
    hit.site = "../portal";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "../portal");
    hit.site = ".portal";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, ".portal");
    hit.site = "";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "no site");
    hit = (struct counter_hit){.size = sizeof hit};
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "address");
    hit.address = "192.0.2.256";
    assert_error(counter_record(c, &hit, NULL), COUNTER_EINVAL, "192.0.2.256");
    hit = hit_of("an", time(NULL) + 100);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "future");
    hit = hit_of("an", MIDNIGHT - 401 * DAY);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "retention_days");
    hit = hit_of("an", -1);
    assert_error(counter_record(c, &hit, NULL), COUNTER_ETIME, "-1");
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

static void a_site_that_was_never_counted_is_none(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats = {.size = sizeof stats};
    struct counter_site site = {.size = sizeof site};
    assert_int_equal(counter_read(c, NULL, 0, &stats), COUNTER_ENOSITE);
    assert_int_equal(counter_site(c, "other", &site), COUNTER_ENOSITE);
    assert_int_equal(counter_remove(c, "other"), COUNTER_ENOSITE);
    counter_close(c);
}

static void the_past_is_refused_by_name(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats = {.size = sizeof stats};
    count(c, "an", MIDNIGHT + 100);
    assert_int_equal(counter_read(c, NULL, MIDNIGHT + 40, &stats), 0);
    assert_error(counter_read(c, NULL, MIDNIGHT + 39, &stats), COUNTER_ETIME, "2026-01-01T00:01:40+07:00");
    counter_close(c);
}

/* ---- Many at once --------------------------------------------------------------------------------------------------- */

static void many_hits_of_mixed_sites_are_tallied(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit[200];
    struct counter_tally tally = {.size = sizeof tally};
    for (int i = 0; i < 200; i++) {
        hit[i] = hit_of("an", MIDNIGHT + i);
        hit[i].site = i % 3 ? "one" : "two";
    }
    hit[10].site = "a b";                                  /* refused: name */
    hit[20].at = time(NULL) + 1000;                        /* refused: time */
    hit[30] = (struct counter_hit){.size = sizeof hit[0]}; /* refused: nobody */
    assert_int_equal(counter_record_many(c, hit, 200, &tally), 0);
    assert_int_equal(tally.done, 200);
    assert_int_equal(tally.refused, 3);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 197);
    assert_non_null(strstr(counter_error(), "address"));
    assert_int_equal(look(c, "one", MIDNIGHT + 200).window[COUNTER_TODAY].hits, 133 - 2);
    assert_int_equal(look(c, "two", MIDNIGHT + 200).window[COUNTER_TODAY].hits, 67 - 1);
    assert_int_equal(counter_record_many(c, hit, 0, &tally), 0);
    assert_int_equal(tally.done, 0);
    counter_close(c);
}

static void the_error_told_is_the_one_that_stopped_it(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit[3] = {hit_of("an", MIDNIGHT), hit_of("an", time(NULL) + 1000), hit_of("an", MIDNIGHT)};
    struct counter_tally tally = {.size = sizeof tally};
    hit[2].size = 8;
    assert_error(counter_record_many(c, hit, 3, &tally), COUNTER_EINVAL, "hit 2");
    assert_int_equal(tally.done, 2);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.verdict[COUNTER_COUNTED], 1);
    hit[0].size = 0; /* forgotten: nothing can be known of any */
    assert_error(counter_record_many(c, hit, 3, &tally), COUNTER_EINVAL, ".size is 0");
    assert_int_equal(tally.done, 0);
    counter_close(c);
}

static void a_store_that_cannot_count_stops_many_hits_instead_of_refusing_each(void **state)
{
    struct counter_options options = options_of(*state);
    struct counter *c = open_with(&options);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    options.week_start = COUNTER_SUNDAY;
    c = open_with(&options);
    struct counter_hit hit[2] = {hit_of("an", MIDNIGHT), hit_of("an", MIDNIGHT)};
    hit[0].site = "a b";
    struct counter_tally tally = {.size = sizeof tally};
    assert_error(counter_record_many(c, hit, 2, &tally), COUNTER_ECONFLICT, "week_start");
    assert_int_equal(tally.done, 1);
    assert_int_equal(tally.refused, 1);
    counter_close(c);
}

/* A thread keeps what it works out of a day; many sites and many days must not get into each other's. */
static void one_thread_counts_many_sites_and_days_by_turns(void **state)
{
    enum { SITES = 7, HITS = 2900 };
    struct counter *c = open_at(state);
    int64_t hits[SITES] = {0}, newest = 0;
    char name[SITES][24], visitor[24];

    for (int i = 0; i < SITES; i++)
        snprintf(name[i], sizeof name[i], "site-%d", i);
    srand(1);
    for (int i = 0; i < HITS; i++) {
        int site = rand() % SITES;
        int64_t now = MIDNIGHT + (int64_t)i * 900;
        snprintf(visitor, sizeof visitor, "%d", i % 50);
        struct counter_hit hit = hit_of(visitor, now - rand() % 4 * DAY / 2);
        hit.site = name[site];
        assert_int_equal(counter_record(c, &hit, NULL), 0);
        hits[site]++;
        newest = hit.at > newest ? hit.at : newest;
        struct counter_stats stats = look(c, name[site], newest);
        assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, hits[site]);
        assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits + stats.window[COUNTER_LAST_YEAR].hits, hits[site]);
        assert_int_equal(stats.window[COUNTER_THIS_MONTH].hits + stats.window[COUNTER_LAST_MONTH].hits, hits[site]);
    }
    counter_close(c);
}

/* ---- What is not counted -------------------------------------------------------------------------------------------- */

struct rows {
    int n, stop_after;
    char name[8][32];
    int64_t hits[8];
};

static int gather(void *arg, const struct counter_row *row)
{
    struct rows *rows = arg;
    if (rows->n < 8) {
        snprintf(rows->name[rows->n], sizeof rows->name[0], "%s", row->name);
        rows->hits[rows->n] = row->count.hits;
    }
    return ++rows->n == rows->stop_after ? 17 : 0;
}

static void a_breakdown_has_what_was_not_counted_largest_first(void **state)
{
    struct counter_options options = options_of(*state);
    options.exclude = "192.0.2.0/24";
    options.privacy_signal = COUNTER_SIGNAL_HITS_ONLY;
    struct counter *c = open_with(&options);
    struct counter_hit hit = hit_of(NULL, MIDNIGHT);
    struct rows rows = {0};

    hit.address = "192.0.2.9";
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_OWN_ADDRESS);
    hit.flags = COUNTER_HIT_ALL;
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_COUNTED);
    hit.flags = COUNTER_HIT_PRIVACY;
    hit.address = "198.51.100.1";
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_PRIVACY_SIGNAL);
    assert_int_equal(counter_record(c, &hit, NULL), COUNTER_PRIVACY_SIGNAL);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, gather, &rows), 0);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.name[0], "privacy_signal");
    assert_int_equal(rows.hits[0], 2);
    assert_string_equal(rows.name[1], "own_address");
    assert_int_equal(rows.hits[1], 1);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 3); /* hits only: counted, without a visitor */
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    rows = (struct rows){.stop_after = 1};
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, gather, &rows), 17);
    counter_close(c);
}

/* ---- Sites ---------------------------------------------------------------------------------------------------------- */

static void sites_are_listed_by_name(void **state)
{
    struct counter *c = open_at(state);
    static const char *const names[] = {"zebra", "Ant", "bee.2", "bee-1"};
    struct rows rows = {0};
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 0);
    for (int i = 0; i < 4; i++) {
        struct counter_hit hit = hit_of("an", MIDNIGHT);
        hit.site = names[i];
        assert_int_equal(counter_record(c, &hit, NULL), 0);
    }
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 4);
    assert_string_equal(rows.name[0], "Ant");
    assert_string_equal(rows.name[1], "bee-1");
    assert_string_equal(rows.name[2], "bee.2");
    assert_string_equal(rows.name[3], "zebra");
    counter_close(c);
}

static void a_site_tells_what_it_was_created_with(void **state)
{
    struct counter_options options = options_of(*state);
    options.timezone = "Europe/Berlin";
    options.week_start = COUNTER_SUNDAY;
    options.exact_visitors = 40000;
    options.forget_days = 20;
    options.retention_days = 100;
    struct counter *c = open_with(&options);
    struct counter_site site = {.size = sizeof site};
    struct counter_count old = {.visitors = 5, .visits = 6, .hits = 7};
    count(c, "an", MIDNIGHT + 50);
    count(c, "an", MIDNIGHT + 20);
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(counter_site(c, NULL, &site), 0);
    assert_string_equal(site.name, "portal");
    assert_string_equal(site.timezone, "Europe/Berlin");
    assert_int_equal(site.week_start, COUNTER_SUNDAY);
    assert_int_equal(site.exact_visitors, 40000);
    assert_int_equal(site.forget_days, 20);
    assert_int_equal(site.retention_days, 100);
    assert_int_equal(site.since, MIDNIGHT + 20);
    assert_int_equal(site.newest, MIDNIGHT + 50);
    assert_int_equal(site.baseline.visits, 6);
    counter_close(c);
}

static void an_older_caller_gets_the_members_it_knows(void **state)
{
    struct counter *c = open_at(state);
    struct counter_stats stats;
    memset(&stats, 0x55, sizeof stats);
    stats.size = offsetof(struct counter_stats, window) + sizeof(struct counter_count);
    stats.want = 0;
    stats.reserved = 0;
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_read(c, NULL, MIDNIGHT, &stats), 0);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 1);
    assert_int_equal(stats.window[COUNTER_THIS_WEEK].hits, INT64_C(0x5555555555555555));
    counter_close(c);
}

static void a_local_time_is_in_the_sites_zone_or_the_options(void **state)
{
    struct counter *c = open_at(state);
    char text[26];
    assert_int_equal(counter_local_time(c, NULL, MIDNIGHT, text, sizeof text), 0);
    assert_string_equal(text, "2026-01-01T00:00:00+07:00");
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_local_time(c, "portal", MIDNIGHT + 1, text, sizeof text), 0);
    assert_string_equal(text, "2026-01-01T00:00:01+07:00");
    assert_int_equal(counter_local_time(c, NULL, MIDNIGHT, text, 25), COUNTER_EINVAL);
    counter_close(c);
}

static void an_unknown_zone_is_named_before_anything_is_counted(void **state)
{
    struct counter_options options = options_of(*state);
    options.timezone = "Mars/Olympus";
    struct counter *c;
    int r = counter_open(&c, &options);
    if (r == 0)
        r = count(c, "an", MIDNIGHT);
    assert_error(r, COUNTER_EINVAL, "Mars/Olympus");
    counter_close(c);
}

/* ---- Baseline, erase, remove, clock ----------------------------------------------------------------------------------- */

static void the_last_baseline_is_shown_on_top_of_all_time_only(void **state)
{
    struct counter *c = open_at(state);
    struct counter_count old = {.visitors = 1000, .visits = 2000, .hits = 3000, .error = 9};
    count(c, "an", MIDNIGHT);
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 1001);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visits, 2001);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 3001);
    assert_true(stats.window[COUNTER_ALL_TIME].error == 0);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].visitors, 1);
    old = (struct counter_count){.visitors = 10};
    assert_int_equal(counter_baseline(c, NULL, &old), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT).window[COUNTER_ALL_TIME].visitors, 11);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    old.hits = -1;
    assert_error(counter_baseline(c, NULL, &old), COUNTER_EINVAL, "-1 hits");
    counter_close(c);
}

static void an_erased_visitor_stays_counted_and_comes_back_as_a_new_one(void **state)
{
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT);
    count(c, "an", MIDNIGHT);
    count(c, "binh", MIDNIGHT);
    assert_int_equal(counter_erase(c, &hit), 1);
    assert_int_equal(counter_erase(c, &hit), 0);
    assert_int_equal(look(c, NULL, MIDNIGHT).window[COUNTER_TODAY].visitors, 2);
    count(c, "binh", MIDNIGHT + 1);
    count(c, "an", MIDNIGHT + 1);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 3);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 4);
    counter_close(c);
}

static void a_removed_site_begins_anew(void **state)
{
    struct counter *c = open_at(state);
    struct rows rows = {0};
    for (int i = 0; i < 10; i++)
        count(c, "an", MIDNIGHT - i * 10 * DAY);
    assert_int_equal(counter_remove(c, NULL), 0);
    assert_int_equal(counter_remove(c, NULL), COUNTER_ENOSITE);
    assert_int_equal(counter_sites(c, gather, &rows), 0);
    assert_int_equal(rows.n, 0);
    count(c, "an", MIDNIGHT - 5 * DAY);
    struct counter_stats stats = look(c, NULL, MIDNIGHT);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 1);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 1);
    counter_close(c);
}

static void after_a_silence_of_years_a_clock_must_be_accepted(void **state)
{
    struct counter *c = open_at(state);
    int64_t now = time(NULL);
    assert_int_equal(count(c, "an", now - 900 * DAY), 0);
    assert_error(count(c, "an", now), COUNTER_ETIME, "accept");
    assert_int_equal(counter_accept_clock(c, NULL), 0);
    assert_int_equal(count(c, "an", now), 0);
    assert_int_equal(hits_ever(c, now), 2);
    counter_close(c);
}

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

static void options_that_differ_from_a_sites_are_refused_naming_both(void **state)
{
    static const struct {
        struct counter_options with;
        const char *says;
    } other[] = {
        {{.timezone = "+08:00"}, "+07:00, not +08:00"}, {{.week_start = COUNTER_SUNDAY}, "monday, not sunday"},
        {{.exact_visitors = 5000}, "32768, not 5000"},  {{.forget_days = 34}, "35, not 34"},
        {{.retention_days = 500}, "400, not 500"},      {{.key_rotation = COUNTER_ROTATION_DAILY}, "never, not daily"}};
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct counter_options options = options_of(*state);
        options.timezone = other[i].with.timezone;
        options.week_start = other[i].with.week_start;
        options.exact_visitors = other[i].with.exact_visitors;
        options.forget_days = other[i].with.forget_days;
        options.retention_days = other[i].with.retention_days;
        options.key_rotation = other[i].with.key_rotation;
        c = open_with(&options);
        assert_error(count(c, "an", MIDNIGHT), COUNTER_ECONFLICT, other[i].says);
        counter_close(c);
    }
}

static void what_was_counted_is_there_when_it_is_opened_again(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct counter *c = open_at(state);
        assert_int_equal(count(c, "an", MIDNIGHT + i), 0);
        assert_int_equal(counter_sync(c), 0);
        counter_close(c);
    }
    struct counter *c = open_at(state);
    struct counter_stats stats = look(c, NULL, MIDNIGHT + 3);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].visits, 1);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 3);
    counter_close(c);
}

static void forget_file(const struct place *place, const char *name)
{
    char path[SCRATCH_FILE];
    assert_int_equal(unlink(scratch_file(path, place->folder, name)), 0);
}

static void a_site_is_not_counted_with_another_key_when_its_own_was_lost(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    forget_file(*state, "key");
    c = open_at(state);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1); /* it can still be shown */
    assert_error(count(c, "an", MIDNIGHT), COUNTER_ECONFLICT, "another key");
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

/* A failure means that nothing was counted, also where it is the answer that fails. */
static void a_hit_whose_numbers_cannot_be_read_is_not_counted(void **state)
{
    const struct place *place = *state;
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT + 1);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    char path[SCRATCH_FILE];
    size_t size;

    count(c, "an", MIDNIGHT - 10);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    unsigned char *bytes = scratch_load(scratch_file(path, place->folder, "portal.2025-12.days"), &size);
    bytes[20] ^= 1; /* in the header */
    scratch_save(path, bytes, size);
    c = open_at(state);
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_EFORMAT);
    bytes[20] ^= 1;
    scratch_save(path, bytes, size);
    free(bytes);
    assert_int_equal(hits_ever(c, MIDNIGHT + 1), 2);
    assert_int_equal(counter_record(c, &hit, &stats), 0);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 3);
    counter_close(c);
}

static void a_file_that_may_only_be_read_is_shown_and_not_counted(void **state)
{
    const struct place *place = *state;
    char path[SCRATCH_FILE];
    if (geteuid() == 0)
        skip(); /* root may write anything */
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    assert_int_equal(chmod(scratch_file(path, place->folder, "portal.counter"), 0400), 0);
    c = open_at(state);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    assert_int_equal(count(c, "an", MIDNIGHT), COUNTER_EACCESS);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void a_handle_notices_that_another_one_removed_the_site_whatever_it_is_asked(void **state)
{
    struct counter_count old = {.visitors = 5};
    struct counter *a = open_at(state), *b = open_at(state);
    struct counter_site site = {.size = sizeof site};
    struct rows rows = {0};

    for (int i = 0; i < 3; i++)
        count(a, "an", MIDNIGHT);
    assert_int_equal(counter_remove(b, NULL), 0);
    count(b, "an", MIDNIGHT);
    sleep_ms(150);
    assert_int_equal(counter_series(a, NULL, NULL, NULL, COUNTER_BY_DAY, gather, &rows), 0);
    assert_int_equal(rows.hits[0], 1);
    assert_int_equal(counter_remove(b, NULL), 0);
    count(b, "an", MIDNIGHT);
    sleep_ms(150);
    assert_int_equal(counter_baseline(a, NULL, &old), 0);
    assert_int_equal(counter_site(b, NULL, &site), 0);
    assert_int_equal(site.baseline.visitors, 5);
    counter_close(a);
    counter_close(b);
}

/* Retention removes a month's file while others have it mapped: they let go of it, and of nothing else. */
struct crowd {
    struct counter *c;
    _Atomic(bool) end;
};

static void *count_until_the_end(void *arg)
{
    struct crowd *crowd = arg;
    intptr_t counted = 0;
    while (!atomic_load(&crowd->end))
        counted += count(crowd->c, "an", MIDNIGHT + 40 * DAY) == 0;
    return (void *)counted;
}

static void no_hit_is_lost_when_an_old_month_goes(void **state)
{
    struct crowd crowd = {.c = open_at(state)};
    pthread_t thread[3];
    int64_t counted = 21;
    for (int i = 0; i < 20; i++)
        count(crowd.c, "an", MIDNIGHT + 100);
    count(crowd.c, "an", MIDNIGHT + 40 * DAY); /* the month that goes was summed */
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_until_the_end, &crowd), 0);
    sleep_ms(120);
    forget_file(*state, "portal.2026-01.days");
    sleep_ms(300);
    atomic_store(&crowd.end, true);
    for (int i = 0; i < 3; i++) {
        void *by_one;
        pthread_join(thread[i], &by_one);
        counted += (intptr_t)by_one;
    }
    assert_int_equal(hits_ever(crowd.c, MIDNIGHT + 40 * DAY), counted);
    counter_close(crowd.c);
}

#define BOTH(test)                                                                                                     \
    {#test " (memory)", test, in_memory, cleared, NULL},                                                               \
    {                                                                                                                  \
#test " (file)", test, in_a_folder, cleared, NULL                                                              \
    }
#define FILES(test) cmocka_unit_test_setup_teardown(test, in_a_folder, cleared)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_hit_answered_with_numbers_is_in_them),
        BOTH(visitors_are_told_apart_by_name_or_by_address_and_agent),
        BOTH(hits_that_break_a_rule_are_refused_with_the_rule_and_count_nothing),
        BOTH(a_site_that_was_never_counted_is_none),
        BOTH(the_past_is_refused_by_name),
        BOTH(many_hits_of_mixed_sites_are_tallied),
        BOTH(the_error_told_is_the_one_that_stopped_it),
        FILES(a_store_that_cannot_count_stops_many_hits_instead_of_refusing_each),
        BOTH(one_thread_counts_many_sites_and_days_by_turns),
        BOTH(a_breakdown_has_what_was_not_counted_largest_first),
        BOTH(sites_are_listed_by_name),
        BOTH(a_site_tells_what_it_was_created_with),
        BOTH(an_older_caller_gets_the_members_it_knows),
        BOTH(a_local_time_is_in_the_sites_zone_or_the_options),
        BOTH(an_unknown_zone_is_named_before_anything_is_counted),
        BOTH(the_last_baseline_is_shown_on_top_of_all_time_only),
        BOTH(an_erased_visitor_stays_counted_and_comes_back_as_a_new_one),
        BOTH(a_removed_site_begins_anew),
        BOTH(after_a_silence_of_years_a_clock_must_be_accepted),
        FILES(options_that_differ_from_a_sites_are_refused_naming_both),
        FILES(what_was_counted_is_there_when_it_is_opened_again),
        FILES(a_site_is_not_counted_with_another_key_when_its_own_was_lost),
        FILES(a_hit_whose_numbers_cannot_be_read_is_not_counted),
        FILES(a_file_that_may_only_be_read_is_shown_and_not_counted),
        FILES(a_handle_notices_that_another_one_removed_the_site_whatever_it_is_asked),
        FILES(no_hit_is_lost_when_an_old_month_goes),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
