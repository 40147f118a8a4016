/*
 * main.c: the command `counter`: counts, shows and looks after the sites of a store.
 *
 * One table says what every command is called, takes and does. Exit codes: 0 done, 1 failed, 2 used wrongly, 3 no such
 * site; check has its own.
 */
#include "arguments.h"
#include "commands.h"
#include "output.h"

#include <counter.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*run)(const struct arguments *arguments);
    uint32_t options;
    const char *word; /* what help calls its word; NULL: it takes none */
    const char *summary;
    const char *details;
};

#define TAKES(option) ARGUMENTS_BIT(option)

static int help(const struct arguments *arguments);

static const struct command commands[] = {
    {"hit", commands_visitor_hit, TAKES(SITE) | TAKES(ADDRESS) | TAKES(AGENT) | TAKES(VISITOR) | TAKES(AT), NULL,
     "counts one hit",
     "Says \"counted\", or why not. Needs --address, --visitor or both. The first hit creates the site."},
    {"stats", commands_stats, TAKES(SITE) | TAKES(AT) | TAKES(JSON), NULL, "shows all windows of a site",
     "As they stand now or at a moment, which may not lie more than 60 s before the site's newest hit: series has the "
     "past."},
    {"series", commands_series, TAKES(SITE) | TAKES(FROM) | TAKES(TO) | TAKES(BY) | TAKES(JSON) | TAKES(CSV), NULL,
     "shows the days or hours one by one", "With bars on a terminal. By hour only hits are known."},
    {"baseline", commands_site_baseline, TAKES(SITE) | TAKES(VISITORS) | TAKES(VISITS) | TAKES(HITS), "[N]",
     "continues the totals of an older counter",
     "Replaces the last baseline and shows the box before and after; without a number it only shows. N sets all three, "
     "since old counters rarely say what they counted; what is not given stays as it is."},
    {"explain", commands_facts_explain, TAKES(ADDRESS) | TAKES(AGENT) | TAKES(HEADER), NULL,
     "says who a request would be counted as, and why",
     "Counts nothing. Headers: X-Forwarded-For, Forwarded, Sec-GPC, DNT, User-Agent; others are passed over."},
    {"check", commands_facts_check, TAKES(SITE) | TAKES(ACCEPT_CLOCK) | TAKES(JSON), NULL,
     "verifies a site and says how it is", "Exit code: 0 well, 1 warnings, 2 broken, 3 no such site."},
    {"copy", commands_copy, TAKES(SITE) | TAKES(SOURCE) | TAKES(TARGET), NULL, "copies a site into another store",
     "With everything; the larger number wins, so that doing it again adds nothing and finishes what was interrupted. "
     "Needs --from, --to or both."},
    {"key", commands_copy_key, TAKES(SOURCE) | TAKES(TARGET), NULL, "takes over the visitors' key of another store",
     "So that stores of several web servers can be merged later: before they count anything. Needs --from."},
    {"erase", commands_visitor_erase, TAKES(SITE) | TAKES(ADDRESS) | TAKES(AGENT) | TAKES(VISITOR), NULL,
     "forgets one visitor", "Takes what the visitor was counted by: --visitor, or --address and --agent. Counts stay."},
    {"reset", commands_site_reset, TAKES(SITE) | TAKES(YES), NULL, "deletes a site and all that was counted",
     "For good. Without --yes it says what would be deleted."},
    {"config", commands_facts_config, 0, NULL, "shows the settings and where each comes from",
     "Options come before the environment (COUNTER_STORE ...), that before counter.conf, that before the defaults."},
    {"sites", commands_site_list, 0, NULL, "lists the store's sites", "One name a line."},
    {"help", help, 0, "[COMMAND]", "says what a command does", "Without a command: which there are."},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    output_error(OUTPUT_USAGE, "unknown command \"%s\"; \"counter help\" lists them", name);
    return NULL;
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

static void print_overview(void)
{
    puts("usage: counter COMMAND [OPTION]...\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\nOptions of all commands, before or behind them:");
    arguments_help(ARGUMENTS_EVERYWHERE);
    puts("\n\"counter help COMMAND\" says more of one.");
}

static void print_help(const struct command *command)
{
    printf("usage: counter %s%s%s%s\n\n", command->name, command->word ? " " : "", command->word ? command->word : "",
           command->options ? " [OPTION]..." : "");
    printf("%s: %s.\n%s\n", command->name, command->summary, command->details);
    if (command->options) {
        puts("");
        arguments_help(command->options);
    }
}

static int help(const struct arguments *arguments)
{
    const struct command *command = arguments->word ? find_command(arguments->word) : NULL;

    if (arguments->word && !command)
        return OUTPUT_USAGE;
    if (command)
        print_help(command);
    else
        print_overview();
    return OUTPUT_DONE;
}

/* ---- Run --------------------------------------------------------------------------------------------------------- */

static int dispatch(const struct arguments *arguments)
{
    if (arguments->value[OPTION_VERSION]) {
        printf("counter %s\n", counter_version());
        return OUTPUT_DONE;
    }
    if (!arguments->command) {
        if (!arguments->value[OPTION_HELP])
            return output_error(OUTPUT_USAGE, "no command was given; \"counter help\" lists them");
        print_overview();
        return OUTPUT_DONE;
    }
    const struct command *command = find_command(arguments->command);
    if (!command)
        return OUTPUT_USAGE;
    if (arguments->value[OPTION_HELP]) {
        print_help(command);
        return OUTPUT_DONE;
    }
    int status = arguments_check(arguments, command->options, command->word != NULL);
    return status != 0 ? status : command->run(arguments);
}

/* A store opened as descriptor 1 would get what is printed. Whoever closed stdout finds that writing fails. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 1 ? O_RDONLY : O_RDWR);
}

int main(int argc, char **argv)
{
    struct arguments arguments;

    hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing like any other */
    int status = arguments_parse(&arguments, argc, argv);
    if (status == 0)
        status = dispatch(&arguments);
    arguments_close(&arguments);
    return output_finish(status);
}
