/* settings_rule.c: see settings_rule.h. */
#include "settings_rule.h"

#include "redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table --------------------------------------------------------------------------------------------------- */

static const char *const signal_words[] = {
    [COUNTER_SIGNAL_COUNT] = "count", [COUNTER_SIGNAL_HITS_ONLY] = "hits_only", [COUNTER_SIGNAL_SKIP] = "skip"};
static const char *const weekday_words[] = {
    [COUNTER_MONDAY] = "monday", [COUNTER_SATURDAY] = "saturday", [COUNTER_SUNDAY] = "sunday"};
static const char *const rotation_words[] = {
    [COUNTER_ROTATION_NEVER] = "never", [COUNTER_ROTATION_MONTHLY] = "monthly", [COUNTER_ROTATION_DAILY] = "daily"};

_Static_assert(sizeof(enum counter_weekday) == sizeof(uint32_t), "words are stored as numbers are");
_Static_assert(sizeof(enum counter_signal_policy) == sizeof(uint32_t), "words are stored as numbers are");
_Static_assert(sizeof(enum counter_rotation) == sizeof(uint32_t), "words are stored as numbers are");

/* clang-format off */
#define SETTING(member, CAPITALS, normal, ...) {#member, "COUNTER_" #CAPITALS, __VA_ARGS__, normal, \
    offsetof(struct counter_options, member), offsetof(struct settings, member)}
#define TEXT(secrecy, most)         SETTINGS_TEXT, SETTINGS_##secrecy, false, 1, most, NULL
#define ANY                         TEXT(OPEN, SETTINGS_VALUE - 1)
#define NAME(most)                  SETTINGS_NAME, SETTINGS_OPEN, false, 1, most, NULL
#define NUMBER(fixed, least, most)  SETTINGS_NUMBER, SETTINGS_OPEN, fixed, least, most, NULL
#define WORD(fixed, least, most, w) SETTINGS_WORD, SETTINGS_OPEN, fixed, COUNTER_##least, COUNTER_##most, w##_words

const struct settings_rule settings_rules[SETTINGS_RULES] = {
    SETTING(store,               STORE,               NULL,      TEXT(URL, SETTINGS_VALUE - 1)),
    SETTING(site,                SITE,                "",        ANY),
    SETTING(trusted_proxies,     TRUSTED_PROXIES,     "",        ANY),
    SETTING(exclude,             EXCLUDE,             "",        ANY),
    SETTING(privacy_signal,      PRIVACY_SIGNAL,      "count",   WORD(false, SIGNAL_COUNT, SIGNAL_SKIP, signal)),
    SETTING(sync_ms,             SYNC_MS,             "1000",    NUMBER(false, 100, 3600000)),
    SETTING(deadline,            DEADLINE,            "250",     NUMBER(false, 10, 60000)),
    SETTING(prefix,              PREFIX,              "counter", NAME(64)),
    SETTING(store_password,      STORE_PASSWORD,      "",        TEXT(SECRET, REDIS_PASSWORD - 1)),
    SETTING(store_password_file, STORE_PASSWORD_FILE, "",        ANY),
    SETTING(store_ca,            STORE_CA,            "",        ANY),
    SETTING(timezone,            TIMEZONE,            "",        ANY),
    SETTING(week_start,          WEEK_START,          "monday",  WORD(true, MONDAY, SUNDAY, weekday)),
    SETTING(exact_visitors,      EXACT_VISITORS,      "32768",   NUMBER(true, 1, 2097152)),
    SETTING(forget_days,         FORGET_DAYS,         "35",      NUMBER(true, 1, 400)),
    SETTING(retention_days,      RETENTION_DAYS,      "400",     NUMBER(true, 31, 4000)),
    SETTING(key_rotation,        KEY_ROTATION,        "never",   WORD(true, ROTATION_NEVER, ROTATION_DAILY, rotation)),
};
/* clang-format on */

enum { DIGITS_MAX = 10 };

size_t settings_rule_find(const char *key)
{
    size_t i = 0;

    while (i < SETTINGS_RULES && strcmp(settings_rules[i].key, key) != 0)
        i++;
    return i;
}

/* Puts word and a comma before it behind the text. */
static void list_word(char list[SETTINGS_RULE_TEXT], const char *word)
{
    size_t length = strlen(list);

    snprintf(list + length, SETTINGS_RULE_TEXT - length, "%s%s", length > 0 ? ", " : "", word);
}

const char *settings_rule_keys(char list[SETTINGS_RULE_TEXT])
{
    list[0] = '\0';
    for (size_t i = 0; i < SETTINGS_RULES; i++)
        list_word(list, settings_rules[i].key);
    return list;
}

/* ---- Checked ----------------------------------------------------------------------------------------------------- */

bool settings_rule_is_text(const struct settings_rule *rule)
{
    return rule->kind == SETTINGS_TEXT || rule->kind == SETTINGS_NAME;
}

static const char *broken_text(const struct settings_rule *rule, const char *text, char list[SETTINGS_RULE_TEXT])
{
    if (strnlen(text, rule->most + 1) > rule->most) {
        snprintf(list, SETTINGS_RULE_TEXT, "at most %u bytes", rule->most);
        return list;
    }
    for (; *text; text++)
        if ((*text > 0 && *text < ' ' && *text != '\t') || *text == 0x7f)
            return "no control characters are allowed";
    return NULL;
}

static const char *broken_name(const struct settings_rule *rule, const char *text, char list[SETTINGS_RULE_TEXT])
{
    size_t good = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (!text[good] && good <= rule->most)
        return NULL;
    snprintf(list, SETTINGS_RULE_TEXT, "1 to %u letters, digits, '.', '_' and '-'", rule->most);
    return list;
}

static const char *broken_number(const struct settings_rule *rule, const char *text, uint32_t *number,
                                 char list[SETTINGS_RULE_TEXT])
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value = 0;

    for (size_t i = 0; i < digits && digits <= DIGITS_MAX; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    if (digits > 0 && digits <= DIGITS_MAX && !text[digits] && value >= rule->least && value <= rule->most) {
        *number = (uint32_t)value;
        return NULL;
    }
    snprintf(list, SETTINGS_RULE_TEXT, "a number from %u to %u", rule->least, rule->most);
    return list;
}

static const char *broken_word(const struct settings_rule *rule, const char *text, uint32_t *number,
                               char list[SETTINGS_RULE_TEXT])
{
    list[0] = '\0';
    for (uint32_t i = rule->least; i <= rule->most; i++) {
        if (rule->word[i] && strcmp(rule->word[i], text) == 0) {
            *number = i;
            return NULL;
        }
        if (rule->word[i])
            list_word(list, rule->word[i]);
    }
    return list;
}

const char *settings_rule_broken(const struct settings_rule *rule, const char *text, uint32_t *number,
                                 char list[SETTINGS_RULE_TEXT])
{
    switch (rule->kind) {
    case SETTINGS_NUMBER:
        return broken_number(rule, text, number, list);
    case SETTINGS_WORD:
        return broken_word(rule, text, number, list);
    case SETTINGS_NAME:
        return broken_name(rule, text, list);
    case SETTINGS_TEXT:
        break;
    }
    return broken_text(rule, text, list);
}

/* ---- Shown and forgotten ----------------------------------------------------------------------------------------- */

/* A folder has no password, however its name may look. */
static bool is_folder(const char *url)
{
    return strncmp(url, "file:", 5) == 0 || strncmp(url, "file+network:", 13) == 0;
}

const char *settings_rule_show(const struct settings_rule *rule, const char *text, char buffer[SETTINGS_SHOWN])
{
    if (rule->secrecy == SETTINGS_SECRET && *text)
        return "(set)";
    if (rule->secrecy == SETTINGS_URL && !is_folder(text) && strcmp(text, "memory:") != 0)
        return redis_url_show(buffer, SETTINGS_SHOWN, text);
    return text;
}

void settings_rule_free(const struct settings_rule *rule, char *text)
{
    if (text && rule->secrecy != SETTINGS_OPEN)
        explicit_bzero(text, strlen(text));
    free(text);
}
