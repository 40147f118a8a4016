/*
 * page.h: the page around the box.
 *
 * A template is plain HTML with the comment <!--#box--> where the box goes. It is read at every request, so a webmaster
 * edits a file and reloads.
 */
#ifndef PORTAL_PAGE_H
#define PORTAL_PAGE_H

#include "buffer.h"

enum { PAGE_MOST = 256 * 1024 };

/* Puts FOLDER/page.LANGUAGE.html with the box into out. Where there is no template (folder is NULL), or none that can be
 * read, a plain page of our own; the reason goes to the log. */
void page_put(struct buffer *out, const char *folder, const char *language, const struct buffer *box);

#endif
