/*
 * sketch.h: HyperLogLog, Redis's: MurmurHash64A with seed 0xadc83b19, 16384 registers, Ertl's estimator.
 *
 * In memory and in files a register is one byte, so that an update is a relaxed load and, rarely, a compare-and-swap of
 * one byte: lock-free, idempotent, valid after a kill at any instruction. Only sketch_encode packs to Redis's 6 bits.
 * Registers only grow; merging is the maximum.
 */
#ifndef LIBCOUNTER_SKETCH_H
#define LIBCOUNTER_SKETCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SKETCH_REGISTERS = 16384,
    SKETCH_MAX_RANK  = 51,              /* 64 - 14 index bits + 1 */
    SKETCH_DENSE     = 16 + SKETCH_REGISTERS * 6 / 8,   /* bytes of Redis's dense form: 12304 */
    SKETCH_ENCODED   = SKETCH_DENSE     /* room that sketch_encode needs */
};
#define SKETCH_ERROR 0.0081             /* standard error: 1.04 / sqrt(16384) */

struct sketch { _Atomic uint8_t reg[SKETCH_REGISTERS]; };       /* zero bytes are an empty sketch */

uint64_t sketch_hash(const void *element, size_t length);       /* MurmurHash64A as PFADD feeds it */

/* Adds an element by its hash. True if a register grew. Safe from any thread and process. */
_Bool sketch_add(struct sketch *sketch, uint64_t hash);

/* How many distinct elements, like PFCOUNT, at most 2^63 - 1. Never falls while registers grow. About 5 us. Registers of
 * a damaged file that are above SKETCH_MAX_RANK count as it, here and in sketch_raise and sketch_encode. */
uint64_t sketch_estimate(const struct sketch *sketch);

/* into = max(into, from), register by register. 0.5 us. `into` is private to the caller. */
void sketch_merge(struct sketch *into, const struct sketch *from);

/* Raises a shared sketch to at least `from`, by compare-and-swap. */
void sketch_raise(struct sketch *shared, const struct sketch *from);

/* Redis's string: sparse where that is shorter than the dense form, at most `sparse_max` bytes (as hll-sparse-max-bytes,
 * 3000; 0: never) and possible (no register above 32), else dense. Writes at most SKETCH_ENCODED bytes and returns how
 * many. The cached cardinality is marked invalid. */
size_t sketch_encode(const struct sketch *sketch, size_t sparse_max, unsigned char *out);

/* Reads Redis's string, dense or sparse. Strict: bounds before additions, runs that total exactly 16384, registers of at
 * most 51, sparse runs of at most 16384 bytes; ignores the cached cardinality. Returns 0 and fills *out, or
 * COUNTER_EFORMAT with *out unchanged. */
int sketch_decode(struct sketch *out, const unsigned char *bytes, size_t length);

#endif
