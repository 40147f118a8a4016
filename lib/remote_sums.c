/*
 * remote_sums.c: hits and visits of periods that are made of others, after parts of a site came from another store.
 *
 * Weeks and months are raised to what their days come to, years and all time to what their months do, as it would be in
 * files. Where the days are gone a month has its own sums.
 */
#include "remote.h"
#include "site.h"

struct group {
    struct remote_words parts;
    unsigned n;
};

struct adding {
    struct remote *remote;
    struct remote_site *site;
};

static void add_part(struct group *group, int kind, struct period_date first)
{
    char key[REMOTE_PERIOD];
    remote_period(key, "", kind, first);
    remote_word(&group->parts, key);
    group->n++;
}

static int send_group(const struct adding *adding, struct group *group, int kind, struct period_date first)
{
    struct remote_words words = {0};
    char key[REMOTE_PERIOD];
    redisReply *reply;

    remote_period(key, "", kind, first);
    remote_begin(adding->remote, &words, "merge_sums", adding->site);
    remote_word(&words, "1");
    remote_word(&words, key);
    remote_number(&words, group->n);
    remote_append(&words, &group->parts);
    group->n = 0;
    int r = remote_script(adding->remote, REMOTE_KEEP, adding->site->meta, &words, REDIS_REPEAT, "adding up a copy",
                          remote_deadline(adding->remote), &reply);
    if (r == 0)
        freeReplyObject(reply);
    return r;
}

static int sum_days(const struct adding *adding, int kind, struct period_date first, struct period_date next)
{
    struct group group = {{0}, 0};

    for (int64_t day = period_days(first); day < period_days(next); day++)
        add_part(&group, PERIOD_DAY, period_date_of(day));
    return send_group(adding, &group, kind, first);
}

static int month_of(struct period_date date)
{
    return (date.year - 2000) * 12 + date.month - 1;
}

static struct period_date month_at(int month)
{
    return (struct period_date){(int16_t)(2000 + month / 12), (int8_t)(month % 12 + 1), 1};
}

static int sum_months(const struct adding *adding, int first, int last)
{
    struct group year = {{0}, 0}, all = {{0}, 0};
    int r = 0;

    for (int month = first; r == 0 && month <= last; month++) {
        add_part(&year, PERIOD_MONTH, month_at(month));
        add_part(&all, PERIOD_MONTH, month_at(month));
        if (month == last || month % 12 == 11)
            r = send_group(adding, &year, PERIOD_YEAR, month_at(month - month % 12));
    }
    if (r == 0)
        return send_group(adding, &all, COPY_ALL_TIME, (struct period_date){0});
    remote_words_free(&all.parts);
    return r;
}

static int month_at_time(const struct remote_site *site, int64_t t)
{
    struct period_frame frame;
    remote_frame_of(site, t, &frame);
    return month_of(frame.date);
}

int remote_sums(struct remote *remote, struct remote_site *site, const struct period_frame *now)
{
    const struct period_span *week = &now->of[PERIOD_WEEK];
    struct adding adding = {remote, site};
    struct remote_state state;
    int r = remote_state(remote, site->fixed.site, &adding.site, &state);

    if (r < 0 || state.clock == 0)
        return r;
    int64_t kept = state.clock - (int64_t)site->fixed.retention_days * 86400;
    int first = month_at_time(site, state.since), last = month_at_time(site, state.clock);
    int month = month_at_time(site, kept > state.since ? kept : state.since);

    for (; r == 0 && month <= last; month++)
        r = sum_days(&adding, PERIOD_MONTH, month_at(month), month_at(month + 1));
    if (r == 0 && (r = sum_days(&adding, PERIOD_WEEK, week->previous_first, week->first)) == 0)
        r = sum_days(&adding, PERIOD_WEEK, week->first, period_date_of(period_days(week->first) + 7));
    return r < 0 ? r : sum_months(&adding, first - first % 12, last);
}
