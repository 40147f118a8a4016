/* test_abi.c: structs of older and newer callers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "abi.h"

struct version1 {
    size_t size;
    uint64_t a;
};
struct version2 {
    size_t size;
    uint64_t a, b;
};
struct version3 {
    size_t size;
    uint64_t a, b, c;
};

static void the_same_version_is_copied_whole(void **state)
{
    (void)state;
    struct version2 given = {sizeof given, 1, 2}, known;

    memset(&known, 0xaa, sizeof known);
    assert_int_equal(abi_copy(&known, sizeof known, &given, "struct x"), 0);
    assert_memory_equal(&known, &given, sizeof given);
}

static void members_an_older_caller_lacks_are_zero(void **state)
{
    (void)state;
    struct version1 *given = malloc(sizeof *given); /* a sanitizer sees a read behind it */
    struct version2 known;

    *given = (struct version1){sizeof *given, 1};
    memset(&known, 0xaa, sizeof known);
    assert_int_equal(abi_copy(&known, sizeof known, given, "struct x"), 0);
    assert_int_equal(known.size, sizeof *given);
    assert_int_equal(known.a, 1);
    assert_int_equal(known.b, 0);
    free(given);
}

static void a_newer_caller_may_not_use_what_we_do_not_know(void **state)
{
    (void)state;
    struct version3 given = {sizeof given, 1, 2, 0};
    struct version2 known;

    assert_int_equal(abi_copy(&known, sizeof known, &given, "struct x"), 0);
    assert_int_equal(known.b, 2);
    ((unsigned char *)&given)[sizeof given - 1] = 1;
    assert_int_equal(abi_copy(&known, sizeof known, &given, "struct x"), COUNTER_EINVAL);
    assert_non_null(strstr(counter_error(), "struct x"));
    assert_non_null(strstr(counter_error(), counter_version()));
}

static void a_size_that_was_never_set_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,           1,        sizeof(size_t), sizeof(size_t) + 1, 2 * sizeof(size_t) + 1,
                                   ABI_MAX + 8, SIZE_MAX, SIZE_MAX - 7};
    struct version2 known = {0};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct version2 given = {sizes[i], 1, 2};
        assert_int_equal(abi_copy(&known, sizeof known, &given, "struct x"), COUNTER_EINVAL);
        assert_non_null(strstr(counter_error(), "set it to sizeof (struct x), 24"));
    }
    assert_int_equal(abi_copy(&known, sizeof known, NULL, "struct x"), COUNTER_EINVAL);
}

static void results_are_written_as_far_as_the_callers_struct_goes(void **state)
{
    (void)state;
    struct version2 known = {99, 1, 2};
    struct version3 given[2] = {{sizeof(struct version1), 7, 7, 7}, {sizeof(struct version3), 7, 7, 7}};

    abi_give(&given[0], &known, sizeof known);
    assert_int_equal(given[0].size, sizeof(struct version1));
    assert_int_equal(given[0].a, 1);
    assert_int_equal(given[0].b, 7);
    abi_give(&given[1], &known, sizeof known);
    assert_int_equal(given[1].size, sizeof(struct version3));
    assert_int_equal(given[1].b, 2);
    assert_int_equal(given[1].c, 7);
}

/* What a later version appends must not begin where an older caller has padding, which may hold anything. */
#define ENDS_AT(type, last) assert_int_equal(offsetof(type, last) + sizeof((type){0}.last), sizeof(type))

static void public_structs_end_with_a_member_not_with_padding(void **state)
{
    (void)state;
    ENDS_AT(struct counter_options, timezone);
    ENDS_AT(struct counter_hit, reserved);
    ENDS_AT(struct counter_stats, window);
    ENDS_AT(struct counter_tally, refused);
    ENDS_AT(struct counter_site, baseline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_version_is_copied_whole),
        cmocka_unit_test(members_an_older_caller_lacks_are_zero),
        cmocka_unit_test(a_newer_caller_may_not_use_what_we_do_not_know),
        cmocka_unit_test(a_size_that_was_never_set_is_refused),
        cmocka_unit_test(results_are_written_as_far_as_the_callers_struct_goes),
        cmocka_unit_test(public_structs_end_with_a_member_not_with_padding),
    };
    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
