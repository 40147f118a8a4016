/*
 * address.c: addresses from text and back.
 *
 * IPv4 is parsed by hand, since nearly every hit needs it: four decimal numbers without leading zeros, and nothing that
 * inet_aton would take beyond them ("127.1", "0x7f.0.0.1", "017.0.0.1" are one thing to one program and another to the
 * next). IPv6 is left to inet_pton, on a bounded copy of the characters that an address may have.
 */
#include "address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64, PORT_DIGITS = 5 };

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads "0" to "255" without leading zeros from the front of text. Returns its length, 0 if there is none. */
static size_t parse_octet(unsigned char *out, const char *text, size_t length)
{
    unsigned value = 0;
    size_t n = 0;

    while (n < 3 && n < length && is_digit(text[n]))
        value = value * 10 + (unsigned)(text[n++] - '0');
    if (n == 0 || value > 255 || (n > 1 && text[0] == '0'))
        return 0;
    *out = (unsigned char)value;
    return n;
}

static int parse_v4(struct address *out, const char *text, size_t length)
{
    struct address v4;
    size_t at = 0;

    memcpy(v4.byte, mapped, sizeof mapped);
    for (size_t i = sizeof mapped; i < sizeof v4.byte; i++) {
        if (i > sizeof mapped && (at == length || text[at++] != '.'))
            return -1;
        size_t n = parse_octet(&v4.byte[i], text + at, length - at);
        if (n == 0)
            return -1;
        at += n;
    }
    if (at != length)
        return -1;
    *out = v4;
    return 0;
}

static int parse_v6(struct address *out, const char *text, size_t length)
{
    char copy[ADDRESS_TEXT];

    if (length >= sizeof copy)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]) && !is_letter(text[i]) && text[i] != ':' && text[i] != '.')
            return -1;
        copy[i] = text[i];
    }
    copy[length] = '\0';
    return inet_pton(AF_INET6, copy, out->byte) == 1 ? 0 : -1;
}

int address_parse_bare(struct address *out, const char *text, size_t length)
{
    if (length == 0 || length > TEXT_MAX)
        return -1;
    if (memchr(text, ':', length))
        return parse_v6(out, text, length);
    return parse_v4(out, text, length);
}

static bool is_zone(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_digit(text[i]) && !is_letter(text[i]) && !memchr("._~-", text[i], 4))
            return false;
    return length > 0;
}

/* RFC 7239, section 6: one to five digits, or an underscore and a made-up name. */
static bool is_port(const char *text, size_t length)
{
    if (length > 1 && text[0] == '_')
        return is_zone(text + 1, length - 1);
    for (size_t i = 0; i < length; i++)
        if (!is_digit(text[i]))
            return false;
    return length > 0 && length <= PORT_DIGITS;
}

/* A zone id names a link of the machine that wrote it, so it says nothing here. */
static int parse_zoned(struct address *out, const char *text, size_t length)
{
    const char *percent = memchr(text, '%', length);

    if (!percent)
        return parse_v6(out, text, length);
    size_t before = (size_t)(percent - text);
    if (!is_zone(percent + 1, length - before - 1))
        return -1;
    return parse_v6(out, text, before);
}

static int parse_bracketed(struct address *out, const char *text, size_t length)
{
    const char *end = memchr(text, ']', length);

    if (!end)
        return -1;
    size_t inside = (size_t)(end - text) - 1, behind = length - inside - 2;
    if (behind > 0 && (end[1] != ':' || !is_port(end + 2, behind - 1)))
        return -1;
    return parse_zoned(out, text + 1, inside);
}

int address_parse(struct address *out, const char *text, size_t length)
{
    if (length == 0 || length > TEXT_MAX)
        return -1;
    if (text[0] == '[')
        return parse_bracketed(out, text, length);

    const char *colon = memchr(text, ':', length);
    if (!colon)
        return parse_v4(out, text, length);
    size_t before = (size_t)(colon - text);
    if (memchr(text, '.', before)) /* IPv6 has its dots behind the colons */
        return is_port(colon + 1, length - before - 1) ? parse_v4(out, text, before) : -1;
    return parse_zoned(out, text, length);
}

_Bool address_is_v4(const struct address *address)
{
    return memcmp(address->byte, mapped, sizeof mapped) == 0;
}

/* The longest run of at least two zero groups, the first of equals (RFC 5952, section 4.2). Returns its length. */
static int longest_zeros(const unsigned group[8], int *start)
{
    int best = 1;

    *start = -1;
    for (int i = 0; i < 8; i++) {
        int end = i;
        while (end < 8 && group[end] == 0)
            end++;
        if (end - i > best) {
            best = end - i;
            *start = i;
        }
    }
    return best;
}

const char *address_text(const struct address *address, char buffer[ADDRESS_TEXT])
{
    const unsigned char *byte = address->byte;
    unsigned group[8];
    int zeros, start, at = 0;

    if (address_is_v4(address)) {
        snprintf(buffer, ADDRESS_TEXT, "%d.%d.%d.%d", byte[12], byte[13], byte[14], byte[15]);
        return buffer;
    }
    for (int i = 0; i < 8; i++)
        group[i] = (unsigned)byte[2 * i] << 8 | byte[2 * i + 1];
    zeros = longest_zeros(group, &start);
    for (int i = 0; i < 8; i++) {
        const char *colon = i > 0 && i != start + zeros ? ":" : "";
        if (i == start) {
            at += snprintf(buffer + at, (size_t)(ADDRESS_TEXT - at), "::");
            i += zeros - 1;
        } else {
            at += snprintf(buffer + at, (size_t)(ADDRESS_TEXT - at), "%s%x", colon, group[i]);
        }
    }
    return buffer;
}
