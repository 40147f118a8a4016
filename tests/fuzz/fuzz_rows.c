/*
 * fuzz_rows.c: any bytes as a rows text. Refused ones are refused everywhere; for accepted ones the box holds: the
 * length does not depend on the buffer, a short buffer gets a prefix, labels bring in no markup, JSON stays ASCII.
 */
#include <counter.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(holds)                                                                                                    \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            abort();                                                                                                   \
    } while (0)

static const struct counter_stats stats = {
    .size = sizeof stats,
    .at = 1795403700,
    .online = 1234567,
    .window = {[COUNTER_TODAY] = {1234567, 12345678, INT64_MAX, 0.0081}, [COUNTER_ALL_TIME] = {-1, 0, 999, 1e-9}},
};

static size_t occurrences(const char *text, char byte)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == byte;
    return n;
}

/* The box in full, in a buffer of exactly its size. */
static char *render(enum counter_format format, const char *language, const char *rows)
{
    int length = counter_render(&stats, format, language, rows, NULL, 0);
    char *text;

    MUST(length > 0);
    MUST((text = malloc((size_t)length + 1)) != NULL);
    MUST(counter_render(&stats, format, language, rows, text, (size_t)length + 1) == length);
    MUST(strlen(text) == (size_t)length);
    return text;
}

static void check_prefix(enum counter_format format, const char *rows, const char *whole, size_t size)
{
    char *part = malloc(size);

    MUST(part != NULL);
    MUST(counter_render(&stats, format, "vi", rows, part, size) == (int)strlen(whole));
    MUST(strlen(part) == (size - 1 < strlen(whole) ? size - 1 : strlen(whole)));
    MUST(strncmp(whole, part, strlen(part)) == 0);
    free(part);
}

static void check_formats(const char *text, const struct rows *rows, size_t cut)
{
    char *html = render(COUNTER_HTML, "vi", text), *plain = render(COUNTER_TEXT, "vi", text);
    char *json = render(COUNTER_JSON, "vi", text);

    MUST(occurrences(html, '<') == 6 + (size_t)rows->count * 6);
    MUST(occurrences(html, '>') == 6 + (size_t)rows->count * 6);
    MUST(occurrences(html, '\'') == 0);
    MUST(occurrences(html, '"') == 10 + (size_t)rows->count * 8);
    MUST(occurrences(plain, '\n') == rows->count);
    MUST(occurrences(json, '{') == occurrences(json, '}') && occurrences(json, '"') % 2 == 0);
    for (const char *at = json; *at; at++)
        MUST((unsigned char)*at < 0x7f);
    check_prefix(COUNTER_HTML, text, html, 1 + cut % (strlen(html) + 3));
    check_prefix(COUNTER_TEXT, text, plain, 1 + cut % (strlen(plain) + 3));
    free(html);
    free(plain);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows rows;
    uint32_t want = 0, seen = 0;
    char *text = malloc(size + 1);

    MUST(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    if (rows_parse(&rows, text) < 0) {
        MUST(counter_rows_want(text, &want) == COUNTER_EINVAL && *counter_error());
        MUST(counter_render(NULL, COUNTER_HTML, "en", text, NULL, 0) == COUNTER_EINVAL);
    } else {
        MUST(rows.count >= 1 && rows.count <= ROWS_MOST);
        for (uint32_t i = 0; i < rows.count; i++)
            seen |= rows.row[i].window == ROWS_ONLINE ? 0 : 1u << rows.row[i].window;
        MUST(counter_rows_want(text, &want) == 0 && want == seen);
        check_formats(text, &rows, size * 31);
    }
    free(text);
    return 0;
}
