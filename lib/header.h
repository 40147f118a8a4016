/*
 * header.h: the part of a file that is written once: who it belongs to and what was fixed when it was made.
 *
 * A header is believed when its checksum fits and its values are possible; everything behind it is words that may hold
 * anything without harm. Numbers that size something come from here only.
 */
#ifndef LIBCOUNTER_HEADER_H
#define LIBCOUNTER_HEADER_H

#include "layout.h"
#include "settings.h"

/* What a new site is made with, or an old one must agree with. */
struct site_plan {
    const char *timezone;               /* "" : the machine's */
    enum counter_weekday week_start;    /* 0: Monday */
    uint32_t exact_visitors, forget_days, retention_days;       /* 0: the defaults */
    enum counter_rotation key_rotation; /* 0: never */
    unsigned line_bits;                 /* 0: from exact_visitors; tests make small tables */
    uint64_t key_check;                 /* identity_check of the store's key; 0: unknown */
};

/* The header of a new site. Opens its zone on the way, so that no file is made for an unknown one. */
int header_new(struct layout_header *header, const char *name, const struct site_plan *plan);

/* Makes it that of one of the site's months. */
void header_for_month(struct layout_header *header, unsigned month);

/* Magic, version, checksum. COUNTER_EFORMAT naming the file. */
int header_check(const struct layout_header *header, const char *file, const char *magic);

/* All that the bytes of a site's file must have, the whole length included. */
int header_check_site(const void *bytes, size_t length, const char *site, const char *file);

/* What is fixed at creation must not be asked for differently: COUNTER_ECONFLICT naming both. */
int header_check_plan(const struct layout_header *header, const struct site_plan *plan);

#endif
