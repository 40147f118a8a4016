/*
 * store_file_copy.c: the folder and the key of an embedded store, and what leaves and enters it with them.
 *
 * A store's key is made when the first visitor has to be named, or taken over from another store before that; then it
 * stays for ever. In memory too: so a copy into a new "memory:" store brings its key along.
 *
 * A site that comes is compared with what is here before anything is written: with the options of this handle, with the
 * site of that name, with the key. What is in conflict changes nothing.
 */
#include "store_file.h"

#include "error.h"
#include "folder.h"
#include "site_copy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct site_plan store_file_plan(const struct settings *settings)
{
    return (struct site_plan){.timezone = settings->timezone,
                              .week_start = settings->week_start,
                              .exact_visitors = settings->exact_visitors,
                              .forget_days = settings->forget_days,
                              .retention_days = settings->retention_days,
                              .key_rotation = settings->key_rotation};
}

/* ---- Folder and key ------------------------------------------------------------------------------------------------- */

int store_file_folder(struct store_file *file, bool create, int *out)
{
    *out = atomic_load_explicit(&file->folder, memory_order_acquire);
    if (*out >= 0 || !file->path)
        return 0;
    int fd = folder_open(file->path, create, file->network), none = -1;
    if (fd < 0)
        return fd;
    if (!atomic_compare_exchange_strong(&file->folder, &none, fd)) {
        close(fd); /* another thread was first */
        fd = none;
    }
    *out = fd;
    return 0;
}

/* Keeps the key for the next calls, unless another thread did: then *key is that one. */
static int remember(struct store_file *file, struct identity_key *key)
{
    struct identity_key *made = malloc(sizeof *made), *there = NULL;

    if (!made)
        return error_set(COUNTER_ENOMEM, "no memory for the store's key");
    *made = *key;
    if (!atomic_compare_exchange_strong(&file->key, &there, made)) {
        free(made);
        *key = *there;
    }
    return 0;
}

static bool remembered(struct store_file *file, struct identity_key *out)
{
    const struct identity_key *key = atomic_load_explicit(&file->key, memory_order_acquire);
    if (key)
        *out = *key;
    return key != NULL;
}

int store_file_key(struct store_file *file, bool create, struct identity_key *out)
{
    int folder, r;

    if (remembered(file, out))
        return 0;
    if (!file->path && !create)
        return error_set(COUNTER_ENOSITE, "the store has no key yet: nothing was ever counted");
    if (!file->path)
        r = identity_new_key(out);
    else if ((r = store_file_folder(file, create, &folder)) == 0)
        r = folder_key(folder, "key", create, out);
    return r < 0 ? r : remember(file, out);
}

void store_file_close_key(struct store_file *file)
{
    struct identity_key *key = atomic_load(&file->key);

    if (key)
        explicit_bzero(key, sizeof *key);
    free(key);
    if (file->folder >= 0)
        close(file->folder);
}

int store_file_give_key(struct store *store, struct identity_key *out)
{
    return store_file_key(store_file_of(store), false, out);
}

static int compare_keys(const struct identity_key *own, const struct identity_key *given)
{
    if (memcmp(own, given, sizeof *own) == 0)
        return 0;
    return error_set(COUNTER_ECONFLICT,
                     "the target has another key than the source: a visitor of one would be a stranger to the other");
}

int store_file_take_key(struct store *store, const struct identity_key *given)
{
    struct store_file *file = store_file_of(store);
    struct identity_key own;
    int folder;
    int r = store_file_key(file, false, &own);

    if (r == COUNTER_ENOSITE) {
        own = *given;
        if ((file->path &&
             ((r = store_file_folder(file, true, &folder)) < 0 || (r = folder_put_key(folder, "key", &own)) < 0)) ||
            (r = remember(file, &own)) < 0)
            return r;
    }
    return r < 0 ? r : compare_keys(&own, given);
}

/* ---- Sites ---------------------------------------------------------------------------------------------------------- */

int store_file_give(struct store *store, const char *name, struct copy_taker *taker)
{
    struct store_file *file = store_file_of(store);
    struct identity_key key;
    struct site *site;
    int r = store_file_site(file, name, NULL, false, &site);

    if (r == 0) {
        int s = store_file_key(file, false, &key);
        r = s < 0 && s != COUNTER_ENOSITE ? s : site_give(site, s == 0 ? &key : NULL, taker);
    }
    explicit_bzero(&key, sizeof key);
    return taker->end(taker, r);
}

/* Is what the other site was created with what this handle's options ask for? */
static int compare_options(struct store_file *file, const char *name, const struct site_plan *plan)
{
    struct site_plan asked = store_file_plan(file->settings);
    struct layout_header header;
    int r = header_new(&header, name, plan);
    return r < 0 ? r : header_check_plan(&header, &asked);
}

/* The site that is here must be one of the same plan and key. */
static int compare_site(struct store_file *file, const char *name, const struct site_plan *plan, struct site **out)
{
    int r = store_file_site(file, name, NULL, false, out);
    return r < 0 ? r : header_check_plan(&(*out)->file->header, plan);
}

static int open_copy(struct store *store, const char *name, const struct copy_site *given, struct site **out)
{
    struct store_file *file = store_file_of(store);
    struct site_plan plan = {.timezone = given->timezone,
                             .week_start = given->week_start,
                             .exact_visitors = given->exact_visitors,
                             .forget_days = given->forget_days,
                             .retention_days = given->retention_days,
                             .key_rotation = given->key_rotation};
    struct identity_key own;
    int r;

    if ((r = compare_options(file, name, &plan)) < 0)
        return r;
    r = store_file_key(file, false, &own);
    if ((r < 0 && r != COUNTER_ENOSITE) || (r == 0 && given->has_key && (r = compare_keys(&own, &given->key)) < 0))
        return r;
    plan.key_check = given->has_key ? identity_check(&given->key) : 0;
    r = compare_site(file, name, &plan, out);
    if (r < 0 && r != COUNTER_ENOSITE)
        return r;
    int s = given->has_key ? store_file_take_key(store, &given->key) : 0;
    if (s < 0 || r == 0)
        return s;
    if ((r = store_file_site(file, name, &plan, true, out)) < 0)
        return r;
    return header_check_plan(&(*out)->file->header, &plan); /* somebody else may have made it just now */
}

int store_file_take(struct store *store, const char *name, struct copy_taker **taker)
{
    return site_take(taker, store, name, open_copy);
}
