/* store.c: which store a URL means, and what all stores agree on. */
#include "store.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

static bool may_be_in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

int store_site_name(const char *name)
{
    char quoted[ERROR_QUOTED];
    size_t good = 0;

    while (good <= 64 && may_be_in_name(name[good]))
        good++;
    if (good >= 1 && good <= 64 && !name[good] && name[0] != '.')
        return 0;
    return error_set(COUNTER_EINVAL, "site name \"%s\": 1 to 64 letters, digits, '.', '_' and '-', and no dot in front",
                     error_quote(quoted, name, strnlen(name, ERROR_QUOTED)));
}

const char *store_verdict_name(enum counter_verdict verdict)
{
    switch (verdict) {
    case COUNTER_COUNTED:
        return "counted";
    case COUNTER_OWN_ADDRESS:
        return "own_address";
    case COUNTER_PRIVACY_SIGNAL:
        return "privacy_signal";
    case COUNTER_VERDICTS:
        break;
    }
    return "unknown";
}

int store_open(struct store **out, const struct settings *settings)
{
    const char *url = settings->store;
    char quoted[ERROR_QUOTED];

    *out = NULL;
    if (strcmp(url, "memory:") == 0)
        return store_file_open(out, settings, NULL, 0);
    if (strncmp(url, "file:", 5) == 0 && url[5])
        return store_file_open(out, settings, url + 5, 0);
    if (strncmp(url, "file+network:", 13) == 0 && url[13])
        return store_file_open(out, settings, url + 13, 1);
    return error_set(COUNTER_EINVAL, "store \"%s\": \"memory:\" or \"file:DIR\"",
                     error_quote(quoted, url, strlen(url)));
}
