/* output.c: see output.h. */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static bool follows(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character at s if it is UTF-8 (RFC 3629, Table of section 4) and no control character, else 0. */
static size_t printable(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (s[0] < 0xc2 || !follows(s[1]))
        return 0;
    if (s[0] < 0xe0)
        return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2;
    if (!follows(s[2]) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
        return 0;
    if (s[0] < 0xf0)
        return 3;
    if (s[0] > 0xf4 || !follows(s[3]) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return 4;
}

void output_text(FILE *file, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        size_t length = printable(s);
        if (length == 0)
            fprintf(file, "\\x%02x", *s);
        else
            fwrite(s, 1, length, file);
        s += length ? length : 1;
    }
}

void output_json(FILE *file, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    putc('"', file);
    while (*s) {
        size_t length = printable(s);
        if (*s == '"' || *s == '\\')
            fprintf(file, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(file, "\\u%04x", *s);
        else if (length == 0)
            fputs("\\ufffd", file);
        else
            fwrite(s, 1, length, file);
        s += length ? length : 1;
    }
    putc('"', file);
}

int output_error(int status, const char *format, ...)
{
    char text[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    flockfile(stderr);
    fputs("counter: ", stderr);
    output_text(stderr, text);
    putc('\n', stderr);
    funlockfile(stderr);
    return status;
}

int output_finish(int status)
{
    errno = 0;
    bool failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed)
        return status;
    return output_error(OUTPUT_FAILED, "cannot write the output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
}

void output_count(const struct counter_count *count)
{
    printf("\"visitors\":%" PRId64 ",\"visits\":%" PRId64 ",\"hits\":%" PRId64, count->visitors, count->visits,
           count->hits);
}

/* printf's decimal point is a point: the command never calls setlocale. */
void output_count_error(const struct counter_count *count)
{
    output_count(count);
    printf(",\"error\":%.2g", count->error);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

const char *output_number(char buffer[OUTPUT_NUMBER], int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number), to = 0;

    for (int i = 0; i < length; i++) {
        buffer[to++] = digits[i];
        if (i + 1 < length && digits[i] != '-' && (length - i - 1) % 3 == 0)
            buffer[to++] = ',';
    }
    buffer[to] = 0;
    return buffer;
}

/* As setlocale would find it, which stays alone: only the sign for plus or minus depends on it. */
static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

const char *output_share(char buffer[OUTPUT_NUMBER], double error)
{
    const char *sign = is_utf8() ? "\u00b1" : "+-";

    if (!(error > 0))
        buffer[0] = 0;
    else if (error < 0.0005)
        snprintf(buffer, OUTPUT_NUMBER, "%s<0.1 %%", sign);
    else
        snprintf(buffer, OUTPUT_NUMBER, "%s%.1f %%", sign, error < 1 ? error * 100 : 100);
    return buffer;
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

int output_table_open(struct output_table *table, const char *align)
{
    *table = (struct output_table){.align = align};
    table->stream = open_memstream(&table->cells, &table->length);
    if (table->stream)
        return 0;
    return output_error(OUTPUT_FAILED, "no memory for a table");
}

void output_table_drop(struct output_table *table)
{
    if (table->stream)
        fclose(table->stream);
    free(table->cells);
    *table = (struct output_table){0};
}

void output_table_cell(struct output_table *table, const char *format, ...)
{
    char *text;
    va_list list;

    va_start(list, format);
    int length = vasprintf(&text, format, list);
    va_end(list);
    if (length >= 0) {
        output_text(table->stream, text);
        free(text);
    }
    putc(0, table->stream);
}

/* Characters, each of which a terminal shows in one place: what is written here has no wide ones. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += !follows((unsigned char)*text);
    return width;
}

static void measure(const struct output_table *table, size_t widest[OUTPUT_COLUMNS])
{
    size_t columns = strlen(table->align), column = 0;

    for (const char *cell = table->cells; cell < table->cells + table->length; cell += strlen(cell) + 1) {
        size_t width = width_of(cell);
        if (width > widest[column] && (width <= OUTPUT_WIDEST || widest[column] == 0))
            widest[column] = width < OUTPUT_WIDEST ? width : OUTPUT_WIDEST;
        column = (column + 1) % columns;
    }
}

/* Blanks are owed until something follows them, so that no line ends in any. */
static void print_row(const struct output_table *table, const char **cell, const size_t widest[OUTPUT_COLUMNS])
{
    size_t owed = 0;

    for (size_t column = 0; table->align[column]; column++) {
        size_t width = width_of(*cell), rest = width < widest[column] ? widest[column] - width : 0;
        owed += table->align[column] == 'r' ? rest : 0;
        if (width > 0) {
            printf("%*s%s", (int)owed, "", *cell);
            owed = 0;
        }
        owed += table->align[column] == 'r' ? 0 : rest;
        owed += widest[column] > 0 ? 2 : 0;
        *cell += strlen(*cell) + 1;
    }
    putchar('\n');
}

int output_table_print(struct output_table *table)
{
    size_t widest[OUTPUT_COLUMNS] = {0};
    bool whole = !ferror(table->stream);

    whole = fclose(table->stream) == 0 && whole;
    table->stream = NULL;
    if (whole) {
        measure(table, widest);
        for (const char *cell = table->cells; cell < table->cells + table->length;)
            print_row(table, &cell, widest);
    }
    output_table_drop(table);
    return whole ? 0 : output_error(OUTPUT_FAILED, "no memory for a table");
}
