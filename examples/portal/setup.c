/* setup.c: walks the settings in force and keeps ours. */
#include "setup.h"

#include <counter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static const char *const language_names[] = {[SETUP_VI] = "vi", [SETUP_EN] = "en"};

const char *setup_language_name(enum setup_language language)
{
    return language_names[language];
}

/* The setter of each key returns NULL, or the rule that the value breaks. */
typedef const char *setter(struct setup *setup, const struct counter_fact *fact);

static const char *replace(char **place, char *value)
{
    free(*place);
    *place = value;
    return value ? NULL : "out of memory";
}

static const char *set_language(struct setup *setup, const struct counter_fact *fact)
{
    for (int i = 0; i < SETUP_LANGUAGES; i++)
        if (strcmp(fact->value, language_names[i]) == 0) {
            setup->language = (enum setup_language)i;
            return NULL;
        }
    return "not vi or en";
}

static const char *set_rows_vi(struct setup *setup, const struct counter_fact *fact)
{
    if (counter_rows_want(fact->value, NULL) < 0)
        return counter_error();
    return replace(&setup->rows[SETUP_VI], strdup(fact->value));
}

static const char *set_rows_en(struct setup *setup, const struct counter_fact *fact)
{
    if (counter_rows_want(fact->value, NULL) < 0)
        return counter_error();
    return replace(&setup->rows[SETUP_EN], strdup(fact->value));
}

/* For the languages that have no rows of their own; the key of one language may stand before or behind this one. */
static const char *set_rows(struct setup *setup, const struct counter_fact *fact)
{
    const char *rule = NULL;

    if (!setup->rows[SETUP_VI])
        rule = set_rows_vi(setup, fact);
    if (!rule && !setup->rows[SETUP_EN])
        rule = set_rows_en(setup, fact);
    return rule;
}

/* fact->why is where the key stands, "/etc/counter.conf:3"; its folder is what the value is relative to. */
static const char *set_pages(struct setup *setup, const struct counter_fact *fact)
{
    const char *slash = strrchr(fact->why, '/');
    char *path;

    if (!*fact->value)
        return "not a folder";
    if (*fact->value == '/' || !slash)
        return replace(&setup->pages, strdup(fact->value));
    if (asprintf(&path, "%.*s/%s", (int)(slash - fact->why), fact->why, fact->value) < 0)
        path = NULL;
    return replace(&setup->pages, path);
}

static const char *set_policy(struct setup *setup, const struct counter_fact *fact)
{
    for (const char *at = fact->value; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            return "a header holds printable ASCII characters only";
    return replace(&setup->policy, strdup(fact->value));
}

static const char *set_forwarded(struct setup *setup, const struct counter_fact *fact)
{
    if (strcasecmp(fact->value, "X-Forwarded-For") == 0)
        setup->forwarded = REQUEST_X_FORWARDED_FOR;
    else if (strcasecmp(fact->value, "Forwarded") == 0)
        setup->forwarded = REQUEST_RFC7239;
    else
        return "not X-Forwarded-For or Forwarded";
    return NULL;
}

static const struct {
    const char *key;
    setter *set;
} keys[] = {
    {"portal.language", set_language},   {"portal.rows", set_rows},   {"portal.rows.vi", set_rows_vi},
    {"portal.rows.en", set_rows_en},     {"portal.pages", set_pages}, {"portal.policy", set_policy},
    {"portal.forwarded", set_forwarded},
};

static int keep(void *arg, const struct counter_fact *fact)
{
    const char *rule = "no such key";

    if (strncmp(fact->name, "portal.", 7) != 0)
        return 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(fact->name, keys[i].key) == 0)
            rule = keys[i].set(arg, fact);
    if (rule)
        log_line("%s: %s = %s: %s", fact->why, fact->name, fact->value, rule);
    return 0;
}

void setup_read(struct setup *out)
{
    *out = (struct setup){0};
    if (counter_settings(NULL, keep, out) == 0)
        return;
    log_line("%s", counter_error());
    out->failed = 1;
}

void setup_free(struct setup *setup)
{
    for (int i = 0; i < SETUP_LANGUAGES; i++)
        free(setup->rows[i]);
    free(setup->pages);
    free(setup->policy);
    *setup = (struct setup){0};
}
