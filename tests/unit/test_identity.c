/*
 * test_identity.c: ids are what the header says, for ever.
 *
 * The oracle is a SipHash-2-4 written from the paper (Aumasson and Bernstein, 2012), itself checked against the paper's
 * vector, over messages put together byte by byte. The frozen ids are in people's files: they never change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "identity.h"

static const struct identity_key key = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static uint64_t load(const unsigned char *bytes, size_t n)
{
    uint64_t word = 0;

    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static uint64_t turn(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
        v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
    }
}

static uint64_t siphash(const struct identity_key *k, const unsigned char *bytes, size_t length)
{
    uint64_t k0 = load(k->byte, 8), k1 = load(k->byte + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};

    for (size_t at = 0; at <= length; at += 8) {
        size_t n = length - at < 8 ? length - at : 8;
        uint64_t word = load(bytes + at, n) | (n < 8 ? (uint64_t)length << 56 : 0);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct address address(const char *text)
{
    struct address out;

    assert_int_equal(address_parse(&out, text, strlen(text)), 0);
    return out;
}

static uint64_t id_of(const char *site, const char *from, const char *agent)
{
    struct address client = address(from);

    return identity_of_address(&key, site, &client, agent, strlen(agent));
}

static void the_oracle_gives_the_papers_vector(void **state)
{
    (void)state;
    unsigned char message[15];

    for (unsigned char i = 0; i < sizeof message; i++)
        message[i] = i;
    assert_true(siphash(&key, message, sizeof message) == 0xa129ca6149be45e5);
}

static void ids_are_frozen(void **state)
{
    (void)state;
    assert_true(id_of("portal", "203.0.113.7", "Mozilla/5.0") == UINT64_C(0x8294bb73a5f2601a));
    assert_true(id_of("portal", "2001:db8:1:2:3:4:5:6", "Mozilla/5.0") == UINT64_C(0xbcf0664ec6ea94c8));
    assert_true(id_of("", "192.0.2.1", "") == UINT64_C(0x07c8cc68030767f4));
    assert_true(identity_of_visitor(&key, "portal", "alice", 5) == UINT64_C(0x8d90b08a6428d5b7));
    assert_true(identity_check(&key) == UINT64_C(0x6a3c66a1daeab274));
}

static void an_id_is_the_siphash_of_kind_site_address_and_agent(void **state)
{
    (void)state;
    unsigned char message[2048] = "a\x06portal\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x07";
    struct address v4 = address("203.0.113.7"), v6 = address("2001:db8:1:2:3:4:5:6");
    char agent[1024];

    for (size_t i = 0; i < sizeof agent; i++)
        message[24 + i] = (unsigned char)(agent[i] = (char)(i * 7));
    for (size_t n = 0; n <= sizeof agent; n++)
        assert_true(identity_of_address(&key, "portal", &v4, agent, n) == siphash(&key, message, 24 + n));

    memcpy(message + 8, "\x20\x01\x0d\xb8\0\1\0\2\0\0\0\0\0\0\0\0", 16);
    assert_true(identity_of_address(&key, "portal", &v6, agent, 77) == siphash(&key, message, 24 + 77));

    message[0] = 'v';
    memcpy(message + 8, agent, sizeof agent);
    for (size_t n = 0; n <= sizeof agent; n++)
        assert_true(identity_of_visitor(&key, "portal", agent, n) == siphash(&key, message, 8 + n));
    assert_true(identity_check(&key) == siphash(&key, (const unsigned char *)"libcounter key", 14));
}

static void every_byte_of_the_key_matters(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8 * IDENTITY_KEY; i++) {
        struct identity_key other = key;
        other.byte[i / 8] ^= (unsigned char)(1u << i % 8);
        assert_true(identity_of_visitor(&other, "s", "v", 1) != identity_of_visitor(&key, "s", "v", 1));
        assert_true(identity_check(&other) != identity_check(&key));
    }
}

static void addresses_of_one_ipv6_network_are_one_visitor(void **state)
{
    (void)state;
    assert_true(id_of("s", "2001:db8:1:2::1", "a") == id_of("s", "2001:db8:1:2:ffff:ffff:ffff:ffff", "a"));
    assert_true(id_of("s", "2001:db8:1:2::1", "a") != id_of("s", "2001:db8:1:3::1", "a"));
}

static void a_mapped_address_is_its_ipv4_address(void **state)
{
    (void)state;
    assert_true(id_of("s", "::ffff:192.0.2.1", "a") == id_of("s", "192.0.2.1", "a"));
    assert_true(id_of("s", "192.0.2.1", "a") != id_of("s", "192.0.2.2", "a"));
    assert_true(id_of("s", "::1", "a") != id_of("s", "0.0.0.1", "a"));
}

static void sites_agents_and_kinds_are_kept_apart(void **state)
{
    (void)state;
    struct address client = address("192.0.2.1");

    assert_true(id_of("s", "192.0.2.1", "a") != id_of("t", "192.0.2.1", "a"));
    assert_true(id_of("s", "192.0.2.1", "a") != id_of("s", "192.0.2.1", "b"));
    assert_true(id_of("s", "192.0.2.1", "") != identity_of_visitor(&key, "s", (char *)client.byte, 16));
    assert_true(identity_of_visitor(&key, "ab", "c", 1) != identity_of_visitor(&key, "a", "bc", 2));
}

static void only_the_first_1024_bytes_of_a_string_count(void **state)
{
    (void)state;
    struct address client = address("192.0.2.1");
    char *text = malloc(5000), *shorter = malloc(IDENTITY_STRING);

    memset(text, 'x', 5000);
    memset(shorter, 'x', IDENTITY_STRING);
    assert_true(identity_of_visitor(&key, "s", text, 5000) == identity_of_visitor(&key, "s", shorter, IDENTITY_STRING));
    assert_true(identity_of_address(&key, "s", &client, text, 5000) ==
                identity_of_address(&key, "s", &client, shorter, IDENTITY_STRING));
    assert_true(identity_of_visitor(&key, "s", text, 1023) != identity_of_visitor(&key, "s", text, 1024));
    free(shorter);
    free(text);
}

static void a_short_key_is_the_upper_43_bits_and_has_no_empty_tag(void **state)
{
    (void)state;
    assert_true(identity_short(UINT64_MAX) == UINT64_C(0x7ffffffffff));
    assert_true(identity_short(UINT64_C(0x123456789abcdef0)) == UINT64_C(0x123456789abcdef0) >> 21);
    assert_true(identity_short(0) == 1);
    assert_true(identity_short(UINT64_C(1) << 20) == 1);
    assert_true(identity_short(UINT64_C(1) << 21) == 1);
    assert_true(identity_short(UINT64_C(1) << 42) == UINT64_C(1) << 21);
    assert_true(identity_short(UINT64_C(1) << 43) == ((UINT64_C(1) << 22) | 1));
}

static void new_keys_differ(void **state)
{
    (void)state;
    struct identity_key one = {{0}}, two = {{0}};

    assert_int_equal(identity_new_key(&one), 0);
    assert_int_equal(identity_new_key(&two), 0);
    assert_memory_not_equal(&one, &two, sizeof one);
    for (size_t half = 0; half < IDENTITY_KEY; half += 8)
        assert_true(load(one.byte + half, 8) != 0 && load(two.byte + half, 8) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oracle_gives_the_papers_vector),
        cmocka_unit_test(ids_are_frozen),
        cmocka_unit_test(an_id_is_the_siphash_of_kind_site_address_and_agent),
        cmocka_unit_test(every_byte_of_the_key_matters),
        cmocka_unit_test(addresses_of_one_ipv6_network_are_one_visitor),
        cmocka_unit_test(a_mapped_address_is_its_ipv4_address),
        cmocka_unit_test(sites_agents_and_kinds_are_kept_apart),
        cmocka_unit_test(only_the_first_1024_bytes_of_a_string_count),
        cmocka_unit_test(a_short_key_is_the_upper_43_bits_and_has_no_empty_tag),
        cmocka_unit_test(new_keys_differ),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
