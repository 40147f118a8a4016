/*
 * remote_series.c: the days one by one, from their hashes: some hundred fields in a round trip.
 *
 * Today and yesterday are windows, which may show more than their own hash says (window_of in remote_answer.lua): they
 * are read as such. Where a day's exactness had ended, its sketch is asked too.
 */
#include "error.h"
#include "remote.h"
#include "site.h"
#include "store_range.h"
#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, DAY_FIELDS = 6 };

struct walk {
    struct remote *remote;
    struct remote_site *site;
    struct counter_stats recent; /* today and yesterday */
    int64_t today, yesterday;    /* where those begin */
    enum counter_step step;
    counter_row_fn *each;
    void *arg;
    struct period_frame frame[CHUNK]; /* of one round trip */
    uint64_t estimate[CHUNK];
    unsigned n;
};

static void name_key(const struct walk *walk, char *key, const char *front, const struct period_frame *frame)
{
    char rest[REMOTE_PERIOD];

    remote_period(rest, front, PERIOD_DAY, frame->date);
    remote_name(walk->remote, key, walk->site->fixed.site, rest);
}

static void ask_day(const struct walk *walk, const struct period_frame *frame, struct remote_words *words)
{
    static const char *const fields[DAY_FIELDS] = {"hits", "visits", "visitors", "unsure", "shown", "estimate"};
    char key[REMOTE_NAME], hour[16];

    name_key(walk, key, "", frame);
    remote_word(words, "HMGET");
    remote_word(words, key);
    for (int i = 0; walk->step == COUNTER_BY_DAY && i < DAY_FIELDS; i++)
        remote_word(words, fields[i]);
    for (int i = 0; walk->step == COUNTER_BY_HOUR && i < 24; i++) {
        snprintf(hour, sizeof hour, "hour:%02u", (unsigned)i % 24);
        remote_word(words, hour);
    }
}

/* ---- Days -------------------------------------------------------------------------------------------------------- */

static bool has_ended(const redisReply *fields)
{
    return remote_text(fields, 5)[0] != 0;
}

/* The sketches of all days of the chunk whose exactness ended, in one round trip. A damaged one says nothing. */
static int read_estimates(struct walk *walk, redisReply **fields)
{
    struct remote_words words[CHUNK] = {{0}};
    redisReply *replies[CHUNK];
    char key[REMOTE_NAME];
    unsigned n = 0;

    memset(walk->estimate, 0, sizeof walk->estimate);
    for (unsigned i = 0; i < walk->n; i++) {
        if (walk->step == COUNTER_BY_HOUR || !has_ended(fields[i]))
            continue;
        name_key(walk, key, "visitors:", &walk->frame[i]);
        remote_word(&words[n], "PFCOUNT");
        remote_word(&words[n++], key);
    }
    if (n == 0)
        return 0;
    int r =
        remote_send_all(walk->remote, walk->site->meta, words, n, REDIS_REPEAT, remote_deadline(walk->remote), replies);
    if (r < 0)
        return r;
    for (unsigned i = 0, at = 0; i < walk->n; i++)
        if (has_ended(fields[i])) {
            walk->estimate[i] = replies[at]->type == REDIS_REPLY_INTEGER ? (uint64_t)replies[at]->integer : 0;
            at++;
        }
    remote_free_replies(replies, n);
    return 0;
}

static void count_day(const struct walk *walk, unsigned i, const redisReply *fields, struct counter_count *out)
{
    const struct period_frame *frame = &walk->frame[i];
    int64_t visitors = remote_value(fields, 2), unsure = remote_value(fields, 3), shown = remote_value(fields, 4);
    uint64_t now = walk->estimate[i], then = (uint64_t)remote_value(fields, 5);
    bool ended = has_ended(fields);

    if (frame->of[PERIOD_DAY].start == walk->today || frame->of[PERIOD_DAY].start == walk->yesterday) {
        bool today = frame->of[PERIOD_DAY].start == walk->today;
        *out = walk->recent.window[today ? COUNTER_TODAY : COUNTER_YESTERDAY];
        return;
    }
    if (ended && now > then)
        visitors += (int64_t)(now - then);
    if ((ended || unsure > 0) && shown > visitors)
        visitors = shown;
    *out = (struct counter_count){
        .hits = remote_value(fields, 0), .visits = remote_value(fields, 1), .visitors = visitors};
    out->error = !ended ? window_error((uint64_t)visitors, (uint64_t)unsure) : visitors > 0 ? SKETCH_ERROR : 0;
}

static int day_row(const struct walk *walk, unsigned i, const redisReply *fields)
{
    char name[REMOTE_DATE];
    struct counter_row row = {.start = walk->frame[i].of[PERIOD_DAY].start, .name = name};

    count_day(walk, i, fields, &row.count);
    remote_date(name, PERIOD_DAY, walk->frame[i].date);
    return walk->each(walk->arg, &row);
}

static int hour_rows(const struct walk *walk, const struct period_frame *frame, const redisReply *fields)
{
    char date[REMOTE_DATE], name[REMOTE_DATE + 8];
    int r = 0;

    remote_date(date, PERIOD_DAY, frame->date);
    for (int hour = 0; r == 0 && hour < 24; hour++) {
        struct counter_row row = {.start = store_hour_start(frame, hour), .name = name};
        row.count.hits = remote_value(fields, (size_t)hour);
        snprintf(name, sizeof name, "%sT%02u", date, (unsigned)hour % 24);
        r = walk->each(walk->arg, &row);
    }
    return r;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------------ */

static int read_chunk(struct walk *walk, redisReply **replies)
{
    struct remote_words words[CHUNK] = {{0}};
    int r = 0;

    for (unsigned i = 0; i < walk->n; i++)
        ask_day(walk, &walk->frame[i], &words[i]);
    r = remote_send_all(walk->remote, walk->site->meta, words, walk->n, REDIS_REPEAT, remote_deadline(walk->remote),
                        replies);
    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < walk->n; i++)
        if (replies[i]->type == REDIS_REPLY_ERROR)
            r = redis_reply_error(replies[i], "reading a day");
    if (r < 0)
        remote_free_replies(replies, walk->n);
    return r;
}

static int tell_chunk(struct walk *walk)
{
    redisReply *replies[CHUNK];
    int r = walk->n > 0 ? read_chunk(walk, replies) : 0;

    if (r < 0)
        return r;
    r = read_estimates(walk, replies);
    for (unsigned i = 0; r == 0 && i < walk->n; i++)
        r = walk->step == COUNTER_BY_HOUR ? hour_rows(walk, &walk->frame[i], replies[i]) : day_row(walk, i, replies[i]);
    remote_free_replies(replies, walk->n);
    walk->n = 0;
    return r;
}

/* The windows of the newest hit's moment, for the two days that are windows; without hits there are none. */
static int read_recent(struct walk *walk, int64_t clock)
{
    struct period_frame frame;

    walk->recent =
        (struct counter_stats){.size = sizeof walk->recent, .want = 1u << COUNTER_TODAY | 1u << COUNTER_YESTERDAY};
    if (clock == 0)
        return 0;
    int r = remote_read(&walk->remote->store, walk->site->fixed.site, clock, &walk->recent);
    if (r == COUNTER_ETIME) { /* counted on for more than a minute meanwhile */
        clock = atomic_load(&walk->site->clock);
        r = remote_read(&walk->remote->store, walk->site->fixed.site, clock, &walk->recent);
    }
    remote_frame_of(walk->site, clock, &frame);
    walk->today = frame.of[PERIOD_DAY].start;
    walk->yesterday = frame.of[PERIOD_DAY].previous;
    return r;
}

int remote_series(struct store *store, const char *name, const char *from, const char *to, enum counter_step step,
                  counter_row_fn *each, void *arg)
{
    struct walk *walk = calloc(1, sizeof *walk);
    struct remote_state state;
    struct store_range range = {0};
    int r;

    if (!walk)
        return error_set(COUNTER_ENOMEM, "no memory for a series");
    walk->remote = remote_of(store);
    walk->step = step;
    walk->each = each;
    walk->arg = arg;
    if ((r = remote_state(walk->remote, name, &walk->site, &state)) == 0 &&
        (r = store_range(&range, walk->site->zone, state.clock, state.since, walk->site->fixed.retention_days, from,
                         to)) == 0)
        r = read_recent(walk, state.clock);
    for (int64_t day = range.first; r == 0 && day <= range.last; day++) {
        if (!store_range_frame(walk->site->zone, (enum counter_weekday)walk->site->fixed.week_start, day,
                               &walk->frame[walk->n]))
            continue;
        if (++walk->n == CHUNK || (day == range.last))
            r = tell_chunk(walk);
    }
    if (r == 0)
        r = tell_chunk(walk);
    free(walk);
    return r;
}

/* ---- What was not counted ---------------------------------------------------------------------------------------- */

/* The verdicts of a few days in a row, from `day` on, added to the sums. */
static int add_verdicts(struct remote *remote, const struct remote_site *site, int64_t day, unsigned n,
                        uint64_t sum[COUNTER_VERDICTS])
{
    struct remote_words words[CHUNK] = {{0}};
    char key[REMOTE_NAME], rest[REMOTE_PERIOD];
    redisReply *replies[CHUNK];

    for (unsigned i = 0; i < n; i++) {
        remote_period(rest, "", PERIOD_DAY, period_date_of(day + i));
        remote_name(remote, key, site->fixed.site, rest);
        remote_word(&words[i], "HMGET");
        remote_word(&words[i], key);
        for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++) {
            snprintf(rest, sizeof rest, "excluded:%s", store_verdict_name((enum counter_verdict)verdict));
            remote_word(&words[i], rest);
        }
    }
    int r = remote_send_all(remote, site->meta, words, n, REDIS_REPEAT, remote_deadline(remote), replies);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < n; i++)
        for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++)
            site_add(&sum[verdict], (uint64_t)remote_value(replies[i], (size_t)verdict - 1));
    remote_free_replies(replies, n);
    return 0;
}

int remote_breakdown(struct store *store, const char *name, const char *from, const char *to, enum counter_part part,
                     counter_row_fn *each, void *arg)
{
    struct remote *remote = remote_of(store);
    uint64_t sum[COUNTER_VERDICTS] = {0};
    struct store_range range = {0};
    struct remote_state state;
    struct remote_site *site;
    int r = remote_state(remote, name, &site, &state);

    (void)part; /* COUNTER_BY_VERDICT is the only one */
    if (r == 0)
        r = store_range(&range, site->zone, state.clock, state.since, site->fixed.retention_days, from, to);
    for (int64_t day = range.first; r == 0 && day <= range.last; day += CHUNK) {
        int64_t left = range.last - day + 1;
        r = add_verdicts(remote, site, day, left < CHUNK ? (unsigned)left : CHUNK, sum);
    }
    return r < 0 ? r : store_tell_verdicts(sum, each, arg);
}
