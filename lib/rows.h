/*
 * rows.h: which rows the box shows, parsed from their description.
 *
 *     online; today; this_week space; all_time visits "Tổng lượt truy cập"
 *
 * Rows are separated by semicolons; a semicolon inside a label is part of it. In each row the window comes first, then
 * unit, separator and label, in any order, each at most once. Empty rows are passed over. counter.h lists the words.
 */
#ifndef LIBCOUNTER_ROWS_H
#define LIBCOUNTER_ROWS_H

#include <counter.h>

enum { ROWS_MOST = 32, ROWS_TEXT = 4096, ROWS_LABEL = 100 };
enum { ROWS_ONLINE = COUNTER_WINDOWS };         /* stands where a window does */

enum rows_unit { ROWS_VISITORS, ROWS_VISITS, ROWS_HITS };
enum rows_separator { ROWS_OF_LANGUAGE, ROWS_NONE, ROWS_SPACE, ROWS_DOT, ROWS_COMMA };

struct rows_row {
    uint8_t     window;         /* enum counter_window or ROWS_ONLINE */
    uint8_t     unit, separator;
    uint8_t     label_length;   /* 0: the language's own */
    const char *label;          /* in the parsed text: UTF-8 without control characters, no NUL behind it */
};

struct rows {
    uint32_t        count;
    uint32_t        want;       /* a bit per window, for counter_stats.want */
    struct rows_row row[ROWS_MOST];
};

/* Parses text, which must outlive *out; NULL gives the box's four rows. COUNTER_EINVAL names row, word and rule. */
int rows_parse(struct rows *out, const char *text);

/* "today" ...: the word for a window in rows and in JSON. */
const char *rows_window_name(unsigned window);

#endif
