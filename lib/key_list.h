/*
 * key_list.h: the identity keys of periods that a process knows, where keys rotate.
 *
 * A list that grows at its head, by compare-and-swap, and loses nothing until it is freed: a key that is destroyed is
 * wiped where it stands, since another thread may be reading it. Two periods are alive at a time, so it stays short.
 */
#ifndef LIBCOUNTER_KEY_LIST_H
#define LIBCOUNTER_KEY_LIST_H

#include "identity.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct key_item;
struct key_list { _Atomic(struct key_item *) head; };           /* zero is empty */

/* The key of the period that begins at `start`; false where there is none, or no more. */
bool key_list_find(const struct key_list *list, int64_t start, struct identity_key *out);

/* Adds a key, unless another thread added one for that period: then that one holds, and is given in *key. */
int key_list_add(struct key_list *list, int64_t start, struct identity_key *key);

/* Wipes the keys of all periods that began before `start`. */
void key_list_wipe(struct key_list *list, int64_t start);

void key_list_free(struct key_list *list);

#endif
