/*
 * error.c: the calling thread's last failure in words.
 *
 * The text is made beside the kept one and copied over it: a caller may put counter_error() itself, or a part of it,
 * among the arguments to say more about a failure from further down. Nothing is allocated, so that "no memory" can be
 * said too.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REASON_TEXT = 96 }; /* bytes that error_system keeps free for errno's text; glibc's longest has 49 */

static _Thread_local char last[ERROR_TEXT];

const char *counter_error(void)
{
    return last;
}

void error_clear(void)
{
    last[0] = '\0';
}

int error_set(int code, const char *format, ...)
{
    char text[ERROR_TEXT];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);

    memcpy(last, text, strlen(text) + 1);
    return code;
}

static int code_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return COUNTER_EFULL;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
        return COUNTER_EACCESS;
    case ENOMEM:
        return COUNTER_ENOMEM;
    default:
        return COUNTER_EIO;
    }
}

int error_system(int number, const char *format, ...)
{
    char text[ERROR_TEXT - REASON_TEXT], buffer[REASON_TEXT];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);

    /* GNU's strerror_r: the text is in the buffer only where the number is unknown. */
    return error_set(code_of(number), "%s: %s", text, strerror_r(number, buffer, sizeof buffer));
}

const char *error_quote(char *buffer, const char *text, size_t length)
{
    static const char cut[] = "...";
    size_t kept = length < ERROR_QUOTED ? length : ERROR_QUOTED - sizeof cut;

    for (size_t i = 0; i < kept; i++)
        buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    if (kept < length)
        memcpy(buffer + kept, cut, sizeof cut);
    else
        buffer[kept] = '\0';
    return buffer;
}
