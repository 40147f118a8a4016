/* headers.c: see headers.h. Syntax: RFC 9110, section 5. */
#include "headers.h"

#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_MOST = 64 };

enum header { HEADER_OTHER, HEADER_X_FORWARDED_FOR, HEADER_FORWARDED, HEADER_SEC_GPC, HEADER_DNT, HEADER_AGENT };

static const char *const known[] = {[HEADER_X_FORWARDED_FOR] = "X-Forwarded-For",
                                    [HEADER_FORWARDED] = "Forwarded",
                                    [HEADER_SEC_GPC] = "Sec-GPC",
                                    [HEADER_DNT] = "DNT",
                                    [HEADER_AGENT] = "User-Agent"};

static enum header find_known(const char *text, size_t length)
{
    for (int i = 1; i < (int)(sizeof known / sizeof known[0]); i++)
        if (strlen(known[i]) == length && strncasecmp(known[i], text, length) == 0)
            return (enum header)i;
    return HEADER_OTHER;
}

/* Bytes of the name, 0 where the header is malformed: a token, a colon, and no control character but the tab. */
static size_t name_length(const char *text)
{
    size_t length = strspn(text, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    if (text[length] != ':')
        return 0;
    for (const char *c = text + length; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return 0;
    return length;
}

struct value {
    const char *text;
    int length;
};

/* What stands behind the colon, without the white space around it. */
static struct value value_of(const char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return (struct value){text, (int)length};
}

/* ---- What a hit says of them ------------------------------------------------------------------------------------- */

/* All values of one header, in order of arrival (RFC 9110, section 5.3); NULL if there was none. */
static int join(const struct arguments *arguments, enum header which, char **out)
{
    size_t size = 0, found = 0;

    for (size_t i = 0; i < arguments->headers; i++)
        size += strlen(arguments->header[i]) + 2;
    char *joined = malloc(size + 1);
    if (!joined)
        return output_error(OUTPUT_FAILED, "no memory for the headers");
    for (size_t i = 0, to = 0; i < arguments->headers; i++) {
        size_t length = name_length(arguments->header[i]);
        if (find_known(arguments->header[i], length) != which)
            continue;
        struct value value = value_of(arguments->header[i] + length + 1);
        to += (size_t)snprintf(joined + to, size + 1 - to, "%s%.*s", found++ > 0 ? ", " : "", value.length, value.text);
    }
    if (found == 0) {
        free(joined);
        joined = NULL;
    }
    *out = joined;
    return 0;
}

static bool is_signal(struct value value)
{
    return value.length == 1 && value.text[0] == '1';
}

static int read_header(struct headers *headers, const char *text)
{
    size_t length = name_length(text);
    struct value value;

    if (length == 0 || length > NAME_MOST)
        return output_error(OUTPUT_USAGE, "--header \"%s\": not of the form 'Name: value'", text);
    switch (find_known(text, length)) {
    case HEADER_SEC_GPC:
    case HEADER_DNT:
        headers->privacy |= is_signal(value_of(text + length + 1));
        break;
    case HEADER_AGENT:
        if (headers->agent)
            return output_error(OUTPUT_USAGE, "the User-Agent was given twice");
        value = value_of(text + length + 1);
        headers->agent = value.text;
        headers->agent_length = (uint32_t)value.length;
        break;
    default:
        break;
    }
    return 0;
}

int headers_open(struct headers *out, const struct arguments *arguments)
{
    int status = 0;

    *out = (struct headers){.agent = arguments->value[OPTION_AGENT]};
    for (size_t i = 0; status == 0 && i < arguments->headers; i++)
        status = read_header(out, arguments->header[i]);
    if (status == 0)
        status = join(arguments, HEADER_X_FORWARDED_FOR, &out->forwarded);
    if (status == 0 && !out->forwarded)
        status = join(arguments, HEADER_FORWARDED, &out->forwarded);
    return status;
}

void headers_close(struct headers *headers)
{
    free(headers->forwarded);
    headers->forwarded = NULL;
}

/* ---- What it does not -------------------------------------------------------------------------------------------- */

static bool has(const struct arguments *arguments, enum header which)
{
    for (size_t i = 0; i < arguments->headers; i++)
        if (find_known(arguments->header[i], name_length(arguments->header[i])) == which)
            return true;
    return false;
}

/* Why the header changes nothing, NULL if it may. */
static const char *why_ignored(const struct arguments *arguments, enum header which, struct value value)
{
    switch (which) {
    case HEADER_OTHER:
        return "has no say in who is counted";
    case HEADER_FORWARDED:
        return has(arguments, HEADER_X_FORWARDED_FOR) ? "X-Forwarded-For is there, and is what is read" : NULL;
    case HEADER_SEC_GPC:
    case HEADER_DNT:
        return is_signal(value) ? NULL : "only the value 1 is a privacy signal";
    default:
        return NULL;
    }
}

int headers_each_ignored(const struct arguments *arguments, counter_fact_fn *each, void *arg)
{
    for (size_t i = 0; i < arguments->headers; i++) {
        const char *text = arguments->header[i];
        size_t length = name_length(text);
        const char *why = why_ignored(arguments, find_known(text, length), value_of(text + length + 1));
        char name[NAME_MOST + 1];
        struct counter_fact fact = {.level = COUNTER_FACT, .name = name, .value = "ignored", .why = why};
        snprintf(name, sizeof name, "%.*s", (int)length, text);
        int r = why ? each(arg, &fact) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}
