/*
 * settings.h: the options in force, from the caller, the environment, counter.conf and the defaults, in this order.
 *
 * One table (settings_rule.h) names every setting once: key, environment variable, kind, range, default. counter.conf
 * is "key = value" a line; '#' begins a comment at the line's start or after white space; a value between double quotes
 * keeps '#' and outer spaces, with \" and \\ for these two. An empty value asks for the default, whatever stands
 * further down. Unknown and repeated keys are errors that name file, line and key; those that begin with "portal."
 * belong to the programs and are kept as they are. No value holds control characters.
 *
 * No error and no listing shows a password, whether it was a setting of its own or stood in the store's URL; what held
 * one is overwritten before it is freed.
 */
#ifndef LIBCOUNTER_SETTINGS_H
#define LIBCOUNTER_SETTINGS_H

#include <counter.h>

enum {
    SETTINGS_FILE_MAX = 65536,
    SETTINGS_KEY      = 65,         /* with NUL, as the next */
    SETTINGS_VALUE    = 4097,
    SETTINGS_PORTAL   = 256         /* "portal." keys in one file */
};

struct settings {               /* strings are owned; "" where unset */
    char    *store, *site, *trusted_proxies, *exclude, *timezone;
    char    *prefix, *store_password, *store_password_file, *store_ca;      /* the password is the file's, if need be */
    uint32_t sync_ms, deadline;
    enum counter_signal_policy privacy_signal;
    enum counter_weekday week_start;            /* 0: not asked for: a new site gets Monday, an old one keeps its own */
    uint32_t exact_visitors, forget_days, retention_days;       /* 0: likewise, with 32768, 35, 400 */
    enum counter_rotation key_rotation;         /* 0: likewise, with never */
    char    *config;            /* the file that was read, "" if none */
};

/* Reads all four places, and the password's file where a Redis's URL has none and store_password is empty. options may
 * be NULL. On failure *out is zero and COUNTER_EINVAL (or the file's error) names the place, the key, the value unless
 * it is secret, and the rule. */
int settings_read(struct settings *out, const struct counter_options *options);
void settings_free(struct settings *settings);

/* "config", the file that was read, then every setting with its value in force and, in `why`, where it came from:
 * "option", "COUNTER_STORE", "/etc/counter.conf:3", "default". Then the "portal." keys of the file. */
int settings_each(const struct counter_options *options, counter_fact_fn *each, void *arg);

/* Parses the bytes of a counter.conf (name is for errors) and calls each with every key and value, until one call
 * returns non-zero, which is returned. */
typedef int settings_line_fn(void *arg, unsigned line, const char *key, const char *value);
int settings_parse(const char *name, const char *bytes, size_t length, settings_line_fn *each, void *arg);

/* Finds the file (option: counter_options.config) and reads it. *path is its name, "" if none, to be freed; found_by is
 * who named it: "option", "COUNTER_CONFIG", "default". *bytes, to be freed, is NULL if there is none; of a file that is
 * too long so many come that settings_parse refuses them. */
int settings_file_read(const char *option, char **path, const char **found_by, char **bytes, size_t *length);

/* The first line of a file that not everybody may read, to be freed: 1 to 512 bytes without control characters. */
int settings_password_read(char **out, const char *path);

/* Values for the fixed options of a new site when nothing asked for another. */
#define SETTINGS_EXACT_VISITORS 32768u
#define SETTINGS_FORGET_DAYS    35u
#define SETTINGS_RETENTION_DAYS 400u

#endif
