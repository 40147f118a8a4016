/*
 * remote_check.c: looks at a site on a server, and at the server, and says what it means. Nothing is changed.
 *
 * What the server says about itself comes from INFO; a user who may not ask is told so instead of being told that all is
 * well. Facts are told in a fixed order; the worst level is the result.
 */
#include "error.h"
#include "remote.h"
#include "report.h"
#include "site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The server -------------------------------------------------------------------------------------------------- */

/* The value of a line "name:value\r\n" of INFO, cut at size; "" where there is none. */
static const char *info_of(const redisReply *info, const char *name, char *buffer, size_t size)
{
    size_t length = strlen(name);
    const char *line = info->type == REDIS_REPLY_STRING ? info->str : "";

    buffer[0] = 0;
    for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            error_quote(buffer, line, strcspn(line, "\r\n") < size ? strcspn(line, "\r\n") : size - 1);
            return buffer;
        }
    return buffer;
}

static void tell_eviction(struct report *report, const redisReply *info, const char *host)
{
    char policy[ERROR_QUOTED], most[ERROR_QUOTED];

    info_of(info, "maxmemory_policy", policy, sizeof policy);
    info_of(info, "maxmemory", most, sizeof most);
    if (strcmp(policy, "noeviction") == 0)
        report_tell(report, COUNTER_FACT, "eviction", "a full server refuses hits and loses none", "%s: %s", host,
                    policy);
    else if (strncmp(policy, "volatile-", 9) == 0)
        report_tell(report, COUNTER_FACT, "eviction", "a full server may drop days that no window shows", "%s: %s",
                    host, policy);
    else
        report_tell(report, COUNTER_WARNING, "eviction",
                    "a full server may drop counters: set maxmemory-policy noeviction or volatile-ttl", "%s: %s%s",
                    host, policy, strcmp(most, "0") == 0 ? ", without a limit of memory as yet" : "");
}

static void tell_persistence(struct report *report, const redisReply *info, const redisReply *save, const char *host)
{
    char aof[ERROR_QUOTED], failed[ERROR_QUOTED];
    bool snapshots = save->type == REDIS_REPLY_ARRAY && save->elements == 2 && remote_text(save, 1)[0];

    info_of(info, "aof_enabled", aof, sizeof aof);
    info_of(info, "aof_last_write_status", failed, sizeof failed);
    if (strcmp(aof, "1") == 0 && failed[0] && strcmp(failed, "ok") != 0)
        report_tell(report, COUNTER_WARNING, "persistence", "the server cannot write its append-only file", "%s: %s",
                    host, failed);
    else if (strcmp(aof, "1") == 0)
        report_tell(report, COUNTER_FACT, "persistence", "appendfsync everysec may lose a second, always nothing",
                    "%s: append-only file", host);
    else if (snapshots)
        report_tell(report, COUNTER_FACT, "persistence",
                    "a crash loses what came since the last snapshot: appendonly yes keeps it", "%s: snapshots", host);
    else if (save->type == REDIS_REPLY_ERROR)
        report_tell(report, COUNTER_FACT, "persistence",
                    "no append-only file; this user may not ask for snapshots (CONFIG GET)", "%s: unknown", host);
    else
        report_tell(report, COUNTER_WARNING, "persistence",
                    "a restart of the server loses all counts: set appendonly yes", "%s: none", host);
}

static int tell_server(void *arg, const struct redis_host *host, redisReply **replies)
{
    struct report *report = arg;
    char shown[REDIS_NAME + 8], version[ERROR_QUOTED];
    const redisReply *info = replies[0];

    redis_host_show(shown, host);
    if (info->type != REDIS_REPLY_STRING) {
        report_tell(report, COUNTER_FACT, "server",
                    "this user may not ask it about itself (INFO): see to persistence and "
                    "eviction yourself",
                    "%s", shown);
        return 0;
    }
    info_of(info, "valkey_version", version, sizeof version);
    bool valkey = version[0] != 0;
    if (!valkey)
        info_of(info, "redis_version", version, sizeof version);
    report_tell(report, COUNTER_FACT, "server", "", "%s: %s %s", shown, valkey ? "Valkey" : "Redis", version);
    tell_eviction(report, info, shown);
    tell_persistence(report, info, replies[1], shown);
    return report->stopped;
}

static int check_servers(struct remote *remote, struct report *report)
{
    const char *info[] = {"INFO"}, *save[] = {"CONFIG", "GET", "save"};
    const size_t info_length[] = {4}, save_length[] = {6, 3, 4};
    struct redis_command commands[] = {{1, info, info_length}, {3, save, save_length}};

    return redis_client_each(remote->client, commands, 2, remote_deadline(remote), tell_server, report);
}

/* Only what is amiss. */
struct filter {
    counter_fact_fn *each;
    void *arg;
};

static int pass_warnings(void *arg, const struct counter_fact *fact)
{
    struct filter *filter = arg;
    return fact->level == COUNTER_FACT ? 0 : filter->each(filter->arg, fact);
}

int remote_warnings(struct store *store, counter_fact_fn *each, void *arg)
{
    struct filter filter = {each, arg};
    struct report report = {.each = pass_warnings, .arg = &filter};
    int r = check_servers(remote_of(store), &report);

    return r < 0 ? r : report_result(&report);
}

/* ---- The site ---------------------------------------------------------------------------------------------------- */

static struct report_site describe(const struct remote_site *site, const struct remote_state *state)
{
    return (struct report_site){.zone = site->zone,
                                .week_start = (enum counter_weekday)site->fixed.week_start,
                                .key_rotation = (enum counter_rotation)site->fixed.key_rotation,
                                .exact_visitors = site->fixed.exact_visitors,
                                .forget_days = site->fixed.forget_days,
                                .retention_days = site->fixed.retention_days,
                                .since = state->since,
                                .clock = state->clock,
                                .accepted = state->accepted,
                                .forgotten = state->forgotten,
                                .late = state->late,
                                .baseline = state->baseline};
}

/* What is there all the time: the visitors known by name, and a year of days like the newest one. */
static int check_memory(struct report *report, struct remote *remote, const struct remote_site *site,
                        const struct remote_state *state)
{
    enum { KEYS = 5 };
    static const char *const rest[KEYS] = {"recent", "all", "visitors:all", "day:%s", "visitors:day:%s"};
    struct remote_words words[KEYS] = {{0}};
    char date[REMOTE_DATE], part[64], key[REMOTE_NAME];
    redisReply *replies[KEYS];
    struct period_frame frame;
    int64_t bytes[KEYS] = {0};

    remote_frame_of(site, state->clock ? state->clock : (int64_t)(site_now() / 1000), &frame);
    remote_date(date, PERIOD_DAY, frame.date);
    for (int i = 0; i < KEYS; i++) {
        size_t length = strcspn(rest[i], "%");
        snprintf(part, sizeof part, "%.*s%s", (int)length, rest[i], rest[i][length] ? date : "");
        remote_name(remote, key, site->fixed.site, part);
        remote_word(&words[i], "MEMORY");
        remote_word(&words[i], "USAGE");
        remote_word(&words[i], key);
    }
    int r = remote_send_all(remote, site->meta, words, KEYS, REDIS_REPEAT, remote_deadline(remote), replies);
    if (r < 0)
        return r;
    bool allowed = true;
    for (int i = 0; i < KEYS; i++) {
        allowed = allowed && replies[i]->type != REDIS_REPLY_ERROR;
        bytes[i] = replies[i]->type == REDIS_REPLY_INTEGER ? replies[i]->integer : 0;
    }
    remote_free_replies(replies, KEYS);
    if (allowed)
        report_tell(report, COUNTER_FACT, "memory", "its visitors and all time; and each day that is kept",
                    "%" PRId64 " bytes, and %" PRId64 " a day", bytes[0] + bytes[1] + bytes[2], bytes[3] + bytes[4]);
    else
        report_tell(report, COUNTER_FACT, "memory", "this user may not ask for it (MEMORY USAGE)", "unknown");
    return 0;
}

static bool is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_NIL || (reply->type == REDIS_REPLY_STRING && reply->len > 0 &&
                                              strspn(reply->str, "0123456789") == (size_t)reply->len);
}

/* Fields that only grow: numbers, or not there yet. */
static bool are_numbers(const redisReply *fields)
{
    if (fields->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < fields->elements; i++)
        if (!is_number(fields->element[i]))
            return false;
    return true;
}

/* What somebody else wrote to: the figures and sketches of the open periods. The server itself says whether it can read
 * a sketch. */
static int check_periods(struct report *report, struct remote *remote, const struct remote_site *site,
                         const struct remote_state *state)
{
    enum { KINDS = PERIOD_KINDS + 1 };
    static const char *const fields[] = {"hits", "visits", "visitors", "unsure", "shown", "estimate"};
    struct remote_words words[2 * KINDS] = {{0}};
    char key[REMOTE_NAME], rest[REMOTE_PERIOD];
    redisReply *replies[2 * KINDS];
    unsigned figures = 0, sketches = 0;
    struct period_frame frame;

    if (state->clock == 0)
        return 0;
    remote_frame_of(site, state->clock, &frame);
    for (int i = 0; i < KINDS; i++) {
        struct period_date first = i < COPY_ALL_TIME ? frame.of[i].first : (struct period_date){0};
        remote_period(rest, "visitors:", i, first);
        remote_name(remote, key, site->fixed.site, rest);
        remote_word(&words[i], "PFCOUNT");
        remote_word(&words[i], key);
        remote_period(rest, "", i, first);
        remote_name(remote, key, site->fixed.site, rest);
        remote_word(&words[KINDS + i], "HMGET");
        remote_word(&words[KINDS + i], key);
        for (size_t field = 0; field < sizeof fields / sizeof fields[0]; field++)
            remote_word(&words[KINDS + i], fields[field]);
    }
    int r = remote_send_all(remote, site->meta, words, 2 * KINDS, REDIS_REPEAT, remote_deadline(remote), replies);
    if (r < 0)
        return r;
    for (int i = 0; i < KINDS; i++) {
        sketches += replies[i]->type == REDIS_REPLY_ERROR;
        figures += !are_numbers(replies[KINDS + i]);
    }
    remote_free_replies(replies, 2 * KINDS);
    if (sketches > 0)
        report_tell(report, COUNTER_BROKEN, "sketches",
                    "the server cannot read them: estimates of their windows stand still", "%u of %d", sketches, KINDS);
    if (figures > 0)
        report_tell(report, COUNTER_BROKEN, "figures",
                    "damaged: their windows show nothing, and hits that belong there are refused", "%u of %d", figures,
                    KINDS);
    return 0;
}

int remote_check(struct store *store, const char *name, counter_fact_fn *each, void *arg)
{
    struct remote *remote = remote_of(store);
    struct report report = {.each = each, .arg = arg};
    char url[2 * REDIS_NAME];
    struct remote_state state;
    struct remote_site *site;
    int r = remote_state(remote, name, &site, &state);

    if (r < 0)
        return r;
    struct report_site about = describe(site, &state);
    report_tell(&report, COUNTER_FACT, "site", "", "%s", name);
    report_tell(&report, COUNTER_FACT, "store", "", "%s, keys begin with \"%s:{%s}:\"",
                redis_url_show(url, sizeof url, remote->settings->store), remote->settings->prefix, name);
    if ((r = check_servers(remote, &report)) < 0)
        return r;
    report_clock(&report, &about, (int64_t)(site_now() / 1000));
    bool overfull = state.visitors > state.capacity + state.capacity / 8;
    report_tell(&report, overfull ? COUNTER_WARNING : COUNTER_FACT, "fill",
                overfull ? "nobody is dropped: does the user lack a right (zremrangebyrank)?"
                         : "visitors known by name, and the most that are",
                "%" PRIu64 " of %" PRIu64, state.visitors, state.capacity);
    report_limits(&report, &about);
    report_sums(&report, &about);
    if ((r = check_memory(&report, remote, site, &state)) < 0 || (r = check_periods(&report, remote, site, &state)) < 0)
        return r;
    return report_result(&report);
}
