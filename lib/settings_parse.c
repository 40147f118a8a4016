/*
 * settings_parse.c: the grammar of counter.conf.
 *
 *     # the whole line
 *     key = value                 # behind white space
 *     key = "a # that stays, a \" and a \\"
 *     portal.rows = online; today "Hôm nay"
 *
 * A value goes from its first to its last character that is no white space; quotation marks count only as its first
 * character. Lines end in LF or CRLF. Values may hold any bytes but control characters, so none can bring a newline
 * into a header or an escape sequence into a terminal. Errors name the line and quote nothing of it: a line that went
 * wrong may be a password.
 */
#include "settings.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

struct cursor {
    const char *name; /* of the file, quoted */
    unsigned line;
    const char *at, *end; /* what is left of the line */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
}

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && is_blank(*cursor->at))
        cursor->at++;
}

static bool is_finished(const struct cursor *cursor)
{
    return cursor->at == cursor->end || *cursor->at == '#';
}

static int refuse(const struct cursor *cursor, const char *rule)
{
    return error_set(COUNTER_EINVAL, "%s:%u: %s", cursor->name, cursor->line, rule);
}

static int check_characters(const struct cursor *cursor)
{
    for (const char *c = cursor->at; c < cursor->end; c++) {
        unsigned char byte = (unsigned char)*c;
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return error_set(COUNTER_EINVAL, "%s:%u: byte 0x%02x: no control characters are allowed", cursor->name,
                             cursor->line, byte);
    }
    return 0;
}

static int parse_key(struct cursor *cursor, char key[SETTINGS_KEY])
{
    const char *start = cursor->at;

    while (cursor->at < cursor->end && is_key(*cursor->at))
        cursor->at++;
    size_t length = (size_t)(cursor->at - start);
    skip_blanks(cursor);
    if (length == 0 || cursor->at == cursor->end || *cursor->at != '=')
        return refuse(cursor, "the line is not \"key = value\"");
    if (length >= SETTINGS_KEY)
        return refuse(cursor, "the key has more than 64 bytes");
    cursor->at++;
    memcpy(key, start, length);
    key[length] = '\0';
    return 0;
}

static int parse_quoted(struct cursor *cursor, char value[SETTINGS_VALUE])
{
    size_t length = 0;

    cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\' && (++cursor->at == cursor->end || (*cursor->at != '"' && *cursor->at != '\\')))
            return refuse(cursor, "a backslash between quotation marks: only \\\" and \\\\ have a meaning");
        if (length == SETTINGS_VALUE - 1)
            return refuse(cursor, "the value has more than 4096 bytes");
        value[length++] = *cursor->at++;
    }
    if (cursor->at == cursor->end)
        return refuse(cursor, "the quotation mark before the value has no second one behind it");
    cursor->at++;
    value[length] = '\0';

    const char *close = cursor->at;
    skip_blanks(cursor);
    if (!is_finished(cursor) || (cursor->at == close && cursor->at < cursor->end))
        return refuse(cursor, "text behind the closing quotation mark (write \\\" for one inside)");
    return 0;
}

/* Up to the line's end or to white space and '#', without white space at its end; at least '=' stands before it. */
static int parse_plain(struct cursor *cursor, char value[SETTINGS_VALUE])
{
    const char *start = cursor->at, *last = start;

    for (bool blank = is_blank(start[-1]); cursor->at < cursor->end && !(blank && *cursor->at == '#'); cursor->at++) {
        blank = is_blank(*cursor->at);
        if (!blank)
            last = cursor->at + 1;
    }
    size_t length = (size_t)(last - start);
    if (length >= SETTINGS_VALUE)
        return refuse(cursor, "the value has more than 4096 bytes");
    memcpy(value, start, length);
    value[length] = '\0';
    return 0;
}

static int parse_line(struct cursor *cursor, settings_line_fn *each, void *arg)
{
    char key[SETTINGS_KEY], value[SETTINGS_VALUE];
    int r = check_characters(cursor);

    skip_blanks(cursor);
    if (r < 0 || is_finished(cursor))
        return r;
    if ((r = parse_key(cursor, key)) < 0)
        return r;
    skip_blanks(cursor);
    r = cursor->at < cursor->end && *cursor->at == '"' ? parse_quoted(cursor, value) : parse_plain(cursor, value);
    if (r == 0)
        r = each(arg, cursor->line, key, value);
    explicit_bzero(value, sizeof value); /* may be a password */
    return r;
}

int settings_parse(const char *name, const char *bytes, size_t length, settings_line_fn *each, void *arg)
{
    static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark, which some editors write */
    const char *at = bytes, *end = bytes + length;
    char quoted[ERROR_QUOTED];
    struct cursor cursor = {.name = error_quote(quoted, name, strlen(name))};
    int r = 0;

    if (length > SETTINGS_FILE_MAX)
        return error_set(COUNTER_EINVAL, "%s: has more than %d bytes", quoted, SETTINGS_FILE_MAX);
    if (length >= sizeof mark - 1 && memcmp(at, mark, sizeof mark - 1) == 0)
        at += sizeof mark - 1;
    while (r == 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        cursor.line++;
        cursor.at = at;
        cursor.end = newline && stop > at && stop[-1] == '\r' ? stop - 1 : stop;
        r = parse_line(&cursor, each, arg);
        at = newline ? newline + 1 : end;
    }
    return r;
}
