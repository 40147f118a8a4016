/*
 * arguments.h: the command line, "counter [OPTION]... COMMAND [WORD] [OPTION]...".
 *
 * One table knows every option; each command says which it takes. Options may stand anywhere, as "--name value" or
 * "--name=value"; of one given twice the last counts. "--" ends them. A word may begin with a minus and a digit, so
 * that a negative number is called what it is. Two options may share a name; a command takes one of them.
 *
 * Everybody may read the command line of a process. A password in a store's URL is therefore overwritten in argv as soon
 * as it was copied; whatever quotes argv in an error quotes what is left.
 */
#ifndef COUNTER_TOOLS_ARGUMENTS_H
#define COUNTER_TOOLS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option {
    OPTION_STORE, OPTION_TIMEZONE, OPTION_WEEK_START, OPTION_HELP, OPTION_VERSION,     /* of all commands */
    OPTION_SITE, OPTION_ADDRESS, OPTION_AGENT, OPTION_VISITOR, OPTION_AT, OPTION_HEADER, OPTION_FROM, OPTION_TO,
    OPTION_SOURCE, OPTION_TARGET, OPTION_BY, OPTION_JSON, OPTION_CSV, OPTION_VISITORS, OPTION_VISITS, OPTION_HITS,
    OPTION_ACCEPT_CLOCK, OPTION_YES,
    OPTIONS
};
#define ARGUMENTS_BIT(option) (UINT32_C(1) << OPTION_##option)
#define ARGUMENTS_EVERYWHERE  (ARGUMENTS_BIT(STORE) | ARGUMENTS_BIT(TIMEZONE) | ARGUMENTS_BIT(WEEK_START) | \
                               ARGUMENTS_BIT(HELP) | ARGUMENTS_BIT(VERSION))

enum { ARGUMENTS_HEADERS = 64 };

struct arguments {              /* strings are argv's, but those of stores */
    const char *command;        /* the first word, NULL: none */
    const char *word;           /* the second, NULL: none */
    const char *value[OPTIONS]; /* NULL: not given; "" for an option without a value */
    const char *header[ARGUMENTS_HEADERS];
    size_t      headers;
    char       *store[OPTIONS]; /* the values that are copies of our own */
};

/* 0, or OUTPUT_USAGE after saying what is wrong. Free with arguments_close, also after a failure. */
int arguments_parse(struct arguments *out, int argc, char **argv);
void arguments_close(struct arguments *arguments);

/* Whether the command takes these options (a set of ARGUMENTS_BITs) and, unless takes_word, no word. As above. */
int arguments_check(const struct arguments *arguments, uint32_t options, bool takes_word);

/* Lists the options of the set on stdout, a line each, as help does. */
void arguments_help(uint32_t options);

#endif
