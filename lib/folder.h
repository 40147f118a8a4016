/*
 * folder.h: the folder of a file store: where it is, and its key.
 *
 * DIR/key is text: "counter key 1", newline, 32 hexadecimal digits, newline. Made once, like every file here whole or
 * not at all; whoever loses the race reads the winner's. Without it the counts can be shown but no visitor recognised.
 */
#ifndef LIBCOUNTER_FOLDER_H
#define LIBCOUNTER_FOLDER_H

#include "identity.h"

/* Opens DIR, made with its parents (mode 0700) if `create`. Gives a descriptor, COUNTER_ENOSITE where there is none, or
 * an error. Network file systems, which do not keep mappings coherent between machines, are refused unless allowed. */
int folder_open(const char *path, _Bool create, _Bool network);

/* The key in that file, "key" for the store's own. Made if `create`; else COUNTER_ENOSITE where there is none. */
int folder_key(int folder, const char *name, _Bool create, struct identity_key *out);

/* Puts a given key there; *key is then the one that is there, another's if somebody was first. */
int folder_put_key(int folder, const char *name, struct identity_key *key);

#endif
