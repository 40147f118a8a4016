/* test_request.c: what the portal program makes of a web server's variables, and what it does when its store faults. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <counter.h>

/* The program's own code, with a store that faults when it is asked to. */
static int record_or_fault(struct counter *c, const struct counter_hit *hit, struct counter_stats *stats);
#define counter_record record_or_fault
#include "../../examples/portal/box.c"
#undef counter_record

static _Bool faulty;

/* Reads a mapped page behind the file's end, as it happens when a store's file is cut. */
static int record_or_fault(struct counter *c, const struct counter_hit *hit, struct counter_stats *stats)
{
    int file = memfd_create("cut", 0);
    volatile char *page;

    if (!faulty)
        return counter_record(c, hit, stats);
    assert_int_equal(ftruncate(file, 4096), 0);
    page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    assert_true(page != MAP_FAILED);
    assert_int_equal(ftruncate(file, 0), 0);
    return page[0];
}

static struct request read_request(char *const *variables, enum request_forwarded forwarded)
{
    struct request request;

    request_read(&request, variables, forwarded);
    return request;
}

static void assert_forwarded(char *const *variables, enum request_forwarded which, const char *expected)
{
    struct request request = read_request(variables, which);

    assert_int_equal(request.forwarded.length, strlen(expected));
    if (*expected)
        assert_memory_equal(request.forwarded.bytes, expected, strlen(expected));
    request_free(&request);
}

static void the_request_is_read_from_its_variables(void **state)
{
    char *variables[] = {"REQUEST_METHOD=HEAD",     "PATH_INFO=/box.html", "REMOTE_ADDR=192.0.2.1",
                         "HTTP_USER_AGENT=Mozilla", "HTTP_SEC_GPC=1",      NULL};
    struct request request = read_request(variables, REQUEST_EITHER);

    (void)state;
    assert_int_equal(request.method, REQUEST_HEAD);
    assert_string_equal(request.path, "/box.html");
    assert_string_equal(request.address, "192.0.2.1");
    assert_int_equal(request.agent_length, 7);
    assert_memory_equal(request.agent, "Mozilla", 7);
    assert_true(request.privacy);
    assert_false(request.prefetch);
}

static void what_is_missing_is_empty_and_the_path_is_the_root(void **state)
{
    char *none[] = {NULL},
         *lookalikes[] = {"REQUEST_METHOD_=GET", "xPATH_INFO=/x", "REMOTE_ADDRESS=1", "HTTP_DNT", NULL};
    char *const *all[] = {none, lookalikes};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct request request = read_request(all[i], REQUEST_EITHER);
        assert_int_equal(request.method, REQUEST_OTHER);
        assert_string_equal(request.path, "/");
        assert_string_equal(request.address, "");
        assert_int_equal(request.agent_length, 0);
        assert_int_equal(request.forwarded.length, 0);
        assert_false(request.privacy || request.prefetch);
    }
}

static void both_of_two_forwarded_variables_are_joined_in_order(void **state)
{
    char *variables[] = {"HTTP_X_FORWARDED_FOR=1.1.1.1", "A=b", "HTTP_X_FORWARDED_FOR=2.2.2.2, 3.3.3.3",
                         "HTTP_FORWARDED=for=4.4.4.4", NULL};

    (void)state;
    assert_forwarded(variables, REQUEST_EITHER, "1.1.1.1, 2.2.2.2, 3.3.3.3");
    assert_forwarded(variables, REQUEST_X_FORWARDED_FOR, "1.1.1.1, 2.2.2.2, 3.3.3.3");
    assert_forwarded(variables, REQUEST_RFC7239, "for=4.4.4.4");
}

static void forwarded_stands_in_only_where_it_may(void **state)
{
    char *variables[] = {"HTTP_FORWARDED=for=4.4.4.4", "HTTP_FORWARDED=for=5.5.5.5", NULL};

    (void)state;
    assert_forwarded(variables, REQUEST_EITHER, "for=4.4.4.4, for=5.5.5.5");
    assert_forwarded(variables, REQUEST_X_FORWARDED_FOR, "");
}

static void a_page_fetched_in_advance_is_noticed(void **state)
{
    static char *const hints[] = {"HTTP_SEC_PURPOSE=prefetch;prerender", "HTTP_PURPOSE=prefetch",
                                  "HTTP_X_MOZ=Prefetch"};
    char *plain[] = {"HTTP_PURPOSE=reading", "HTTP_X_MOZ=", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        char *variables[] = {hints[i], NULL};
        assert_true(read_request(variables, REQUEST_EITHER).prefetch);
    }
    assert_false(read_request(plain, REQUEST_EITHER).prefetch);
}

static void long_values_are_bounded(void **state)
{
    char path[REQUEST_PATH + 20] = "PATH_INFO=/", agent[REQUEST_AGENT + 600] = "HTTP_USER_AGENT=";
    char *variables[] = {path, agent, NULL};

    (void)state;
    memset(path + 11, 'x', REQUEST_PATH - 1);
    memset(agent + 16, 'x', REQUEST_AGENT + 500);
    assert_int_equal(strlen(read_request(variables, REQUEST_EITHER).path), REQUEST_PATH);
    assert_int_equal(read_request(variables, REQUEST_EITHER).agent_length, REQUEST_AGENT);
    strcat(path, "x");
    assert_null(read_request(variables, REQUEST_EITHER).path);
}

/* The fault's log line goes to a pipe, to be read back. */
static void put_with_log(struct box *box, const struct request *request, struct buffer *out, char *log, size_t size)
{
    int pair[2], kept = dup(STDERR_FILENO);
    ssize_t length;

    assert_int_equal(pipe(pair), 0);
    dup2(pair[1], STDERR_FILENO);
    close(pair[1]);
    box_put(box, request, 1, COUNTER_JSON, "vi", "online; today", out);
    dup2(kept, STDERR_FILENO);
    close(kept);
    length = read(pair[0], log, size - 1);
    log[length > 0 ? length : 0] = 0;
    close(pair[0]);
}

static void a_fault_in_the_store_gives_dashes_and_one_line_in_the_log(void **state)
{
    char *variables[] = {"REMOTE_ADDR=192.0.2.1", "HTTP_USER_AGENT=x", NULL}, log[2048];
    struct request request = read_request(variables, REQUEST_EITHER);
    struct buffer out = {0};
    struct box box = {0};

    (void)state;
    setenv("COUNTER_STORE", "memory:", 1);
    setenv("COUNTER_SITE", "portal", 1);
    box_guard();
    put_with_log(&box, &request, &out, log, sizeof log);
    assert_string_equal(log, "");
    assert_non_null(memmem(out.bytes, out.length, "{\"online\":1,\"today\":{\"visitors\":1,", 34));
    out.length = 0;
    faulty = 1;
    put_with_log(&box, &request, &out, log, sizeof log);
    assert_non_null(strstr(log, "SIGBUS"));
    assert_ptr_equal(strchr(log, '\n'), log + strlen(log) - 1);
    assert_non_null(memmem(out.bytes, out.length, "{\"online\":null,\"today\":null,\"at\":null}\n", 39));
    out.length = 0;
    faulty = 0; /* what is left of the store is not trusted again */
    put_with_log(&box, &request, &out, log, sizeof log);
    assert_non_null(memmem(out.bytes, out.length, "{\"online\":null", 14));
    buffer_free(&out);
    counter_close(box.store);
    signal(SIGBUS, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_read_from_its_variables),
        cmocka_unit_test(what_is_missing_is_empty_and_the_path_is_the_root),
        cmocka_unit_test(both_of_two_forwarded_variables_are_joined_in_order),
        cmocka_unit_test(forwarded_stands_in_only_where_it_may),
        cmocka_unit_test(a_page_fetched_in_advance_is_noticed),
        cmocka_unit_test(long_values_are_bounded),
        cmocka_unit_test(a_fault_in_the_store_gives_dashes_and_one_line_in_the_log),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
