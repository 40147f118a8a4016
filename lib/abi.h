/*
 * abi.h: programs that were compiled with an older or newer counter.h.
 *
 * Every public struct that a caller fills begins with `size_t size`, which tells the version it was compiled with,
 * since later versions only append members:
 *
 *     older caller     | size | a | b |                 members beyond its size count as zero, the default
 *     this library     | size | a | b | c |
 *     newer caller     | size | a | b | c | d |         d must be zero: what we don't know must not have been asked for
 *
 * A new member starts behind the old sizeof, never in padding at the end: an older caller's padding may hold anything.
 */
#ifndef LIBCOUNTER_ABI_H
#define LIBCOUNTER_ABI_H

#include <counter.h>

enum { ABI_MAX = 4096 };        /* no struct of ours comes near; a .size beyond it was never set */

/* Reads the caller's struct `given` (named `what` in errors) into ours: its members as far as both know them, zeros
 * behind, and .size as the caller set it. COUNTER_EINVAL for NULL, a .size that no version had, a non-zero tail. */
int abi_copy(void *known, size_t known_size, const void *given, const char *what);

/* Writes the members of a filled struct back into the caller's, as far as it goes; .size stays. abi_copy comes first. */
void abi_give(void *given, const void *known, size_t known_size);

#endif
