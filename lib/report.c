/* report.c: see report.h. */
#include "report.h"

#include "period.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { FUTURE = 60, DAY = 86400, LEAP = 400 * DAY, VALUE = 512 };

void report_tell(struct report *report, enum counter_level level, const char *name, const char *why, const char *format,
                 ...)
{
    char value[VALUE];
    struct counter_fact fact = {.level = level, .name = name, .value = value, .why = why};
    va_list list;

    if (report->stopped)
        return;
    va_start(list, format);
    vsnprintf(value, sizeof value, format, list);
    va_end(list);
    if ((int)level > report->worst)
        report->worst = (int)level;
    report->stopped = report->each(report->arg, &fact);
}

void report_time(struct report *report, const struct zone *zone, const char *name, const char *why, int64_t t)
{
    char when[32];
    period_format(zone, t, when, sizeof when);
    report_tell(report, COUNTER_FACT, name, why, "%s", when);
}

int report_result(const struct report *report)
{
    return report->stopped ? report->stopped : report->worst;
}

void report_clock(struct report *report, const struct report_site *site, int64_t now)
{
    static const char *const weekday[] = {"",         "monday", "tuesday",  "wednesday",
                                          "thursday", "friday", "saturday", "sunday"};
    struct period_frame frame;

    report_tell(report, COUNTER_FACT, "timezone", "fixed when the site was created", "%s", zone_name(site->zone));
    period_frame(&frame, site->zone, site->week_start, now);
    report_time(report, site->zone, "today", "began then", frame.of[PERIOD_DAY].start);
    report_tell(report, COUNTER_FACT, "week_start", "", "%s", weekday[site->week_start]);
    if (site->clock == 0) {
        report_tell(report, COUNTER_FACT, "newest", "", "no hit yet");
        return;
    }
    report_time(report, site->zone, "since", "the oldest hit", site->since);
    report_time(report, site->zone, "newest", "the newest hit: the site's clock", site->clock);
    if (site->clock > now + FUTURE)
        report_tell(report, COUNTER_WARNING, "clock",
                    "the newest hit lies in this machine's future: one of the clocks was or is wrong",
                    "%" PRId64 " s ahead", site->clock - now);
    if (now > site->clock + LEAP && site->accepted <= site->clock)
        report_tell(report, COUNTER_WARNING, "clock",
                    "hits of today are refused until the machine's clock is accepted (counter check --accept-clock)",
                    "%" PRId64 " days after the newest hit", (now - site->clock) / DAY);
}

void report_limits(struct report *report, const struct report_site *site)
{
    static const char *const rotation[] = {"", "never", "monthly", "daily"};

    report_tell(report, COUNTER_FACT, "exact_visitors", "a window is exact at least up to so many", "%" PRIu32,
                site->exact_visitors);
    if (site->forgotten == 0)
        report_tell(report, COUNTER_FACT, "forgotten_until", "nobody was dropped: every window is exact", "never");
    else
        report_time(report, site->zone, "forgotten_until", "windows that began later are exact", site->forgotten);
    report_tell(report, COUNTER_FACT, "forget_days", "a visitor not seen for so long is forgotten", "%" PRIu32,
                site->forget_days);
    report_tell(report, COUNTER_FACT, "key_rotation",
                site->key_rotation > COUNTER_ROTATION_NEVER ? "longer windows are sums; old keys are destroyed" : "",
                "%s", rotation[site->key_rotation]);
    report_tell(report, COUNTER_FACT, "retention_days", "days kept one by one", "%" PRIu32, site->retention_days);
}

void report_sums(struct report *report, const struct report_site *site)
{
    report_tell(report, COUNTER_FACT, "late", "hits older than their visitor's last", "%" PRIu64, site->late);
    report_tell(
        report, site->torn ? COUNTER_WARNING : COUNTER_FACT, "baseline",
        site->torn ? "the last one was torn by a crash: set it again" : "visitors, visits, hits of an older counter",
        "%" PRId64 ", %" PRId64 ", %" PRId64, site->baseline.visitors, site->baseline.visits, site->baseline.hits);
}
