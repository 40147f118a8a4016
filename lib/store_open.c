/* store_open.c: which store a URL means. */
#include "error.h"
#include "redis_url.h"
#include "store.h"

#include <string.h>

static int open_redis(struct store **out, const struct settings *settings)
{
#ifdef COUNTER_NO_REDIS
    (void)out, (void)settings;
    return error_set(COUNTER_ENOTBUILT, "this build of libcounter has no Redis store (it was made with REDIS=no)");
#else
    return store_redis_open(out, settings);
#endif
}

int store_open(struct store **out, const struct settings *settings)
{
    const char *url = settings->store;
    char shown[ERROR_QUOTED], quoted[ERROR_QUOTED];

    *out = NULL;
    if (strcmp(url, "memory:") == 0)
        return store_file_open(out, settings, NULL, 0);
    if (strncmp(url, "file:", 5) == 0 && url[5])
        return store_file_open(out, settings, url + 5, 0);
    if (strncmp(url, "file+network:", 13) == 0 && url[13])
        return store_file_open(out, settings, url + 13, 1);
    if (redis_url_is(url))
        return open_redis(out, settings);
    redis_url_show(shown, sizeof shown, url);
    return error_set(COUNTER_EINVAL, "store \"%s\": \"memory:\", \"file:DIR\" or a URL that begins with \"redis\"",
                     error_quote(quoted, shown, strlen(shown)));
}
