/* Strings of sketches, Redis's: what is written, what is read, and what is refused. */
#include "sketch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>
#include <counter.h>

#include "../support/sketches.h"

enum { HEADER = 16, SPARSE_MAX = 3000, TESTED = 16 + 32768 + 1 };

/* ---- Written ---- */

static size_t put_header(unsigned char *out, unsigned char encoding)
{
    memset(out, 0, HEADER);
    memcpy(out, "HYLL", 4);
    out[4] = encoding;
    out[15] = 0x80;
    return HEADER;
}

static void strings_are_laid_out_as_redis_has_them(void **state)
{
    static struct sketch sketch;
    unsigned char string[SKETCH_ENCODED], expected[SKETCH_ENCODED];
    size_t n;

    (void)state;
    clear(&sketch);
    n = put_header(expected, 1);
    expected[n++] = 0x7f;
    expected[n++] = 0xff;
    assert_int_equal(sketch_encode(&sketch, SPARSE_MAX, string), n);
    assert_memory_equal(string, expected, n);

    /* 64 of 0, 5 of 3, 65 of 0, one of 32, and 16384 - 135 of 0. */
    for (unsigned i = 64; i < 69; i++)
        sketch.reg[i] = 3;
    sketch.reg[134] = 32;
    n = put_header(expected, 1);
    memcpy(expected + n, "\x3f\x8b\x88\x40\x40\xfc\x7f\x78", 8);
    assert_int_equal(sketch_encode(&sketch, SPARSE_MAX, string), n + 8);
    assert_memory_equal(string, expected, n + 8);

    /* A 33 has no sparse form. */
    sketch.reg[134] = 33;
    assert_int_equal(sketch_encode(&sketch, SPARSE_MAX, string), SKETCH_DENSE);
    assert_int_equal(string[4], 0);

    /* 4 registers are 3 bytes: 1, 2, 33, 51 are 110011 100001 000010 000001. */
    clear(&sketch);
    sketch.reg[0] = 1;
    sketch.reg[1] = 2;
    sketch.reg[2] = 33;
    sketch.reg[3] = 51;
    put_header(expected, 0);
    memset(expected + HEADER, 0, SKETCH_DENSE - HEADER);
    memcpy(expected + HEADER, "\x81\x10\xce", 3);
    assert_int_equal(sketch_encode(&sketch, SPARSE_MAX, string), SKETCH_DENSE);
    assert_memory_equal(string, expected, SKETCH_DENSE);
}

static void the_sparse_form_is_taken_up_to_the_length_that_was_asked_for(void **state)
{
    static struct sketch sketch;
    unsigned char string[SKETCH_ENCODED + 1];
    size_t length;

    (void)state;
    clear(&sketch);
    add_random(&sketch, 617, 9);
    length = sketch_encode(&sketch, SPARSE_MAX, string);
    assert_in_range(length, 617, 617 * 3 + HEADER);
    string[length] = 0xa5;
    assert_int_equal(sketch_encode(&sketch, length, string), length);
    assert_int_equal(string[length], 0xa5);
    for (size_t most = 0; most < length; most += most < 40 || most > length - 20 ? 1 : 97)
        assert_int_equal(sketch_encode(&sketch, most, string), SKETCH_DENSE);

    /* Never more than the dense form, whatever is asked for: 1, 2, 1, 2 ... would be a byte each. */
    for (unsigned i = 0; i < SKETCH_REGISTERS; i++)
        sketch.reg[i] = (uint8_t)(1 + i % 2);
    string[SKETCH_ENCODED] = 0xa5;
    assert_int_equal(sketch_encode(&sketch, SIZE_MAX, string), SKETCH_DENSE);
    assert_int_equal(string[4], 0);
    assert_int_equal(string[SKETCH_ENCODED], 0xa5);
}

static void strings_decode_to_the_sketch_they_were_made_of(void **state)
{
    static const size_t most[] = {0, 200, SPARSE_MAX, SKETCH_DENSE, SIZE_MAX};
    static struct sketch sketch, decoded;
    unsigned char string[SKETCH_ENCODED];
    uint64_t seed = 5;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        unsigned highest = round % 2 ? SKETCH_MAX_RANK : 32, n = 1u << round % 17;

        clear(&sketch);
        for (unsigned start = 0; n > 0; n--) {
            if (next_random(&seed) % 4 == 0) /* runs, and single registers */
                start = (unsigned)(next_random(&seed) % SKETCH_REGISTERS);
            sketch.reg[start++ % SKETCH_REGISTERS] = (uint8_t)(round % 3 ? 1 + next_random(&seed) % highest : highest);
        }
        for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
            size_t length = sketch_encode(&sketch, most[i], string);

            fill(&decoded, 17);
            assert_true(length <= (most[i] > HEADER && string[4] == 1 ? most[i] : SKETCH_DENSE));
            assert_int_equal(sketch_decode(&decoded, string, length), 0);
            assert_same(&decoded, &sketch);
        }
    }
}

/* ---- Read ---- */

static void check_string(const unsigned char *string, size_t length, _Bool good)
{
    static struct sketch decoded, unchanged;
    unsigned char *exact = malloc(length + !length); /* so that a sanitizer sees a read past the end */

    assert_non_null(exact);
    memcpy(exact, string, length);
    fill(&decoded, 17);
    fill(&unchanged, 17);
    assert_int_equal(sketch_decode(&decoded, exact, length), good ? 0 : COUNTER_EFORMAT);
    if (!good)
        assert_same(&decoded, &unchanged);
    free(exact);
}

static void check_sparse(const char *body, size_t length, _Bool good)
{
    unsigned char string[64];
    size_t n = put_header(string, 1);

    memcpy(string + n, body, length);
    check_string(string, n + length, good);
}

static void counts_and_unused_bytes_of_the_header_are_ignored(void **state)
{
    unsigned char string[] = "HYLL\1\xff\xff\xff\xff\xc9\x9a\x3b\0\0\0\0\x7f\xff"; /* a count of 999999999, "valid" */
    static struct sketch sketch;

    (void)state;
    check_string(string, 18, 1);
    assert_int_equal(sketch_decode(&sketch, string, 18), 0);
    assert_int_equal(sketch_estimate(&sketch), 0);
}

static void other_headers_are_refused(void **state)
{
    static unsigned char dense[TESTED];

    (void)state;
    put_header(dense, 0);
    check_string(dense, SKETCH_DENSE, 1);
    check_string(dense, SKETCH_DENSE - 1, 0);
    check_string(dense, SKETCH_DENSE + 1, 0);
    for (size_t length = 0; length <= HEADER; length++) {
        put_header(dense, (unsigned char)(length % 2));
        check_string(dense, length, 0);
        put_header(dense, (unsigned char)(1 - length % 2));
        check_string(dense, length, 0);
    }
    for (unsigned encoding = 2; encoding < 256; encoding++) {
        dense[4] = (unsigned char)encoding;
        check_string(dense, SKETCH_DENSE, 0);
    }
    for (size_t i = 0; i < 4; i++) {
        put_header(dense, 0);
        dense[i] ^= 0x20;
        check_string(dense, SKETCH_DENSE, 0);
    }
    check_string((const unsigned char *)"12345", 5, 0);
}

static void runs_must_total_16384_registers(void **state)
{
    static unsigned char string[TESTED];
    size_t n = put_header(string, 1);

    (void)state;
    check_sparse("", 0, 0);
    check_sparse("\x7f\xff", 2, 1);
    check_sparse("\x7f\xfe", 2, 0);                 /* 16383 */
    check_sparse("\x7f\xff\x00", 3, 0);             /* 16385 */
    check_sparse("\x7f\xfe\x80", 3, 1);             /* 16383 + 1 */
    check_sparse("\x7f\xfe\x81", 3, 0);             /* 16383 + 2: a value past the end */
    check_sparse("\x7f\xff\x80", 3, 0);             /* a value behind the end */
    check_sparse("\x7f", 1, 0);                     /* cut off within a run */
    check_sparse("\x7e\xff\x40\xff", 4, 1);         /* 16128 + 256 */
    check_sparse("\x7e\xff\x40", 3, 0);             /* the same, cut off */
    check_sparse("\x7f\xff\x7f\xff\x7f\xff", 6, 0); /* thrice too many */

    memset(string + n, 0x00, SKETCH_REGISTERS); /* one run for each register */
    check_string(string, n + SKETCH_REGISTERS, 1);
    check_string(string, n + SKETCH_REGISTERS - 1, 0);
    check_string(string, n + SKETCH_REGISTERS + 1, 0);
    for (size_t i = 0; i < SKETCH_REGISTERS; i++)
        memcpy(string + n + 2 * i, "\x40\x00", 2); /* the same in twice the bytes: longer than we read */
    check_string(string, n + 32768, 0);
}

/* CVE-2025-32023: 131073 runs of 16384 zeros wrap a sum of 32 bits, and the value after them is written anywhere. */
static void runs_that_wrap_a_sum_are_refused(void **state)
{
    enum { RUNS = 131073 };
    unsigned char *string = malloc(HEADER + 2 * RUNS + 1);
    size_t n = put_header(string, 1);

    (void)state;
    for (size_t i = 0; i < RUNS; i++, n += 2)
        memcpy(string + n, "\x7f\xff", 2);
    string[n++] = 0xff;
    check_string(string, n, 0);
    check_string(string, HEADER + SKETCH_REGISTERS, 0); /* nor where the length allows it to be read */
    free(string);
}

static void dense_registers_above_51_are_refused(void **state)
{
    static unsigned char string[SKETCH_DENSE];

    (void)state;
    for (unsigned value = 50; value < 64; value++) {
        size_t reg[] = {0, 1, 2, 3, 8191, 16383};

        for (size_t i = 0; i < sizeof reg / sizeof *reg; i++) {
            size_t bit = 6 * reg[i];

            put_header(string, 0);
            memset(string + HEADER, 0, SKETCH_DENSE - HEADER);
            for (size_t b = 0; b < 6; b++)
                string[HEADER + (bit + b) / 8] |= (unsigned char)((value >> b & 1) << (bit + b) % 8);
            check_string(string, SKETCH_DENSE, value <= 51);
        }
    }
}

/* What a string says, bit by bit; -1 where it says nothing. */
static int read_by_definition(unsigned char reg[static 2 * SKETCH_REGISTERS], const unsigned char *in, size_t length)
{
    size_t total = 0;

    if (length < 16 || memcmp(in, "HYLL", 4) != 0 || in[4] > 1 || (in[4] == 0 && length != 12304) || length > 16400)
        return -1;
    memset(reg, 0, 2 * SKETCH_REGISTERS);
    for (size_t bit = 0; in[4] == 0 && bit < 12288 * 8; bit++)
        reg[bit / 6] = (unsigned char)(reg[bit / 6] | (in[16 + bit / 8] >> bit % 8 & 1) << bit % 6);
    for (size_t i = 0; in[4] == 0 && i < SKETCH_REGISTERS; i++)
        if (reg[i] > 51)
            return -1;
    for (size_t i = 16; in[4] == 1 && i < length; i++) {
        int kind = in[i] / 64, run = in[i] % 64 + 1, value = 0;

        if (kind == 1) {
            if (++i == length)
                return -1;
            run = (run - 1) * 256 + in[i] + 1;
        } else if (kind > 1) {
            value = in[i] % 128 / 4 + 1;
            run = in[i] % 4 + 1;
        }
        if (total > SKETCH_REGISTERS)
            return -1;
        for (; run > 0; run--, total++)
            if (total < SKETCH_REGISTERS)
                reg[total] = (unsigned char)value;
    }
    return in[4] == 0 || total == SKETCH_REGISTERS ? 0 : -1;
}

/* One to three bytes changed, flipped, cut off or put behind. Returns the new length; a dense string's stays. */
static size_t mutate(unsigned char *string, size_t length, uint64_t *seed)
{
    _Bool sparse = string[4] == 1;

    for (uint64_t changes = 1 + next_random(seed) % 3; changes > 0; changes--) {
        size_t at = (size_t)(next_random(seed) % length);

        switch (next_random(seed) % 4) {
        case 0:
            string[at] = (unsigned char)next_random(seed);
            break;
        case 1:
            string[at] ^= (unsigned char)(1u << next_random(seed) % 8);
            break;
        case 2:
            length = sparse ? at + 1 : length;
            break;
        default:
            if (sparse)
                string[length++] = (unsigned char)next_random(seed);
        }
    }
    return length;
}

static void mutated_strings_are_read_by_definition_or_refused(void **state)
{
    enum { MUTATIONS = 20000, ORIGINALS = 64, CHANGES = 3 };
    static unsigned char original[ORIGINALS][SKETCH_ENCODED], string[SKETCH_ENCODED + CHANGES];
    static unsigned char reg[2 * SKETCH_REGISTERS];
    static struct sketch sketch, decoded;
    unsigned accepted[2] = {0, 0};
    size_t lengths[ORIGINALS];
    uint64_t seed = 11;

    (void)state;
    for (unsigned i = 0; i < ORIGINALS; i++) {
        clear(&sketch);
        add_random(&sketch, 3 * i, i);
        lengths[i] = sketch_encode(&sketch, i % 8 == 0 ? 0 : SPARSE_MAX, original[i]);
    }
    for (unsigned i = 0; i < MUTATIONS; i++) {
        unsigned which = i % ORIGINALS;
        int expected, result;
        size_t length;

        memcpy(string, original[which], lengths[which]);
        length = mutate(string, lengths[which], &seed);
        expected = read_by_definition(reg, string, length);
        result = sketch_decode(&decoded, string, length);
        assert_int_equal(result, expected < 0 ? COUNTER_EFORMAT : 0);
        if (result == 0)
            assert_memory_equal((void *)&decoded, reg, SKETCH_REGISTERS);
        accepted[which % 8 > 0] += result == 0;
    }
    assert_in_range(accepted[0], 100, MUTATIONS / 8 - 100); /* both verdicts were tried, in both forms */
    assert_in_range(accepted[1], 100, MUTATIONS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_laid_out_as_redis_has_them),
        cmocka_unit_test(the_sparse_form_is_taken_up_to_the_length_that_was_asked_for),
        cmocka_unit_test(strings_decode_to_the_sketch_they_were_made_of),
        cmocka_unit_test(counts_and_unused_bytes_of_the_header_are_ignored),
        cmocka_unit_test(other_headers_are_refused),
        cmocka_unit_test(runs_must_total_16384_registers),
        cmocka_unit_test(runs_that_wrap_a_sum_are_refused),
        cmocka_unit_test(dense_registers_above_51_are_refused),
        cmocka_unit_test(mutated_strings_are_read_by_definition_or_refused),
    };
    return cmocka_run_group_tests_name("sketch string", tests, NULL, NULL);
}
