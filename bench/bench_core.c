/*
 * bench_core.c: what counting costs, each beside the bare work that nobody could avoid, in one run.
 *
 * Every figure is the median of ROUNDS rounds, ours and the bare one in turn, so that a machine that slows down slows
 * both; the ratio is the median of the rounds' ratios. Writes into a temporary folder.
 */
#include <counter.h>

#include "identity.h"
#include "site.h"

#include <fcntl.h>
#include <sodium/crypto_shorthash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9, VISITORS = 10000, HITS = 400000 };

static const char agent[] = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                            "Chrome/138.0.0.0 Safari/537.36";

static char folder[] = "/tmp/counter-bench-XXXXXX";
static volatile uint64_t sink;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, counter_error());
    exit(1);
}

/* ---- Medians -------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *value, size_t n)
{
    qsort(value, n, sizeof *value, by_value);
    return value[n / 2];
}

typedef double measure_fn(void); /* ns for one operation */

static void compare(const char *what, const char *unit, double scale, measure_fn *ours, const char *beside,
                    measure_fn *bare)
{
    double a[ROUNDS], b[ROUNDS], ratio[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        a[i] = ours();
        b[i] = bare();
        ratio[i] = a[i] / b[i];
    }
    double ours_median = median(a, ROUNDS) / scale, bare_median = median(b, ROUNDS) / scale;
    printf("%-46s %8.1f %s   %-38s %8.1f %s   %5.2f\n", what, ours_median, unit, beside, bare_median, unit,
           median(ratio, ROUNDS));
}

/* ---- Recording ------------------------------------------------------------------------------------------------------ */

static struct site *site;
static int64_t base; /* where the benchmark's time began */
static time_t begun;
static uint64_t ids[VISITORS];
static uint64_t process; /* its visitors come in another order than another's */

static double record_returning(void)
{
    static uint64_t turn;
    double start = now_ns();
    int64_t at = base + (time(NULL) - begun);
    for (uint64_t i = 0; i < HITS; i++, turn++) {
        struct store_hit hit = {.id = ids[mix(turn ^ process << 40) % VISITORS], .at = at};
        if (site_record(site, &hit) < 0)
            fail("record");
    }
    return (now_ns() - start) / HITS;
}

/* One compare-and-swap in a random cache line of a table of the same size. */
static double swap_bare(void)
{
    static _Atomic uint64_t *table;
    static uint64_t turn;
    if (!table)
        table = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    double start = now_ns();
    for (uint64_t i = 0; i < HITS; i++, turn++) {
        _Atomic uint64_t *cell = &table[mix(ids[mix(turn) % VISITORS]) % 131072];
        uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
        atomic_compare_exchange_strong(cell, &old, old + 1);
    }
    return (now_ns() - start) / HITS;
}

static struct counter *handle;

static double record_request(void)
{
    static uint64_t turn;
    char address[32];
    double spent = 0;
    for (int block = 0; block < 100; block++) {
        struct counter_hit hit[100];
        char text[100][32];
        for (int i = 0; i < 100; i++, turn++) {
            uint64_t v = mix(turn) % VISITORS;
            snprintf(text[i], sizeof address, "10.1.%u.%u", (unsigned)(v >> 8), (unsigned)(v & 255));
            hit[i] = (struct counter_hit){.size = sizeof hit[i],
                                          .site = "portal",
                                          .at = base + 30,
                                          .address = text[i],
                                          .agent = agent,
                                          .agent_length = sizeof agent - 1};
        }
        double start = now_ns();
        for (int i = 0; i < 100; i++)
            if (counter_record(handle, &hit[i], NULL) < 0)
                fail("record");
        spent += now_ns() - start;
    }
    return spent / 10000;
}

static double hash_bare(void)
{
    unsigned char key[16] = {1}, out[8], bytes[1 + 1 + 6 + 16 + sizeof agent - 1] = {0};
    memcpy(bytes + 24, agent, sizeof agent - 1);
    double start = now_ns();
    for (int i = 0; i < 10000; i++) {
        memcpy(bytes + 8, &i, sizeof i);
        crypto_shorthash(out, bytes, sizeof bytes, key);
        sink += out[0];
    }
    return (now_ns() - start) / 10000;
}

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

static double read_windows(uint32_t want, int64_t step)
{
    static int64_t at;
    struct counter_stats stats = {.size = sizeof stats, .want = want};
    double start = now_ns();
    if (at == 0)
        at = base + 200;
    for (int i = 0; i < 100; i++)
        if (site_read(site, at += step, &stats) < 0)
            fail("read");
    sink += (uint64_t)stats.online;
    return (now_ns() - start) / 100;
}

static double read_scan(void)
{
    return read_windows(COUNTER_WANT_BOX, 1);
}

static double read_kept(void)
{
    return read_windows(COUNTER_WANT_BOX, 0);
}

static double read_all(void)
{
    return read_windows(COUNTER_WANT_ALL, 1);
}

static double pass_bare(void)
{
    const uint64_t *cell = (const uint64_t *)site->file->cell;
    double start = now_ns();
    for (int i = 0; i < 100; i++) {
        uint64_t sum = 0;
        for (size_t j = 0; j < 131072; j++)
            sum += cell[j];
        sink += sum;
    }
    return (now_ns() - start) / 100;
}

/* ---- A CGI's share -------------------------------------------------------------------------------------------------- */

static char store_url[64];

static double whole_request(int64_t step)
{
    static int64_t at;
    struct counter_options options = {.size = sizeof options, .config = "", .store = store_url};
    struct counter_stats stats = {.size = sizeof stats};
    double start = now_ns();
    if (at == 0)
        at = base + 200;
    for (int i = 0; i < 100; i++) {
        struct counter *c;
        struct counter_hit hit = {
            .size = sizeof hit, .site = "portal", .at = at += step, .address = "10.1.2.3", .agent = agent};
        if (counter_open(&c, &options) < 0 || counter_record(c, &hit, &stats) < 0)
            fail("request");
        counter_close(c);
    }
    return (now_ns() - start) / 100;
}

static double request_scan(void)
{
    return whole_request(1);
}

static double request_kept(void)
{
    return whole_request(0);
}

static double map_bare(void)
{
    char path[128];
    double start = now_ns();
    snprintf(path, sizeof path, "%s/portal.counter", folder);
    for (int i = 0; i < 100; i++) {
        int fd = open(path, O_RDWR);
        void *map = mmap(NULL, site->region.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        sink += *(volatile unsigned char *)map;
        munmap(map, site->region.size);
        close(fd);
    }
    return (now_ns() - start) / 100;
}

/* ---- Two processes -------------------------------------------------------------------------------------------------- */

static double hits_per_second(int processes)
{
    double start = now_ns();
    for (int p = 0; p < processes; p++)
        if (fork() == 0) {
            process = (uint64_t)p;
            for (int i = 0; i < 5; i++)
                record_returning();
            _exit(0);
        }
    for (int p = 0; p < processes; p++)
        wait(NULL);
    return processes * 5.0 * HITS / (now_ns() - start) * 1e9;
}

static void compare_processes(void)
{
    double one[ROUNDS], two[ROUNDS], ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        one[i] = hits_per_second(1);
        two[i] = hits_per_second(2);
        ratio[i] = two[i] / one[i];
    }
    printf("%-46s %8.1f M/s  %-38s %8.1f M/s  %5.2f\n", "hits of two processes on one site", median(two, ROUNDS) / 1e6,
           "hits of one", median(one, ROUNDS) / 1e6, median(ratio, ROUNDS));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", folder);
}

int main(void)
{
    if (!mkdtemp(folder))
        return perror(folder), 1;
    atexit(remove_folder);
    snprintf(store_url, sizeof store_url, "file:%s", folder);
    begun = time(NULL);
    base = begun - 4000;
    for (uint64_t i = 0; i < VISITORS; i++)
        ids[i] = mix(i);

    struct counter_options options = {.size = sizeof options, .config = "", .store = store_url, .timezone = "UTC"};
    struct counter_hit first = {.size = sizeof first, .site = "portal", .at = base, .visitor = "first"};
    struct site_plan plan = {.timezone = ""};
    if (counter_open(&handle, &options) < 0 || counter_record(handle, &first, NULL) < 0)
        fail("open");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (site_open(&site, fd, "portal", &plan, 1000, false) < 0)
        fail("open");

    printf("%-46s %8s      %-38s %8s      %5s\n", "", "counter", "beside it", "bare", "ratio");
    compare("record, returning visitor, id ready", "ns", 1, record_returning, "one compare-and-swap, 1 MiB table",
            swap_bare);
    compare_processes();
    compare("record from address and agent", "ns", 1, record_request, "SipHash-2-4 of the same bytes", hash_bare);
    compare("the box, counted afresh", "us", 1000, read_scan, "one pass over the table", pass_bare);
    compare("the box, kept by another reader", "us", 1000, read_kept, "one pass over the table", pass_bare);
    compare("all nine windows", "us", 1000, read_all, "one pass over the table", pass_bare);
    compare("open, record, box, close", "us", 1000, request_kept, "open, mmap, munmap, close", map_bare);
    compare("the same, counted afresh", "us", 1000, request_scan, "open, mmap, munmap, close", map_bare);
    site_close(site);
    close(fd);
    counter_close(handle);
    return 0;
}
