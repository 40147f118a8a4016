/*
 * test_settings.c: four places, one table.
 *
 * Every test starts with an environment without COUNTER_ variables but COUNTER_CONFIG="" (no file), and a folder of its
 * own. What depends on the running program is asked of a copy of this one, started with the argument "settings".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "settings.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const variables[] = {
    "COUNTER_STORE",       "COUNTER_SITE",           "COUNTER_TRUSTED_PROXIES", "COUNTER_EXCLUDE",
    "COUNTER_SYNC_MS",     "COUNTER_PRIVACY_SIGNAL", "COUNTER_TIMEZONE",        "COUNTER_WEEK_START",
    "COUNTER_FORGET_DAYS", "COUNTER_RETENTION_DAYS", "COUNTER_EXACT_VISITORS",  "COUNTER_KEY_ROTATION",
    "COUNTER_DEADLINE",    "COUNTER_PREFIX",         "COUNTER_STORE_PASSWORD",  "COUNTER_STORE_PASSWORD_FILE",
    "COUNTER_STORE_CA",    "XDG_STATE_HOME",
};

static char folder[64], conf[96], program[96], secret[96];

static int set_up(void **state)
{
    const char *temporary = getenv("TMPDIR");

    (void)state;
    snprintf(folder, sizeof folder, "%s/settings-XXXXXX", temporary && strlen(temporary) < 32 ? temporary : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(conf, sizeof conf, "%s/counter.conf", folder);
    snprintf(program, sizeof program, "%s/program", folder);
    snprintf(secret, sizeof secret, "%s/password", folder);
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    setenv("HOME", "/home/somebody", 1);
    return setenv("COUNTER_CONFIG", "", 1);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(program);
    if (unlink(secret) < 0)
        rmdir(secret);
    if (unlink(conf) < 0)
        rmdir(conf);
    return rmdir(folder);
}

static void write_conf(const void *bytes, size_t length)
{
    FILE *file = fopen(conf, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Options that name the file just written. */
static struct counter_options with_conf(const char *text)
{
    write_conf(text, strlen(text));
    return (struct counter_options){.size = sizeof(struct counter_options), .config = conf};
}

static struct settings read_good(const struct counter_options *options)
{
    struct settings settings;

    if (settings_read(&settings, options) < 0)
        fail_msg("%s", counter_error());
    return settings;
}

/* Expects a failure whose text has all of the parts. */
static void refuses(const struct counter_options *options, int code, const char *part1, const char *part2)
{
    static const struct settings zero;
    struct settings settings;

    memset(&settings, 0xaa, sizeof settings);
    assert_int_equal(settings_read(&settings, options), code);
    assert_memory_equal(&settings, &zero, sizeof zero);
    if (!strstr(counter_error(), part1) || !strstr(counter_error(), part2))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", counter_error(), part1, part2);
}

/* ---- Values and places ------------------------------------------------------------------------------------------- */

static void without_a_word_from_anywhere_the_defaults_hold(void **state)
{
    (void)state;
    struct settings settings = read_good(NULL);

    assert_string_equal(settings.store, "file:/home/somebody/.local/state/counter");
    assert_string_equal(settings.site, "");
    assert_string_equal(settings.trusted_proxies, "");
    assert_string_equal(settings.exclude, "");
    assert_string_equal(settings.timezone, "");
    assert_string_equal(settings.config, "");
    assert_int_equal(settings.sync_ms, 1000);
    assert_int_equal(settings.deadline, 250);
    assert_string_equal(settings.prefix, "counter");
    assert_string_equal(settings.store_password, "");
    assert_string_equal(settings.store_password_file, "");
    assert_string_equal(settings.store_ca, "");
    assert_int_equal(settings.privacy_signal, COUNTER_SIGNAL_COUNT);
    assert_int_equal(settings.week_start, 0);
    assert_int_equal(settings.exact_visitors, 0);
    assert_int_equal(settings.forget_days, 0);
    assert_int_equal(settings.retention_days, 0);
    assert_int_equal(settings.key_rotation, 0);
    settings_free(&settings);
    assert_null(settings.store);
}

static void the_default_store_lies_in_the_state_folder(void **state)
{
    (void)state;
    static const struct {
        const char *state_home, *home, *store;
    } cases[] = {
        {"/var/state", "/home/a", "file:/var/state/counter"},
        {"relative", "/home/a", "file:/home/a/.local/state/counter"},
        {"", "/home/a", "file:/home/a/.local/state/counter"},
        {NULL, "/home/a", "file:/home/a/.local/state/counter"},
        {NULL, "", "file:/var/lib/counter"},
        {NULL, NULL, "file:/var/lib/counter"},
        {"/s", NULL, "file:/s/counter"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsetenv("XDG_STATE_HOME");
        unsetenv("HOME");
        if (cases[i].state_home)
            setenv("XDG_STATE_HOME", cases[i].state_home, 1);
        if (cases[i].home)
            setenv("HOME", cases[i].home, 1);
        struct settings settings = read_good(NULL);
        assert_string_equal(settings.store, cases[i].store);
        settings_free(&settings);
    }
}

static void options_overrule_the_environment_and_it_the_file(void **state)
{
    (void)state;
    struct counter_options options = with_conf("store = file:/f\nsite = f\ntimezone = +01:00\nsync_ms = 101\n"
                                               "week_start = sunday\nforget_days = 10\n");
    options.store = "file:/o";
    options.sync_ms = 103;
    options.week_start = COUNTER_SATURDAY;
    setenv("COUNTER_STORE", "file:/e", 1);
    setenv("COUNTER_SITE", "e", 1);
    setenv("COUNTER_SYNC_MS", "102", 1);
    setenv("COUNTER_FORGET_DAYS", "20", 1);

    struct settings settings = read_good(&options);
    assert_string_equal(settings.store, "file:/o");
    assert_string_equal(settings.site, "e");
    assert_string_equal(settings.timezone, "+01:00");
    assert_int_equal(settings.sync_ms, 103);
    assert_int_equal(settings.week_start, COUNTER_SATURDAY);
    assert_int_equal(settings.forget_days, 20);
    assert_string_equal(settings.config, conf);
    settings_free(&settings);
}

static void every_setting_can_come_from_every_place(void **state)
{
    (void)state;
    static const char *const values[][2] = {{"store", "memory:"},
                                            {"site", "s"},
                                            {"trusted_proxies", "private"},
                                            {"exclude", "10.0.0.1 ::1"},
                                            {"sync_ms", "250"},
                                            {"deadline", "60000"},
                                            {"prefix", "a.b"},
                                            {"store_password", "s3cret"},
                                            {"store_password_file", "/x/password"},
                                            {"store_ca", "/x/ca.pem"},
                                            {"privacy_signal", "skip"},
                                            {"timezone", "Asia/Ho_Chi_Minh"},
                                            {"week_start", "sunday"},
                                            {"exact_visitors", "65536"},
                                            {"forget_days", "7"},
                                            {"retention_days", "31"},
                                            {"key_rotation", "daily"}};
    struct counter_options options = {.size = sizeof options,
                                      .store = "memory:",
                                      .site = "s",
                                      .trusted_proxies = "private",
                                      .exclude = "10.0.0.1 ::1",
                                      .sync_ms = 250,
                                      .deadline = 60000,
                                      .prefix = "a.b",
                                      .store_password = "s3cret",
                                      .store_password_file = "/x/password",
                                      .store_ca = "/x/ca.pem",
                                      .privacy_signal = COUNTER_SIGNAL_SKIP,
                                      .timezone = "Asia/Ho_Chi_Minh",
                                      .week_start = COUNTER_SUNDAY,
                                      .exact_visitors = 65536,
                                      .forget_days = 7,
                                      .retention_days = 31,
                                      .key_rotation = COUNTER_ROTATION_DAILY};
    char text[1024] = "", variable[64];

    for (int place = 0; place < 3; place++) {
        if (place == 1) {
            for (size_t i = 0; i < COUNT(values); i++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s\n", values[i][0], values[i][1]);
            options = with_conf(text);
        } else if (place == 2) {
            options = (struct counter_options){.size = sizeof options};
            for (size_t i = 0; i < COUNT(values); i++) {
                int length = snprintf(variable, sizeof variable, "COUNTER_%s", values[i][0]);
                for (int c = 8; c < length; c++)
                    if (variable[c] != '_')
                        variable[c] = (char)(variable[c] - 'a' + 'A');
                setenv(variable, values[i][1], 1);
            }
        }
        struct settings settings = read_good(&options);
        assert_string_equal(settings.store, "memory:");
        assert_string_equal(settings.site, "s");
        assert_string_equal(settings.trusted_proxies, "private");
        assert_string_equal(settings.exclude, "10.0.0.1 ::1");
        assert_int_equal(settings.sync_ms, 250);
        assert_int_equal(settings.deadline, 60000);
        assert_string_equal(settings.prefix, "a.b");
        assert_string_equal(settings.store_password, "s3cret");
        assert_string_equal(settings.store_password_file, "/x/password");
        assert_string_equal(settings.store_ca, "/x/ca.pem");
        assert_int_equal(settings.privacy_signal, COUNTER_SIGNAL_SKIP);
        assert_string_equal(settings.timezone, "Asia/Ho_Chi_Minh");
        assert_int_equal(settings.week_start, COUNTER_SUNDAY);
        assert_int_equal(settings.exact_visitors, 65536);
        assert_int_equal(settings.forget_days, 7);
        assert_int_equal(settings.retention_days, 31);
        assert_int_equal(settings.key_rotation, COUNTER_ROTATION_DAILY);
        settings_free(&settings);
    }
}

static void an_empty_value_asks_for_the_default(void **state)
{
    (void)state;
    struct counter_options options =
        with_conf("trusted_proxies = private\nexclude = private\nsync_ms = 200\nforget_days = 3\nsite = f\n"
                  "week_start =\n");

    options.exclude = "";
    setenv("COUNTER_TRUSTED_PROXIES", "", 1);
    setenv("COUNTER_SYNC_MS", "", 1);
    setenv("COUNTER_FORGET_DAYS", "", 1);
    struct settings settings = read_good(&options);
    assert_string_equal(settings.trusted_proxies, "");
    assert_string_equal(settings.exclude, "");
    assert_int_equal(settings.sync_ms, 1000);
    assert_int_equal(settings.forget_days, 0);
    assert_int_equal(settings.week_start, 0);
    assert_string_equal(settings.site, "f");
    settings_free(&settings);
}

static void ranges_hold_at_both_ends_in_every_place(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *key;
        size_t option, setting;
        uint32_t least, most;
    } cases[] = {
#define NUMBER(variable, member)                                                                                       \
    variable, #member, offsetof(struct counter_options, member), offsetof(struct settings, member)
        {NUMBER("COUNTER_SYNC_MS", sync_ms), 100, 3600000},
        {NUMBER("COUNTER_DEADLINE", deadline), 10, 60000},
        {NUMBER("COUNTER_EXACT_VISITORS", exact_visitors), 1, 2097152},
        {NUMBER("COUNTER_FORGET_DAYS", forget_days), 1, 400},
        {NUMBER("COUNTER_RETENTION_DAYS", retention_days), 31, 4000},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint32_t numbers[] = {cases[i].least, cases[i].most, cases[i].least - 1, cases[i].most + 1, UINT32_MAX};
        for (size_t j = 0; j < COUNT(numbers); j++) {
            struct counter_options options = {.size = sizeof options};
            char text[64], rule[64];
            struct settings settings;
            uint32_t got;
            snprintf(text, sizeof text, "%u", numbers[j]);
            snprintf(rule, sizeof rule, "a number from %u to %u", cases[i].least, cases[i].most);
            setenv(cases[i].variable, text, 1);
            if (j < 2) {
                settings = read_good(&options);
                memcpy(&got, (char *)&settings + cases[i].setting, sizeof got);
                assert_int_equal(got, numbers[j]);
                settings_free(&settings);
            } else {
                refuses(&options, COUNTER_EINVAL, cases[i].variable, rule);
            }
            unsetenv(cases[i].variable);
            memcpy((char *)&options + cases[i].option, &numbers[j], sizeof numbers[j]);
            if (j >= 2 && numbers[j] != 0)
                refuses(&options, COUNTER_EINVAL, "option: ", rule);
        }
    }
}

static void what_is_no_number_or_no_word_is_refused(void **state)
{
    (void)state;
    static const char *const numbers[] = {"x",     "1x",   "-200",       "+200",        "200.5",
                                          "0x200", " 200", "4294967496", "99999999999", "18446744073709551816"};
    static const char *const words[] = {"Monday", "mon", "1", "tuesday", "monday "};

    for (size_t i = 0; i < COUNT(numbers); i++) {
        setenv("COUNTER_SYNC_MS", numbers[i], 1);
        refuses(NULL, COUNTER_EINVAL, numbers[i], "a number from 100 to 3600000");
    }
    unsetenv("COUNTER_SYNC_MS");
    for (size_t i = 0; i < COUNT(words); i++) {
        setenv("COUNTER_WEEK_START", words[i], 1);
        refuses(NULL, COUNTER_EINVAL, words[i], "monday, saturday, sunday");
    }
    unsetenv("COUNTER_WEEK_START");
    struct counter_options options = {.size = sizeof options, .week_start = (enum counter_weekday)3};
    refuses(&options, COUNTER_EINVAL, "week_start = \"3\"", "monday, saturday, sunday");
    options.week_start = (enum counter_weekday)9;
    refuses(&options, COUNTER_EINVAL, "week_start = \"9\"", "monday, saturday, sunday");
    options = (struct counter_options){.size = sizeof options, .privacy_signal = (enum counter_signal_policy)4};
    refuses(&options, COUNTER_EINVAL, "privacy_signal = \"4\"", "count, hits_only, skip");
    options = (struct counter_options){.size = sizeof options, .key_rotation = (enum counter_rotation)4};
    refuses(&options, COUNTER_EINVAL, "key_rotation = \"4\"", "never, monthly, daily");
}

static void control_characters_and_long_values_are_refused_everywhere(void **state)
{
    (void)state;
    char text[4200] = "";
    struct counter_options options = {.size = sizeof options, .site = "a\nb"};

    refuses(&options, COUNTER_EINVAL, "option: site = \"a?b\"", "no control characters");
    setenv("COUNTER_SITE", "a\x7f", 1);
    refuses(NULL, COUNTER_EINVAL, "COUNTER_SITE: site", "no control characters");
    memset(text, 'x', 4096);
    setenv("COUNTER_SITE", text, 1);
    struct settings settings = read_good(NULL);
    assert_string_equal(settings.site, text);
    settings_free(&settings);
    text[4096] = 'x';
    setenv("COUNTER_SITE", text, 1);
    refuses(NULL, COUNTER_EINVAL, "COUNTER_SITE: site", "at most 4096 bytes");
}

static void callers_of_other_versions_are_served(void **state)
{
    (void)state;
    struct counter_options options = {.size = offsetof(struct counter_options, timezone), .site = "s"};
    struct {
        struct counter_options known;
        uint64_t unknown;
    } newer = {.known = {.size = sizeof newer, .site = "s"}};

    options.timezone = "Nowhere"; /* beyond its size */
    struct settings settings = read_good(&options);
    assert_string_equal(settings.site, "s");
    assert_string_equal(settings.timezone, "");
    settings_free(&settings);
    options.size = 0;
    refuses(&options, COUNTER_EINVAL, "struct counter_options", ".size");

    settings = read_good(&newer.known);
    settings_free(&settings);
    newer.unknown = 1;
    refuses(&newer.known, COUNTER_EINVAL, "struct counter_options", "lacks");
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

struct lines {
    char text[65536];
    size_t length;
};

static int note(void *arg, unsigned line, const char *key, const char *value)
{
    struct lines *lines = arg;

    lines->length += (size_t)snprintf(lines->text + lines->length, sizeof lines->text - lines->length, "%u|%s|%s\n",
                                      line, key, value);
    return 0;
}

static void the_grammar_is_key_value_and_comment(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"\n\n \t\n", ""},
        {"# site = a\n  # b\n#", ""},
        {"a=b", "1|a|b\n"},
        {"a=b\n", "1|a|b\n"},
        {" \ta \t=\t b c \t\n", "1|a|b c\n"},
        {"\n\nA-1_x.y = v", "3|A-1_x.y|v\n"},
        {"a = b # c\nd = e\t#f", "1|a|b\n2|d|e\n"},
        {"a = b#c\nd=#fff\n", "1|a|b#c\n2|d|#fff\n"},
        {"a =\nb = # c\nc = \"\"", "1|a|\n2|b|\n3|c|\n"},
        {"a = b = c", "1|a|b = c\n"},
        {"a = \" b # c \" # d", "1|a| b # c \n"},
        {"a = \"b\"#c", NULL},
        {"a = \"b\\\"c\\\\d\"", "1|a|b\"c\\d\n"},
        {"a = x \"b # c\"", "1|a|x \"b\n"},
        {"a = x \"b\" \\n", "1|a|x \"b\" \\n\n"},
        {"portal.rows = online; today \"Hôm nay\"", "1|portal.rows|online; today \"Hôm nay\"\n"},
        {"a = b\r\nc = \"d\"\r\n\r\n", "1|a|b\n2|c|d\n"},
        {"\xef\xbb\xbf"
         "a = b",
         "1|a|b\n"},
        {"a", NULL},
        {"= b", NULL},
        {"a b = c", NULL},
        {"\xc3\xa1 = b", NULL},
        {"a : b", NULL},
        {"[section]", NULL},
        {"a = \"b", NULL},
        {"a = \"b\\\"", NULL},
        {"a = \"b\\", NULL},
        {"a = \"b\\n\"", NULL},
        {"a = \"b\" c", NULL},
        {"a = \"b\"c\"", NULL},
        {"a = b\rc", NULL},
        {"a = b\r", NULL},
        {"a = \x1b[31m", NULL},
        {"# comment \x01", NULL},
        {"a = \x7f", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct lines lines = {.length = 0};
        size_t length = strlen(cases[i][0]);
        char *exact = malloc(length ? length : 1);
        memcpy(exact, cases[i][0], length);
        int r = settings_parse("x.conf", exact, length, note, &lines);
        free(exact);
        if (cases[i][1] ? r != 0 || strcmp(lines.text, cases[i][1]) != 0 : r != COUNTER_EINVAL)
            fail_msg("<%s>: %d <%s> %s", cases[i][0], r, lines.text, r ? counter_error() : "");
        if (!cases[i][1])
            assert_non_null(strstr(counter_error(), "x.conf:1: "));
    }
}

static void a_nul_is_refused_with_its_line(void **state)
{
    (void)state;
    struct lines lines = {.length = 0};

    assert_int_equal(settings_parse("x.conf", "a = b\nc = d\0e\n", 14, note, &lines), COUNTER_EINVAL);
    assert_string_equal(counter_error(), "x.conf:2: byte 0x00: no control characters are allowed");
    assert_string_equal(lines.text, "1|a|b\n");
}

static int stop(void *arg, unsigned line, const char *key, const char *value)
{
    (void)arg, (void)key, (void)value;
    return line == 2 ? 77 : 0;
}

static void a_call_that_returns_non_zero_ends_the_file(void **state)
{
    (void)state;
    assert_int_equal(settings_parse("x", "a=1\nb=2\nno line\n", 16, stop, NULL), 77);
}

static void lengths_in_a_file_are_bounded(void **state)
{
    (void)state;
    struct lines lines = {.length = 0};
    char *text = malloc(70000);

    memset(text, 'k', 70000);
    text[64] = '=';
    assert_int_equal(settings_parse("x", text, 65 + 4096, note, &lines), 0);
    assert_int_equal(settings_parse("x", text, 65 + 4097, note, &lines), COUNTER_EINVAL);
    text[65] = text[65 + 4097] = '"';
    assert_int_equal(settings_parse("x", text, 65 + 4098, note, &lines), 0);
    text[65 + 4097] = 'k';
    text[65 + 4098] = '"';
    assert_int_equal(settings_parse("x", text, 65 + 4099, note, &lines), COUNTER_EINVAL);
    text[64] = 'k';
    text[65] = '=';
    assert_int_equal(settings_parse("x", text, 100, note, &lines), COUNTER_EINVAL);
    memset(text, '\n', 70000);
    assert_int_equal(settings_parse("x", text, 65536, note, &lines), 0);
    assert_int_equal(settings_parse("x", text, 65537, note, &lines), COUNTER_EINVAL);
    write_conf(text, 65536);
    struct counter_options options = {.size = sizeof options, .config = conf};
    struct settings settings = read_good(&options);
    settings_free(&settings);
    write_conf(text, 65537);
    refuses(&options, COUNTER_EINVAL, conf, "65536 bytes");
    free(text);
}

static void mistakes_in_a_file_are_named_with_their_place(void **state)
{
    (void)state;
    struct counter_options options = with_conf("site = a\n\nstor = memory:\n");
    refuses(&options, COUNTER_EINVAL, "counter.conf:3: unknown key \"stor\"", "store, site,");
    options = with_conf("site = a\nstore = memory:\nsite = b\n");
    refuses(&options, COUNTER_EINVAL, "counter.conf:3: site", "line 1");
    options = with_conf("portal.x = a\nportal.x = a\n");
    refuses(&options, COUNTER_EINVAL, "counter.conf:2: portal.x", "line 1");
    options = with_conf("portal. = a\n");
    refuses(&options, COUNTER_EINVAL, "counter.conf:1: unknown key \"portal.\"", "store, site,");
    options = with_conf("\nsync_ms = 5 # too small\n");
    refuses(&options, COUNTER_EINVAL, "counter.conf:2: sync_ms = \"5\"", "100 to 3600000");
    options.sync_ms = 500; /* what is overruled is checked all the same */
    refuses(&options, COUNTER_EINVAL, "counter.conf:2: sync_ms = \"5\"", "100 to 3600000");
}

static void portal_keys_are_bounded(void **state)
{
    (void)state;
    char text[8192] = "";
    size_t length = 0;

    for (int i = 0; i < 256; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "portal.k%d = v\n", i);
    struct counter_options options = with_conf(text);
    struct settings settings = read_good(&options);
    settings_free(&settings);
    snprintf(text + length, sizeof text - length, "portal.k256 = v\n");
    options = with_conf(text);
    refuses(&options, COUNTER_EINVAL, "counter.conf:257", "more than 256");
}

static void a_named_file_must_exist_and_be_a_file(void **state)
{
    (void)state;
    struct counter_options options = {.size = sizeof options, .config = conf};

    refuses(&options, COUNTER_EINVAL, conf, "named by option");
    setenv("COUNTER_CONFIG", conf, 1);
    refuses(NULL, COUNTER_EINVAL, conf, "named by COUNTER_CONFIG");
    assert_int_equal(mkdir(conf, 0700), 0);
    refuses(NULL, COUNTER_EINVAL, conf, "not a regular file");
    assert_int_equal(rmdir(conf), 0);
    assert_int_equal(mkfifo(conf, 0600), 0);
    refuses(NULL, COUNTER_EINVAL, conf, "not a regular file");
    setenv("COUNTER_CONFIG", "/dev/null", 1);
    struct settings settings = read_good(NULL);
    settings_free(&settings);
}

static void the_option_names_the_file_before_the_variable(void **state)
{
    (void)state;
    struct counter_options options = with_conf("site = s\n");
    setenv("COUNTER_CONFIG", "/nonexistent/counter.conf", 1);
    struct settings settings = read_good(&options);
    assert_string_equal(settings.site, "s");
    settings_free(&settings);

    options.config = "";
    settings = read_good(&options);
    assert_string_equal(settings.site, "");
    assert_string_equal(settings.config, "");
    settings_free(&settings);

    setenv("COUNTER_CONFIG", conf, 1);
    settings = read_good(NULL);
    assert_string_equal(settings.config, conf);
    settings_free(&settings);
}

/* ---- Facts ------------------------------------------------------------------------------------------------------- */

static int note_fact(void *arg, const struct counter_fact *fact)
{
    struct lines *lines = arg;

    assert_int_equal(fact->level, COUNTER_FACT);
    lines->length += (size_t)snprintf(lines->text + lines->length, sizeof lines->text - lines->length, "%s|%s|%s\n",
                                      fact->name, fact->value, fact->why);
    return 0;
}

static void every_setting_is_told_with_its_place(void **state)
{
    (void)state;
    struct counter_options options = with_conf("# first\nweek_start = sunday\nportal.title = \"a # b\"\nsite=f\n"
                                               "portal.rows=online\n");
    struct lines *lines = calloc(1, sizeof *lines);
    char expected[1024];

    options.privacy_signal = COUNTER_SIGNAL_HITS_ONLY;
    options.exclude = "loopback";
    setenv("COUNTER_SITE", "e", 1);
    setenv("COUNTER_SYNC_MS", "", 1);
    assert_int_equal(settings_each(&options, note_fact, lines), 0);
    snprintf(expected, sizeof expected,
             "config|%s|option\n"
             "store|file:/home/somebody/.local/state/counter|default\n"
             "site|e|COUNTER_SITE\n"
             "trusted_proxies||default\n"
             "exclude|loopback|option\n"
             "privacy_signal|hits_only|option\n"
             "sync_ms|1000|COUNTER_SYNC_MS\n"
             "deadline|250|default\n"
             "prefix|counter|default\n"
             "store_password||default\n"
             "store_password_file||default\n"
             "store_ca||default\n"
             "timezone||default\n"
             "week_start|sunday|%s:2\n"
             "exact_visitors|32768|default\n"
             "forget_days|35|default\n"
             "retention_days|400|default\n"
             "key_rotation|never|default\n"
             "portal.title|a # b|%s:3\n"
             "portal.rows|online|%s:5\n",
             conf, conf, conf, conf);
    assert_string_equal(lines->text, expected);
    free(lines);
}

static int stop_at_third(void *arg, const struct counter_fact *fact)
{
    (void)fact;
    return ++*(int *)arg == 3 ? 55 : 0;
}

static void a_walk_over_the_settings_can_be_ended(void **state)
{
    (void)state;
    struct counter_options options = with_conf("portal.a = 1\n");
    int calls = 0;

    assert_int_equal(settings_each(&options, stop_at_third, &calls), 55);
    assert_int_equal(calls, 3);
    options = with_conf("nonsense\n");
    assert_int_equal(settings_each(&options, stop_at_third, &calls), COUNTER_EINVAL);
    assert_int_equal(calls, 3);
}

/* ---- Secrets ----------------------------------------------------------------------------------------------------- */

/* Every secret of these tests holds this word, and nothing else does. */
static const char word[] = "s3cret";

static void assert_hidden(const char *text)
{
    if (strstr(text, word))
        fail_msg("\"%s\" holds the password", text);
}

/* The value of one key, as a list of the settings shows it. */
struct shown {
    const char *key;
    char value[SETTINGS_VALUE + 16];
};

static int keep_shown(void *arg, const struct counter_fact *fact)
{
    struct shown *shown = arg;

    assert_hidden(fact->value);
    assert_hidden(fact->why);
    if (strcmp(fact->name, shown->key) == 0)
        snprintf(shown->value, sizeof shown->value, "%s", fact->value);
    return 0;
}

static void assert_shown(const char *key, const char *expected, const struct counter_options *options)
{
    struct shown shown = {.key = key};

    assert_int_equal(settings_each(options, keep_shown, &shown), 0);
    assert_string_equal(shown.value, expected);
}

static void a_listing_shows_urls_without_password_and_of_passwords_that_there_is_one(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"redis://user:s3cret@host:6380/1", "redis://user:***@host:6380/1"},
        {"redis+unix://:s3cret@/run/redis?db=2", "redis+unix://:***@/run/redis?db=2"},
        {"redis+cluster://u:s3cret%40@a,b:1", "redis+cluster://u:***@a,b:1"},
        {"rediss://host", "rediss://host"},
        {"redis://u:s3cret/s3cret@host", "redis://u:***@host"},
        {"redis://u:s3cret", "redis://u:***"},
        {"redos://u:s3cret@host", "redos://u:***@host"},
        {"file:/a:b@c?d", "file:/a:b@c?d"},
        {"file+network:/a:b@c?d", "file+network:/a:b@c?d"},
        {"memory:", "memory:"},
    };

    for (size_t i = 0; i < COUNT(urls); i++) {
        struct counter_options options = {.size = sizeof options, .store = urls[i][0]};
        assert_shown("store", urls[i][1], &options);
        struct settings settings = read_good(&options);
        assert_string_equal(settings.store, urls[i][0]);
        settings_free(&settings);
    }
    struct counter_options options = with_conf("store_password = s3cret\n");
    assert_shown("store_password", "(set)", &options);
    options.store_password = "";
    assert_shown("store_password", "", &options);
}

/* In all three places, since each has an error of its own. */
static void refuses_and_hides(const char *key, const char *variable, size_t option, const char *value)
{
    struct counter_options options = {.size = sizeof options};
    char *text = NULL;

    memcpy((char *)&options + option, &value, sizeof value);
    refuses(&options, COUNTER_EINVAL, "option: ", key);
    assert_hidden(counter_error());
    setenv(variable, value, 1);
    refuses(NULL, COUNTER_EINVAL, variable, key);
    assert_hidden(counter_error());
    unsetenv(variable);
    assert_true(asprintf(&text, "%s = %s\n", key, value) > 0);
    options = with_conf(text);
    refuses(&options, COUNTER_EINVAL, conf, ":");
    assert_hidden(counter_error());
    free(text);
}

static void no_error_about_a_value_shows_a_password(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "redis://u:s3cret@host\x01", "redis://u:s3cret\n@host", "redis://u:\ns3cret@host",     "\x01redis://u:s3cret@h",
        "rediss://s3cret@host\x01",  "redis://:s3cret\x01",     "redis://u:s3cret/x@host\x01", "redos://u:s3cret@h\x7f",
    };
    char long_url[5000], long_password[600];

    for (size_t i = 0; i < COUNT(urls); i++)
        refuses_and_hides("store", "COUNTER_STORE", offsetof(struct counter_options, store), urls[i]);
    memset(long_url, 'x', sizeof long_url);
    memcpy(long_url, "redis://u:s3cret", 16);
    long_url[4999] = '\0';
    refuses_and_hides("store", "COUNTER_STORE", offsetof(struct counter_options, store), long_url);
    memcpy(long_url + 4900, "@host", 5);
    refuses_and_hides("store", "COUNTER_STORE", offsetof(struct counter_options, store), long_url);

    memset(long_password, 'x', sizeof long_password);
    memcpy(long_password, word, strlen(word));
    long_password[513] = '\0';
    const size_t password = offsetof(struct counter_options, store_password);
    refuses_and_hides("store_password", "COUNTER_STORE_PASSWORD", password, long_password);
    refuses_and_hides("store_password", "COUNTER_STORE_PASSWORD", password, "s3cret\x01");
    long_password[512] = '\0';
    struct counter_options options = {.size = sizeof options, .store_password = long_password};
    struct settings settings = read_good(&options);
    assert_string_equal(settings.store_password, long_password);
    settings_free(&settings);
}

static void no_error_about_a_line_shows_a_password(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "store_password s3cret\n",
        "store_password: s3cret\n",
        "store_password =\ns3cret\n",
        "store_password = \"s3cret\n",
        "store_password = \"s3cret\" x\n",
        "store_password = \"s3cret\\n\"\n",
        "store_password = s3cret\x01\n",
        "store_password = a\nstore_password = s3cret\n",
        "store_pasword = s3cret\n",
        "portal.a = s3cret\nportal.a = s3cret\n",
        "store = redis://u:s3cret@h\nstore = redis://u:s3cret@h\n",
        "redis://u:s3cret@host\n",
    };
    char *text = malloc(70000);

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct counter_options options = with_conf(texts[i]);
        refuses(&options, COUNTER_EINVAL, "counter.conf:", "");
        assert_hidden(counter_error());
        assert_int_equal(settings_each(&options, keep_shown, &(struct shown){.key = ""}), COUNTER_EINVAL);
        assert_hidden(counter_error());
    }
    memset(text, 'x', 70000);
    memcpy(text, "store_password = s3cret", 23);
    struct counter_options options = {.size = sizeof options, .config = conf};
    for (size_t length = 5000; length <= 70000; length += 65000) {
        write_conf(text, length);
        refuses(&options, COUNTER_EINVAL, "counter.conf:", "bytes");
        assert_hidden(counter_error());
    }
    memset(text, 'x', 200); /* a key as long as no key is */
    memcpy(text, word, strlen(word));
    write_conf(text, 200);
    refuses(&options, COUNTER_EINVAL, "counter.conf:1", "");
    assert_hidden(counter_error());
    text[199] = '=';
    write_conf(text, 200);
    refuses(&options, COUNTER_EINVAL, "counter.conf:1", "64 bytes");
    assert_hidden(counter_error());
    free(text);
}

static bool holds(const char *bytes, size_t length, const char *part)
{
    return memmem(bytes, length, part, strlen(part)) != NULL;
}

/* The allocator's next block of a size is the last one freed, with what was in it. */
static void what_held_a_password_is_overwritten_before_it_is_freed(void **state)
{
    (void)state;
    if (scratch_is_instrumented())
        skip();
    char url[] = "redis://user:0123456789012345678901234567890123456789-s3cret@host";
    char password[] = "0123456789012345678901234567890123456789012345678901234567890123456789-s3cret";
    struct counter_options options = {.size = sizeof options, .store = url, .store_password = password};
    struct settings settings = read_good(&options);

    settings_free(&settings);
    char *volatile blocks[] = {malloc(sizeof url), malloc(sizeof password)};
    assert_false(holds(blocks[0], sizeof url, word));
    assert_false(holds(blocks[1], sizeof password, word));
    free(blocks[0]);
    free(blocks[1]);
}

static void a_prefix_is_a_name(void **state)
{
    (void)state;
    static const char rule[] = "1 to 64 letters, digits, '.', '_' and '-'";
    static const char *const broken[] = {"a/b", "a:b", "{a}", "a b", "á", "a*", "a\n"};
    char text[66] = "";

    for (size_t i = 0; i < COUNT(broken); i++) {
        setenv("COUNTER_PREFIX", broken[i], 1);
        refuses(NULL, COUNTER_EINVAL, "COUNTER_PREFIX: prefix = \"", rule);
    }
    memset(text, 'A', 65);
    setenv("COUNTER_PREFIX", text, 1);
    refuses(NULL, COUNTER_EINVAL, "COUNTER_PREFIX: prefix = \"", rule);
    text[64] = '\0';
    text[0] = '.';
    text[1] = '-';
    text[2] = '_';
    text[3] = '9';
    setenv("COUNTER_PREFIX", text, 1);
    struct settings settings = read_good(NULL);
    assert_string_equal(settings.prefix, text);
    settings_free(&settings);
}

/* ---- The password's file ----------------------------------------------------------------------------------------- */

static void write_secret(const void *bytes, size_t length, mode_t mode)
{
    FILE *file = fopen(secret, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    assert_int_equal(fclose(file), 0);
}

static struct counter_options with_secret(const void *bytes, size_t length)
{
    write_secret(bytes, length, 0600);
    return (struct counter_options){
        .size = sizeof(struct counter_options), .store = "redis://host", .store_password_file = secret};
}

static void the_password_is_the_first_line_of_its_file(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"s3cret\n", "s3cret"},
        {"s3cret", "s3cret"},
        {"s3cret\r\n", "s3cret"},
        {"s3cret\r", "s3cret"},
        {"s3cret\n\nx", "s3cret"},
        {" #\" s3cret \n", " #\" s3cret "},
        {"s3cr\xc3\xa9t\n", "s3cr\xc3\xa9t"},
    };
    char text[600];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct counter_options options = with_secret(cases[i][0], strlen(cases[i][0]));
        struct settings settings = read_good(&options);
        assert_string_equal(settings.store_password, cases[i][1]);
        settings_free(&settings);
        assert_shown("store_password", "", &options);
        assert_shown("store_password_file", secret, &options);
    }
    memset(text, 'x', sizeof text);
    memcpy(text + 512, "\r\n", 2);
    struct counter_options options = with_secret(text, sizeof text);
    struct settings settings = read_good(&options);
    assert_int_equal(strlen(settings.store_password), 512);
    settings_free(&settings);
}

static void what_is_no_password_in_a_file_is_refused_and_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *rule;
    } cases[] = {
        {"", 0, "the first line is empty"},           {"\ns3cret", 7, "the first line is empty"},
        {"\r\ns3cret", 8, "the first line is empty"}, {"s3cret\tx\n", 9, "no control characters"},
        {"s3cret\0x\n", 9, "no control characters"},  {"s3cret\r\r\n", 9, "no control characters"},
        {"s3cret\x7f", 7, "no control characters"},
    };
    char text[600];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct counter_options options = with_secret(cases[i].bytes, cases[i].length);
        refuses(&options, COUNTER_EINVAL, secret, cases[i].rule);
        assert_hidden(counter_error());
    }
    memset(text, 'x', sizeof text);
    memcpy(text, word, strlen(word));
    text[513] = '\n';
    static const size_t lengths[] = {513, 514, 515, 516, 600};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct counter_options options = with_secret(text, lengths[i]);
        refuses(&options, COUNTER_EINVAL, secret, "more than 512 bytes");
        assert_hidden(counter_error());
    }
}

static void a_password_file_must_exist_and_not_be_for_everybody(void **state)
{
    (void)state;
    struct counter_options options = with_secret("s3cret\n", 7);
    static const mode_t good[] = {0600, 0400, 0640, 0660};

    for (size_t i = 0; i < COUNT(good); i++) {
        write_secret("s3cret\n", 7, good[i]);
        struct settings settings = read_good(&options);
        assert_string_equal(settings.store_password, "s3cret");
        settings_free(&settings);
    }
    write_secret("s3cret\n", 7, 0604);
    refuses(&options, COUNTER_EACCESS, "everybody may read it: chmod o-r ", secret);
    assert_hidden(counter_error());
    unlink(secret);
    refuses(&options, COUNTER_EINVAL, "there is no such file", secret);
    assert_int_equal(mkdir(secret, 0700), 0);
    refuses(&options, COUNTER_EINVAL, "not a regular file", secret);
    rmdir(secret);
    assert_int_equal(mkfifo(secret, 0600), 0);
    refuses(&options, COUNTER_EINVAL, "not a regular file", secret);
    unlink(secret);
    assert_int_equal(symlink("password", secret), 0); /* to itself, so that root cannot read it either */
    refuses(&options, COUNTER_EACCESS, "store_password_file ", secret);
}

static void the_file_is_read_only_where_it_is_needed(void **state)
{
    (void)state;
    struct counter_options options = {
        .size = sizeof options, .store_password_file = "/nonexistent/password", .store = "redis://host"};
    static const char *const stores[] = {"memory:", "file:/x", "redis://user:s3cret@host", "redos://host",
                                         "redis://host:x"};
    struct settings settings;

    refuses(&options, COUNTER_EINVAL, "/nonexistent/password", "there is no such file");
    for (size_t i = 0; i < COUNT(stores); i++) {
        options.store = stores[i];
        settings = read_good(&options);
        assert_string_equal(settings.store_password, "");
        settings_free(&settings);
    }
    options.store = "redis+unix:///run/redis";
    setenv("COUNTER_STORE_PASSWORD", "s3cret", 1);
    refuses(&options, COUNTER_EINVAL, "store_password and store_password_file", "both set");
    options.store = "redis://user@host";
    options.store_password = "";
    refuses(&options, COUNTER_EINVAL, "/nonexistent/password", "there is no such file");
}

/* ---- The file that nobody named ---------------------------------------------------------------------------------- */

static int print_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg;
    return printf("%s|%s|%s\n", fact->name, fact->value, fact->why) < 0;
}

static int print_settings(void)
{
    printf("secure|%lu\n", getauxval(AT_SECURE));
    if (settings_each(NULL, print_fact, NULL) < 0)
        printf("error|%s\n", counter_error());
    return 0;
}

static void copy_program(mode_t mode)
{
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    ssize_t n;

    assert_true(from >= 0 && to >= 0);
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        assert_int_equal(write(to, buffer, (size_t)n), n);
    assert_int_equal(n, 0);
    assert_int_equal(fchmod(to, mode), 0);
    close(from);
    close(to);
}

/* Runs the copy, as another user where one is given, and returns what it prints. */
static const char *run_program(uid_t user)
{
    static char output[16384];
    size_t length = 0;
    ssize_t n;
    int ends[2], status;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(30);
        if (dup2(ends[1], STDOUT_FILENO) >= 0 && (user == 0 || setuid(user) == 0))
            execl(program, program, "settings", (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    while (length < sizeof output - 1 && (n = read(ends[0], output + length, sizeof output - 1 - length)) > 0)
        length += (size_t)n;
    output[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return output;
}

static void a_file_beside_the_program_is_found(void **state)
{
    (void)state;
    char expected[256];

    copy_program(0700);
    unsetenv("COUNTER_CONFIG");
    write_conf("site = beside\n", 14);
    const char *output = run_program(0);
    snprintf(expected, sizeof expected, "config|%s|default\n", conf);
    assert_non_null(strstr(output, expected));
    snprintf(expected, sizeof expected, "site|beside|%s:1\n", conf);
    assert_non_null(strstr(output, expected));

    unlink(conf);
    output = run_program(0);
    assert_null(strstr(output, folder));
    assert_non_null(strstr(output, access("/etc/counter.conf", F_OK) == 0 ? "/etc/counter.conf" : "config||default\n"));
}

static void an_unnamed_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    copy_program(0700);
    unsetenv("COUNTER_CONFIG");
    assert_int_equal(symlink("counter.conf", conf), 0); /* to itself, so that root cannot read it either */
    const char *output = run_program(0);
    assert_non_null(strstr(output, "error|config file"));
    assert_non_null(strstr(output, conf));
}

static void a_set_user_id_program_believes_neither_environment_nor_folder(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can make a set-user-id program for somebody else\n");
        skip();
    }
    assert_int_equal(chmod(folder, 0755), 0);
    copy_program(04755);
    write_conf("site = beside\n", 14);
    assert_int_equal(chmod(conf, 0644), 0);
    unsetenv("COUNTER_CONFIG");
    setenv("COUNTER_SITE", "environment", 1);
    setenv("XDG_STATE_HOME", "/environment", 1);
    const char *output = run_program(65534);
    if (strstr(output, "secure|0")) {
        print_message("set-user-id has no effect in %s\n", folder);
        skip();
    }
    assert_non_null(strstr(output, "secure|1\n"));
    assert_null(strstr(output, "beside"));
    assert_null(strstr(output, "environment"));
    if (access("/etc/counter.conf", F_OK) != 0)
        assert_non_null(strstr(output, "store|file:/var/lib/counter|default\n"));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "settings") == 0)
        return print_settings();

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_word_from_anywhere_the_defaults_hold),
        TEST(the_default_store_lies_in_the_state_folder),
        TEST(options_overrule_the_environment_and_it_the_file),
        TEST(every_setting_can_come_from_every_place),
        TEST(an_empty_value_asks_for_the_default),
        TEST(ranges_hold_at_both_ends_in_every_place),
        TEST(what_is_no_number_or_no_word_is_refused),
        TEST(control_characters_and_long_values_are_refused_everywhere),
        TEST(callers_of_other_versions_are_served),
        TEST(the_grammar_is_key_value_and_comment),
        TEST(a_nul_is_refused_with_its_line),
        TEST(a_call_that_returns_non_zero_ends_the_file),
        TEST(lengths_in_a_file_are_bounded),
        TEST(mistakes_in_a_file_are_named_with_their_place),
        TEST(portal_keys_are_bounded),
        TEST(a_named_file_must_exist_and_be_a_file),
        TEST(the_option_names_the_file_before_the_variable),
        TEST(every_setting_is_told_with_its_place),
        TEST(a_walk_over_the_settings_can_be_ended),
        TEST(a_listing_shows_urls_without_password_and_of_passwords_that_there_is_one),
        TEST(no_error_about_a_value_shows_a_password),
        TEST(no_error_about_a_line_shows_a_password),
        TEST(what_held_a_password_is_overwritten_before_it_is_freed),
        TEST(a_prefix_is_a_name),
        TEST(the_password_is_the_first_line_of_its_file),
        TEST(what_is_no_password_in_a_file_is_refused_and_not_shown),
        TEST(a_password_file_must_exist_and_not_be_for_everybody),
        TEST(the_file_is_read_only_where_it_is_needed),
        TEST(a_file_beside_the_program_is_found),
        TEST(an_unnamed_file_that_cannot_be_read_is_an_error),
        TEST(a_set_user_id_program_believes_neither_environment_nor_folder),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
