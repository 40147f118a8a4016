/*
 * test_redis_slot.c: keys are in the slots that a cluster says they are in.
 *
 * The oracles are vectors that a cluster gave (CLUSTER KEYSLOT), and CRC-16/XMODEM by its definition, bit by bit, over a
 * tag found by walking through the key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "redis_slot.h"

static void slots_are_those_of_a_cluster(void **state)
{
    static const struct {
        const char *key;
        unsigned slot;
    } rows[] = {
        {"a", 15495},
        {"b", 3300},
        {"{site1}:pv", 3988},
        {"x{}y", 16116},
        {"{}{b}", 8193},
        {"foo{bar}{zap}", 5061},
        {"foo{{bar}}zap", 4015},
        {"123456789", 12739},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(redis_slot(rows[i].key, strlen(rows[i].key)), rows[i].slot);
}

/* The remainder of the message times x^16 by the polynomial 0x11021. */
static unsigned crc_by_bits(const char *bytes, size_t length)
{
    unsigned crc = 0;

    for (size_t bit = 0; bit < 8 * (length + 2); bit++) {
        unsigned byte = bit / 8 < length ? (unsigned char)bytes[bit / 8] : 0;
        crc = crc << 1 | (byte >> (7 - bit % 8) & 1);
        if (crc & 0x10000)
            crc ^= 0x11021;
    }
    return crc;
}

static unsigned slot_by_steps(const char *key, size_t length)
{
    size_t open = 0, shut;

    while (open < length && key[open] != '{')
        open++;
    for (shut = open; shut < length && key[shut] != '}';)
        shut++;
    if (shut < length && shut - open > 1)
        return crc_by_bits(key + open + 1, shut - open - 1) % 16384;
    return crc_by_bits(key, length) % 16384;
}

static void slots_of_any_bytes_are_those_of_the_definition(void **state)
{
    uint64_t chance = 1;
    char key[40];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t length = 0;
        do {
            chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned draw = (unsigned)(chance >> 40);
            key[length++] = draw % 8 == 0 ? '{' : draw % 8 == 1 ? '}' : (char)(draw >> 4);
        } while (length < sizeof key && chance >> 60 != 0);
        assert_int_equal(redis_slot(key, length), slot_by_steps(key, length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_of_a_cluster),
        cmocka_unit_test(slots_of_any_bytes_are_those_of_the_definition),
    };
    return cmocka_run_group_tests_name("redis slot", tests, NULL, NULL);
}
