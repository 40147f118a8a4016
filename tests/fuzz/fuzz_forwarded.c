/*
 * fuzz_forwarded.c: addresses, lists and the client behind proxies.
 *
 * Input: the trusted list, a newline, the peer, a newline, what was forwarded. Held against it: an address survives its
 * own text; the entry that holds an address holds it alone too; an answer is of the kind its source says; and what a
 * client puts in front of the list changes nothing about a client that was found.
 */
#include "address.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 4096 };

#define HOLDS(condition) ((condition) ? (void)0 : broken(#condition))

static void broken(const char *condition)
{
    fprintf(stderr, "does not hold: %s\n", condition);
    abort();
}

/* Exactly as long as it is, with a NUL only where one is asked for. */
static char *copy(const uint8_t *bytes, size_t length, size_t nul)
{
    char *text = calloc(1, length + nul > 0 ? length + nul : 1);

    if (!text)
        abort();
    if (length > 0)
        memcpy(text, bytes, length);
    return text;
}

/* Cuts the bytes up to a newline off the input. */
static size_t cut(const uint8_t **data, size_t *size, const uint8_t **part)
{
    const uint8_t *newline = *size > 0 ? memchr(*data, '\n', *size) : NULL;
    size_t length = newline ? (size_t)(newline - *data) : *size, used = newline ? length + 1 : length;

    *part = *data;
    *data += used;
    *size -= used;
    return length;
}

static int parse(struct address *out, const uint8_t *bytes, size_t length)
{
    char buffer[ADDRESS_TEXT], *text = copy(bytes, length, 0);
    struct address again;
    int r = address_parse(out, text, length);

    free(text);
    if (r < 0)
        return r;
    address_text(out, buffer);
    HOLDS(strlen(buffer) < ADDRESS_TEXT);
    HOLDS(address_parse_bare(&again, buffer, strlen(buffer)) == 0);
    HOLDS(memcmp(out, &again, sizeof again) == 0);
    return 0;
}

static void find_alone(const struct address_list *list, const struct address *address)
{
    const char *entry = address_list_find(list, address);
    struct address_list *alone;

    if (!entry)
        return;
    HOLDS(address_list_open(&alone, "alone", entry) == 0);
    HOLDS(address_list_find(alone, address) != NULL);
    address_list_close(alone);
}

static void forge_in_front(const struct address_list *trusted, const struct address *peer, const char *forwarded,
                           size_t length, const struct address *client)
{
    static const char *const forged[] = {"1.1.1.1", "\"", "for=\"", "for=10.0.0.1;by=\"\\", "10.0.0.1, unknown"};
    char text[BYTES_MAX];
    struct address again;

    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        int before = snprintf(text, sizeof text, "%s,", forged[i]);
        if ((size_t)before + length > sizeof text)
            return;
        memcpy(text + before, forwarded, length);
        HOLDS(address_client(&again, peer, text, (size_t)before + length, trusted) == ADDRESS_FORWARDED);
        HOLDS(memcmp(&again, client, sizeof again) == 0);
    }
}

static void find_client(const struct address_list *trusted, const struct address *peer, const char *forwarded,
                        size_t length)
{
    struct address client;
    enum address_source source = address_client(&client, peer, forwarded, length, trusted);
    int is_listed = address_list_find(trusted, peer) != NULL;

    find_alone(trusted, &client);
    if (source == ADDRESS_PEER || source == ADDRESS_PEER_UNLISTED)
        HOLDS(memcmp(&client, peer, sizeof client) == 0);
    else
        HOLDS(is_listed);
    if (source == ADDRESS_PEER_UNLISTED)
        HOLDS(!is_listed);
    if (source == ADDRESS_ALL_TRUSTED || source == ADDRESS_MALFORMED)
        HOLDS(address_list_find(trusted, &client) != NULL);
    if (source == ADDRESS_FORWARDED) {
        HOLDS(address_list_find(trusted, &client) == NULL);
        if (length < BYTES_MAX / 2)
            forge_in_front(trusted, peer, forwarded, length, &client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address_list *trusted;
    const uint8_t *part;
    struct address peer;

    size_t length = cut(&data, &size, &part);
    char *text = copy(part, length, 1);
    int r = address_list_open(&trusted, "trusted_proxies", text);
    HOLDS(r == 0 || (r == COUNTER_EINVAL && !trusted && counter_error()[0]));
    free(text);

    length = cut(&data, &size, &part);
    if (parse(&peer, part, length) == 0) {
        text = copy(data, size, 0);
        find_alone(trusted, &peer);
        find_client(trusted, &peer, text, size);
        free(text);
    }
    address_list_close(trusted);
    return 0;
}
