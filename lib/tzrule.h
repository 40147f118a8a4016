/*
 * tzrule.h: the POSIX TZ string, "EST5EDT,M3.2.0,M11.1.0": a zone's clock for all years to come. Pure.
 *
 * It names a standard offset (hours west of Greenwich, so the sign is the opposite of ours) and, where there is summer
 * time, the two days of a year on which it starts and ends: Mm.w.d (weekday d, 0 Sunday, of week w of month m, week 5
 * the last), Jn (1 to 365, 29 February never counted) or n (0 to 365, counted). A local time of day may follow, 02:00
 * unless said; RFC 8536 lets its hours run from -167 to 167 to reach days that no rule can name. Names of digits or
 * signs stand in angle brackets, "<+07>-7".
 */
#ifndef LIBCOUNTER_TZRULE_H
#define LIBCOUNTER_TZRULE_H

#include <stddef.h>
#include <stdint.h>

/* RFC 8536, section 3.2: offsets lie more than 25 hours west and less than 26 hours east, both ends excluded. */
#define TZRULE_OFFSET_MIN (-(25 * 3600 - 1))
#define TZRULE_OFFSET_MAX (26 * 3600 - 1)

enum tzrule_form { TZRULE_WEEKDAY, TZRULE_JULIAN, TZRULE_COUNTED };     /* Mm.w.d, Jn, n */

struct tzrule_day {
    enum tzrule_form form;
    int month, week, day;       /* day: of the week for Mm.w.d, else n */
    int32_t time;               /* seconds after its midnight, by the clock in force before the change */
};

struct tzrule {
    int32_t standard, daylight; /* seconds east of UTC; equal where there is no summer time */
    struct tzrule_day start, end;
};

/* Parses the whole text. 0, or -1 and *out is worthless: it breaks the grammar or a bound. A summer time needs its two
 * days: what it would be without them no standard says. */
int tzrule_parse(struct tzrule *out, const char *text, size_t length);

/* The summer time that starts in a year, in UTC seconds: [start, end). South of the equator it ends in the next year.
 * It may touch or overlap that of the year after: so TZif says "summer time for ever". |year| < 2^36. */
struct tzrule_span { int64_t start, end; };
struct tzrule_span tzrule_span(const struct tzrule *rule, int64_t year);

#endif
