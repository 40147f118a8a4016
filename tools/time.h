/*
 * time.h: moments as people write them: RFC 3339, or seconds since 1970.
 *
 *     2026-11-23T10:15:00+07:00   2026-11-23t03:15:00.25z   2026-11-23 03:15:00Z   1795403700
 *
 * Strict: all parts, in range, a day that the month has, an offset. Fractions are cut off. A leap second, 23:59:60 UTC
 * at the end of a month, is the second after it, as in POSIX.
 */
#ifndef COUNTER_TOOLS_TIME_H
#define COUNTER_TOOLS_TIME_H

#include <stdint.h>

/* 0, or -1 where text is no moment after 1970-01-01T00:00:00Z and before the year 10000. */
int time_parse(int64_t *out, const char *text);

#endif
