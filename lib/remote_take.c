/*
 * remote_take.c: takes the parts of a site (copy.h) into a server.
 *
 * Every part is one run of the script, and raises what is there to at least what came. At the end weeks and months are
 * raised to what their days come to, years and all time to what their months do, as they would be in files; the sketches
 * of weeks and months that windows still show are the unions of their days'.
 */
#include "error.h"
#include "remote.h"
#include "site_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct taking {
    struct copy_taker taker;
    struct remote *remote;
    struct remote_site *site;
    const char *name;
    struct period_frame now;      /* of the clock, once the state was taken */
    struct copy_state state;      /* held back until all periods came */
    bool has_state, has_marks;    /* it came, it was sent */
    struct copy_visitor *pending; /* until all of one score came */
    size_t visitors, room;
};

static struct taking *taking_of(struct copy_taker *taker)
{
    return (struct taking *)taker;
}

static int run(const struct taking *taking, struct remote_words *words)
{
    redisReply *reply;
    int r = remote_script(taking->remote, REMOTE_KEEP, taking->site->meta, words, REDIS_REPEAT, "copying into a site",
                          remote_deadline(taking->remote), &reply);
    if (r < 0)
        return r;
    if (!remote_says(reply, "ok"))
        r = error_set(COUNTER_EIO, "site %s was removed while it was copied", taking->name);
    freeReplyObject(reply);
    return r;
}

static void begin(const struct taking *taking, struct remote_words *words, const char *operation)
{
    remote_begin(taking->remote, words, operation, taking->site);
}

/* ---- What the site is -------------------------------------------------------------------------------------------- */

/* A store without a key takes it over, at the end of take_site: a copy that is refused leaves nothing behind. */
static int compare_key(const struct taking *taking, const struct copy_site *site)
{
    struct identity_key has;
    int r = remote_master_key(taking->remote, false, remote_deadline(taking->remote), &has);

    if (r == COUNTER_ENOSITE)
        return 0;
    if (r == 0 && memcmp(&has, &site->key, sizeof has) != 0)
        r = error_set(COUNTER_ECONFLICT, "the store has another key already: visitors would be strangers");
    explicit_bzero(&has, sizeof has);
    return r;
}

static int take_site(struct copy_taker *taker, const struct copy_site *site)
{
    struct taking *taking = taking_of(taker);
    int r;

    if (!site->has_key)
        return error_set(COUNTER_ECONFLICT, "the source has lost its key: its visitors cannot be told from others");
    if ((r = remote_site_compare(taking->remote, taking->name, site, remote_deadline(taking->remote))) < 0 ||
        (r = compare_key(taking, site)) < 0 ||
        (r = remote_take_master_key(taking->remote, &site->key, remote_deadline(taking->remote))) < 0)
        return r;
    return remote_site_like(taking->remote, taking->name, site, remote_deadline(taking->remote), &taking->site);
}

static int take_key(struct copy_taker *taker, const struct copy_key *key)
{
    struct taking *taking = taking_of(taker);
    enum period_kind kind = taking->site->fixed.key_rotation == COUNTER_ROTATION_DAILY ? PERIOD_DAY : PERIOD_MONTH;
    struct remote_words words = {0};
    char name[REMOTE_DATE], text[REMOTE_KEY_TEXT];
    struct period_frame frame;
    redisReply *reply;

    remote_frame_of(taking->site, key->start, &frame);
    remote_date(name, kind, key->first);
    remote_key_text(text, &key->key);
    begin(taking, &words, "merge_key");
    remote_word(&words, name);
    remote_word(&words, text);
    remote_number(&words, frame.of[kind].end + SITE_KEY_GRACE);
    int r = remote_script(taking->remote, REMOTE_KEEP, taking->site->meta, &words, REDIS_REPEAT, "copying a key",
                          remote_deadline(taking->remote), &reply);
    if (r < 0)
        return r;
    if (strcmp(remote_text(reply, 1), text) != 0)
        r = error_set(COUNTER_ECONFLICT, "site %s has another key for %s already", taking->name, name);
    freeReplyObject(reply);
    explicit_bzero(text, sizeof text);
    return r;
}

static int take_state(struct copy_taker *taker, const struct copy_state *state)
{
    struct taking *taking = taking_of(taker);
    int64_t clock = state->clock ? state->clock : (int64_t)(site_now() / 1000),
            known = atomic_load(&taking->site->clock);

    taking->state = *state;
    taking->has_state = true;
    remote_frame_of(taking->site, clock > known ? clock : known, &taking->now); /* decides which windows are shown */
    return 0;
}

/* Once all periods are there: what ended exactness in the source has ended it here by now. */
static int send_marks(struct taking *taking)
{
    const struct copy_state *state = &taking->state;
    struct remote_words words = {0};
    struct period_frame frame;

    if (taking->has_marks || !taking->has_state)
        return 0;
    taking->has_marks = true;
    remote_frame_of(taking->site, state->clock ? state->clock : (int64_t)(site_now() / 1000), &frame);
    begin(taking, &words, "merge_state");
    remote_number(&words, state->clock);
    remote_number(&words, state->since);
    remote_number(&words, state->accepted);
    remote_number(&words, state->forgotten);
    remote_number(&words, (int64_t)state->late);
    remote_number(&words, state->baseline.visitors);
    remote_number(&words, state->baseline.visits);
    remote_number(&words, state->baseline.hits);
    remote_word(&words, "1");
    remote_frame(&words, &frame);
    return run(taking, &words);
}

/* ---- Periods ----------------------------------------------------------------------------------------------------- */

/* 0: the week of now, 1: the one before, -1: another. */
static int week_of(const struct taking *taking, struct period_date date)
{
    const struct period_span *week = &taking->now.of[PERIOD_WEEK];
    int64_t day = period_days(date), first = period_days(week->first);

    return day >= first && day < first + 7 ? 0 : day >= period_days(week->previous_first) && day < first ? 1 : -1;
}

/* 0: the month of now, 1: the one before, -1: another. */
static int near_month(const struct taking *taking, struct period_date date)
{
    struct period_date now = taking->now.of[PERIOD_MONTH].first;
    int ago = (now.year - date.year) * 12 + now.month - date.month;
    return ago == 0 || ago == 1 ? ago : -1;
}

/* Does no window show it any more? */
static bool is_closed(const struct taking *taking, int kind, struct period_date first)
{
    return kind < PERIOD_YEAR && period_days(first) < period_days(taking->now.of[kind].previous_first);
}

/* Zero needs no telling. */
static unsigned add_field(struct remote_words *fields, const char *name, uint64_t value)
{
    if (value == 0)
        return 0;
    remote_word(fields, name);
    remote_number(fields, value > INT64_MAX ? INT64_MAX : (int64_t)value);
    return 1;
}

/* The fields that grow. */
static unsigned add_fields(struct remote_words *fields, const struct copy_period *period)
{
    bool is_day = period->kind == PERIOD_DAY;
    unsigned n = add_field(fields, "shown", period->shown) + add_field(fields, "unsure", period->unsure);
    char name[64];

    if (is_day || period->has_sums)
        n += add_field(fields, "hits", period->hits) + add_field(fields, "visits", period->visits);
    for (unsigned hour = 0; is_day && hour < 24; hour++) {
        snprintf(name, sizeof name, "hour:%02u", hour);
        n += add_field(fields, name, period->hour[hour]);
    }
    for (int verdict = 1; is_day && verdict < COUNTER_VERDICTS; verdict++) {
        snprintf(name, sizeof name, "excluded:%s", store_verdict_name((enum counter_verdict)verdict));
        n += add_field(fields, name, period->excluded[verdict]);
    }
    return n;
}

/* Where a sketch goes: to its own period, and a day's to the week and month that windows still show. */
static unsigned sketches_of(const struct taking *taking, const struct copy_period *period, char name[3][REMOTE_PERIOD])
{
    unsigned n = 0;

    if (!period->sketch)
        return 0;
    remote_period(name[n++], "visitors:", period->kind, period->first);
    if (period->kind != PERIOD_DAY)
        return n;
    int week = week_of(taking, period->first), month = near_month(taking, period->first);
    const struct period_span *weeks = &taking->now.of[PERIOD_WEEK], *months = &taking->now.of[PERIOD_MONTH];
    if (week >= 0)
        remote_period(name[n++], "visitors:", PERIOD_WEEK, week == 0 ? weeks->first : weeks->previous_first);
    if (month >= 0)
        remote_period(name[n++], "visitors:", PERIOD_MONTH, month == 0 ? months->first : months->previous_first);
    return n;
}

static int send_period(const struct taking *taking, const struct copy_period *period)
{
    bool closed = is_closed(taking, period->kind, period->first);
    struct remote_words words = {0}, fields = {0};
    unsigned char encoded[SKETCH_ENCODED];
    char key[REMOTE_PERIOD], own[REMOTE_PERIOD], name[3][REMOTE_PERIOD];

    remote_period(key, "", period->kind, period->first);
    remote_period(own, "visitors:", period->kind, period->first);
    begin(taking, &words, "merge_period");
    remote_word(&words, key);
    remote_number(&words, (int64_t)period->visitors);
    if (period->ended)
        remote_number(&words, (int64_t)period->estimate);
    else
        remote_word(&words, "");
    unsigned sketches = sketches_of(taking, period, name);
    remote_number(&words, add_fields(&fields, period));
    remote_number(&words, !closed ? 0 : period->kind == PERIOD_MONTH ? 1 : 2);
    remote_number(&words, sketches);
    remote_append(&words, &fields);
    if (closed)
        remote_word(&words, own);
    if (closed && period->kind != PERIOD_MONTH) /* months' sums stay */
        remote_word(&words, key);
    if (sketches > 0)
        remote_bytes(&words, encoded, sketch_encode(period->sketch, 3000, encoded));
    for (unsigned i = 0; i < sketches; i++)
        remote_word(&words, name[i]);
    return run(taking, &words);
}

/* Days come by whole months; those before the retention are in their month's sums. */
static bool is_kept(const struct taking *taking, const struct copy_period *period)
{
    return period->kind != PERIOD_DAY ||
           period_days(period->first) >= period_days(taking->now.date) - (int64_t)taking->site->fixed.retention_days;
}

static int take_period(struct copy_taker *taker, const struct copy_period *period)
{
    struct taking *taking = taking_of(taker);
    return is_kept(taking, period) ? send_period(taking, period) : 0;
}

/* ---- Visitors ---------------------------------------------------------------------------------------------------- */

static int64_t score_of(const struct copy_visitor *visitor)
{
    return visitor->seen * 10 + (int64_t)(visitor->bits % 8);
}

static int send_visitors(struct taking *taking, size_t n)
{
    struct remote_words words = {0};
    char text[REMOTE_VISITOR];

    begin(taking, &words, "merge_visitors");
    remote_number(&words, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        const struct copy_visitor *visitor = &taking->pending[i];
        if (visitor->key)
            remote_visitor(text, visitor->key);
        remote_word(&words, visitor->key ? text : "");
        remote_number(&words, score_of(visitor));
    }
    remote_word(&words, "1");
    remote_frame(&words, &taking->now);
    taking->visitors -= n;
    memmove(taking->pending, taking->pending + n, taking->visitors * sizeof *taking->pending);
    return run(taking, &words);
}

static bool make_room(struct taking *taking, size_t n)
{
    if (taking->visitors + n <= taking->room)
        return true;
    size_t room = 2 * (taking->visitors + n);
    struct copy_visitor *pending = realloc(taking->pending, room * sizeof *pending);
    if (!pending)
        return false;
    taking->pending = pending;
    taking->room = room;
    return true;
}

/* Sent once there are many, but for those of the last score: more of them may come. */
static int take_visitors(struct copy_taker *taker, const struct copy_visitor *visitors, size_t n)
{
    struct taking *taking = taking_of(taker);
    int r = send_marks(taking);

    if (r < 0)
        return r;
    if (!make_room(taking, n))
        return error_set(COUNTER_ENOMEM, "no memory for %zu visitors of a copy", taking->visitors + n);
    memcpy(taking->pending + taking->visitors, visitors, n * sizeof *visitors);
    taking->visitors += n;
    size_t whole = taking->visitors;
    while (whole > 0 && score_of(&taking->pending[whole - 1]) == score_of(&taking->pending[taking->visitors - 1]))
        whole--;
    return whole >= COPY_BATCH ? send_visitors(taking, whole) : 0;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int take_end(struct copy_taker *taker, int result)
{
    struct taking *taking = taking_of(taker);

    if (result == 0 && (result = send_marks(taking)) == 0 && taking->visitors > 0)
        result = send_visitors(taking, taking->visitors);
    if (result == 0)
        result = remote_sums(taking->remote, taking->site, &taking->now);
    free(taking->pending);
    free(taking);
    return result;
}

int remote_take(struct store *store, const char *name, struct copy_taker **out)
{
    struct taking *taking = calloc(1, sizeof *taking);

    if (!taking)
        return error_set(COUNTER_ENOMEM, "no memory for a copy");
    taking->taker = (struct copy_taker){.site = take_site,
                                        .key = take_key,
                                        .state = take_state,
                                        .period = take_period,
                                        .visitors = take_visitors,
                                        .end = take_end};
    taking->remote = remote_of(store);
    taking->name = name;
    *out = &taking->taker;
    return 0;
}
