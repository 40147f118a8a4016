/*
 * buffer.h: text that grows while an answer is built, up to a bound.
 *
 * A failed allocation is remembered instead of returned, so that building needs no checks and sending only one.
 */
#ifndef PORTAL_BUFFER_H
#define PORTAL_BUFFER_H

#include <stddef.h>

enum { BUFFER_MOST = 1 << 20 };

struct buffer {                 /* zero: empty */
    char  *bytes;
    size_t length, room;
    _Bool  failed;              /* something was left out: the text is not to be used */
};

void buffer_put(struct buffer *buffer, const char *bytes, size_t length);
void buffer_put_text(struct buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_put_format(struct buffer *buffer, const char *format, ...);

/* Makes room for length bytes at the end and returns where they begin, NULL if there is none. The caller writes them
 * and adds to buffer->length what it wrote. */
char *buffer_room(struct buffer *buffer, size_t length);

void buffer_free(struct buffer *buffer);

#endif
