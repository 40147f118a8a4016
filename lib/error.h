/*
 * error.h: the last failure, one text per thread.
 *
 * A text kept in a shared handle would be overwritten by other threads before its reader got to it; a thread's own
 * cannot. Every function that fails says so through error_set, which returns the code, so that a failure is one line:
 *
 *     return error_set(COUNTER_EINVAL, "site \"%s\": a dot stands in front", error_quote(buffer, site, length));
 *
 * A text names the value and the rule. Values that came from outside go through error_quote first.
 */
#ifndef LIBCOUNTER_ERROR_H
#define LIBCOUNTER_ERROR_H

#include <counter.h>

enum { ERROR_TEXT = 512, ERROR_QUOTED = 96 };

/* Keeps the text (cut at ERROR_TEXT) for counter_error and returns code. */
__attribute__((format(printf, 2, 3))) int error_set(int code, const char *format, ...);

/* The same with ": " and the text of errno value `number` behind it; the code is chosen from number:
 * ENOSPC EDQUOT EFBIG: COUNTER_EFULL; EACCES EPERM EROFS ELOOP: COUNTER_EACCESS; ENOMEM: COUNTER_ENOMEM; else
 * COUNTER_EIO. */
__attribute__((format(printf, 2, 3))) int error_system(int number, const char *format, ...);

/* Copies at most ERROR_QUOTED - 1 bytes of text into buffer[ERROR_QUOTED], control and non-ASCII bytes as '?', "..." at
 * the end where it was cut. Returns buffer. */
const char *error_quote(char *buffer, const char *text, size_t length);

/* Forgets the calling thread's text. */
void error_clear(void);

#endif
