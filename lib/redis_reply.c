/*
 * redis_reply.c: what an error reply means; see redis_reply.h.
 *
 * An error reply is a word in capitals and a sentence for people. The word decides; the sentence is shown. An error met
 * by a script comes as it is since Redis 7; before, it stands at the end of another: "ERR Error running script (call to
 * f_...): @user_script:1: @user_script: 1: -OOM command not allowed ...", or behind the last but one colon alone where
 * the script caught it. That a script's user lacks a permission is
 * said in other words than NOPERM, by each version in its own, and Redis 7.0 says "ERR" twice in front of them.
 */
#include "redis_reply.h"

#include <string.h>

#include "error.h"

static const struct {
    const char *beginning;
    int code;
} meanings[] = {
    {"NOAUTH", COUNTER_EACCESS},
    {"WRONGPASS", COUNTER_EACCESS},
    {"NOPERM", COUNTER_EACCESS},
    {"ERR The user executing the script can't", COUNTER_EACCESS},
    {"ERR ACL failure in script:", COUNTER_EACCESS},
    {"DENIED", COUNTER_EACCESS},
    {"OOM", COUNTER_EFULL},
    {"WRONGTYPE", COUNTER_EFORMAT},
    {"INVALIDOBJ", COUNTER_EFORMAT},
    {"ERR hash value is not an integer", COUNTER_EFORMAT},
    {"ERR value is not an integer or out of range", COUNTER_EFORMAT},
    {"ERR value is not a valid float", COUNTER_EFORMAT},
    {"LOADING", COUNTER_EDOWN},
    {"MASTERDOWN", COUNTER_EDOWN},
    {"NOREPLICAS", COUNTER_EDOWN},
    {"MISCONF", COUNTER_EDOWN},
    {"BUSY", COUNTER_EDOWN},
    {"CLUSTERDOWN", COUNTER_EDOWN},
    {"TRYAGAIN", COUNTER_EDOWN},
    {"READONLY", COUNTER_EDOWN},
    {"MOVED", COUNTER_EDOWN},
    {"ASK", COUNTER_EDOWN},
    {"ERR max number of clients", COUNTER_EDOWN},
};

static bool begins(const char *text, size_t length, const char *beginning)
{
    size_t n = strlen(beginning);
    return length >= n && memcmp(text, beginning, n) == 0 && (length == n || text[n] == ' ');
}

/* Where the word stands that decides. */
static const char *decisive(const redisReply *reply, size_t *length)
{
    static const char inner[] = ": -", twice[] = "ERR ERR";
    const char *text = reply->str, *found;

    *length = reply->len;
    while (begins(text, *length, twice)) {
        text += sizeof "ERR";
        *length -= sizeof "ERR";
    }
    if (!begins(text, *length, "ERR Error running script") && !begins(text, *length, "@user_script:"))
        return text;
    found = memmem(text, *length, inner, sizeof inner - 1);
    if (!found)
        return text;
    found += sizeof inner - 1;
    *length -= (size_t)(found - text);
    return found;
}

int redis_reply_code(const redisReply *reply)
{
    size_t length;

    if (reply->type != REDIS_REPLY_ERROR)
        return COUNTER_EIO;
    const char *text = decisive(reply, &length);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (begins(text, length, meanings[i].beginning))
            return meanings[i].code;
    return COUNTER_EIO;
}

int redis_reply_error(const redisReply *reply, const char *what)
{
    char quoted[ERROR_QUOTED];

    if (reply->type != REDIS_REPLY_ERROR)
        return error_set(COUNTER_EIO, "%s: the server's answer is of another kind than that command's", what);
    return error_set(redis_reply_code(reply), "%s: the server says \"%s\"", what,
                     error_quote(quoted, reply->str, reply->len));
}

bool redis_reply_is(const redisReply *reply, const char *word)
{
    size_t length;

    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    const char *text = decisive(reply, &length);
    return begins(text, length, word);
}

bool redis_reply_host(struct redis_host *out, const char *name, size_t length, long long port)
{
    if (length == 0 || length >= sizeof out->name || port < 1 || port > 65535)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    memset(out, 0, sizeof *out);
    memcpy(out->name, name, length);
    out->port = (uint16_t)port;
    return true;
}

long long redis_reply_number(const char *text, size_t length)
{
    long long number = 0;

    if (length == 0 || length > 5)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = 10 * number + (text[i] - '0');
    }
    return number;
}
