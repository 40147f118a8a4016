/*
 * output.h: what the command writes: text that a terminal cannot misread, tables and JSON.
 *
 * Names and values may come from anywhere. Control characters and bytes that are no UTF-8 are written as "\x1b" in
 * text, escaped or replaced in JSON, so that none reaches a terminal or a parser.
 */
#ifndef COUNTER_TOOLS_OUTPUT_H
#define COUNTER_TOOLS_OUTPUT_H

#include <counter.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes. */
enum { OUTPUT_DONE = 0, OUTPUT_FAILED = 1, OUTPUT_USAGE = 2, OUTPUT_NO_SITE = 3 };

/* Says "counter: text" on stderr and returns status, so that a failure is one line. */
__attribute__((format(printf, 2, 3))) int output_error(int status, const char *format, ...);

/* The exit code: status, or OUTPUT_FAILED after saying so when something that was written did not arrive. */
int output_finish(int status);

void output_text(FILE *file, const char *text);
void output_json(FILE *file, const char *text);         /* with its quotes */

/* Members of a JSON object on stdout: "visitors":617,"visits":702,"hits":2310 */
void output_count(const struct counter_count *count);
/* And "error":0.0081 behind them. */
void output_count_error(const struct counter_count *count);

enum { OUTPUT_NUMBER = 32 };
const char *output_number(char buffer[OUTPUT_NUMBER], int64_t number);         /* "12,766" */
const char *output_share(char buffer[OUTPUT_NUMBER], double error);            /* "±0.8 %", "" for 0 */

/*
 * Tables. Cells are given row by row, left to right. align holds a letter per column: 'l' or 'r'. A column without
 * content takes no room. A cell wider than OUTPUT_WIDEST does not widen its column; it pushes the rest of its row.
 */
enum { OUTPUT_COLUMNS = 8, OUTPUT_WIDEST = 44 };
struct output_table {
    const char *align;
    FILE       *stream;
    char       *cells;          /* each ends in NUL */
    size_t      length;
};
int  output_table_open(struct output_table *table, const char *align);  /* 0, or OUTPUT_FAILED after saying why */
__attribute__((format(printf, 2, 3))) void output_table_cell(struct output_table *table, const char *format, ...);
int  output_table_print(struct output_table *table);    /* to stdout, and frees it; likewise */
void output_table_drop(struct output_table *table);     /* frees it */

#endif
