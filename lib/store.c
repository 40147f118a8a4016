/* store.c: which store a URL means, and what all stores agree on. */
#include "store.h"

#include "error.h"

#include <string.h>

int store_site_name(const char *name)
{
    char quoted[ERROR_QUOTED];
    size_t length = strnlen(name, 65), good = 0;

    while (good < length && (strchr("._-", name[good]) || (name[good] >= '0' && name[good] <= '9') ||
                             (name[good] >= 'A' && name[good] <= 'Z') || (name[good] >= 'a' && name[good] <= 'z')))
        good++;
    if (length >= 1 && length <= 64 && good == length && name[0] != '.')
        return 0;
    return error_set(COUNTER_EINVAL, "site name \"%s\": 1 to 64 letters, digits, '.', '_' and '-', and no dot in front",
                     error_quote(quoted, name, length));
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
