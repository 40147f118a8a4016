/*
 * remote_keys.c: whose key a hit's visitor is named by, where the site is on a server.
 *
 * A site without key_rotation has one key, fetched with the site. With it, each day or month has a random key in the
 * site's hash of keys, made by whoever has its first hit; the rules are those of site_keys.h. Every process keeps the
 * keys it saw, and wipes them when the hits it counts have left their period for an hour.
 */
#include "error.h"
#include "remote.h"
#include "site_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The store's key --------------------------------------------------------------------------------------------- */

void remote_key_text(char *text, const struct identity_key *key)
{
    for (int i = 0; i < IDENTITY_KEY; i++)
        snprintf(text + 2 * i, 3, "%02x", key->byte[i]);
}

bool remote_key_parse(struct identity_key *out, const char *text)
{
    if (strlen(text) != 2 * IDENTITY_KEY || strspn(text, "0123456789abcdef") != 2 * IDENTITY_KEY)
        return false;
    for (int i = 0; i < IDENTITY_KEY; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        out->byte[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return true;
}

static int no_key(void)
{
    return error_set(COUNTER_EFORMAT, "the store's key is damaged: it is not %d hexadecimal digits", 2 * IDENTITY_KEY);
}

/* Sets the key where there is none (if one is given), and reads the one that holds. */
static int exchange_key(struct remote *remote, const struct identity_key *key, redis_deadline deadline,
                        struct identity_key *out)
{
    struct remote_words words[2] = {{0}};
    char name[REMOTE_NAME], text[REMOTE_KEY_TEXT];
    unsigned n = 0;
    redisReply *reply[2];

    remote_name(remote, name, NULL, "key");
    if (key) {
        remote_key_text(text, key);
        remote_word(&words[n], "SETNX");
        remote_word(&words[n], name);
        remote_word(&words[n++], text);
    }
    remote_word(&words[n], "GET");
    remote_word(&words[n++], name);
    int r = remote_send_all(remote, name, words, n, REDIS_REPEAT, deadline, reply);
    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < n; i++)
        if (reply[i]->type == REDIS_REPLY_ERROR)
            r = redis_reply_error(reply[i], "the store's key");
    const redisReply *got = reply[n - 1];
    if (r == 0 && got->type == REDIS_REPLY_NIL)
        r = COUNTER_ENOSITE;
    else if (r == 0 && (got->type != REDIS_REPLY_STRING || !remote_key_parse(out, got->str)))
        r = no_key();
    remote_free_replies(reply, n);
    explicit_bzero(text, sizeof text);
    return r;
}

int remote_master_key(struct remote *remote, bool create, redis_deadline deadline, struct identity_key *out)
{
    struct identity_key fresh;
    int r = create ? identity_new_key(&fresh) : 0;

    if (r == 0)
        r = exchange_key(remote, create ? &fresh : NULL, deadline, out);
    explicit_bzero(&fresh, sizeof fresh);
    return r;
}

int remote_take_master_key(struct remote *remote, const struct identity_key *key, redis_deadline deadline)
{
    struct identity_key has;
    int r = exchange_key(remote, key, deadline, &has);

    if (r == 0 && memcmp(&has, key, sizeof has) != 0)
        r = error_set(COUNTER_ECONFLICT, "the store has another key already: visitors would be strangers");
    explicit_bzero(&has, sizeof has);
    return r;
}

static enum period_kind kind_of(const struct remote_site *site)
{
    return site->fixed.key_rotation == COUNTER_ROTATION_DAILY ? PERIOD_DAY : PERIOD_MONTH;
}

/* ---- Keys at the server ------------------------------------------------------------------------------------------ */

enum { FETCH_GONE = 1 };

static int keep_text(struct remote_site *site, int64_t start, const char *text)
{
    struct identity_key key;

    if (!text[0])
        return 0;
    if (!remote_key_parse(&key, text))
        return error_set(COUNTER_EFORMAT, "site %s is damaged: a key is not %d hexadecimal digits", site->fixed.site,
                         2 * IDENTITY_KEY);
    int r = key_list_add(&site->keys, start, &key);
    explicit_bzero(&key, sizeof key);
    return r;
}

/* One round trip: destroys what is due, makes the span's key if there is none, and reads it and the one before. */
static int fetch(struct remote *remote, struct remote_site *site, const struct period_span *span,
                 const struct period_span *newest, bool destroy, bool create, redis_deadline deadline)
{
    struct remote_words words = {0};
    char name[REMOTE_DATE], text[REMOTE_KEY_TEXT] = "";
    struct identity_key fresh;
    redisReply *reply;
    int r;

    if (create && (r = identity_new_key(&fresh)) < 0)
        return r;
    if (create)
        remote_key_text(text, &fresh);
    remote_begin(remote, &words, "keys", site);
    remote_date(name, kind_of(site), newest->first);
    remote_word(&words, destroy ? name : "");
    remote_date(name, kind_of(site), span->first);
    remote_word(&words, name);
    remote_word(&words, text);
    remote_date(name, kind_of(site), span->previous_first);
    remote_word(&words, name);
    explicit_bzero(&fresh, sizeof fresh);
    explicit_bzero(text, sizeof text);
    if ((r = remote_script(remote, REMOTE_KEEP, site->meta, &words, REDIS_REPEAT, "fetching a key", deadline, &reply)) <
        0)
        return r;
    if (remote_says(reply, "gone"))
        r = FETCH_GONE;
    else if ((r = keep_text(site, span->start, remote_text(reply, 1))) == 0)
        r = keep_text(site, span->previous, remote_text(reply, 2));
    freeReplyObject(reply);
    return r;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

/* So long a silence is over only when somebody said that the clock is right. */
static int is_accepted(struct remote *remote, struct remote_site *site, int64_t t)
{
    struct remote_state state;
    int r = remote_state(remote, site->fixed.site, &site, &state);

    return r < 0 ? r : t <= state.accepted || t <= state.clock + SITE_LEAP;
}

static int rotating_keys(struct remote *remote, struct remote_site *site, int64_t t, bool create,
                         redis_deadline deadline, struct identity_keys *out)
{
    int64_t clock = atomic_load(&site->clock), now = t > clock ? t : clock;
    struct period_frame of_hit, of_clock;
    int r;

    *out = (struct identity_keys){0};
    if (t < SITE_FIRST || t > SITE_LAST || t > (int64_t)(site_now() / 1000) + SITE_FUTURE)
        return 0; /* will be refused; no key is made for it */
    if (clock != 0 && t > clock + SITE_LEAP && (r = is_accepted(remote, site, t)) <= 0)
        return r; /* likewise, and none is destroyed */
    remote_frame_of(site, now, &of_clock);
    remote_frame_of(site, t, &of_hit);
    const struct period_span *newest = &of_clock.of[kind_of(site)], *span = &of_hit.of[kind_of(site)];
    bool over = now >= newest->start + SITE_KEY_GRACE; /* for the keys of the period before */
    bool living = now < span->end + SITE_KEY_GRACE;    /* the hit's own key still is */
    bool due = over && atomic_load(&site->keys_destroyed) < newest->start;

    if (due || (living && !key_list_find(&site->keys, span->start, &out->current))) {
        r = fetch(remote, site, span, newest, over, create && living, deadline);
        if (r != 0)
            return r;
    }
    if (due) {
        key_list_wipe(&site->keys, newest->start);
        atomic_store(&site->keys_destroyed, newest->start);
    }
    out->known = living && key_list_find(&site->keys, span->start, &out->current);
    out->has_previous =
        out->known && now < span->start + SITE_KEY_GRACE && key_list_find(&site->keys, span->previous, &out->previous);
    return 0;
}

int remote_keys(struct store *store, const char *name, int64_t at, _Bool create, struct identity_keys *out)
{
    struct remote *remote = remote_of(store);
    redis_deadline deadline = remote_deadline_begin(remote);
    struct remote_site *site;
    int r;

    do {
        if ((r = remote_site(remote, name, create, deadline, &site)) < 0)
            break;
        if (site->fixed.key_rotation > COUNTER_ROTATION_NEVER) {
            r = rotating_keys(remote, site, at, create, deadline, out);
        } else {
            *out = (struct identity_keys){.known = true, .current = site->key};
        }
        if (r == FETCH_GONE)
            remote_site_leave(site);
    } while (r == FETCH_GONE);
    if (r < 0)
        remote_deadline_go_on(remote); /* nothing follows */
    return r;
}
