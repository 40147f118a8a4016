/*
 * setup.h: the "portal." keys of counter.conf, which say how the page and its box look.
 *
 *     portal.language   vi (default) or en: of "/" and "/box.html"
 *     portal.rows       the rows of the box, as counter_render takes them; portal.rows.vi and portal.rows.en for one
 *                       language, where labels are set
 *     portal.pages      the folder of page.vi.html and page.en.html, relative to the counter.conf that names it;
 *                       without it, "/" is a plain page with the box
 *     portal.policy     Content-Security-Policy of the page
 *     portal.forwarded  X-Forwarded-For or Forwarded: the one header that the trusted proxy writes
 *
 * A wrong key or value goes to the log, and its default is used: the page comes all the same.
 */
#ifndef PORTAL_SETUP_H
#define PORTAL_SETUP_H

#include "request.h"

enum setup_language { SETUP_VI, SETUP_EN, SETUP_LANGUAGES };

struct setup {                          /* strings are owned */
    enum setup_language language;
    char *rows[SETUP_LANGUAGES];        /* NULL: the library's */
    char *pages;                        /* NULL: none */
    char *policy;                       /* NULL: the page's own default */
    enum request_forwarded forwarded;
    _Bool failed;                       /* counter.conf could not be read, which was logged; the store is then unknown */
};

void setup_read(struct setup *out);
void setup_free(struct setup *setup);

/* "vi", "en". */
const char *setup_language_name(enum setup_language language);

#endif
