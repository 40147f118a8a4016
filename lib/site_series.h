/* site_series.h: walks over a site's days. As counter_series and counter_breakdown. */
#ifndef LIBCOUNTER_SITE_SERIES_H
#define LIBCOUNTER_SITE_SERIES_H

#include "site.h"

int site_series(struct site *site, const char *from, const char *to, enum counter_step step, counter_row_fn *each,
                void *arg);
int site_verdicts(struct site *site, const char *from, const char *to, counter_row_fn *each, void *arg);

#endif
