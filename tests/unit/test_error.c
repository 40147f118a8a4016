/* test_error.c: one text per thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

static void a_thread_that_never_failed_has_an_empty_text(void **state)
{
    (void)state;
    error_clear();
    assert_string_equal(counter_error(), "");
}

static void setting_an_error_returns_its_code_and_keeps_its_text(void **state)
{
    (void)state;
    assert_int_equal(error_set(COUNTER_ETIME, "day %d of %s", 31, "June"), COUNTER_ETIME);
    assert_string_equal(counter_error(), "day 31 of June");
    error_clear();
    assert_string_equal(counter_error(), "");
}

static void an_error_may_quote_the_one_before_it(void **state)
{
    (void)state;
    error_set(COUNTER_EIO, "the cause");
    error_set(COUNTER_EIO, "outer: %s", counter_error());
    assert_string_equal(counter_error(), "outer: the cause");
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    char text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(COUNTER_EINVAL, "%s", text);
    assert_int_equal(strlen(counter_error()), ERROR_TEXT - 1);
    assert_memory_equal(counter_error(), text, ERROR_TEXT - 1);
}

static void a_system_error_keeps_its_reason_behind_the_longest_text(void **state)
{
    (void)state;
    char text[2000], tail[200];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(error_system(ENOSPC, "%s", text), COUNTER_EFULL);
    snprintf(tail, sizeof tail, "x: %s", strerror(ENOSPC));
    assert_true(strlen(counter_error()) < ERROR_TEXT);
    assert_string_equal(counter_error() + strlen(counter_error()) - strlen(tail), tail);
    error_system(99999, "cannot open");
    assert_string_equal(counter_error(), "cannot open: Unknown error 99999");
}

static void a_system_error_has_the_code_of_its_number(void **state)
{
    (void)state;
    static const struct {
        int number, code;
    } cases[] = {{ENOSPC, COUNTER_EFULL},   {EDQUOT, COUNTER_EFULL},  {EFBIG, COUNTER_EFULL},
                 {EACCES, COUNTER_EACCESS}, {EPERM, COUNTER_EACCESS}, {EROFS, COUNTER_EACCESS},
                 {ELOOP, COUNTER_EACCESS},  {ENOMEM, COUNTER_ENOMEM}, {EIO, COUNTER_EIO},
                 {ENOENT, COUNTER_EIO},     {EINVAL, COUNTER_EIO},    {0, COUNTER_EIO}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(error_system(cases[i].number, "x"), cases[i].code);
}

static void a_quoted_value_is_printable_ascii_and_bounded(void **state)
{
    (void)state;
    char buffer[ERROR_QUOTED], text[300];

    assert_string_equal(error_quote(buffer, "a\x1b[31m\nb\x7f~", 10), "a?[31m?b?~");
    assert_string_equal(error_quote(buffer, "Hôm", 4), "H??m");
    assert_string_equal(error_quote(buffer, "a\0b", 3), "a?b");
    assert_string_equal(error_quote(buffer, "abc", 2), "ab");
    assert_string_equal(error_quote(buffer, "", 0), "");
    assert_string_equal(error_quote(buffer, NULL, 0), "");

    memset(text, 'y', sizeof text);
    assert_int_equal(strlen(error_quote(buffer, text, ERROR_QUOTED - 1)), ERROR_QUOTED - 1);
    assert_null(strstr(buffer, "..."));
    assert_int_equal(strlen(error_quote(buffer, text, ERROR_QUOTED)), ERROR_QUOTED - 1);
    assert_string_equal(buffer + ERROR_QUOTED - 5, "y...");
    error_quote(buffer, text, sizeof text);
    assert_string_equal(buffer + ERROR_QUOTED - 5, "y...");
}

enum { THREADS = 4, ROUNDS = 1000 };

static pthread_barrier_t barrier;

/* All write, and only then all read. */
static void *read_own_text(void *arg)
{
    char expected[64];
    uintptr_t bad = 0;

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(expected, sizeof expected, "thread %p round %d", arg, i);
        error_set(COUNTER_EIO, "thread %p round %d", arg, i);
        pthread_barrier_wait(&barrier);
        bad += strcmp(counter_error(), expected) != 0;
        pthread_barrier_wait(&barrier);
    }
    return (void *)bad;
}

static void no_thread_reads_anothers_text(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    char id[THREADS];
    void *bad;

    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_own_text, &id[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
    pthread_barrier_destroy(&barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_never_failed_has_an_empty_text),
        cmocka_unit_test(setting_an_error_returns_its_code_and_keeps_its_text),
        cmocka_unit_test(an_error_may_quote_the_one_before_it),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(a_system_error_keeps_its_reason_behind_the_longest_text),
        cmocka_unit_test(a_system_error_has_the_code_of_its_number),
        cmocka_unit_test(a_quoted_value_is_printable_ascii_and_bounded),
        cmocka_unit_test(no_thread_reads_anothers_text),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
