/*
 * counter_explain.c: what would become of a hit, and why. Nothing is counted, and the id itself is not shown.
 */
#include "abi.h"
#include "counter_handle.h"
#include "error.h"

#include <stdio.h>

static int tell(counter_fact_fn *each, void *arg, enum counter_level level, const char *name, const char *value,
                const char *why)
{
    struct counter_fact fact = {.level = level, .name = name, .value = value, .why = why};
    return each(arg, &fact);
}

static int explain_client(const struct counter_client *client, counter_fact_fn *each, void *arg)
{
    static const char *const why[] = {
        [ADDRESS_PEER] = "the peer itself: it is no trusted proxy, or forwarded nothing",
        [ADDRESS_PEER_UNLISTED] = "the peer: it is not in trusted_proxies, so what it forwarded is not believed",
        [ADDRESS_FORWARDED] = "forwarded: the first from the right that is no trusted proxy",
        [ADDRESS_ALL_TRUSTED] = "forwarded: all are trusted proxies, so the leftmost",
        [ADDRESS_MALFORMED] = "the last good one from the right: what was forwarded before it is no address",
    };
    char text[ADDRESS_TEXT];

    if (!client->has_address)
        return tell(each, arg, COUNTER_FACT, "client", "unknown", "no address was given");
    return tell(each, arg, client->source == ADDRESS_PEER_UNLISTED ? COUNTER_WARNING : COUNTER_FACT, "client",
                address_text(&client->address, text), why[client->source]);
}

static int explain_identity(const struct counter_hit *hit, const struct counter_client *client, counter_fact_fn *each,
                            void *arg)
{
    if (hit->visitor)
        return tell(each, arg, COUNTER_FACT, "identity", "visitor",
                    "the name that came with the hit tells visitors apart");
    if (address_is_v4(&client->address))
        return tell(each, arg, COUNTER_FACT, "identity", "address and agent", "the whole IPv4 address and the agent");
    return tell(each, arg, COUNTER_FACT, "identity", "address and agent", "the /64 of the IPv6 address and the agent");
}

static int explain_decision(const struct counter *c, const struct counter_hit *hit, const struct counter_client *client,
                            counter_fact_fn *each, void *arg)
{
    struct store_hit given = {.verdict = COUNTER_COUNTED};
    char why[160] = "no rule keeps it out";

    counter_judge(c, hit, client, &given);
    if (given.verdict == COUNTER_OWN_ADDRESS)
        snprintf(why, sizeof why, "the address is in exclude: %.100s", client->excluded);
    if (given.verdict == COUNTER_PRIVACY_SIGNAL)
        snprintf(why, sizeof why, "Sec-GPC or DNT was sent and privacy_signal is %s",
                 given.anonymous ? "hits_only" : "skip");
    if (hit->flags & COUNTER_HIT_ALL)
        snprintf(why, sizeof why, "it was asked to be counted whoever sent it");
    return tell(each, arg, COUNTER_FACT, "decision",
                given.anonymous ? "hit without visitor" : store_verdict_name(given.verdict), why);
}

int counter_explain(struct counter *c, const struct counter_hit *hit, counter_fact_fn *each, void *arg)
{
    struct counter_hit own;
    struct counter_client client;
    int r;

    if ((r = abi_copy(&own, sizeof own, hit, "struct counter_hit")) < 0 ||
        (r = counter_find_client(c, &own, &client)) < 0)
        return r;
    if ((r = explain_client(&client, each, arg)) != 0 || (r = explain_identity(&own, &client, each, arg)) != 0)
        return r;
    return explain_decision(c, &own, &client, each, arg);
}
