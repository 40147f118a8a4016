/*
 * address_client.c: the client behind proxies.
 *
 * Each proxy appends the address of its own peer, so a list is as good as the one who wrote its end. It is read from
 * the right, entry by entry, and what stands left of the first untrusted address is never looked at: not even to pair
 * up quotation marks. Read from the left, one stray '"' sent by a client would swallow what the proxies added.
 */
#include "address.h"

#include <stdbool.h>
#include <string.h>

enum { BYTES_MAX = 4096, ENTRIES_MAX = 64, NODE_MAX = 64 };

struct slice {
    const char *text;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice slice)
{
    while (slice.length > 0 && is_blank(slice.text[0])) {
        slice.text++;
        slice.length--;
    }
    while (slice.length > 0 && is_blank(slice.text[slice.length - 1]))
        slice.length--;
    return slice;
}

/* A quotation mark behind an odd number of backslashes is a character of the text. */
static bool is_quote(const char *text, size_t at)
{
    size_t n = 0;

    if (text[at] != '"')
        return false;
    while (n < at && text[at - 1 - n] == '\\')
        n++;
    return n % 2 == 0;
}

/* Cuts the last entry, behind the last comma outside quotation marks, off the list. False where the list is used up;
 * a list that goes on to the left of its first byte ends with its last comma. */
static bool cut_last(struct slice *list, bool goes_on, struct slice *out)
{
    bool quoted = false;
    size_t at = list->length;

    if (!list->text)
        return false;
    while (at > 0 && (quoted || list->text[at - 1] != ',')) {
        at--;
        quoted ^= is_quote(list->text, at);
    }
    if (at == 0 && goes_on)
        return false;
    *out = trim((struct slice){list->text + at, list->length - at});
    *list = at > 0 ? (struct slice){list->text, at - 1} : (struct slice){NULL, 0};
    return true;
}

/* Cuts the first pair, before the first semicolon outside quotation marks, off an element. False where a quotation mark
 * is left open: such a text may hold commas that were meant to part entries. */
static bool cut_pair(struct slice *element, struct slice *out)
{
    bool quoted = false;
    size_t at = 0;

    while (at < element->length && (quoted || element->text[at] != ';')) {
        quoted ^= is_quote(element->text, at);
        at++;
    }
    *out = trim((struct slice){element->text, at});
    size_t used = at < element->length ? at + 1 : at;
    *element = (struct slice){element->text + used, element->length - used};
    return !quoted;
}

/* Writes the value without quotation marks and backslashes. Returns its length; 0 where it is no value or too long. */
static size_t unquote(struct slice value, char out[NODE_MAX])
{
    size_t n = 0;

    if (value.length < 2 || value.text[0] != '"') {
        if (value.length > NODE_MAX || memchr(value.text, '"', value.length))
            return 0;
        memcpy(out, value.text, value.length);
        return value.length;
    }
    size_t end = value.length - 1;
    if (!is_quote(value.text, end))
        return 0;
    for (size_t i = 1; i < end; i++) {
        if (value.text[i] == '"' || n == NODE_MAX)
            return 0;
        if (value.text[i] == '\\')
            i++;
        out[n++] = value.text[i];
    }
    return n;
}

static bool is_for(struct slice pair)
{
    return pair.length >= 4 && (pair.text[0] | 32) == 'f' && (pair.text[1] | 32) == 'o' && (pair.text[2] | 32) == 'r' &&
           pair.text[3] == '=';
}

/* One element of Forwarded, "for=192.0.2.1;proto=https" (RFC 7239, section 4): the one pair whose name is for. */
static int parse_element(struct address *out, struct slice element)
{
    struct slice pair, node = {NULL, 0};
    char plain[NODE_MAX];

    while (element.length > 0) {
        if (!cut_pair(&element, &pair))
            return -1;
        if (!is_for(pair))
            continue;
        if (node.text)
            return -1;
        node = (struct slice){pair.text + 4, pair.length - 4};
    }
    if (!node.text)
        return -1;
    return address_parse(out, plain, unquote(node, plain));
}

static int parse_entry(struct address *out, struct slice entry)
{
    if (memchr(entry.text, '=', entry.length))
        return parse_element(out, entry);
    return address_parse(out, entry.text, entry.length);
}

enum address_source address_client(struct address *out, const struct address *peer, const char *forwarded,
                                   size_t length, const struct address_list *trusted)
{
    bool goes_on = length > BYTES_MAX;
    struct slice entry, list = {forwarded, length};
    enum address_source source = ADDRESS_PEER;
    struct address address;

    *out = *peer;
    if (goes_on)
        list = (struct slice){forwarded + length - BYTES_MAX, BYTES_MAX};
    if (length == 0 || trim(list).length == 0)
        return ADDRESS_PEER;
    if (!address_list_find(trusted, peer))
        return ADDRESS_PEER_UNLISTED;

    for (int n = 0; n < ENTRIES_MAX && cut_last(&list, goes_on, &entry); n++) {
        if (entry.length == 0)
            continue;
        if (parse_entry(&address, entry) < 0)
            return ADDRESS_MALFORMED;
        *out = address;
        if (!address_list_find(trusted, &address))
            return ADDRESS_FORWARDED;
        source = ADDRESS_ALL_TRUSTED;
    }
    return source;
}
