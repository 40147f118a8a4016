/* What only a store in files can do: lose a file, find one damaged or not to be written, have one taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/conformance.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget_file(const struct place *place, const char *name)
{
    char path[SCRATCH_FILE];
    assert_int_equal(unlink(scratch_file(path, place->folder, name)), 0);
}

static void a_site_is_not_counted_with_another_key_when_its_own_was_lost(void **state)
{
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    forget_file(*state, "key");
    c = open_at(state);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1); /* it can still be shown */
    assert_error(try_count(c, "an", MIDNIGHT), COUNTER_ECONFLICT, "another key");
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

/* A failure means that nothing was counted, also where it is the answer that fails. */
static void a_hit_whose_numbers_cannot_be_read_is_not_counted(void **state)
{
    const struct place *place = *state;
    struct counter *c = open_at(state);
    struct counter_hit hit = hit_of("an", MIDNIGHT + 1);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    char path[SCRATCH_FILE];
    size_t size;

    count(c, "an", MIDNIGHT - 10);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    unsigned char *bytes = scratch_load(scratch_file(path, place->folder, "portal.2025-12.days"), &size);
    bytes[20] ^= 1; /* in the header */
    scratch_save(path, bytes, size);
    c = open_at(state);
    assert_int_equal(counter_record(c, &hit, &stats), COUNTER_EFORMAT);
    bytes[20] ^= 1;
    scratch_save(path, bytes, size);
    free(bytes);
    assert_int_equal(hits_ever(c, MIDNIGHT + 1), 2);
    assert_int_equal(counter_record(c, &hit, &stats), 0);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 3);
    counter_close(c);
}

static void a_file_that_may_only_be_read_is_shown_and_not_counted(void **state)
{
    const struct place *place = *state;
    char path[SCRATCH_FILE];
    if (geteuid() == 0)
        skip(); /* root may write anything */
    struct counter *c = open_at(state);
    count(c, "an", MIDNIGHT);
    counter_close(c);
    assert_int_equal(chmod(scratch_file(path, place->folder, "portal.counter"), 0400), 0);
    c = open_at(state);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    assert_int_equal(try_count(c, "an", MIDNIGHT), COUNTER_EACCESS);
    assert_int_equal(hits_ever(c, MIDNIGHT), 1);
    counter_close(c);
}

/* Retention removes a month's file while others have it mapped: they let go of it, and of nothing else. */
struct crowd {
    struct counter *c;
    _Atomic(bool) end;
};

static void *count_until_the_end(void *arg)
{
    struct crowd *crowd = arg;
    intptr_t counted = 0;
    while (!atomic_load(&crowd->end))
        counted += try_count(crowd->c, "an", MIDNIGHT + 40 * DAY) == 0;
    return (void *)counted;
}

static void no_hit_is_lost_when_an_old_month_goes(void **state)
{
    struct crowd crowd = {.c = open_at(state)};
    pthread_t thread[3];
    int64_t counted = 21;
    for (int i = 0; i < 20; i++)
        count(crowd.c, "an", MIDNIGHT + 100);
    count(crowd.c, "an", MIDNIGHT + 40 * DAY); /* the month that goes was summed */
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_until_the_end, &crowd), 0);
    scratch_sleep_ms(120);
    forget_file(*state, "portal.2026-01.days");
    scratch_sleep_ms(300);
    atomic_store(&crowd.end, true);
    for (int i = 0; i < 3; i++) {
        void *by_one;
        pthread_join(thread[i], &by_one);
        counted += (intptr_t)by_one;
    }
    assert_int_equal(hits_ever(crowd.c, MIDNIGHT + 40 * DAY), counted);
    counter_close(crowd.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(a_site_is_not_counted_with_another_key_when_its_own_was_lost),
        IN_FILES(a_hit_whose_numbers_cannot_be_read_is_not_counted),
        IN_FILES(a_file_that_may_only_be_read_is_shown_and_not_counted),
        IN_FILES(no_hit_is_lost_when_an_old_month_goes),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, places_end);
}
