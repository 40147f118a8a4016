/* arguments.c: see arguments.h. */
#include "arguments.h"

#include "output.h"
#include "secret.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct description {
    const char *name;
    const char *value; /* what help calls its value; NULL: it has none */
    const char *help;
};

static const struct description descriptions[OPTIONS] = {
    [OPTION_STORE] = {"store", "URL", "where the counters are: file:DIR, redis://HOST or memory:"},
    [OPTION_TIMEZONE] = {"timezone", "ZONE", "a new site's time zone: Asia/Ho_Chi_Minh or +07:00"},
    [OPTION_WEEK_START] = {"week-start", "DAY", "a new site's weeks begin on monday, sunday or saturday"},
    [OPTION_HELP] = {"help", NULL, "says what a command does"},
    [OPTION_VERSION] = {"version", NULL, "says which version this is"},
    [OPTION_SITE] = {"site", "SITE", "which site; not needed if configured or the only one"},
    [OPTION_ADDRESS] = {"address", "ADDRESS", "the client's, IPv4 or IPv6"},
    [OPTION_AGENT] = {"agent", "AGENT", "its User-Agent, which may be empty"},
    [OPTION_VISITOR] = {"visitor", "VISITOR", "a name of the visitor's own, as a login or a cookie"},
    [OPTION_AT] = {"at", "TIME", "2026-11-23T10:15:00+07:00, or seconds since 1970; default now"},
    [OPTION_HEADER] = {"header", "'NAME: VALUE'", "a header of the request; as often as there are headers"},
    [OPTION_FROM] = {"from", "DATE", "the first day, 2026-11-01; default the oldest kept"},
    [OPTION_TO] = {"to", "DATE", "the last day; default the newest"},
    [OPTION_SOURCE] = {"from", "URL", "the store to take from; default the settings'"},
    [OPTION_TARGET] = {"to", "URL", "the store to put into; default the settings'"},
    [OPTION_BY] = {"by", "STEP", "day (default) or hour"},
    [OPTION_JSON] = {"json", NULL, "writes JSON"},
    [OPTION_CSV] = {"csv", NULL, "writes comma-separated values"},
    [OPTION_VISITORS] = {"visitors", "N", "the older counter's visitors"},
    [OPTION_VISITS] = {"visits", "N", "its visits"},
    [OPTION_HITS] = {"hits", "N", "its hits"},
    [OPTION_ACCEPT_CLOCK] = {"accept-clock", NULL, "first says that this machine's clock is right"},
    [OPTION_YES] = {"yes", NULL, "does it"},
};

/* ---- Parse ------------------------------------------------------------------------------------------------------- */

static bool is_called(int option, const char *name, size_t length)
{
    return strlen(descriptions[option].name) == length && strncmp(descriptions[option].name, name, length) == 0;
}

/* The first option that is called so; name ends at '=' or NUL. */
static int find_option(const char *name)
{
    for (int i = 0; i < OPTIONS; i++)
        if (is_called(i, name, strcspn(name, "=")))
            return i;
    return -1;
}

static bool is_store(int option)
{
    return option == OPTION_STORE || option == OPTION_SOURCE || option == OPTION_TARGET;
}

static int keep_header(struct arguments *arguments, const char *value)
{
    if (arguments->headers == ARGUMENTS_HEADERS)
        return output_error(OUTPUT_USAGE, "--header: more than %d of them", ARGUMENTS_HEADERS);
    arguments->header[arguments->headers++] = value;
    return 0;
}

static int keep_store(struct arguments *arguments, int option, const char *value)
{
    secret_free(arguments->store[option]);
    arguments->store[option] = strdup(value);
    arguments->value[option] = arguments->store[option];
    return arguments->store[option] ? 0 : output_error(OUTPUT_FAILED, "no memory for --%s", descriptions[option].name);
}

/* For every option of that name. A store's is copied before argv loses its password. */
static int keep(struct arguments *arguments, int option, char *value)
{
    const char *name = descriptions[option].name;
    bool hide = false;
    int r = 0;

    if (descriptions[option].value && !*value && option != OPTION_AGENT)
        return output_error(OUTPUT_USAGE, "--%s: an empty value", name);
    for (int i = 0; r == 0 && i < OPTIONS; i++) {
        if (!is_called(i, name, strlen(name)))
            continue;
        arguments->value[i] = value;
        if (is_store(i)) {
            hide = true;
            r = keep_store(arguments, i, value);
        }
    }
    if (hide)
        secret_hide(value);
    return r == 0 && option == OPTION_HEADER ? keep_header(arguments, value) : r;
}

/* One option, without its "--"; next is the word behind it, and *taken becomes 2 where that is its value. */
static int parse_option(struct arguments *arguments, char *text, char *next, int *taken)
{
    static char nothing[] = "";
    char *equals = strchr(text, '=');
    int option = find_option(text);

    if (option < 0) {
        secret_hide(text);
        return output_error(OUTPUT_USAGE, "unknown option --%.*s; \"counter help COMMAND\" lists a command's",
                            (int)strcspn(text, "="), text);
    }
    const struct description *description = &descriptions[option];
    if (!description->value && equals) {
        secret_hide(equals + 1);
        return output_error(OUTPUT_USAGE, "--%s takes no value, so what is \"%s\"?", description->name, equals + 1);
    }
    if (!description->value)
        return keep(arguments, option, nothing);
    if (equals)
        return keep(arguments, option, equals + 1);
    if (!next)
        return output_error(OUTPUT_USAGE, "--%s needs a value: --%s %s", description->name, description->name,
                            description->value);
    *taken = 2;
    return keep(arguments, option, next);
}

static int parse_word(struct arguments *arguments, char *text)
{
    secret_hide(text);
    if (arguments->word)
        return output_error(OUTPUT_USAGE, "%s: one word too many: \"%s\"", arguments->command, text);
    if (arguments->command)
        arguments->word = text;
    else
        arguments->command = text;
    return 0;
}

static bool is_word(const char *text)
{
    return text[0] != '-' || text[1] == 0 || (text[1] >= '0' && text[1] <= '9');
}

static int parse_one(struct arguments *arguments, char *text, char *next, int *taken)
{
    if (is_word(text))
        return parse_word(arguments, text);
    if (text[1] == '-')
        return parse_option(arguments, text + 2, next, taken);
    if (strcmp(text, "-h") == 0)
        return keep(arguments, OPTION_HELP, text + 2);
    secret_hide(text);
    return output_error(OUTPUT_USAGE, "unknown option %s; options have names, as --site", text);
}

int arguments_parse(struct arguments *out, int argc, char **argv)
{
    bool ended = false;

    *out = (struct arguments){0};
    for (int i = 1, taken, r; i < argc; i += taken) {
        taken = 1;
        if (ended)
            r = parse_word(out, argv[i]);
        else if (strcmp(argv[i], "--") == 0)
            r = 0, ended = true;
        else
            r = parse_one(out, argv[i], argv[i + 1], &taken);
        if (r != 0)
            return r;
    }
    return 0;
}

void arguments_close(struct arguments *arguments)
{
    for (int i = 0; i < OPTIONS; i++)
        secret_free(arguments->store[i]);
    *arguments = (struct arguments){0};
}

/* Is the option, or another of its name, in the set? */
static bool is_taken(uint32_t options, int option)
{
    const char *name = descriptions[option].name;

    for (int i = 0; i < OPTIONS; i++)
        if ((options >> i & 1) && is_called(i, name, strlen(name)))
            return true;
    return false;
}

int arguments_check(const struct arguments *arguments, uint32_t options, bool takes_word)
{
    const char *command = arguments->command;

    for (int i = 0; i < OPTIONS; i++)
        if (arguments->value[i] && !is_taken(options | ARGUMENTS_EVERYWHERE, i))
            return output_error(OUTPUT_USAGE, "%s does not know --%s; \"counter help %s\" lists what it knows", command,
                                descriptions[i].name, command);
    if (arguments->word && !takes_word)
        return output_error(OUTPUT_USAGE, "%s takes options only, so what is \"%s\"?", command, arguments->word);
    return 0;
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

void arguments_help(uint32_t options)
{
    for (int i = 0; i < OPTIONS; i++) {
        const struct description *description = &descriptions[i];
        char left[40];

        if (!(options >> i & 1))
            continue;
        snprintf(left, sizeof left, "--%s %s", description->name, description->value ? description->value : "");
        printf("  %-24s %s\n", left, description->help);
    }
}
