/*
 * zone.h: local time of one time zone, without touching the process's TZ.
 *
 * Reads TZif files (RFC 8536, versions 1 to 4) of the system's tzdata and the POSIX TZ string in their footer, which
 * rules the time after the last transition. Fixed offsets ("+07:00", "-03:30", "UTC", "Z") need no file. An unknown
 * name is an error, never silently UTC. A zone is immutable after zone_open: any number of threads may read it.
 */
#ifndef LIBCOUNTER_ZONE_H
#define LIBCOUNTER_ZONE_H

#include <counter.h>

enum {
    ZONE_NAME     = 65,         /* longest name with its NUL; the longest of tzdata has 32 */
    ZONE_FILE_MAX = 256 * 1024  /* the largest of tzdata has 4 KB */
};

struct zone;

/* Opens "Asia/Ho_Chi_Minh", "+07:00", "UTC" ... Names are relative to $TZDIR (or /usr/share/zoneinfo), and never leave
 * it: only letters, digits, '+', '-', '_' and single slashes between them. Offsets go from -12:00 to +14:00. NULL or
 * "": the machine's zone: $TZ where it is set, else the link /etc/localtime, else /etc/timezone, else, and only where
 * there is none of the three, UTC. COUNTER_EINVAL names an unknown zone and where the name came from, COUNTER_EFORMAT
 * a damaged file. On failure *out is NULL. */
int zone_open(struct zone **out, const char *name);
void zone_close(struct zone *zone);                     /* NULL is fine */

/* The name to store and show: "Asia/Ho_Chi_Minh", "+07:00", "UTC" (also for "Z"). */
const char *zone_name(const struct zone *zone);

/* A zone of one offset for all time: what zone_open makes of "+07:00". */
int zone_fixed(struct zone **out, const char *name, int32_t offset);

/* Parses the bytes of a TZif file: what zone_open does after reading, and the fuzz target's door. name is copied, up to
 * ZONE_NAME. */
int zone_parse(struct zone **out, const char *name, const unsigned char *bytes, size_t length);

struct zone_local {
    int32_t offset;             /* seconds east of UTC in force at that time */
    int64_t from, until;        /* the offset holds in [from, until); INT64_MIN, INT64_MAX at the ends */
};

/* What holds at UTC second t, for any t: one binary search. The interval is as wide as it can be: the offset changes at
 * both of its ends. */
void zone_at(const struct zone *zone, int64_t t, struct zone_local *out);

#endif
