/*
 * test_zone.c: zones against the C library, which reads the same files with code of its own.
 *
 * The walk over tzdata finds the transitions by asking localtime_r day by day and bisecting, so that one which the
 * library under test missed is not missed here too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "zone.h"

#define TZDATA "/usr/share/zoneinfo"
#define Y1970  INT64_C(0)
#define Y2038  INT64_C(2145916800)

enum { HOUR = 3600, DAY = 86400, ZONES_MAX = 4096, FILE_BYTES = 65536 };

static struct zone *open_zone(const char *name)
{
    struct zone *zone;

    if (zone_open(&zone, name) < 0)
        fail_msg("%s", counter_error());
    return zone;
}

static void set_tz(const char *name)
{
    if (name)
        setenv("TZ", name, 1);
    else
        unsetenv("TZ");
    tzset();
}

/* ---- The files of tzdata ---------------------------------------------------------------------------------------- */

struct list {
    size_t count, refused;
    char *name[ZONES_MAX];
    uint64_t hash[ZONES_MAX];
};

static size_t read_file(const char *path, unsigned char *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, FILE_BYTES);

    if (fd >= 0)
        close(fd);
    return got < 0 ? 0 : (size_t)got;
}

static uint64_t fnv(const unsigned char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void add_file(struct list *list, const char *path)
{
    static unsigned char bytes[FILE_BYTES];
    const char *name = path + sizeof TZDATA;
    size_t length = read_file(path, bytes);
    uint64_t hash = fnv(bytes, length);
    struct zone *zone;

    if (length < 44 || memcmp(bytes, "TZif", 4) != 0)
        return;
    for (size_t i = 0; i < list->count; i++)
        if (list->hash[i] == hash)
            return;
    if (strncmp(name, "right/", 6) == 0) { /* the same zones, with leap seconds */
        assert_int_equal(zone_open(&zone, name), COUNTER_EFORMAT);
        assert_null(zone);
        assert_non_null(strstr(counter_error(), "leap"));
        list->refused++;
        return;
    }
    assert_true(list->count < ZONES_MAX);
    list->hash[list->count] = hash;
    list->name[list->count++] = strdup(name);
}

static void add_folder(struct list *list, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[PATH_MAX];
    struct stat status;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        if (strchr(entry->d_name, '.'))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            add_folder(list, path);
        else if (S_ISREG(status.st_mode))
            add_file(list, path);
    }
    closedir(dir);
}

static struct list zones;

static int list_zones(void **state)
{
    (void)state;
    add_folder(&zones, TZDATA);
    return 0;
}

static int free_zones(void **state)
{
    (void)state;
    while (zones.count > 0)
        free(zones.name[--zones.count]);
    return 0;
}

static void need_tzdata(void)
{
    if (zones.count == 0) {
        print_message("no time zone files in " TZDATA "\n");
        skip();
    }
}

/* ---- Against the C library -------------------------------------------------------------------------------------- */

static struct tm c_local(int64_t t)
{
    time_t clock = (time_t)t;
    struct tm tm;

    assert_non_null(localtime_r(&clock, &tm));
    return tm;
}

/* The offset, and the date and time that follow from it, are those of the C library. */
static void assert_agrees(const struct zone *zone, int64_t t)
{
    struct tm theirs = c_local(t), ours;
    struct zone_local local;
    time_t shifted;

    zone_at(zone, t, &local);
    shifted = (time_t)(t + local.offset);
    gmtime_r(&shifted, &ours);
    if (local.offset != theirs.tm_gmtoff || ours.tm_sec != theirs.tm_sec || ours.tm_min != theirs.tm_min ||
        ours.tm_hour != theirs.tm_hour || ours.tm_mday != theirs.tm_mday || ours.tm_mon != theirs.tm_mon ||
        ours.tm_year != theirs.tm_year)
        fail_msg("%s at %lld: offset %d, the C library has %ld", zone_name(zone), (long long)t, local.offset,
                 theirs.tm_gmtoff);
    assert_true(local.from <= t && t < local.until);
}

static int64_t bisect(int64_t low, int64_t high)
{
    long before = c_local(low).tm_gmtoff;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (c_local(middle).tm_gmtoff == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Every half hour of the two days before and after, and the seconds next to it. */
static void assert_agrees_around(const struct zone *zone, int64_t transition)
{
    for (int64_t t = transition - 2 * DAY; t <= transition + 2 * DAY; t += HOUR / 2)
        assert_agrees(zone, t);
    assert_agrees(zone, transition - 1);
    assert_agrees(zone, transition + 1);
}

/* Two changes that undo each other between two midnights escape the C library's walk: so ours is walked too. */
static int assert_zone_agrees(const struct zone *zone)
{
    long before = c_local(Y1970).tm_gmtoff;
    struct zone_local local;
    int transitions = 0;

    for (int64_t t = Y1970; t <= Y2038; t += DAY) {
        long offset = c_local(t).tm_gmtoff;
        assert_agrees(zone, t);
        if (offset == before)
            continue;
        zone_at(zone, t - DAY, &local);
        assert_int_equal(local.until, bisect(t - DAY, t));
        before = offset;
    }
    for (zone_at(zone, Y1970, &local); local.until < Y2038; zone_at(zone, local.until, &local)) {
        assert_agrees_around(zone, local.until);
        transitions++;
    }
    return transitions;
}

static void every_zone_agrees_with_the_c_library_around_each_transition_from_1970_to_2037(void **state)
{
    int transitions = 0;

    (void)state;
    need_tzdata();
    for (size_t i = 0; i < zones.count; i++) {
        struct zone *zone = open_zone(zones.name[i]);
        set_tz(zones.name[i]);
        transitions += assert_zone_agrees(zone);
        zone_close(zone);
    }
    print_message("%zu distinct zones, %d transitions; %zu files with leap seconds refused\n", zones.count, transitions,
                  zones.refused);
    assert_true(zones.count < 100 || transitions > 5000);
}

/* Beyond the 400 years of the unrolled rule, and back before the first transition. */
static void every_zone_agrees_with_the_c_library_in_far_years(void **state)
{
    static const int64_t year = 31556952;

    (void)state;
    need_tzdata();
    for (size_t i = 0; i < zones.count; i++) {
        struct zone *zone = open_zone(zones.name[i]);
        set_tz(zones.name[i]);
        for (int64_t t = -400 * year; t < 1300 * year; t += year / 12 * 7)
            assert_agrees(zone, t);
        for (int64_t t = 100000 * year; t < 100001 * year; t += 5 * DAY + 7)
            assert_agrees(zone, t);
        zone_close(zone);
    }
}

/* Walking from end to end by `until` alone meets no gap, no overlap and no change that changes nothing. */
static void the_intervals_of_every_zone_tile_all_time(void **state)
{
    (void)state;
    need_tzdata();
    for (size_t i = 0; i < zones.count; i++) {
        struct zone *zone = open_zone(zones.name[i]);
        struct zone_local now, next;
        zone_at(zone, INT64_MIN, &now);
        assert_true(now.from == INT64_MIN);
        for (int steps = 0; now.until != INT64_MAX && steps < 3000; steps++) {
            zone_at(zone, now.until, &next);
            assert_true(next.from == now.until && next.until > next.from && next.offset != now.offset);
            zone_at(zone, next.until - 1, &now);
            assert_true(now.from == next.from && now.until == next.until && now.offset == next.offset);
        }
        zone_at(zone, INT64_MAX, &now);
        assert_true(now.until == INT64_MAX && now.from < INT64_MAX);
        zone_close(zone);
    }
}

static void the_process_keeps_its_own_tz(void **state)
{
    struct zone_local local;
    struct tm before, after;

    (void)state;
    need_tzdata();
    set_tz("America/New_York");
    before = c_local(1750000000);
    for (size_t i = 0; i < zones.count; i += 10) {
        struct zone *zone = open_zone(zones.name[i]);
        zone_at(zone, 1750000000, &local);
        zone_close(zone);
    }
    assert_string_equal(getenv("TZ"), "America/New_York");
    assert_string_equal(tzname[0], "EST");
    assert_string_equal(tzname[1], "EDT");
    assert_int_equal(timezone, 5 * HOUR);
    after = c_local(1750000000);
    assert_int_equal(before.tm_gmtoff, after.tm_gmtoff);
}

/* ---- Handmade files --------------------------------------------------------------------------------------------- */

struct image {
    size_t length;
    unsigned char bytes[512];
};

static void put(struct image *image, const void *bytes, size_t length)
{
    assert_true(length <= sizeof image->bytes - image->length);
    if (length)
        memcpy(image->bytes + image->length, bytes, length);
    image->length += length;
}

static void put_big(struct image *image, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--)
        put(image, &(unsigned char){(unsigned char)((uint64_t)value >> (8 * i))}, 1);
}

static void put_header(struct image *image, char version, uint32_t times, uint32_t types)
{
    put(image, "TZif", 4);
    put(image, &version, 1);
    put(image, (char[15]){0}, 15);
    for (int i = 0; i < 3; i++)
        put_big(image, 0, 4);
    put_big(image, times, 4);
    put_big(image, types, 4);
    put_big(image, 4, 4);
}

/* One change at time `at` from offset before to offset after. */
static void put_block(struct image *image, char version, int64_t at, int32_t before, int32_t after)
{
    put_header(image, version, 1, 2);
    put_big(image, at, version ? 8 : 4);
    put_big(image, 1, 1);
    put_big(image, before, 4);
    put_big(image, 0, 2);
    put_big(image, after, 4);
    put_big(image, 0, 2);
    put(image, "XXX", 4);
}

/* An empty block for old readers, then the same change and a footer. */
static struct image image_of(char version, int64_t at, int32_t before, int32_t after, const char *footer)
{
    struct image image = {0};

    if (version) {
        put_header(&image, version, 0, 0);
        put(&image, "XXX", 4);
    }
    put_block(&image, version, at, before, after);
    if (version) {
        put(&image, "\n", 1);
        put(&image, footer, strlen(footer));
        put(&image, "\n", 1);
    }
    return image;
}

static int parse(struct zone **zone, const struct image *image)
{
    /* of exact size, for the address sanitizer to see the first byte beyond */
    unsigned char *copy = malloc(image->length + 1);
    int result;

    memcpy(copy + 1, image->bytes, image->length);
    result = zone_parse(zone, "Test/Zone", copy + 1, image->length);
    free(copy);
    assert_true((result == 0) == (*zone != NULL));
    return result;
}

static struct zone *parse_footer(const char *footer)
{
    struct image image = image_of('2', -5000000000, 0, 0, footer);
    struct zone *zone;

    if (parse(&zone, &image) < 0)
        fail_msg("%s: %s", footer, counter_error());
    return zone;
}

static void footers_of_every_form_agree_with_the_c_library(void **state)
{
    static const char *const footers[] = {
        "EST5EDT,M3.2.0,M11.1.0",
        "<+0330>-3:30<+0430>,J79/24,J263/24",   /* Tehran's: 29 February is never counted */
        "AAA3:15:20BBB,59/0,300/23:59:59",      /* 29 February is counted */
        "AAA3BBB,J60/0,J59/1",                  /* a summer of all but a day */
        "AEST-10AEDT,M10.1.0,M4.1.0/3",         /* summer over the turn of the year */
        "IST-1GMT0,M10.5.0,M3.5.0/1",           /* winter time, one hour back */
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",      /* on the day before */
        "EET-2EEST,M3.4.4/50,M10.4.4/50",       /* on the day after the day after */
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", /* half an hour */
        "AAA-23BBB-24,M2.5.0/167,M12.5.6/-167",
        "AAA+24:59:59BBB24,M1.1.1,M6.3.3",
        "AAA3BBB,M2.1.0,M2.4.1", /* in February, whose first day does not move in leap years */
        "XXX0",
    };

    (void)state;
    for (size_t i = 0; i < sizeof footers / sizeof footers[0]; i++) {
        struct zone *zone = parse_footer(footers[i]);
        set_tz(footers[i]);
        for (int64_t t = Y1970 - 10 * (int64_t)DAY; t < Y2038 * 3; t += HOUR * 17 + 1)
            assert_agrees(zone, t);
        zone_close(zone);
    }
}

static void summer_time_all_year_is_one_offset_for_ever(void **state)
{
    static const char *const footers[] = {"EST5EDT,0/0,J365/25", "XXX3EDT4,0/0,J365/23"};
    struct zone_local local;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct zone *zone = parse_footer(footers[i]);
        zone_at(zone, 1767225600, &local); /* 2026-01-01 */
        assert_int_equal(local.offset, -4 * HOUR);
        assert_true(local.from == -5000000000 && local.until == INT64_MAX);
        zone_close(zone);
    }
}

/* A rule that began in 1811, and the last second that there is: further apart than int64_t reaches. */
static void the_last_second_of_time_has_an_offset_too(void **state)
{
    struct zone *zone = parse_footer("EST5EDT,M3.2.0,M11.1.0");
    struct zone_local last, before;

    (void)state;
    zone_at(zone, INT64_MAX, &last);
    assert_true(last.until == INT64_MAX && last.from > INT64_MAX - 366 * (int64_t)DAY);
    zone_at(zone, last.from - 1, &before);
    assert_true(before.until == last.from && before.from < before.until);
    assert_int_equal(last.offset + before.offset, -9 * HOUR);
    zone_close(zone);
}

static void the_last_change_hands_over_to_the_rule(void **state)
{
    struct image image = image_of('2', 1700000000, 3600, 7200, "AAA-3");
    struct zone_local local;
    struct zone *zone;

    (void)state;
    assert_int_equal(parse(&zone, &image), 0);
    zone_at(zone, 1699999999, &local);
    assert_true(local.offset == 3600 && local.from == INT64_MIN && local.until == 1700000000);
    zone_at(zone, 1700000000, &local);
    assert_true(local.offset == 3 * HOUR && local.from == 1700000000 && local.until == INT64_MAX);
    zone_close(zone);
}

static void a_version_1_file_has_32_bit_times_and_no_footer(void **state)
{
    struct image image = image_of(0, -1000000000, -3600, 3600, "");
    struct zone_local local;
    struct zone *zone;

    (void)state;
    assert_int_equal(parse(&zone, &image), 0);
    zone_at(zone, -1000000001, &local);
    assert_int_equal(local.offset, -3600);
    zone_at(zone, -1000000000, &local);
    assert_true(local.offset == 3600 && local.from == -1000000000 && local.until == INT64_MAX);
    zone_close(zone);
}

static void files_of_versions_2_to_4_are_read_by_their_64_bit_block(void **state)
{
    struct zone_local local;
    struct zone *zone;

    (void)state;
    for (char version = '2'; version <= '4'; version++) {
        struct image image = image_of(version, INT64_C(-50000000000), 0, 60, "");
        assert_int_equal(parse(&zone, &image), 0);
        zone_at(zone, 0, &local);
        assert_true(local.offset == 60 && local.from == INT64_C(-50000000000));
        zone_close(zone);
    }
}

static void assert_damaged(const struct image *image, const char *text)
{
    struct zone *zone;

    assert_int_equal(parse(&zone, image), COUNTER_EFORMAT);
    assert_non_null(strstr(counter_error(), "\"Test/Zone\""));
    if (!strstr(counter_error(), text))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), text);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct image whole = image_of('2', 1000, 0, 3600, "EST5EDT,M3.2.0,M11.1.0"), cut = whole;
    struct zone *zone;

    (void)state;
    for (cut.length = 0; cut.length < whole.length; cut.length++)
        assert_damaged(&cut, "");
    assert_int_equal(parse(&zone, &whole), 0);
    zone_close(zone);
    whole.bytes[whole.length++] = '\n';
    assert_damaged(&whole, "footer");
}

static void each_broken_rule_of_the_format_is_named(void **state)
{
    enum { SECOND = 48, TIMES = SECOND + 32, TYPES = SECOND + 36, BLOCK = SECOND + 44, TYPE = BLOCK + 9 };
    static const struct {
        size_t at;
        unsigned char byte;
        const char *text;
    } damage[] = {
        {0, 'X', "TZif"},
        {4, '5', "version"},
        {SECOND + 3, 'F', "TZif"},
        {TIMES, 0xff, "counts"},
        {TYPES, 0xff, "counts"},
        {SECOND + 23, 1, "indicators"},
        {SECOND + 27, 1, "indicators"},
        {SECOND + 31, 1, "leap"},
        {BLOCK, 0x80, "ascend"},
        {BLOCK, 0x7f, "ascend"},
        {BLOCK + 8, 2, "type"},
        {TYPE, 0x7f, "offset"},
        {TYPE + 1, 0xfe, "offset"},
        {TYPE + 4, 2, "standard"},
        {TYPE + 5, 4, "name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        struct image image = image_of('2', 1000, 0, 3600, "EST5EDT,M3.2.0,M11.1.0 and some more bytes to reach into");
        image.bytes[damage[i].at] = damage[i].byte;
        assert_damaged(&image, damage[i].text);
    }
}

static void footers_that_break_the_grammar_are_refused(void **state)
{
    static const char *const footers[] = {
        "E",
        "EST",
        "ES5",
        "EST25",
        "EST5:60",
        "EST5:00:60",
        "EST5E",
        "EST5EDT",
        "EST5EDT,M3.2.0",
        "EST5EDT,M3.2.0,",
        "EST5EDT,M13.2.0,M11.1.0",
        "EST5EDT,M0.2.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0",
        "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.2.7,M11.1.0",
        "EST5EDT,M3.2,M11.1.0",
        "EST5EDT,J0,M11.1.0",
        "EST5EDT,J366,M11.1.0",
        "EST5EDT,366,M11.1.0",
        "EST5EDT,M3.2.0/168,J1",
        "EST5EDT,M3.2.0/-168,J1",
        "EST5EDT,M3.2.0,M11.1.0,",
        "EST5EDT,M3.2.0,M11.1.0 ",
        "<+075",
        "<>5",
        "<+0 7>5",
        "<+07>",
        "+07-7",
        "EST5EDT,M3.2.0,M11.1.0\n",
        "EST5EDT5:00:00:0,J1,J2",
        "EST5EDT,M3.2.0/,M11.1.0",
        "EST--5",
        "EST0000000000000000000005",
        "EST5EDT,M00000003.2.0,J1",
        "EST5EDT,,J1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof footers / sizeof footers[0]; i++) {
        struct image image = image_of('2', 1000, 0, 3600, footers[i]);
        struct zone *zone;
        if (parse(&zone, &image) != COUNTER_EFORMAT)
            fail_msg("\"%s\" was taken", footers[i]);
        assert_non_null(strstr(counter_error(), "POSIX TZ"));
    }
}

static void times_that_do_not_ascend_are_refused(void **state)
{
    struct image image = {0};

    (void)state;
    put_header(&image, 0, 2, 1);
    put_big(&image, 1000, 4);
    put_big(&image, 1000, 4);
    put_big(&image, 0, 2);
    put_big(&image, 0, 6);
    put(&image, "XXX", 4);
    assert_damaged(&image, "ascend");
    image.bytes[44 + 7]++;
    assert_int_equal(parse(&(struct zone *){0}, &(struct image){0}), COUNTER_EFORMAT);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void fixed_offsets_and_utc_need_no_files(void **state)
{
    static const struct {
        const char *text, *name;
        int offset;
    } cases[] = {
        {"UTC", "UTC", 0},           {"Z", "UTC", 0},
        {"+07:00", "+07:00", 25200}, {"-03:30", "-03:30", -12600},
        {"+14:00", "+14:00", 50400}, {"-12:00", "-12:00", -43200},
        {"+05:45", "+05:45", 20700}, {"-00:00", "+00:00", 0},
        {"Etc/UTC", "Etc/UTC", 0},
    };
    struct zone_local local;

    (void)state;
    setenv("TZDIR", "/nowhere", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone *zone = open_zone(cases[i].text);
        assert_string_equal(zone_name(zone), cases[i].name);
        zone_at(zone, 1750000000, &local);
        assert_int_equal(local.offset, cases[i].offset);
        assert_true(local.from == INT64_MIN && local.until == INT64_MAX);
        zone_close(zone);
    }
    unsetenv("TZDIR");
}

static void assert_refused(const char *name, const char *text)
{
    struct zone *zone = (struct zone *)&zone;

    assert_int_equal(zone_open(&zone, name), COUNTER_EINVAL);
    assert_null(zone);
    if (!strstr(counter_error(), text))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), text);
}

static void offsets_of_another_form_are_refused_with_the_rule(void **state)
{
    static const char *const names[] = {"+7", "+0700",  "+7:00",  "+07:60", "+14:01",  "-12:01",  "+99:99",
                                        "-",  "+07-00", "+0a:00", "+07:0",  "+07:000", "+07:00 ", "+\xb2\xb2:00"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_refused(names[i], "from -12:00 to +14:00");
}

static void an_unknown_zone_is_an_error_that_names_it(void **state)
{
    (void)state;
    need_tzdata();
    assert_refused("Asia/Hanoi2", "\"Asia/Hanoi2\": unknown");
    assert_refused("Europe/Berlin/Mitte", "\"Europe/Berlin/Mitte\": unknown");
    setenv("TZDIR", "/nowhere", 1);
    assert_refused("Asia/Ho_Chi_Minh", "tzdata");
    unsetenv("TZDIR");
}

static void names_cannot_leave_the_zone_folder(void **state)
{
    static const char *const names[] = {
        "../etc/passwd", "/etc/localtime", "/etc/passwd",      "Asia/../../../etc/passwd", "Asia//Ho_Chi_Minh",
        "Asia/",         "./UTC",          "Asia/Ho Chi Minh", "Asia/H\xe1\xbb\x93"};
    char long_name[200];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_refused(names[i], "single '/'");
    memset(long_name, 'A', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_refused(long_name, "at most 64");
    long_name[ZONE_NAME] = '\0';
    assert_refused(long_name, "at most 64");
}

static void folders_pipes_and_oversized_files_are_refused_at_once(void **state)
{
    char folder[] = "/tmp/test_zone.XXXXXX", path[64];
    struct zone *zone;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("TZDIR", folder, 1);
    snprintf(path, sizeof path, "%s/Pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused("Pipe", "special file");
    unlink(path);
    snprintf(path, sizeof path, "%s/Folder", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused("Folder", "folder");
    rmdir(path);
    snprintf(path, sizeof path, "%s/Large", folder);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, ZONE_FILE_MAX + 1), 0);
    assert_int_equal(zone_open(&zone, "Large"), COUNTER_EFORMAT);
    assert_non_null(strstr(counter_error(), "256 KiB"));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(zone_open(&zone, "Large"), COUNTER_EFORMAT);
    assert_null(zone);
    close(fd);
    unlink(path);
    unsetenv("TZDIR");
    rmdir(folder);
}

/* ---- The machine's zone ----------------------------------------------------------------------------------------- */

/* A machine of its own: a folder that a child takes for its root. */
struct machine {
    const char *localtime; /* target of the link; "" a file, NULL nothing */
    const char *timezone;  /* text of /etc/timezone or NULL */
    const char *tz;        /* $TZ or NULL */
};

static void write_text(const char *path, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    close(fd);
}

static void build_machine(const struct machine *machine)
{
    struct image image = image_of('2', -5000000000, 0, 0, "<+07>-7");

    assert_true(mkdir("etc", 0755) == 0 && mkdir("usr", 0755) == 0 && mkdir("usr/share", 0755) == 0);
    assert_true(mkdir("usr/share/zoneinfo", 0755) == 0 && mkdir("usr/share/zoneinfo/Asia", 0755) == 0);
    write_text("usr/share/zoneinfo/Asia/Ho_Chi_Minh", image.bytes, image.length);
    write_text("usr/share/zoneinfo/Asia/Bangkok", image.bytes, image.length);
    if (machine->localtime && machine->localtime[0])
        assert_int_equal(symlink(machine->localtime, "etc/localtime"), 0);
    else if (machine->localtime)
        write_text("etc/localtime", image.bytes, image.length);
    if (machine->timezone)
        write_text("etc/timezone", machine->timezone, strlen(machine->timezone));
}

static void remove_machine(void)
{
    static const char *const paths[] = {
        "etc/localtime",
        "etc/timezone",
        "usr/share/zoneinfo/Asia/Ho_Chi_Minh",
        "usr/share/zoneinfo/Asia/Bangkok",
        "usr/share/zoneinfo/Asia",
        "usr/share/zoneinfo",
        "usr/share",
        "usr",
        "etc",
    };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        remove(paths[i]);
}

enum { CHILD_OPENED = 10, CHILD_FAILED, CHILD_NOT_ALLOWED };

/* In the child: writes the zone's name, or the error, to the pipe. */
static int open_there(const char *root, const char *tz, int out)
{
    struct zone *zone;
    const char *text;
    int opened;

    if (chroot(root) < 0 && (unshare(CLONE_NEWUSER) < 0 || chroot(root) < 0))
        return CHILD_NOT_ALLOWED;
    if (chdir("/") < 0)
        return CHILD_NOT_ALLOWED;
    unsetenv("TZDIR");
    if (tz)
        setenv("TZ", tz, 1);
    else
        unsetenv("TZ");
    opened = zone_open(&zone, NULL) == 0;
    text = opened ? zone_name(zone) : counter_error();
    if (write(out, text, strlen(text)) != (ssize_t)strlen(text))
        return CHILD_NOT_ALLOWED;
    if (opened)
        zone_close(zone);
    return opened ? CHILD_OPENED : CHILD_FAILED;
}

/* Returns how the child ended; text is what it says. */
static int ask_machine(const struct machine *machine, char text[ERROR_TEXT])
{
    char root[] = "/tmp/test_zone.XXXXXX";
    int status, ends[2], home = open(".", O_RDONLY | O_DIRECTORY);
    ssize_t got;
    pid_t child;

    assert_true(home >= 0 && mkdtemp(root) && chdir(root) == 0 && pipe(ends) == 0);
    build_machine(machine);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(open_there(root, machine->tz, ends[1]));
    close(ends[1]);
    got = read(ends[0], text, ERROR_TEXT - 1);
    close(ends[0]);
    text[got > 0 ? got : 0] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    remove_machine();
    assert_int_equal(fchdir(home), 0);
    close(home);
    rmdir(root);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_machine(const struct machine *machine, int expected, const char *expected_text)
{
    char text[ERROR_TEXT];
    int ended = ask_machine(machine, text);

    if (ended == CHILD_NOT_ALLOWED) {
        print_message("chroot and user namespaces are not allowed here\n");
        skip();
    }
    if (ended != expected ||
        (expected == CHILD_OPENED ? strcmp(text, expected_text) != 0 : !strstr(text, expected_text)))
        fail_msg("\"%s\" is not \"%s\"", text, expected_text);
}

static void without_a_name_it_is_the_machines_zone(void **state)
{
    static const struct {
        struct machine machine;
        const char *name;
    } cases[] = {
        {{"/usr/share/zoneinfo/Asia/Ho_Chi_Minh", "Asia/Bangkok\n", NULL}, "Asia/Ho_Chi_Minh"},
        {{"../usr/share/zoneinfo/Asia/Bangkok", NULL, NULL}, "Asia/Bangkok"},
        {{"/usr/share/zoneinfo/Etc/UTC", "Etc/UTC\n", NULL}, "Etc/UTC"},
        {{"", "Asia/Ho_Chi_Minh\n", NULL}, "Asia/Ho_Chi_Minh"},
        {{"/some/where", "Asia/Ho_Chi_Minh", NULL}, "Asia/Ho_Chi_Minh"},
        {{NULL, "Asia/Ho_Chi_Minh\n", NULL}, "Asia/Ho_Chi_Minh"},
        {{NULL, NULL, NULL}, "UTC"},
        {{"/usr/share/zoneinfo/Asia/Bangkok", NULL, "Asia/Ho_Chi_Minh"}, "Asia/Ho_Chi_Minh"},
        {{NULL, NULL, ":Asia/Ho_Chi_Minh"}, "Asia/Ho_Chi_Minh"},
        {{NULL, NULL, ":/usr/share/zoneinfo/Asia/Bangkok"}, "Asia/Bangkok"},
        {{"/usr/share/zoneinfo/Asia/Bangkok", NULL, ":/etc/localtime"}, "Asia/Bangkok"},
        {{"/usr/share/zoneinfo/Asia/Bangkok", NULL, ""}, "UTC"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_machine(&cases[i].machine, CHILD_OPENED, cases[i].name);
}

static void a_machine_set_to_no_known_zone_is_an_error_never_utc(void **state)
{
    static const struct {
        struct machine machine;
        const char *text;
    } cases[] = {
        {{"/usr/share/zoneinfo/Asia/Hue", NULL, NULL}, "/etc/localtime: time zone \"Asia/Hue\": unknown"},
        {{NULL, "Asia/Hue\n", NULL}, "/etc/timezone: time zone \"Asia/Hue\": unknown"},
        {{NULL, "../../etc/passwd\n", NULL}, "/etc/timezone: time zone \"../../etc/passwd\""},
        {{"", NULL, NULL}, "does not say which zone it is"},
        {{NULL, NULL, "ICT-7"}, "$TZ: time zone \"ICT-7\": unknown"},
        {{NULL, NULL, "EST5EDT,M3.2.0,M11.1.0"}, "$TZ: time zone \"EST5EDT,M3.2.0,M11.1.0\""},
        {{NULL, NULL, "/etc/passwd"}, "$TZ: time zone \"/etc/passwd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_machine(&cases[i].machine, CHILD_FAILED, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_zone_agrees_with_the_c_library_around_each_transition_from_1970_to_2037),
        cmocka_unit_test(every_zone_agrees_with_the_c_library_in_far_years),
        cmocka_unit_test(the_intervals_of_every_zone_tile_all_time),
        cmocka_unit_test(the_process_keeps_its_own_tz),
        cmocka_unit_test(footers_of_every_form_agree_with_the_c_library),
        cmocka_unit_test(summer_time_all_year_is_one_offset_for_ever),
        cmocka_unit_test(the_last_second_of_time_has_an_offset_too),
        cmocka_unit_test(the_last_change_hands_over_to_the_rule),
        cmocka_unit_test(a_version_1_file_has_32_bit_times_and_no_footer),
        cmocka_unit_test(files_of_versions_2_to_4_are_read_by_their_64_bit_block),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(each_broken_rule_of_the_format_is_named),
        cmocka_unit_test(footers_that_break_the_grammar_are_refused),
        cmocka_unit_test(times_that_do_not_ascend_are_refused),
        cmocka_unit_test(fixed_offsets_and_utc_need_no_files),
        cmocka_unit_test(offsets_of_another_form_are_refused_with_the_rule),
        cmocka_unit_test(an_unknown_zone_is_an_error_that_names_it),
        cmocka_unit_test(names_cannot_leave_the_zone_folder),
        cmocka_unit_test(folders_pipes_and_oversized_files_are_refused_at_once),
        cmocka_unit_test(without_a_name_it_is_the_machines_zone),
        cmocka_unit_test(a_machine_set_to_no_known_zone_is_an_error_never_utc),
    };

    return cmocka_run_group_tests_name("zone", tests, list_zones, free_zones);
}
