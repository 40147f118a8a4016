/*
 * fuzz_sketch.c: any bytes as a sketch's string.
 *
 * What is refused leaves the sketch as it was. What is read has no register above 51, a count, and comes back from both
 * forms of its own string, which are no longer than asked for.
 */
#include "sketch.h"

#include <counter.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(_Bool what)
{
    if (!what)
        abort();
}

static void check_round_trip(const struct sketch *sketch, size_t sparse_max)
{
    struct sketch again;
    unsigned char string[SKETCH_ENCODED];
    size_t length = sketch_encode(sketch, sparse_max, string);

    hold(length <= SKETCH_ENCODED && (string[4] == 0 ? length == SKETCH_DENSE : length <= sparse_max));
    hold(sketch_decode(&again, string, length) == 0);
    hold(memcmp((const void *)&again, (const void *)sketch, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sketch sketch, before;
    int r;

    memset((void *)&sketch, 17, sizeof sketch);
    memcpy((void *)&before, (void *)&sketch, sizeof before);
    r = sketch_decode(&sketch, data, size);
    if (r != 0) {
        hold(r == COUNTER_EFORMAT && memcmp((void *)&sketch, (void *)&before, sizeof sketch) == 0);
        return 0;
    }
    for (size_t i = 0; i < SKETCH_REGISTERS; i++)
        hold(atomic_load_explicit(&sketch.reg[i], memory_order_relaxed) <= SKETCH_MAX_RANK);
    hold(sketch_estimate(&sketch) <= INT64_MAX);

    check_round_trip(&sketch, 0);
    check_round_trip(&sketch, 3000);
    check_round_trip(&sketch, size); /* about as long as it came */
    check_round_trip(&sketch, SIZE_MAX);

    /* The union with anything counts no less. */
    sketch_merge(&before, &sketch);
    hold(sketch_estimate(&before) >= sketch_estimate(&sketch));
    return 0;
}
