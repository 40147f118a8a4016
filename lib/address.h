/*
 * address.h: client addresses and lists of networks.
 *
 * An address is 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison serves both families and a dual-stack server's
 * mapped addresses are IPv4. A list ("10.0.0.0/8 fd00::/8 private") is parsed once into prefixes.
 */
#ifndef LIBCOUNTER_ADDRESS_H
#define LIBCOUNTER_ADDRESS_H

#include <counter.h>

enum { ADDRESS_TEXT = 46 };

struct address { unsigned char byte[16]; };

struct address_list;

/* Parses "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", with or without a port or brackets ("[::1]:8080",
 * "192.0.2.1:80") and a zone id ("fe80::1%eth0"), as they stand in headers. 0 or -1. No error text: the caller knows
 * what it was. Bounded: longer than 64 bytes is no address. */
int address_parse(struct address *out, const char *text, size_t length);

/* The same without port, brackets and zone id, as addresses stand in settings. */
int address_parse_bare(struct address *out, const char *text, size_t length);

/* Canonical text (RFC 5952; IPv4 as dotted quad). */
const char *address_text(const struct address *address, char buffer[ADDRESS_TEXT]);

_Bool address_is_v4(const struct address *address);

/* Parses a list separated by spaces or commas: addresses, CIDR prefixes, and the words "private" (RFC 1918, 100.64/10,
 * fc00::/7, link-local), "loopback", "all". An IPv6 prefix holds no IPv4 address, so "::/0" is all of IPv6 only.
 * COUNTER_EINVAL names `what` (the option), the entry and the rule. NULL or "": an empty list. */
int address_list_open(struct address_list **out, const char *what, const char *text);
void address_list_close(struct address_list *list);

/* The entry that holds the address, as it was written, or NULL. An empty or NULL list holds none. */
const char *address_list_find(const struct address_list *list, const struct address *address);

enum address_source {           /* how address_client came to its answer */
    ADDRESS_PEER,               /* the peer itself; it is no listed proxy, or nothing was forwarded */
    ADDRESS_PEER_UNLISTED,      /* the peer sent forwarded headers but is not listed: they were not believed */
    ADDRESS_FORWARDED,          /* the first untrusted address from the right */
    ADDRESS_ALL_TRUSTED,        /* every address was a listed proxy: the leftmost */
    ADDRESS_MALFORMED           /* an entry was no address: the last good one before it, from the right */
};

/*
 * The client of a request. Start with the peer; while the address in hand is a listed proxy, take the next one from the
 * right of `forwarded`; stop at the first that is not listed. (nginx's real_ip_recursive, Envoy's trusted hops.)
 * `forwarded` is X-Forwarded-For's list or Forwarded's (RFC 7239: for="[2001:db8::1]:80"; by, host and proto are passed
 * over). An element without for, "unknown" and _obfuscated names are malformed. Empty entries are passed over. At most
 * the last 4096 bytes and 64 entries are read, and no entry that begins before them: what is read is all there is.
 */
enum address_source address_client(struct address *out, const struct address *peer, const char *forwarded,
                                   size_t length, const struct address_list *trusted);

#endif
