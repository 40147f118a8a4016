/*
 * store_redis.c: the store on a Redis: one server, the master that Sentinels name, or a cluster.
 *
 * The contract of store.h over the calls of remote.h. What stands here itself is short: opening, and what changes one
 * field of a site.
 */
#include "error.h"
#include "names.h"
#include "remote.h"
#include "site.h"

#include <stdlib.h>
#include <string.h>

/* ---- One field of a site ----------------------------------------------------------------------------------------- */

typedef void words_fn(struct remote_words *words, const void *arg);

/* Runs an operation that begins with its name and the site's id; again where the site turns out to be another one. The
 * script's number behind "ok", or a negative code. */
static int operate(struct remote *remote, const char *name, bool create, const char *operation, const char *what,
                   words_fn *add, const void *arg)
{
    redis_deadline deadline = remote_deadline_go_on(remote);
    struct remote_site *site;
    redisReply *reply;

    for (;;) {
        struct remote_words words = {0};
        int r = remote_site(remote, name, create, deadline, &site);
        if (r < 0)
            return r;
        remote_begin(remote, &words, operation, site);
        add(&words, arg);
        if ((r = remote_script(remote, REMOTE_KEEP, site->meta, &words, REDIS_REPEAT, what, deadline, &reply)) < 0)
            return r;
        bool gone = remote_says(reply, "gone"), done = remote_says(reply, "ok");
        r = (int)remote_value(reply, 1);
        freeReplyObject(reply);
        if (done)
            return r;
        if (!gone)
            return error_set(COUNTER_EIO, "%s: the server's answer is none of the script's", what);
        remote_site_leave(site);
    }
}

static void add_baseline(struct remote_words *words, const void *arg)
{
    const struct counter_count *old = arg;
    remote_number(words, old->visitors);
    remote_number(words, old->visits);
    remote_number(words, old->hits);
}

static int redis_baseline(struct store *store, const char *name, const struct counter_count *old)
{
    return operate(remote_of(store), name, true, "baseline", "setting a baseline", add_baseline, old);
}

static void add_visitor(struct remote_words *words, const void *arg)
{
    char text[REMOTE_VISITOR];
    remote_visitor(text, identity_short(*(const uint64_t *)arg));
    remote_word(words, text);
}

static int redis_erase(struct store *store, const char *name, uint64_t id)
{
    return operate(remote_of(store), name, false, "erase", "erasing a visitor", add_visitor, &id);
}

static void add_accepted(struct remote_words *words, const void *arg)
{
    remote_word(words, "accepted");
    remote_number(words, *(const int64_t *)arg);
}

static int redis_accept_clock(struct store *store, const char *name)
{
    int64_t now = (int64_t)(site_now() / 1000);
    return operate(remote_of(store), name, false, "raise", "accepting the clock", add_accepted, &now);
}

/* ---- What there is ----------------------------------------------------------------------------------------------- */

static int add_names(struct names *names, const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const char *name = remote_text(reply, i);
        if (store_is_site_name(name) && names_add(names, name, strlen(name)) < 0)
            return COUNTER_ENOMEM;
    }
    return 0;
}

static int redis_sites(struct store *store, counter_row_fn *each, void *arg)
{
    struct remote *remote = remote_of(store);
    struct remote_words words = {0};
    struct names names = {0};
    char list[REMOTE_NAME];
    redisReply *reply;

    remote_name(remote, list, NULL, "sites");
    remote_word(&words, "SMEMBERS");
    remote_word(&words, list);
    int r = remote_send(remote, list, &words, REDIS_REPEAT, "listing the sites", remote_deadline(remote), &reply);
    if (r < 0)
        return r;
    r = add_names(&names, reply);
    freeReplyObject(reply);
    if (r == 0)
        r = names_each(&names, each, arg);
    names_free(&names);
    return r;
}

static int redis_site(struct store *store, const char *name, struct counter_site *out)
{
    struct remote_state state;
    struct remote_site *site;
    int r = remote_state(remote_of(store), name, &site, &state);

    if (r < 0)
        return r;
    memcpy(out->name, site->fixed.site, sizeof out->name);
    memcpy(out->timezone, site->fixed.timezone, sizeof out->timezone);
    out->week_start = (enum counter_weekday)site->fixed.week_start;
    out->exact_visitors = site->fixed.exact_visitors;
    out->forget_days = site->fixed.forget_days;
    out->retention_days = site->fixed.retention_days;
    out->key_rotation = (enum counter_rotation)site->fixed.key_rotation;
    out->since = state.since;
    out->newest = state.clock;
    out->baseline = state.baseline;
    return 0;
}

static int redis_local_time(struct store *store, const char *name, int64_t at, char *buffer, size_t size)
{
    struct remote *remote = remote_of(store);
    struct remote_site *site;
    struct zone *zone;
    int r = name ? remote_site(remote, name, false, remote_deadline(remote), &site) : COUNTER_ENOSITE;

    if (r == 0)
        period_format(site->zone, at, buffer, size);
    if (r != COUNTER_ENOSITE)
        return r;
    if ((r = zone_open(&zone, remote->settings->timezone)) < 0)
        return r;
    period_format(zone, at, buffer, size);
    zone_close(zone);
    return 0;
}

static int redis_give_key(struct store *store, struct identity_key *out)
{
    struct remote *remote = remote_of(store);
    int r = remote_master_key(remote, false, remote_deadline(remote), out);
    return r == COUNTER_ENOSITE ? error_set(r, "the store has no key yet: nothing was ever counted in it") : r;
}

static int redis_take_key(struct store *store, const struct identity_key *key)
{
    struct remote *remote = remote_of(store);
    return remote_take_master_key(remote, key, remote_deadline(remote));
}

/* The server's own settings say when it writes to disk. */
static int redis_sync(struct store *store)
{
    (void)store;
    return 0;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void redis_close(struct store *store)
{
    struct remote *remote = remote_of(store);

    for (int i = 0; i < REMOTE_CHAINS; i++)
        for (struct remote_site *site = atomic_load(&remote->chain[i]), *next; site; site = next) {
            next = site->next;
            remote_site_free(site);
        }
    redis_client_close(remote->client);
    explicit_bzero(&remote->url, sizeof remote->url);
    free(remote);
}

static const struct store_ops redis_ops = {
    .keys = remote_keys,
    .record = remote_record,
    .read = remote_read,
    .series = remote_series,
    .breakdown = remote_breakdown,
    .sites = redis_sites,
    .site = redis_site,
    .local_time = redis_local_time,
    .baseline = redis_baseline,
    .erase = redis_erase,
    .remove = remote_remove,
    .accept_clock = redis_accept_clock,
    .check = remote_check,
    .warnings = remote_warnings,
    .give = remote_give,
    .take = remote_take,
    .give_key = redis_give_key,
    .take_key = redis_take_key,
    .sync = redis_sync,
    .close = redis_close,
};

static int take_password(struct redis_url *url, const char *password)
{
    size_t length = strlen(password);

    if (url->password[0] || length == 0)
        return 0;
    if (length >= sizeof url->password)
        return error_set(COUNTER_EINVAL, "store_password: longer than %zu bytes", sizeof url->password - 1);
    memcpy(url->password, password, length + 1);
    return 0;
}

int store_redis_open(struct store **out, const struct settings *settings)
{
    struct remote *remote = calloc(1, sizeof *remote);
    int r;

    *out = NULL;
    if (!remote)
        return error_set(COUNTER_ENOMEM, "no memory for a store");
    remote->store.ops = &redis_ops;
    remote->settings = settings;
    if ((r = redis_url_parse(&remote->url, settings->store)) < 0 ||
        (r = take_password(&remote->url, settings->store_password)) < 0 ||
        (r = redis_client_open(&remote->client, &remote->url, settings->store_ca)) < 0) {
        explicit_bzero(&remote->url, sizeof remote->url);
        free(remote);
        return r;
    }
    explicit_bzero(remote->url.password, sizeof remote->url.password); /* the client has its copy */
    *out = &remote->store;
    return 0;
}
