/* rows.c: a hand-written scanner over at most 4096 bytes; labels stay where they are in the text. */
#include "rows.h"

#include <string.h>

#include "error.h"

static const char *const box = "online; today; this_week; all_time";

static const char *const window_names[] = {
    [COUNTER_TODAY] = "today",           [COUNTER_THIS_WEEK] = "this_week",
    [COUNTER_ALL_TIME] = "all_time",     [COUNTER_YESTERDAY] = "yesterday",
    [COUNTER_LAST_WEEK] = "last_week",   [COUNTER_THIS_MONTH] = "this_month",
    [COUNTER_LAST_MONTH] = "last_month", [COUNTER_THIS_YEAR] = "this_year",
    [COUNTER_LAST_YEAR] = "last_year",   [ROWS_ONLINE] = "online",
};
static const char *const unit_names[] = {[ROWS_VISITORS] = "visitors", [ROWS_VISITS] = "visits", [ROWS_HITS] = "hits"};
static const char *const separator_names[] = {
    [ROWS_NONE] = "none", [ROWS_SPACE] = "space", [ROWS_DOT] = "dot", [ROWS_COMMA] = "comma"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *rows_window_name(unsigned window)
{
    return window_names[window];
}

/* A part of the text: the whole at first, then a row, then a word of it. */
struct span {
    const char *at;
    size_t length;
};

static _Bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The index of word among names, or -1. Some names are NULL: an index that no word stands for. */
static int find(const char *const *names, size_t count, struct span word)
{
    for (size_t i = 0; i < count; i++)
        if (names[i] && strlen(names[i]) == word.length && memcmp(names[i], word.at, word.length) == 0)
            return (int)i;
    return -1;
}

static void skip_space(struct span *rest)
{
    while (rest->length > 0 && is_space(*rest->at)) {
        rest->at++;
        rest->length--;
    }
}

/* Takes bytes from the front of rest up to `end`, or up to white space if end is 0; outside labels if `labels`. */
static struct span take(struct span *rest, char end, _Bool labels)
{
    struct span taken = {rest->at, 0};
    _Bool quoted = 0;

    while (rest->length > 0 && (quoted || (end ? *rest->at != end : !is_space(*rest->at)))) {
        quoted ^= labels && *rest->at == '"';
        rest->at++;
        rest->length--;
        taken.length++;
    }
    return taken;
}

/*
 * The length of the UTF-8 sequence at the front of text, 0 if it is none or a control character. Table 3-7 of the
 * Unicode standard: overlong forms, surrogates and what lies above U+10FFFF are no UTF-8.
 */
static size_t character(const unsigned char *text, size_t length)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t need;

    if (text[0] < 0x80)
        return text[0] >= 0x20 && text[0] != 0x7f;
    need = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || need > length)
        return 0;
    if (text[0] == 0xc2 || text[0] == 0xe0)
        low = 0xa0; /* behind 0xc2, what is lower is a C1 control character */
    if (text[0] == 0xf0)
        low = 0x90;
    if (text[0] == 0xed)
        high = 0x9f;
    if (text[0] == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

static _Bool is_plain_text(struct span label)
{
    const unsigned char *at = (const unsigned char *)label.at;
    size_t step;

    for (size_t i = 0; i < label.length; i += step)
        if ((step = character(at + i, label.length - i)) == 0)
            return 0;
    return 1;
}

static int complain(unsigned number, struct span word, const char *rule)
{
    char quoted[ERROR_QUOTED];

    return error_set(COUNTER_EINVAL, "rows: row %u, \"%s\": %s", number, error_quote(quoted, word.at, word.length),
                     rule);
}

/* rest stands on the opening quote. */
static int parse_label(struct rows_row *row, struct span *rest, unsigned number)
{
    struct span label, whole = *rest;

    rest->at++;
    rest->length--;
    label = take(rest, '"', 0);
    if (rest->length == 0)
        return complain(number, whole, "a label must end in a double quote");
    rest->at++;
    rest->length--;
    if (row->label)
        return complain(number, label, "a row has one label");
    if (label.length == 0 || label.length > ROWS_LABEL)
        return complain(number, label, "a label has 1 to 100 bytes");
    if (!is_plain_text(label))
        return complain(number, label, "a label must be UTF-8 without control characters");
    row->label = label.at;
    row->label_length = (uint8_t)label.length;
    return 0;
}

static int parse_word(struct rows_row *row, _Bool *has_unit, struct span word, unsigned number)
{
    int found;

    if ((found = find(unit_names, COUNT(unit_names), word)) >= 0) {
        if (*has_unit)
            return complain(number, word, "a row has one unit");
        if (row->window == ROWS_ONLINE && found != ROWS_VISITORS)
            return complain(number, word, "online counts visitors");
        row->unit = (uint8_t)found;
        *has_unit = 1;
        return 0;
    }
    if ((found = find(separator_names, COUNT(separator_names), word)) < 0)
        return complain(number, word,
                        "not a unit (visitors visits hits), separator (none space dot comma) or \"label\"");
    if (row->separator != ROWS_OF_LANGUAGE)
        return complain(number, word, "a row has one separator");
    row->separator = (uint8_t)found;
    return 0;
}

static int parse_row(struct rows_row *row, struct span rest, unsigned number)
{
    struct span word = take(&rest, 0, 0);
    int window = find(window_names, COUNT(window_names), word), result = 0;
    _Bool has_unit = 0;

    if (window < 0)
        return complain(number, word,
                        "not one of online today yesterday this_week last_week this_month last_month this_year "
                        "last_year all_time");
    *row = (struct rows_row){.window = (uint8_t)window};
    for (skip_space(&rest); rest.length > 0 && result == 0; skip_space(&rest))
        result =
            *rest.at == '"' ? parse_label(row, &rest, number) : parse_word(row, &has_unit, take(&rest, 0, 0), number);
    return result;
}

static int parse_rows(struct rows *out, struct span text)
{
    while (text.length > 0) {
        struct span row;
        int result;

        skip_space(&text);
        row = take(&text, ';', 1);
        if (text.length > 0) {
            text.at++;
            text.length--;
        }
        if (row.length == 0)
            continue;
        if (out->count == ROWS_MOST)
            return error_set(COUNTER_EINVAL, "rows: more than %d", ROWS_MOST);
        if ((result = parse_row(&out->row[out->count], row, out->count + 1)) < 0)
            return result;
        if (out->row[out->count].window != ROWS_ONLINE)
            out->want |= 1u << out->row[out->count].window;
        out->count++;
    }
    return out->count > 0 ? 0 : error_set(COUNTER_EINVAL, "rows: none is named; NULL asks for the box's own");
}

int rows_parse(struct rows *out, const char *text)
{
    struct span whole = {text ? text : box, 0};

    out->count = 0;
    out->want = 0;
    whole.length = strnlen(whole.at, ROWS_TEXT + 1);
    if (whole.length > ROWS_TEXT)
        return error_set(COUNTER_EINVAL, "rows: longer than %d bytes", ROWS_TEXT);
    return parse_rows(out, whole);
}
