/* store.c: the words that all stores agree on. */
#include "store.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

static bool may_be_in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

bool store_is_site_name(const char *name)
{
    size_t good = 0;

    while (good <= 64 && may_be_in_name(name[good]))
        good++;
    return good >= 1 && good <= 64 && !name[good] && name[0] != '.';
}

int store_site_name(const char *name)
{
    char quoted[ERROR_QUOTED];

    if (store_is_site_name(name))
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
