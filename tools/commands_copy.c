/* commands_copy.c: copy and key: a site, or only the visitors' key, from one store into another. */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Which stores ------------------------------------------------------------------------------------------------ */

enum { STORE_NAME = 4128 }; /* the longest value of a setting, and what stands for a password in it */

struct stores {
    const char *source, *target;                           /* NULL: the settings' */
    char source_name[STORE_NAME], target_name[STORE_NAME]; /* as the library shows them: without password */
};

static int keep_store(void *arg, const struct counter_fact *fact)
{
    if (strcmp(fact->name, "store") != 0)
        return 0;
    snprintf(arg, STORE_NAME, "%s", fact->value);
    return 1;
}

static int name_store(const struct arguments *arguments, const char *store, char name[STORE_NAME])
{
    struct counter_options options;
    int status = session_options(arguments, &options);

    if (status != 0)
        return status;
    if (store)
        options.store = store;
    int r = counter_settings(&options, keep_store, name);
    return r < 0 ? session_fail(r) : 0;
}

/* "file:DIR" and "file+network:DIR" name a folder, which may have other names. */
static bool is_folder(const char *name, struct stat *status)
{
    return strncmp(name, "file", 4) == 0 && stat(name + strcspn(name, ":") + 1, status) == 0;
}

static bool is_same(const struct stores *stores)
{
    struct stat source, target;

    if (strcmp(stores->source_name, stores->target_name) == 0)
        return true;
    return is_folder(stores->source_name, &source) && is_folder(stores->target_name, &target) &&
           source.st_dev == target.st_dev && source.st_ino == target.st_ino;
}

static int find_stores(struct stores *out, const struct arguments *arguments)
{
    int status;

    out->source = arguments->value[OPTION_SOURCE];
    out->target = arguments->value[OPTION_TARGET];
    if ((status = name_store(arguments, out->source, out->source_name)) != 0 ||
        (status = name_store(arguments, out->target, out->target_name)) != 0)
        return status;
    if (is_same(out))
        return output_error(OUTPUT_USAGE, "--from and --to are the same store, \"%s\"", out->target_name);
    return 0;
}

/* Opens both. Like session_open: after a failure there is nothing to close. */
static int open_stores(const struct stores *stores, const struct arguments *arguments, struct session *source,
                       struct session *target)
{
    int status = session_open_store(source, arguments, stores->source);

    if (status == 0 && (status = session_open_store(target, arguments, stores->target)) != 0)
        session_close(source);
    return status;
}

/* ---- copy -------------------------------------------------------------------------------------------------------- */

/* What is told of the target; zeros while it has no such site. */
static int read_totals(const struct session *target, const char *site, struct counter_stats *out)
{
    *out = (struct counter_stats){.size = sizeof *out, .want = 1u << COUNTER_TODAY | 1u << COUNTER_ALL_TIME};
    int r = counter_read(target->counter, site, 0, out);
    return r < 0 && r != COUNTER_ENOSITE ? session_fail(r) : 0;
}

static int copy_site(const struct stores *stores, const struct session *source, const struct session *target)
{
    struct counter_stats before, after;
    char hits[2][OUTPUT_NUMBER], visitors[2][OUTPUT_NUMBER];
    int status = read_totals(target, source->site, &before);

    if (status != 0)
        return status;
    int r = counter_copy(target->counter, source->counter, source->site);
    if (r < 0)
        return session_fail(r);
    if ((status = read_totals(target, source->site, &after)) != 0)
        return status;
    printf("copied site %s to ", source->site);
    output_text(stdout, stores->target_name);
    printf(": %s hits ever (before: %s), %s visitors today (before: %s)\n",
           output_number(hits[0], after.window[COUNTER_ALL_TIME].hits),
           output_number(hits[1], before.window[COUNTER_ALL_TIME].hits),
           output_number(visitors[0], after.window[COUNTER_TODAY].visitors),
           output_number(visitors[1], before.window[COUNTER_TODAY].visitors));
    return 0;
}

int commands_copy(const struct arguments *arguments)
{
    struct session source, target;
    struct stores stores;
    int status;

    if (!arguments->value[OPTION_SOURCE] && !arguments->value[OPTION_TARGET])
        return output_error(OUTPUT_USAGE, "copy needs --from, --to or both: the other is the settings' store");
    if ((status = find_stores(&stores, arguments)) != 0 ||
        (status = open_stores(&stores, arguments, &source, &target)) != 0)
        return status;
    if ((status = session_find_site(&source, arguments, false)) == 0)
        status = copy_site(&stores, &source, &target);
    session_close(&source);
    return session_finish(&target, status);
}

/* ---- key --------------------------------------------------------------------------------------------------------- */

int commands_copy_key(const struct arguments *arguments)
{
    struct session source, target;
    struct stores stores;
    int status;

    if (!arguments->value[OPTION_SOURCE])
        return output_error(OUTPUT_USAGE, "key needs --from: which store's key is to be taken over?");
    if ((status = find_stores(&stores, arguments)) != 0 ||
        (status = open_stores(&stores, arguments, &source, &target)) != 0)
        return status;
    int r = counter_copy_key(target.counter, source.counter);
    if (r < 0)
        status = session_fail(r);
    else
        puts(r > 0 ? "both have the same key already" : "the key was taken over");
    session_close(&source);
    return session_finish(&target, status);
}
