/* trial.c: see trial.h. */
#include "trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

/* ---- The store -------------------------------------------------------------------------------------------------------- */

static void open_store(struct trial *trial)
{
    struct counter_options options = place_options(trial->place);
    options.timezone = trial->oracle->zone;
    options.week_start = trial->oracle->week_start;
    if (counter_open(&trial->c, &options) < 0)
        fail_msg("%s: %s", trial->what, counter_error());
}

/*
 * The key of a new store is random, and so are estimates. With the key given a run is the same every time and three
 * standard errors can be asked for; memory cannot be given one, and there that would fail one run in some hundreds.
 */
static void give_key(struct trial *trial)
{
    static const char key[] = "counter key 1\n00112233445566778899aabbccddeeff\n";
    char path[SCRATCH_FILE];
    struct counter *from;
    struct place place;

    place_make(&place, PLACE_FILE);
    scratch_save(scratch_file(path, place.folder, "key"), key, sizeof key - 1);
    struct counter_options options = place_options(&place);
    if (counter_open(&from, &options) < 0 || counter_copy_key(trial->c, from) < 0)
        fail_msg("%s: %s", trial->what, counter_error());
    counter_close(from);
    place_clear(&place);
}

void trial_begin(struct trial *trial, const struct oracle *oracle, const struct place *place, uint64_t seed)
{
    bool keyed = place->kind != PLACE_MEMORY;

    *trial = (struct trial){.oracle = oracle, .place = place, .exact_up_to = INT64_MAX, .sigmas = keyed ? 3 : 5};
    snprintf(trial->what, sizeof trial->what, "%s, %s, seed %llu", oracle->zone, place_name(place->kind),
             (unsigned long long)seed);
    open_store(trial);
    if (keyed)
        give_key(trial);
}

void trial_end(struct trial *trial)
{
    counter_close(trial->c);
}

/* Visitors come by address and agent, two behind one address, or by a name of their own. */
static void describe(struct counter_hit *hit, char text[64], const struct oracle_hit *raw)
{
    static const char *const agent[2] = {"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101", "Mozilla/5.0 (iPhone)"};
    unsigned v = raw->visitor, pair = v / 2;

    *hit = (struct counter_hit){.size = sizeof *hit, .at = raw->at};
    if (v % 8 >= 6) {
        hit->visitor_length = (uint32_t)snprintf(text, 64, "login %u", v);
        hit->visitor = text;
        return;
    }
    if (v % 8 >= 4)
        snprintf(text, 64, "2001:db8:%x:%x::%x", pair >> 16, pair & 0xffff, (unsigned)raw->at & 0xffff);
    else
        snprintf(text, 64, "%u.%u.%u.%u", 11 + (pair >> 24), pair >> 16 & 255, pair >> 8 & 255, pair & 255);
    hit->address = text;
    hit->agent = agent[v % 2];
}

void trial_feed(struct trial *trial, size_t until)
{
    enum { BATCH = 256 };
    static struct counter_hit hit[BATCH];
    static char text[BATCH][64];

    while (trial->fed < until) {
        struct counter_tally tally = {.size = sizeof tally};
        size_t n = until - trial->fed < BATCH ? until - trial->fed : BATCH;
        for (size_t i = 0; i < n; i++)
            describe(&hit[i], text[i], &trial->oracle->hit[trial->oracle->delivery[trial->fed + i]]);
        if (counter_record_many(trial->c, hit, n, &tally) < 0 || tally.refused > 0)
            fail_msg("%s: %s", trial->what, counter_error());
        assert_int_equal(tally.verdict[COUNTER_COUNTED], n);
        trial->fed += n;
    }
}

int64_t trial_newest(const struct trial *trial)
{
    return trial->oracle->newest[trial->fed - 1];
}

/* ---- Judging what is shown ------------------------------------------------------------------------------------------ */

static const char *const window_name[COUNTER_WINDOWS] = {
    "today", "this week", "all time", "yesterday", "last week", "this month", "last month", "this year", "last year"};

/* The period behind a window, so that today and tomorrow's yesterday are the same one. */
static void period_of(const struct oracle_date *now, int window, int *kind, int64_t *period)
{
    const struct {
        int kind;
        int64_t period;
    } of[COUNTER_WINDOWS] = {[COUNTER_TODAY] = {0, now->day},
                             [COUNTER_YESTERDAY] = {0, now->day - 1},
                             [COUNTER_THIS_WEEK] = {1, now->week},
                             [COUNTER_LAST_WEEK] = {1, now->week - 7},
                             [COUNTER_THIS_MONTH] = {2, now->month},
                             [COUNTER_LAST_MONTH] = {2, now->month - 1},
                             [COUNTER_THIS_YEAR] = {3, now->year},
                             [COUNTER_LAST_YEAR] = {3, now->year - 1},
                             [COUNTER_ALL_TIME] = {4, 1}};
    *kind = of[window].kind;
    *period = of[window].period;
}

static void judge_growth(struct trial *trial, const struct oracle_date *now, int window,
                         const struct counter_count *count)
{
    int64_t period;
    int kind;

    period_of(now, window, &kind, &period);
    int64_t *known = &trial->shown[kind][period % TRIAL_SLOTS].period;
    struct counter_count *shown = &trial->shown[kind][period % TRIAL_SLOTS].count;
    if (*known == period &&
        (count->visitors < shown->visitors || count->visits < shown->visits || count->hits < shown->hits))
        fail_msg("%s, hit %zu: %s went down from %lld, %lld, %lld to %lld, %lld, %lld", trial->what, trial->fed,
                 window_name[window], (long long)shown->visitors, (long long)shown->visits, (long long)shown->hits,
                 (long long)count->visitors, (long long)count->visits, (long long)count->hits);
    *known = period;
    *shown = *count;
}

/*
 * Hits are exact always, visits in time order, visitors where the error is 0. `late` is the most that visits may be off
 * by; a late hit does that only where a gap of about 30 minutes or midnight is near, which here is one in fifty.
 */
static bool is_right(const struct trial *trial, const struct counter_count *count, const struct counter_count *truth,
                     int64_t late)
{
    double off = fabs((double)(count->visitors - truth->visitors));
    int64_t slack = late < 8 ? late : late / 50 + 8;
    return count->hits == truth->hits && llabs(count->visits - truth->visits) <= slack &&
           off <= trial->sigmas * count->error * (double)count->visitors;
}

/* Days, weeks and months are exact at ordinary sizes, and so is everything until the first visitors are forgotten. */
static bool must_be_exact(const struct trial *trial, int window, const struct counter_count *truth)
{
    bool long_one = window == COUNTER_ALL_TIME || window == COUNTER_THIS_YEAR || window == COUNTER_LAST_YEAR;
    int64_t forgetting = trial->oracle->hit[0].at + (int64_t)TRIAL_FORGET_DAYS * DAY;
    if (truth->visitors > trial->exact_up_to)
        return false;
    return !long_one || (!trial->shuffled && trial_newest(trial) < forgetting);
}

static void judge_window(struct trial *trial, int window, const struct counter_count *count,
                         const struct counter_count *truth, int64_t at, int64_t late)
{
    if (is_right(trial, count, truth, late) && (count->error == 0 || !must_be_exact(trial, window, truth)))
        return;
    fail_msg("%s, hit %zu, at %lld: %s shows %lld, %lld, %lld, error %f; it is %lld, %lld, %lld", trial->what,
             trial->fed, (long long)at, window_name[window], (long long)count->visitors, (long long)count->visits,
             (long long)count->hits, count->error, (long long)truth->visitors, (long long)truth->visits,
             (long long)truth->hits);
}

static void judge(struct trial *trial, const struct counter_stats *stats, uint32_t want,
                  const struct oracle_counts *truth, int64_t at)
{
    struct oracle_date now = oracle_date(trial->oracle, at);

    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        if (!(want & 1u << w))
            continue;
        judge_window(trial, w, &stats->window[w], &truth->window[w], at, truth->late);
        judge_growth(trial, &now, w, &stats->window[w]);
    }
    if (stats->online != truth->online || stats->online_floor || stats->late != truth->late || stats->at != at)
        fail_msg("%s, hit %zu, at %lld: online %lld, late %lld at %lld; it is %lld, %lld", trial->what, trial->fed,
                 (long long)at, (long long)stats->online, (long long)stats->late, (long long)stats->at,
                 (long long)truth->online, (long long)truth->late);
}

struct counter_stats trial_look(const struct trial *trial, int64_t at, uint32_t want)
{
    struct counter_stats stats = {.size = sizeof stats, .want = want};
    if (counter_read(trial->c, NULL, at, &stats) < 0)
        fail_msg("%s: %s", trial->what, counter_error());
    return stats;
}

struct counter_stats trial_judge(struct trial *trial, int64_t at)
{
    struct oracle_counts truth;
    struct counter_stats stats = trial_look(trial, at, 0); /* from figures that an earlier look kept, if they hold */

    oracle_count(trial->oracle, trial->fed, at, &truth);
    judge(trial, &stats, COUNTER_WANT_BOX, &truth, at);
    stats = trial_look(trial, at, COUNTER_WANT_ALL);
    judge(trial, &stats, COUNTER_WANT_ALL, &truth, at);
    return stats;
}

void trial_record(struct trial *trial)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct oracle_counts truth;
    struct counter_hit hit;
    char text[64];

    describe(&hit, text, &trial->oracle->hit[trial->oracle->delivery[trial->fed]]);
    if (counter_record(trial->c, &hit, &stats) != COUNTER_COUNTED)
        fail_msg("%s: %s", trial->what, counter_error());
    trial->fed++;
    oracle_count(trial->oracle, trial->fed, trial_newest(trial), &truth);
    judge(trial, &stats, COUNTER_WANT_ALL, &truth, trial_newest(trial));
}

void trial_reopen(struct trial *trial)
{
    int64_t at = trial_newest(trial);
    struct counter_stats before = trial_look(trial, at, COUNTER_WANT_ALL);

    counter_close(trial->c);
    open_store(trial);
    struct counter_stats after = trial_look(trial, at, COUNTER_WANT_ALL);
    assert_memory_equal(&before, &after, sizeof before);
}

/* ---- Days and hours, at the end -------------------------------------------------------------------------------------- */

struct walk {
    const struct trial *trial;
    int32_t day; /* of the row that comes next */
    int hour;
    size_t rows;
    int64_t late;
    int64_t hits[24];
    int32_t kept_from, gone_before; /* days: from here on all are there, before that none */
};

static int judge_day(void *arg, const struct counter_row *row)
{
    struct walk *walk = arg;
    const struct oracle *oracle = walk->trial->oracle;
    struct counter_count truth, none = {0};
    char name[16];

    oracle_day_name(walk->day, name);
    oracle_day(oracle, walk->day, &truth);
    bool kept = is_right(walk->trial, &row->count, &truth, walk->late) &&
                (row->count.error == 0 || truth.visitors > walk->trial->exact_up_to);
    bool gone = memcmp(&row->count, &none, sizeof none) == 0;
    if (strcmp(row->name, name) != 0 || oracle_date(oracle, row->start).day != walk->day ||
        oracle_date(oracle, row->start - 1).day != walk->day - 1 || (walk->day >= walk->kept_from && !kept) ||
        (walk->day < walk->gone_before && !gone) || (!kept && !gone))
        fail_msg("%s: day %s from %lld shows %lld, %lld, %lld, error %f; it is %s: %lld, %lld, %lld", walk->trial->what,
                 row->name, (long long)row->start, (long long)row->count.visitors, (long long)row->count.visits,
                 (long long)row->count.hits, row->count.error, name, (long long)truth.visitors, (long long)truth.visits,
                 (long long)truth.hits);
    walk->day++;
    walk->rows++;
    return 0;
}

static int judge_hour(void *arg, const struct counter_row *row)
{
    struct walk *walk = arg;
    char name[24];

    if (walk->hour == 0)
        oracle_hours(walk->trial->oracle, walk->day, walk->hits);
    oracle_day_name(walk->day, name);
    snprintf(name + 10, sizeof name - 10, "T%02d", walk->hour);
    if (strcmp(row->name, name) != 0 || row->count.hits != walk->hits[walk->hour])
        fail_msg("%s: hour %s shows %lld; it is %s: %lld", walk->trial->what, row->name, (long long)row->count.hits,
                 name, (long long)walk->hits[walk->hour]);
    if (walk->hits[walk->hour] > 0)
        assert_int_equal(oracle_date(walk->trial->oracle, row->start).hour, walk->hour);
    walk->rows++;
    walk->hour = (walk->hour + 1) % 24;
    walk->day += walk->hour == 0;
    return 0;
}

/* All dates of the stream, or what is kept of them. */
void trial_judge_series(const struct trial *trial, bool all_kept)
{
    const struct oracle *oracle = trial->oracle;
    int32_t first = oracle->hit[0].date.day, last = oracle->hit[oracle->hits - 1].date.day;
    struct walk walk = {.trial = trial, .day = first, .kept_from = all_kept ? first : last - TRIAL_RETENTION_DAYS + 1};
    size_t days = (size_t)(last - first + 1);
    char from[16], to[16];

    for (size_t i = 0; i < oracle->hits; i++)
        walk.late += oracle->hit[i].late;
    oracle_day_name(first, from);
    oracle_day_name(last, to);
    walk.gone_before = first; /* in Redis days go by the server's own clock, in files by whole months */
    if (!all_kept && trial->place->kind < PLACE_REDIS)
        walk.gone_before = last - TRIAL_RETENTION_DAYS - 62;
    assert_int_equal(counter_series(trial->c, NULL, all_kept ? NULL : from, NULL, COUNTER_BY_DAY, judge_day, &walk), 0);
    assert_int_equal(walk.rows, days);
    if (!all_kept)
        return;
    walk.rows = 0;
    walk.day = first;
    assert_int_equal(counter_series(trial->c, "portal", from, to, COUNTER_BY_HOUR, judge_hour, &walk), 0);
    assert_int_equal(walk.rows, 24 * days);
}

void trial_judge_site(const struct trial *trial)
{
    const struct oracle *oracle = trial->oracle;
    struct counter_site site = {.size = sizeof site};
    assert_int_equal(counter_site(trial->c, NULL, &site), 0);
    assert_int_equal(site.since, oracle->hit[0].at);
    assert_int_equal(site.newest, oracle->hit[oracle->hits - 1].at);
}
