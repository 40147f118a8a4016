/* test_address.c: addresses, lists of networks, and the client behind proxies. inet_pton and inet_ntop are the oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t random_word(void) /* xorshift64, the same in every run */
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct address address(const char *text)
{
    struct address out;

    if (address_parse(&out, text, strlen(text)) < 0)
        fail_msg("\"%s\" is no address", text);
    return out;
}

static const char *text_of(const char *text)
{
    static char buffer[ADDRESS_TEXT];
    struct address out = address(text);

    return address_text(&out, buffer);
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static void addresses_are_read_as_they_stand_in_headers(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"192.0.2.1:80", "192.0.2.1"},
        {"192.0.2.1:_gazonk", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:0DB8:0:0:0:0:0:0001", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:65535", "2001:db8::1"},
        {"[2001:db8::1]:_x.y-z", "2001:db8::1"},
        {"fe80::1%eth0", "fe80::1"},
        {"[fe80::1%25eth0.7]:8080", "fe80::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"[::ffff:192.0.2.1]:443", "192.0.2.1"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
        {"1:0:0:4:0:0:0:8", "1:0:0:4::8"},
        {"1:0:0:4:0:0:7:8", "1::4:0:0:7:8"},
        {"0:0:3:4:5:6:0:0", "::3:4:5:6:0:0"},
        {"::1.2.3.4", "::102:304"},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(text_of(cases[i][0]), cases[i][1]);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.04",
        "1.2.3.00",
        "256.1.1.1",
        "1.2.3.1000",
        "0x7f.0.0.1",
        "127.1",
        "2130706433",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:_",
        "1.2.3.4:123456",
        "1.2.3.4:-1",
        "1.2.3.4:80:80",
        "[1.2.3.4]",
        "[1.2.3.4]:80",
        "1.2.3.4%x",
        "-1.2.3.4",
        "+1.2.3.4",
        "1,2,3,4",
        "1.2.3.4/8",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "g::",
        "::1.2.3",
        "::1.2.3.04",
        "[::1",
        "::1]",
        "[]",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "[[::1]]",
        "fe80::1%",
        "fe80::1%a%b",
        "fe80::1%a b",
        "[fe80::1%]",
        "unknown",
        "_hidden",
        "localhost",
        "\"1.2.3.4\"",
        "fe80::1%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "0000000000000000000000000000000000000000000000000000000000000000000001.2.3.4",
    };
    struct address out;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (address_parse(&out, cases[i], strlen(cases[i])) == 0)
            fail_msg("\"%s\" was taken for an address", cases[i]);
    assert_int_equal(address_parse(&out, "1.2.3.4\0", 8), -1);
    assert_int_equal(address_parse(&out, "::1\0002", 5), -1);
    assert_int_equal(address_parse(&out, "fe80::1%\0", 9), -1);
    assert_int_equal(address_parse(&out, "1.2.3.4:\0", 9), -1);
}

static void settings_have_bare_addresses(void **state)
{
    (void)state;
    static const char *const refused[] = {"1.2.3.4:80", "[::1]", "[::1]:80", "fe80::1%eth0", ""};
    struct address out, expected = address("fe80::1");

    assert_int_equal(address_parse_bare(&out, "fe80::1", 7), 0);
    assert_memory_equal(&out, &expected, sizeof out);
    assert_int_equal(address_parse_bare(&out, "1.2.3.4", 7), 0);
    for (size_t i = 0; i < COUNT(refused); i++)
        assert_int_equal(address_parse_bare(&out, refused[i], strlen(refused[i])), -1);
}

static void ipv4_agrees_with_inet_pton(void **state)
{
    (void)state;
    static const char characters[] = "0123456789..255";
    struct address out;
    struct in_addr expected;

    for (int i = 0; i < 300000; i++) {
        char text[20];
        int length = 0;
        uint64_t word = random_word();
        if (i % 2)
            length = snprintf(text, sizeof text, "%d.%d.%d.%d", (int)(word & 255), (int)(word >> 8 & 511),
                              (int)(word >> 17 & 15), (int)(word >> 21 & 255));
        else
            for (length = 0; length < 4 + i % 7; length++)
                text[length] = characters[random_word() % (sizeof characters - 1)];
        text[length] = '\0';
        bool good = inet_pton(AF_INET, text, &expected) == 1;
        assert_int_equal(address_parse(&out, text, (size_t)length), good ? 0 : -1);
        if (good)
            assert_memory_equal(out.byte + 12, &expected, 4);
    }
}

static void text_agrees_with_inet_ntop_and_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct address in, out;
        char ours[ADDRESS_TEXT], theirs[INET6_ADDRSTRLEN];
        uint64_t zero = random_word();
        in.byte[0] = 0x20; /* not ::/96, which inet_ntop writes with dots */
        for (int j = 1; j < 16; j++)
            in.byte[j] = zero >> (j / 2 * 2) & 3 ? 0 : (unsigned char)random_word();
        inet_ntop(AF_INET6, in.byte, theirs, sizeof theirs);
        assert_string_equal(address_text(&in, ours), theirs);
        assert_int_equal(address_parse(&out, ours, strlen(ours)), 0);
        assert_memory_equal(&in, &out, sizeof in);
    }
}

static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    struct address v4 = address("10.1.2.3"), mapped = address("::ffff:10.1.2.3"), v6 = address("::fffe:10.1.2.3");

    assert_memory_equal(&v4, &mapped, sizeof v4);
    assert_true(address_is_v4(&mapped));
    assert_false(address_is_v4(&v6));
}

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

static struct address_list *list(const char *text)
{
    struct address_list *out;

    if (address_list_open(&out, "trusted_proxies", text) < 0)
        fail_msg("%s", counter_error());
    return out;
}

static void a_list_names_the_entry_that_holds_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *list, *address, *entry;
    } cases[] = {
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "10.255.0.1", "10.0.0.0/8"},
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "11.0.0.0", NULL},
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "fdff::1", "fd00::/8"},
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "fc00::1", NULL},
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8 fd00::/8,192.0.2.1", "192.0.2.0", NULL},
        {", ,\t10.0.0.0/8 ,, ", "10.0.0.0", "10.0.0.0/8"},
        {"10.0.0.0/8", "::ffff:10.2.3.4", "10.0.0.0/8"},
        {"::ffff:10.0.0.0/104", "10.2.3.4", "::ffff:10.0.0.0/104"},
        {"10.0.0.0/8 10.1.0.0/16", "10.1.0.1", "10.0.0.0/8"},
        {"192.0.2.128/25", "192.0.2.127", NULL},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.128/25"},
        {"2001:db8::/65", "2001:db8:0:0:7fff::", "2001:db8::/65"},
        {"2001:db8::/65", "2001:db8:0:0:8000::", NULL},
        {"2001:db8::/63", "2001:db8:0:1::", "2001:db8::/63"},
        {"2001:db8::/63", "2001:db8:0:2::", NULL},
        {"2001:db8::/64", "2001:db8:0:1::", NULL},
        {"::1/128", "::1", "::1/128"},
        {"::1/128", "::2", NULL},
        {"0.0.0.0/0", "203.0.113.9", "0.0.0.0/0"},
        {"0.0.0.0/0", "2001:db8::1", NULL},
        {"::/0", "2001:db8::1", "::/0"},
        {"::/0", "203.0.113.9", NULL},
        {"all", "2001:db8::1", "all"},
        {"all", "203.0.113.9", "all"},
        {"loopback", "127.9.9.9", "loopback"},
        {"loopback", "::1", "loopback"},
        {"loopback", "10.0.0.1", NULL},
        {"private", "10.0.0.1", "private"},
        {"private", "172.15.255.255", NULL},
        {"private", "172.16.0.0", "private"},
        {"private", "172.31.255.255", "private"},
        {"private", "172.32.0.0", NULL},
        {"private", "192.168.7.7", "private"},
        {"private", "100.64.0.1", "private"},
        {"private", "100.127.255.255", "private"},
        {"private", "100.128.0.0", NULL},
        {"private", "169.254.1.1", "private"},
        {"private", "fd12::1", "private"},
        {"private", "fe80::1", "private"},
        {"private", "fec0::1", NULL},
        {"private", "127.0.0.1", NULL},
        {"private", "::1", NULL},
        {"", "10.0.0.1", NULL},
        {NULL, "10.0.0.1", NULL},
        {" , ", "10.0.0.1", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_list *networks = list(cases[i].list);
        struct address asked = address(cases[i].address);
        const char *entry = address_list_find(networks, &asked);
        if (!entry != !cases[i].entry || (entry && strcmp(entry, cases[i].entry) != 0))
            fail_msg("%s in \"%s\": %s", cases[i].address, cases[i].list, entry ? entry : "nothing");
        address_list_close(networks);
    }
    struct address any = address("10.0.0.1");
    assert_null(address_list_find(NULL, &any));
    address_list_close(NULL);
}

static void every_prefix_length_holds_exactly_its_addresses(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 128; bits++) {
        struct address inside, base = {{0}};
        char network[64], text[ADDRESS_TEXT];
        for (unsigned i = 0; i < 16; i++)
            inside.byte[i] = (unsigned char)random_word();
        inside.byte[0] |= 0x20;
        for (unsigned i = 0; i < bits; i++)
            base.byte[i / 8] = (unsigned char)(base.byte[i / 8] | (inside.byte[i / 8] & (0x80u >> i % 8)));
        snprintf(network, sizeof network, "%s/%u", address_text(&base, text), bits);
        struct address_list *networks = list(network);
        assert_non_null(address_list_find(networks, &inside));
        for (unsigned i = 0; i < 128; i++) {
            struct address other = inside;
            other.byte[i / 8] ^= (unsigned char)(0x80u >> i % 8);
            assert_int_equal(address_list_find(networks, &other) != NULL, i >= bits);
        }
        address_list_close(networks);
    }
}

static void a_wrong_entry_is_named_with_its_rule(void **state)
{
    (void)state;
    static const struct {
        const char *list, *entry, *rule;
    } cases[] = {
        {"10.0.0.0/8 foo", "\"foo\"", "private, loopback, all"},
        {"10.1.2.3/8", "\"10.1.2.3/8\"", "write 10.0.0.0/8 for the network"},
        {"2001:db8::1/64", "\"2001:db8::1/64\"", "write 2001:db8::/64 for the network"},
        {"::ffff:10.1.2.3/104", "\"::ffff:10.1.2.3/104\"", "write 10.0.0.0/8 for the network"},
        {"10.0.0.0/33", "\"10.0.0.0/33\"", "IPv4 network stands a number from 0 to 32"},
        {"::/129", "\"::/129\"", "IPv6 network stands a number from 0 to 128"},
        {"10.0.0.0/", "\"10.0.0.0/\"", "0 to 32"},
        {"10.0.0.0/08", "\"10.0.0.0/08\"", "0 to 32"},
        {"10.0.0.0/8x", "\"10.0.0.0/8x\"", "0 to 32"},
        {"10.0.0.0/-1", "\"10.0.0.0/-1\"", "0 to 32"},
        {"10.0.0.0/255.0.0.0", "\"10.0.0.0/255.0.0.0\"", "0 to 32"},
        {"10.0.0.0/8/8", "\"10.0.0.0/8/8\"", "0 to 32"},
        {"/8", "\"/8\"", "is no address"},
        {"10.0.0/8", "\"10.0.0/8\"", "is no address"},
        {"[::1]", "\"[::1]\"", "is no address"},
        {"10.0.0.1:80", "\"10.0.0.1:80\"", "is no address"},
        {"fe80::1%eth0", "\"fe80::1%eth0\"", "is no address"},
        {"Private", "\"Private\"", "is no address"},
        {"10.0.0.1;10.0.0.2", "\"10.0.0.1;10.0.0.2\"", "is no address"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_list *out = (struct address_list *)(void *)&out;
        assert_int_equal(address_list_open(&out, "exclude", cases[i].list), COUNTER_EINVAL);
        assert_null(out);
        if (strncmp(counter_error(), "exclude: ", 9) != 0 || !strstr(counter_error(), cases[i].entry) ||
            !strstr(counter_error(), cases[i].rule))
            fail_msg("%s: %s", cases[i].list, counter_error());
    }
}

static void a_list_is_bounded(void **state)
{
    (void)state;
    char *text = malloc(70001);
    struct address_list *out;

    memset(text, ' ', 70000);
    text[70000] = '\0';
    assert_int_equal(address_list_open(&out, "exclude", text), COUNTER_EINVAL);
    text[65535] = '\0';
    for (size_t i = 0; i + 10 < 65535; i += 10)
        memcpy(text + i, "192.0.2.1", 9);
    memcpy(text + 65510, "192.0.2.7", 9);
    assert_int_equal(address_list_open(&out, "exclude", text), 0);
    struct address last = address("192.0.2.7");
    assert_string_equal(address_list_find(out, &last), "192.0.2.7");
    address_list_close(out);
    free(text);
}

/* ---- Clients ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *peer, *forwarded;
    enum address_source source;
    const char *client;
} clients[] = {
    /* nothing forwarded */
    {"10.0.0.1", "", ADDRESS_PEER, "10.0.0.1"},
    {"203.0.113.9", " \t ", ADDRESS_PEER, "203.0.113.9"},
    {"10.0.0.1", ",, ,", ADDRESS_PEER, "10.0.0.1"},
    /* what an unlisted peer sends is not believed */
    {"203.0.113.9", "1.1.1.1, 2.2.2.2", ADDRESS_PEER_UNLISTED, "203.0.113.9"},
    {"203.0.113.9", "garbage", ADDRESS_PEER_UNLISTED, "203.0.113.9"},
    {"203.0.113.9", "for=1.1.1.1", ADDRESS_PEER_UNLISTED, "203.0.113.9"},
    /* the first from the right that is no proxy, whatever the client put before it */
    {"10.0.0.1", "1.1.1.1, 2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "1.1.1.1, 2.2.2.2, 10.0.0.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "1.1.1.1,2.2.2.2,10.0.0.2,fd00::7", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "10.9.9.9, 2.2.2.2, 10.0.0.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "<script>, 2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"::ffff:10.0.0.1", "2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "1.1.1.1,\t2.2.2.2  ,, , 10.0.0.2 , ", ADDRESS_FORWARDED, "2.2.2.2"},
    /* all are proxies */
    {"10.0.0.1", "10.0.0.3, 10.0.0.2", ADDRESS_ALL_TRUSTED, "10.0.0.3"},
    {"10.0.0.1", "10.0.0.2", ADDRESS_ALL_TRUSTED, "10.0.0.2"},
    {"10.0.0.1", ", 10.0.0.2", ADDRESS_ALL_TRUSTED, "10.0.0.2"},
    /* malformed: the last good one */
    {"10.0.0.1", "unknown", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "2.2.2.2, unknown", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "2.2.2.2, _hidden, 10.0.0.2", ADDRESS_MALFORMED, "10.0.0.2"},
    {"10.0.0.1", "2.2.2.2, 10.0.0.256, 10.0.0.2", ADDRESS_MALFORMED, "10.0.0.2"},
    {"10.0.0.1", "2.2.2.2 10.0.0.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "\"2.2.2.2\"", ADDRESS_MALFORMED, "10.0.0.1"},
    /* ports, brackets, zones */
    {"10.0.0.1", "2.2.2.2:54321", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "2.2.2.2, 10.0.0.2:80", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "[2001:db8::1]:443", ADDRESS_FORWARDED, "2001:db8::1"},
    {"10.0.0.1", "2001:db8::1, fd00::1%eth0", ADDRESS_FORWARDED, "2001:db8::1"},
    {"10.0.0.1", "::ffff:2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    /* Forwarded, RFC 7239 */
    {"10.0.0.1", "for=2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "For=2.2.2.2;proto=https", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "proto=https ; by=10.0.0.7 ; FOR=2.2.2.2 ; host=example.org", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=\"[2001:db8::1]:80\"", ADDRESS_FORWARDED, "2001:db8::1"},
    {"10.0.0.1", "for=\"2.2.2.2\"", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=\"\\2.2.2.\\2\"", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=1.1.1.1, for=2.2.2.2, for=10.0.0.2;by=\"a,b;for=3.3.3.3\"", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=1.1.1.1, for=2.2.2.2;by=\"a\\\",b\";proto=http,for=10.0.0.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=2.2.2.2;, for=10.0.0.2;", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=10.0.0.3, for=10.0.0.2", ADDRESS_ALL_TRUSTED, "10.0.0.3"},
    {"10.0.0.1", "for=2.2.2.2, for=unknown", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=2.2.2.2, for=\"_gazonk\", for=10.0.0.2", ADDRESS_MALFORMED, "10.0.0.2"},
    {"10.0.0.1", "for=2.2.2.2, proto=https", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=2.2.2.2;for=10.0.0.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=;for=2.2.2.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for = 2.2.2.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=\"\"", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=\"", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "=2.2.2.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "xfor=2.2.2.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=2.2.2.2\"", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=\"2.2.2.2", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=\"2.2.2.2\\\"", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=2.2.2.2;by=\"a", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=2.2.2.2;by,=\"a\"\"", ADDRESS_MALFORMED, "10.0.0.1"},
    {"10.0.0.1", "for=\"2.2.2.2\"x", ADDRESS_MALFORMED, "10.0.0.1"},
    /* a quotation mark that the client left open takes nothing from what the proxies said behind it */
    {"10.0.0.1", "for=\"1.1.1.1, for=2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "\", 2.2.2.2", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=\"1.1.1.1\\, for=\"2.2.2.2\"", ADDRESS_FORWARDED, "2.2.2.2"},
    {"10.0.0.1", "for=\"1.1.1.1, for=10.0.0.2", ADDRESS_MALFORMED, "10.0.0.2"},
};

static void the_client_is_the_first_from_the_right_that_is_no_proxy(void **state)
{
    (void)state;
    struct address_list *trusted = list("10.0.0.0/8 fd00::/8");

    for (size_t i = 0; i < COUNT(clients); i++) {
        struct address peer = address(clients[i].peer), client;
        char text[ADDRESS_TEXT];
        size_t length = strlen(clients[i].forwarded);
        char *exact = malloc(length + 1); /* without its NUL: a sanitizer sees a read past the end */
        memcpy(exact, clients[i].forwarded, length);
        exact = realloc(exact, length ? length : 1);
        int source = (int)address_client(&client, &peer, exact, length, trusted);
        if (source != (int)clients[i].source || strcmp(address_text(&client, text), clients[i].client) != 0)
            fail_msg("%s <%s>: source %d, client %s", clients[i].peer, clients[i].forwarded, source, text);
        free(exact);
    }
    address_list_close(trusted);
}

static void without_a_list_only_the_peer_counts(void **state)
{
    (void)state;
    struct address peer = address("10.0.0.1"), client;

    assert_int_equal(address_client(&client, &peer, "1.1.1.1", 7, NULL), ADDRESS_PEER_UNLISTED);
    assert_memory_equal(&client, &peer, sizeof peer);
    assert_int_equal(address_client(&client, &peer, NULL, 0, NULL), ADDRESS_PEER);
    assert_memory_equal(&client, &peer, sizeof peer);
}

/* "first" and then n times ", 10.0.0.N". Returns the length. */
static size_t chain(char *out, size_t size, const char *first, int n)
{
    int at = snprintf(out, size, "%s", first);

    for (int i = 0; i < n; i++)
        at += snprintf(out + at, size - (size_t)at, ", 10.0.0.%d", i % 200);
    return (size_t)at;
}

static void at_most_64_entries_are_read(void **state)
{
    (void)state;
    struct address_list *trusted = list("10.0.0.0/8");
    struct address peer = address("10.0.0.1"), client, expected = address("2.2.2.2"), first = address("10.0.0.0");
    char text[2000];

    size_t length = chain(text, sizeof text, "2.2.2.2", 63);
    assert_int_equal(address_client(&client, &peer, text, length, trusted), ADDRESS_FORWARDED);
    assert_memory_equal(&client, &expected, sizeof client);
    length = chain(text, sizeof text, "2.2.2.2", 64);
    assert_int_equal(address_client(&client, &peer, text, length, trusted), ADDRESS_ALL_TRUSTED);
    assert_memory_equal(&client, &first, sizeof client);
    address_list_close(trusted);
}

/* "12.2.2.2,", padding, "10.0.0.2", where `before` bytes lie to the left of the last 4096. An entry that they cut could
 * be half an address: "12.2.2.2" ends with "2.2.2.2". */
static void only_whole_entries_of_the_last_4096_bytes_are_read(void **state)
{
    (void)state;
    struct address_list *trusted = list("10.0.0.0/8");
    struct address peer = address("10.0.0.1"), client, proxy = address("10.0.0.2"), whole = address("12.2.2.2");
    char text[5000];

    for (size_t before = 0; before <= 16; before++) {
        size_t length = before + 4096;
        memset(text, ' ', length);
        memcpy(text, "1.1.1.1,12.2.2.2,", 17);
        memcpy(text + length - 8, "10.0.0.2", 8);
        bool is_whole = before <= 7; /* the comma in front of it lies inside */
        assert_int_equal(address_client(&client, &peer, text, length, trusted),
                         is_whole ? ADDRESS_FORWARDED : ADDRESS_ALL_TRUSTED);
        assert_memory_equal(&client, is_whole ? &whole : &proxy, sizeof client);
    }
    memset(text, ' ', 4097);
    memcpy(text + 4097 - 7, "2.2.2.2", 7);
    assert_int_equal(address_client(&client, &peer, text, 4097, trusted), ADDRESS_PEER);
    address_list_close(trusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_they_stand_in_headers),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(settings_have_bare_addresses),
        cmocka_unit_test(ipv4_agrees_with_inet_pton),
        cmocka_unit_test(text_agrees_with_inet_ntop_and_comes_back),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(a_list_names_the_entry_that_holds_an_address),
        cmocka_unit_test(every_prefix_length_holds_exactly_its_addresses),
        cmocka_unit_test(a_wrong_entry_is_named_with_its_rule),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(the_client_is_the_first_from_the_right_that_is_no_proxy),
        cmocka_unit_test(without_a_list_only_the_peer_counts),
        cmocka_unit_test(at_most_64_entries_are_read),
        cmocka_unit_test(only_whole_entries_of_the_last_4096_bytes_are_read),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
