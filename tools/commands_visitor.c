/* commands_visitor.c: hit and erase: one visitor counted, or forgotten. */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <stdio.h>

static struct counter_hit hit_of(const struct session *session, const struct arguments *arguments)
{
    return (struct counter_hit){.size = sizeof(struct counter_hit),
                                .site = session->site,
                                .visitor = arguments->value[OPTION_VISITOR],
                                .address = arguments->value[OPTION_ADDRESS],
                                .agent = arguments->value[OPTION_AGENT]};
}

static const char *verdict_text(int verdict)
{
    switch (verdict) {
    case COUNTER_COUNTED:
        return "counted";
    case COUNTER_OWN_ADDRESS:
        return "not counted: own address";
    case COUNTER_PRIVACY_SIGNAL:
        return "not counted: privacy signal";
    default:
        return "not counted";
    }
}

int commands_visitor_hit(const struct arguments *arguments)
{
    struct session session;
    int64_t at;
    int status = session_at(arguments, &at);

    if (status == 0 && !arguments->value[OPTION_ADDRESS] && !arguments->value[OPTION_VISITOR])
        status = output_error(OUTPUT_USAGE, "hit needs --address, --visitor or both: who was it?");
    if (status != 0 || (status = session_open_site(&session, arguments, true)) != 0)
        return status;
    struct counter_hit hit = hit_of(&session, arguments);
    hit.at = at;
    int r = counter_record(session.counter, &hit, NULL);
    if (r < 0)
        status = session_fail(r);
    else
        puts(verdict_text(r));
    return session_finish(&session, status);
}

/* A visitor goes by name, or by address and agent: a name outweighs them, so all three at once is likely a mistake. */
static int check_identity(const struct arguments *arguments)
{
    const char *address = arguments->value[OPTION_ADDRESS], *agent = arguments->value[OPTION_AGENT];

    if (arguments->value[OPTION_VISITOR] && (address || agent))
        return output_error(OUTPUT_USAGE, "erase takes --visitor, or --address and --agent, not both");
    if (!arguments->value[OPTION_VISITOR] && (!address || !agent))
        return output_error(OUTPUT_USAGE, "erase needs --visitor, or --address and --agent (empty if none was sent)");
    return 0;
}

int commands_visitor_erase(const struct arguments *arguments)
{
    struct session session;
    int status = check_identity(arguments);

    if (status != 0 || (status = session_open_site(&session, arguments, false)) != 0)
        return status;
    struct counter_hit hit = hit_of(&session, arguments);
    int r = counter_erase(session.counter, &hit);
    if (r < 0)
        status = session_fail(r);
    else
        puts(r > 0 ? "forgotten" : "not known");
    return session_finish(&session, status);
}
