/*
 * remote_give.c: a site on a server as parts for another store: see copy.h.
 *
 * Nothing stands still meanwhile: every reply is whole in itself, and later ones are never older. Visitors are walked by
 * score, not by rank: whoever is seen during the walk moves to its end and is met there again, and nobody slips past.
 */
#include "error.h"
#include "remote.h"
#include "site_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16, BATCH = 1024, BATCH_MAX = 1 << 20 };

struct giving {
    struct remote *remote;
    struct remote_site *site;
    struct copy_taker *taker;
    struct remote_state state;
    struct period_frame now;          /* of the clock */
    struct copy_period period[CHUNK]; /* of one round trip */
    bool has_sketch[CHUNK];
    unsigned n;
    struct sketch sketch;
    struct copy_visitor *visitor; /* all of them, sorted */
    size_t visitors, room;
};

static void name_of(const struct giving *giving, const struct copy_period *period, const char *front, char *key)
{
    char rest[REMOTE_PERIOD];
    remote_period(rest, front, period->kind, period->first);
    remote_name(giving->remote, key, giving->site->fixed.site, rest);
}

/* ---- Periods ----------------------------------------------------------------------------------------------------- */

static void read_field(struct copy_period *period, const char *field, uint64_t value)
{
    char name[64];

    if (strcmp(field, "hits") == 0)
        period->hits = value;
    else if (strcmp(field, "visits") == 0)
        period->visits = value;
    else if (strcmp(field, "visitors") == 0)
        period->visitors = value;
    else if (strcmp(field, "unsure") == 0)
        period->unsure = value;
    else if (strcmp(field, "shown") == 0)
        period->shown = value;
    else if (strncmp(field, "hour:", 5) == 0)
        period->hour[strtoul(field + 5, NULL, 10) % 24] = value;
    for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++) {
        snprintf(name, sizeof name, "excluded:%s", store_verdict_name((enum counter_verdict)verdict));
        if (strcmp(field, name) == 0)
            period->excluded[verdict] = value;
    }
    if (strcmp(field, "estimate") == 0) {
        period->ended = true;
        period->estimate = value;
    }
}

static bool read_fields(struct copy_period *period, const redisReply *fields)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        int64_t value = remote_value(fields, i + 1);
        read_field(period, remote_text(fields, i), value > 0 ? (uint64_t)value : 0);
    }
    return fields->elements > 0;
}

/* What the server calls a sketch is checked before it is believed. */
static int read_sketch(struct giving *giving, const redisReply *reply, const char *key, const struct sketch **out)
{
    *out = NULL;
    if (reply->type == REDIS_REPLY_NIL)
        return 0;
    if (reply->type == REDIS_REPLY_STRING &&
        sketch_decode(&giving->sketch, (const unsigned char *)reply->str, (size_t)reply->len) == 0) {
        *out = &giving->sketch;
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        return redis_reply_error(reply, "copying a sketch");
    return error_set(COUNTER_EFORMAT, "%s is no sketch", key);
}

static int give_period(struct giving *giving, struct copy_period *period, const redisReply *fields,
                       const redisReply *sketch)
{
    char key[REMOTE_NAME];

    if (fields->type == REDIS_REPLY_ERROR)
        return redis_reply_error(fields, "copying a period");
    bool any = read_fields(period, fields);
    if (sketch) {
        name_of(giving, period, "visitors:", key);
        int r = read_sketch(giving, sketch, key, &period->sketch);
        if (r < 0)
            return r;
    }
    return any || period->sketch ? giving->taker->period(giving->taker, period) : 0;
}

static int flush(struct giving *giving)
{
    struct remote_words words[2 * CHUNK] = {{0}};
    redisReply *replies[2 * CHUNK];
    char key[REMOTE_NAME];
    unsigned n = 0;
    int r = 0;

    for (unsigned i = 0; i < giving->n; i++) {
        name_of(giving, &giving->period[i], "", key);
        remote_word(&words[n], "HGETALL");
        remote_word(&words[n++], key);
        if (!giving->has_sketch[i])
            continue;
        name_of(giving, &giving->period[i], "visitors:", key);
        remote_word(&words[n], "GET");
        remote_word(&words[n++], key);
    }
    if (n == 0)
        return 0;
    if ((r = remote_send_all(giving->remote, giving->site->meta, words, n, REDIS_REPEAT,
                             remote_deadline(giving->remote), replies)) < 0)
        return r;
    for (unsigned i = 0, at = 0; r == 0 && i < giving->n; i++) {
        const redisReply *fields = replies[at++], *sketch = giving->has_sketch[i] ? replies[at++] : NULL;
        r = give_period(giving, &giving->period[i], fields, sketch);
    }
    remote_free_replies(replies, n);
    giving->n = 0;
    return r;
}

static int add_period(struct giving *giving, int kind, struct period_date first)
{
    giving->period[giving->n] =
        (struct copy_period){.kind = kind, .first = first, .has_sums = kind == PERIOD_DAY || kind == PERIOD_MONTH};
    giving->has_sketch[giving->n] = kind == PERIOD_DAY || kind == PERIOD_YEAR || kind == COPY_ALL_TIME;
    return ++giving->n == CHUNK ? flush(giving) : 0;
}

static int give_days(struct giving *giving, int64_t from, int64_t to)
{
    struct period_frame frame;
    int r = 0;

    for (int64_t t = from; r == 0 && t <= to; t = frame.of[PERIOD_DAY].end) {
        remote_frame_of(giving->site, t, &frame);
        r = add_period(giving, PERIOD_DAY, frame.date);
    }
    return r;
}

/* A month or year after the other, from the one that holds `from`. */
static int give_all(struct giving *giving, enum period_kind kind, int64_t from, int64_t to)
{
    struct period_frame frame;
    int r = 0;

    for (int64_t t = from; r == 0 && t <= to; t = frame.of[kind].end) {
        remote_frame_of(giving->site, t, &frame);
        r = add_period(giving, (int)kind, frame.of[kind].first);
    }
    return r;
}

static int give_periods(struct giving *giving)
{
    int64_t clock = giving->state.clock, since = giving->state.since;
    int64_t oldest = clock - (int64_t)giving->site->fixed.retention_days * 86400;
    const struct period_span *week = &giving->now.of[PERIOD_WEEK];
    int r;

    if (clock == 0)
        clock = since = oldest = (int64_t)(site_now() / 1000); /* what was not counted may be there all the same */
    if ((r = give_days(giving, since > oldest ? since : oldest, giving->now.of[PERIOD_DAY].end - 1)) < 0 ||
        (r = add_period(giving, PERIOD_WEEK, week->previous_first)) < 0 ||
        (r = add_period(giving, PERIOD_WEEK, week->first)) < 0 ||
        (r = give_all(giving, PERIOD_MONTH, since, clock)) < 0 ||
        (r = give_all(giving, PERIOD_YEAR, since, clock)) < 0 ||
        (r = add_period(giving, COPY_ALL_TIME, (struct period_date){0})) < 0)
        return r;
    return flush(giving);
}

/* ---- Visitors ---------------------------------------------------------------------------------------------------- */

static int by_order(const void *a, const void *b)
{
    const struct copy_visitor *x = a, *y = b;
    if (x->seen != y->seen)
        return x->seen < y->seen ? -1 : 1;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    return x->key == y->key ? 0 : x->key > y->key ? -1 : 1; /* nameless last */
}

static bool read_visitor(const redisReply *reply, size_t i, bool named, struct copy_visitor *out)
{
    int64_t score = remote_value(reply, i + 1);

    out->seen = score / 10;
    out->bits = (unsigned)(score % 10) % 8;
    out->key = named ? strtoull(remote_text(reply, i), NULL, 16) : 0;
    return out->seen >= SITE_FIRST && out->seen <= SITE_LAST && (!named || out->key != 0);
}

static int collect_batch(struct giving *giving, const redisReply *reply, size_t n, bool named)
{
    if (giving->visitors + n > giving->room) {
        size_t room = 2 * (giving->visitors + n);
        struct copy_visitor *all = realloc(giving->visitor, room * sizeof *all);
        if (!all)
            return error_set(COUNTER_ENOMEM, "no memory for %zu visitors of a copy", giving->visitors + n);
        giving->visitor = all;
        giving->room = room;
    }
    for (size_t i = 0; i < n; i++)
        giving->visitors += read_visitor(reply, 2 * i, named, &giving->visitor[giving->visitors]);
    return 0;
}

static int ask_visitors(struct giving *giving, const char *key, const char *from, long batch, redisReply **reply)
{
    struct remote_words words = {0};

    remote_word(&words, "ZRANGEBYSCORE");
    remote_word(&words, key);
    remote_word(&words, from);
    remote_word(&words, "+inf");
    remote_word(&words, "WITHSCORES");
    remote_word(&words, "LIMIT");
    remote_word(&words, "0");
    remote_number(&words, batch);
    return remote_send(giving->remote, key, &words, REDIS_REPEAT, "copying visitors", remote_deadline(giving->remote),
                       reply);
}

/* Those of the last score of a full batch may not be all: they are given with the next, which begins with that score. */
static size_t complete(const redisReply *reply, size_t n, long batch)
{
    size_t last = n;
    if ((long)n < batch)
        return n;
    while (last > 0 && strcmp(remote_text(reply, 2 * last - 1), remote_text(reply, 2 * n - 1)) == 0)
        last--;
    return last;
}

static int collect(struct giving *giving, const char *rest, bool named)
{
    char key[REMOTE_NAME], from[64] = "-inf";
    long batch = BATCH;
    redisReply *reply;
    int r = 0;

    remote_name(giving->remote, key, giving->site->fixed.site, rest);
    for (bool more = true; r == 0 && more;) {
        if ((r = ask_visitors(giving, key, from, batch, &reply)) < 0)
            return r;
        size_t n = reply->elements / 2, whole = complete(reply, n, batch);
        more = (long)n == batch;
        r = collect_batch(giving, reply, whole, named);
        if (more && whole > 0)
            snprintf(from, sizeof from, "%s", remote_text(reply, 2 * n - 1));
        else if (more)
            batch *= 4; /* so many in one second */
        freeReplyObject(reply);
        if (batch > BATCH_MAX)
            return error_set(COUNTER_EFORMAT, "%s has more than %d visitors of one second", key, BATCH_MAX);
    }
    return r;
}

/* Nameless ones that count in no window any more do not come. */
static int give_visitors(struct giving *giving)
{
    struct copy_visitor batch[COPY_BATCH];
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < giving->visitors; i++) {
        if (giving->visitor[i].key || giving->visitor[i].seen > giving->state.forgotten)
            batch[n++] = giving->visitor[i];
        if (n == COPY_BATCH) {
            r = giving->taker->visitors(giving->taker, batch, n);
            n = 0;
        }
    }
    return r == 0 && n > 0 ? giving->taker->visitors(giving->taker, batch, n) : r;
}

/* ---- All together ------------------------------------------------------------------------------------------------ */

static int give_site(struct giving *giving)
{
    const struct layout_header *fixed = &giving->site->fixed;
    struct copy_site site = {.week_start = (enum counter_weekday)fixed->week_start,
                             .exact_visitors = fixed->exact_visitors,
                             .forget_days = fixed->forget_days,
                             .retention_days = fixed->retention_days,
                             .key_rotation = (enum counter_rotation)fixed->key_rotation,
                             .has_key = true,
                             .key = giving->site->key};

    snprintf(site.timezone, sizeof site.timezone, "%.64s", fixed->timezone);
    int r = giving->taker->site(giving->taker, &site);
    explicit_bzero(&site.key, sizeof site.key);
    return r;
}

static int give_keys(struct giving *giving)
{
    struct remote_words words = {0};
    struct period_frame frame;
    char key[REMOTE_NAME];
    redisReply *reply;
    int r;

    if (giving->site->fixed.key_rotation <= COUNTER_ROTATION_NEVER)
        return 0;
    remote_name(giving->remote, key, giving->site->fixed.site, "keys");
    remote_word(&words, "HGETALL");
    remote_word(&words, key);
    if ((r = remote_send(giving->remote, key, &words, REDIS_REPEAT, "copying keys", remote_deadline(giving->remote),
                         &reply)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i + 1 < reply->elements; i += 2) {
        struct copy_key one = {0};
        char date[REMOTE_DATE];
        bool month = strlen(remote_text(reply, i)) == 7; /* "2026-11" */
        snprintf(date, sizeof date, "%.10s%s", remote_text(reply, i), month ? "-01" : "");
        if ((r = period_parse_date(&one.first, date)) < 0 || !remote_key_parse(&one.key, remote_text(reply, i + 1)))
            continue;
        one.start = period_date_start(giving->site->zone, one.first);
        remote_frame_of(giving->site, one.start, &frame);
        if (giving->state.clock < frame.of[month ? PERIOD_MONTH : PERIOD_DAY].end + SITE_KEY_GRACE)
            r = giving->taker->key(giving->taker, &one); /* else it is to be destroyed */
        explicit_bzero(&one.key, sizeof one.key);
    }
    freeReplyObject(reply);
    return r;
}

static int give_state(struct giving *giving)
{
    const struct remote_state *from = &giving->state;
    struct copy_state state = {.clock = from->clock,
                               .since = from->since,
                               .accepted = from->accepted,
                               .forgotten = from->forgotten,
                               .late = from->late,
                               .baseline = from->baseline};
    return giving->taker->state(giving->taker, &state);
}

/* Visitors first, then the marks: nobody newer than `forgotten` is missing. */
static int read_all(struct giving *giving, const char *name)
{
    int r = remote_state(giving->remote, name, &giving->site, &giving->state);

    if (r < 0 || (r = collect(giving, "nameless", false)) < 0 || (r = collect(giving, "recent", true)) < 0)
        return r;
    if (giving->visitors > 0)
        qsort(giving->visitor, giving->visitors, sizeof *giving->visitor, by_order);
    const struct remote_site *walked = giving->site;
    if ((r = remote_state(giving->remote, name, &giving->site, &giving->state)) < 0)
        return r;
    if (giving->site != walked)
        return error_set(COUNTER_EIO, "site %s was removed while it was copied", name);
    int64_t clock = giving->state.clock;
    remote_frame_of(giving->site, clock ? clock : (int64_t)(site_now() / 1000), &giving->now);
    return 0;
}

int remote_give(struct store *store, const char *name, struct copy_taker *taker)
{
    struct giving *giving = calloc(1, sizeof *giving);

    if (!giving)
        return taker->end(taker, error_set(COUNTER_ENOMEM, "no memory for a copy"));
    giving->remote = remote_of(store);
    giving->taker = taker;
    int r = read_all(giving, name);
    if (r == 0 && (r = give_site(giving)) == 0 && (r = give_keys(giving)) == 0 && (r = give_state(giving)) == 0 &&
        (r = give_periods(giving)) == 0)
        r = give_visitors(giving);
    free(giving->visitor);
    free(giving);
    return taker->end(taker, r);
}
