/* The recency table against plain models, and its rules of sharing with two processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/scale.h"
#include "recency.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t key_of(uint64_t visitor)
{
    return mix(visitor) >> 21 | 1;
}

static struct recency new_table(unsigned line_bits)
{
    void *cells = mmap(NULL, recency_bytes(line_bits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(cells, MAP_FAILED);
    return (struct recency){cells, line_bits};
}

static void free_table(struct recency *table)
{
    munmap((void *)table->cell, recency_bytes(table->line_bits));
}

/* What a hit does: find, and swap until it holds. Returns the time last seen, 0 if unknown. */
static uint32_t touch(const struct recency *table, uint64_t key, uint32_t time)
{
    struct recency_slot slot;
    recency_locate(table, key, &slot);
    do {
        recency_find(&slot);
        if (recency_time(slot.old) >= time)
            break;
    } while (!recency_swap(&slot, time, 0));
    return slot.found ? recency_time(slot.old) : 0;
}

static size_t cells_of(const struct recency *table)
{
    return (size_t)RECENCY_LINE << table->line_bits;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many cells hold a key that another cell holds as well. */
static size_t duplicates(const struct recency *table)
{
    size_t cells = cells_of(table), used = 0, twice = 0;
    uint64_t *key = malloc(cells * sizeof *key);
    for (size_t i = 0; i < cells; i++) {
        uint64_t cell = atomic_load(&table->cell[i]);
        if (cell << 34)
            key[used++] = recency_key(table, i, cell);
    }
    qsort(key, used, sizeof *key, by_value);
    for (size_t i = 1; i < used; i++)
        twice += key[i] == key[i - 1];
    free(key);
    return twice;
}

static void a_visitor_is_found_again_with_the_time_it_was_last_seen(void **state)
{
    (void)state;
    struct recency table = new_table(14);
    for (uint64_t v = 0; v < 20000; v++)
        assert_int_equal(touch(&table, key_of(v), (uint32_t)(1000 + v)), 0);
    for (uint64_t v = 0; v < 20000; v++)
        assert_int_equal(touch(&table, key_of(v), (uint32_t)(50000 + v)), 1000 + v);
    free_table(&table);
}

static void a_cell_gives_its_visitors_whole_key_back_in_every_geometry(void **state)
{
    (void)state;
    for (unsigned bits = RECENCY_LINE_BITS; bits <= 17; bits++) {
        struct recency table = new_table(bits);
        for (uint64_t v = 0; v < 30000; v++) {
            struct recency_slot slot;
            touch(&table, key_of(v), 1000);
            recency_locate(&table, key_of(v), &slot);
            recency_find(&slot);
            assert_true(slot.found);
            assert_int_equal(recency_key(&table, (size_t)(slot.cell - table.cell), atomic_load(slot.cell)), key_of(v));
        }
        free_table(&table);
    }
}

static void a_full_table_drops_the_oldest_of_the_sixteen_candidates(void **state)
{
    (void)state;
    struct recency table = new_table(4);
    for (uint64_t v = 1; v < 5000; v++) {
        struct recency_slot slot;
        uint32_t oldest = UINT32_MAX;
        recency_locate(&table, key_of(v), &slot);
        recency_find(&slot);
        for (int line = 0; line < 2; line++)
            for (int i = 0; i < RECENCY_LINE; i++) {
                uint32_t time = recency_time(atomic_load(&slot.line[line][i]));
                oldest = time < oldest ? time : oldest;
            }
        assert_false(slot.found);
        assert_int_equal(recency_time(slot.old), oldest);
        assert_true(recency_swap(&slot, (uint32_t)v, 0));
    }
    free_table(&table);
}

static void a_time_never_decreases_whatever_is_forgotten_or_erased(void **state)
{
    (void)state;
    struct recency table = new_table(6);
    for (uint64_t v = 0; v < 300; v++)
        touch(&table, key_of(v), (uint32_t)(100 + v));
    uint64_t before[512];
    memcpy(before, (const void *)table.cell, sizeof before);
    assert_true(recency_erase(&table, key_of(299)));
    assert_false(recency_erase(&table, key_of(299)));
    assert_int_equal(recency_newest_before(&table, 250), 249);
    recency_forget(&table, 250);
    assert_int_equal(recency_newest_before(&table, 250), 0);
    for (size_t i = 0; i < 512; i++)
        assert_int_equal(recency_time(atomic_load(&table.cell[i])), recency_time(before[i]));
    assert_int_equal(touch(&table, key_of(299), 1000), 0);
    free_table(&table);
}

/* ---- Scans ------------------------------------------------------------------------------------------------------ */

static void count_slowly(const struct recency *table, const struct recency_bounds *b, struct recency_counts *out)
{
    static const unsigned bit[4] = {RECENCY_DAY, RECENCY_WEEK, RECENCY_MONTH, 0};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < cells_of(table); i++) {
        uint64_t cell = atomic_load(&table->cell[i]);
        uint32_t t = recency_time(cell);
        if (t == 0)
            continue;
        out->all++;
        out->online += t >= b->online && t <= b->online_end && cell << 34 != 0;
        for (int k = 0; k < 4; k++) {
            bool in = t >= b->start[k] && t < b->end[k], also = recency_bits(cell) & bit[k];
            out->current[k] += in || (t >= b->end[k] && also);
            out->previous[k] += (t >= b->previous[k] && t < b->start[k]) || (in && also);
        }
    }
}

static void a_scan_counts_what_a_plain_loop_counts(void **state)
{
    (void)state;
    struct recency table = new_table(8);
    for (uint64_t round = 0; round < 200; round++) {
        uint32_t base = round % 2 ? 0x40000000u - 5000 : 800000; /* also around the sign bit of the comparison */
        for (size_t i = 0; i < cells_of(&table); i++) {
            uint64_t r = mix(round << 32 | i);
            uint64_t time = r % 7 == 0 ? 0 : base + r % 10000;
            atomic_store(&table.cell[i],
                         time << 33 | (time ? (r >> 32 & 7) << 30 | (r % 5 ? r >> 40 & 0x3fffffff : 0) : 0));
        }
        struct recency_bounds b = {.online = base + 9000, .online_end = base + 9400};
        for (uint32_t k = 0; k < 4; k++) {
            b.previous[k] = base + (uint32_t)(mix(round + k) % 3000);
            b.start[k] = base + 3000 + (uint32_t)(mix(round * 7 + k) % 3000);
            b.end[k] = base + 6000 + (uint32_t)(mix(round * 9 + k) % 5000);
        }
        struct recency_counts slow, fast;
        count_slowly(&table, &b, &slow);
        recency_scan(&table, &b, &fast);
        assert_memory_equal(&slow, &fast, sizeof slow);

        b.online_end = RECENCY_LAST;
        for (int k = 0; k < 4; k++)
            b.end[k] = RECENCY_LAST;
        count_slowly(&table, &b, &slow);
        memset(slow.previous, 0, sizeof slow.previous);
        recency_scan_current(&table, &b, &fast);
        assert_memory_equal(&slow, &fast, sizeof slow);
    }
    free_table(&table);
}

/* ---- Capacity ----------------------------------------------------------------------------------------------------- */

static void visitors_of_one_window_stay_whole_in_a_table_full_of_older_ones(void **state)
{
    (void)state;
    struct recency table = new_table(14);
    uint64_t next = 0;
    uint32_t now = 1000;
    for (uint64_t v = 0; v < 600000; v++)
        touch(&table, key_of(next++), now++);
    for (int trial = 0; trial < (int)scaled(20); trial++) {
        uint32_t start = now;
        uint64_t first = next;
        for (uint64_t v = 0; v < 32768; v++)
            touch(&table, key_of(next++), now++);
        for (uint64_t v = first; v < next; v++)
            assert_true(touch(&table, key_of(v), now) >= start);
        now++;
    }
    free_table(&table);
}

/* ---- Two processes ------------------------------------------------------------------------------------------------ */

struct rendezvous {
    _Atomic uint64_t arrived[2];
};

static void wait_for(_Atomic uint64_t *word, uint64_t value)
{
    while (atomic_load(word) < value)
        sched_yield();
}

/* Both write the same new visitors at the same time, round after round; after each the parent looks. */
static void two_processes_that_insert_the_same_new_visitors_leave_no_duplicate(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    uint64_t per_round = scaled(50000);
    struct recency table = new_table(14);
    struct rendezvous *meet = mmap(NULL, sizeof *meet, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    assert_true(child >= 0);
    unsigned self = child == 0 ? 1 : 0;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        atomic_store(&meet->arrived[self], 2 * round + 1);
        wait_for(&meet->arrived[!self], 2 * round + 1);
        for (uint64_t v = 0; v < per_round; v++)
            touch(&table, key_of(round * per_round + v), (uint32_t)(1000 + round * per_round + v));
        atomic_store(&meet->arrived[self], 2 * round + 2);
        wait_for(&meet->arrived[!self], 2 * round + 2);
        if (child != 0)
            assert_int_equal(duplicates(&table), 0);
    }
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    munmap(meet, sizeof *meet);
    free_table(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_visitor_is_found_again_with_the_time_it_was_last_seen),
        cmocka_unit_test(a_cell_gives_its_visitors_whole_key_back_in_every_geometry),
        cmocka_unit_test(a_full_table_drops_the_oldest_of_the_sixteen_candidates),
        cmocka_unit_test(a_time_never_decreases_whatever_is_forgotten_or_erased),
        cmocka_unit_test(a_scan_counts_what_a_plain_loop_counts),
        cmocka_unit_test(visitors_of_one_window_stay_whole_in_a_table_full_of_older_ones),
        cmocka_unit_test(two_processes_that_insert_the_same_new_visitors_leave_no_duplicate),
    };
    return cmocka_run_group_tests_name("recency", tests, NULL, NULL);
}
