/*
 * store.h: the contract between the handle and whatever keeps the counts.
 *
 * The handle knows requests: options, addresses, agents, who is excluded. A store knows none of that: it gets keyed ids
 * with a time, keeps what grows, and answers with numbers. Every store fulfils the same contract, so one suite of tests
 * runs over all of them:
 *   - any number of threads call it at once, in a forked child too; no call waits for another;
 *   - recording is acknowledged only when done: after a failure nothing was counted;
 *   - in time order visitors are exact up to exact_visitors a window, visits and hits always;
 *   - a shown number never falls within its window;
 *   - a site appears with its first hit and gets its fixed options then.
 * Site names were checked by the caller (store_site_name).
 */
#ifndef LIBCOUNTER_STORE_H
#define LIBCOUNTER_STORE_H

#include "copy.h"
#include "settings.h"

struct store_hit {
    int64_t at;                         /* s since 1970, never 0 */
    uint64_t id;                        /* identity_of_* */
    uint64_t previous_id;               /* under the key before, for an hour after a rotation */
    _Bool has_previous;
    _Bool nameless;                     /* the key of its time was destroyed: a hit of an unknown visitor */
    enum counter_verdict verdict;       /* other than COUNTER_COUNTED: only totalled */
    _Bool anonymous;                    /* COUNTER_PRIVACY_SIGNAL: a hit without a visitor */
};

struct store {
    const struct store_ops *ops;
};

struct store_ops {
    /* The identity keys for a hit of that time. They are made if `create` is set; else COUNTER_ENOSITE. */
    int (*keys)(struct store *store, const char *site, int64_t at, _Bool create, struct identity_keys *out);
    /* Counts n hits of one site, in order. *done says how many were dealt with when it fails. Where stats is given it
     * is filled as by read, at the last hit's time. */
    int (*record)(struct store *store, const char *site, const struct store_hit *hits, size_t n, size_t *done,
                  struct counter_stats *stats);
    int (*read)(struct store *store, const char *site, int64_t at, struct counter_stats *stats);
    int (*series)(struct store *store, const char *site, const char *from, const char *to, enum counter_step step,
                  counter_row_fn *each, void *arg);
    int (*breakdown)(struct store *store, const char *site, const char *from, const char *to, enum counter_part part,
                     counter_row_fn *each, void *arg);
    int (*sites)(struct store *store, counter_row_fn *each, void *arg);
    int (*site)(struct store *store, const char *site, struct counter_site *out);
    int (*local_time)(struct store *store, const char *site, int64_t at, char *buffer, size_t size);
    int (*baseline)(struct store *store, const char *site, const struct counter_count *old);
    int (*erase)(struct store *store, const char *site, uint64_t id);
    int (*remove)(struct store *store, const char *site);
    int (*accept_clock)(struct store *store, const char *site);
    int (*check)(struct store *store, const char *site, counter_fact_fn *each, void *arg);
    /* What the owner of the store ought to know about it; NULL: never anything. */
    int (*warnings)(struct store *store, counter_fact_fn *each, void *arg);
    /* Walks over the site for somebody who takes it (copy.h); calls taker->end. COUNTER_ENOSITE where there is none. */
    int (*give)(struct store *store, const char *site, struct copy_taker *taker);
    /* Somebody who takes the parts of a site into this store. */
    int (*take)(struct store *store, const char *site, struct copy_taker **taker);
    /* The store's own key: gives it (COUNTER_ENOSITE: it has none), or takes one over where it has none yet
     * (COUNTER_ECONFLICT: it has another). */
    int (*give_key)(struct store *store, struct identity_key *out);
    int (*take_key)(struct store *store, const struct identity_key *key);
    int (*sync)(struct store *store);
    void (*close)(struct store *store);
};

/* Opens the store that settings->store names. settings is borrowed until close. */
int store_open(struct store **out, const struct settings *settings);

/* [A-Za-z0-9._-]{1,64}, no dot in front. The second is COUNTER_EINVAL naming a name that breaks the rule. */
_Bool store_is_site_name(const char *name);
int store_site_name(const char *name);

/* The words of enum counter_verdict: "counted", "own_address" ... */
const char *store_verdict_name(enum counter_verdict verdict);

/* store_file.c; folder NULL is memory; network allows folders that other machines may mount. */
int store_file_open(struct store **out, const struct settings *settings, const char *folder, _Bool network);

/* store_redis.c; settings->store is one of redis_url.h's. */
int store_redis_open(struct store **out, const struct settings *settings);

#endif
