/*
 * counter.h: how many visitors are online, came today, this week, ever.
 *
 *     struct counter_options options = { .size = sizeof options, .store = "file:/var/lib/counter" };
 *     struct counter_hit     hit     = { .size = sizeof hit, .site = "portal",
 *                                        .address = "203.0.113.7", .agent = "Mozilla/5.0 ..." };
 *     struct counter_stats   now     = { .size = sizeof now };
 *     struct counter *c;
 *
 *     if (counter_open(&c, &options) < 0 || counter_record(c, &hit, &now) < 0)
 *         fprintf(stderr, "%s\n", counter_error());
 *     else
 *         printf("online %lld, today %lld\n", (long long)now.online, (long long)now.window[COUNTER_TODAY].visitors);
 *     counter_close(c);
 *
 * Rules that hold everywhere
 *   Words     hit: one page view (or login, call ...) accepted for counting. visit: a run of one visitor's hits, each
 *             at most 30 minutes after the one before. visitor: one identity. online: seen in the last 300 seconds.
 *   Result    < 0 failed, and counter_error() says why. 0 done. > 0 done, and the value says what (counter_record).
 *             After a failure nothing was counted, except after COUNTER_ETIMEOUT, which means: once or not at all.
 *             Do not send such a hit again: nothing that was counted is counted twice by this library's own retries.
 *   Structs   Set .size to sizeof the struct, leave the rest zero for defaults; later versions append members.
 *             In an array of structs every element has the size that the first one says.
 *   Strings   Borrowed for the call only. A member X with a companion X_length need not end in NUL; length 0 means it does.
 *   Time      Seconds since 1970 UTC; 0 means now. Days and weeks are those of the site's own time zone. Hits can be
 *             counted from 2000-01-02 to 2067-12-30.
 *   Threads   One handle may be used by any number of threads at once. No call takes a lock across a wait.
 *   Fork      A handle stays good in both processes; a child of a "memory:" store goes on with a copy of its own.
 *             Open it after privileges are dropped: files are reopened later.
 *   Waiting   "file:": counting and asking never wait, not even for the disk, except for page faults and where a file is
 *             made: a site's first hit and the first of a month. counter_sync waits for the disk. "redis:": a call waits
 *             at most options.deadline ms, connecting included; with the server away it fails at once after two such.
 *             Calls of several round trips (record_many, series, breakdown, check, remove, copy) have it for each. A
 *             host's name is looked up by the system's resolver, which knows no deadline: give an address.
 *   Manners   Nothing is printed, no signal handler changed, TZ and locale left alone, no thread started.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include <stddef.h>
#include <stdint.h>

#define COUNTER_VERSION_MAJOR 0
#define COUNTER_VERSION_MINOR 1
#define COUNTER_VERSION_PATCH 0

#if defined(__GNUC__)
#define COUNTER_API __attribute__((visibility("default")))
#else
#define COUNTER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What can go wrong ------------------------------------------------------------------------------------------ */

enum counter_code {
    COUNTER_OK         = 0,
    COUNTER_EINVAL     = -1,   /* an argument breaks a rule; the text names the value and the rule */
    COUNTER_ENOMEM     = -2,
    COUNTER_EACCESS    = -3,   /* file permission, or the server wants another user or password */
    COUNTER_EIO        = -4,   /* the disk or the connection failed */
    COUNTER_EFULL      = -5,   /* disk, quota, server memory */
    COUNTER_EFORMAT    = -6,   /* the stored data is damaged, or newer than this library */
    COUNTER_ECONFLICT  = -7,   /* an option differs from what the site was created with, or the key from the store's */
    COUNTER_ETIME      = -8,   /* more than 60 s in the future, or older than the retention */
    COUNTER_EDOWN      = -9,   /* the server could not be reached, or was given up for now */
    COUNTER_ETIMEOUT   = -10,  /* no answer within the deadline, or the connection broke first: once or not at all */
    COUNTER_ENOTBUILT  = -11,  /* this build lacks what was asked for */
    COUNTER_ENOSITE    = -12   /* the store has no such site */
};

/* The calling thread's last failure in words, kept until its next failing call; "" if none. Never NULL.
 * Also after counter_open failed, when there is no handle to ask. Holds no password. Safe from any thread. */
COUNTER_API const char *counter_error(void);

COUNTER_API const char *counter_version(void);      /* "0.1.0", of the library that runs */

/* ---- Open ------------------------------------------------------------------------------------------------------- */

struct counter;                     /* an open store with any number of sites */

enum counter_weekday { COUNTER_MONDAY = 1, COUNTER_SATURDAY = 6, COUNTER_SUNDAY = 7 };
enum counter_signal_policy { COUNTER_SIGNAL_COUNT = 1, COUNTER_SIGNAL_HITS_ONLY, COUNTER_SIGNAL_SKIP };
enum counter_rotation { COUNTER_ROTATION_NEVER = 1, COUNTER_ROTATION_MONTHLY, COUNTER_ROTATION_DAILY };

/*
 * Every member left zero is taken from the environment (COUNTER_STORE, COUNTER_SITE, COUNTER_TIMEZONE ...: the name in
 * capitals), else from counter.conf ("store = file:/var/lib/counter"), else from the default.
 */
struct counter_options {
    size_t      size;
    const char *config;             /* a counter.conf; "": none; NULL: $COUNTER_CONFIG, else counter.conf beside the
                                       program, else /etc/counter.conf */
    const char *store;              /* "memory:", "file:DIR", "redis://[user:password@]host[:port][/db]",
                                       "redis+unix:///path[?db=N]", "rediss://..." (TLS),
                                       "redis+sentinel://host1,host2/master-name[/db]", "redis+cluster://host1,host2";
                                       default: "file:" and the XDG state folder + "/counter" */
    const char *site;               /* the site of calls that name none: [A-Za-z0-9._-]{1,64}, no dot in front */
    const char *trusted_proxies;    /* "10.0.0.0/8 fd00::/8 private": whose X-Forwarded-For is believed; default nobody's */
    const char *exclude;            /* addresses that are not counted, same syntax */
    const char *prefix;             /* "redis:": what its keys begin with, [A-Za-z0-9._-]{1,64}; default "counter" */
    const char *store_password;     /* "redis:": where the URL has none, so that no process list shows it */
    const char *store_password_file;            /* or the first line of this file */
    const char *store_ca;           /* "rediss:": a file of certificates to trust; default: the system's */
    uint32_t    deadline;           /* "redis:": a whole call, ms, 10 to 60000; default 250 */
    uint32_t    sync_ms;            /* "file:": at most this much is lost at a power cut, 100 to 3600000; default 1000 */
    enum counter_signal_policy privacy_signal;  /* what a Sec-GPC or DNT header does; default COUNTER_SIGNAL_COUNT */
    /* Fixed when a site is created; a later value that differs is COUNTER_ECONFLICT. Zero: take the site's own. */
    enum counter_weekday week_start;            /* default COUNTER_MONDAY */
    uint32_t    exact_visitors;     /* per window, exact at least up to this many, 1 to 2097152; default 32768 */
    uint32_t    forget_days;        /* a visitor's last-seen time is erased after this, 1 to 400; default 35 */
    uint32_t    retention_days;     /* days kept one by one, 31 to 4000; default 400. Years and all time stay for ever */
    enum counter_rotation key_rotation; /* a visitor is recognised within the month or day only, whose key is destroyed
                                       an hour after its end; longer windows are then sums. Default: never */
    const char *timezone;           /* IANA name or "+07:00"; default: the machine's */
};

/* Opens a store; sites appear with their first hit. options may be NULL. On failure *out is NULL. A few microseconds:
 * files are opened, and servers connected to, by the first call that needs them. */
COUNTER_API int  counter_open(struct counter **out, const struct counter_options *options);
COUNTER_API void counter_close(struct counter *c);              /* NULL is fine; no other thread may still use c */
COUNTER_API int  counter_sync(struct counter *c);               /* returns when all that was counted is on disk; waits */

/* ---- Count ------------------------------------------------------------------------------------------------------ */

enum counter_hit_flag {
    COUNTER_HIT_PRIVACY  = 1u << 0, /* Sec-GPC: 1 or DNT: 1 was sent */
    COUNTER_HIT_ALL      = 1u << 1  /* count it whoever sent it: no address or privacy rules */
};

struct counter_hit {
    size_t      size;
    const char *site;               /* NULL: options.site */
    int64_t     at;
    const char *visitor;            /* a cookie or login that names the visitor; NULL: address and agent do */
    const char *address;            /* the peer, "192.0.2.1" or "2001:db8::1" */
    const char *forwarded;          /* all X-Forwarded-For (or Forwarded) values, joined by commas in order of arrival */
    const char *agent;              /* User-Agent; its first 1024 bytes tell visitors apart */
    uint32_t    visitor_length, address_length, forwarded_length, agent_length;
    uint32_t    flags;              /* enum counter_hit_flag */
    uint32_t    reserved;           /* 0 */
};

enum counter_verdict {              /* why a hit was not counted; each is totalled per day */
    COUNTER_COUNTED = 0,
    COUNTER_OWN_ADDRESS,            /* the client's address is in `exclude` */
    COUNTER_PRIVACY_SIGNAL,         /* privacy_signal says skip, or hits only: then the hit is counted, its visitor is not */
    COUNTER_VERDICTS
};

enum counter_window {
    COUNTER_TODAY, COUNTER_THIS_WEEK, COUNTER_ALL_TIME, COUNTER_YESTERDAY, COUNTER_LAST_WEEK,
    COUNTER_THIS_MONTH, COUNTER_LAST_MONTH, COUNTER_THIS_YEAR, COUNTER_LAST_YEAR, COUNTER_WINDOWS
};
#define COUNTER_WANT_BOX 0x7u       /* online, today, this week, all time: what want = 0 means */
#define COUNTER_WANT_ALL 0x1ffu

struct counter_count {              /* never grows */
    int64_t visitors;               /* distinct identities */
    int64_t visits;
    int64_t hits;
    double  error;                  /* standard error of visitors relative to the number shown: 0 exact, 0.0081 a sketch */
};

struct counter_stats {
    size_t   size;
    uint32_t want;                  /* in: a bit (1u << window) per window; others stay zero */
    uint32_t summed;                /* a bit per window whose visitors are a sum of days or months (key_rotation) */
    uint32_t online_floor;          /* 1: more than the table holds are online; online is a lower bound */
    uint32_t reserved;              /* 0 */
    int64_t  at;                    /* the moment the numbers belong to */
    int64_t  online;
    int64_t  late;                  /* hits so far that came after a newer one of their visitor: visits may be off by
                                       as many */
    struct counter_count window[COUNTER_WINDOWS];
};

/* Counts one hit and, where stats is given, reads the numbers that include it.
 * Returns COUNTER_COUNTED or the verdict that kept it out (stats is filled either way), or a negative code.
 * Safe from any thread. 0.2 us without stats; with them 60 us more for the first who asks in a second. */
COUNTER_API int counter_record(struct counter *c, const struct counter_hit *hit, struct counter_stats *stats);

struct counter_tally {
    size_t size;
    size_t done;                    /* hits dealt with, from the front: retry from hits[done] */
    size_t verdict[COUNTER_VERDICTS];
    size_t refused;                 /* hits that broke a rule (site name, time); skipped, counter_error() has the last */
};

/* Counts n hits of any sites. In time order the numbers are exact; an older hit after a newer one of the same visitor
 * is a late hit. tally may be NULL. Returns 0, or the code that stopped it at tally.done. Safe from any thread. */
COUNTER_API int counter_record_many(struct counter *c, const struct counter_hit *hits, size_t n,
                                    struct counter_tally *tally);

/* ---- Ask -------------------------------------------------------------------------------------------------------- */

/* The windows as they stand at `at`, which may not lie more than 60 s before the newest hit: what the past looked
 * like while it lasted is not kept, counter_series has its days. COUNTER_ENOSITE when there was never a hit.
 * Safe from any thread. 60 us for the first who asks in a second, then a few. */
COUNTER_API int counter_read(struct counter *c, const char *site, int64_t at, struct counter_stats *stats);

struct counter_row {                /* given to callbacks, so it may grow; valid during the callback */
    int64_t     start;              /* series: where the day or hour begins */
    const char *name;               /* series: "2026-11-23", "2026-11-23T09"; breakdown: "own_address"; sites: the site */
    struct counter_count count;     /* by hour and by verdict only hits are known */
};
typedef int counter_row_fn(void *arg, const struct counter_row *row);    /* non-zero ends the walk, and is returned */

enum counter_step { COUNTER_BY_DAY, COUNTER_BY_HOUR };          /* an hour the clock shows twice is one row */
enum counter_part { COUNTER_BY_VERDICT };

/* from and to are "YYYY-MM-DD", both included; NULL: the oldest kept, the newest hit's day. Days without hits are rows
 * of zeros, dates the zone skipped are no rows. Oldest first; a breakdown largest first. Safe from any thread. */
COUNTER_API int counter_series(struct counter *c, const char *site, const char *from, const char *to,
                               enum counter_step step, counter_row_fn *each, void *arg);
COUNTER_API int counter_breakdown(struct counter *c, const char *site, const char *from, const char *to,
                                  enum counter_part part, counter_row_fn *each, void *arg);
COUNTER_API int counter_sites(struct counter *c, counter_row_fn *each, void *arg);      /* by name */

struct counter_site {
    size_t   size;
    char     name[65];
    char     timezone[65];
    enum counter_weekday week_start;
    uint32_t exact_visitors, forget_days, retention_days;
    enum counter_rotation key_rotation;
    int64_t  since;                 /* the oldest hit, 0: none */
    int64_t  newest;                /* the newest hit: the site's clock */
    struct counter_count baseline;
};

/* What a site was created with and how far it goes. Safe from any thread. */
COUNTER_API int counter_site(struct counter *c, const char *site, struct counter_site *out);

/* Writes a moment in the site's own time, "2026-11-23T10:15:00+07:00", and NUL. size of at least 26.
 * A site without hits uses the zone of the options. Safe from any thread. */
COUNTER_API int counter_local_time(struct counter *c, const char *site, int64_t at, char *buffer, size_t size);

/* ---- Show ------------------------------------------------------------------------------------------------------- */

enum counter_format { COUNTER_HTML, COUNTER_TEXT, COUNTER_JSON };

/*
 * Writes the box, escaped for the format, and NUL; returns the length it needs, like snprintf, or a negative code.
 * stats NULL draws dashes, for a page whose store failed. language: "vi" (NULL) or "en".
 * rows, separated by semicolons, say what the box shows, in words in any order after the window:
 *     online; today; this_week space; all_time visits "Tổng lượt truy cập"
 *   window     online today yesterday this_week last_week this_month last_month this_year last_year all_time
 *   unit       visitors (default) visits hits
 *   separator  none space dot comma between groups of three digits (default: dot in "vi", comma in "en")
 *   "label"    instead of the language's own; UTF-8, at most 100 bytes
 * NULL: the first four of counter_window's, with online. A window that stats does not hold shows 0: see rows_want.
 */
COUNTER_API int counter_render(const struct counter_stats *stats, enum counter_format format, const char *language,
                               const char *rows, char *buffer, size_t size);

/* Checks rows and gives the windows it needs, for counter_stats.want. COUNTER_EINVAL names the word that is wrong. */
COUNTER_API int counter_rows_want(const char *rows, uint32_t *want);

/* ---- Keep ------------------------------------------------------------------------------------------------------- */

/* Totals of an older counter, shown in all time on top of our own. Replaces the last baseline. old->error is ignored. */
COUNTER_API int counter_baseline(struct counter *c, const char *site, const struct counter_count *old);

/* Forgets the visitor of this hit (site, and address + agent or visitor). Counts stay; seen again it is a new visitor.
 * Returns 1 when it was known, 0 when not. What sketches hold cannot be read back. */
COUNTER_API int counter_erase(struct counter *c, const struct counter_hit *hit);

COUNTER_API int counter_remove(struct counter *c, const char *site);            /* everything of it, for good */

/* Merges a site of one store into another, with everything: the larger number wins, so that running it again adds
 * nothing and an interrupted copy is finished by the next. Moves or backs up a site, also between "file:" and "redis:".
 * The visitors' key goes with it: a target that has none takes it over, one with another is COUNTER_ECONFLICT. Each
 * call to a server has its own deadline. Other threads and processes may count into both meanwhile. */
COUNTER_API int counter_copy(struct counter *to, struct counter *from, const char *site);

/* Only the key: lets the stores of several web servers share one from the start, so that they can be merged. Returns 1
 * where the target has the same key already. */
COUNTER_API int counter_copy_key(struct counter *to, struct counter *from);

/* A hit more than 400 days after the site's newest is refused, since one far-off clock would poison all maxima. After
 * so long a silence this says that the machine's clock is right: hits up to now are counted again. */
COUNTER_API int counter_accept_clock(struct counter *c, const char *site);

/* ---- Understand ------------------------------------------------------------------------------------------------- */

enum counter_level { COUNTER_FACT, COUNTER_WARNING, COUNTER_BROKEN };

struct counter_fact {               /* given to callbacks, so it may grow; valid during the callback */
    enum counter_level level;
    const char *name;               /* "client", "forgotten_until", "timezone" ... */
    const char *value;
    const char *why;                /* where it comes from or what it means; "" if there is nothing to say */
};
typedef int counter_fact_fn(void *arg, const struct counter_fact *fact); /* non-zero ends the walk, and is returned */

/* Which address, which identity class, which rule: for one hit, which is not counted. The id itself is not shown. */
COUNTER_API int counter_explain(struct counter *c, const struct counter_hit *hit, counter_fact_fn *each, void *arg);

/* Opens and verifies a site: path, owner, zone and today's midnight, geometry, fill, forgotten_until, disk, retention.
 * Returns the worst level, or a negative code where it could not even look. */
COUNTER_API int counter_check(struct counter *c, const char *site, counter_fact_fn *each, void *arg);

/* What the owner of the store ought to know as soon as it is used: a server that may drop counters when it is full, or
 * keeps nothing on its disk. Also part of counter_check. Asks the server each time. Returns the worst level told,
 * COUNTER_FACT if all is well, or a negative code. */
COUNTER_API int counter_warnings(struct counter *c, counter_fact_fn *each, void *arg);

/* The settings in force and where each came from; also the "portal." keys of counter.conf, which the library leaves to
 * the programs. Needs no store. options may be NULL. */
COUNTER_API int counter_settings(const struct counter_options *options, counter_fact_fn *each, void *arg);

#ifdef __cplusplus
}
#endif
#endif
