/* commands_series.c: series: the days or hours one by one, as a table with bars, as CSV or as JSON. */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 32 };

/* Rows are looked through before they are printed: a table must know its widest cell, a bar the largest number. */
struct series {
    enum counter_step step;
    int64_t largest;
    int64_t rows;
    bool bars;
    struct output_table table;
};

static int find_largest(void *arg, const struct counter_row *row)
{
    struct series *series = arg;
    int64_t number = series->step == COUNTER_BY_HOUR ? row->count.hits : row->count.visitors;

    if (number > series->largest)
        series->largest = number;
    return 0;
}

static int walk(const struct session *session, const struct arguments *arguments, struct series *series,
                counter_row_fn *each)
{
    int r = counter_series(session->counter, session->site, arguments->value[OPTION_FROM], arguments->value[OPTION_TO],
                           series->step, each, series);
    return r < 0 ? session_fail(r) : 0;
}

/* ---- Table ------------------------------------------------------------------------------------------------------- */

/* At least one mark for whatever is not 0. */
static void add_bar(struct series *series, int64_t number)
{
    int marks = 0;

    if (series->bars && series->largest > 0 && number > 0)
        marks = (int)((double)number / (double)series->largest * BAR + 0.5);
    if (series->bars && number > 0 && marks == 0)
        marks = 1;
    output_table_cell(&series->table, "%.*s", marks < BAR ? marks : BAR, "################################");
}

static int add_row(void *arg, const struct counter_row *row)
{
    struct series *series = arg;
    const struct counter_count *count = &row->count;
    char visitors[OUTPUT_NUMBER], share[OUTPUT_NUMBER], visits[OUTPUT_NUMBER], hits[OUTPUT_NUMBER];

    output_table_cell(&series->table, "%s", row->name);
    if (series->step == COUNTER_BY_DAY) {
        output_table_cell(&series->table, "%s", output_number(visitors, count->visitors));
        output_table_cell(&series->table, "%s", output_share(share, count->error));
        output_table_cell(&series->table, "%s", output_number(visits, count->visits));
    }
    output_table_cell(&series->table, "%s", output_number(hits, count->hits));
    add_bar(series, series->step == COUNTER_BY_HOUR ? count->hits : count->visitors);
    return 0;
}

static void add_heading(struct series *series)
{
    static const char *const day[] = {"date", "visitors", "", "visits", "hits", ""};
    static const char *const hour[] = {"hour", "hits", ""};

    for (int i = 0; series->step == COUNTER_BY_DAY && i < 6; i++)
        output_table_cell(&series->table, "%s", day[i]);
    for (int i = 0; series->step == COUNTER_BY_HOUR && i < 3; i++)
        output_table_cell(&series->table, "%s", hour[i]);
}

static int print_table(const struct session *session, const struct arguments *arguments, struct series *series)
{
    int status = output_table_open(&series->table, series->step == COUNTER_BY_DAY ? "lrlrrl" : "lrl");

    if (status != 0)
        return status;
    series->bars = isatty(STDOUT_FILENO) == 1;
    add_heading(series);
    if ((series->bars && (status = walk(session, arguments, series, find_largest)) != 0) ||
        (status = walk(session, arguments, series, add_row)) != 0) {
        output_table_drop(&series->table);
        return status;
    }
    return output_table_print(&series->table);
}

/* ---- CSV and JSON ------------------------------------------------------------------------------------------------ */

static void print_csv_heading(const struct series *series)
{
    puts(series->step == COUNTER_BY_DAY ? "date,visitors,visits,hits" : "hour,hits");
}

/* A date needs no quotation marks. */
static int print_csv_row(void *arg, const struct counter_row *row)
{
    struct series *series = arg;
    const struct counter_count *count = &row->count;

    if (series->rows++ == 0)
        print_csv_heading(series);
    output_text(stdout, row->name);
    if (series->step == COUNTER_BY_DAY)
        printf(",%" PRId64 ",%" PRId64, count->visitors, count->visits);
    printf(",%" PRId64 "\n", count->hits);
    return 0;
}

static int print_csv(const struct session *session, const struct arguments *arguments, struct series *series)
{
    int status = walk(session, arguments, series, print_csv_row);

    if (status == 0 && series->rows == 0)
        print_csv_heading(series);
    return status;
}

static int print_json_row(void *arg, const struct counter_row *row)
{
    struct series *series = arg;

    printf("%s{\"%s\":", series->rows++ == 0 ? "[" : ",\n ", series->step == COUNTER_BY_DAY ? "date" : "hour");
    output_json(stdout, row->name);
    putchar(',');
    if (series->step == COUNTER_BY_DAY)
        output_count_error(&row->count);
    else
        printf("\"hits\":%" PRId64, row->count.hits);
    putchar('}');
    return 0;
}

static int print_json(const struct session *session, const struct arguments *arguments, struct series *series)
{
    int status = walk(session, arguments, series, print_json_row);

    if (status == 0)
        puts(series->rows == 0 ? "[]" : "]");
    return status;
}

static int choose_step(const struct arguments *arguments, struct series *series)
{
    const char *by = arguments->value[OPTION_BY];

    if (arguments->value[OPTION_JSON] && arguments->value[OPTION_CSV])
        return output_error(OUTPUT_USAGE, "series writes --json or --csv, not both");
    if (by && strcmp(by, "day") != 0 && strcmp(by, "hour") != 0)
        return output_error(OUTPUT_USAGE, "--by \"%s\": day or hour", by);
    series->step = by && by[0] == 'h' ? COUNTER_BY_HOUR : COUNTER_BY_DAY;
    return 0;
}

int commands_series(const struct arguments *arguments)
{
    struct series series = {0};
    struct session session;
    int status = choose_step(arguments, &series);

    if (status != 0 || (status = session_open_site(&session, arguments, false)) != 0)
        return status;
    if (arguments->value[OPTION_JSON])
        status = print_json(&session, arguments, &series);
    else if (arguments->value[OPTION_CSV])
        status = print_csv(&session, arguments, &series);
    else
        status = print_table(&session, arguments, &series);
    session_close(&session);
    return status;
}
