/*
 * settings_rule.h: every setting once: its key, its variable, what it may hold, its default, and how secret it is.
 *
 * A value is text, wherever it comes from, and is checked and shown here. What is shown (`counter config`, errors)
 * never holds a password: of a store's URL it is left out, and of a password itself nothing is shown but that there is
 * one.
 */
#ifndef LIBCOUNTER_SETTINGS_RULE_H
#define LIBCOUNTER_SETTINGS_RULE_H

#include "settings.h"

#include <stdbool.h>

struct settings_rule {
    const char *key, *variable;
    enum { SETTINGS_TEXT, SETTINGS_NAME, SETTINGS_NUMBER, SETTINGS_WORD } kind;
    enum { SETTINGS_OPEN, SETTINGS_URL, SETTINGS_SECRET } secrecy;
    bool        is_fixed;       /* a number of the site's, which "not asked for" must reach as 0 */
    uint32_t    least, most;    /* of a number, of the numbers that have a word, of a string's bytes */
    const char *const *word;
    const char *normal;         /* the default; NULL: settings.c finds one */
    size_t      option, setting;                /* offsets */
};

enum { SETTINGS_RULES = 17, SETTINGS_RULE_TEXT = 256, SETTINGS_SHOWN = SETTINGS_VALUE + 8 };

extern const struct settings_rule settings_rules[SETTINGS_RULES];

/* SETTINGS_RULES where no rule has the key. */
size_t settings_rule_find(const char *key);

/* Lists all keys, "store, site, ...". Returns list. */
const char *settings_rule_keys(char list[SETTINGS_RULE_TEXT]);

/* Is the value a string, not a number? */
bool settings_rule_is_text(const struct settings_rule *rule);

/* What the value (not "") must be and is not; NULL: it is, and *number is its number, unless it is a string. */
const char *settings_rule_broken(const struct settings_rule *rule, const char *text, uint32_t *number,
                                 char list[SETTINGS_RULE_TEXT]);

/* The value as it may be shown, in the buffer if it is not the text itself. */
const char *settings_rule_show(const struct settings_rule *rule, const char *text, char buffer[SETTINGS_SHOWN]);

/* Frees a value, after overwriting one that may hold a password. NULL is fine. */
void settings_rule_free(const struct settings_rule *rule, char *text);

#endif
