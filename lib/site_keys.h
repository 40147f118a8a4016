/*
 * site_keys.h: identity keys that live a day or a month.
 *
 * With key_rotation a site has a random key of its own for each period, in SITE.key-2026-11-23 or SITE.key-2026-11. Ids
 * of two periods have nothing in common, so whatever is counted over several is a sum of them, and nothing else has to
 * know. Who comes back within an hour after a rotation is looked up under the key before as well, so that nobody's
 * visit is counted twice at midnight. An hour after its end, with the next hit, a key is destroyed: from then on not even
 * whoever holds everything else can tell who was counted.
 */
#ifndef LIBCOUNTER_SITE_KEYS_H
#define LIBCOUNTER_SITE_KEYS_H

#include "site.h"

enum { SITE_KEY_GRACE = 3600 };

/* The keys for a hit of that time: see struct identity_keys. */
int site_keys(struct site *site, int64_t t, bool create, struct identity_keys *out);

/* Removes the files of keys of periods that began before `first`; all of them where it is NULL. */
int site_keys_remove(struct site *site, const struct period_date *first);

/* Copying: gives the keys that were not destroyed; takes one over where there is none, but none that was destroyed here.
 * COUNTER_ECONFLICT where there is another; to know that beforehand, only_compare. */
int site_keys_give(struct site *site, struct copy_taker *taker);
int site_keys_take(struct site *site, const struct copy_key *given, bool only_compare);

#endif
