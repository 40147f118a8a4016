/*
 * test_redis_url.c: URLs of Redis are taken apart strictly, and shown without their passwords.
 *
 * What is refused is refused for a reason that the text names. That no text of ours holds a password is tried with
 * many URLs that are broken at every place: their password is a word that stands nowhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/scale.h"
#include "redis_url.h"

#define SECRET "Xyzzy"

#define ACCEPTED(url, ...) assert_same(url, &(struct redis_url){__VA_ARGS__})
#define HOST(text, number)                                                                                             \
    {                                                                                                                  \
        .name = text, .port = number                                                                                   \
    }

static void assert_same(const char *url, const struct redis_url *expected)
{
    struct redis_url parsed;

    memset(&parsed, 0xa5, sizeof parsed);
    if (redis_url_parse(&parsed, url) != 0)
        fail_msg("%s: %s", url, counter_error());
    assert_true(redis_url_is(url));
    assert_int_equal(parsed.kind, expected->kind);
    assert_int_equal(parsed.tls, expected->tls);
    assert_int_equal(parsed.hosts, expected->hosts);
    for (unsigned i = 0; i < parsed.hosts; i++) {
        assert_string_equal(parsed.host[i].name, expected->host[i].name);
        assert_int_equal(parsed.host[i].port, expected->host[i].port);
    }
    assert_int_equal(parsed.database, expected->database);
    assert_string_equal(parsed.user, expected->user);
    assert_string_equal(parsed.password, expected->password);
    assert_string_equal(parsed.master, expected->master);
}

static void assert_refused(const char *url, const char *why)
{
    static const struct redis_url nothing;
    struct redis_url parsed;

    memset(&parsed, 0xa5, sizeof parsed);
    if (redis_url_parse(&parsed, url) != COUNTER_EINVAL)
        fail_msg("%s was not refused", url);
    if (!strstr(counter_error(), why))
        fail_msg("%s: \"%s\" does not say \"%s\"", url, counter_error(), why);
    assert_memory_equal(&parsed, &nothing, sizeof parsed);
}

/* ---- Taken apart ---- */

static void one_server_has_a_host_a_port_and_a_database(void **state)
{
    (void)state;
    ACCEPTED("redis://", .hosts = 1, .host = {HOST("127.0.0.1", 6379)});
    ACCEPTED("redis:///", .hosts = 1, .host = {HOST("127.0.0.1", 6379)});
    ACCEPTED("redis://:7000/", .hosts = 1, .host = {HOST("127.0.0.1", 7000)});
    ACCEPTED("redis://cache_1.example-site.vn", .hosts = 1, .host = {HOST("cache_1.example-site.vn", 6379)});
    ACCEPTED("redis://10.0.0.1:65535/15", .hosts = 1, .host = {HOST("10.0.0.1", 65535)}, .database = 15);
    ACCEPTED("redis://h/65535", .hosts = 1, .host = {HOST("h", 6379)}, .database = 65535);
    ACCEPTED("rediss://h:6380/0", .hosts = 1, .host = {HOST("h", 6380)}, .tls = true);
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    (void)state;
    ACCEPTED("redis://[::1]", .hosts = 1, .host = {HOST("::1", 6379)});
    ACCEPTED("redis://u:p@[2001:db8::7]:7000/1", .hosts = 1, .host = {HOST("2001:db8::7", 7000)}, .database = 1,
             .user = "u", .password = "p");
    ACCEPTED("redis://[::ffff:10.0.0.1]", .hosts = 1, .host = {HOST("::ffff:10.0.0.1", 6379)});
    assert_refused("redis://[::1", "brackets");
    assert_refused("redis://[]", "no IPv6 address");
    assert_refused("redis://[10.0.0.1]", "no IPv6 address");
    assert_refused("redis://[::1]6379", "a port from 1");
    assert_refused("redis://[::1%25eth0]", "no IPv6 address");
    assert_refused("redis://::1", "a port from 1");
    assert_refused("redis://2001:db8::7", "a host");
}

static void user_and_password_are_both_optional(void **state)
{
    (void)state;
    ACCEPTED("redis://:secret@h", .hosts = 1, .host = {HOST("h", 6379)}, .password = "secret");
    ACCEPTED("redis://user@h", .hosts = 1, .host = {HOST("h", 6379)}, .user = "user");
    ACCEPTED("redis://user:@h", .hosts = 1, .host = {HOST("h", 6379)}, .user = "user");
    ACCEPTED("redis://user:a:b@", .hosts = 1, .host = {HOST("127.0.0.1", 6379)}, .user = "user", .password = "a:b");
    ACCEPTED("redis://@h", .hosts = 1, .host = {HOST("h", 6379)});
}

static void bytes_of_a_login_may_be_written_as_hexadecimal_digits(void **state)
{
    (void)state;
    ACCEPTED("redis://a%3Ab%40:%2f%3F%23%25%c3%A9%01%20@h", .hosts = 1, .host = {HOST("h", 6379)}, .user = "a:b@",
             .password = "/?#%\xc3\xa9\x01 ");
    assert_refused("redis://:p%@h", "two hexadecimal digits");
    assert_refused("redis://:p%4@h", "two hexadecimal digits");
    assert_refused("redis://:p%4g@h", "two hexadecimal digits");
    assert_refused("redis://:p%00@h", "%00");
    assert_refused("redis://:a@b@h", "written as %XX");
    assert_refused("redis://:a b@h", "written as %XX");
    assert_refused("redis://:\xc3\xa9@h", "written as %XX");
    assert_refused("redis://:a[@h", "written as %XX");
    assert_refused("redis://:a/b@h", "%2F");
    assert_refused("redis://:a?b@h", "%3F");
    assert_refused("redis://:a#b@h", "%23");
}

static void a_socket_has_a_path_and_its_database_stands_in_the_query(void **state)
{
    (void)state;
    ACCEPTED("redis+unix:///run/redis.sock", .hosts = 1, .host = {HOST("/run/redis.sock", 0)});
    ACCEPTED("redis+unix:///run/r?db=65535", .hosts = 1, .host = {HOST("/run/r", 0)}, .database = 65535);
    ACCEPTED("redis+unix://u:p@/run/a%20b%3F@1:2", .hosts = 1, .host = {HOST("/run/a b?@1:2", 0)}, .user = "u",
             .password = "p");
    assert_refused("redis+unix://", "redis+unix:///PATH");
    assert_refused("redis+unix:///", "redis+unix:///PATH");
    assert_refused("redis+unix:///run/", "redis+unix:///PATH");
    assert_refused("redis+unix://run/redis.sock", "redis+unix:///PATH");
    assert_refused("redis+unix:///r?db=", "a number from 0");
    assert_refused("redis+unix:///r?db", "stands once and has a value");
    assert_refused("redis+unix:///r?db=1&db=1", "stands once");
    assert_refused("redis+unix:///r?", "unknown");
    assert_refused("redis+unix:///r?db=1&", "unknown");
    assert_refused("redis+unix:///r?db=1&timeout=5", "\"timeout\" is unknown");
}

static void sentinels_are_a_list_and_name_a_master(void **state)
{
    (void)state;
    ACCEPTED("redis+sentinel://a,b:1,[::1]:2,a/my-master.1_x", .kind = REDIS_SENTINEL, .hosts = 4,
             .host = {HOST("a", 26379), HOST("b", 1), HOST("::1", 2), HOST("a", 26379)}, .master = "my-master.1_x");
    ACCEPTED("redis+sentinel://u:p@a/m/3", .kind = REDIS_SENTINEL, .hosts = 1, .host = {HOST("a", 26379)},
             .master = "m", .database = 3, .user = "u", .password = "p");
    ACCEPTED("redis+sentinel:///m/", .kind = REDIS_SENTINEL, .hosts = 1, .host = {HOST("127.0.0.1", 26379)},
             .master = "m");
    assert_refused("redis+sentinel://a", "/MASTER");
    assert_refused("redis+sentinel://a/", "/MASTER");
    assert_refused("redis+sentinel://a/m m", "/MASTER");
    assert_refused("redis+sentinel://a/m/x", "a number from 0");
    assert_refused("redis+sentinel://a,/m", "commas is empty");
    assert_refused("redis+sentinel://,a/m", "commas is empty");
    assert_refused("redis+sentinel://a,,b/m", "commas is empty");
    assert_refused("redis+sentinel://u:p@a,u:p@b/m", "written as %XX");
}

static void a_cluster_is_a_list_and_has_no_other_database_than_0(void **state)
{
    (void)state;
    ACCEPTED("redis+cluster://:p@a:1,b", .kind = REDIS_CLUSTER, .hosts = 2, .host = {HOST("a", 1), HOST("b", 6379)},
             .password = "p");
    ACCEPTED("redis+cluster://a/0", .kind = REDIS_CLUSTER, .hosts = 1, .host = {HOST("a", 6379)});
    assert_refused("redis+cluster://a/1", "no database but 0");
    assert_refused("redis://a,b", "several hosts");
}

static void numbers_are_decimal_and_in_range(void **state)
{
    static const char *const ports[] = {"0", "65536", "99999999999", "-1", "+1", "01", "1x", "", " 1", "0x10"};
    static const char *const databases[] = {"65536", "-1", "00", "01", "1/", "x", "1 ", "99999999999"};
    char url[64];

    (void)state;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        snprintf(url, sizeof url, "redis://h:%s", ports[i]);
        assert_refused(url, "a port from 1 to 65535");
    }
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        snprintf(url, sizeof url, "redis://h/%s", databases[i]);
        assert_refused(url, "a number from 0 to 65535");
    }
}

static void what_is_no_host_or_no_known_parameter_is_refused(void **state)
{
    static const char *const hosts[] = {"-h",    ".h",        "a%41", "a b",       "a;b",
                                        "127.1", "256.0.0.1", "1",    "h\xc3\xb6", "a\\b"};
    char url[64];

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        snprintf(url, sizeof url, "redis://%s", hosts[i]);
        assert_refused(url, "a host");
    }
    assert_refused("redis://h?db=1", "\"db\" is unknown");
    assert_refused("redis://h/0?password=x", "\"password\" is unknown");
    assert_refused("redis://h/0#x", "no '#'");
}

static void other_schemes_are_none_of_ours(void **state)
{
    static const char *const others[] = {"",
                                         "redis",
                                         "redis:",
                                         "redis:/h",
                                         "REDIS://h",
                                         "file:x",
                                         "memory:",
                                         "redis+socket://",
                                         "redi://h",
                                         " redis://h",
                                         "unix:///x",
                                         "valkey://h",
                                         "rediss+cluster://h"};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(redis_url_is(others[i]));
        assert_refused(others[i], "begins with redis://");
    }
}

/* PREFIX, n times c, SUFFIX; to be freed. */
static char *long_url(const char *prefix, char c, size_t n, const char *suffix)
{
    size_t head = strlen(prefix), tail = strlen(suffix) + 1;
    char *url = malloc(head + n + tail);

    assert_non_null(url);
    memcpy(url, prefix, head);
    memset(url + head, c, n);
    memcpy(url + head + n, suffix, tail);
    return url;
}

static void assert_longest(const char *prefix, size_t most, const char *suffix, const char *why)
{
    struct redis_url parsed;
    char *longest = long_url(prefix, 'a', most, suffix), *longer = long_url(prefix, 'a', most + 1, suffix);

    if (redis_url_parse(&parsed, longest) != 0)
        fail_msg("%s", counter_error());
    assert_refused(longer, why);
    free(longest);
    free(longer);
}

static void lengths_are_bounded(void **state)
{
    char list[256] = "redis+cluster://h";
    struct redis_url parsed;

    (void)state;
    assert_longest("redis://", REDIS_NAME - 1, "", "a host");
    assert_longest("redis://", REDIS_USER - 1, "@h", "user");
    assert_longest("redis://:", REDIS_PASSWORD - 1, "@h", "password");
    assert_longest("redis+unix:///", 106, "", "at most 107 bytes");
    assert_longest("redis+sentinel://h/", REDIS_MASTER - 1, "", "/MASTER");
    for (int i = 1; i < REDIS_HOSTS; i++)
        strcat(list, ",h");
    assert_int_equal(redis_url_parse(&parsed, list), 0);
    assert_int_equal(parsed.hosts, REDIS_HOSTS);
    assert_refused(strcat(list, ",h"), "more than 16 hosts");

    char *endless = long_url("redis://:", 'X', 1 << 20, "@h"), shown[64];
    assert_refused(endless, "at most 8191 bytes");
    assert_null(strstr(redis_url_show(shown, sizeof shown, endless), "X"));
    free(endless);
}

/* ---- Shown ---- */

static void assert_shown(const char *url, const char *expected)
{
    char shown[128];

    assert_ptr_equal(redis_url_show(shown, sizeof shown, url), shown);
    assert_string_equal(shown, expected);
}

static void a_url_is_shown_without_its_password(void **state)
{
    (void)state;
    assert_shown("redis://h:6379/1", "redis://h:6379/1");
    assert_shown("redis://u:p@h:6379/1", "redis://u:***@h:6379/1");
    assert_shown("redis://:p@[::1]:6379", "redis://:***@[::1]:6379");
    assert_shown("redis://[::1]:6379", "redis://[::1]:6379");
    assert_shown("redis+unix://u:p@/run/r?db=1", "redis+unix://u:***@/run/r?db=1");
    assert_shown("redis+unix:///run/a:b", "redis+unix:///run/a:b");
    assert_shown("redis+sentinel://:p@a:1,b:2/m", "redis+sentinel://:***@a:1,b:2/m");
    assert_shown("redis+cluster://a:1,[::1]:2,b", "redis+cluster://a:1,[::1]:2,b");
    assert_shown("file:/var/lib/counter", "file:/var/lib/counter");
}

static void a_login_that_is_one_word_is_taken_for_a_password(void **state)
{
    (void)state;
    assert_shown("redis://p@h", "redis://***@h");
}

static const char *const broken[] = {
    "redis://:" SECRET "@h",
    "redis://u:" SECRET "@h:6379/0",
    "redis://" SECRET "@h",
    "redsi://u:pa@" SECRET "@h",
    "redis://:p/" SECRET "@h",
    "redis://:" SECRET "/w@h",
    "redis://:" SECRET "?w@h",
    "redis://:" SECRET "#w@h",
    "redis://:w?" SECRET "@h",
    "redis://:" SECRET,
    "redis://u:" SECRET,
    "redis://u:" SECRET "/0",
    "redis://h:6379:" SECRET,
    "redis://h,u:" SECRET ",h2",
    "redis://:" SECRET "%40h",
    "redis://:1" SECRET "@h",
    "redis://[::1]:" SECRET,
    "redis://u:[" SECRET "]@h",
    "redis://u:[" SECRET "@h",
    "redis:u:" SECRET "@h",
    "redis:/u:" SECRET "@h",
    "redis:u:" SECRET,
    "redis:/u:" SECRET,
    "u:" SECRET "@h",
    ":" SECRET "@h",
    "redis//u:" SECRET "@h",
    "redis://u:x://" SECRET "@h",
    "redis://h?password=" SECRET,
    "redis://h:1?password=" SECRET,
    "redis+unix:///r?db=1&password=" SECRET,
    "redis+unix:///r?db=" SECRET,
    "redis+unix://:" SECRET "@/run/r",
    "redis+unix://:" SECRET "/run/r",
    "redis+unix://:p/" SECRET "@/run/r",
    "redis+unix://:p?" SECRET "@/run/r",
    "redis+sentinel://:" SECRET "@a,b/m",
    "redis+sentinel://a,u:" SECRET "@b/m",
    "redis+cluster://u:" SECRET "@a,u:" SECRET "@b",
    "rediss://u:" SECRET "\n@h",
    "redis://u:%" SECRET "@h",
};

static void no_text_of_ours_holds_a_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char shown[128];
        struct redis_url parsed;
        if (strstr(redis_url_show(shown, sizeof shown, broken[i]), SECRET))
            fail_msg("%s is shown as %s", broken[i], shown);
        assert_non_null(strstr(shown, "***"));
        if (redis_url_parse(&parsed, broken[i]) < 0 && strstr(counter_error(), SECRET))
            fail_msg("%s: %s", broken[i], counter_error());
    }
}

static void what_is_shown_fits_its_buffer(void **state)
{
    static const char url[] = "redis://user:password@host:6379/12";
    char whole[64];

    (void)state;
    redis_url_show(whole, sizeof whole, url);
    for (size_t size = 1; size <= sizeof whole; size++) {
        char shown[sizeof whole + 1];
        memset(shown, '!', sizeof shown);
        redis_url_show(shown, size, url);
        assert_true(strlen(shown) < size);
        assert_memory_equal(shown, whole, strlen(shown));
        assert_int_equal(shown[size], '!');
    }
}

static void a_host_is_shown_as_a_url_has_it(void **state)
{
    char shown[REDIS_NAME + 8], *longest = long_url("", ':', REDIS_NAME - 1, "");
    struct redis_host host = {.port = 65535};

    (void)state;
    assert_string_equal(redis_host_show(shown, &(struct redis_host)HOST("h", 6379)), "h:6379");
    assert_string_equal(redis_host_show(shown, &(struct redis_host)HOST("::1", 1)), "[::1]:1");
    assert_string_equal(redis_host_show(shown, &(struct redis_host)HOST("/run/a:b", 0)), "/run/a:b");
    memcpy(host.name, longest, REDIS_NAME);
    assert_int_equal(strlen(redis_host_show(shown, &host)), REDIS_NAME + 7);
    free(longest);
}

/* Any text at all: parsed or refused, and shown, within its memory. Pieces of URLs make the deep ways likely. */
static void no_text_breaks_the_parser(void **state)
{
    static const char *const pieces[] = {"redis://",
                                         "redis+unix://",
                                         "redis+sentinel://",
                                         "redis+cluster://",
                                         "/",
                                         "?",
                                         "db=",
                                         "@",
                                         ":",
                                         "[",
                                         "]",
                                         "::1",
                                         ",",
                                         "%",
                                         "%41",
                                         "h",
                                         "7",
                                         "&",
                                         "#",
                                         "\xff"};
    uint64_t random = 42;

    (void)state;
    for (uint64_t round = scaled(200000); round > 0; round--) {
        char text[256] = "", shown[300];
        for (int i = 0; i < 9; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            strcat(text, pieces[(random >> 33) % (sizeof pieces / sizeof *pieces)]);
        }
        char *exact = strdup(text);
        struct redis_url parsed;
        int r = redis_url_parse(&parsed, exact);
        assert_true(r == 0 || r == COUNTER_EINVAL);
        if (r == 0) {
            assert_in_range(parsed.hosts, 1, REDIS_HOSTS);
            assert_in_range(parsed.database, 0, 65535);
            assert_true(parsed.host[0].name[0]);
        }
        redis_url_show(shown, sizeof shown, exact);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_has_a_host_a_port_and_a_database),
        cmocka_unit_test(an_ipv6_address_stands_in_brackets),
        cmocka_unit_test(user_and_password_are_both_optional),
        cmocka_unit_test(bytes_of_a_login_may_be_written_as_hexadecimal_digits),
        cmocka_unit_test(a_socket_has_a_path_and_its_database_stands_in_the_query),
        cmocka_unit_test(sentinels_are_a_list_and_name_a_master),
        cmocka_unit_test(a_cluster_is_a_list_and_has_no_other_database_than_0),
        cmocka_unit_test(numbers_are_decimal_and_in_range),
        cmocka_unit_test(what_is_no_host_or_no_known_parameter_is_refused),
        cmocka_unit_test(other_schemes_are_none_of_ours),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(a_url_is_shown_without_its_password),
        cmocka_unit_test(a_login_that_is_one_word_is_taken_for_a_password),
        cmocka_unit_test(no_text_of_ours_holds_a_password),
        cmocka_unit_test(what_is_shown_fits_its_buffer),
        cmocka_unit_test(a_host_is_shown_as_a_url_has_it),
        cmocka_unit_test(no_text_breaks_the_parser),
    };
    return cmocka_run_group_tests_name("redis url", tests, NULL, NULL);
}
