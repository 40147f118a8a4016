/* sketches.h: making and comparing sketches. After <cmocka.h>. */
#ifndef TESTS_SKETCHES_H
#define TESTS_SKETCHES_H

#include "sketch.h"

#include <string.h>

/* splitmix64 (G. Steele, D. Lea, C. Flood): a test's randomness is the same every time. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline void clear(struct sketch *sketch)
{
    memset((void *)sketch, 0, sizeof *sketch);
}

static inline void assert_same(const struct sketch *a, const struct sketch *b)
{
    assert_memory_equal((const void *)a, (const void *)b, sizeof *a);
}

static inline void add_random(struct sketch *sketch, unsigned n, uint64_t seed)
{
    while (n-- > 0) {
        uint64_t id = next_random(&seed);
        sketch_add(sketch, sketch_hash(&id, sizeof id));
    }
}

static inline void fill(struct sketch *sketch, uint8_t value)
{
    memset((void *)sketch, value, sizeof *sketch);
}

#endif
