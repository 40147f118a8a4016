/* store_open.c: which store a URL means. */
#include "error.h"
#include "store.h"

#include <string.h>

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
