/*
 * settings.c: the places that settings come from, and whose word counts.
 *
 * Each place is turned into text first, numbers of the caller's options too. So one check with one wording serves them
 * all (settings_rule.h), and `counter config` can print what any of them said. A value in counter.conf is checked even
 * where another place overrules it: a mistake shows when it is made, not on the day the environment changes.
 */
#include "settings.h"

#include "abi.h"
#include "error.h"
#include "redis_url.h"
#include "settings_rule.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 11, PLACE_TEXT = ERROR_QUOTED + 16 };

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
    struct given given[SETTINGS_RULES];
    unsigned line[SETTINGS_RULES]; /* where counter.conf has the key, also when it is overruled */
    struct portal *portal;         /* SETTINGS_PORTAL, allocated with the first */
    size_t portals;
    char *config;
    const char *config_by;
};

static void forget(struct found *found)
{
    for (size_t i = 0; i < SETTINGS_RULES; i++)
        settings_rule_free(&settings_rules[i], found->given[i].text);
    for (size_t i = 0; i < found->portals; i++) {
        free(found->portal[i].key);
        free(found->portal[i].value);
    }
    free(found->portal);
    free(found->config);
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

static int refuse_value(const struct settings_rule *rule, const char *where, const char *text, const char *broken)
{
    char shown[SETTINGS_SHOWN], quoted[ERROR_QUOTED];

    text = settings_rule_show(rule, text, shown);
    return error_set(COUNTER_EINVAL, "%s: %s = \"%s\": %s", where, rule->key,
                     error_quote(quoted, text, strnlen(text, ERROR_QUOTED)), broken);
}

/* Checks a value and keeps it unless a place that comes first has spoken. An empty one is a word for the default. */
static int take(struct found *found, size_t i, const char *place, unsigned line, const char *text)
{
    const struct settings_rule *rule = &settings_rules[i];
    char where[PLACE_TEXT], list[SETTINGS_RULE_TEXT];
    struct given *given = &found->given[i];
    uint32_t number;
    const char *broken = *text ? settings_rule_broken(rule, text, &number, list) : NULL;

    if (broken)
        return refuse_value(rule, place_text(where, place, line), text, broken);
    if (given->place)
        return 0;
    given->text = strdup(text);
    given->place = place;
    given->line = line;
    return given->text ? 0 : no_memory();
}

static int take_option(struct found *found, size_t i, const struct counter_options *options)
{
    const struct settings_rule *rule = &settings_rules[i];
    const char *member = (const char *)options + rule->option, *text;
    char digits[DIGITS];
    uint32_t number;

    if (settings_rule_is_text(rule)) {
        memcpy(&text, member, sizeof text);
        return text ? take(found, i, "option", 0, text) : 0;
    }
    memcpy(&number, member, sizeof number);
    if (number == 0)
        return 0;
    snprintf(digits, sizeof digits, "%u", number);
    text = rule->kind == SETTINGS_WORD && number <= rule->most && rule->word[number] ? rule->word[number] : digits;
    return take(found, i, "option", 0, text);
}

static int refuse_repeated(const struct found *found, unsigned line, const char *key, unsigned before)
{
    char where[PLACE_TEXT];

    return error_set(COUNTER_EINVAL, "%s: %s stands in line %u already", place_text(where, found->config, line), key,
                     before);
}

static int refuse_unknown(const struct found *found, unsigned line, const char *key)
{
    char where[PLACE_TEXT], list[SETTINGS_RULE_TEXT];

    return error_set(COUNTER_EINVAL, "%s: unknown key \"%s\"; there are %s, and those of portal.",
                     place_text(where, found->config, line), key, settings_rule_keys(list));
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
    size_t i = settings_rule_find(key);

    if (i == SETTINGS_RULES && strncmp(key, portal, sizeof portal - 1) == 0 && key[sizeof portal - 1])
        return take_portal(found, line, key, value);
    if (i == SETTINGS_RULES)
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
    if (bytes)
        explicit_bzero(bytes, length);
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
    for (size_t i = 0; i < SETTINGS_RULES; i++) {
        struct given *given = &found->given[i];
        given->is_asked = given->text && given->text[0];
        if (!given->place)
            given->place = "default";
        if (given->is_asked)
            continue;
        free(given->text);
        given->text = settings_rules[i].normal ? strdup(settings_rules[i].normal) : default_store();
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
    for (size_t i = 0; r == 0 && i < SETTINGS_RULES; i++)
        r = take_option(found, i, &own);
    for (size_t i = 0; r == 0 && i < SETTINGS_RULES; i++)
        if ((text = secure_getenv(settings_rules[i].variable)))
            r = take(found, i, settings_rules[i].variable, 0, text);
    if (r == 0)
        r = take_file(found, own.config);
    if (r == 0)
        r = settle(found);
    if (r < 0)
        forget(found);
    return r;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* Moves what was found to where the library looks for it. */
static void fill(struct settings *out, struct found *found)
{
    char list[SETTINGS_RULE_TEXT];

    for (size_t i = 0; i < SETTINGS_RULES; i++) {
        const struct settings_rule *rule = &settings_rules[i];
        struct given *given = &found->given[i];
        char *member = (char *)out + rule->setting;
        uint32_t number = 0;
        if (settings_rule_is_text(rule)) {
            memcpy(member, &given->text, sizeof given->text);
            given->text = NULL;
        } else if (given->is_asked || !rule->is_fixed) {
            settings_rule_broken(rule, given->text, &number, list);
            memcpy(member, &number, sizeof number);
        }
    }
    out->config = found->config;
    found->config = NULL;
}

/* A Redis whose URL brings no password gets the one of the file. A URL that cannot be parsed is left to whoever opens the
 * store. Two places for one secret are refused: the one forgotten would be used without a word. */
static int find_password(struct settings *settings)
{
    struct redis_url url;
    char *password;

    if (!settings->store_password_file[0] || !redis_url_is(settings->store))
        return 0;
    if (settings->store_password[0])
        return error_set(COUNTER_EINVAL, "store_password and store_password_file are both set: take one of them away");
    bool is_missing = redis_url_parse(&url, settings->store) == 0 && !url.password[0];
    explicit_bzero(&url, sizeof url);
    if (!is_missing)
        return 0;
    int r = settings_password_read(&password, settings->store_password_file);
    if (r < 0)
        return r;
    free(settings->store_password);
    settings->store_password = password;
    return 0;
}

int settings_read(struct settings *out, const struct counter_options *options)
{
    struct found found;
    int r = find(&found, options);

    *out = (struct settings){0};
    if (r < 0)
        return r;
    fill(out, &found);
    forget(&found);
    if ((r = find_password(out)) < 0)
        settings_free(out);
    return r;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < SETTINGS_RULES; i++) {
        char *text;
        if (!settings_rule_is_text(&settings_rules[i]))
            continue;
        memcpy(&text, (char *)settings + settings_rules[i].setting, sizeof text);
        settings_rule_free(&settings_rules[i], text);
    }
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

static int tell_setting(counter_fact_fn *each, void *arg, const struct settings_rule *rule, const struct given *given)
{
    char shown[SETTINGS_SHOWN];
    return tell(each, arg, rule->key, settings_rule_show(rule, given->text, shown), given->place, given->line);
}

int settings_each(const struct counter_options *options, counter_fact_fn *each, void *arg)
{
    struct found found;
    int r = find(&found, options);

    if (r < 0)
        return r;
    r = tell(each, arg, "config", found.config, found.config_by, 0);
    for (size_t i = 0; r == 0 && i < SETTINGS_RULES; i++)
        r = tell_setting(each, arg, &settings_rules[i], &found.given[i]);
    for (size_t i = 0; r == 0 && i < found.portals; i++)
        r = tell(each, arg, found.portal[i].key, found.portal[i].value, found.config, found.portal[i].line);
    forget(&found);
    return r;
}
