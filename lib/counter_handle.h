/*
 * counter_handle.h: the inside of a handle, for the files of the public calls: counter.c, counter_explain.c.
 */
#ifndef LIBCOUNTER_COUNTER_HANDLE_H
#define LIBCOUNTER_COUNTER_HANDLE_H

#include "store.h"

#include <stdbool.h>

struct counter {
    struct settings settings;
    struct address_list *trusted, *exclude;
    struct store *store;
};

/* The site that is meant: the one given, or the settings'. COUNTER_EINVAL where there is none or its name is bad. */
int counter_choose_site(const struct counter *c, const char **site);

/* Who sent a hit, as far as an address tells. */
struct counter_client {
    struct address address;
    bool has_address;
    enum address_source source;
    const char *excluded;               /* the entry of `exclude` that holds the address, or NULL */
};

int counter_find_client(const struct counter *c, const struct counter_hit *hit, struct counter_client *out);

/* Sets the verdict: is the hit counted, and its visitor? */
void counter_judge(const struct counter *c, const struct counter_hit *hit, const struct counter_client *client,
                   struct store_hit *out);

#endif
