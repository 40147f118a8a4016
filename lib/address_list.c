/*
 * address_list.c: networks, to ask whether one holds an address.
 *
 * A network is an address, a mask and a family, kept as two 64-bit words each, so that asking is two ANDs and two
 * comparisons; lists have a few entries, and are walked from the front. An entry's text stays, for the answer.
 * Words stand for several networks with one text.
 */
#include "address.h"

#include "error.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 65536, V4_BITS = 96 }; /* bytes of a list; what stands before an IPv4 address in 16 bytes */

struct words {
    uint64_t high, low;
};

struct network {
    struct words base, mask;
    bool is_v4;
    const char *text;
};

struct address_list {
    size_t n, room;
    struct network *network;
    char *text; /* the whole list, NULs behind entries */
};

static const struct {
    const char *word, *networks;
} named[] = {
    {"private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16 fc00::/7 fe80::/10"},
    {"loopback", "127.0.0.0/8 ::1"},
    {"all", "0.0.0.0/0 ::/0"},
};

static struct words words_of(const struct address *address)
{
    struct words words;

    memcpy(&words, address->byte, sizeof words);
    return (struct words){be64toh(words.high), be64toh(words.low)};
}

static struct address address_of(struct words words)
{
    struct words big = {htobe64(words.high), htobe64(words.low)};
    struct address address;

    memcpy(address.byte, &big, sizeof big);
    return address;
}

/* The first n of 64 bits; a shift by 64 has no meaning in C. */
static uint64_t leading_ones(unsigned n)
{
    return n == 0 ? 0 : n >= 64 ? UINT64_MAX : ~(UINT64_MAX >> n);
}

static struct words mask_of(unsigned bits)
{
    return (struct words){leading_ones(bits), bits > 64 ? leading_ones(bits - 64) : 0};
}

/* "0" to "128" without leading zeros; -1 for anything else. */
static int parse_bits(const char *text, size_t length)
{
    int bits = 0;

    if (length == 0 || length > 3 || (length > 1 && text[0] == '0'))
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        bits = bits * 10 + (text[i] - '0');
    }
    return bits;
}

/* Whoever wrote "10.1.2.3/8" may have meant the one address as well as the network. */
static int refuse_host_bits(const char *what, const char *quoted, struct words base, int bits, bool is_dotted)
{
    struct address network = address_of(base);
    char text[ADDRESS_TEXT];

    address_text(&network, text);
    if (address_is_v4(&network) && !is_dotted) /* ::ffff:10.1.2.3/104, shown as IPv4 */
        bits -= V4_BITS;
    return error_set(COUNTER_EINVAL,
                     "%s: \"%s\" has bits set behind the prefix: write %s/%d for the network, or the address alone",
                     what, quoted, text, bits);
}

/* Parses one address or CIDR prefix (RFC 4632, RFC 4291 section 2.3). */
static int parse_network(struct network *out, const char *what, const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);
    size_t before = slash ? (size_t)(slash - text) : length;
    char quoted[ERROR_QUOTED];
    struct address address;

    error_quote(quoted, text, length);
    if (address_parse_bare(&address, text, before) < 0)
        return error_set(
            COUNTER_EINVAL,
            "%s: \"%s\" is no address, no network (as 10.0.0.0/8, fd00::/8) and none of the words private, "
            "loopback, all",
            what, quoted);
    out->is_v4 = address_is_v4(&address);
    bool is_dotted = !memchr(text, ':', before);
    int largest = is_dotted ? 32 : 128, bits = slash ? parse_bits(slash + 1, length - before - 1) : largest;
    if (bits < 0 || bits > largest)
        return error_set(COUNTER_EINVAL, "%s: \"%s\": behind the slash of an %s network stands a number from 0 to %d",
                         what, quoted, is_dotted ? "IPv4" : "IPv6", largest);

    struct words given = words_of(&address);
    out->mask = mask_of((unsigned)bits + (is_dotted ? V4_BITS : 0));
    out->base = (struct words){given.high & out->mask.high, given.low & out->mask.low};
    if (out->base.high != given.high || out->base.low != given.low)
        return refuse_host_bits(what, quoted, out->base, bits, is_dotted);
    return 0;
}

static int add_network(struct address_list *list, const char *what, const char *text, size_t length, const char *shown)
{
    int r;

    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        struct network *grown = reallocarray(list->network, room, sizeof *grown);
        if (!grown)
            return error_set(COUNTER_ENOMEM, "%s: no memory for %zu networks", what, room);
        list->network = grown;
        list->room = room;
    }
    if ((r = parse_network(&list->network[list->n], what, text, length)) < 0)
        return r;
    list->network[list->n++].text = shown;
    return 0;
}

static const char *networks_of(const char *entry)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(entry, named[i].word) == 0)
            return named[i].networks;
    return entry;
}

static int add_entry(struct address_list *list, const char *what, const char *entry)
{
    const char *at = networks_of(entry);
    int r = 0;

    while (r == 0 && *at) {
        size_t length = strcspn(at, " ");
        r = add_network(list, what, at, length, entry);
        at += length + strspn(at + length, " ");
    }
    return r;
}

int address_list_open(struct address_list **out, const char *what, const char *text)
{
    static const char separators[] = " \t,";
    char *rest = NULL;
    int r = 0;

    *out = NULL;
    if (!text)
        text = "";
    if (strnlen(text, LIST_MAX) == LIST_MAX)
        return error_set(COUNTER_EINVAL, "%s: a list has at most %d bytes", what, LIST_MAX - 1);

    struct address_list *list = calloc(1, sizeof *list);
    if (!list || !(list->text = strdup(text))) {
        free(list);
        return error_set(COUNTER_ENOMEM, "%s: no memory for the list", what);
    }
    for (char *entry = strtok_r(list->text, separators, &rest); r == 0 && entry;
         entry = strtok_r(NULL, separators, &rest))
        r = add_entry(list, what, entry);
    if (r < 0) {
        address_list_close(list);
        return r;
    }
    *out = list;
    return 0;
}

void address_list_close(struct address_list *list)
{
    if (!list)
        return;
    free(list->network);
    free(list->text);
    free(list);
}

const char *address_list_find(const struct address_list *list, const struct address *address)
{
    if (!list || list->n == 0)
        return NULL;

    struct words asked = words_of(address);
    bool is_v4 = address_is_v4(address);
    for (size_t i = 0; i < list->n; i++) {
        const struct network *network = &list->network[i];
        if ((asked.high & network->mask.high) == network->base.high &&
            (asked.low & network->mask.low) == network->base.low && is_v4 == network->is_v4)
            return network->text;
    }
    return NULL;
}
