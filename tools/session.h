/*
 * session.h: what most commands begin with: an open store, and the one site they are about.
 *
 * The site is the one of --site, else of the settings, else the only one that the store has.
 */
#ifndef COUNTER_TOOLS_SESSION_H
#define COUNTER_TOOLS_SESSION_H

#include "arguments.h"

#include <counter.h>
#include <stdbool.h>

struct session {
    struct counter *counter;
    char            site[65];
};

/* The options that the command line gives the library. 0, or OUTPUT_USAGE after saying why. */
int session_options(const struct arguments *arguments, struct counter_options *out);

/* Opens the store. Like all below: 0, or the exit code after saying why; after a failure there is nothing to close. */
int session_open(struct session *out, const struct arguments *arguments);

/* The same for the store of that URL; NULL: the settings'. */
int session_open_store(struct session *out, const struct arguments *arguments, const char *store);

/* Opens the store and finds the site. To a command that may create it, the lack of a name is a usage error. */
int session_open_site(struct session *out, const struct arguments *arguments, bool may_create);

/* Finds the site of a store that is open, which stays so. */
int session_find_site(struct session *session, const struct arguments *arguments, bool may_create);

void session_close(struct session *session);

/* Waits until what was counted is on disk, then closes. Returns status, or the failure of that where status is 0. */
int session_finish(struct session *session, int status);

/* Says what the library says about its failure, and returns the exit code that it means. */
int session_fail(int code);

/* A moment of the site's own time. */
enum { SESSION_TIME = 32 };
int session_time(const struct session *session, int64_t at, char buffer[SESSION_TIME]);

/* The value of --at, 0 without one. 0, or OUTPUT_USAGE after saying why. */
int session_at(const struct arguments *arguments, int64_t *out);

#endif
