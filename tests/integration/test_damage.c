/*
 * Files whose bytes are not what they should be: pages of two moments mixed as a power cut leaves them, random damage,
 * other versions, other keys, other sites' files. Sane numbers or an error that names the file; nothing is overwritten
 * that is not ours.
 */
#include "../support/scale.h"
#include "../support/scratch.h"
#include "header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOON = 1709096400 }; /* 2024-02-28T12:00:00+07:00 */
enum { DAY = 86400, PEOPLE = 3000 };
#define MONTH_FILE "portal.2024-02.days"

static const char *const files[] = {"portal.counter", MONTH_FILE};
enum { FILES = 2 };

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

static struct counter *opened(void)
{
    struct counter *c = scratch_open(folder, 1000);
    if (!c)
        fail_msg("%s", counter_error());
    return c;
}

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void count(unsigned first, unsigned end, int64_t at)
{
    struct counter *c = opened();
    for (unsigned v = first; v < end; v++)
        assert_int_equal(scratch_hit(c, v, at + v % 3600), 0);
    counter_close(c);
}

struct snapshot {
    unsigned char *bytes[FILES];
    size_t size[FILES];
};

static void take(struct snapshot *snapshot)
{
    char path[SCRATCH_FILE];
    for (int i = 0; i < FILES; i++)
        snapshot->bytes[i] = scratch_load(scratch_file(path, folder, files[i]), &snapshot->size[i]);
}

static void put(const struct snapshot *snapshot)
{
    char path[SCRATCH_FILE];
    for (int i = 0; i < FILES; i++)
        scratch_save(scratch_file(path, folder, files[i]), snapshot->bytes[i], snapshot->size[i]);
}

static void drop(struct snapshot *snapshot)
{
    for (int i = 0; i < FILES; i++)
        free(snapshot->bytes[i]);
}

/* ---- Pages of two moments ------------------------------------------------------------------------------------------- */

static void mix(const struct snapshot *old, const struct snapshot *new, size_t page, uint64_t seed)
{
    char path[SCRATCH_FILE];
    for (int i = 0; i < FILES; i++) {
        unsigned char *mixed = malloc(new->size[i]);
        assert_non_null(mixed);
        for (size_t at = 0; at < new->size[i]; at += page)
            memcpy(mixed + at, (next(&seed) & 1 ? old : new)->bytes[i] + at, page);
        scratch_save(scratch_file(path, folder, files[i]), mixed, new->size[i]);
        free(mixed);
    }
}

static struct counter_stats look(int64_t at)
{
    struct counter *c = opened();
    struct counter_stats stats = scratch_read(c, at);
    if (stats.at == 0)
        fail_msg("%s", counter_error());
    counter_close(c);
    return stats;
}

/* Between the two snapshots lie a midnight, new visitors, and others who come again. */
static void any_mix_of_old_and_new_pages_shows_numbers_between_old_and_new(void **state)
{
    (void)state;
    static const size_t page[] = {4096, 512};
    struct snapshot old, new;
    int64_t now = NOON + DAY + 7200;

    count(0, PEOPLE, NOON);
    count(0, PEOPLE / 2, NOON + 7200);
    take(&old);
    struct counter_stats before = look(now);
    count(PEOPLE, 2 * PEOPLE, NOON + 3600);
    count(PEOPLE / 2, 2 * PEOPLE, NOON + DAY);
    count(0, 100, NOON + DAY + 3600);
    take(&new);
    struct counter_stats after = look(now);

    for (uint64_t round = 0; round < scaled(200); round++) {
        mix(&old, &new, page[round % 2], round);
        struct counter_stats mixed = look(now);
        for (int w = 0; w < COUNTER_WINDOWS; w++) {
            assert_in_range(mixed.window[w].hits, before.window[w].hits, after.window[w].hits);
            assert_in_range(mixed.window[w].visits, before.window[w].visits, after.window[w].visits);
            assert_in_range(mixed.window[w].visitors, before.window[w].visitors, after.window[w].visitors);
        }
        count(0, 10, now); /* and it goes on */
        assert_int_equal(look(now + 60).window[COUNTER_TODAY].hits, mixed.window[COUNTER_TODAY].hits + 10);
    }
    drop(&old);
    drop(&new);
}

/* ---- Damage --------------------------------------------------------------------------------------------------------- */

static int sane_row(void *arg, const struct counter_row *row)
{
    unsigned *rows = arg;
    assert_true(row->count.hits >= 0 && row->count.visits >= 0 && row->count.visitors >= 0);
    assert_true(row->count.error >= 0 && row->count.error <= 1);
    return ++*rows == 200; /* a damaged `since` may make it long */
}

static int any_fact(void *arg, const struct counter_fact *fact)
{
    (void)arg;
    assert_non_null(fact->value);
    return 0;
}

static void must_be_sane(const struct counter_stats *stats)
{
    assert_true(stats->online >= 0 && stats->late >= 0);
    for (int w = 0; w < COUNTER_WINDOWS; w++) {
        assert_true(stats->window[w].hits >= 0 && stats->window[w].visits >= 0 && stats->window[w].visitors >= 0);
        assert_true(stats->window[w].error >= 0 && stats->window[w].error <= 1);
    }
}

/* Asks everything and counts; each answer is sane or an error with words. */
static void use(void)
{
    struct counter *c = opened();
    struct counter_site site = {.size = sizeof site};
    unsigned rows = 0;

    int r = scratch_hit(c, 5, NOON + DAY);
    assert_true(r == 0 || counter_error()[0]);
    for (int64_t at = NOON; at <= NOON + 3 * DAY; at += DAY) {
        struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
        if (counter_read(c, NULL, at, &stats) == 0)
            must_be_sane(&stats);
    }
    r = counter_series(c, NULL, NULL, NULL, COUNTER_BY_DAY, sane_row, &rows);
    rows = 0;
    r = r < 0 ? r : counter_series(c, NULL, "2024-02-28", "2024-02-29", COUNTER_BY_HOUR, sane_row, &rows);
    rows = 0;
    r = r < 0 ? r : counter_breakdown(c, NULL, NULL, NULL, COUNTER_BY_VERDICT, sane_row, &rows);
    assert_true(r >= 0 || counter_error()[0]);
    counter_site(c, NULL, &site);
    counter_check(c, NULL, any_fact, NULL);
    scratch_hit(c, 6, NOON + 2 * DAY); /* a rollover over damaged words */
    counter_close(c);
}

static void reseal(unsigned char *bytes)
{
    uint64_t sum = sketch_hash(bytes, offsetof(struct layout_header, checksum));
    memcpy(bytes + offsetof(struct layout_header, checksum), &sum, sizeof sum);
}

/* Bits, bytes, words of all ones, runs of noise; at the front, where the words have a meaning, more often than not. */
static void damage(unsigned char *bytes, size_t size, uint64_t *seed)
{
    static const size_t reach[] = {sizeof(struct layout_header), 8192, 131072, SIZE_MAX};
    for (unsigned n = 1 + (unsigned)(next(seed) % 8); n > 0; n--) {
        size_t limit = reach[next(seed) % 4] < size ? reach[next(seed) % 4] : size;
        size_t at = next(seed) % (limit < size ? limit : size), length = 1 + next(seed) % 64;
        if (limit == sizeof(struct layout_header) && next(seed) % 2)
            continue; /* a header is seldom worth more than its checksum */
        switch (next(seed) % 4) {
        case 0:
            bytes[at] ^= (unsigned char)(1u << next(seed) % 8);
            break;
        case 1:
            bytes[at] = (unsigned char)next(seed);
            break;
        case 2:
            memset(bytes + at / 8 * 8, 0xff, 8);
            break;
        default:
            for (size_t i = at; i < size && i < at + length; i++)
                bytes[i] = (unsigned char)next(seed);
        }
    }
    if (next(seed) % 4)
        reseal(bytes);
}

static void random_damage_gives_an_error_or_sane_numbers(void **state)
{
    (void)state;
    struct snapshot whole;
    char path[SCRATCH_FILE];

    count(0, 200, NOON);
    count(0, 100, NOON + DAY);
    take(&whole);
    for (uint64_t round = 0; round < scaled(2000); round++) {
        uint64_t seed = round;
        int which = (int)(round % FILES);
        size_t size = whole.size[which];
        unsigned char *bytes = malloc(size);
        assert_non_null(bytes);
        memcpy(bytes, whole.bytes[which], size);
        if (round % 16 == 7)
            size = next(&seed) % (round % 32 == 7 ? 300 : size);
        else
            damage(bytes, size, &seed);
        put(&whole);
        scratch_save(scratch_file(path, folder, files[which]), bytes, size);
        use();
        free(bytes);
        if (scratch_has(folder, ".days.")) { /* set aside as another site's */
            scratch_remove(folder);
            assert_int_equal(mkdir(folder, 0700), 0);
            count(0, 1, NOON);
            drop(&whole);
            count(1, 200, NOON);
            count(0, 100, NOON + DAY);
            take(&whole);
        }
    }
    drop(&whole);
}

static void a_short_header_is_an_error(void **state)
{
    (void)state;
    struct snapshot whole;
    char path[SCRATCH_FILE];
    count(0, 10, NOON);
    take(&whole);
    for (int i = 0; i < FILES; i++)
        for (size_t size = 0; size < 4096; size += size < sizeof(struct layout_header) ? 9 : 600) {
            put(&whole);
            scratch_save(scratch_file(path, folder, files[i]), whole.bytes[i], size);
            struct counter *c = opened();
            assert_int_equal(scratch_hit(c, 1, NOON), COUNTER_EFORMAT);
            assert_non_null(strstr(counter_error(), files[i]));
            counter_close(c);
        }
    drop(&whole);
}

static void numbers_saturate_and_never_turn_negative(void **state)
{
    (void)state;
    static const uint64_t huge[] = {INT64_MAX - 3, INT64_MAX, UINT64_MAX - 1000};
    struct snapshot whole;

    count(0, 10, NOON);
    take(&whole);
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        struct layout_month *month = (void *)whole.bytes[1];
        struct layout_site *site = (void *)whole.bytes[0];
        atomic_store(&month->day[27].hour[0][3], huge[i]);
        atomic_store(&month->day[27].hour[1][12], huge[i]);
        atomic_store(&month->day[27].visits, huge[i]);
        atomic_store(&month->day[26].hour[0][1], huge[i]);
        atomic_store(&site->state.late, huge[i]);
        month->sketch[27].reg[7] = site->all_sketch.reg[9] = 255;
        put(&whole);
        count(0, 10, NOON);
        count(0, 10, NOON + 2 * DAY); /* and a month's end */
        struct counter *c = opened();
        struct counter_stats stats = scratch_read(c, NOON + 2 * DAY);
        must_be_sane(&stats);
        assert_true(stats.window[COUNTER_LAST_MONTH].hits == INT64_MAX);
        assert_true(stats.window[COUNTER_THIS_WEEK].hits == INT64_MAX);
        assert_true(stats.window[COUNTER_THIS_YEAR].hits == INT64_MAX);
        assert_true(stats.window[COUNTER_ALL_TIME].hits == INT64_MAX);
        assert_true(stats.window[COUNTER_LAST_MONTH].visits >= INT64_MAX - 3);
        assert_true(stats.late >= INT64_MAX - 3);
        struct counter_count old = {INT64_MAX - 1, INT64_MAX - 1, INT64_MAX - 1, 0};
        assert_int_equal(counter_baseline(c, NULL, &old), 0);
        stats = scratch_read(c, NOON + 2 * DAY);
        must_be_sane(&stats);
        assert_true(stats.window[COUNTER_ALL_TIME].visitors == INT64_MAX);
        counter_close(c);
        unlink(scratch_file((char[SCRATCH_FILE]){0}, folder, "portal.2024-03.days"));
    }
    drop(&whole);
}

/* ---- Files of others --------------------------------------------------------------------------------------------------- */

/* Refused with that code, by a text that holds that word, and not a byte of the file changed. */
static void must_refuse(int file, int code, const char *word)
{
    char path[SCRATCH_FILE];
    size_t size, size_after;
    struct stat before, after;
    unsigned char *bytes = scratch_load(scratch_file(path, folder, files[file]), &size);
    assert_int_equal(stat(path, &before), 0);
    struct counter *c = opened();
    assert_int_equal(scratch_hit(c, 1, NOON), code);
    if (!strstr(counter_error(), word))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), word);
    counter_close(c);
    unsigned char *bytes_after = scratch_load(path, &size_after);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_int_equal(size, size_after);
    assert_memory_equal(bytes, bytes_after, size);
    free(bytes);
    free(bytes_after);
}

static void a_newer_layout_is_refused_and_its_file_untouched(void **state)
{
    (void)state;
    struct snapshot whole;
    count(0, 10, NOON);
    take(&whole);
    for (int i = 0; i < FILES; i++) {
        struct layout_header *header = (void *)whole.bytes[i];
        header->version = LAYOUT_VERSION + 1;
        reseal(whole.bytes[i]);
        put(&whole);
        must_refuse(i, COUNTER_EFORMAT, "newer");
        header->version = LAYOUT_VERSION;
        reseal(whole.bytes[i]);
    }
    drop(&whole);
}

static void write_key(const char *text)
{
    char path[SCRATCH_FILE];
    scratch_save(scratch_file(path, folder, "key"), text, strlen(text));
}

static void another_key_is_a_conflict(void **state)
{
    (void)state;
    count(0, 10, NOON);
    write_key("counter key 1\n00112233445566778899aabbccddeeff\n");
    must_refuse(0, COUNTER_ECONFLICT, "key");
}

static void a_damaged_key_is_an_error_and_never_replaced(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "counter key 1\n",
                                        "counter key 1\n00112233445566778899aabbccddeeff",
                                        "counter key 1\n00112233445566778899aabbccddeefg\n",
                                        "counter key 1\n00112233445566778899aabbccddeeff\n\n",
                                        "counter key 2\n00112233445566778899aabbccddeeff\n"};
    char path[SCRATCH_FILE];
    size_t size;
    count(0, 10, NOON);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_key(wrong[i]);
        must_refuse(0, COUNTER_EFORMAT, "key");
        unsigned char *bytes = scratch_load(scratch_file(path, folder, "key"), &size);
        assert_int_equal(size, strlen(wrong[i]));
        assert_memory_equal(bytes, wrong[i], size);
        free(bytes);
    }
}

static void a_renamed_site_file_says_whose_it_is(void **state)
{
    (void)state;
    char from[SCRATCH_FILE], to[SCRATCH_FILE];
    count(0, 10, NOON);
    assert_int_equal(rename(scratch_file(from, folder, "portal.counter"), scratch_file(to, folder, "other.counter")),
                     0);
    struct counter *c = opened();
    struct counter_stats stats = {.size = sizeof stats};
    assert_int_equal(counter_read(c, "other", NOON, &stats), COUNTER_EFORMAT);
    assert_non_null(strstr(counter_error(), "portal"));
    counter_close(c);
}

/* The name it was set aside under; "" if none. */
static void find_aside(char path[SCRATCH_FILE], uint64_t incarnation)
{
    char name[128];
    snprintf(name, sizeof name, MONTH_FILE ".%016llx", (unsigned long long)incarnation);
    scratch_file(path, folder, name);
}

static void a_month_of_an_earlier_site_is_set_aside_whole(void **state)
{
    (void)state;
    char path[SCRATCH_FILE];
    struct snapshot old;
    struct stat st;
    size_t size;

    count(0, 10, NOON);
    take(&old);
    unlink(scratch_file(path, folder, "portal.counter"));
    count(0, 3, NOON);
    assert_int_equal(look(NOON + 3600).window[COUNTER_ALL_TIME].hits, 3);
    find_aside(path, ((struct layout_header *)(void *)old.bytes[1])->incarnation);
    assert_int_equal(stat(path, &st), 0);
    unsigned char *aside = scratch_load(path, &size);
    assert_int_equal(size, old.size[1]);
    assert_memory_equal(aside, old.bytes[1], size);
    free(aside);
    drop(&old);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(any_mix_of_old_and_new_pages_shows_numbers_between_old_and_new),
        in_folder(random_damage_gives_an_error_or_sane_numbers),
        in_folder(a_short_header_is_an_error),
        in_folder(numbers_saturate_and_never_turn_negative),
        in_folder(a_newer_layout_is_refused_and_its_file_untouched),
        in_folder(another_key_is_a_conflict),
        in_folder(a_damaged_key_is_an_error_and_never_replaced),
        in_folder(a_renamed_site_file_says_whose_it_is),
        in_folder(a_month_of_an_earlier_site_is_set_aside_whole),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
