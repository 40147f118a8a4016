/*
 * settings.h: the options in force, from the caller, the environment, counter.conf and the defaults, in this order.
 *
 * One table names every setting once: key, environment variable, kind, range, default. counter.conf is "key = value" a
 * line; '#' begins a comment at the line's start or after white space; values may be quoted with double quotes to keep '#' or outer spaces. Unknown keys are errors that name
 * file, line and key, except those that begin with "portal.", which belong to the programs and are kept as they are.
 * File at most 64 KiB, a value at most 4096 bytes, no NUL bytes.
 */
#ifndef LIBCOUNTER_SETTINGS_H
#define LIBCOUNTER_SETTINGS_H

#include <counter.h>

struct settings {               /* strings are owned; "" where unset */
    char    *store, *site, *trusted_proxies, *exclude, *timezone;
    uint32_t sync_ms;
    enum counter_signal_policy privacy_signal;
    enum counter_weekday week_start;            /* 0: not asked for: a new site gets Monday, an old one keeps its own */
    uint32_t exact_visitors, forget_days, retention_days;       /* 0: likewise, with 32768, 35, 400 */
    char    *config;            /* the file that was read, "" if none */
};

/* Reads all four places. options may be NULL. On failure *out is zero and COUNTER_EINVAL (or the file's error) names
 * the place, the key, the value and the rule. */
int settings_read(struct settings *out, const struct counter_options *options);
void settings_free(struct settings *settings);

/* Every setting with its value in force and, in `why`, where it came from: "option", "COUNTER_STORE", "/etc/counter.conf:3", "default".
 * Then the "portal." keys of the file. */
int settings_each(const struct counter_options *options, counter_fact_fn *each, void *arg);

/* Parses the bytes of a counter.conf (name is for errors) and calls each key; the fuzz target's door. */
typedef int settings_line_fn(void *arg, unsigned line, const char *key, const char *value);
int settings_parse(const char *name, const char *bytes, size_t length, settings_line_fn *each, void *arg);

/* Values for the fixed options of a new site when nothing asked for another. */
#define SETTINGS_EXACT_VISITORS 32768u
#define SETTINGS_FORGET_DAYS    35u
#define SETTINGS_RETENTION_DAYS 400u

#endif
