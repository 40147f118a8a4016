/*
 * settings.c: every setting once, and whose word about it counts.
 *
 * Each place is turned into text first, numbers of the caller's options too. So one check with one wording serves them
 * all, and `counter config` can print what any of them said. A value in counter.conf is checked even where another
 * place overrules it: a mistake shows when it is made, not on the day the environment changes.
 */
#include "settings.h"

#include "abi.h"
#include "error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table -------------------------------------------------------------------------------------------------- */

static const char *const signal_words[] = {
    [COUNTER_SIGNAL_COUNT] = "count", [COUNTER_SIGNAL_HITS_ONLY] = "hits_only", [COUNTER_SIGNAL_SKIP] = "skip"};
static const char *const weekday_words[] = {
    [COUNTER_MONDAY] = "monday", [COUNTER_SATURDAY] = "saturday", [COUNTER_SUNDAY] = "sunday"};
static const char *const rotation_words[] = {
    [COUNTER_ROTATION_NEVER] = "never", [COUNTER_ROTATION_MONTHLY] = "monthly", [COUNTER_ROTATION_DAILY] = "daily"};

struct rule {
    const char *key, *variable;
    enum { TEXT, NUMBER, WORD } kind;
    bool is_fixed;        /* by the site, so that "not asked for" must reach it as 0 */
    uint32_t least, most; /* of a number, or of the numbers that have a word */
    const char *const *word;
    const char *normal;     /* the default; NULL: see default_store */
    size_t option, setting; /* offsets */
};

#define PLACES(member) offsetof(struct counter_options, member), offsetof(struct settings, member)

/* clang-format off */
static const struct rule rules[] = {
    {"store",           "COUNTER_STORE",           TEXT,   false, 0, 0, NULL, NULL, PLACES(store)},
    {"site",            "COUNTER_SITE",            TEXT,   false, 0, 0, NULL, "", PLACES(site)},
    {"trusted_proxies", "COUNTER_TRUSTED_PROXIES", TEXT,   false, 0, 0, NULL, "", PLACES(trusted_proxies)},
    {"exclude",         "COUNTER_EXCLUDE",         TEXT,   false, 0, 0, NULL, "", PLACES(exclude)},
    {"sync_ms",         "COUNTER_SYNC_MS",         NUMBER, false, 100, 3600000, NULL, "1000", PLACES(sync_ms)},
    {"privacy_signal",  "COUNTER_PRIVACY_SIGNAL",  WORD,   false, COUNTER_SIGNAL_COUNT, COUNTER_SIGNAL_SKIP, signal_words,
     "count", PLACES(privacy_signal)},
    {"timezone",        "COUNTER_TIMEZONE",        TEXT,   true,  0, 0, NULL, "", PLACES(timezone)},
    {"week_start",      "COUNTER_WEEK_START",      WORD,   true,  COUNTER_MONDAY, COUNTER_SUNDAY, weekday_words,
     "monday", PLACES(week_start)},
    {"exact_visitors",  "COUNTER_EXACT_VISITORS",  NUMBER, true,  1, 2097152, NULL, "32768", PLACES(exact_visitors)},
    {"forget_days",     "COUNTER_FORGET_DAYS",     NUMBER, true,  1, 400, NULL, "35", PLACES(forget_days)},
    {"retention_days",  "COUNTER_RETENTION_DAYS",  NUMBER, true,  31, 4000, NULL, "400", PLACES(retention_days)},
    {"key_rotation",    "COUNTER_KEY_ROTATION",    WORD,   true,  COUNTER_ROTATION_NEVER, COUNTER_ROTATION_DAILY,
     rotation_words, "never", PLACES(key_rotation)},
};
/* clang-format on */

enum { RULES = sizeof rules / sizeof *rules, DIGITS_MAX = 10, LIST_TEXT = 256, PLACE_TEXT = ERROR_QUOTED + 16 };

_Static_assert(sizeof(enum counter_weekday) == sizeof(uint32_t), "words are stored as numbers are");
_Static_assert(sizeof(enum counter_signal_policy) == sizeof(uint32_t), "words are stored as numbers are");
_Static_assert(sizeof(enum counter_rotation) == sizeof(uint32_t), "words are stored as numbers are");

/* ---- What was found --------------------------------------------------------------------------------------------- */

struct given {
    char *text;
    const char *place; /* "option", a variable, the file's path, "default" */
    unsigned line;     /* in the file; 0: not there */
    bool is_asked;     /* text is somebody's wish, not the default */
};

struct portal {
    char *key, *value;
    unsigned line;
};

struct found {
    struct given given[RULES];
    unsigned line[RULES];  /* where counter.conf has the key, also when it is overruled */
    struct portal *portal; /* SETTINGS_PORTAL, allocated with the first */
    size_t portals;
    char *config;
    const char *config_by;
};

static void forget(struct found *found)
{
    for (size_t i = 0; i < RULES; i++)
        free(found->given[i].text);
    for (size_t i = 0; i < found->portals; i++) {
        free(found->portal[i].key);
        free(found->portal[i].value);
    }
    free(found->portal);
    free(found->config);
}

/* ---- Checking one value ------------------------------------------------------------------------------------------ */

/* Puts word and a comma before it behind the text. */
static void list_word(char list[LIST_TEXT], const char *word)
{
    size_t length = strlen(list);

    snprintf(list + length, LIST_TEXT - length, "%s%s", length > 0 ? ", " : "", word);
}

static bool parse_number(const char *text, uint32_t *out)
{
    size_t length = strspn(text, "0123456789");
    uint64_t number = 0;

    if (length == 0 || length > DIGITS_MAX || text[length])
        return false;
    for (size_t i = 0; i < length; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    *out = number <= UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    return true;
}

static bool parse_word(const struct rule *rule, const char *text, uint32_t *out)
{
    for (uint32_t i = rule->least; i <= rule->most; i++) {
        if (rule->word[i] && strcmp(rule->word[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static const char *broken_text_rule(const char *text)
{
    if (strnlen(text, SETTINGS_VALUE) == SETTINGS_VALUE)
        return "at most 4096 bytes";
    for (; *text; text++)
        if ((*text > 0 && *text < ' ' && *text != '\t') || *text == 0x7f)
            return "no control characters are allowed";
    return NULL;
}

/* The rule that the value breaks, or NULL and, unless it is a text, its number. */
static const char *broken_rule(const struct rule *rule, const char *text, uint32_t *number, char list[LIST_TEXT])
{
    if (rule->kind == TEXT)
        return broken_text_rule(text);
    if (rule->kind == NUMBER) {
        if (parse_number(text, number) && *number >= rule->least && *number <= rule->most)
            return NULL;
        snprintf(list, LIST_TEXT, "a number from %u to %u", rule->least, rule->most);
        return list;
    }
    if (parse_word(rule, text, number))
        return NULL;
    list[0] = '\0';
    for (uint32_t i = rule->least; i <= rule->most; i++)
        if (rule->word[i])
            list_word(list, rule->word[i]);
    return list;
}

/* ---- The four places --------------------------------------------------------------------------------------------- */

static int no_memory(void)
{
    return error_set(COUNTER_ENOMEM, "no memory for the settings");
}

/* "option", "COUNTER_SITE", "/etc/counter.conf:3". Returns out. */
static const char *place_text(char out[PLACE_TEXT], const char *place, unsigned line)
{
    char quoted[ERROR_QUOTED];

    error_quote(quoted, place, strlen(place));
    if (line)
        snprintf(out, PLACE_TEXT, "%s:%u", quoted, line);
    else
        snprintf(out, PLACE_TEXT, "%s", quoted);
    return out;
}

/* Checks a value and keeps it unless a place that comes first has spoken. An empty one is a word for the default. */
static int take(struct found *found, size_t i, const char *place, unsigned line, const char *text)
{
    char quoted[ERROR_QUOTED], where[PLACE_TEXT], list[LIST_TEXT];
    struct given *given = &found->given[i];
    uint32_t number;
    const char *broken = *text ? broken_rule(&rules[i], text, &number, list) : NULL;

    if (broken)
        return error_set(COUNTER_EINVAL, "%s: %s = \"%s\": %s", place_text(where, place, line), rules[i].key,
                         error_quote(quoted, text, strnlen(text, ERROR_QUOTED)), broken);
    if (given->place)
        return 0;
    given->text = strdup(text);
    given->place = place;
    given->line = line;
    return given->text ? 0 : no_memory();
}

static int take_option(struct found *found, size_t i, const struct counter_options *options)
{
    const struct rule *rule = &rules[i];
    const char *member = (const char *)options + rule->option, *text;
    char digits[DIGITS_MAX + 1];
    uint32_t number;

    if (rule->kind == TEXT) {
        memcpy(&text, member, sizeof text);
        return text ? take(found, i, "option", 0, text) : 0;
    }
    memcpy(&number, member, sizeof number);
    if (number == 0)
        return 0;
    snprintf(digits, sizeof digits, "%u", number);
    text = rule->kind == WORD && number <= rule->most && rule->word[number] ? rule->word[number] : digits;
    return take(found, i, "option", 0, text);
}

static size_t rule_of(const char *key)
{
    size_t i = 0;

    while (i < RULES && strcmp(rules[i].key, key) != 0)
        i++;
    return i;
}

static int refuse_repeated(const struct found *found, unsigned line, const char *key, unsigned before)
{
    char where[PLACE_TEXT];

    return error_set(COUNTER_EINVAL, "%s: %s stands in line %u already", place_text(where, found->config, line), key,
                     before);
}

static int refuse_unknown(const struct found *found, unsigned line, const char *key)
{
    char where[PLACE_TEXT], list[LIST_TEXT] = "";

    for (size_t i = 0; i < RULES; i++)
        list_word(list, rules[i].key);
    return error_set(COUNTER_EINVAL, "%s: unknown key \"%s\"; there are %s, and those of portal.",
                     place_text(where, found->config, line), key, list);
}

static int take_portal(struct found *found, unsigned line, const char *key, const char *value)
{
    char where[PLACE_TEXT];

    for (size_t i = 0; i < found->portals; i++)
        if (strcmp(found->portal[i].key, key) == 0)
            return refuse_repeated(found, line, key, found->portal[i].line);
    if (found->portals == SETTINGS_PORTAL)
        return error_set(COUNTER_EINVAL, "%s: more than %d keys of portal.", place_text(where, found->config, line),
                         SETTINGS_PORTAL);
    if (!found->portal && !(found->portal = calloc(SETTINGS_PORTAL, sizeof *found->portal)))
        return no_memory();

    struct portal *portal = &found->portal[found->portals++];
    *portal = (struct portal){strdup(key), strdup(value), line};
    return portal->key && portal->value ? 0 : no_memory();
}

static int take_line(void *arg, unsigned line, const char *key, const char *value)
{
    static const char portal[] = "portal.";
    struct found *found = arg;
    size_t i = rule_of(key);

    if (i == RULES && strncmp(key, portal, sizeof portal - 1) == 0 && key[sizeof portal - 1])
        return take_portal(found, line, key, value);
    if (i == RULES)
        return refuse_unknown(found, line, key);
    if (found->line[i])
        return refuse_repeated(found, line, key, found->line[i]);
    found->line[i] = line;
    return take(found, i, found->config, line, value);
}

static int take_file(struct found *found, const char *option)
{
    size_t length;
    char *bytes;
    int r = settings_file_read(option, &found->config, &found->config_by, &bytes, &length);

    if (r == 0 && bytes)
        r = settings_parse(found->config, bytes, length, take_line, found);
    free(bytes);
    return r;
}

/* The XDG base folder rules: a relative $XDG_STATE_HOME counts as unset. */
static char *default_store(void)
{
    const char *state = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
    char *text = NULL;
    int r;

    if (state && state[0] == '/')
        r = asprintf(&text, "file:%s/counter", state);
    else if (home && home[0])
        r = asprintf(&text, "file:%s/.local/state/counter", home);
    else
        r = asprintf(&text, "file:/var/lib/counter");
    return r < 0 ? NULL : text;
}

static int settle(struct found *found)
{
    for (size_t i = 0; i < RULES; i++) {
        struct given *given = &found->given[i];
        given->is_asked = given->text && given->text[0];
        if (!given->place)
            given->place = "default";
        if (given->is_asked)
            continue;
        free(given->text);
        given->text = rules[i].normal ? strdup(rules[i].normal) : default_store();
        if (!given->text)
            return no_memory();
    }
    return 0;
}

/* On failure there is nothing to forget. */
static int find(struct found *found, const struct counter_options *options)
{
    struct counter_options own = {0};
    const char *text;
    int r = 0;

    *found = (struct found){0};
    if (options && (r = abi_copy(&own, sizeof own, options, "struct counter_options")) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < RULES; i++)
        r = take_option(found, i, &own);
    for (size_t i = 0; r == 0 && i < RULES; i++)
        if ((text = secure_getenv(rules[i].variable)))
            r = take(found, i, rules[i].variable, 0, text);
    if (r == 0)
        r = take_file(found, own.config);
    if (r == 0)
        r = settle(found);
    if (r < 0)
        forget(found);
    return r;
}

/* ---- Answers ------------------------------------------------------------------------------------------------------ */

int settings_read(struct settings *out, const struct counter_options *options)
{
    char list[LIST_TEXT];
    struct found found;
    int r = find(&found, options);

    *out = (struct settings){0};
    if (r < 0)
        return r;
    for (size_t i = 0; i < RULES; i++) {
        const struct rule *rule = &rules[i];
        struct given *given = &found.given[i];
        char *member = (char *)out + rule->setting;
        uint32_t number = 0;
        if (rule->kind == TEXT) {
            memcpy(member, &given->text, sizeof given->text);
            given->text = NULL;
        } else if (given->is_asked || !rule->is_fixed) {
            broken_rule(rule, given->text, &number, list);
            memcpy(member, &number, sizeof number);
        }
    }
    out->config = found.config;
    found.config = NULL;
    forget(&found);
    return 0;
}

void settings_free(struct settings *settings)
{
    free(settings->store);
    free(settings->site);
    free(settings->trusted_proxies);
    free(settings->exclude);
    free(settings->timezone);
    free(settings->config);
    *settings = (struct settings){0};
}

static int tell(counter_fact_fn *each, void *arg, const char *name, const char *value, const char *place, unsigned line)
{
    struct counter_fact fact = {.level = COUNTER_FACT, .name = name, .value = value, .why = place};
    char *where = NULL;

    if (line && asprintf(&where, "%s:%u", place, line) < 0)
        return no_memory();
    if (line)
        fact.why = where;
    int r = each(arg, &fact);
    free(where);
    return r;
}

int settings_each(const struct counter_options *options, counter_fact_fn *each, void *arg)
{
    struct found found;
    int r = find(&found, options);

    if (r < 0)
        return r;
    r = tell(each, arg, "config", found.config, found.config_by, 0);
    for (size_t i = 0; r == 0 && i < RULES; i++)
        r = tell(each, arg, rules[i].key, found.given[i].text, found.given[i].place, found.given[i].line);
    for (size_t i = 0; r == 0 && i < found.portals; i++)
        r = tell(each, arg, found.portal[i].key, found.portal[i].value, found.config, found.portal[i].line);
    forget(&found);
    return r;
}
