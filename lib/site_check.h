/* site_check.h: verifies a site and says how it is. As counter_check; path is the store's folder, NULL in memory. */
#ifndef LIBCOUNTER_SITE_CHECK_H
#define LIBCOUNTER_SITE_CHECK_H

#include "site.h"

int site_check(struct site *site, const char *path, counter_fact_fn *each, void *arg);

#endif
