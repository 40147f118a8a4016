/*
 * remote.h: the counts of many sites on a Redis, shared by every machine that reaches it.
 *
 * The server keeps the counts and decides what a hit means, in one script (remote_*.lua): a call is one round trip, and
 * atomic. What is worked out here is what a server cannot know: calendars (which day, week, month and year a moment is
 * in), identities, and what an answer means to the caller. A site's fixed part (zone, key's check, limits) is fetched
 * once and kept; its random id goes along with every call, so that a site which somebody removed and made anew is
 * noticed and fetched again.
 *
 * Keys, for the prefix "counter": counter:key (the identity key of all sites), counter:sites (a set of their names),
 * and counter:{SITE}:..., whose layout stands at the head of remote_state.lua.
 *
 * Nothing here locks: sites are found through chains that only grow at their heads, by compare-and-swap.
 */
#ifndef LIBCOUNTER_REMOTE_H
#define LIBCOUNTER_REMOTE_H

#include "header.h"
#include "key_list.h"
#include "period.h"
#include "redis_client.h"
#include "store.h"

#include <stdatomic.h>

enum {
    REMOTE_LAYOUT = 1,
    REMOTE_CHAINS = 256,
    REMOTE_NAME = 64 + 64 + 32,         /* of a key: prefix, site and what follows, with NUL */
    REMOTE_KEY_TEXT = 2 * IDENTITY_KEY + 1,
    REMOTE_VISITOR = 12                 /* 43 bits in hexadecimal, with NUL */
};

struct remote_site {
    struct remote_site *next;           /* of the chain */
    struct layout_header fixed;         /* what a file's header would hold */
    struct identity_key key;
    char id[17], meta[REMOTE_NAME];
    struct zone *zone;
    _Atomic int64_t clock;              /* newest hit that this process heard of */
    _Atomic(bool) gone;                 /* another one stands in its place, or none */
    struct key_list keys;               /* of periods, where keys rotate */
    _Atomic int64_t keys_destroyed;     /* those of periods that began before this are gone */
};

struct remote {
    struct store store;
    const struct settings *settings;
    struct redis_url url;
    struct redis_client *client;
    _Atomic(struct remote_site *) chain[REMOTE_CHAINS];
};

static inline struct remote *remote_of(struct store *store)
{
    return (struct remote *)store;
}

/*
 * When a round trip, or a few that belong together, must be over. The handle asks for a hit's identity keys and then
 * counts it: both share the deadline that remote_keys began, which the thread remembers in between.
 */
redis_deadline remote_deadline(const struct remote *remote);
redis_deadline remote_deadline_begin(const struct remote *remote);      /* of remote_keys */
redis_deadline remote_deadline_go_on(const struct remote *remote);      /* of what follows it, or a new one */

/* ---- Talking (remote_talk.c) ------------------------------------------------------------------------------------- */

/* The words of a command, collected one by one; a lack of memory shows when they are sent. */
struct remote_words {
    char *text;
    uint32_t *end;                      /* of each word in text */
    size_t used, room, words, slots;
    bool failed;
};
void remote_word(struct remote_words *words, const char *text);
void remote_bytes(struct remote_words *words, const void *bytes, size_t length);
void remote_number(struct remote_words *words, int64_t number);
void remote_append(struct remote_words *words, struct remote_words *more);      /* moves the words of the second over */
void remote_words_free(struct remote_words *words);

/* "PREFIX:{SITE}:REST" into REMOTE_NAME bytes. */
void remote_name(const struct remote *remote, char *buffer, const char *site, const char *rest);

/* Sends one command, made of the words, to the holder of key; error replies become codes, `what` begins their text.
 * *reply is freed by the caller with freeReplyObject. The words are freed in any case. */
int remote_send(struct remote *remote, const char *key, struct remote_words *words, unsigned flags, const char *what,
                redis_deadline deadline, redisReply **reply);

/* The same for many commands in one round trip, `words` counted by `n`; replies may be errors. */
int remote_send_all(struct remote *remote, const char *key, struct remote_words *words, unsigned n, unsigned flags,
                    redis_deadline deadline, redisReply **replies);
void remote_free_replies(redisReply **replies, unsigned n);

/* Runs a script for a site, with the words as its arguments; those of REMOTE_KEEP begin with an operation. EVALSHA, and
 * where the server does not know the script (it says so before anything is done), once EVAL. While the site's slot moves
 * it is tried again until the deadline. */
enum remote_script { REMOTE_COUNT, REMOTE_KEEP };
int remote_script(struct remote *remote, enum remote_script which, const char *meta, struct remote_words *words,
                  unsigned flags, const char *what, redis_deadline deadline, redisReply **reply);

/* The words that operations on a site begin with. */
struct remote_site;
void remote_begin(const struct remote *remote, struct remote_words *words, const char *operation,
                  const struct remote_site *site);

/* Parts of replies, bounded: an element's text or "", its number or 0. Never NULL. */
const redisReply *remote_element(const redisReply *reply, size_t i);
const char *remote_text(const redisReply *reply, size_t i);
int64_t remote_value(const redisReply *reply, size_t i);

/* Is it an array whose first word is that? */
bool remote_says(const redisReply *reply, const char *word);

/* ---- Sites (remote_site.c) --------------------------------------------------------------------------------------- */

/* The site, fetched when it is first asked for and made if `create`; else COUNTER_ENOSITE. */
int remote_site(struct remote *remote, const char *name, bool create, redis_deadline deadline,
                struct remote_site **out);

/* COUNTER_ECONFLICT where the settings, or the site that there is, differ from that. */
int remote_site_compare(struct remote *remote, const char *name, const struct copy_site *like, redis_deadline deadline);

/* Makes or fetches a site with that plan instead of the settings'. */
int remote_site_like(struct remote *remote, const char *name, const struct copy_site *plan, redis_deadline deadline,
                     struct remote_site **out);
void remote_site_free(struct remote_site *site);

/* An answer told the site's clock. */
void remote_site_heard(struct remote_site *site, int64_t clock);

/* The site is another one by now, or none: its struct is passed over from now on, and freed at close. */
static inline void remote_site_leave(struct remote_site *site)
{
    atomic_store(&site->gone, true);
}

/* The store's key, that of new sites; a site keeps a copy. Made if `create`; else COUNTER_ENOSITE. */
int remote_master_key(struct remote *remote, bool create, redis_deadline deadline, struct identity_key *out);
int remote_take_master_key(struct remote *remote, const struct identity_key *key, redis_deadline deadline);
void remote_key_text(char *text, const struct identity_key *key);       /* REMOTE_KEY_TEXT bytes */
bool remote_key_parse(struct identity_key *out, const char *text);

/* A hit's identity keys: see store_ops.keys (remote_keys.c). */
int remote_keys(struct store *store, const char *name, int64_t at, _Bool create, struct identity_keys *out);

/* 43 bits as members of sets have them, 11 hexadecimal digits, into REMOTE_VISITOR bytes. */
void remote_visitor(char *text, uint64_t key);

/* What changes about a site besides its figures. Fetched anew, and the site with it if it is another one by now. */
struct remote_state {
    int64_t clock, since, accepted, forgotten;
    uint64_t late, visitors, capacity;  /* visitors: known by name at the moment */
    struct counter_count baseline;
};
int remote_state(struct remote *remote, const char *name, struct remote_site **site, struct remote_state *out);

/* ---- Calendars --------------------------------------------------------------------------------------------------- */

/* The name of the frame's day, week, month or year, or its predecessor, as keys have it: "2026-11-23", "2026-11" ... */
enum { REMOTE_DATE = 24 };
void remote_date(char *buffer, enum period_kind kind, struct period_date first);

/* The end of a period's key, "day:2026-11-23", behind `front`; kind may be COPY_ALL_TIME, "all". */
enum { REMOTE_PERIOD = 64 };
void remote_period(char *buffer, const char *front, int kind, struct period_date first);

/* The calendar of t's day as words of the script's. */
void remote_frame(struct remote_words *words, const struct period_frame *frame);
void remote_frame_of(const struct remote_site *site, int64_t t, struct period_frame *out);

/* "day", "week", "month", "year". */
const char *remote_kind(enum period_kind kind);

/* ---- The calls of the contract ----------------------------------------------------------------------------------- */

int remote_record(struct store *store, const char *site, const struct store_hit *hits, size_t n, size_t *done,
                  struct counter_stats *stats);                                                 /* remote_count.c */
int remote_read(struct store *store, const char *site, int64_t at, struct counter_stats *stats);
int remote_series(struct store *store, const char *site, const char *from, const char *to, enum counter_step step,
                  counter_row_fn *each, void *arg);                                             /* remote_series.c */
int remote_breakdown(struct store *store, const char *site, const char *from, const char *to, enum counter_part part,
                     counter_row_fn *each, void *arg);
int remote_check(struct store *store, const char *site, counter_fact_fn *each, void *arg);      /* remote_check.c */
int remote_warnings(struct store *store, counter_fact_fn *each, void *arg);
int remote_give(struct store *store, const char *site, struct copy_taker *taker);               /* remote_give.c */
int remote_take(struct store *store, const char *site, struct copy_taker **taker);              /* remote_take.c */
int remote_sums(struct remote *remote, struct remote_site *site, const struct period_frame *now);   /* remote_sums.c */
int remote_remove(struct store *store, const char *site);                                       /* remote_remove.c */

#endif
