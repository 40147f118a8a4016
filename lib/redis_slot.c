/*
 * redis_slot.c: which of the 16384 slots of a cluster a key belongs to.
 *
 * The CRC is XMODEM's: polynomial x^16 + x^12 + x^5 + 1, most significant bit first, beginning with 0, not reflected
 * (Redis Cluster specification). The polynomial is so sparse that eight bits are folded in by three shifts: the byte c
 * that leaves at the top returns as c * (x^12 + x^5 + 1), and its own upper half once more.
 */
#include "redis_slot.h"

#include <string.h>

static unsigned crc16(const char *bytes, size_t length)
{
    unsigned crc = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned c = (crc >> 8) ^ (unsigned char)bytes[i];
        c ^= c >> 4;
        crc = (crc << 8 ^ c << 12 ^ c << 5 ^ c) & 0xffff;
    }
    return crc;
}

unsigned redis_slot(const char *key, size_t length)
{
    const char *open = memchr(key, '{', length);
    const char *shut = open ? memchr(open, '}', length - (size_t)(open - key)) : NULL;

    if (shut && shut > open + 1)
        return crc16(open + 1, (size_t)(shut - open - 1)) % REDIS_SLOTS;
    return crc16(key, length) % REDIS_SLOTS;
}
