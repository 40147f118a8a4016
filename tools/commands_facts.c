/* commands_facts.c: explain, check and config: what the library knows, as lines of name, value and reason. */
#include "commands.h"
#include "headers.h"
#include "output.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

static int add_line(void *arg, const struct counter_fact *fact)
{
    static const char *const marks[] = {
        [COUNTER_FACT] = "", [COUNTER_WARNING] = "WARNING ", [COUNTER_BROKEN] = "BROKEN "};
    struct output_table *table = arg;
    bool explained = fact->why && fact->why[0];

    output_table_cell(table, "%s", fact->name);
    output_table_cell(table, "%s", fact->value);
    output_table_cell(table, "%s%s%s%s", marks[fact->level], explained ? "(" : "", explained ? fact->why : "",
                      explained ? ")" : "");
    return 0;
}

/* ---- config ------------------------------------------------------------------------------------------------------ */

int commands_facts_config(const struct arguments *arguments)
{
    struct counter_options options;
    struct output_table table;
    int status = session_options(arguments, &options);

    if (status != 0 || (status = output_table_open(&table, "lll")) != 0)
        return status;
    int r = counter_settings(&options, add_line, &table);
    if (r == 0)
        return output_table_print(&table);
    output_table_drop(&table);
    return session_fail(r);
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

static int explain(const struct session *session, const struct arguments *arguments, const struct headers *headers)
{
    struct counter_hit hit = {.size = sizeof hit,
                              .address = arguments->value[OPTION_ADDRESS],
                              .agent = headers->agent,
                              .agent_length = headers->agent_length,
                              .forwarded = headers->forwarded,
                              .flags = headers->privacy ? COUNTER_HIT_PRIVACY : 0};
    struct output_table table;
    int status = output_table_open(&table, "lll");

    if (status != 0)
        return status;
    int r = counter_explain(session->counter, &hit, add_line, &table);
    if (r == 0) {
        headers_each_ignored(arguments, add_line, &table);
        return output_table_print(&table);
    }
    output_table_drop(&table);
    return session_fail(r);
}

int commands_facts_explain(const struct arguments *arguments)
{
    struct session session;
    struct headers headers;
    int status = headers_open(&headers, arguments);

    if (status == 0 && !arguments->value[OPTION_ADDRESS])
        status = output_error(OUTPUT_USAGE, "explain needs --address: of the peer that connected");
    if (status == 0 && (status = session_open(&session, arguments)) == 0) {
        status = explain(&session, arguments, &headers);
        session_close(&session);
    }
    headers_close(&headers);
    return status;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

enum { CHECK_BROKEN = 2 }; /* the exit code, also where the site could not even be opened */

static const char *const levels[] = {
    [COUNTER_FACT] = "well", [COUNTER_WARNING] = "warnings", [COUNTER_BROKEN] = "broken"};

static int check_table(const struct session *session)
{
    struct output_table table;
    int status = output_table_open(&table, "lll");

    if (status != 0)
        return CHECK_BROKEN;
    int level = counter_check(session->counter, session->site, add_line, &table);
    if (level < 0) {
        output_table_drop(&table);
        return level;
    }
    output_table_cell(&table, "result");
    output_table_cell(&table, "%s", levels[level]);
    output_table_cell(&table, "%s", "");
    return output_table_print(&table) == 0 ? level : CHECK_BROKEN;
}

struct facts {
    FILE *stream;
    int count;
};

static int add_json(void *arg, const struct counter_fact *fact)
{
    static const char *const names[] = {
        [COUNTER_FACT] = "fact", [COUNTER_WARNING] = "warning", [COUNTER_BROKEN] = "broken"};
    struct facts *facts = arg;

    fputs(facts->count++ > 0 ? ",{\"name\":" : "{\"name\":", facts->stream);
    output_json(facts->stream, fact->name);
    fputs(",\"value\":", facts->stream);
    output_json(facts->stream, fact->value);
    fprintf(facts->stream, ",\"level\":\"%s\",\"why\":", names[fact->level]);
    output_json(facts->stream, fact->why ? fact->why : "");
    putc('}', facts->stream);
    return 0;
}

/* The worst level comes first and is known last. */
static int check_json(const struct session *session)
{
    char *text = NULL;
    size_t length;
    struct facts facts = {.stream = open_memstream(&text, &length)};

    if (!facts.stream)
        return output_error(CHECK_BROKEN, "no memory for the facts");
    int level = counter_check(session->counter, session->site, add_json, &facts);
    if (fclose(facts.stream) != 0) {
        level = output_error(CHECK_BROKEN, "no memory for the facts");
    } else if (level >= 0) {
        printf("{\"site\":");
        output_json(stdout, session->site);
        printf(",\"level\":\"%s\",\"facts\":[%s]}\n", levels[level], text);
    }
    free(text);
    return level;
}

int commands_facts_check(const struct arguments *arguments)
{
    struct session session;
    int result = 0, status = session_open_site(&session, arguments, false);

    if (status != 0)
        return status == OUTPUT_FAILED ? CHECK_BROKEN : status;
    if (arguments->value[OPTION_ACCEPT_CLOCK])
        result = counter_accept_clock(session.counter, session.site);
    if (result == 0)
        result = arguments->value[OPTION_JSON] ? check_json(&session) : check_table(&session);
    if (result < 0) {
        status = session_fail(result);
        result = status == OUTPUT_FAILED ? CHECK_BROKEN : status;
    }
    session_close(&session);
    return result;
}
