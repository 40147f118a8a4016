/* redis_slot.h: which of the slots of a cluster a key belongs to. Pure. */
#ifndef LIBCOUNTER_REDIS_SLOT_H
#define LIBCOUNTER_REDIS_SLOT_H

#include <stddef.h>

enum { REDIS_SLOTS = 16384 };

/* CRC16 (XMODEM) of the key, or of its first {tag} unless that is empty, modulo REDIS_SLOTS. */
unsigned redis_slot(const char *key, size_t length);

#endif
