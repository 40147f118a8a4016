/*
 * places.h: where a store can live. What a test says about stores it can say about each of these places:
 *
 *     static void a_hit_is_counted(void **state)
 *     {
 *         struct counter_options options = place_options(place_of(state));
 *         ...
 *     }
 *     const struct CMUnitTest tests[] = {EVERYWHERE(a_hit_is_counted)};
 *     return cmocka_run_group_tests_name("...", tests, NULL, places_end);
 *
 * Each test gets a place of its own, fresh and empty: in memory; a folder; keys that begin with a prefix which no other
 * test has, on a Redis server and on a cluster that are started once per program, when they are first wanted, and ended
 * by places_end. Where there is no redis-server, or the library was built without Redis, such tests are skipped.
 */
#ifndef TESTS_PLACES_H
#define TESTS_PLACES_H

#include "real_cluster.h"
#include "scratch.h"

enum place_kind { PLACE_MEMORY, PLACE_FILE, PLACE_REDIS, PLACE_CLUSTER, PLACES };

struct place {
    enum place_kind kind;
    bool ready;
    char folder[SCRATCH_PATH];          /* "file:" only */
    char url[SCRATCH_FILE];
    char prefix[32];
};

const char *place_name(enum place_kind kind);

/* False where there can be no such place on this machine. Fails the test where there should be one. */
bool place_make(struct place *place, enum place_kind kind);
void place_clear(struct place *place);

/* Site "portal", zone +07:00, no counter.conf, a deadline that a busy machine meets. Borrows the place's strings. */
struct counter_options place_options(const struct place *place);

/* The server that PLACE_REDIS means, once there is one. */
const struct redis_server *places_server(void);

/* ---- Tests at places ------------------------------------------------------------------------------------------------ */

/* The test's place; skips the test where there can be none. */
const struct place *place_of(void **state);

int place_setup(void **state);
int place_teardown(void **state);
int places_end(void **state);

/* Stand at PLACES positions, for their addresses. */
extern const enum place_kind place_kinds[PLACES];

#define AT_PLACE(test, kind, name)                                                                                     \
    {#test " (" name ")", test, place_setup, place_teardown, (void *)(uintptr_t)&place_kinds[kind]}
#define IN_MEMORY(test)    AT_PLACE(test, PLACE_MEMORY, "memory")
#define IN_FILES(test)     AT_PLACE(test, PLACE_FILE, "file")
#define IN_REDIS(test)     AT_PLACE(test, PLACE_REDIS, "redis")
#define IN_A_CLUSTER(test) AT_PLACE(test, PLACE_CLUSTER, "cluster")

#define EVERYWHERE(test)     IN_MEMORY(test), IN_FILES(test), IN_REDIS(test), IN_A_CLUSTER(test)
#define WHERE_IT_STAYS(test) IN_FILES(test), IN_REDIS(test), IN_A_CLUSTER(test)         /* opened twice it is the same */

#endif
