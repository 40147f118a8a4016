/*
 * remote_count.c: hits to the server and windows back, in one round trip.
 *
 * Hits of one day go together: they share a calendar, which goes along. A late hit may need the calendar of the day its
 * visitor was last seen in, and every batch that of the site's clock: the script asks for what it lacks, having changed
 * nothing, and the call is made again. The clock's day is remembered, so in the usual case there is nothing to ask for.
 */
#include "error.h"
#include "remote.h"
#include "site.h"
#include "window.h"

#include <stdio.h>
#include <string.h>

enum {
    HITS = 256,  /* of one call */
    FRAMES = 24, /* calendars of one call; hits that need more go by halves */
    ROUNDS = 8,  /* that a call is made again because somebody changed what it needs */
};

struct call {
    struct remote *remote;
    struct remote_site *site;
    redis_deadline deadline;
    const struct store_hit *hits;
    size_t n;
    uint32_t want;                     /* 0: no windows */
    int64_t at;                        /* of a reading without hits */
    struct period_frame frame[FRAMES]; /* the hits' own first */
    unsigned frames;
};

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static bool has_frame(const struct call *call, int64_t t)
{
    for (unsigned i = 0; i < call->frames; i++)
        if (t >= call->frame[i].of[PERIOD_DAY].start && t < call->frame[i].of[PERIOD_DAY].end)
            return true;
    return false;
}

/* False when there is no more room. Times that cannot be are nobody's. */
static bool add_frame(struct call *call, int64_t t)
{
    if (t < SITE_FIRST || t > SITE_LAST || has_frame(call, t))
        return true;
    if (call->frames == FRAMES)
        return false;
    remote_frame_of(call->site, t, &call->frame[call->frames++]);
    return true;
}

/* Has the hit a visitor that is known by name? */
static bool is_named(const struct store_hit *hit)
{
    return hit->verdict == COUNTER_COUNTED && !hit->nameless;
}

/* 64-bit ids, little-endian as sketches of files are fed. */
static void add_ids(struct remote_words *words, const struct call *call)
{
    unsigned char ids[8 * HITS];

    for (size_t i = 0; i < call->n; i++)
        for (int byte = 0; byte < 8; byte++)
            ids[8 * i + (size_t)byte] = (unsigned char)(call->hits[i].id >> 8 * byte);
    remote_bytes(words, ids, 8 * call->n);
}

/* Two bytes a hit: see read_hits in remote_count.lua. Then what is not counted, by name. */
static void add_marks(struct remote_words *words, const struct call *call)
{
    char marks[2 * HITS];

    for (size_t i = 0; i < call->n; i++) {
        const struct store_hit *hit = &call->hits[i];
        bool counts = hit->verdict == COUNTER_COUNTED || hit->anonymous;
        marks[2 * i] = counts ? (char)('A' + period_hour(&call->frame[0], hit->at)) : '-';
        marks[2 * i + 1] = hit->verdict != COUNTER_COUNTED ? (char)('0' + (int)hit->verdict)
                           : hit->nameless                 ? '?'
                                                           : ' ';
    }
    remote_bytes(words, marks, 2 * call->n);
    remote_number(words, COUNTER_VERDICTS - 1);
    for (int verdict = 1; verdict < COUNTER_VERDICTS; verdict++)
        remote_word(words, store_verdict_name((enum counter_verdict)verdict));
}

/* 43 bits, and behind them those that the visitor had under the key before. */
static void add_visitor(struct remote_words *words, const struct store_hit *hit)
{
    char text[2 * REMOTE_VISITOR] = "";

    if (is_named(hit))
        remote_visitor(text, identity_short(hit->id));
    if (is_named(hit) && hit->has_previous)
        remote_visitor(text + REMOTE_VISITOR - 1, identity_short(hit->previous_id));
    remote_word(words, text);
}

static void add_hits(struct remote_words *words, const struct call *call)
{
    if (call->n == 0)
        return;
    add_ids(words, call);
    add_marks(words, call);
    for (size_t i = 0; i < call->n; i++) {
        add_visitor(words, &call->hits[i]);
        remote_number(words, call->hits[i].at);
    }
}

static int ask(const struct call *call, redisReply **reply)
{
    struct remote_words words = {0};

    remote_word(&words, call->site->id);
    remote_word(&words, call->remote->url.kind == REDIS_CLUSTER ? "1" : "0");
    remote_number(&words, call->want);
    remote_number(&words, call->at);
    remote_number(&words, (int64_t)call->n);
    add_hits(&words, call);
    remote_number(&words, call->frames);
    for (unsigned i = 0; i < call->frames; i++)
        remote_frame(&words, &call->frame[i]);
    return remote_script(call->remote, REMOTE_COUNT, call->site->meta, &words, call->n > 0 ? 0 : REDIS_REPEAT,
                         call->n > 0 ? "counting hits" : "reading the windows", call->deadline, reply);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

enum answer { ANSWER_FAILED = -1, ANSWER_OK, ANSWER_AGAIN, ANSWER_GONE, ANSWER_TOO_MANY };

/* What else than "ok" the script may say: nothing was changed then. */
static enum answer consider(struct call *call, const redisReply *reply, int *r)
{
    if (remote_says(reply, "ok"))
        return ANSWER_OK;
    if (remote_says(reply, "gone"))
        return ANSWER_GONE;
    if (remote_says(reply, "frames")) {
        for (size_t i = 1; i < reply->elements; i++)
            if (!add_frame(call, remote_value(reply, i)))
                return ANSWER_TOO_MANY;
        return ANSWER_AGAIN;
    }
    *r = error_set(COUNTER_EIO, "the server's answer is none of the script's");
    return ANSWER_FAILED;
}

/* *reply is set with ANSWER_OK only. */
static enum answer converse(struct call *call, redisReply **reply, int *r)
{
    for (int round = 0;; round++) {
        if ((*r = ask(call, reply)) < 0)
            return ANSWER_FAILED;
        enum answer answer = consider(call, *reply, r);
        if (answer == ANSWER_OK)
            return answer;
        freeReplyObject(*reply);
        *reply = NULL;
        if (answer != ANSWER_AGAIN)
            return answer;
        if (round >= ROUNDS)
            return ANSWER_TOO_MANY;
    }
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_add_overflow(a, b, &out) ? INT64_MAX : out;
}

static uint32_t summed(const struct call *call, int64_t at)
{
    const struct layout_header *fixed = &call->site->fixed;
    struct period_frame frame;
    uint32_t out = 0;

    if (fixed->key_rotation <= COUNTER_ROTATION_NEVER)
        return 0;
    remote_frame_of(call->site, at, &frame);
    for (int i = 0; i < COUNTER_WINDOWS; i++)
        if ((call->want & 1u << i) &&
            window_is_sum(&frame, i, call->site->zone, (enum counter_weekday)fixed->week_start,
                          (enum counter_rotation)fixed->key_rotation))
            out |= 1u << i;
    return out;
}

/* After "ok", done, refusal and clock: at, online, forgotten, late, the baseline; visitors, visits, hits and doubt of
 * every window asked for. */
static void fill(const struct call *call, const redisReply *reply, struct counter_stats *stats)
{
    size_t next = 11;

    memset(stats->window, 0, sizeof stats->window);
    stats->at = remote_value(reply, 4);
    stats->online = remote_value(reply, 5);
    stats->online_floor = remote_value(reply, 6) >= stats->at - SITE_ONLINE + 1;
    stats->late = remote_value(reply, 7);
    stats->summed = summed(call, stats->at);
    for (int i = 0; i < COUNTER_WINDOWS; i++) {
        struct counter_count *count = &stats->window[i];
        if (!(call->want & 1u << i))
            continue;
        int64_t doubt = remote_value(reply, next + 3);
        count->visitors = remote_value(reply, next);
        count->visits = remote_value(reply, next + 1);
        count->hits = remote_value(reply, next + 2);
        count->error = doubt < 0 ? SKETCH_ERROR : window_error((uint64_t)count->visitors, (uint64_t)doubt);
        next += 4;
    }
    struct counter_count *all = &stats->window[COUNTER_ALL_TIME];
    if (!(call->want & 1u << COUNTER_ALL_TIME))
        return;
    int64_t own = all->visitors;
    all->visitors = sum(all->visitors, remote_value(reply, 8));
    all->visits = sum(all->visits, remote_value(reply, 9));
    all->hits = sum(all->hits, remote_value(reply, 10));
    if (all->visitors > 0)
        all->error *= (double)own / (double)all->visitors;
}

/* ---- Recording --------------------------------------------------------------------------------------------------- */

static int refuse_hit(const struct remote_site *site, int64_t t, const char *refusal)
{
    return window_refuse_hit(site->zone, site->fixed.site, t, strcmp(refusal, "old") == 0 ? WINDOW_OLD : WINDOW_LEAP);
}

/* Hits of one day, all or up to the first whose time is impossible. */
static int send_day(struct remote *remote, struct remote_site *site, const struct store_hit *hits, size_t n,
                    redis_deadline deadline, size_t *done, struct counter_stats *stats)
{
    struct call call = {.remote = remote,
                        .site = site,
                        .deadline = deadline,
                        .hits = hits,
                        .n = n,
                        .want = stats ? window_wanted(stats->want) : 0};
    redisReply *reply;
    int r;

    add_frame(&call, hits[0].at);
    add_frame(&call, atomic_load(&site->clock));
    enum answer answer = converse(&call, &reply, &r);
    if (answer == ANSWER_GONE)
        remote_site_leave(site);
    if (answer == ANSWER_GONE || (answer == ANSWER_TOO_MANY && n > 1))
        return answer;
    if (answer != ANSWER_OK)
        return answer == ANSWER_FAILED ? r
                                       : error_set(COUNTER_EIO, "the server keeps asking for calendars it was given");
    *done = (size_t)remote_value(reply, 1);
    if (*done > n)
        *done = n;
    remote_site_heard(site, remote_value(reply, 3));
    if (*done < n)
        r = refuse_hit(site, hits[*done].at, remote_text(reply, 2));
    else if (stats)
        fill(&call, reply, stats);
    freeReplyObject(reply);
    return r;
}

/* How many hits from the front are of the first one's day and can be counted at all; 0 with the reason in *r. */
static size_t same_day(const struct remote_site *site, const struct store_hit *hits, size_t n, int *r)
{
    int64_t now = (int64_t)(site_now() / 1000);
    struct period_frame frame;
    size_t i = 0;

    *r = 0;
    for (; i < n && i < HITS; i++) {
        int64_t t = hits[i].at;
        if (t < SITE_FIRST || t > SITE_LAST || t > now + SITE_FUTURE)
            break;
        if (i == 0)
            remote_frame_of(site, t, &frame);
        if (t < frame.of[PERIOD_DAY].start || t >= frame.of[PERIOD_DAY].end)
            break;
    }
    if (i == 0)
        *r = window_refuse_hit(site->zone, site->fixed.site, hits[0].at,
                               hits[0].at < SITE_FIRST || hits[0].at > SITE_LAST ? WINDOW_IMPOSSIBLE : WINDOW_FUTURE);
    return i;
}

int remote_record(struct store *store, const char *name, const struct store_hit *hits, size_t n, size_t *done,
                  struct counter_stats *stats)
{
    struct remote *remote = remote_of(store);
    redis_deadline deadline = remote_deadline_go_on(remote);
    struct remote_site *site;
    size_t most = HITS;
    int r;

    for (*done = 0; *done < n;) {
        size_t counted = 0;
        if ((r = remote_site(remote, name, true, deadline, &site)) < 0)
            return r;
        size_t some = same_day(site, hits + *done, n - *done, &r);
        if (some == 0)
            return r;
        if (some > most)
            some = most;
        r = send_day(remote, site, hits + *done, some, deadline, &counted, *done + some == n ? stats : NULL);
        *done += counted;
        if (r < 0)
            return r;
        most = r == ANSWER_TOO_MANY ? (some + 1) / 2 : HITS;
    }
    return 0;
}

int remote_read(struct store *store, const char *name, int64_t at, struct counter_stats *stats)
{
    struct remote *remote = remote_of(store);
    struct call call = {.remote = remote, .deadline = remote_deadline(remote), .want = window_wanted(stats->want)};
    enum answer answer;
    redisReply *reply;
    int r;

    do {
        if ((r = remote_site(remote, name, false, call.deadline, &call.site)) < 0)
            return r;
        int64_t now = at ? at : (int64_t)(site_now() / 1000);
        call.at = now < SITE_FIRST ? SITE_FIRST : now > SITE_LAST ? SITE_LAST : now;
        call.frames = 0;
        add_frame(&call, call.at);
        answer = converse(&call, &reply, &r);
        if (answer == ANSWER_GONE)
            remote_site_leave(call.site);
    } while (answer == ANSWER_GONE);
    if (answer != ANSWER_OK)
        return answer == ANSWER_FAILED ? r : error_set(COUNTER_EIO, "the server keeps asking for calendars");
    int64_t clock = remote_value(reply, 3);
    remote_site_heard(call.site, clock);
    if (at != 0 && at < clock - SITE_FUTURE)
        r = window_refuse_past(call.site->zone, call.site->fixed.site, at, clock);
    else
        fill(&call, reply, stats);
    freeReplyObject(reply);
    return r;
}
