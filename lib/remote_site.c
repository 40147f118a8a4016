/*
 * remote_site.c: what is fixed about a site and about the store: fetched once, or made by whoever comes first.
 *
 * A site is made by one run of the script, which makes nothing where there is one already: whoever loses the race reads
 * the winner's. Its hash holds the identity key as well, so that a site is whole in itself, and one round trip fetches
 * all there is to know before the first hit.
 */
#include "error.h"
#include "remote.h"
#include "site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Times that are impossible count as none. */
static int64_t moment(int64_t t)
{
    return t < SITE_FIRST ? 0 : t > SITE_LAST ? SITE_LAST : t;
}

/* ---- A site's fixed part ----------------------------------------------------------------------------------------- */

/* As many visitors as the table of a file has cells, so that a copy from a file never has to drop one. */
static uint32_t capacity_of(const struct layout_header *fixed)
{
    return (uint32_t)RECENCY_LINE << fixed->line_bits;
}

static void add_field(struct remote_words *words, const char *field, int64_t value)
{
    remote_word(words, field);
    remote_number(words, value);
}

static void add_fields(struct remote_words *words, const struct layout_header *fixed, const struct identity_key *key)
{
    char text[REMOTE_KEY_TEXT], id[17];

    snprintf(id, sizeof id, "%016" PRIx64, fixed->incarnation);
    remote_key_text(text, key);
    remote_word(words, "id");
    remote_word(words, id);
    remote_word(words, "timezone");
    remote_word(words, fixed->timezone);
    remote_word(words, "key");
    remote_word(words, text);
    add_field(words, "layout", REMOTE_LAYOUT);
    add_field(words, "week_start", fixed->week_start);
    add_field(words, "exact_visitors", fixed->exact_visitors);
    add_field(words, "capacity", capacity_of(fixed));
    add_field(words, "forget_days", fixed->forget_days);
    add_field(words, "retention_days", fixed->retention_days);
    add_field(words, "key_rotation", fixed->key_rotation);
    add_field(words, "created", fixed->created);
    explicit_bzero(text, sizeof text);
}

static const char *field_of(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (strcmp(remote_text(fields, i), name) == 0)
            return remote_text(fields, i + 1);
    return "";
}

static bool read_number(const redisReply *fields, const char *name, uint32_t least, uint32_t most, uint32_t *out)
{
    const char *text = field_of(fields, name);
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    *out = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && !*end && value >= least && value <= most;
}

/* What somebody else wrote is checked like a file's header. */
static int read_fields(const redisReply *fields, const char *name, struct remote_site *site)
{
    struct layout_header *fixed = &site->fixed;
    const char *id = field_of(fields, "id"), *timezone = field_of(fields, "timezone");
    uint32_t layout, capacity;

    if (read_number(fields, "layout", 1, UINT32_MAX, &layout) && layout > REMOTE_LAYOUT)
        return error_set(COUNTER_EFORMAT, "site %s has layout %" PRIu32 ", newer than this library's %d", name, layout,
                         REMOTE_LAYOUT);
    if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16 || strlen(timezone) >= ZONE_NAME ||
        !read_number(fields, "week_start", 1, 7, &fixed->week_start) ||
        !read_number(fields, "exact_visitors", 1, 2097152, &fixed->exact_visitors) ||
        !read_number(fields, "capacity", 1, RECENCY_LINE << RECENCY_LINE_BITS_MAX, &capacity) ||
        !read_number(fields, "forget_days", 1, 4000, &fixed->forget_days) ||
        !read_number(fields, "retention_days", 1, 4000, &fixed->retention_days) ||
        !read_number(fields, "key_rotation", COUNTER_ROTATION_NEVER, COUNTER_ROTATION_DAILY, &fixed->key_rotation) ||
        !read_number(fields, "layout", 1, REMOTE_LAYOUT, &layout) ||
        !remote_key_parse(&site->key, field_of(fields, "key")))
        return error_set(COUNTER_EFORMAT, "site %s is damaged: its fixed part holds impossible values", name);
    memcpy(site->id, id, sizeof site->id);
    memcpy(fixed->timezone, timezone, strlen(timezone) + 1);
    snprintf(fixed->site, sizeof fixed->site, "%s", name);
    fixed->key_check = identity_check(&site->key);
    fixed->created = strtoll(field_of(fields, "created"), NULL, 10);
    atomic_init(&site->clock, moment(strtoll(field_of(fields, "clock"), NULL, 10)));
    return 0;
}

/* ---- Fetching ---------------------------------------------------------------------------------------------------- */

static int fetch(struct remote *remote, const char *name, const struct layout_header *fixed,
                 const struct identity_key *key, redis_deadline deadline, redisReply **out)
{
    struct remote_words words = {0};
    char meta[REMOTE_NAME];

    remote_name(remote, meta, name, "meta");
    remote_word(&words, "open");
    if (fixed) {
        remote_word(&words, "22");
        add_fields(&words, fixed, key);
    } else {
        remote_word(&words, "0");
    }
    int r = remote_script(remote, REMOTE_KEEP, meta, &words, REDIS_REPEAT, "opening a site", deadline, out);
    if (r < 0 || (*out && (*out)->type == REDIS_REPLY_ARRAY))
        return r;
    freeReplyObject(*out);
    *out = NULL;
    return error_set(COUNTER_EIO, "opening a site: the server's answer is no list");
}

/* The list of sites is only for listing them: it is put right by whoever opens a site that has no hit yet. */
static int enlist(struct remote *remote, const char *name, redis_deadline deadline)
{
    struct remote_words words = {0};
    char list[REMOTE_NAME];
    redisReply *reply;

    remote_name(remote, list, NULL, "sites");
    remote_word(&words, "SADD");
    remote_word(&words, list);
    remote_word(&words, name);
    int r = remote_send(remote, list, &words, REDIS_REPEAT, "listing a site", deadline, &reply);
    if (r == 0)
        freeReplyObject(reply);
    return r;
}

static int make(struct remote *remote, const char *name, const struct site_plan *plan, const struct identity_key *given,
                redis_deadline deadline, redisReply **out)
{
    struct layout_header fixed;
    struct identity_key key;
    int r = header_new(&fixed, name, plan);

    if (r == 0 && given)
        key = *given;
    else if (r == 0)
        r = remote_master_key(remote, true, deadline, &key);
    if (r == 0)
        r = enlist(remote, name, deadline);
    if (r == 0)
        r = fetch(remote, name, &fixed, &key, deadline, out);
    explicit_bzero(&key, sizeof key);
    return r;
}

static struct remote_site *find(struct remote_site *head, const char *name)
{
    for (struct remote_site *site = head; site; site = site->next)
        if (strcmp(site->fixed.site, name) == 0 && !atomic_load_explicit(&site->gone, memory_order_relaxed))
            return site;
    return NULL;
}

/* Another thread may have put the site there meanwhile: then that one is used. */
static struct remote_site *publish(_Atomic(struct remote_site *) *chain, struct remote_site *made)
{
    struct remote_site *head = atomic_load_explicit(chain, memory_order_acquire), *other;

    do {
        if ((other = find(head, made->fixed.site)) != NULL) {
            remote_site_free(made);
            return other;
        }
        made->next = head;
    } while (!atomic_compare_exchange_weak(chain, &head, made));
    return made;
}

static int understand(struct remote *remote, const char *name, const redisReply *fields, const struct site_plan *plan,
                      struct remote_site **out)
{
    struct remote_site *site = calloc(1, sizeof *site);

    if (!site)
        return error_set(COUNTER_ENOMEM, "no memory for site %s", name);
    int r = read_fields(fields, name, site);
    if (r == 0)
        r = header_check_plan(&site->fixed, plan);
    if (r == 0)
        r = zone_open(&site->zone, site->fixed.timezone);
    if (r < 0) {
        remote_site_free(site);
        return r;
    }
    remote_name(remote, site->meta, name, "meta");
    *out = site;
    return 0;
}

static _Atomic(struct remote_site *) *chain_of(struct remote *remote, const char *name)
{
    return &remote->chain[sketch_hash(name, strlen(name)) % REMOTE_CHAINS];
}

static int get_site(struct remote *remote, const char *name, bool create, const struct site_plan *plan,
                    const struct identity_key *key, redis_deadline deadline, struct remote_site **out)
{
    _Atomic(struct remote_site *) *chain = chain_of(remote, name);
    redisReply *fields = NULL;

    if ((*out = find(atomic_load_explicit(chain, memory_order_acquire), name)) != NULL)
        return 0;
    struct remote_site *made = NULL;
    int r = fetch(remote, name, NULL, NULL, deadline, &fields);
    if (r == 0 && fields && fields->elements == 0) {
        freeReplyObject(fields);
        fields = NULL;
        r = create ? make(remote, name, plan, key, deadline, &fields)
                   : error_set(COUNTER_ENOSITE, "the store has no site %s", name);
    }
    if (r < 0 || !fields)
        return r;
    r = understand(remote, name, fields, plan, &made);
    freeReplyObject(fields);
    if (made)
        *out = publish(chain, made);
    return r;
}

static struct site_plan plan_of(const struct settings *settings)
{
    return (struct site_plan){.timezone = settings->timezone,
                              .week_start = settings->week_start,
                              .exact_visitors = settings->exact_visitors,
                              .forget_days = settings->forget_days,
                              .retention_days = settings->retention_days,
                              .key_rotation = settings->key_rotation};
}

static struct site_plan plan_like(const struct copy_site *like)
{
    return (struct site_plan){.timezone = like->timezone,
                              .week_start = like->week_start,
                              .exact_visitors = like->exact_visitors,
                              .forget_days = like->forget_days,
                              .retention_days = like->retention_days,
                              .key_rotation = like->key_rotation,
                              .key_check = identity_check(&like->key)};
}

int remote_site(struct remote *remote, const char *name, bool create, redis_deadline deadline, struct remote_site **out)
{
    struct site_plan plan = plan_of(remote->settings);
    return get_site(remote, name, create, &plan, NULL, deadline, out);
}

int remote_site_compare(struct remote *remote, const char *name, const struct copy_site *like, redis_deadline deadline)
{
    struct site_plan asked = plan_of(remote->settings), plan = plan_like(like);
    struct layout_header fixed;
    struct remote_site *site;
    int r = header_new(&fixed, name, &plan);

    if (r < 0 || (r = header_check_plan(&fixed, &asked)) < 0)
        return r;
    r = remote_site(remote, name, false, deadline, &site);
    if (r == COUNTER_ENOSITE)
        return 0;
    return r < 0 ? r : header_check_plan(&site->fixed, &plan);
}

int remote_site_like(struct remote *remote, const char *name, const struct copy_site *like, redis_deadline deadline,
                     struct remote_site **out)
{
    struct site_plan plan = plan_like(like);
    int r = get_site(remote, name, true, &plan, &like->key, deadline, out);

    return r < 0 ? r : header_check_plan(&(*out)->fixed, &plan);
}

void remote_site_free(struct remote_site *site)
{
    if (!site)
        return;
    key_list_free(&site->keys);
    zone_close(site->zone);
    explicit_bzero(&site->key, sizeof site->key);
    free(site);
}

void remote_site_heard(struct remote_site *site, int64_t clock)
{
    int64_t old = atomic_load_explicit(&site->clock, memory_order_relaxed);
    clock = moment(clock);
    while (old < clock && !atomic_compare_exchange_weak(&site->clock, &old, clock))
        ;
}

/* ---- State ------------------------------------------------------------------------------------------------------- */

void remote_visitor(char *text, uint64_t key)
{
    snprintf(text, REMOTE_VISITOR, "%011" PRIx64, key & ((UINT64_C(1) << IDENTITY_BITS) - 1));
}

int remote_state(struct remote *remote, const char *name, struct remote_site **site, struct remote_state *out)
{
    redis_deadline deadline = remote_deadline(remote);
    redisReply *reply;
    int r;

    for (;;) {
        struct remote_words words = {0};
        if ((r = remote_site(remote, name, false, deadline, site)) < 0)
            return r;
        remote_begin(remote, &words, "state", *site);
        if ((r = remote_script(remote, REMOTE_KEEP, (*site)->meta, &words, REDIS_REPEAT, "reading a site", deadline,
                               &reply)) < 0)
            return r;
        bool gone = remote_says(reply, "gone");
        if (!gone)
            *out = (struct remote_state){.clock = moment(remote_value(reply, 1)),
                                         .since = moment(remote_value(reply, 2)),
                                         .accepted = remote_value(reply, 3),
                                         .forgotten = moment(remote_value(reply, 4)),
                                         .late = (uint64_t)remote_value(reply, 5),
                                         .baseline = {.visitors = remote_value(reply, 6),
                                                      .visits = remote_value(reply, 7),
                                                      .hits = remote_value(reply, 8)},
                                         .visitors = (uint64_t)remote_value(reply, 9),
                                         .capacity = (uint64_t)remote_value(reply, 10)};
        freeReplyObject(reply);
        if (!gone)
            break;
        remote_site_leave(*site);
    }
    remote_site_heard(*site, out->clock);
    return 0;
}

/* ---- Calendars --------------------------------------------------------------------------------------------------- */

const char *remote_kind(enum period_kind kind)
{
    static const char *const name[PERIOD_KINDS] = {"day", "week", "month", "year"};
    return name[kind];
}

void remote_date(char *buffer, enum period_kind kind, struct period_date first)
{
    if (kind == PERIOD_YEAR)
        snprintf(buffer, REMOTE_DATE, "%04d", first.year);
    else if (kind == PERIOD_MONTH)
        snprintf(buffer, REMOTE_DATE, "%04d-%02d", first.year, first.month);
    else
        snprintf(buffer, REMOTE_DATE, "%04d-%02d-%02d", first.year, first.month, first.day);
}

void remote_period(char *buffer, const char *front, int kind, struct period_date first)
{
    char date[REMOTE_DATE];

    if (kind == COPY_ALL_TIME) {
        snprintf(buffer, REMOTE_PERIOD, "%sall", front);
        return;
    }
    remote_date(date, (enum period_kind)kind, first);
    snprintf(buffer, REMOTE_PERIOD, "%s%s:%s", front, remote_kind((enum period_kind)kind), date);
}

void remote_frame_of(const struct remote_site *site, int64_t t, struct period_frame *out)
{
    period_frame(out, site->zone, (enum counter_weekday)site->fixed.week_start, t);
}

void remote_frame(struct remote_words *words, const struct period_frame *frame)
{
    char name[REMOTE_DATE];

    for (int kind = 0; kind < PERIOD_KINDS; kind++) {
        const struct period_span *span = &frame->of[kind];
        remote_number(words, span->start);
        remote_number(words, span->end);
        remote_number(words, span->previous);
        remote_date(name, (enum period_kind)kind, span->first);
        remote_word(words, name);
        remote_date(name, (enum period_kind)kind, span->previous_first);
        remote_word(words, name);
    }
}
