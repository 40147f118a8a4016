/*
 * site_copy.h: a site walks over its parts for somebody who takes them, and takes those of another: see copy.h.
 *
 * Everything taken is a maximum, into a file that others may count into meanwhile; the only new thing is the order:
 * figures come before what they were counted from, marks before visitors. So a site that has got half of another shows
 * for each period what it had or what it was given, and never a number that lacks a visitor and is called exact.
 */
#ifndef LIBCOUNTER_SITE_COPY_H
#define LIBCOUNTER_SITE_COPY_H

#include "site.h"

/* Gives all parts, but does not call taker->end. key is the store's, NULL where it was lost. */
int site_give(struct site *site, const struct identity_key *key, struct copy_taker *taker);

/* Somebody who takes a site's parts; the store opens or makes the site when it hears what the other one is. */
typedef int site_take_open_fn(struct store *store, const char *name, const struct copy_site *given, struct site **out);
int site_take(struct copy_taker **out, struct store *store, const char *name, site_take_open_fn *open);

/* Looks after the files, before each part. COUNTER_ENOSITE where the site was removed while it was copied. */
int site_copy_tend(struct site *site);

/* The first month whose days are copied: the one in which the retention before that clock begins. Whole months, so that
 * their totals still are the sum of their days. */
unsigned site_copy_first_month(const struct site *site, int64_t clock);

/* ---- Visitors on their way in (site_take_visitors.c) ---------------------------------------------------------------- */

struct site_arrivals {
    bool begun;
    uint64_t *own;                      /* what the table held before, sorted */
    size_t n;
    size_t next;                        /* the first with `value` that was not matched */
    uint64_t value, nth;                /* of the nameless one taken last, and how many came that were equal */
};

/* Takes some; zero bytes are the state before the first. */
int site_arrivals_take(struct site *site, struct site_arrivals *arrivals, const struct copy_visitor *visitor, size_t n);
void site_arrivals_free(struct site_arrivals *arrivals);

#endif
