/*
 * Sketches against a live redis-server, on registers, counts and strings.
 *
 * A server that understands ours and says the same count is what "byte-compatible" means, so it is the oracle for all of
 * it; the unit test of sketches has the rest.
 */
#include "../support/redis_server.h"
#include "sketch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>
#include <counter.h>

static const unsigned sizes[] = {0, 1, 2, 10, 100, 617, 1000, 2000, 5000, 12766, 100000};
enum { SIZES = sizeof sizes / sizeof *sizes, BATCH = 1000, SPARSE_MAX = 3000 };

static struct redis_server server;
static FILE *to_server, *from_server;

/* ---- Redis's protocol: a command is an array of strings ---- */

static void words(int n)
{
    fprintf(to_server, "*%d\r\n", n);
}

static void bytes_word(const void *bytes, size_t length)
{
    fprintf(to_server, "$%zu\r\n", length);
    fwrite(bytes, 1, length, to_server);
    fputs("\r\n", to_server);
}

/* A whole command of text words, as "PFCOUNT key". */
static void ask(const char *command)
{
    int n = 1;

    for (const char *at = command; *at != '\0'; at++)
        n += *at == ' ';
    words(n);
    for (; n > 0; n--) {
        size_t length = strcspn(command, " ");

        bytes_word(command, length);
        command += length + 1;
    }
}

/* Reads "<type><number>\r\n". */
static long long answer(char type)
{
    char line[128];

    assert_int_equal(fflush(to_server), 0);
    assert_non_null(fgets(line, sizeof line, from_server));
    if (line[0] != type)
        fail_msg("expected '%c', the server says %s", type, line);
    return strtoll(line + 1, NULL, 10);
}

static void answer_ok(void)
{
    char line[128];

    assert_int_equal(fflush(to_server), 0);
    assert_non_null(fgets(line, sizeof line, from_server));
    assert_string_equal(line, "+OK\r\n");
}

static size_t answer_bytes(unsigned char *bytes, size_t room)
{
    long long length = answer('$');

    assert_in_range(length, 0, room - 2);
    assert_int_equal(fread(bytes, 1, (size_t)length + 2, from_server), length + 2);
    return (size_t)length;
}

static uint64_t pfcount(const char *keys)
{
    char command[64];

    snprintf(command, sizeof command, "PFCOUNT %s", keys);
    ask(command);
    return (uint64_t)answer(':');
}

static void set_sketch(const char *key, const struct sketch *sketch, size_t sparse_max)
{
    unsigned char string[SKETCH_ENCODED];
    size_t length = sketch_encode(sketch, sparse_max, string);

    words(3);
    bytes_word("SET", 3);
    bytes_word(key, strlen(key));
    bytes_word(string, length);
    answer_ok();
}

static size_t get_string(const char *key, unsigned char string[static SKETCH_ENCODED + 2])
{
    char command[64];

    snprintf(command, sizeof command, "GET %s", key);
    ask(command);
    return answer_bytes(string, SKETCH_ENCODED + 2);
}

static struct sketch *get_sketch(const char *key)
{
    static struct sketch sketch;
    unsigned char string[SKETCH_ENCODED + 2];

    memset((void *)&sketch, 0, sizeof sketch);
    assert_int_equal(sketch_decode(&sketch, string, get_string(key, string)), 0);
    return &sketch;
}

/* ---- The same elements here and there ---- */

/* Visitor ids as 8 random-looking bytes, among them 0, CR and LF, or as text of 9 to 14 bytes: all kinds of tails. */
static size_t element(unsigned char out[static 32], int kind, uint64_t n)
{
    uint64_t id = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

    if (kind == 0) {
        memcpy(out, &id, sizeof id);
        return sizeof id;
    }
    return (size_t)snprintf((char *)out, 32, "visitor-%llu", (unsigned long long)n);
}

static void add_here(struct sketch *sketch, int kind, unsigned first, unsigned end)
{
    unsigned char id[32];

    for (unsigned n = first; n < end; n++)
        sketch_add(sketch, sketch_hash(id, element(id, kind, n)));
}

static void add_there(const char *key, int kind, unsigned first, unsigned end)
{
    unsigned char id[32];

    do {
        unsigned batch = end - first < BATCH ? end - first : BATCH;

        words(2 + (int)batch);
        bytes_word("PFADD", 5);
        bytes_word(key, strlen(key));
        for (unsigned n = 0; n < batch; n++, first++)
            bytes_word(id, element(id, kind, first));
        answer(':');
    } while (first < end);
}

static void assert_same(const struct sketch *a, const struct sketch *b)
{
    assert_memory_equal((const void *)a, (const void *)b, sizeof *a);
}

static int start(void **state)
{
    int started = redis_server_start(&server, NULL), fd;

    (void)state;
    if (started > 0)
        return 0;
    if (started < 0 || (fd = redis_server_connect(&server)) < 0)
        return -1;
    from_server = fdopen(fd, "r");
    to_server = fdopen(dup(fd), "w");
    return from_server != NULL && to_server != NULL ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    if (to_server != NULL)
        fclose(to_server);
    if (from_server != NULL)
        fclose(from_server);
    redis_server_stop(&server);
    return 0;
}

/* Runs a check for every kind and number of elements, `key` being as PFADD left it. */
static void for_all(void (*check)(const char *key, const struct sketch *ours))
{
    if (server.pid == 0) {
        print_message("redis-server is not installed\n");
        skip();
    }
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < SIZES; i++) {
            struct sketch ours;

            memset((void *)&ours, 0, sizeof ours);
            ask("FLUSHALL");
            answer_ok();
            add_here(&ours, kind, 0, sizes[i]);
            add_there("key", kind, 0, sizes[i]);
            check("key", &ours);
        }
}

/* ---- Tests ---- */

static void check_registers(const char *key, const struct sketch *ours)
{
    (void)key;
    ask("PFDEBUG GETREG key");
    assert_int_equal(answer('*'), SKETCH_REGISTERS);
    for (size_t i = 0; i < SKETCH_REGISTERS; i++)
        assert_int_equal(answer(':'), atomic_load(&ours->reg[i]));
}

static void registers_are_those_of_the_server(void **state)
{
    (void)state;
    for_all(check_registers);
}

static void check_count(const char *key, const struct sketch *ours)
{
    assert_int_equal(pfcount(key), sketch_estimate(ours));
}

static void the_estimate_is_what_pfcount_says(void **state)
{
    (void)state;
    for_all(check_count);
}

static void check_decode(const char *key, const struct sketch *ours)
{
    assert_same(get_sketch(key), ours);
    assert_true(pfcount(key) < UINT64_MAX); /* the server now writes the count into the string */
    assert_same(get_sketch(key), ours);
}

static void the_server_s_strings_decode_to_our_registers(void **state)
{
    (void)state;
    for_all(check_decode);
}

static void check_encode(const char *key, const struct sketch *ours)
{
    (void)key;
    set_sketch("dense", ours, 0);
    assert_int_equal(pfcount("dense"), sketch_estimate(ours));
    set_sketch("sparse", ours, SPARSE_MAX);
    assert_int_equal(pfcount("sparse"), sketch_estimate(ours));
    ask("PFDEBUG GETREG sparse");
    assert_int_equal(answer('*'), SKETCH_REGISTERS);
    for (size_t i = 0; i < SKETCH_REGISTERS; i++)
        assert_int_equal(answer(':'), atomic_load(&ours->reg[i]));
}

static void our_strings_have_the_same_pfcount_and_registers(void **state)
{
    (void)state;
    for_all(check_encode);
}

/* All but the count, in bytes 8 to 15. */
static void check_dense_bytes(const char *key, const struct sketch *ours)
{
    unsigned char theirs[SKETCH_ENCODED + 2], dense[SKETCH_ENCODED];

    ask("PFDEBUG TODENSE key");
    answer(':');
    assert_int_equal(get_string(key, theirs), SKETCH_DENSE);
    assert_int_equal(sketch_encode(ours, 0, dense), SKETCH_DENSE);
    assert_memory_equal(theirs, dense, 8);
    assert_memory_equal(theirs + 16, dense + 16, SKETCH_DENSE - 16);
}

static void dense_strings_are_the_server_s_byte_for_byte(void **state)
{
    (void)state;
    for_all(check_dense_bytes);
}

/* `key` holds the elements 0 ... n - 1 of one kind; the other sketch has 0 ... 1499 of both kinds. */
static void check_merges(const char *key, const struct sketch *ours)
{
    struct sketch other, both;

    (void)key;
    memset((void *)&other, 0, sizeof other);
    memset((void *)&both, 0, sizeof both);
    add_here(&other, 0, 0, 1500);
    add_here(&other, 1, 0, 1500);
    sketch_merge(&both, ours);
    sketch_merge(&both, &other);

    /* Ours into the server's own, dense and sparse. */
    set_sketch("dense", &other, 0);
    ask("PFMERGE key dense");
    answer_ok();
    assert_same(get_sketch("key"), &both);
    assert_int_equal(pfcount("key"), sketch_estimate(&both));

    /* The server's own into ours. */
    add_there("native", 0, 0, 1500);
    add_there("native", 1, 0, 1500);
    set_sketch("ours", ours, SPARSE_MAX);
    assert_int_equal(pfcount("ours native"), sketch_estimate(&both));
    ask("PFMERGE ours native");
    answer_ok();
    assert_same(get_sketch("ours"), &both);
    assert_int_equal(pfcount("ours"), sketch_estimate(&both));
}

static void pfmerge_of_ours_and_theirs_is_our_merge_in_both_directions(void **state)
{
    (void)state;
    for_all(check_merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_those_of_the_server),
        cmocka_unit_test(the_estimate_is_what_pfcount_says),
        cmocka_unit_test(the_server_s_strings_decode_to_our_registers),
        cmocka_unit_test(our_strings_have_the_same_pfcount_and_registers),
        cmocka_unit_test(dense_strings_are_the_server_s_byte_for_byte),
        cmocka_unit_test(pfmerge_of_ours_and_theirs_is_our_merge_in_both_directions),
    };
    return cmocka_run_group_tests_name("redis sketch", tests, start, stop);
}
