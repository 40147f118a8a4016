/*
 * counter.c: the handle and the public calls.
 *
 * A handle is immutable after counter_open: settings, two lists of networks, a store. Requests end here: what goes on
 * to the store is an id, a time and a verdict.
 */
#include "abi.h"
#include "counter_handle.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Open ------------------------------------------------------------------------------------------------------- */

int counter_open(struct counter **out, const struct counter_options *options)
{
    int r;

    *out = NULL;
    struct counter *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(COUNTER_ENOMEM, "no memory for a handle");
    if ((r = settings_read(&c->settings, options)) < 0 ||
        (r = address_list_open(&c->trusted, "trusted_proxies", c->settings.trusted_proxies)) < 0 ||
        (r = address_list_open(&c->exclude, "exclude", c->settings.exclude)) < 0 ||
        (c->settings.site[0] && (r = store_site_name(c->settings.site)) < 0) ||
        (r = store_open(&c->store, &c->settings)) < 0) {
        counter_close(c);
        return r;
    }
    *out = c;
    return 0;
}

void counter_close(struct counter *c)
{
    if (!c)
        return;
    if (c->store)
        c->store->ops->close(c->store);
    address_list_close(c->exclude);
    address_list_close(c->trusted);
    settings_free(&c->settings);
    free(c);
}

int counter_sync(struct counter *c)
{
    return c->store->ops->sync(c->store);
}

/* ---- Requests to store hits --------------------------------------------------------------------------------------- */

/* The site a call means: its own word or the handle's. */
int counter_choose_site(const struct counter *c, const char **site)
{
    if (!*site)
        *site = c->settings.site;
    if (!**site)
        return error_set(COUNTER_EINVAL, "no site was named, neither in the call nor in the settings");
    return store_site_name(*site);
}

/* The member's bytes: up to its NUL where no length is given. */
static size_t length_of(const char *text, uint32_t length)
{
    return !text ? 0 : length ? length : strlen(text);
}

int counter_find_client(const struct counter *c, const struct counter_hit *hit, struct counter_client *out)
{
    size_t length = length_of(hit->address, hit->address_length);
    char quoted[ERROR_QUOTED];
    struct address peer;

    *out = (struct counter_client){0};
    if (length == 0 && hit->visitor)
        return 0;
    if (length == 0)
        return error_set(COUNTER_EINVAL, "a hit needs an address or a visitor");
    if (address_parse(&peer, hit->address, length) < 0)
        return error_set(COUNTER_EINVAL, "address \"%s\" is neither IPv4 nor IPv6",
                         error_quote(quoted, hit->address, length));
    out->source = address_client(&out->address, &peer, hit->forwarded, length_of(hit->forwarded, hit->forwarded_length),
                                 c->trusted);
    out->has_address = true;
    out->excluded = address_list_find(c->exclude, &out->address);
    return 0;
}

void counter_judge(const struct counter *c, const struct counter_hit *hit, const struct counter_client *client,
                   struct store_hit *out)
{
    if (hit->flags & COUNTER_HIT_ALL)
        return;
    if (client->excluded) {
        out->verdict = COUNTER_OWN_ADDRESS;
    } else if ((hit->flags & COUNTER_HIT_PRIVACY) && c->settings.privacy_signal > COUNTER_SIGNAL_COUNT) {
        out->verdict = COUNTER_PRIVACY_SIGNAL;
        out->anonymous = c->settings.privacy_signal == COUNTER_SIGNAL_HITS_ONLY;
    }
}

static uint64_t identify(const struct identity_key *key, const char *site, const struct counter_hit *hit,
                         const struct counter_client *client)
{
    if (hit->visitor)
        return identity_of_visitor(key, site, hit->visitor, length_of(hit->visitor, hit->visitor_length));
    return identity_of_address(key, site, &client->address, hit->agent ? hit->agent : "",
                               length_of(hit->agent, hit->agent_length));
}

/* What breaks a rule: another hit may be better. */
static int understand(const struct counter *c, struct counter_hit *hit, struct counter_client *client)
{
    int r = counter_choose_site(c, &hit->site);
    return r < 0 ? r : counter_find_client(c, hit, client);
}

static int translate(const struct counter *c, const struct counter_hit *hit, const struct counter_client *client,
                     struct store_hit *out)
{
    struct identity_keys keys;
    struct timespec now;
    int r;

    *out = (struct store_hit){.at = hit->at};
    if (out->at == 0) {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        out->at = now.tv_sec;
    }
    counter_judge(c, hit, client, out);
    if (out->verdict != COUNTER_COUNTED)
        return 0;
    if ((r = c->store->ops->keys(c->store, hit->site, out->at, 1, &keys)) < 0)
        return r;
    out->nameless = !keys.known;
    if (keys.known)
        out->id = identify(&keys.current, hit->site, hit, client);
    out->has_previous = keys.has_previous;
    if (keys.has_previous)
        out->previous_id = identify(&keys.previous, hit->site, hit, client);
    return 0;
}

/* ---- Count ------------------------------------------------------------------------------------------------------ */

int counter_record(struct counter *c, const struct counter_hit *hit, struct counter_stats *stats)
{
    struct counter_stats known;
    struct counter_hit own;
    struct counter_client client;
    struct store_hit given;
    size_t done;
    int r;

    if ((r = abi_copy(&own, sizeof own, hit, "struct counter_hit")) < 0 ||
        (stats && (r = abi_copy(&known, sizeof known, stats, "struct counter_stats")) < 0) ||
        (r = understand(c, &own, &client)) < 0 || (r = translate(c, &own, &client, &given)) < 0 ||
        (r = c->store->ops->record(c->store, own.site, &given, 1, &done, stats ? &known : NULL)) < 0)
        return r;
    if (stats)
        abi_give(stats, &known, sizeof known);
    return (int)given.verdict;
}

/* Hits of one site in a row go to the store together. */
enum { BATCH = 64 };

struct batch {
    const char *site;
    struct store_hit hit[BATCH];
    size_t source[BATCH]; /* its index in the caller's array */
    size_t n;
};

/* Sends the batch; hits of impossible times are passed over. On failure tally->done is the first not dealt with. */
static int send_batch(struct counter *c, struct batch *batch, struct counter_tally *tally)
{
    size_t at = 0, n = batch->n;

    batch->n = 0;
    while (at < n) {
        size_t done = 0;
        int r = c->store->ops->record(c->store, batch->site, batch->hit + at, n - at, &done, NULL);
        for (size_t i = at; i < at + done; i++)
            tally->verdict[batch->hit[i].verdict]++;
        at += done;
        if (r == 0)
            break;
        if (r != COUNTER_ETIME) {
            tally->done = batch->source[at];
            return r;
        }
        tally->refused++;
        at++;
    }
    return 0;
}

/* One hit of the caller's array, translated into the batch; a full batch or another site's is sent first. */
static int add_to_batch(struct counter *c, struct batch *batch, const void *hit, size_t index,
                        struct counter_tally *tally)
{
    struct counter_hit own;
    struct counter_client client;
    struct store_hit given;
    bool broken = false;
    int r = abi_copy(&own, sizeof own, hit, "struct counter_hit");

    if (r == 0 && (r = understand(c, &own, &client)) < 0)
        broken = true;
    else if (r == 0)
        r = translate(c, &own, &client, &given);
    if (r < 0 && batch->n > 0) { /* first those before it, so that the last failure in order is the last told */
        int s = send_batch(c, batch, tally);
        return s < 0 ? s : add_to_batch(c, batch, hit, index, tally);
    }
    if (broken) {
        tally->refused++;
        return 0;
    }
    if (r < 0) {
        tally->done = index;
        return r;
    }
    if ((batch->n == BATCH || (batch->n > 0 && strcmp(batch->site, own.site) != 0)) &&
        (r = send_batch(c, batch, tally)) < 0)
        return r;
    batch->site = own.site;
    batch->source[batch->n] = index;
    batch->hit[batch->n++] = given;
    return 0;
}

int counter_record_many(struct counter *c, const struct counter_hit *hits, size_t n, struct counter_tally *tally)
{
    struct counter_tally sum = {0};
    struct batch batch = {0};
    size_t stride = n > 0 ? hits[0].size : 0;
    int r = 0;

    if (tally && (r = abi_copy(&sum, sizeof sum, tally, "struct counter_tally")) < 0)
        return r;
    sum = (struct counter_tally){.size = sum.size, .done = n};
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *hit = (const char *)hits + i * stride;
        if (*(const size_t *)(const void *)hit == stride) {
            r = add_to_batch(c, &batch, hit, i, &sum);
        } else if ((r = send_batch(c, &batch, &sum)) == 0) {
            r = error_set(COUNTER_EINVAL, "hit %zu has another .size than the first", i);
            sum.done = i;
        }
    }
    if (r == 0)
        r = send_batch(c, &batch, &sum);
    if (tally)
        abi_give(tally, &sum, sizeof sum);
    return r;
}

/* ---- Ask -------------------------------------------------------------------------------------------------------- */

int counter_read(struct counter *c, const char *site, int64_t at, struct counter_stats *stats)
{
    struct counter_stats known;
    int r = abi_copy(&known, sizeof known, stats, "struct counter_stats");

    if (r < 0 || (r = counter_choose_site(c, &site)) < 0 || (r = c->store->ops->read(c->store, site, at, &known)) < 0)
        return r;
    abi_give(stats, &known, sizeof known);
    return 0;
}

int counter_series(struct counter *c, const char *site, const char *from, const char *to, enum counter_step step,
                   counter_row_fn *each, void *arg)
{
    int r = counter_choose_site(c, &site);
    return r < 0 ? r : c->store->ops->series(c->store, site, from, to, step, each, arg);
}

int counter_breakdown(struct counter *c, const char *site, const char *from, const char *to, enum counter_part part,
                      counter_row_fn *each, void *arg)
{
    int r = counter_choose_site(c, &site);
    return r < 0 ? r : c->store->ops->breakdown(c->store, site, from, to, part, each, arg);
}

int counter_sites(struct counter *c, counter_row_fn *each, void *arg)
{
    return c->store->ops->sites(c->store, each, arg);
}

int counter_site(struct counter *c, const char *site, struct counter_site *out)
{
    struct counter_site known;
    int r = abi_copy(&known, sizeof known, out, "struct counter_site");

    if (r < 0 || (r = counter_choose_site(c, &site)) < 0 || (r = c->store->ops->site(c->store, site, &known)) < 0)
        return r;
    abi_give(out, &known, sizeof known);
    return 0;
}

int counter_local_time(struct counter *c, const char *site, int64_t at, char *buffer, size_t size)
{
    int r = site || c->settings.site[0] ? counter_choose_site(c, &site) : 0;

    if (r < 0)
        return r;
    if (size < 26)
        return error_set(COUNTER_EINVAL, "a buffer of %zu bytes: a local time needs 26", size);
    return c->store->ops->local_time(c->store, site, at ? at : (int64_t)time(NULL), buffer, size);
}

/* ---- Keep ------------------------------------------------------------------------------------------------------- */

int counter_baseline(struct counter *c, const char *site, const struct counter_count *old)
{
    int r = counter_choose_site(c, &site);

    if (r < 0)
        return r;
    if (old->visitors < 0 || old->visits < 0 || old->hits < 0)
        return error_set(COUNTER_EINVAL, "a baseline cannot be negative: %lld visitors, %lld visits, %lld hits",
                         (long long)old->visitors, (long long)old->visits, (long long)old->hits);
    return c->store->ops->baseline(c->store, site, old);
}

int counter_erase(struct counter *c, const struct counter_hit *hit)
{
    struct identity_keys keys;
    struct counter_hit own;
    struct counter_client client;
    int r, known = 0;

    if ((r = abi_copy(&own, sizeof own, hit, "struct counter_hit")) < 0 ||
        (r = counter_choose_site(c, &own.site)) < 0 || (r = counter_find_client(c, &own, &client)) < 0)
        return r;
    int64_t at = own.at ? own.at : (int64_t)time(NULL);
    if ((r = c->store->ops->keys(c->store, own.site, at, 0, &keys)) < 0)
        return r;
    if (keys.known)
        known = c->store->ops->erase(c->store, own.site, identify(&keys.current, own.site, &own, &client));
    if (keys.has_previous && known >= 0) {
        r = c->store->ops->erase(c->store, own.site, identify(&keys.previous, own.site, &own, &client));
        return r < 0 ? r : r | known;
    }
    return known;
}

int counter_remove(struct counter *c, const char *site)
{
    int r = counter_choose_site(c, &site);
    return r < 0 ? r : c->store->ops->remove(c->store, site);
}

int counter_accept_clock(struct counter *c, const char *site)
{
    int r = counter_choose_site(c, &site);
    return r < 0 ? r : c->store->ops->accept_clock(c->store, site);
}

/* The name is the source's to choose. */
int counter_copy(struct counter *to, struct counter *from, const char *site)
{
    struct copy_taker *taker;
    int r = counter_choose_site(from, &site);

    if (r < 0)
        return r;
    if (to == from)
        return error_set(COUNTER_EINVAL, "site %s cannot be copied onto itself: it is the same handle", site);
    r = to->store->ops->take(to->store, site, &taker);
    return r < 0 ? r : from->store->ops->give(from->store, site, taker);
}

int counter_copy_key(struct counter *to, struct counter *from)
{
    struct identity_key key;

    if (to == from)
        return error_set(COUNTER_EINVAL, "a key cannot be copied onto itself: it is the same handle");
    bool had_one = to->store->ops->give_key(to->store, &key) == 0;
    int r = from->store->ops->give_key(from->store, &key);
    if (r == 0)
        r = to->store->ops->take_key(to->store, &key);
    explicit_bzero(&key, sizeof key);
    return r < 0 ? r : had_one;
}

/* ---- Understand ------------------------------------------------------------------------------------------------- */

int counter_check(struct counter *c, const char *site, counter_fact_fn *each, void *arg)
{
    int r = counter_choose_site(c, &site);
    return r < 0 ? r : c->store->ops->check(c->store, site, each, arg);
}

int counter_warnings(struct counter *c, counter_fact_fn *each, void *arg)
{
    return c->store->ops->warnings ? c->store->ops->warnings(c->store, each, arg) : COUNTER_FACT;
}

int counter_settings(const struct counter_options *options, counter_fact_fn *each, void *arg)
{
    return settings_each(options, each, arg);
}
