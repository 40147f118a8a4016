/*
 * remote_remove.c: takes a whole site away, in one run of the script, so that nobody counts into half of it.
 *
 * No list of a site's periods is kept: their names follow from its oldest and its newest hit. Keys that expired long ago
 * are named in vain.
 */
#include "error.h"
#include "remote.h"
#include "site.h"

#include <stdio.h>

static void name(struct remote_words *words, enum period_kind kind, struct period_date first)
{
    char rest[REMOTE_PERIOD];

    remote_period(rest, "", (int)kind, first);
    remote_word(words, rest);
    remote_period(rest, "visitors:", (int)kind, first);
    remote_word(words, rest);
}

/* A week, month or year is named by the day it begins with. */
static void name_periods(struct remote_words *words, const struct remote_site *site, int64_t since, int64_t clock)
{
    struct period_frame frame;

    for (int64_t t = since;; t = frame.of[PERIOD_DAY].end) {
        remote_frame_of(site, t, &frame);
        for (int kind = 0; kind < PERIOD_KINDS; kind++)
            if (t == since || frame.of[kind].start == frame.of[PERIOD_DAY].start)
                name(words, (enum period_kind)kind, frame.of[kind].first);
        if (frame.of[PERIOD_DAY].end > clock)
            break;
    }
}

/* SREM or SADD. */
static int change_list(struct remote *remote, const char *command, const char *site, redis_deadline deadline)
{
    struct remote_words words = {0};
    char list[REMOTE_NAME];
    redisReply *reply;

    remote_name(remote, list, NULL, "sites");
    remote_word(&words, command);
    remote_word(&words, list);
    remote_word(&words, site);
    int r = remote_send(remote, list, &words, REDIS_REPEAT, "unlisting a site", deadline, &reply);
    if (r == 0)
        freeReplyObject(reply);
    return r;
}

/* What is not counted moves no clock: it may lie anywhere from the retention to now. */
enum { MARGIN = 2 * 86400 };

int remote_remove(struct store *store, const char *site_name)
{
    struct remote *remote = remote_of(store);
    struct remote_words words = {0};
    struct remote_state state;
    struct remote_site *site;
    redisReply *reply = NULL;
    int r = remote_state(remote, site_name, &site, &state);

    if (r < 0)
        return r;
    int64_t last = (int64_t)(site_now() / 1000), kept = (int64_t)site->fixed.retention_days * 86400;
    int64_t first = (state.clock ? state.clock : last) - kept;
    if (state.since && state.since < first)
        first = state.since;
    if (state.clock > last)
        last = state.clock;
    remote_begin(remote, &words, "remove", site);
    name_periods(&words, site, first - MARGIN, last + MARGIN);
    redis_deadline deadline = remote_deadline(remote);
    /* First: whoever makes the site anew afterwards lists it again. */
    if ((r = change_list(remote, "SREM", site_name, deadline)) == 0)
        r = remote_script(remote, REMOTE_KEEP, site->meta, &words, REDIS_REPEAT, "removing a site", deadline, &reply);
    else
        remote_words_free(&words);
    if (r < 0) {
        char why[ERROR_TEXT];
        snprintf(why, sizeof why, "%s", counter_error());
        change_list(remote, "SADD", site_name, deadline);
        return error_set(r, "%s", why);
    }
    freeReplyObject(reply);
    remote_site_leave(site);
    return 0;
}
