/* commands_stats.c: stats: all windows of a site, as a table or as JSON. */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>

/* From the nearest to the farthest, as both forms show them. */
static const struct {
    enum counter_window window;
    const char *key, *label;
} windows[] = {
    {COUNTER_TODAY, "today", "today"},
    {COUNTER_YESTERDAY, "yesterday", "yesterday"},
    {COUNTER_THIS_WEEK, "this_week", "this week"},
    {COUNTER_LAST_WEEK, "last_week", "last week"},
    {COUNTER_THIS_MONTH, "this_month", "this month"},
    {COUNTER_LAST_MONTH, "last_month", "last month"},
    {COUNTER_THIS_YEAR, "this_year", "this year"},
    {COUNTER_LAST_YEAR, "last_year", "last year"},
    {COUNTER_ALL_TIME, "all_time", "all time"},
};
enum { ROWS = sizeof windows / sizeof windows[0] };
_Static_assert((int)ROWS == (int)COUNTER_WINDOWS, "every window is shown");

struct answer {
    struct counter_site site;
    struct counter_stats stats;
    char at[SESSION_TIME], since[SESSION_TIME]; /* since is a date, "" if there was no hit */
};

static int ask(const struct session *session, int64_t at, struct answer *out)
{
    int r, status;

    *out = (struct answer){.site = {.size = sizeof out->site},
                           .stats = {.size = sizeof out->stats, .want = COUNTER_WANT_ALL}};
    if ((r = counter_read(session->counter, session->site, at, &out->stats)) < 0 ||
        (r = counter_site(session->counter, session->site, &out->site)) < 0)
        return session_fail(r);
    if ((status = session_time(session, out->stats.at, out->at)) != 0)
        return status;
    if (out->site.since != 0 && (status = session_time(session, out->site.since, out->since)) != 0)
        return status;
    out->since[sizeof "2026-11-23" - 1] = 0;
    return 0;
}

static const char *weekday_name(enum counter_weekday day)
{
    return day == COUNTER_SUNDAY ? "sunday" : day == COUNTER_SATURDAY ? "saturday" : "monday";
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void print_member(const char *name, const char *value)
{
    printf("\"%s\":", name);
    if (value[0])
        output_json(stdout, value);
    else
        printf("null");
    putchar(',');
}

static void print_json(const struct answer *answer)
{
    putchar('{');
    print_member("site", answer->site.name);
    print_member("at", answer->at);
    print_member("timezone", answer->site.timezone);
    print_member("week_start", weekday_name(answer->site.week_start));
    print_member("since", answer->since);
    printf("\"online\":%" PRId64 ",\"late\":%" PRId64 ",", answer->stats.online, answer->stats.late);
    for (size_t i = 0; i < ROWS; i++) {
        printf("\"%s\":{", windows[i].key);
        output_count_error(&answer->stats.window[windows[i].window]);
        printf("},");
    }
    printf("\"baseline\":{");
    output_count(&answer->site.baseline);
    printf("}}\n");
}

/* ---- Table ------------------------------------------------------------------------------------------------------- */

static void add_row(struct output_table *table, const char *label, const struct counter_count *count)
{
    char visitors[OUTPUT_NUMBER], share[OUTPUT_NUMBER], visits[OUTPUT_NUMBER], hits[OUTPUT_NUMBER];

    output_table_cell(table, "%s", label);
    output_table_cell(table, "%s", output_number(visitors, count->visitors));
    output_table_cell(table, "%s", output_share(share, count->error));
    output_table_cell(table, "%s", output_number(visits, count->visits));
    output_table_cell(table, "%s", output_number(hits, count->hits));
}

static void add_words(struct output_table *table, const char *const words[5])
{
    for (int i = 0; i < 5; i++)
        output_table_cell(table, "%s", words[i]);
}

static void print_notes(const struct answer *answer)
{
    const struct counter_count *old = &answer->site.baseline;
    char number[3][OUTPUT_NUMBER];

    if (answer->since[0])
        printf("\nsince %s\n", answer->since);
    if (old->visitors != 0 || old->visits != 0 || old->hits != 0)
        printf("all time includes an older counter's %s visitors, %s visits and %s hits\n",
               output_number(number[0], old->visitors), output_number(number[1], old->visits),
               output_number(number[2], old->hits));
    if (answer->stats.summed != 0)
        puts(answer->site.key_rotation == COUNTER_ROTATION_DAILY
                 ? "visitors of weeks, months, years and all time are sums of days (key_rotation)"
                 : "visitors of years, all time and weeks over two months are sums of months (key_rotation)");
    if (answer->stats.late != 0)
        printf("late hits: %s (visits may be off by as many)\n", output_number(number[0], answer->stats.late));
}

static int print_table(const struct answer *answer)
{
    struct output_table table;
    char online[OUTPUT_NUMBER];
    int status = output_table_open(&table, "lrlrr");

    if (status != 0)
        return status;
    output_text(stdout, answer->site.name);
    printf("  %s  ", answer->at);
    output_text(stdout, answer->site.timezone);
    printf(", weeks from %s\n\n", weekday_name(answer->site.week_start));
    add_words(&table, (const char *const[]){"", "visitors", "", "visits", "hits"});
    add_words(&table, (const char *const[]){"online", output_number(online, answer->stats.online),
                                            answer->stats.online_floor ? "or more" : "", "", ""});
    for (size_t i = 0; i < ROWS; i++)
        add_row(&table, windows[i].label, &answer->stats.window[windows[i].window]);
    status = output_table_print(&table);
    print_notes(answer);
    return status;
}

int commands_stats(const struct arguments *arguments)
{
    struct session session;
    struct answer answer;
    int64_t at;
    int status = session_at(arguments, &at);

    if (status != 0 || (status = session_open_site(&session, arguments, false)) != 0)
        return status;
    status = ask(&session, at, &answer);
    session_close(&session);
    if (status == 0 && arguments->value[OPTION_JSON])
        print_json(&answer);
    else if (status == 0)
        status = print_table(&answer);
    return status;
}
