/*
 * A writer that is stopped between any two instructions of the first hit of a new day, while others count on.
 *
 * The child that has this hit is single-stepped. A first run notes after which instructions the files had changed: that
 * is where a rollover is half done. Then one child a case is stopped there (and at places spread evenly over the whole
 * call), the parent counts hits of both days and reads, and the child goes on. Whatever the moment, the numbers must come
 * out the same. The day is the first of a month, so a new file is made on the way, and visitors are due to be forgotten.
 */
#include "../support/scale.h"
#include "../support/scratch.h"
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { FEBRUARY = 1706720400 }; /* 2024-02-01T00:00:00+07:00, a Thursday */
enum { DAY = 86400, OLD = 10, YESTERDAYS = 30, STEPS = 400000, STORES = 512, GRID = 64 };

static char folder[SCRATCH_PATH];
static int folder_fd = -1;

static struct site *open_portal(bool create)
{
    struct site_plan plan = {.timezone = "+07:00", .line_bits = 4, .forget_days = getenv("FD")?1:35};
    struct site *site;
    return site_open(&site, folder_fd, "portal", &plan, 3600000, create) < 0 ? NULL : site;
}

static int hit(struct site *site, uint64_t visitor, int64_t at)
{
    struct store_hit given = {.at = at, .id = visitor * UINT64_C(0x9e3779b97f4a7c15)};
    return site_record(site, &given);
}

/* ---- The state before: two days, 10 visitors who are due to be forgotten, 30 of yesterday ---------------------------- */

static const char *const files[] = {"portal.counter", "portal.2024-01.days"};
static unsigned char *before[2];
static size_t before_size[2];

static void make_state(void)
{
    char path[SCRATCH_FILE];
    scratch_make(folder);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct site *site = open_portal(true);
    assert_non_null(site);
    for (unsigned v = 0; v < OLD; v++)
        assert_int_equal(hit(site, 1000 + v, FEBRUARY - 2 * DAY + 3600 + v), 0);
    for (unsigned v = 1; v <= YESTERDAYS; v++)
        assert_int_equal(hit(site, v, FEBRUARY - 3600 + v), 0);
    site_close(site);
    for (int i = 0; i < 2; i++)
        before[i] = scratch_load(scratch_file(path, folder, files[i]), &before_size[i]);
}

static void restore_state(void)
{
    char path[SCRATCH_FILE];
    for (int i = 0; i < 2; i++)
        scratch_save(scratch_file(path, folder, files[i]), before[i], before_size[i]);
    unlinkat(folder_fd, "portal.2024-02.days", 0);
}

/* ---- The child ------------------------------------------------------------------------------------------------------- */

enum { CHILDS = 500 }; /* the visitor whose hit opens the day */

static void open_the_day(void *arg)
{
    (void)arg;
    struct site *site = open_portal(false);
    scratch_expect(site);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        scratch_skip("ptrace is not permitted");
    raise(SIGSTOP);
    scratch_expect(hit(site, CHILDS, FEBRUARY + 10) == 0);
    raise(SIGSTOP);
    site_close(site);
}

/* Started and stopped before its hit; 0 where it may not be traced. */
static pid_t start_child(void)
{
    int status;
    pid_t pid = scratch_start(open_the_day, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SCRATCH_SKIPPED)
        return 0;
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    return pid;
}

/* One instruction; false when the hit is done. */
static bool step(pid_t pid)
{
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status) != SIGSTOP;
}

static void let_go(pid_t pid)
{
    int status;
    assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSTOPPED(status)) { /* its hit is done */
        assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Where it stores ------------------------------------------------------------------------------------------------ */

/* What a hit may change, seen through mappings of our own: everything up to the year's sketch, and both months. */
struct watch {
    unsigned char *base, *copy;
    size_t size;
};

static bool watch_file(struct watch *watch, const char *name, size_t limit)
{
    struct stat st;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    assert_int_equal(fstat(fd, &st), 0);
    watch->size = (size_t)st.st_size < limit ? (size_t)st.st_size : limit;
    watch->base = mmap(NULL, watch->size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(watch->base != MAP_FAILED);
    close(fd);
    watch->copy = malloc(watch->size);
    assert_non_null(watch->copy);
    memcpy(watch->copy, watch->base, watch->size);
    return true;
}

static bool changed(struct watch *watch)
{
    if (!watch->base || memcmp(watch->base, watch->copy, watch->size) == 0)
        return false;
    memcpy(watch->copy, watch->base, watch->size);
    return true;
}

static void unwatch(struct watch *watch)
{
    if (watch->base)
        munmap(watch->base, watch->size);
    free(watch->copy);
}

/* Steps through the whole hit; stores[] gets the instructions after which a file had changed. */
static unsigned find_stores(unsigned stores[STORES], unsigned *steps)
{
    struct watch watch[3] = {{0}};
    unsigned found = 0;

    restore_state();
    assert_true(watch_file(&watch[0], files[0], layout_table_end(4)));
    assert_true(watch_file(&watch[1], files[1], SIZE_MAX));
    pid_t pid = start_child();
    if (pid == 0)
        return 0;
    *steps = 0;
    while (step(pid)) {
        assert_true(++*steps < STEPS);
        if (!watch[2].base && *steps % 64 == 0) /* it appears whole, by a link */
            watch_file(&watch[2], "portal.2024-02.days", SIZE_MAX);
        bool any = false;
        for (int i = 0; i < 3; i++)
            any |= changed(&watch[i]);
        if (any && found < STORES)
            stores[found++] = *steps;
    }
    let_go(pid);
    for (int i = 0; i < 3; i++)
        unwatch(&watch[i]);
    return found;
}

/* ---- What others do meanwhile, and what comes out ----------------------------------------------------------------------- */

static struct counter_stats look(struct site *site, int64_t at)
{
    struct counter_stats stats = {.want = COUNTER_WANT_ALL};
    assert_int_equal(site_read(site, at, &stats), 0);
    return stats;
}

static void must_be(const struct counter_count *count, int64_t hits, int64_t visits, int64_t visitors)
{
    assert_int_equal(count->hits, hits);
    assert_int_equal(count->visits, visits);
    assert_int_equal(count->visitors, visitors);
}

/* Ten hits of the new day: of the child's own visitor, of five strangers, of four who were here yesterday; and three that
 * come late, of a visitor of yesterday, a new one, and one who is here today. */
static void count_meanwhile(struct site *site)
{
    assert_int_equal(hit(site, CHILDS, FEBRUARY + 12), 0);
    for (unsigned v = 0; v < 5; v++)
        assert_int_equal(hit(site, 600 + v, FEBRUARY + 20 + v), 0);
    for (unsigned v = 1; v <= 4; v++)
        assert_int_equal(hit(site, v, FEBRUARY + 30 + v), 0);
    assert_int_equal(hit(site, 7, FEBRUARY - 20), 0);
    assert_int_equal(hit(site, 700, FEBRUARY - 10), 0);
    assert_int_equal(hit(site, 2, FEBRUARY - 5), 0);
    struct counter_stats stats = look(site, FEBRUARY + 60);
    assert_in_range(stats.window[COUNTER_TODAY].hits, 10, 11);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 10);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].hits, YESTERDAYS + 3);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].visitors, YESTERDAYS + 1);
}

static void check_outcome(struct site *site)
{
    struct counter_stats stats = look(site, FEBRUARY + 60);
    must_be(&stats.window[COUNTER_TODAY], 11, 6 + 4, 10); /* the four went on half an hour later */
    must_be(&stats.window[COUNTER_YESTERDAY], YESTERDAYS + 3, YESTERDAYS + 2, YESTERDAYS + 1);
    must_be(&stats.window[COUNTER_THIS_MONTH], 11, 10, 10);
    assert_int_equal(stats.window[COUNTER_LAST_MONTH].hits, OLD + YESTERDAYS + 3);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, OLD + YESTERDAYS + 14);
    assert_true(stats.window[COUNTER_TODAY].error == 0 && stats.window[COUNTER_YESTERDAY].error == 0);
    assert_int_equal(stats.late, 1);

    struct period_frame frame;
    struct counter_count count; /* once more after the next days, when only what was kept is left */
    assert_int_equal(hit(site, 900, FEBRUARY + DAY + 10), 0);
    assert_int_equal(hit(site, 900, FEBRUARY + 2 * DAY + 10), 0);
    assert_int_equal(hit(site, 900, FEBRUARY + 3 * DAY + 10), 0);
    for (int day = -1; day < 1; day++) {
        period_frame(&frame, site->zone, site->week_start, FEBRUARY + day * DAY);
        assert_int_equal(site_read_day(site, &frame, &count), 0);
        must_be(&count, day ? YESTERDAYS + 3 : 11, day ? YESTERDAYS + 2 : 10, day ? YESTERDAYS + 1 : 10);
    }
}

static void pause_after(unsigned steps)
{
    restore_state();
    pid_t pid = start_child();
    assert_true(pid > 0);
    bool done = false;
    for (unsigned i = 0; i < steps && !done; i++)
        done = !step(pid);
    struct site *site = open_portal(false);
    assert_non_null(site);
    count_meanwhile(site);
    if (done)
        kill(pid, SIGCONT);
    let_go(pid);
    check_outcome(site);
    site_close(site);
}

/* Tracer and traced on one processor change places ten times as fast as on two. */
static void one_processor(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();
    CPU_ZERO(&set);
    CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &set);
    sched_setaffinity(0, sizeof set, &set);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void a_writer_paused_anywhere_in_a_rollover_loses_nobodys_hit(void **state)
{
    (void)state;
    unsigned stores[STORES], steps = 0;

    if (scratch_is_instrumented()) {
        fputs("# skipped: instrumented code takes too many steps\n", stderr);
        skip();
    }
    one_processor();
    make_state();
    unsigned found = find_stores(stores, &steps);
    fprintf(stderr, "# %u instructions, %u stores\n", steps, found);
    if (found == 0) {
        scratch_remove(folder);
        skip();
    }
    double begin = seconds();
    for (unsigned i = 0; i < found; i++) { /* just before and just after each store */
        pause_after(stores[i] - 1);
        pause_after(stores[i]);
    }
    fprintf(stderr, "# %f s\n", seconds() - begin);
    for (unsigned i = 0; i <= GRID; i++)
        pause_after((unsigned)((uint64_t)steps * i / GRID));
    fprintf(stderr, "# %f s\n", seconds() - begin);
    close(folder_fd);
    for (int i = 0; i < 2; i++)
        free(before[i]);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_paused_anywhere_in_a_rollover_loses_nobodys_hit),
    };
    return cmocka_run_group_tests_name("paused", tests, NULL, NULL);
}
