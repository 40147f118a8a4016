/* places.c: see places.h. */
#include "places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { DEADLINE_MS = 5000, SLOW_DEADLINE_MS = 30000 };

const enum place_kind place_kinds[PLACES] = {PLACE_MEMORY, PLACE_FILE, PLACE_REDIS, PLACE_CLUSTER};

const char *place_name(enum place_kind kind)
{
    static const char *const name[PLACES] = {"memory", "file", "redis", "cluster"};
    return name[kind];
}

/* ---- Servers, once per program ------------------------------------------------------------------------------------- */

/* 0: runs, 1: none is installed, -1: failed, as the functions that start one say; 2: was not wanted yet. */
enum { NOT_YET = 2 };
static struct redis_server server;
static struct real_cluster cluster;
static int server_started = NOT_YET, cluster_started = NOT_YET;

const struct redis_server *places_server(void)
{
    return &server;
}

#ifdef COUNTER_NO_REDIS
static bool have_server(void)
{
    return false;
}

static bool have_cluster(void)
{
    return false;
}
#else
static bool must_have_started(int started, enum place_kind kind)
{
    if (started < 0)
        fail_msg("%s: did not start", place_name(kind));
    return started == 0;
}

static bool have_server(void)
{
    if (server_started == NOT_YET)
        server_started = redis_server_start(&server, NULL);
    return must_have_started(server_started, PLACE_REDIS);
}

static bool have_cluster(void)
{
    if (cluster_started == NOT_YET)
        cluster_started = real_cluster_start(&cluster);
    return must_have_started(cluster_started, PLACE_CLUSTER);
}
#endif

int places_end(void **state)
{
    (void)state;
#ifndef COUNTER_NO_REDIS
    if (server_started == 0)
        redis_server_stop(&server);
    if (cluster_started == 0)
        real_cluster_stop(&cluster);
#endif
    server_started = cluster_started = NOT_YET;
    return 0;
}

/* ---- Places --------------------------------------------------------------------------------------------------------- */

bool place_make(struct place *place, enum place_kind kind)
{
    static unsigned places;

    *place = (struct place){.kind = kind};
    snprintf(place->prefix, sizeof place->prefix, "test-%u", ++places);
    switch (kind) {
    case PLACE_FILE:
        scratch_make(place->folder);
        snprintf(place->url, sizeof place->url, "file:%s", place->folder);
        return place->ready = true;
    case PLACE_REDIS:
        place->ready = have_server();
        snprintf(place->url, sizeof place->url, "redis+unix://%s", server.socket);
        return place->ready;
    case PLACE_CLUSTER:
        place->ready = have_cluster();
        snprintf(place->url, sizeof place->url, "redis+cluster://%s", cluster.seeds);
        return place->ready;
    default:
        snprintf(place->url, sizeof place->url, "memory:");
        return place->ready = true;
    }
}

void place_clear(struct place *place)
{
    if (place->folder[0])
        scratch_remove(place->folder);
    place->folder[0] = '\0';
    place->ready = false;
}

struct counter_options place_options(const struct place *place)
{
    return (struct counter_options){.size = sizeof(struct counter_options),
                                    .config = "",
                                    .store = place->url,
                                    .prefix = place->prefix,
                                    .site = "portal",
                                    .timezone = "+07:00",
                                    .sync_ms = 100,
                                    .deadline = scratch_is_instrumented() ? SLOW_DEADLINE_MS : DEADLINE_MS};
}

/* ---- Tests at places ------------------------------------------------------------------------------------------------ */

static struct place place_of_the_test;

int place_setup(void **state)
{
    const enum place_kind *kind = *state;
    place_make(&place_of_the_test, *kind);
    *state = &place_of_the_test;
    return 0;
}

int place_teardown(void **state)
{
    place_clear(*state);
    return 0;
}

const struct place *place_of(void **state)
{
    const struct place *place = *state;
    if (!place->ready)
        skip();
    return place;
}
