/*
 * Memory that runs out: every allocation that the library asks for fails once, each in a run of its own. The call says
 * COUNTER_ENOMEM or goes on without; nothing crashes, leaks or is half done, and the same handle works afterwards.
 *
 * The functions below take the place of the C library's in the whole program, as malloc(3) allows ("Replacing malloc"
 * in the glibc manual; visible, or strdup would not find them). They pass on to it, count what is out, and fail one call
 * where a test asks for it.
 */
#include "../support/scratch.h"

#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOON = 1709096400 }; /* 2024-02-28T12:00:00+07:00 */

static _Atomic bool watched; /* only while the library is called */
static _Atomic long calls, outstanding;
static _Atomic long fails = -1; /* the number of the call that fails */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef OWN_MALLOC
#endif
#endif

#ifdef OWN_MALLOC

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *block);

static bool must_fail(void)
{
    if (!watched || calls++ != fails)
        return false;
    errno = ENOMEM;
    return true;
}

static void *given(void *block)
{
    outstanding += watched && block;
    return block;
}

COUNTER_API void *malloc(size_t size)
{
    return must_fail() ? NULL : given(__libc_malloc(size));
}

COUNTER_API void *calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : given(__libc_calloc(n, size));
}

COUNTER_API void *realloc(void *old, size_t size)
{
    if (must_fail())
        return NULL;
    void *block = __libc_realloc(old, size);
    return old ? block : given(block);
}

COUNTER_API void free(void *block)
{
    outstanding -= watched && block;
    __libc_free(block);
}

/* The name of a file's owner may come from anywhere: the C library loads whole libraries for it, and keeps them. */
COUNTER_API int getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **found)
{
    (void)uid;
    (void)user;
    (void)buffer;
    (void)size;
    *found = NULL;
    return 0;
}

#endif

/* ---- What is called ------------------------------------------------------------------------------------------------- */

static char folder[SCRATCH_PATH];

struct run {
    int worst;       /* the first result below zero */
    int64_t counted; /* hits that were acknowledged */
    unsigned rows;
    bool broken; /* said counter_check */
};

static int note(struct run *run, int result)
{
    if (result < 0 && run->worst == 0)
        run->worst = result;
    return result;
}

static int count_row(void *arg, const struct counter_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return 0;
}

static int skip_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg;
    (void)fact;
    return 0;
}

/* Everything that may allocate, on one handle. */
static void use_everything(const struct counter_options *options, struct run *run)
{
    static const int64_t moments[] = {NOON, NOON + 86400, NOON + 2 * 86400}; /* the last in another month */
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    char text[32], box[2048];
    struct counter *c;

    if (note(run, counter_open(&c, options)) < 0)
        return;
    for (int i = 0; i < 3; i++) {
        struct counter_hit hit = {.size = sizeof hit,
                                  .at = moments[i],
                                  .address = "192.0.2.1",
                                  .forwarded = "198.51.100.7, 10.0.0.1",
                                  .agent = "agent"};
        run->counted += note(run, counter_record(c, &hit, NULL)) >= 0;
    }
    note(run, counter_read(c, NULL, NOON + 3 * 86400, &stats));
    note(run, counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, count_row, &run->rows));
    note(run, counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, count_row, &run->rows));
    note(run, counter_sites(c, count_row, &run->rows));
    if (note(run, counter_check(c, NULL, skip_fact, NULL)) == COUNTER_BROKEN)
        run->broken = true;
    note(run, counter_local_time(c, "other", NOON, text, sizeof text));
    note(run, counter_render(&stats, COUNTER_HTML, NULL, NULL, box, sizeof box));
    note(run, counter_settings(options, skip_fact, NULL));
    note(run, counter_sync(c));
    counter_close(c);
}

static void run_once(const struct counter_options *options, long failing, struct run *run)
{
    *run = (struct run){0};
    calls = 0;
    outstanding = 0;
    fails = failing;
    watched = true;
    use_everything(options, run);
    watched = false;
}

/* Nothing of the run before may be left, or hits would be counted twice. */
static void begin_anew(void)
{
    scratch_remove(folder);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static int64_t hits_there(const struct counter_options *options)
{
    struct counter *c;
    assert_int_equal(counter_open(&c, options), 0);
    int64_t hits = scratch_read(c, NOON + 3 * 86400).window[COUNTER_ALL_TIME].hits;
    counter_close(c);
    return hits;
}

static void fail_each(const char *store)
{
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = "portal",
                                      .trusted_proxies = "private 192.0.2.0/24",
                                      .exclude = "203.0.113.0/24",
                                      .timezone = "Asia/Ho_Chi_Minh"};
    bool file = strcmp(store, "memory:") != 0;
    struct run run;

    run_once(&options, -1, &run); /* the C library's own caches are filled by this one */
    begin_anew();
    run_once(&options, -1, &run);
    assert_int_equal(run.worst, 0);
    assert_int_equal(run.counted, 3);
    assert_int_equal(outstanding, 0);
    long all = calls, tried = 0, refused = 0;
    /* counter_check asks for each month of 68 years alike: of those in the middle a few will do */
    for (long i = 0; i < all; i += i < 64 || i + 64 > all ? 1 : 37) {
        begin_anew();
        run_once(&options, i, &run);
        if (run.worst != 0 && run.worst != COUNTER_ENOMEM)
            fail_msg("allocation %ld of %ld: code %d, %s", i, all, run.worst, counter_error());
        tried++;
        refused += run.worst != 0 || run.broken;
        if (outstanding != 0)
            fail_msg("allocation %ld of %ld: %ld blocks leaked", i, all, (long)outstanding);
        if (file && scratch_has(folder, ".counter"))
            assert_int_equal(hits_there(&options), run.counted);
        assert_false(scratch_has(folder, ".new-"));
    }
    fprintf(stderr, "# %s: %ld of %ld allocations failed, %ld errors\n", file ? "file" : "memory", tried, all, refused);
    assert_true(refused > tried / 2);
}

static void every_failing_allocation_is_an_error_without_crash_or_leak(void **state)
{
    (void)state;
#ifndef OWN_MALLOC
    fputs("# skipped: a sanitizer has malloc for itself\n", stderr);
    skip();
#endif
    if (scratch_is_instrumented()) {
        fputs("# skipped: valgrind has malloc for itself\n", stderr);
        skip();
    }
    char store[SCRATCH_FILE];
    scratch_make(folder);
    snprintf(store, sizeof store, "file:%s", folder);
    fail_each(store);
    fail_each("memory:");
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_an_error_without_crash_or_leak),
    };
    return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
