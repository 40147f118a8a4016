/*
 * test_redis_address.c: a server's name is looked up as seldom as can be, and often enough to follow it.
 *
 * The resolver is this file's own getaddrinfo: "NAME.test" leads to the loopback ports that a test says, or is not
 * found. Other names go on to the system's. That 5 s have passed is said by changing what a node remembers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include "../support/scripted.h"
#include "redis_address.h"

enum { THREADS = 4, ROUNDS = 2000, PORTS = 3 };

/* ---- A resolver ---- */

static atomic_uint lookups, port_from; /* port_from 0: not found */

struct answer {
    struct addrinfo info;
    struct sockaddr_in address;
};

static bool is_ours(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".test") == 0;
}

/* PORTS addresses: that port, and all the same one in the others. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    typedef int function(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    union {
        void *pointer;
        function *function;
    } next = {.pointer = dlsym(RTLD_NEXT, "getaddrinfo")};
    unsigned port = port_from;

    if (!is_ours(name))
        return next.function(name, service, hints, out);
    if (hints->ai_flags & AI_NUMERICHOST)
        return EAI_NONAME;
    lookups++;
    if (port == 0)
        return EAI_AGAIN;
    struct answer *answers = calloc(PORTS, sizeof *answers);
    for (int i = 0; i < PORTS; i++) {
        answers[i].address = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        answers[i].info.ai_addr = (struct sockaddr *)&answers[i].address;
        answers[i].info.ai_addrlen = sizeof answers[i].address;
        answers[i].info.ai_canonname = (char *)answers; /* says to freeaddrinfo whose it is */
        answers[i].info.ai_next = i + 1 < PORTS ? &answers[i + 1].info : NULL;
    }
    *out = &answers->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    typedef void function(struct addrinfo *);
    union {
        void *pointer;
        function *function;
    } next = {.pointer = dlsym(RTLD_NEXT, "freeaddrinfo")};

    if (list->ai_canonname == (char *)list)
        free(list);
    else
        next.function(list);
}

static void lead_to(unsigned port)
{
    port_from = port;
    lookups = 0;
}

static void let_time_pass(struct redis_known *known)
{
    atomic_fetch_sub(&known->looked, REDIS_LOOKUP_MS * INT64_C(1000000));
}

static const struct redis_host named = {.name = "redis.test", .port = 6379};

/* ---- Look-ups ---- */

static unsigned port_at(const struct redis_addresses *found, unsigned i)
{
    return ntohs(((const struct sockaddr_in *)&found->address[i].bytes)->sin_port);
}

static void must_find(struct redis_known *known, unsigned port)
{
    struct redis_addresses found;

    if (redis_address_find(&found, &named, known) < 0)
        fail_msg("%s", counter_error());
    assert_int_equal(found.n, PORTS);
    for (unsigned i = 0; i < found.n; i++)
        assert_int_equal(port_at(&found, i), port);
}

static void a_name_is_looked_up_once_while_its_addresses_serve(void **state)
{
    struct redis_known known = {.found = NULL};

    (void)state;
    lead_to(1);
    for (int i = 0; i < 3; i++) {
        must_find(&known, 1);
        let_time_pass(&known);
    }
    assert_int_equal(lookups, 1);
    redis_address_forget(&known);
}

static void doubted_addresses_are_looked_up_again_after_five_seconds_and_not_sooner(void **state)
{
    struct redis_known known = {.found = NULL};

    (void)state;
    lead_to(1);
    must_find(&known, 1);
    lead_to(2);
    assert_true(redis_address_doubt(&known));
    for (int i = 0; i < 3; i++)
        must_find(&known, 1);
    assert_int_equal(lookups, 0);
    let_time_pass(&known);
    for (int i = 0; i < 3; i++) {
        must_find(&known, 2);
        let_time_pass(&known);
    }
    assert_int_equal(lookups, 1);
    redis_address_forget(&known);
}

static void a_name_that_is_not_found_any_more_leaves_its_old_addresses(void **state)
{
    struct redis_known known = {.found = NULL};

    (void)state;
    lead_to(1);
    must_find(&known, 1);
    lead_to(0);
    redis_address_doubt(&known);
    let_time_pass(&known);
    must_find(&known, 1);
    must_find(&known, 1);
    assert_int_equal(lookups, 1);
    lead_to(2);
    let_time_pass(&known);
    must_find(&known, 2); /* the doubt is still there */
    redis_address_forget(&known);
}

static void a_name_that_was_not_found_is_not_looked_up_again_at_once(void **state)
{
    struct redis_known known = {.found = NULL};
    struct redis_addresses found;

    (void)state;
    lead_to(0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(redis_address_find(&found, &named, &known), COUNTER_EDOWN);
        assert_non_null(strstr(counter_error(), "redis.test:6379"));
    }
    assert_false(redis_address_doubt(&known));
    assert_int_equal(lookups, 1);
    lead_to(1);
    let_time_pass(&known);
    must_find(&known, 1);
    redis_address_forget(&known);
}

static void without_a_place_to_keep_them_addresses_are_looked_up_each_time(void **state)
{
    (void)state;
    lead_to(1);
    must_find(NULL, 1);
    must_find(NULL, 1);
    assert_int_equal(lookups, 2);
}

struct finders {
    struct redis_known known;
    atomic_uint wrong, left;
};

static void *find_always(void *arg)
{
    struct finders *finders = arg;
    struct redis_addresses found;

    for (int i = 0; i < ROUNDS; i++) {
        bool is_found = redis_address_find(&found, &named, &finders->known) == 0 && found.n == PORTS;
        for (unsigned at = 1; is_found && at < found.n; at++)
            is_found = port_at(&found, 0) == port_at(&found, at);
        finders->wrong += !is_found;
    }
    finders->left--;
    return NULL;
}

static void threads_see_one_answer_of_the_resolver_or_another_and_no_mixture(void **state)
{
    static struct finders finders;
    pthread_t thread[THREADS];

    (void)state;
    lead_to(1);
    must_find(&finders.known, 1);
    finders.left = THREADS;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, find_always, &finders), 0);
    for (unsigned i = 0; finders.left > 0; i++) {
        port_from = 1 + i % 60000;
        redis_address_doubt(&finders.known);
        let_time_pass(&finders.known);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(finders.wrong, 0);
    assert_in_range(lookups, 2, 1 + THREADS * ROUNDS);
    redis_address_forget(&finders.known);
}

/* ---- Calls ---- */

static void calls_to_a_named_server_look_it_up_once(void **state)
{
    const char *const *once = SCRIPT("expect GET", "send $1\\r\\n5\\r\\n", "close");
    struct resp_server *server = start_server(1, SCRIPTS(once));
    struct redis_client *client = open_client("redis://redis.test");

    (void)state;
    lead_to(resp_server_port(server));
    for (int i = 0; i < 4; i++) {
        must_answer(client, "GET a", "5");
        scratch_sleep_ms(20);
    }
    must_have_connections(server, 4);
    assert_int_equal(lookups, 1);
    redis_client_close(client);
    stop_server(server);
}

/* A name of one server that leads to the new master after a failover, while the old one lives on as a replica. */
static void a_server_that_became_a_replica_is_looked_for_under_its_name(void **state)
{
    struct resp_server *old =
        start_server(1, SCRIPTS(SCRIPT("expect INCR", "send :1\\r\\n", "expect INCR",
                                       "send -READONLY You can't write against a read only replica.\\r\\n"),
                                ALWAYS("INCR", "-READONLY You can't write against a read only replica.\\r\\n")));
    struct resp_server *new = start_server(1, SCRIPTS(ALWAYS("INCR", ":2\\r\\n")));
    struct redis_client *client = open_client("redis://redis.test");
    struct timespec rest = {.tv_sec = REDIS_LOOKUP_MS / 1000, .tv_nsec = 50000000};

    (void)state;
    lead_to(resp_server_port(old));
    must_answer(client, "INCR a", "1");
    lead_to(resp_server_port(new));
    must_refuse(client, "INCR a", "READONLY");
    must_refuse(client, "INCR a", "READONLY");
    assert_int_equal(lookups, 0);
    nanosleep(&rest, NULL);
    must_answer(client, "INCR a", "2");
    assert_int_equal(lookups, 1);
    redis_client_close(client);
    stop_server(old);
    stop_server(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_looked_up_once_while_its_addresses_serve),
        cmocka_unit_test(doubted_addresses_are_looked_up_again_after_five_seconds_and_not_sooner),
        cmocka_unit_test(a_name_that_is_not_found_any_more_leaves_its_old_addresses),
        cmocka_unit_test(a_name_that_was_not_found_is_not_looked_up_again_at_once),
        cmocka_unit_test(without_a_place_to_keep_them_addresses_are_looked_up_each_time),
        cmocka_unit_test(threads_see_one_answer_of_the_resolver_or_another_and_no_mixture),
        cmocka_unit_test(calls_to_a_named_server_look_it_up_once),
        cmocka_unit_test(a_server_that_became_a_replica_is_looked_for_under_its_name),
    };
    return cmocka_run_group_tests_name("redis address", tests, NULL, NULL);
}
