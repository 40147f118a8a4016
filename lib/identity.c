/*
 * identity.c: the keyed id of a visitor.
 *
 * The message lies in one buffer on the stack, copied together, since libsodium's SipHash takes whole messages only.
 * Its parts cannot be confused: kind and site tell their lengths, an address has 16 bytes, and only the last part is
 * open-ended.
 *
 *     | 'a' | n | site, n bytes | address, 16 bytes | agent, 0 to 1024 bytes  |
 *     | 'v' | n | site, n bytes | visitor string, 0 to 1024 bytes |
 */
#include "identity.h"

#include "error.h"

#include <errno.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "an id is one SipHash");
_Static_assert(crypto_shorthash_KEYBYTES == IDENTITY_KEY, "a key is SipHash's");

enum { SITE = 64, NETWORK = 8 }; /* NETWORK: the bytes of an IPv6 address that its network gives out, a /64 */

struct message {
    size_t length;
    unsigned char byte[2 + SITE + sizeof(struct address) + IDENTITY_STRING];
};

static void begin(struct message *message, char kind, const char *site)
{
    size_t length = strnlen(site, SITE);

    message->byte[0] = (unsigned char)kind;
    message->byte[1] = (unsigned char)length;
    memcpy(message->byte + 2, site, length);
    message->length = 2 + length;
}

static void append(struct message *message, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(message->byte + message->length, bytes, length);
    message->length += length;
}

static uint64_t hash(const struct identity_key *key, const unsigned char *bytes, size_t length)
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t id = 0;

    crypto_shorthash(out, bytes, length, key->byte);
    for (size_t i = sizeof out; i-- > 0;)
        id = id << 8 | out[i];
    return id;
}

static size_t bounded(size_t length)
{
    return length < IDENTITY_STRING ? length : IDENTITY_STRING;
}

uint64_t identity_of_address(const struct identity_key *key, const char *site, const struct address *address,
                             const char *agent, size_t agent_length)
{
    static const unsigned char interface[sizeof *address - NETWORK];
    struct message message;

    begin(&message, 'a', site);
    if (address_is_v4(address)) {
        append(&message, address, sizeof *address);
    } else {
        append(&message, address, NETWORK);
        append(&message, interface, sizeof interface);
    }
    append(&message, agent, bounded(agent_length));
    return hash(key, message.byte, message.length);
}

uint64_t identity_of_visitor(const struct identity_key *key, const char *site, const char *visitor, size_t length)
{
    struct message message;

    begin(&message, 'v', site);
    append(&message, visitor, bounded(length));
    return hash(key, message.byte, message.length);
}

uint64_t identity_short(uint64_t id)
{
    uint64_t key = id >> (64 - IDENTITY_BITS);

    return key | ((key & ((1u << 22) - 1)) == 0);
}

/* No message of a hit begins with 'l', so the check value is nobody's id. */
uint64_t identity_check(const struct identity_key *key)
{
    static const unsigned char text[] = "libcounter key";

    return hash(key, text, sizeof text - 1);
}

/* Up to 256 bytes come whole; a signal can interrupt only the wait for the kernel's first randomness after boot. */
int identity_new_key(struct identity_key *out)
{
    ssize_t got;

    do
        got = getrandom(out->byte, sizeof out->byte, 0);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof out->byte)
        return 0;

    error_system(got < 0 ? errno : EIO, "no key: the kernel's random source failed");
    return COUNTER_EIO;
}
