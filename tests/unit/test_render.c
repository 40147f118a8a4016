/* test_render.c: what the box says, character for character, in each format; and which rows are refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <counter.h>

enum { ROOM = 32768 };
static const char *const sample_rows = "online none; today none; this_week space; all_time none";

static struct counter_stats sample(void)
{
    return (struct counter_stats){
        .size = sizeof(struct counter_stats),
        .at = 1795403700,
        .online = 6,
        .window = {[COUNTER_TODAY] = {617, 702, 2310, 0},
                   [COUNTER_THIS_WEEK] = {12766, 14001, 51234, 0},
                   [COUNTER_ALL_TIME] = {1257021, 1600000, 7000000, 0.0081}},
    };
}

static char *render(const struct counter_stats *stats, enum counter_format format, const char *language,
                    const char *rows)
{
    static char buffer[ROOM];
    int length = counter_render(stats, format, language, rows, buffer, sizeof buffer);

    if (length < 0)
        fail_msg("%s", counter_error());
    assert_int_equal(length, strlen(buffer));
    assert_true(length < ROOM);
    return buffer;
}

/* The text between tags, without the tags' line ends: what a reader of the page sees. */
static char *seen(char *html)
{
    char *to = html;
    _Bool tag = 0;

    for (const char *from = html; *from; from++) {
        if (*from == '<')
            tag = 1;
        else if (*from == '>')
            tag = 0;
        else if (!tag)
            *to++ = *from;
    }
    *to = 0;
    return html;
}

static void the_portals_own_box_comes_out_character_for_character(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(
        seen(render(&stats, COUNTER_HTML, "vi", sample_rows)),
        "\nThống kê truy cập\n\nĐang online: 6\nHôm nay: 617\nTrong tuần: 12 766\nTất cả: 1257021\n\n\n");
    assert_string_equal(render(&stats, COUNTER_TEXT, "vi", sample_rows),
                        "Đang online: 6\nHôm nay:     617\nTrong tuần:  12 766\nTất cả:      1257021\n");
}

static void html_is_a_labelled_section_with_a_heading_and_a_list(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(
        render(&stats, COUNTER_HTML, NULL, "this_week visits"),
        "<section class=\"counter\" lang=\"vi\" aria-label=\"Thống kê truy cập\">\n"
        "<h2 class=\"counter-title\">Thống kê truy cập</h2>\n"
        "<ul class=\"counter-rows\">\n"
        "<li class=\"counter-row counter-this-week\" title=\"lượt truy cập\"><span class=\"counter-label\">"
        "Trong tuần:</span> <b class=\"counter-value\">14.001</b></li>\n"
        "</ul>\n"
        "</section>\n");
}

static void json_holds_the_asked_windows_once_each_with_all_their_units(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(render(&stats, COUNTER_JSON, "vi", "today hits \"Lượt\"; online; all_time; today visits space"),
                        "{\"today\":{\"visitors\":617,\"visits\":702,\"hits\":2310,\"error\":0},\"online\":6,"
                        "\"all_time\":{\"visitors\":1257021,\"visits\":1600000,\"hits\":7000000,\"error\":0.008100},"
                        "\"at\":1795403700}\n");
    stats.online_floor = 1;
    assert_string_equal(render(&stats, COUNTER_JSON, "vi", "online"),
                        "{\"online\":6,\"online_floor\":true,\"at\":1795403700}\n");
    assert_string_equal(render(NULL, COUNTER_JSON, "en", "online; today"),
                        "{\"online\":null,\"today\":null,\"at\":null}\n");
}

static void without_statistics_every_row_is_a_dash(void **state)
{
    (void)state;
    assert_string_equal(render(NULL, COUNTER_TEXT, "en", NULL),
                        "Online now: –\nToday:      –\nThis week:  –\nAll time:   –\n");
    assert_string_equal(seen(render(NULL, COUNTER_HTML, "vi", "today; all_time hits")),
                        "\nThống kê truy cập\n\nHôm nay: –\nTất cả: –\n\n\n");
}

static void the_default_is_the_four_rows_with_the_languages_separator(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(render(&stats, COUNTER_TEXT, NULL, NULL),
                        "Đang online: 6\nHôm nay:     617\nTrong tuần:  12.766\nTất cả:      1.257.021\n");
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", NULL),
                        "Online now: 6\nToday:      617\nThis week:  12,766\nAll time:   1,257,021\n");
}

static void every_window_has_a_label_of_its_own_in_both_languages(void **state)
{
    static const char *const all = "online;today;yesterday;this_week;last_week;this_month;last_month;this_year;"
                                   "last_year;all_time";
    struct counter_stats stats = sample();
    uint32_t want = 0;

    (void)state;
    for (int i = 0; i < COUNTER_WINDOWS; i++)
        stats.window[i].visitors = 100 + i;
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", all),
                        "Online now: 6\nToday:      100\nYesterday:  103\nThis week:  101\nLast week:  104\n"
                        "This month: 105\nLast month: 106\nThis year:  107\nLast year:  108\nAll time:   102\n");
    assert_string_equal(render(&stats, COUNTER_TEXT, "vi", all),
                        "Đang online: 6\nHôm nay:     100\nHôm qua:     103\nTrong tuần:  101\nTuần trước:  104\n"
                        "Trong tháng: 105\nTháng trước: 106\nTrong năm:   107\nNăm trước:   108\nTất cả:      102\n");
    assert_int_equal(counter_rows_want(all, &want), 0);
    assert_int_equal(want, COUNTER_WANT_ALL);
}

static void rows_want_names_the_windows_of_the_rows_and_nothing_else(void **state)
{
    uint32_t want = 77;

    (void)state;
    assert_int_equal(counter_rows_want(NULL, &want), 0);
    assert_int_equal(want, COUNTER_WANT_BOX);
    assert_int_equal(counter_rows_want(" yesterday ;; yesterday hits; ", &want), 0);
    assert_int_equal(want, 1u << COUNTER_YESTERDAY);
    assert_int_equal(counter_rows_want("online", &want), 0);
    assert_int_equal(want, 0);
    assert_int_equal(counter_rows_want("last_year", NULL), 0);
}

/* An oracle of another kind than the code: prints the groups from the left, by arithmetic. */
static void group_by_arithmetic(char *out, long long number, const char *separator)
{
    char smaller[64];

    if (number < 1000) {
        sprintf(out, "%lld", number);
        return;
    }
    group_by_arithmetic(smaller, number / 1000, separator);
    sprintf(out, "%s%s%03lld", smaller, separator, number % 1000);
}

static void digits_are_grouped_in_threes_from_the_right(void **state)
{
    static const struct {
        const char *rows, *separator;
    } kinds[] = {{"today none", ""}, {"today space", " "}, {"today dot", "."}, {"today comma", ","}};
    struct counter_stats stats = sample();
    char number[64], expected[80];

    (void)state;
    for (size_t kind = 0; kind < 4; kind++) {
        long long value = 0;
        for (int digits = 0; digits < 19; digits++, value = value * 10 + digits % 10) {
            stats.window[COUNTER_TODAY].visitors = value;
            group_by_arithmetic(number, value, kinds[kind].separator);
            sprintf(expected, "Today: %s\n", number);
            assert_string_equal(render(&stats, COUNTER_TEXT, "en", kinds[kind].rows), expected);
        }
    }
    stats.window[COUNTER_TODAY].visitors = INT64_MAX;
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", "today"), "Today: 9,223,372,036,854,775,807\n");
    stats.window[COUNTER_TODAY].visitors = INT64_MIN;
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", "today"), "Today: -9,223,372,036,854,775,808\n");
    stats.window[COUNTER_TODAY].visitors = -617;
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", "today"), "Today: -617\n");
}

static void the_title_names_the_unit_and_how_far_a_figure_may_be_off(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "vi", "all_time"), "title=\"khách truy cập, ± 0,8 %\""));
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "en", "all_time"), "title=\"visitors, ± 0.8 %\""));
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "en", "all_time visits"), "title=\"visits\""));
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "vi", "all_time hits"), "title=\"lượt xem\""));
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "en", "today"), "title=\"visitors\""));
    stats.window[COUNTER_TODAY].error = 1e-9;
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "en", "today"), "title=\"visitors, ± 0.1 %\""));
    assert_non_null(strstr(render(&stats, COUNTER_JSON, "en", "today"), "\"error\":0.000001}"));
    stats.window[COUNTER_TODAY].error = 12.5;
    assert_non_null(strstr(render(&stats, COUNTER_JSON, "en", "today"), "\"error\":12.500000}"));
}

static void an_error_that_is_no_number_harms_nothing(void **state)
{
    static const double odd[] = {-1, -0.0, 0.0 / 0.0, 1.0 / 0.0, 1e300};
    struct counter_stats stats = sample();

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        stats.window[COUNTER_TODAY].error = odd[i];
        assert_null(strpbrk(render(&stats, COUNTER_JSON, "en", "today"), "-nN"));
        render(&stats, COUNTER_HTML, "en", "today");
    }
}

static void a_lower_bound_of_online_says_so(void **state)
{
    struct counter_stats stats = sample();
    char *html;

    (void)state;
    stats.online_floor = 1;
    html = render(&stats, COUNTER_HTML, "vi", "online; today");
    assert_non_null(strstr(html, "title=\"ít nhất, khách truy cập\""));
    assert_non_null(strstr(html, ">6+</b>"));
    assert_non_null(strstr(html, ">617</b>"));
    assert_string_equal(render(&stats, COUNTER_TEXT, "en", "online"), "Online now: 6+\n");
}

static void labels_are_escaped_and_may_hold_semicolons(void **state)
{
    struct counter_stats stats = sample();
    const char *rows = "today \"<b title='x'>&;y\" ; online";

    (void)state;
    assert_non_null(strstr(render(&stats, COUNTER_HTML, "vi", rows),
                           ">&lt;b title=&#39;x&#39;&gt;&amp;;y:</span> <b class=\"counter-value\">617</b>"));
    assert_string_equal(render(&stats, COUNTER_TEXT, "vi", rows), "<b title='x'>&;y: 617\nĐang online:      6\n");
}

static void text_lines_up_composed_and_decomposed_accents(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(render(&stats, COUNTER_TEXT, "vi", "today \"ế\"; today \"e\xcc\x82\xcc\x81\"; today \"abc\""),
                        "ế:   617\ne\xcc\x82\xcc\x81:   617\nabc: 617\n");
}

static void words_may_stand_in_any_order_and_between_any_white_space(void **state)
{
    struct counter_stats stats = sample();

    (void)state;
    assert_string_equal(
        render(&stats, COUNTER_TEXT, "vi", "\n today\t\"Xem\"  space hits\r\n;\n;today none \"Xem\"hits;"),
        "Xem: 2 310\nXem: 2310\n");
}

static void every_buffer_size_gives_the_same_length_and_a_prefix(void **state)
{
    static const enum counter_format formats[] = {COUNTER_HTML, COUNTER_TEXT, COUNTER_JSON};
    struct counter_stats stats = sample();

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        char *whole = strdup(render(&stats, formats[f], "vi", sample_rows));
        size_t length = strlen(whole);

        assert_int_equal(counter_render(&stats, formats[f], "vi", sample_rows, NULL, 0), length);
        for (size_t size = 1; size <= length + 2; size++) {
            char *exact = malloc(size); /* so that a sanitizer sees a byte too many */
            size_t kept = size > length ? length : size - 1;

            memset(exact, 'x', size);
            assert_int_equal(counter_render(&stats, formats[f], "vi", sample_rows, exact, size), length);
            assert_memory_equal(exact, whole, kept);
            assert_int_equal(exact[kept], 0);
            free(exact);
        }
        free(whole);
    }
}

static void refused(const char *rows, const char *reason)
{
    uint32_t want = 77;

    assert_int_equal(counter_rows_want(rows, &want), COUNTER_EINVAL);
    assert_int_equal(want, 77);
    if (!strstr(counter_error(), reason))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), reason);
    assert_int_equal(counter_render(NULL, COUNTER_TEXT, "vi", rows, NULL, 0), COUNTER_EINVAL);
}

static void rows_that_break_a_rule_are_refused_by_name(void **state)
{
    (void)state;
    refused("", "none is named");
    refused(" ; ;", "none is named");
    refused("online; tody", "row 2, \"tody\": not one of online today");
    refused("TODAY", "\"TODAY\": not one of");
    refused("today visitor", "\"visitor\": not a unit");
    refused("today visitors hits", "\"hits\": a row has one unit");
    refused("today visitors visitors", "a row has one unit");
    refused("today dot comma", "\"comma\": a row has one separator");
    refused("online visits", "\"visits\": online counts visitors");
    refused("today \"a\" \"b\"", "\"b\": a row has one label");
    refused("today \"\"", "a label has 1 to 100 bytes");
    refused("today \"a", "must end in a double quote");
    refused("today \"", "must end in a double quote");
    refused("today\"a\"", "not one of");
    refused("\"a\" today", "not one of");
}

static void labels_are_utf8_of_at_most_100_bytes(void **state)
{
    static const char *const bad[] = {"a\x01",
                                      "\x7f",
                                      "\xc2\x85",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\x80",
                                      "a\xc3",
                                      "\xe1\xba",
                                      "\xf0\x9f\x98",
                                      "\xf0\x80\x80\xaf",
                                      "\xe1\x28\xa1",
                                      "\xff"};
    char rows[256];
    uint32_t want;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sprintf(rows, "today \"%s\"", bad[i]);
        refused(rows, "must be UTF-8 without control characters");
    }
    assert_int_equal(counter_rows_want("today \"é ế 😀 \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf \xc2\xa0\"", &want),
                     0);
    sprintf(rows, "today \"%0100d\"", 0);
    assert_int_equal(counter_rows_want(rows, &want), 0);
    sprintf(rows, "today \"%0101d\"", 0);
    refused(rows, "a label has 1 to 100 bytes");
}

static void thirty_two_rows_and_4096_bytes_are_the_most(void **state)
{
    char rows[4200] = "";
    uint32_t want;

    (void)state;
    for (int i = 0; i < 32; i++)
        strcat(rows, "today;");
    assert_int_equal(counter_rows_want(rows, &want), 0);
    strcat(rows, "today");
    refused(rows, "more than 32");
    memset(rows, ' ', 4096);
    memcpy(rows, "today", 5);
    rows[4096] = 0;
    assert_int_equal(counter_rows_want(rows, &want), 0);
    rows[4096] = ' ';
    rows[4097] = 0;
    refused(rows, "longer than 4096 bytes");
}

static void wrong_arguments_are_named(void **state)
{
    struct counter_stats stats = sample();
    char buffer[8] = "kept";

    (void)state;
    assert_int_equal(counter_render(&stats, COUNTER_TEXT, "fr", NULL, buffer, sizeof buffer), COUNTER_EINVAL);
    assert_non_null(strstr(counter_error(), "language \"fr\""));
    assert_int_equal(counter_render(&stats, (enum counter_format)9, "vi", NULL, buffer, sizeof buffer), COUNTER_EINVAL);
    assert_non_null(strstr(counter_error(), "format 9"));
    assert_int_equal(counter_render(&stats, COUNTER_TEXT, "vi", NULL, NULL, 5), COUNTER_EINVAL);
    stats.size = 0;
    assert_int_equal(counter_render(&stats, COUNTER_TEXT, "vi", NULL, buffer, sizeof buffer), COUNTER_EINVAL);
    assert_non_null(strstr(counter_error(), "stats.size is 0"));
    assert_string_equal(buffer, "kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_portals_own_box_comes_out_character_for_character),
        cmocka_unit_test(html_is_a_labelled_section_with_a_heading_and_a_list),
        cmocka_unit_test(json_holds_the_asked_windows_once_each_with_all_their_units),
        cmocka_unit_test(without_statistics_every_row_is_a_dash),
        cmocka_unit_test(the_default_is_the_four_rows_with_the_languages_separator),
        cmocka_unit_test(every_window_has_a_label_of_its_own_in_both_languages),
        cmocka_unit_test(rows_want_names_the_windows_of_the_rows_and_nothing_else),
        cmocka_unit_test(digits_are_grouped_in_threes_from_the_right),
        cmocka_unit_test(the_title_names_the_unit_and_how_far_a_figure_may_be_off),
        cmocka_unit_test(an_error_that_is_no_number_harms_nothing),
        cmocka_unit_test(a_lower_bound_of_online_says_so),
        cmocka_unit_test(labels_are_escaped_and_may_hold_semicolons),
        cmocka_unit_test(text_lines_up_composed_and_decomposed_accents),
        cmocka_unit_test(words_may_stand_in_any_order_and_between_any_white_space),
        cmocka_unit_test(every_buffer_size_gives_the_same_length_and_a_prefix),
        cmocka_unit_test(rows_that_break_a_rule_are_refused_by_name),
        cmocka_unit_test(labels_are_utf8_of_at_most_100_bytes),
        cmocka_unit_test(thirty_two_rows_and_4096_bytes_are_the_most),
        cmocka_unit_test(wrong_arguments_are_named),
    };

    return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
