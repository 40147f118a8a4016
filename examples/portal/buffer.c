/* buffer.c: doubling, so that a text of n bytes is copied less than twice. */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *buffer_room(struct buffer *buffer, size_t length)
{
    size_t room = buffer->room ? buffer->room : 4096;
    char *bytes;

    if (buffer->failed || length > BUFFER_MOST - buffer->length) {
        buffer->failed = 1;
        return NULL;
    }
    while (room < buffer->length + length)
        room *= 2;
    if (room > buffer->room) {
        if (!(bytes = realloc(buffer->bytes, room))) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->room = room;
    }
    return buffer->bytes + buffer->length;
}

void buffer_put(struct buffer *buffer, const char *bytes, size_t length)
{
    char *end = buffer_room(buffer, length);

    if (!end || length == 0)
        return;
    memcpy(end, bytes, length);
    buffer->length += length;
}

void buffer_put_text(struct buffer *buffer, const char *text)
{
    buffer_put(buffer, text, strlen(text));
}

void buffer_put_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    int length;
    char *end;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0 && (end = buffer_room(buffer, (size_t)length + 1)) != NULL) {
        vsnprintf(end, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
