/*
 * request.c: reads the variables from first to last, not by getenv.
 *
 * A header that was sent twice arrives as one joined value from some servers and as two variables of one name from
 * others (nginx). getenv would give the first of them, which is the one the client wrote; the trusted proxy's comes
 * last. So all are joined, in order. "X_Forwarded_For" turns into the same variable name as "X-Forwarded-For": a
 * server that lets headers with underscores pass must be told to drop them, here they look alike.
 */
#include "request.h"

#include <string.h>
#include <strings.h>

/* The value, if variable is "NAME=value". */
static const char *value_of(const char *variable, const char *name)
{
    size_t length = strlen(name);

    return strncmp(variable, name, length) == 0 && variable[length] == '=' ? variable + length + 1 : NULL;
}

/* The first of the variables called name, "" if there is none. */
static const char *find(char *const *variables, const char *name)
{
    const char *value;

    for (; *variables; variables++)
        if ((value = value_of(*variables, name)) != NULL)
            return value;
    return "";
}

static _Bool starts_with(const char *value, const char *word)
{
    return strncasecmp(value, word, strlen(word)) == 0;
}

static enum request_method method_of(const char *value)
{
    if (strcmp(value, "GET") == 0)
        return REQUEST_GET;
    if (strcmp(value, "HEAD") == 0)
        return REQUEST_HEAD;
    return strcmp(value, "OPTIONS") == 0 ? REQUEST_OPTIONS : REQUEST_OTHER;
}

/* Joins the values of the variables called name. The client is looked for from the right, and not far: see counter.h. */
static void join(struct buffer *list, char *const *variables, const char *name)
{
    const char *value;

    for (; *variables; variables++) {
        if (!(value = value_of(*variables, name)))
            continue;
        if (list->length > 0)
            buffer_put_text(list, ", ");
        buffer_put_text(list, value);
    }
}

static void read_forwarded(struct request *out, char *const *variables, enum request_forwarded which)
{
    if (which != REQUEST_RFC7239)
        join(&out->forwarded, variables, "HTTP_X_FORWARDED_FOR");
    if (which == REQUEST_RFC7239 || (which == REQUEST_EITHER && out->forwarded.length == 0))
        join(&out->forwarded, variables, "HTTP_FORWARDED");
}

void request_read(struct request *out, char *const *variables, enum request_forwarded forwarded)
{
    const char *path = find(variables, "PATH_INFO");

    *out = (struct request){0};
    out->method = method_of(find(variables, "REQUEST_METHOD"));
    out->path = strnlen(path, REQUEST_PATH + 1) > REQUEST_PATH ? NULL : *path ? path : "/";
    out->address = find(variables, "REMOTE_ADDR");
    out->agent = find(variables, "HTTP_USER_AGENT");
    out->agent_length = strnlen(out->agent, REQUEST_AGENT);
    out->privacy = strcmp(find(variables, "HTTP_SEC_GPC"), "1") == 0 || strcmp(find(variables, "HTTP_DNT"), "1") == 0;
    out->prefetch = starts_with(find(variables, "HTTP_SEC_PURPOSE"), "prefetch") ||
                    starts_with(find(variables, "HTTP_PURPOSE"), "prefetch") ||
                    starts_with(find(variables, "HTTP_X_MOZ"), "prefetch");
    read_forwarded(out, variables, forwarded);
}

void request_free(struct request *request)
{
    buffer_free(&request->forwarded);
}
