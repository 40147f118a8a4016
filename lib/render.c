/*
 * render.c: statistics and rows in, the box out. Pure: no store, no clock, no locale, no allocation.
 *
 * One pass writes into a sink that keeps what fits and goes on measuring, so the length is the same for every buffer.
 *
 *     <section class="counter" lang="vi" aria-label="Thống kê truy cập">
 *     <h2 class="counter-title">Thống kê truy cập</h2>
 *     <ul class="counter-rows">
 *     <li class="counter-row counter-online" title="khách truy cập"><span class="counter-label">Đang online:</span>
 *         <b class="counter-value">6</b></li>                                              (on the line before)
 *
 * A section with a heading and a list: screen readers announce "list, 4 items", and without any style sheet it still
 * is a box with bullets. No id attribute, so that a page may hold two. Text between tags is exactly label, space and
 * number; the unit and, for a figure that is not exact, its standard error are in the row's title.
 */
#include <counter.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "rows.h"

struct language {
    const char *name, *title;
    const char *label[ROWS_ONLINE + 1];
    const char *unit[3];
    const char *at_least; /* what a lower bound is called in the row's title */
    char decimal, group;
};

static const struct language vietnamese = {
    .name = "vi",
    .title = "Thống kê truy cập",
    .label = {[ROWS_ONLINE] = "Đang online",
              [COUNTER_TODAY] = "Hôm nay",
              [COUNTER_YESTERDAY] = "Hôm qua",
              [COUNTER_THIS_WEEK] = "Trong tuần",
              [COUNTER_LAST_WEEK] = "Tuần trước",
              [COUNTER_THIS_MONTH] = "Trong tháng",
              [COUNTER_LAST_MONTH] = "Tháng trước",
              [COUNTER_THIS_YEAR] = "Trong năm",
              [COUNTER_LAST_YEAR] = "Năm trước",
              [COUNTER_ALL_TIME] = "Tất cả"},
    .unit = {[ROWS_VISITORS] = "khách truy cập", [ROWS_VISITS] = "lượt truy cập", [ROWS_HITS] = "lượt xem"},
    .at_least = "ít nhất",
    .decimal = ',',
    .group = '.',
};

static const struct language english = {
    .name = "en",
    .title = "Visitor statistics",
    .label = {[ROWS_ONLINE] = "Online now",
              [COUNTER_TODAY] = "Today",
              [COUNTER_YESTERDAY] = "Yesterday",
              [COUNTER_THIS_WEEK] = "This week",
              [COUNTER_LAST_WEEK] = "Last week",
              [COUNTER_THIS_MONTH] = "This month",
              [COUNTER_LAST_MONTH] = "Last month",
              [COUNTER_THIS_YEAR] = "This year",
              [COUNTER_LAST_YEAR] = "Last year",
              [COUNTER_ALL_TIME] = "All time"},
    .unit = {[ROWS_VISITORS] = "visitors", [ROWS_VISITS] = "visits", [ROWS_HITS] = "page views"},
    .at_least = "at least",
    .decimal = '.',
    .group = ',',
};

static const char *const dash = "–";

/* ---- The sink ---------------------------------------------------------------------------------------------------- */

struct sink {
    char *buffer;
    size_t size, length; /* length of all that was written, also of what did not fit */
};

static void put(struct sink *sink, const char *bytes, size_t length)
{
    if (sink->length + 1 < sink->size) {
        size_t room = sink->size - 1 - sink->length;
        memcpy(sink->buffer + sink->length, bytes, length < room ? length : room);
    }
    sink->length += length;
}

static void put_text(struct sink *sink, const char *text)
{
    put(sink, text, strlen(text));
}

/* For short pieces made of our own words and of numbers without a decimal point: nothing that depends on the locale. */
__attribute__((format(printf, 2, 3))) static void put_format(struct sink *sink, const char *format, ...)
{
    char piece[256];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (length > 0)
        put(sink, piece, (size_t)length < sizeof piece ? (size_t)length : sizeof piece - 1);
}

/* Safe in text and in attribute values with either kind of quotes. */
static void put_escaped(struct sink *sink, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (text[i]) {
        case '&':
            put_text(sink, "&amp;");
            break;
        case '<':
            put_text(sink, "&lt;");
            break;
        case '>':
            put_text(sink, "&gt;");
            break;
        case '"':
            put_text(sink, "&quot;");
            break;
        case '\'':
            put_text(sink, "&#39;");
            break;
        default:
            put(sink, text + i, 1);
        }
    }
}

/* Digits in groups of three, counted from the right. separator 0: none. */
static void put_number(struct sink *sink, int64_t number, char separator)
{
    char digits[24], grouped[32];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)number), at = 0;

    for (size_t i = 0; i < length; i++) {
        if (separator && i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            grouped[at++] = separator;
        grouped[at++] = digits[i];
    }
    put(sink, grouped, at);
}

/* error in parts of `whole`, at least 1 where it is not exact: no rounding shall make a guess look exact. */
static long long error_in(double error, double whole)
{
    if (!(error > 0))
        return 0;
    if (error * whole >= 1e15)
        return (long long)1e15;
    return error * whole < 1 ? 1 : (long long)(error * whole + 0.5);
}

/* ---- What a row says --------------------------------------------------------------------------------------------- */

/* What is shown: NULL statistics are dashes. */
struct box {
    const struct counter_stats *stats;
    const struct language *language;
    const struct rows *rows;
};

static int64_t row_value(const struct counter_stats *stats, const struct rows_row *row)
{
    const struct counter_count *count;

    if (row->window == ROWS_ONLINE)
        return stats->online;
    count = &stats->window[row->window];
    return row->unit == ROWS_HITS ? count->hits : row->unit == ROWS_VISITS ? count->visits : count->visitors;
}

/* Hits and visits are counted one by one; an error is the visitors'. */
static double row_error(const struct counter_stats *stats, const struct rows_row *row)
{
    return row->window == ROWS_ONLINE || row->unit != ROWS_VISITORS ? 0 : stats->window[row->window].error;
}

static _Bool row_is_floor(const struct box *box, const struct rows_row *row)
{
    return box->stats && row->window == ROWS_ONLINE && box->stats->online_floor;
}

static const char *row_label(const struct box *box, const struct rows_row *row, size_t *length)
{
    const char *own = box->language->label[row->window];

    *length = row->label_length > 0 ? row->label_length : strlen(own);
    return row->label_length > 0 ? row->label : own;
}

static void put_value(struct sink *sink, const struct box *box, const struct rows_row *row)
{
    static const char separator[] = {[ROWS_NONE] = 0, [ROWS_SPACE] = ' ', [ROWS_DOT] = '.', [ROWS_COMMA] = ','};

    if (!box->stats) {
        put_text(sink, dash);
        return;
    }
    put_number(sink, row_value(box->stats, row),
               row->separator == ROWS_OF_LANGUAGE ? box->language->group : separator[row->separator]);
    if (row_is_floor(box, row))
        put_text(sink, "+");
}

/* ---- HTML -------------------------------------------------------------------------------------------------------- */

static void put_html_title(struct sink *sink, const struct box *box, const struct rows_row *row)
{
    long long tenths = box->stats ? error_in(row_error(box->stats, row), 1000) : 0;

    put_text(sink, " title=\"");
    if (row_is_floor(box, row))
        put_format(sink, "%s, ", box->language->at_least);
    put_text(sink, box->language->unit[row->unit]);
    if (tenths > 0)
        put_format(sink, ", ± %lld%c%lld %%", tenths / 10, box->language->decimal, tenths % 10);
    put_text(sink, "\"");
}

static void put_html_row(struct sink *sink, const struct box *box, const struct rows_row *row)
{
    size_t length;
    const char *label = row_label(box, row, &length);

    put_text(sink, "<li class=\"counter-row counter-");
    for (const char *name = rows_window_name(row->window); *name; name++)
        put(sink, *name == '_' ? "-" : name, 1);
    put_text(sink, "\"");
    put_html_title(sink, box, row);
    put_text(sink, "><span class=\"counter-label\">");
    put_escaped(sink, label, length);
    put_text(sink, ":</span> <b class=\"counter-value\">");
    put_value(sink, box, row);
    put_text(sink, "</b></li>\n");
}

static void put_html(struct sink *sink, const struct box *box)
{
    put_format(sink, "<section class=\"counter\" lang=\"%s\" aria-label=\"%s\">\n", box->language->name,
               box->language->title);
    put_format(sink, "<h2 class=\"counter-title\">%s</h2>\n<ul class=\"counter-rows\">\n", box->language->title);
    for (uint32_t i = 0; i < box->rows->count; i++)
        put_html_row(sink, box, &box->rows->row[i]);
    put_text(sink, "</ul>\n</section>\n");
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/*
 * Columns on a terminal: one a character, none for combining marks (U+0300 to U+036F, in which decomposed Vietnamese
 * keeps its accents). Characters two columns wide are not expected in a label.
 */
static size_t columns(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte & 0xc0) == 0x80)
            continue;
        if (byte == 0xcc || (byte == 0xcd && i + 1 < length && (unsigned char)text[i + 1] < 0xb0))
            continue;
        n++;
    }
    return n;
}

static void put_plain(struct sink *sink, const struct box *box)
{
    size_t widest = 0, length, width;

    for (uint32_t i = 0; i < box->rows->count; i++) {
        const char *label = row_label(box, &box->rows->row[i], &length);
        if ((width = columns(label, length)) > widest)
            widest = width;
    }
    for (uint32_t i = 0; i < box->rows->count; i++) {
        const char *label = row_label(box, &box->rows->row[i], &length);
        put(sink, label, length);
        put_text(sink, ":");
        for (width = columns(label, length); width <= widest; width++)
            put_text(sink, " ");
        put_value(sink, box, &box->rows->row[i]);
        put_text(sink, "\n");
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void put_json_window(struct sink *sink, const struct counter_count *count)
{
    long long millionths = error_in(count->error, 1e6);

    put_format(sink, "{\"visitors\":%lld,\"visits\":%lld,\"hits\":%lld,\"error\":%lld", (long long)count->visitors,
               (long long)count->visits, (long long)count->hits, millionths / 1000000);
    if (millionths % 1000000 != 0)
        put_format(sink, ".%06lld", millionths % 1000000);
    put_text(sink, "}");
}

/* One member per window, whatever the rows show of it, however often, in the order of their first mention. */
static void put_json(struct sink *sink, const struct box *box)
{
    const struct counter_stats *stats = box->stats;
    uint32_t done = 0;

    put_text(sink, "{");
    for (uint32_t i = 0; i < box->rows->count; i++) {
        const struct rows_row *row = &box->rows->row[i];
        if (done & 1u << row->window)
            continue;
        done |= 1u << row->window;
        put_format(sink, "\"%s\":", rows_window_name(row->window));
        if (!stats)
            put_text(sink, "null");
        else if (row->window != ROWS_ONLINE)
            put_json_window(sink, &stats->window[row->window]);
        else
            put_number(sink, stats->online, 0);
        if (row_is_floor(box, row))
            put_text(sink, ",\"online_floor\":true");
        put_text(sink, ",");
    }
    put_text(sink, "\"at\":");
    if (stats)
        put_number(sink, stats->at, 0);
    else
        put_text(sink, "null");
    put_text(sink, "}\n");
}

/* ---- The public calls -------------------------------------------------------------------------------------------- */

static const struct language *find_language(const char *name)
{
    if (!name || strcmp(name, vietnamese.name) == 0)
        return &vietnamese;
    return strcmp(name, english.name) == 0 ? &english : NULL;
}

static int check_call(const struct counter_stats *stats, const char *buffer, size_t size)
{
    if (!buffer && size > 0)
        return error_set(COUNTER_EINVAL, "counter_render: no buffer, but its size is %zu", size);
    if (stats && stats->size < sizeof *stats)
        return error_set(COUNTER_EINVAL, "counter_render: stats.size is %zu, not sizeof(struct counter_stats), %zu",
                         stats->size, sizeof *stats);
    return 0;
}

int counter_render(const struct counter_stats *stats, enum counter_format format, const char *language,
                   const char *rows, char *buffer, size_t size)
{
    struct rows parsed;
    struct box box = {stats, find_language(language), &parsed};
    struct sink sink = {buffer, size, 0};
    char quoted[ERROR_QUOTED];
    int result;

    if (!box.language)
        return error_set(COUNTER_EINVAL, "language \"%s\": not vi or en",
                         error_quote(quoted, language, strnlen(language, sizeof quoted)));
    if ((result = check_call(stats, buffer, size)) < 0)
        return result;
    if ((result = rows_parse(&parsed, rows)) < 0)
        return result;
    if (format == COUNTER_HTML)
        put_html(&sink, &box);
    else if (format == COUNTER_TEXT)
        put_plain(&sink, &box);
    else if (format == COUNTER_JSON)
        put_json(&sink, &box);
    else
        return error_set(COUNTER_EINVAL, "format %d: not COUNTER_HTML, COUNTER_TEXT or COUNTER_JSON", (int)format);
    if (size > 0)
        buffer[sink.length < size ? sink.length : size - 1] = 0;
    return (int)sink.length;
}

int counter_rows_want(const char *rows, uint32_t *want)
{
    struct rows parsed;
    int result = rows_parse(&parsed, rows);

    if (result == 0 && want)
        *want = parsed.want;
    return result;
}
