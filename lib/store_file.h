/*
 * store_file.h: the insides of the embedded store, for the files that make it up.
 *
 * Nothing here is ever replaced, only added: the folder's descriptor, the key and the heads of the chains of sites each
 * go from nothing to something by one compare-and-swap. So there is no lock, and a fork finds nothing half done.
 */
#ifndef LIBCOUNTER_STORE_FILE_H
#define LIBCOUNTER_STORE_FILE_H

#include "site.h"

enum { STORE_FILE_CHAINS = 1024 };

struct store_file {
    struct store store;
    const struct settings *settings;
    const char *path;                   /* NULL: memory */
    bool network;
    _Atomic int folder;                 /* -1: not open yet, or memory */
    _Atomic(struct identity_key *) key; /* NULL: not read yet, or in memory not made yet */
    _Atomic(struct site *) chain[STORE_FILE_CHAINS];
};

static inline struct store_file *store_file_of(struct store *store)
{
    return (struct store_file *)store;
}

/* ---- store_file.c: sites --------------------------------------------------------------------------------------------- */

/* Finds, opens or makes a site; with the settings' plan, or with that one. */
int store_file_site(struct store_file *file, const char *name, const struct site_plan *as, bool create,
                    struct site **out);

/* ---- store_file_copy.c: folder, key, copying ------------------------------------------------------------------------- */

struct site_plan store_file_plan(const struct settings *settings);

/* The folder's descriptor; -1 for memory. COUNTER_ENOSITE where there is none and `create` is not set. */
int store_file_folder(struct store_file *file, bool create, int *out);

/* The store's key, made if `create`, else COUNTER_ENOSITE where there is none. */
int store_file_key(struct store_file *file, bool create, struct identity_key *out);
void store_file_close_key(struct store_file *file);     /* and the folder */

int store_file_give(struct store *store, const char *site, struct copy_taker *taker);
int store_file_take(struct store *store, const char *site, struct copy_taker **taker);
int store_file_give_key(struct store *store, struct identity_key *out);
int store_file_take_key(struct store *store, const struct identity_key *key);

#endif
