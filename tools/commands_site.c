/* commands_site.c: baseline, reset and sites: what concerns a site as a whole. */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sites ------------------------------------------------------------------------------------------------------- */

static int print_name(void *arg, const struct counter_row *row)
{
    (void)arg;
    output_text(stdout, row->name);
    putchar('\n');
    return 0;
}

int commands_site_list(const struct arguments *arguments)
{
    struct session session;
    int status = session_open(&session, arguments);

    if (status != 0)
        return status;
    int r = counter_sites(session.counter, print_name, NULL);
    if (r < 0)
        status = session_fail(r);
    session_close(&session);
    return status;
}

/* ---- baseline ---------------------------------------------------------------------------------------------------- */

/* Beyond any counter that ever was, and far from what JSON's readers round (2^53) or a sum could overflow. */
#define BASELINE_MOST INT64_C(1000000000000000)

static int parse_total(const char *name, const char *text, int64_t *out)
{
    size_t digits = strspn(text, "0123456789"), zeros = strspn(text, "0");
    int64_t number = 0;

    if (text[0] == '-')
        return output_error(OUTPUT_USAGE, "%s \"%s\": a baseline cannot be negative", name, text);
    if (digits == 0 || text[digits])
        return output_error(OUTPUT_USAGE, "%s \"%s\": a whole number, in digits only", name, text);
    for (size_t i = zeros; i < digits && number <= BASELINE_MOST; i++)
        number = number * 10 + (text[i] - '0');
    if (number > BASELINE_MOST)
        return output_error(OUTPUT_USAGE, "%s \"%s\": at most %" PRId64, name, text, BASELINE_MOST);
    *out = number;
    return 0;
}

struct totals {
    int64_t visitors, visits, hits; /* -1: stays as it is */
    bool given;
};

static int parse_totals(const struct arguments *arguments, struct totals *out)
{
    const char *visitors = arguments->value[OPTION_VISITORS], *visits = arguments->value[OPTION_VISITS],
               *hits = arguments->value[OPTION_HITS];
    int status = 0;

    *out = (struct totals){-1, -1, -1, arguments->word || visitors || visits || hits};
    if (arguments->word && (visitors || visits || hits))
        return output_error(OUTPUT_USAGE, "baseline takes one number for all, or --visitors, --visits and --hits");
    if (arguments->word) {
        status = parse_total("baseline", arguments->word, &out->visitors);
        out->visits = out->hits = out->visitors;
    }
    if (status == 0 && visitors)
        status = parse_total("--visitors", visitors, &out->visitors);
    if (status == 0 && visits)
        status = parse_total("--visits", visits, &out->visits);
    if (status == 0 && hits)
        status = parse_total("--hits", hits, &out->hits);
    return status;
}

/* The language of the box: the user's if the library speaks it. */
static const char *language(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strncmp(value, "vi", 2) == 0 ? "vi" : "en";
    }
    return "en";
}

/* The box as visitors see it; of a site that was never counted, one of dashes. */
static int print_box(const struct session *session, const char *heading)
{
    struct counter_stats stats = {.size = sizeof stats};
    char box[4096];
    int r = counter_read(session->counter, session->site, 0, &stats);

    if (r < 0 && r != COUNTER_ENOSITE)
        return session_fail(r);
    if ((r = counter_render(r == 0 ? &stats : NULL, COUNTER_TEXT, language(), NULL, box, sizeof box)) < 0)
        return session_fail(r);
    size_t length = strlen(box);
    printf("%s%s%s", heading, box, length > 0 && box[length - 1] == '\n' ? "" : "\n");
    return 0;
}

static void print_baseline(const struct counter_count *old)
{
    char number[3][OUTPUT_NUMBER];
    printf("baseline: %s visitors, %s visits, %s hits\n", output_number(number[0], old->visitors),
           output_number(number[1], old->visits), output_number(number[2], old->hits));
}

static int set_baseline(const struct session *session, const struct totals *totals, struct counter_count *old)
{
    int status = print_box(session, "before:\n");

    if (status != 0)
        return status;
    old->visitors = totals->visitors < 0 ? old->visitors : totals->visitors;
    old->visits = totals->visits < 0 ? old->visits : totals->visits;
    old->hits = totals->hits < 0 ? old->hits : totals->hits;
    int r = counter_baseline(session->counter, session->site, old);
    return r < 0 ? session_fail(r) : print_box(session, "\nafter:\n");
}

static int show_or_set(const struct session *session, const struct totals *totals)
{
    struct counter_site site = {.size = sizeof site};
    int status = 0;
    int r = counter_site(session->counter, session->site, &site);

    if (r < 0 && !(r == COUNTER_ENOSITE && totals->given))
        return session_fail(r);
    if (totals->given)
        status = set_baseline(session, totals, &site.baseline);
    else
        status = print_box(session, "");
    if (status == 0) {
        putchar('\n');
        print_baseline(&site.baseline);
    }
    return status;
}

int commands_site_baseline(const struct arguments *arguments)
{
    struct session session;
    struct totals totals;
    int status = parse_totals(arguments, &totals);

    if (status != 0 || (status = session_open_site(&session, arguments, totals.given)) != 0)
        return status;
    return session_finish(&session, show_or_set(&session, &totals));
}

/* ---- reset ------------------------------------------------------------------------------------------------------- */

/* "site portal: 2,310 hits since 2026-03-01T08:00:00+07:00", the baseline included. */
static int describe(const struct session *session, char *out, size_t size)
{
    struct counter_stats stats = {.size = sizeof stats, .want = 1u << COUNTER_ALL_TIME};
    struct counter_site site = {.size = sizeof site};
    char since[SESSION_TIME] = "", number[OUTPUT_NUMBER];
    int r, status;

    if ((r = counter_read(session->counter, session->site, 0, &stats)) < 0 ||
        (r = counter_site(session->counter, session->site, &site)) < 0)
        return session_fail(r);
    if (site.since != 0 && (status = session_time(session, site.since, since)) != 0)
        return status;
    snprintf(out, size, "site %s: %s hits%s%s", session->site,
             output_number(number, stats.window[COUNTER_ALL_TIME].hits), since[0] ? " since " : "", since);
    return 0;
}

int commands_site_reset(const struct arguments *arguments)
{
    struct session session;
    char what[192];
    int r, status = session_open_site(&session, arguments, false);

    if (status != 0)
        return status;
    if ((status = describe(&session, what, sizeof what)) != 0) {
        session_close(&session);
        return status;
    }
    if (!arguments->value[OPTION_YES])
        status = output_error(OUTPUT_USAGE, "this would delete, for good, %s; with --yes it does", what);
    else if ((r = counter_remove(session.counter, session.site)) < 0)
        status = session_fail(r);
    else
        printf("deleted %s\n", what);
    return session_finish(&session, status);
}
