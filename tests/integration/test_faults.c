/*
 * What the machine may do to a store: full disks, limits, missing rights, files that are swapped while they are open,
 * things that are no files, signals, clocks. A fault is an error code or nothing at all; never a signal, a hang, or a
 * number that fell.
 *
 * What changes the process for good (limits, user, mounts) runs in a child.
 */
#include "../support/scale.h"
#include "../support/scratch.h"
#include "layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

enum { NOON = 1709096400 }; /* 2024-02-28T12:00:00+07:00 */
enum { DAY = 86400 };
#define MONTH_FILE "portal.2024-02.days"

static char folder[SCRATCH_PATH];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static struct counter *opened(uint32_t sync_ms)
{
    struct counter *c = scratch_open(folder, sync_ms);
    if (!c)
        fail_msg("%s", counter_error());
    return c;
}

static int64_t hits_of(struct counter *c)
{
    return scratch_read(c, NOON + DAY).window[COUNTER_ALL_TIME].hits;
}

/* A store with ten visitors, closed again. */
static void fill_store(void)
{
    struct counter *c = opened(1000);
    for (unsigned v = 0; v < 10; v++)
        assert_int_equal(scratch_hit(c, v, NOON + v), 0);
    assert_int_equal(counter_sync(c), 0);
    counter_close(c);
}

/* ---- Full disks ------------------------------------------------------------------------------------------------- */

static char filler[SCRATCH_FILE];

/* In a child: a tmpfs over the folder, seen by the child alone. */
static void mount_small(const char *size)
{
    char option[32];
    snprintf(option, sizeof option, "size=%s,mode=700", size);
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        scratch_skip("no mount namespace of our own");
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, "") < 0 || mount("tmpfs", folder, "tmpfs", 0, option) < 0)
        scratch_skip("tmpfs may not be mounted");
    scratch_file(filler, folder, "filler");
}

static void fill_disk(void)
{
    static char zero[4096];
    int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    scratch_expect(fd >= 0);
    while (write(fd, zero, sizeof zero) > 0)
        ;
    scratch_expect(errno == ENOSPC);
    close(fd);
}

static void create_on_full_disk(void *arg)
{
    (void)arg;
    mount_small("16m");
    fill_disk();
    scratch_expect(truncate(filler, 15 << 20) == 0); /* room for the key, not for a site */
    struct counter *c = scratch_open(folder, 1000);
    scratch_expect(c);
    scratch_expect(scratch_hit(c, 1, NOON) == COUNTER_EFULL);
    scratch_expect(counter_error()[0]);
    scratch_expect(!scratch_has(folder, ".new-") && !scratch_has(folder, "portal"));
    unlink(filler);
    scratch_expect(scratch_hit(c, 1, NOON) == 0);
    scratch_expect(hits_of(c) == 1);
    counter_close(c);
}

static void a_full_disk_at_creation_is_an_error_and_leaves_no_part_of_a_file(void **state)
{
    (void)state;
    scratch_run(create_on_full_disk, NULL);
}

static void count_on_full_disk(void *arg)
{
    int64_t counted = 10, refused = 0;
    (void)arg;
    mount_small("16m");
    struct counter *c = scratch_open(folder, 100);
    scratch_expect(c);
    for (unsigned v = 0; v < 10; v++)
        scratch_expect(scratch_hit(c, v, NOON) == 0);
    fill_disk();
    for (unsigned v = 0; v < 5000; v++) { /* also in the next month and over write-back */
        int r = scratch_hit(c, v, NOON + v * 60);
        scratch_expect(r == 0 || r == COUNTER_EFULL);
        counted += r == 0;
        refused += r != 0;
        if (v % 1000 == 0)
            scratch_sleep_ms(110);
        if (v % 100 == 0)
            scratch_expect(scratch_read(c, NOON + 5 * DAY).window[COUNTER_ALL_TIME].hits == counted);
    }
    scratch_expect(refused > 0);
    scratch_expect(scratch_hit(c, 3, NOON + DAY) == 0); /* what has its place on the disk goes on */
    unlink(filler);
    scratch_expect(scratch_hit(c, 1, NOON + 5 * DAY) == 0);
    scratch_expect(scratch_read(c, NOON + 5 * DAY).window[COUNTER_ALL_TIME].hits == counted + 2);
    counter_close(c);
}

static void a_disk_that_fills_up_refuses_hits_and_loses_none_that_it_took(void **state)
{
    (void)state;
    scratch_run(count_on_full_disk, NULL);
}

/* Hits without visitors make the month's file of a new year and leave its sketch a hole: that is the next store to fail. */
static void begin_year_on_full_disk(void *arg)
{
    char store[SCRATCH_FILE];
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = "portal",
                                      .privacy_signal = COUNTER_SIGNAL_HITS_ONLY};
    struct counter_hit hit = {.size = sizeof hit, .visitor = "v", .flags = COUNTER_HIT_PRIVACY};
    struct counter *c;
    (void)arg;

    mount_small("16m");
    snprintf(store, sizeof store, "file:%s", folder);
    scratch_expect(counter_open(&c, &options) == 0);
    for (int day = 300; day <= 320; day++) {
        hit.at = NOON + day * DAY;
        scratch_expect(counter_record(c, &hit, NULL) == COUNTER_PRIVACY_SIGNAL);
    }
    fill_disk();
    scratch_expect(scratch_hit(c, 1, hit.at) == COUNTER_EFULL);
    scratch_expect(scratch_read(c, hit.at).window[COUNTER_ALL_TIME].hits == 21);
    unlink(filler);
    scratch_expect(scratch_hit(c, 1, hit.at) == 0);
    scratch_expect(scratch_read(c, hit.at).window[COUNTER_THIS_YEAR].visitors == 1);
    counter_close(c);
}

static void a_year_that_begins_on_a_full_disk_is_refused_and_then_counted(void **state)
{
    (void)state;
    scratch_run(begin_year_on_full_disk, NULL);
}

/* The same bytes with holes where there were zeros. */
static void make_sparse(const char *path)
{
    static char page[4096], zero[4096];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    scratch_expect(fd >= 0);
    for (off_t at = 0; pread(fd, page, sizeof page, at) > 0; at += (off_t)sizeof page)
        if (memcmp(page, zero, sizeof page) == 0)
            scratch_expect(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, sizeof page) == 0);
    close(fd);
}

static void use_sparse_on_full_disk(void *arg)
{
    static const char *const files[] = {"portal.counter", MONTH_FILE};
    char path[SCRATCH_FILE];
    int refused = 0;
    (void)arg;

    mount_small("16m");
    struct counter *c = scratch_open(folder, 1000);
    for (unsigned v = 0; v < 10; v++)
        scratch_expect(c && scratch_hit(c, v, NOON) == 0);
    counter_close(c);
    for (int i = 0; i < 2; i++)
        make_sparse(scratch_file(path, folder, files[i]));
    fill_disk();
    for (int round = 0; round < 20; round++) {
        c = scratch_open(folder, 1000);
        scratch_expect(c);
        int r = scratch_hit(c, (unsigned)round, NOON + round);
        scratch_expect(r == 0 || r == COUNTER_EFULL);
        refused += r != 0;
        struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
        r = counter_read(c, NULL, NOON + 60, &stats);
        scratch_expect(r == 0 || r == COUNTER_EFULL);
        counter_close(c);
    }
    scratch_expect(refused == 20);
    unlink(filler);
    c = scratch_open(folder, 1000);
    scratch_expect(scratch_hit(c, 1, NOON + 60) == 0 && hits_of(c) == 11);
    counter_close(c);
}

static void a_copy_with_holes_on_a_full_disk_is_an_error_and_no_signal(void **state)
{
    (void)state;
    scratch_run(use_sparse_on_full_disk, NULL);
}

/* Visitors were forgotten, so the last year's number comes from its sketch: a hole, as nobody came in that year. */
static void read_last_year_on_full_disk(void *arg)
{
    (void)arg;
    mount_small("16m");
    struct counter *c = scratch_open(folder, 1000);
    for (unsigned v = 0; v < 3; v++)
        scratch_expect(c && scratch_hit(c, v, NOON) == 0);
    for (int month = 1; month <= 3; month++)
        scratch_expect(scratch_hit(c, 0, NOON + month * 30 * DAY) == 0);
    counter_close(c);
    fill_disk();
    c = scratch_open(folder, 1000);
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    int r = counter_read(c, NULL, NOON + 90 * DAY, &stats);
    scratch_expect(r == 0 || r == COUNTER_EFULL);
    scratch_expect(r < 0 ||
                   (stats.window[COUNTER_LAST_YEAR].visitors == 0 && stats.window[COUNTER_ALL_TIME].hits == 6));
    counter_close(c);
}

static void numbers_of_a_year_are_read_without_room_for_its_sketch(void **state)
{
    (void)state;
    scratch_run(read_last_year_on_full_disk, NULL);
}

/* ---- Limits of the process ------------------------------------------------------------------------------------------ */

static void limit(int resource, rlim_t value)
{
    struct rlimit now;
    scratch_expect(getrlimit((__rlimit_resource_t)resource, &now) == 0);
    now.rlim_cur = value < now.rlim_max ? value : now.rlim_max;
    scratch_expect(setrlimit((__rlimit_resource_t)resource, &now) == 0);
}

static void create_under_file_limit(void *arg)
{
    (void)arg;
    struct counter *c = scratch_open(folder, 1000);
    limit(RLIMIT_FSIZE, 256 << 10);
    scratch_expect(scratch_hit(c, 1, NOON) == COUNTER_EFULL);
    scratch_expect(!scratch_has(folder, ".new-") && !scratch_has(folder, "portal"));
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
    scratch_expect(scratch_hit(c, 1, NOON) == 0 && hits_of(c) == 1);
    counter_close(c);
}

static void a_limit_of_file_size_is_an_error_and_no_signal(void **state)
{
    (void)state;
    scratch_run(create_under_file_limit, NULL);
}

static size_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    scratch_expect(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void map_under_memory_limit(void *arg)
{
    (void)arg;
    struct counter *c = scratch_open(folder, 1000);
    limit(RLIMIT_AS, mapped_bytes() + (1 << 20));
    scratch_expect(scratch_hit(c, 1, NOON) == COUNTER_ENOMEM);
    limit(RLIMIT_AS, RLIM_INFINITY);
    scratch_expect(scratch_hit(c, 1, NOON) == 0 && hits_of(c) == 11);
    counter_close(c);
}

static void a_limit_of_memory_is_an_error(void **state)
{
    (void)state;
    if (scratch_is_instrumented()) {
        fputs("# skipped: an instrumented program needs its memory itself\n", stderr);
        skip();
    }
    fill_store();
    scratch_run(map_under_memory_limit, NULL);
}

static void count_without_descriptors(void *arg)
{
    char box[1024];
    (void)arg;
    struct counter *c = scratch_open(folder, 3600000);
    limit(RLIMIT_NOFILE, 3);
    scratch_expect(scratch_hit(c, 1, NOON) < 0 && counter_error()[0]);
    struct counter_stats stats = {.size = sizeof stats};
    scratch_expect(counter_read(c, NULL, NOON, &stats) < 0);
    scratch_expect(counter_render(NULL, COUNTER_TEXT, "en", NULL, box, sizeof box) > 0);
    limit(RLIMIT_NOFILE, 64);
    scratch_expect(scratch_hit(c, 1, NOON) == 0);
    limit(RLIMIT_NOFILE, 3); /* open sites need none */
    for (unsigned v = 0; v < 100; v++)
        scratch_expect(scratch_hit(c, v, NOON + v) == 0);
    stats.want = 1u << COUNTER_TODAY | 1u << COUNTER_ALL_TIME;
    scratch_expect(counter_read(c, NULL, NOON + 200, &stats) == 0);
    scratch_expect(stats.window[COUNTER_TODAY].hits == 111 && stats.window[COUNTER_ALL_TIME].hits == 111);
    counter_close(c);
}

static void without_descriptors_opening_fails_and_counting_goes_on(void **state)
{
    (void)state;
    fill_store();
    scratch_run(count_without_descriptors, NULL);
}

static unsigned descriptors(unsigned *kept_by_exec)
{
    struct dirent *entry;
    unsigned n = 0;
    DIR *list = opendir("/proc/self/fd");
    assert_non_null(list);
    *kept_by_exec = 0;
    while ((entry = readdir(list)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] == '.' || fd == dirfd(list))
            continue;
        n++;
        *kept_by_exec += (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
    }
    closedir(list);
    return n;
}

static void many_sites_keep_few_descriptors_and_give_none_to_programs_they_start(void **state)
{
    (void)state;
    enum { SITES = 50 };
    unsigned kept_before, kept, before = descriptors(&kept_before);
    struct counter *c = opened(100);
    for (unsigned i = 0; i < SITES; i++) {
        char site[16];
        snprintf(site, sizeof site, "site%u", i);
        struct counter_hit hit = {.size = sizeof hit, .site = site, .at = NOON, .visitor = "v"};
        assert_int_equal(counter_record(c, &hit, NULL), 0);
    }
    assert_true(descriptors(&kept) <= before + 2);
    assert_int_equal(kept, kept_before);
    counter_close(c);
    assert_int_equal(descriptors(&kept), before);
}

/* ---- Rights ------------------------------------------------------------------------------------------------------------ */

enum { NOBODY = 65534 };

static void become_nobody(void)
{
    if (geteuid() == 0)
        scratch_expect(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void count_without_rights(void *arg)
{
    (void)arg;
    become_nobody();
    struct counter *c = scratch_open(folder, 1000);
    scratch_expect(c);
    scratch_expect(scratch_hit(c, 1, NOON) == COUNTER_EACCESS);
    scratch_expect(strstr(counter_error(), "ermi") || strstr(counter_error(), "may not"));
    counter_close(c);
}

static void a_folder_that_may_not_be_written_is_an_error_that_says_so(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0555), 0);
    scratch_run(count_without_rights, NULL);
    assert_int_equal(chmod(folder, 0), 0);
    scratch_run(count_without_rights, NULL);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void show_without_counting(void *arg)
{
    (void)arg;
    become_nobody();
    struct counter *c = scratch_open(folder, 100);
    scratch_expect(scratch_hit(c, 1, NOON + 20) == COUNTER_EACCESS);
    for (int i = 0; i < 3; i++) {
        struct counter_stats stats = scratch_read(c, NOON + 60);
        scratch_expect(stats.window[COUNTER_TODAY].hits == 10 && stats.window[COUNTER_TODAY].visitors == 10);
        scratch_expect(stats.online == 10);
        scratch_sleep_ms(110);
    }
    scratch_expect(counter_sync(c) == 0);
    counter_close(c);
}

static void files_that_may_only_be_read_are_shown_and_not_counted_in(void **state)
{
    (void)state;
    static const char *const files[] = {"key", "portal.counter", MONTH_FILE};
    char path[SCRATCH_FILE];
    fill_store();
    assert_int_equal(chmod(folder, 0755), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(chmod(scratch_file(path, folder, files[i]), 0444), 0);
    scratch_run(show_without_counting, NULL);
}

/* ---- Files that are swapped while they are open ------------------------------------------------------------------------ */

enum { SYNC = 100, NOTICED = SYNC + 60 };

static int ignore_row(void *arg, const struct counter_row *row)
{
    (void)arg;
    (void)row;
    return 0;
}

static int ignore_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg;
    (void)fact;
    return 0;
}

/* Every call, not only the first to notice. */
static void all_calls_must_refuse(struct counter *c)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    struct counter_site site = {.size = sizeof site};
    struct counter_hit hit = {.size = sizeof hit, .visitor = "v1"};
    char text[32];

    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, ignore_row, NULL), COUNTER_EFORMAT);
    assert_int_equal(counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, ignore_row, NULL), COUNTER_EFORMAT);
    assert_int_equal(counter_site(c, NULL, &site), COUNTER_EFORMAT);
    assert_int_equal(counter_check(c, NULL, ignore_fact, NULL), COUNTER_EFORMAT);
    assert_int_equal(counter_erase(c, &hit), COUNTER_EFORMAT);
    assert_int_equal(counter_accept_clock(c, NULL), COUNTER_EFORMAT);
    assert_int_equal(counter_baseline(c, NULL, &(struct counter_count){1, 1, 1, 0}), COUNTER_EFORMAT);
    counter_local_time(c, NULL, NOON, text, sizeof text);
    for (unsigned v = 0; v < 1000; v++) {
        assert_int_equal(scratch_hit(c, v, NOON + 30), COUNTER_EFORMAT);
        assert_int_equal(counter_read(c, NULL, NOON + 60, &stats), COUNTER_EFORMAT);
        if (v % 250 == 0)
            scratch_sleep_ms(SYNC / 2);
    }
}

static void truncate_and_mend(const char *path, off_t length)
{
    size_t size;
    fill_store();
    struct counter *c = opened(SYNC), *unaware = opened(SYNC);
    assert_int_equal(scratch_hit(c, 1, NOON + 20), 0);
    assert_int_equal(scratch_hit(unaware, 1, NOON + 20), 0);
    unsigned char *bytes = scratch_load(path, &size);
    scratch_sleep_ms(NOTICED);
    assert_int_equal(truncate(path, length), 0);
    counter_close(unaware);
    all_calls_must_refuse(c);
    unlink(path);
    scratch_save(path, bytes, size);
    assert_int_equal(scratch_hit(c, 1, NOON + 60), 0);
    assert_int_equal(hits_of(c), 13);
    counter_close(c);
    free(bytes);
}

static void a_truncated_file_is_refused_until_it_is_mended(void **state)
{
    (void)state;
    static const char *const files[] = {"portal.counter", MONTH_FILE};
    for (int i = 0; i < 2; i++)
        for (int pages = 0; pages < 2; pages++) {
            char path[SCRATCH_FILE];
            truncate_and_mend(scratch_file(path, folder, files[i]), pages * 8192);
            scratch_remove(folder);
            assert_int_equal(mkdir(folder, 0700), 0);
        }
}

static void a_longer_file_is_no_fault(void **state)
{
    (void)state;
    char path[SCRATCH_FILE];
    struct stat st;
    fill_store();
    struct counter *c = opened(SYNC);
    assert_int_equal(scratch_hit(c, 1, NOON + 20), 0);
    assert_int_equal(stat(scratch_file(path, folder, "portal.counter"), &st), 0);
    assert_int_equal(truncate(path, st.st_size + 100000), 0);
    scratch_sleep_ms(NOTICED);
    assert_int_equal(scratch_hit(c, 1, NOON + 21), 0);
    counter_close(c);
    c = opened(SYNC);
    assert_int_equal(scratch_hit(c, 1, NOON + 22), 0);
    assert_int_equal(hits_of(c), 13);
    counter_close(c);
}

static void a_file_that_was_replaced_is_left_for_the_new_one(void **state)
{
    (void)state;
    char path[SCRATCH_FILE], aside[SCRATCH_FILE];
    size_t size;
    fill_store();
    unsigned char *old = scratch_load(scratch_file(path, folder, "portal.counter"), &size);
    struct counter *c = opened(SYNC);
    for (unsigned v = 100; v < 150; v++)
        assert_int_equal(scratch_hit(c, v, NOON + 20), 0);
    assert_int_equal(scratch_read(c, NOON + 60).window[COUNTER_TODAY].visitors, 60);
    scratch_save(scratch_file(aside, folder, "backup"), old, size);
    assert_int_equal(rename(aside, path), 0);
    scratch_sleep_ms(NOTICED);
    hits_of(c); /* notices */
    assert_int_equal(scratch_read(c, NOON + 60).window[COUNTER_TODAY].visitors, 10);
    assert_int_equal(scratch_hit(c, 200, NOON + 30), 0);
    struct counter *other = opened(SYNC);
    assert_int_equal(scratch_read(other, NOON + 60).window[COUNTER_TODAY].visitors, 11);
    assert_int_equal(hits_of(other), 61); /* of the month's file, which is the same */
    counter_close(other);
    counter_close(c);
    free(old);
}

static void a_deleted_file_is_noticed_and_made_anew(void **state)
{
    (void)state;
    char path[SCRATCH_FILE];
    fill_store();
    struct counter *c = opened(SYNC);
    assert_int_equal(scratch_hit(c, 1, NOON + 20), 0);
    unlink(scratch_file(path, folder, "portal.counter"));
    unlink(scratch_file(path, folder, MONTH_FILE));
    scratch_sleep_ms(NOTICED);
    assert_int_equal(scratch_hit(c, 1, NOON + 30), 0); /* may be the one that notices */
    for (unsigned v = 2; v < 12; v++)
        assert_int_equal(scratch_hit(c, v, NOON + 40), 0);
    struct counter *other = opened(SYNC);
    assert_in_range(hits_of(other), 10, 11);
    assert_int_equal(hits_of(c), hits_of(other));
    counter_close(other);
    counter_close(c);
}

/* A month alone: the site is opened anew, and makes it again. */
static void a_deleted_month_is_made_anew(void **state)
{
    (void)state;
    char path[SCRATCH_FILE];
    fill_store();
    struct counter *c = opened(SYNC);
    assert_int_equal(scratch_hit(c, 1, NOON + 20), 0);
    unlink(scratch_file(path, folder, MONTH_FILE));
    scratch_sleep_ms(NOTICED);
    assert_int_equal(scratch_hit(c, 1, NOON + 30), 0);
    for (unsigned v = 0; v < 10; v++)
        assert_int_equal(scratch_hit(c, v, NOON + 40), 0);
    assert_in_range(scratch_read(c, NOON + 60).window[COUNTER_TODAY].hits, 10, 11);
    assert_int_equal(scratch_read(c, NOON + 60).window[COUNTER_TODAY].visitors, 10);
    assert_true(scratch_has(folder, MONTH_FILE));
    counter_close(c);
}

/* ---- What is no file ---------------------------------------------------------------------------------------------------- */

static int put(const char *path, const char *target, int kind)
{
    switch (kind) {
    case 0:
        return symlink(target, path);
    case 1:
        return mkfifo(path, 0600);
    case 2:
        return mkdir(path, 0700);
    default:
        return mknod(path, S_IFCHR | 0600, makedev(1, 3));
    }
}

static void links_pipes_folders_and_devices_are_no_files_and_stay_untouched(void **state)
{
    (void)state;
    static const char *const files[] = {"key", "portal.counter", MONTH_FILE};
    char path[SCRATCH_FILE], target[SCRATCH_FILE];

    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < 3; i++) {
            struct stat before, after;
            fill_store();
            scratch_file(path, folder, files[i]);
            assert_int_equal(rename(path, scratch_file(target, folder, "elsewhere")), 0);
            assert_int_equal(stat(target, &before), 0);
            if (put(path, "elsewhere", kind) < 0) {
                fprintf(stderr, "# no device: %s\n", strerror(errno)); /* only root makes those */
                unlink(target);
                continue;
            }
            struct counter *c = opened(1000);
            int r = scratch_hit(c, 1, NOON);
            assert_true(r == COUNTER_EACCESS || r == COUNTER_EFORMAT || r == COUNTER_EIO);
            assert_non_null(strstr(counter_error(), i ? "portal" : "key"));
            counter_close(c);
            assert_int_equal(stat(target, &after), 0);
            assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                        before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
            scratch_remove(folder);
            assert_int_equal(mkdir(folder, 0700), 0);
        }
}

/* ---- Many at once --------------------------------------------------------------------------------------------------------- */

struct start {
    int go; /* a pipe's end that closes when all may begin */
    unsigned number;
};

static void create_together(void *arg)
{
    const struct start *start = arg;
    char byte;
    scratch_expect(read(start->go, &byte, 1) == 0);
    struct counter *c = scratch_open(folder, 1000);
    scratch_expect(c);
    scratch_expect(scratch_hit(c, 1000, NOON) == 0); /* the same visitor only under the same key */
    scratch_expect(scratch_hit(c, start->number, NOON) == 0);
    counter_close(c);
}

static void sixty_four_creators_make_one_store_and_lose_no_hit(void **state)
{
    (void)state;
    enum { CREATORS = 64 };
    for (uint64_t round = 0; round < scaled(20); round++) {
        pid_t pid[CREATORS];
        struct start start;
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        for (unsigned i = 0; i < CREATORS; i++) {
            start = (struct start){ends[0], i};
            pid[i] = fork();
            assert_true(pid[i] >= 0);
            if (pid[i] == 0) {
                close(ends[1]);
                create_together(&start);
                _exit(0);
            }
        }
        close(ends[1]);
        close(ends[0]);
        for (unsigned i = 0; i < CREATORS; i++)
            assert_int_equal(scratch_wait(pid[i]), 0);
        struct counter *c = opened(1000);
        struct counter_stats stats = scratch_read(c, NOON);
        assert_int_equal(stats.window[COUNTER_TODAY].hits, 2 * CREATORS);
        assert_int_equal(stats.window[COUNTER_TODAY].visitors, CREATORS + 1);
        assert_false(scratch_has(folder, ".new-"));
        counter_close(c);
        scratch_remove(folder);
        assert_int_equal(mkdir(folder, 0700), 0);
    }
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void count_under_signals(void *arg)
{
    struct sigaction action = {.sa_handler = count_alarm}; /* without SA_RESTART */
    struct itimerval every = {{0, 2000}, {0, 2000}};
    int64_t hits = 0;
    (void)arg;

    scratch_expect(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
    struct counter *c = scratch_open(folder, 100);
    for (unsigned month = 0; alarms < 200 && month < 160; month++) /* a new file each time */
        for (unsigned v = 0; v < 1000; v++, hits++)
            scratch_expect(scratch_hit(c, v, NOON + ((int64_t)month - 160) * 30 * DAY) == 0);
    scratch_expect(counter_sync(c) == 0);
    scratch_expect(scratch_read(c, NOON).window[COUNTER_ALL_TIME].hits == hits);
    counter_close(c);
}

static void five_hundred_signals_a_second_disturb_nothing(void **state)
{
    (void)state;
    scratch_run(count_under_signals, NULL);
}

/* ---- Clocks ------------------------------------------------------------------------------------------------------------------ */

static void impossible_times_are_refused_and_leave_no_trace(void **state)
{
    (void)state;
    struct counter *c = opened(1000);
    int64_t now = time(NULL);
    const int64_t wrong[] = {
        1,          915148800, 946684800, 946771199, now + 70, now + DAY, now + 3650 * (int64_t)DAY,
        4102444800, INT64_MAX, INT64_MIN, -1};

    assert_int_equal(scratch_hit(c, 1, now - 30), 0);
    struct counter_stats before = scratch_read(c, now);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(scratch_hit(c, 1, wrong[i]), COUNTER_ETIME);
    struct counter_stats after = scratch_read(c, now);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(scratch_hit(c, 1, now + 30), 0); /* clocks differ a little */
    counter_close(c);
}

static void a_jump_of_400_days_must_be_accepted(void **state)
{
    (void)state;
    struct counter *c = opened(1000);
    int64_t jump = 401 * (int64_t)DAY;
    assert_int_equal(scratch_hit(c, 1, NOON), 0);
    assert_int_equal(scratch_hit(c, 1, NOON + jump), COUNTER_ETIME);
    assert_int_equal(scratch_read(c, NOON).window[COUNTER_ALL_TIME].hits, 1);
    assert_int_equal(counter_accept_clock(c, NULL), 0);
    assert_int_equal(scratch_hit(c, 1, NOON + jump), 0);
    assert_int_equal(scratch_read(c, NOON + jump).window[COUNTER_ALL_TIME].hits, 2);
    counter_close(c);
}

static void a_clock_set_back_by_a_day_counts_into_yesterday(void **state)
{
    (void)state;
    struct counter *c = opened(1000);
    for (unsigned v = 0; v < 10; v++)
        assert_int_equal(scratch_hit(c, v, NOON + DAY), 0);
    for (unsigned v = 5; v < 20; v++) /* five who are here today, ten others */
        assert_int_equal(scratch_hit(c, v, NOON), 0);
    for (unsigned v = 0; v < 10; v++)
        assert_int_equal(scratch_hit(c, v, NOON + DAY + 60), 0);
    struct counter_stats stats = scratch_read(c, NOON + DAY + 60);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, 20);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, 10);
    assert_int_equal(stats.window[COUNTER_TODAY].visits, 10);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].hits, 15);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].visitors, 15);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].visits, 15);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, 20);
    assert_int_equal(stats.online, 10);
    counter_close(c);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(a_full_disk_at_creation_is_an_error_and_leaves_no_part_of_a_file),
        in_folder(a_disk_that_fills_up_refuses_hits_and_loses_none_that_it_took),
        in_folder(a_year_that_begins_on_a_full_disk_is_refused_and_then_counted),
        in_folder(a_copy_with_holes_on_a_full_disk_is_an_error_and_no_signal),
        in_folder(numbers_of_a_year_are_read_without_room_for_its_sketch),
        in_folder(a_limit_of_file_size_is_an_error_and_no_signal),
        in_folder(a_limit_of_memory_is_an_error),
        in_folder(without_descriptors_opening_fails_and_counting_goes_on),
        in_folder(many_sites_keep_few_descriptors_and_give_none_to_programs_they_start),
        in_folder(a_folder_that_may_not_be_written_is_an_error_that_says_so),
        in_folder(files_that_may_only_be_read_are_shown_and_not_counted_in),
        in_folder(a_truncated_file_is_refused_until_it_is_mended),
        in_folder(a_longer_file_is_no_fault),
        in_folder(a_file_that_was_replaced_is_left_for_the_new_one),
        in_folder(a_deleted_file_is_noticed_and_made_anew),
        in_folder(a_deleted_month_is_made_anew),
        in_folder(links_pipes_folders_and_devices_are_no_files_and_stay_untouched),
        in_folder(sixty_four_creators_make_one_store_and_lose_no_hit),
        in_folder(five_hundred_signals_a_second_disturb_nothing),
        in_folder(impossible_times_are_refused_and_leave_no_trace),
        in_folder(a_jump_of_400_days_must_be_accepted),
        in_folder(a_clock_set_back_by_a_day_counts_into_yesterday),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
