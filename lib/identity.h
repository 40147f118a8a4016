/*
 * identity.h: who sent a hit, as a keyed 64-bit id.
 *
 * id = SipHash-2-4 (libsodium's crypto_shorthash) under the store's random 128-bit key over
 *     kind (1 byte: 'a' address and agent, 'v' visitor string) | length of site (1 byte) | site | who
 * where the address is 16 bytes, IPv6 cut to its /64 (privacy extensions change the rest), IPv4 whole, and then the
 * agent's first 1024 bytes; a visitor string counts with its first 1024 bytes. Sketches are fed nothing unkeyed:
 * Redis's hash seed is public, and chosen strings could make it say anything.
 *
 * key: the id's upper 43 bits, by which stores know a visitor. It can be recovered from a cell of the recency table and
 * is the member of Redis's sorted set, so files and Redis can be merged: its width and derivation are frozen.
 */
#ifndef LIBCOUNTER_IDENTITY_H
#define LIBCOUNTER_IDENTITY_H

#include "address.h"

enum { IDENTITY_KEY = 16, IDENTITY_BITS = 43, IDENTITY_STRING = 1024 };

struct identity_key { unsigned char byte[IDENTITY_KEY]; };

/* The keys for a hit. Where keys rotate, the hit's time decides, and for an hour the key before is good to continue
 * visits with. */
struct identity_keys {
    struct identity_key current, previous;
    _Bool known;                        /* false: destroyed already, the visitor cannot be named any more */
    _Bool has_previous;
};

uint64_t identity_of_address(const struct identity_key *key, const char *site, const struct address *address,
                             const char *agent, size_t agent_length);
uint64_t identity_of_visitor(const struct identity_key *key, const char *site, const char *visitor, size_t length);

/* The store's key of an id: upper 43 bits, with the lowest set where the low 22 are all zero (a tag is never zero, in
 * any geometry). */
uint64_t identity_short(uint64_t id);

/* 64 bits that tell keys apart without giving them away: SipHash of a fixed text. Stored in every site's header. */
uint64_t identity_check(const struct identity_key *key);

/* From the kernel's random source. 0 or COUNTER_EIO. */
int identity_new_key(struct identity_key *out);

#endif
