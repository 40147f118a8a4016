/* session.c: see session.h. */
#include "session.h"

#include "output.h"
#include "time.h"

#include <stdio.h>
#include <string.h>

int session_fail(int code)
{
    int status = code == COUNTER_ENOSITE ? OUTPUT_NO_SITE : code == COUNTER_EINVAL ? OUTPUT_USAGE : OUTPUT_FAILED;
    return output_error(status, "%s", counter_error());
}

int session_options(const struct arguments *arguments, struct counter_options *out)
{
    static const struct {
        const char *name;
        enum counter_weekday day;
    } weeks[] = {{"monday", COUNTER_MONDAY}, {"sunday", COUNTER_SUNDAY}, {"saturday", COUNTER_SATURDAY}};
    const char *week = arguments->value[OPTION_WEEK_START];

    *out = (struct counter_options){.size = sizeof *out,
                                    .store = arguments->value[OPTION_STORE],
                                    .site = arguments->value[OPTION_SITE],
                                    .timezone = arguments->value[OPTION_TIMEZONE]};
    for (size_t i = 0; week && i < sizeof weeks / sizeof weeks[0]; i++)
        if (strcmp(week, weeks[i].name) == 0)
            out->week_start = weeks[i].day;
    if (week && !out->week_start)
        return output_error(OUTPUT_USAGE, "--week-start \"%s\": monday, sunday or saturday", week);
    return 0;
}

/* ---- Open -------------------------------------------------------------------------------------------------------- */

int session_open(struct session *out, const struct arguments *arguments)
{
    return session_open_store(out, arguments, NULL);
}

int session_open_store(struct session *out, const struct arguments *arguments, const char *store)
{
    struct counter_options options;
    int status = session_options(arguments, &options);

    *out = (struct session){0};
    if (status != 0)
        return status;
    if (store)
        options.store = store;
    int r = counter_open(&out->counter, &options);
    return r < 0 ? session_fail(r) : 0;
}

void session_close(struct session *session)
{
    counter_close(session->counter);
    session->counter = NULL;
}

int session_finish(struct session *session, int status)
{
    int r = status == 0 ? counter_sync(session->counter) : 0;

    if (r < 0)
        status = session_fail(r);
    session_close(session);
    return status;
}

/* ---- The site ---------------------------------------------------------------------------------------------------- */

static void keep_name(struct session *session, const char *name)
{
    snprintf(session->site, sizeof session->site, "%s", name);
}

static int take_configured(void *arg, const struct counter_fact *fact)
{
    if (strcmp(fact->name, "site") != 0)
        return 0;
    keep_name(arg, fact->value);
    return 1;
}

struct choice {
    struct session *session;
    size_t sites;
};

static int take_only(void *arg, const struct counter_row *row)
{
    struct choice *choice = arg;

    if (choice->sites++ == 0)
        keep_name(choice->session, row->name);
    return 0;
}

int session_find_site(struct session *session, const struct arguments *arguments, bool may_create)
{
    struct choice choice = {.session = session};
    struct counter_options options;
    int status = session_options(arguments, &options);

    if (status != 0)
        return status;
    int r = counter_settings(&options, take_configured, session);
    if (r == 0 || (r > 0 && !session->site[0]))
        r = counter_sites(session->counter, take_only, &choice);
    if (r < 0)
        return session_fail(r);
    if (choice.sites > 1)
        return output_error(
            OUTPUT_USAGE, "the store has %zu sites: say which with --site; \"counter sites\" lists them", choice.sites);
    if (!session->site[0])
        return output_error(may_create ? OUTPUT_USAGE : OUTPUT_NO_SITE,
                            may_create ? "no site was named and the store has none yet: name it with --site"
                                       : "the store has no site yet: \"counter hit\" makes one");
    return 0;
}

int session_open_site(struct session *out, const struct arguments *arguments, bool may_create)
{
    int status = session_open(out, arguments);

    if (status == 0 && (status = session_find_site(out, arguments, may_create)) != 0)
        session_close(out);
    return status;
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

int session_time(const struct session *session, int64_t at, char buffer[SESSION_TIME])
{
    int r = counter_local_time(session->counter, session->site, at, buffer, SESSION_TIME);
    return r < 0 ? session_fail(r) : 0;
}

int session_at(const struct arguments *arguments, int64_t *out)
{
    const char *text = arguments->value[OPTION_AT];

    *out = 0;
    if (!text || time_parse(out, text) == 0)
        return 0;
    return output_error(OUTPUT_USAGE,
                        "--at \"%s\": neither RFC 3339, as 2026-11-23T10:15:00+07:00, nor seconds since 1970", text);
}
