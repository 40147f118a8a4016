/*
 * One file, many writers: processes, threads, children of a fork; stopped, killed, copied while they write.
 *
 * The oracles are exact. Each writer's stream is a pure function of its number, so a model that walks through it alone
 * says what must come out, whatever the order in which the writers met.
 */
#include "../support/scale.h"
#include "../support/scratch.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { START = 1709053200 }; /* 2024-02-28T00:00:00+07:00, a Wednesday: a month ends on the second day */
enum { DAY = 86400 };

static uint64_t mixed(uint64_t x) /* splitmix64 */
{
    x = (x + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct counter *opened(const char *folder)
{
    struct counter *c = scratch_open(folder, 1000);
    if (!c)
        fail_msg("%s", counter_error());
    return c;
}

static struct counter_stats look(struct counter *c, int64_t at)
{
    struct counter_stats stats = scratch_read(c, at);
    if (stats.at == 0)
        fail_msg("%s", counter_error());
    return stats;
}

static int tell_warnings(void *arg, const struct counter_fact *fact)
{
    (void)arg;
    if (fact->level != COUNTER_FACT)
        fprintf(stderr, "# %s: %s (%s)\n", fact->name, fact->value, fact->why);
    return 0;
}

static void must_be_sound(struct counter *c)
{
    assert_int_equal(counter_accept_clock(c, NULL), 0); /* these days are long ago, which would be a warning */
    assert_int_equal(counter_check(c, NULL, tell_warnings, NULL), COUNTER_FACT);
}

/* Is one of them still running? Where one failed the others are ended and the test fails. */
static bool running(pid_t *pid, int n)
{
    bool any = false;
    for (int i = 0; i < n; i++) {
        int status;
        if (pid[i] == 0)
            continue;
        if (waitpid(pid[i], &status, WNOHANG) == 0) {
            any = true;
            continue;
        }
        pid[i] = 0;
        if (status == 0)
            continue;
        for (int k = 0; k < n; k++)
            if (pid[k] > 0 && kill(pid[k], SIGKILL) == 0)
                waitpid(pid[k], NULL, 0);
        fail_msg("process %d ended with %#x", i, (unsigned)status);
    }
    return any;
}

static void wait_all(pid_t *pid, int n)
{
    while (running(pid, n))
        scratch_sleep_ms(1);
}

/* ---- Two writers and a reader over four days -------------------------------------------------------------------- */

/*
 * Regulars belong to one writer; two halves of them take turns by the hour, so each has a visit an hour. Passers-by
 * belong to both and stay for 20 minutes, also over midnight: one visit each, in whatever order their hits arrive.
 */
enum { WRITERS = 2, DAYS = 4, REGULARS = 1000, STAY = 1200, PASSING = 60, PASSERS = DAYS * DAY / STAY * PASSING };
enum { EVERYONE = 2 * WRITERS * REGULARS + PASSERS + PASSING };

struct load {
    char folder[SCRATCH_PATH];
    uint64_t hits; /* of each writer */
    _Atomic uint64_t done[WRITERS];
};

struct writer {
    struct load *load;
    int number;
};

struct one {
    int64_t at;
    unsigned visitor;
    bool passing;
};

static struct one hit_of(const struct load *load, int writer, uint64_t i)
{
    uint64_t r = mixed(i * WRITERS + (uint64_t)writer);
    int64_t since = (int64_t)(i * (uint64_t)(DAYS * DAY) / load->hits);
    struct one one = {.at = START + since, .passing = r % 4 == 0};
    unsigned turn = (unsigned)(since / 3600 % 2), pick = (unsigned)(r >> 32);

    if (one.passing)
        one.visitor = 2 * WRITERS * REGULARS + (unsigned)((since + STAY / 2) / STAY) * PASSING + pick % PASSING;
    else
        one.visitor = (unsigned)(writer * 2 * REGULARS) + turn * REGULARS + pick % REGULARS;
    return one;
}

/* Waits for a writer that is more than six hours of the stream behind: later hits than that cannot be decided. */
static void keep_pace(struct load *load, int writer, uint64_t i)
{
    atomic_store(&load->done[writer], i);
    while (i > atomic_load(&load->done[1 - writer]) + load->hits / 16)
        sched_yield();
}

static void write_load(void *arg)
{
    const struct writer *writer = arg;
    struct counter *c = scratch_open(writer->load->folder, 1000);
    scratch_expect(c);
    for (uint64_t i = 0; i < writer->load->hits; i++) {
        struct one one = hit_of(writer->load, writer->number, i);
        if (i % 64 == 0)
            keep_pace(writer->load, writer->number, i);
        scratch_expect(scratch_hit(c, one.visitor, one.at) == 0);
    }
    atomic_store(&writer->load->done[writer->number], writer->load->hits);
    counter_close(c);
}

/* The least that may be shown from now on, of each window. */
enum { NUMBERS = 3, MONTHS = 2 };
static struct {
    int64_t day[DAYS][NUMBERS], month[MONTHS][NUMBERS], week[NUMBERS], year[NUMBERS], all[NUMBERS];
} least;

static void must_not_fall(int64_t floor[NUMBERS], const struct counter_count *count)
{
    int64_t now[NUMBERS] = {count->hits, count->visits, count->visitors};
    for (int i = 0; i < NUMBERS; i++) {
        if (now[i] < floor[i])
            fail_msg("number %d fell from %lld to %lld", i, (long long)floor[i], (long long)now[i]);
        floor[i] = now[i];
    }
}

static void read_once(struct counter *c, const struct load *load)
{
    struct counter_site site = {.size = sizeof site};
    if (counter_site(c, NULL, &site) < 0)
        return; /* not there yet */
    struct counter_stats stats = scratch_read(c, site.newest + 1800);
    const struct counter_count *window = stats.window;
    uint64_t day = (uint64_t)(site.newest + 1800 - START) / DAY;
    if (stats.at == 0 || day >= DAYS)
        return; /* the writers went on for more than half an hour meanwhile */
    must_not_fall(least.day[day], &window[COUNTER_TODAY]);
    must_not_fall(least.month[day / 2], &window[COUNTER_THIS_MONTH]);
    if (day > 0)
        must_not_fall(least.day[day - 1], &window[COUNTER_YESTERDAY]);
    if (day > 1)
        must_not_fall(least.month[0], &window[COUNTER_LAST_MONTH]);
    must_not_fall(least.week, &window[COUNTER_THIS_WEEK]);
    must_not_fall(least.year, &window[COUNTER_THIS_YEAR]);
    must_not_fall(least.all, &window[COUNTER_ALL_TIME]);
    assert_true((uint64_t)window[COUNTER_ALL_TIME].hits <= WRITERS * load->hits);
}

struct model {
    struct counter_count day[DAYS];
    int64_t regular_visits, passers;
    int64_t last[EVERYONE];
    unsigned char days[EVERYONE];
};

static struct model *model_of(const struct load *load)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    for (int writer = 0; writer < WRITERS; writer++)
        for (uint64_t i = 0; i < load->hits; i++) {
            struct one one = hit_of(load, writer, i);
            int64_t day = (one.at - START) / DAY, *last = &model->last[one.visitor];
            model->day[day].hits++;
            if (!one.passing && one.at - *last > 1800)
                model->regular_visits++;
            if (one.passing && *last == 0)
                model->passers++;
            *last = one.at;
            model->days[one.visitor] |= (unsigned char)(1 << day);
        }
    for (unsigned v = 0; v < EVERYONE; v++)
        for (int day = 0; day < DAYS; day++)
            model->day[day].visitors += model->days[v] >> day & 1;
    return model;
}

enum { ROWS = 32 };

struct rows {
    struct counter_count count[ROWS];
    size_t n;
};

static int keep_row(void *arg, const struct counter_row *row)
{
    struct rows *rows = arg;
    if (rows->n < ROWS)
        rows->count[rows->n++] = row->count;
    return 0;
}

static void compare(struct counter *c, const struct load *load)
{
    struct model *model = model_of(load);
    struct counter_stats stats = look(c, START + DAYS * DAY - 1);
    struct counter_count all = stats.window[COUNTER_ALL_TIME];
    struct rows rows = {.n = 0};
    int64_t visitors = 0, visits = 0;

    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, keep_row, &rows), 0);
    assert_int_equal(rows.n, DAYS);
    for (int day = 0; day < DAYS; day++) {
        assert_int_equal(rows.count[day].hits, model->day[day].hits);
        assert_int_equal(rows.count[day].visitors, model->day[day].visitors);
        assert_true(rows.count[day].error == 0);
        visits += rows.count[day].visits;
    }
    for (unsigned v = 0; v < EVERYONE; v++)
        visitors += model->days[v] != 0;
    assert_int_equal(all.hits, 2 * load->hits);
    assert_int_equal(all.visits, model->regular_visits + model->passers);
    assert_int_equal(visits, all.visits);
    assert_int_equal(all.visitors, visitors);
    assert_int_equal(stats.window[COUNTER_THIS_WEEK].visitors, visitors);
    assert_int_equal(stats.window[COUNTER_THIS_YEAR].hits, 2 * load->hits);
    assert_true(all.error == 0);
    must_be_sound(c);
    free(model);
}

static void two_processes_lose_no_hit_and_a_reader_sees_no_number_fall(void **state)
{
    (void)state;
    struct load *load = scratch_shared(sizeof *load);
    struct writer writer[WRITERS] = {{load, 0}, {load, 1}};
    pid_t pid[WRITERS];

    scratch_make(load->folder);
    load->hits = scaled(20000000);
    memset(&least, 0, sizeof least);
    for (int i = 0; i < WRITERS; i++)
        pid[i] = scratch_start(write_load, &writer[i]);
    struct counter *c = opened(load->folder);
    while (running(pid, WRITERS)) {
        read_once(c, load);
        scratch_sleep_ms(1);
    }
    compare(c, load);
    counter_close(c);
    scratch_remove(load->folder);
    munmap(load, sizeof *load);
}

/* ---- The same new visitors at the same time ------------------------------------------------------------------------- */

enum { TWINS = 30000 };

static void write_twins(void *arg)
{
    struct counter *c = scratch_open(arg, 1000);
    scratch_expect(c);
    for (unsigned v = 0; v < TWINS; v++) /* from an hour before midnight to one after */
        scratch_expect(scratch_hit(c, v, START + DAY - 3600 + 7200 * v / TWINS) == 0);
    counter_close(c);
}

static void a_new_visitor_that_two_processes_meet_is_one(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH];
    pid_t pid[3];

    scratch_make(folder);
    for (int i = 0; i < 3; i++)
        pid[i] = scratch_start(write_twins, folder);
    wait_all(pid, 3);
    struct counter *c = opened(folder);
    struct counter_stats stats = look(c, START + DAY + 3600);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].hits, 3 * TWINS);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visitors, TWINS);
    assert_int_equal(stats.window[COUNTER_ALL_TIME].visits, TWINS);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, TWINS / 2);
    assert_int_equal(stats.window[COUNTER_YESTERDAY].visitors, TWINS / 2);
    counter_close(c);
    scratch_remove(folder);
}

/* ---- One handle, many users ----------------------------------------------------------------------------------------- */

enum { USERS = 4, EACH = 20000 };

static struct counter *common; /* opened before the fork, or by the first thread */

static void count_each(void *arg)
{
    unsigned user = *(unsigned *)arg;
    for (unsigned i = 0; i < EACH; i++)
        scratch_expect(scratch_hit(common, user * EACH + i % 1000, START + i / 100) == 0);
}

static void must_hold_all(struct counter *c, int users)
{
    struct counter_stats stats = look(c, START + 3600);
    assert_int_equal(stats.window[COUNTER_TODAY].hits, users * EACH);
    assert_int_equal(stats.window[COUNTER_TODAY].visitors, users * 1000);
    assert_int_equal(stats.window[COUNTER_TODAY].visits, users * 1000);
}

/* A handle that was not used yet, and one that was; the parent counts on. */
static void children_go_on_with_the_handle_of_their_parent(void **state)
{
    (void)state;
    for (int used = 0; used < 2; used++) {
        char folder[SCRATCH_PATH];
        unsigned user[USERS + 1];
        pid_t pid[USERS];

        scratch_make(folder);
        common = opened(folder);
        if (used)
            assert_int_equal(scratch_hit(common, 0, START), 0);
        for (unsigned i = 0; i <= USERS; i++)
            user[i] = i;
        for (unsigned i = 0; i < USERS; i++)
            pid[i] = scratch_start(count_each, &user[i]);
        for (unsigned i = 0; i < EACH - (unsigned)used; i++) /* the very first hit was of its visitor 0 */
            assert_int_equal(scratch_hit(common, USERS * EACH + i % 1000, START + i / 100), 0);
        wait_all(pid, USERS);
        struct counter_stats stats = look(common, START + 3600);
        assert_int_equal(stats.window[COUNTER_TODAY].hits, (USERS + 1) * EACH);
        assert_int_equal(stats.window[COUNTER_TODAY].visitors, (USERS + 1) * 1000);
        counter_close(common);
        common = opened(folder);
        must_hold_all(common, USERS + 1);
        counter_close(common);
        scratch_remove(folder);
    }
}

static void *count_in_thread(void *arg)
{
    unsigned user = *(unsigned *)arg;
    int64_t shown = 0;
    for (unsigned i = 0; i < EACH; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "v%u", user * EACH + i % 1000);
        struct counter_hit hit = {
            .size = sizeof hit, .at = START + i / 100, .visitor = name, .visitor_length = (uint32_t)length};
        struct counter_stats stats = {.size = sizeof stats};
        if (counter_record(common, &hit, i % 50 ? NULL : &stats) != 0)
            return "a hit was refused";
        if (i % 50 == 0 && stats.window[COUNTER_TODAY].hits <= shown)
            return "a hit is not in the numbers that came with it";
        if (i % 50 == 0)
            shown = stats.window[COUNTER_TODAY].hits;
    }
    return NULL;
}

static void count_in_threads(const char *folder)
{
    pthread_t thread[USERS];
    unsigned user[USERS];

    common = folder ? opened(folder) : NULL;
    struct counter_options memory = {
        .size = sizeof memory, .config = "", .store = "memory:", .site = "portal", .timezone = "+07:00"};
    if (!folder)
        assert_int_equal(counter_open(&common, &memory), 0);
    for (unsigned i = 0; i < USERS; i++) {
        user[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, count_in_thread, &user[i]), 0);
    }
    for (unsigned i = 0; i < USERS; i++) {
        void *failure;
        pthread_join(thread[i], &failure);
        if (failure)
            fail_msg("%s", (char *)failure);
    }
    must_hold_all(common, USERS);
    counter_close(common);
}

static void threads_share_a_handle_without_losing_a_hit(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH];
    scratch_make(folder);
    count_in_threads(folder);
    count_in_threads(NULL); /* "memory:" */
    scratch_remove(folder);
}

/* ---- Writers that are stopped, killed, copied ------------------------------------------------------------------------ */

/* What writers say of themselves, and the clock they are told. */
enum { KINDS = 2, PEOPLE = 512, ROUNDS = 200, DAY_ROUNDS = 10, LIFE = ROUNDS / DAY_ROUNDS + 1 };

struct ledger {
    char folder[SCRATCH_PATH];
    _Atomic int64_t now;
    _Atomic uint64_t begun[KINDS], acked[KINDS];
    _Atomic int64_t acked_at[KINDS];
    _Atomic unsigned char begun_by[LIFE][KINDS][PEOPLE], acked_by[LIFE][KINDS][PEOPLE];
};

struct scribe {
    struct ledger *ledger;
    unsigned number;
};

/* Counts for ever, and writes down each hit before and after. */
static void count_for_ever(void *arg)
{
    const struct scribe *scribe = arg;
    struct ledger *ledger = scribe->ledger;
    unsigned n = scribe->number;
    struct counter *c = scratch_open(ledger->folder, 100);
    scratch_expect(c);
    for (uint64_t i = mixed((uint64_t)getpid());; i++) {
        int64_t at = atomic_load(&ledger->now);
        unsigned person = (unsigned)(mixed(i) % PEOPLE), day = (unsigned)((at - START) / DAY);
        atomic_store(&ledger->begun_by[day][n][person], 1);
        atomic_fetch_add(&ledger->begun[n], 1);
        scratch_expect(scratch_hit(c, n * PEOPLE + person, at) == 0);
        atomic_fetch_add(&ledger->acked[n], 1);
        atomic_store(&ledger->acked_by[day][n][person], 1);
        atomic_store(&ledger->acked_at[n], at);
    }
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(scratch_wait(pid), 256 + SIGKILL);
}

static void wait_for_progress(struct ledger *ledger, unsigned n, uint64_t hits)
{
    uint64_t target = atomic_load(&ledger->acked[n]) + hits;
    for (unsigned ms = 0; atomic_load(&ledger->acked[n]) < target; ms++) {
        if (ms == 20000)
            fail_msg("writer %u stands still", n);
        scratch_sleep_ms(1);
    }
}

static struct ledger *new_ledger(pid_t pid[KINDS], struct scribe scribe[KINDS])
{
    struct ledger *ledger = scratch_shared(sizeof *ledger);
    scratch_make(ledger->folder);
    atomic_store(&ledger->now, START + 3600);
    for (unsigned n = 0; n < KINDS; n++) {
        scribe[n] = (struct scribe){ledger, n};
        pid[n] = scratch_start(count_for_ever, &scribe[n]);
    }
    for (unsigned n = 0; n < KINDS; n++)
        wait_for_progress(ledger, n, 100);
    return ledger;
}

static void end_ledger(struct ledger *ledger)
{
    scratch_remove(ledger->folder);
    munmap(ledger, sizeof *ledger);
}

static uint64_t sum_of(_Atomic uint64_t word[KINDS])
{
    uint64_t sum = 0;
    for (int n = 0; n < KINDS; n++)
        sum += atomic_load(&word[n]);
    return sum;
}

static void a_stopped_writer_holds_up_nobody(void **state)
{
    (void)state;
    struct scribe scribe[KINDS];
    pid_t pid[KINDS];
    struct ledger *ledger = new_ledger(pid, scribe);

    for (unsigned round = 0; round < 40; round++) {
        unsigned stopped = round % KINDS;
        kill(pid[stopped], SIGSTOP);
        wait_for_progress(ledger, 1 - stopped, scaled(2000));
        kill(pid[stopped], SIGCONT);
    }
    for (int n = 0; n < KINDS; n++)
        stop(pid[n]);
    struct counter *c = opened(ledger->folder);
    uint64_t hits = (uint64_t)look(c, START + 3600).window[COUNTER_ALL_TIME].hits;
    assert_true(hits >= sum_of(ledger->acked) && hits <= sum_of(ledger->begun));
    counter_close(c);
    end_ledger(ledger);
}

/* Each killed writer may leave one hit that was counted and not acknowledged; its next life begins with another. */
static void check_after_kill(struct ledger *ledger, int64_t floor[NUMBERS])
{
    struct counter *c = opened(ledger->folder);
    uint64_t acked = sum_of(ledger->acked);
    struct counter_count all = look(c, atomic_load(&ledger->now)).window[COUNTER_ALL_TIME];
    must_not_fall(floor, &all);
    assert_true((uint64_t)all.hits >= acked);
    assert_true((uint64_t)all.hits <= sum_of(ledger->begun));
    counter_close(c);
}

static void check_days(struct counter *c, struct ledger *ledger, unsigned days)
{
    struct rows rows = {.n = 0};
    assert_int_equal(counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, keep_row, &rows), 0);
    assert_int_equal(rows.n, days);
    for (unsigned day = 0; day < days; day++) {
        int64_t begun = 0, acked = 0;
        for (unsigned n = 0; n < KINDS; n++)
            for (unsigned person = 0; person < PEOPLE; person++) {
                begun += atomic_load(&ledger->begun_by[day][n][person]);
                acked += atomic_load(&ledger->acked_by[day][n][person]);
            }
        assert_in_range(rows.count[day].visitors, acked, begun);
        assert_true(rows.count[day].error == 0);
    }
}

static void killing_writers_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct scribe scribe[KINDS];
    pid_t pid[KINDS];
    struct ledger *ledger = new_ledger(pid, scribe);
    int64_t floor[NUMBERS] = {0};
    unsigned rounds = (unsigned)scaled(ROUNDS);

    for (unsigned round = 1; round <= rounds; round++) {
        unsigned victim = (unsigned)mixed(round) % KINDS;
        struct timespec moment = {.tv_nsec = (long)(mixed(round * 7) % 2000000)};
        if (round % DAY_ROUNDS == 0) { /* nobody may be a whole day behind: late hits are exact for one */
            for (unsigned n = 0; n < KINDS; n++)
                wait_for_progress(ledger, n, 2);
            atomic_fetch_add(&ledger->now, DAY);
        }
        nanosleep(&moment, NULL);
        stop(pid[victim]);
        check_after_kill(ledger, floor);
        pid[victim] = scratch_start(count_for_ever, &scribe[victim]);
    }
    for (unsigned n = 0; n < KINDS; n++) {
        wait_for_progress(ledger, n, 2);
        stop(pid[n]);
    }
    check_after_kill(ledger, floor);
    struct counter *c = opened(ledger->folder);
    check_days(c, ledger, rounds / DAY_ROUNDS + 1);
    must_be_sound(c);
    counter_close(c);
    end_ledger(ledger);
}

static void a_copy_of_the_living_files_holds_numbers_of_its_moment(void **state)
{
    (void)state;
    struct scribe scribe[KINDS];
    pid_t pid[KINDS];
    struct ledger *ledger = new_ledger(pid, scribe);
    struct counter *c = opened(ledger->folder);

    for (unsigned round = 0; round < 20; round++) {
        char folder[SCRATCH_PATH];
        scratch_make(folder);
        struct counter_stats before = look(c, START + 3600);
        scratch_copy(ledger->folder, folder);
        struct counter_stats after = look(c, START + 3600);
        struct counter *copy = opened(folder);
        struct counter_stats then = look(copy, START + 3600);
        for (int w = 0; w < COUNTER_WINDOWS; w++) {
            assert_in_range(then.window[w].hits, before.window[w].hits, after.window[w].hits);
            assert_in_range(then.window[w].visits, before.window[w].visits, after.window[w].visits);
            assert_in_range(then.window[w].visitors, before.window[w].visitors, after.window[w].visitors);
        }
        assert_int_equal(scratch_hit(copy, 1, START + 3600), 0);
        assert_int_equal(look(copy, START + 3600).window[COUNTER_TODAY].hits, then.window[COUNTER_TODAY].hits + 1);
        must_be_sound(copy);
        counter_close(copy);
        scratch_remove(folder);
    }
    counter_close(c);
    for (int n = 0; n < KINDS; n++)
        stop(pid[n]);
    end_ledger(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_lose_no_hit_and_a_reader_sees_no_number_fall),
        cmocka_unit_test(a_new_visitor_that_two_processes_meet_is_one),
        cmocka_unit_test(children_go_on_with_the_handle_of_their_parent),
        cmocka_unit_test(threads_share_a_handle_without_losing_a_hit),
        cmocka_unit_test(a_stopped_writer_holds_up_nobody),
        cmocka_unit_test(killing_writers_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_copy_of_the_living_files_holds_numbers_of_its_moment),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
