/* redis_address.c: from a host's name to its addresses; see redis_address.h. */
#include "redis_address.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <time.h>

#include "error.h"

enum { PORT_TEXT = 6 };

struct redis_found {
    struct redis_found *next; /* among those replaced */
    struct redis_addresses addresses;
};

/* ---- What is known ---------------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool read_known(struct redis_known *known, struct redis_addresses *out)
{
    atomic_fetch_add(&known->readers, 1);
    const struct redis_found *found = atomic_load(&known->found);
    if (found)
        *out = found->addresses;
    atomic_fetch_sub(&known->readers, 1);
    return found != NULL;
}

static void free_all(struct redis_found *list)
{
    while (list) {
        struct redis_found *next = list->next;
        free(list);
        list = next;
    }
}

/* Puts a list of those replaced in front of the others. */
static void keep_replaced(struct redis_known *known, struct redis_found *list)
{
    struct redis_found *last = list;

    while (last->next)
        last = last->next;
    last->next = atomic_load(&known->replaced);
    while (!atomic_compare_exchange_weak(&known->replaced, &last->next, list))
        ;
}

/* Who is counted in after the exchange finds the new ones, so that with nobody counted in the old ones are nobody's. */
static void publish(struct redis_known *known, const struct redis_addresses *addresses)
{
    struct redis_found *found = malloc(sizeof *found);

    if (!found)
        return;
    *found = (struct redis_found){.addresses = *addresses};
    found = atomic_exchange(&known->found, found);
    if (found)
        keep_replaced(known, found);
    found = atomic_exchange(&known->replaced, NULL);
    if (!found)
        return;
    if (atomic_load(&known->readers) == 0)
        free_all(found);
    else
        keep_replaced(known, found);
}

bool redis_address_doubt(struct redis_known *known)
{
    atomic_store(&known->doubted, true);
    return atomic_load(&known->found) != NULL;
}

void redis_address_forget(struct redis_known *known)
{
    free_all(atomic_exchange(&known->found, NULL));
    free_all(atomic_exchange(&known->replaced, NULL));
}

/* ---- Looking up ------------------------------------------------------------------------------------------------- */

/* 0 or a code of getaddrinfo. */
static int add(struct redis_addresses *out, const char *name, uint16_t port, int flags)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags}, *list = NULL;
    char service[PORT_TEXT];

    snprintf(service, sizeof service, "%u", port);
    int r = getaddrinfo(name, service, &hints, &list);
    if (r != 0)
        return r;
    for (const struct addrinfo *at = list; at && out->n < REDIS_ADDRESSES; at = at->ai_next) {
        memcpy(&out->address[out->n].bytes, at->ai_addr, at->ai_addrlen);
        out->address[out->n++].length = at->ai_addrlen;
    }
    freeaddrinfo(list);
    return 0;
}

static int fail(const struct redis_host *host, int code)
{
    char shown[REDIS_NAME + 8];

    if (code == EAI_MEMORY)
        return error_set(COUNTER_ENOMEM, "no memory to look up %s", host->name);
    return error_set(COUNTER_EDOWN, "cannot connect to %s: %s", redis_host_show(shown, host), gai_strerror(code));
}

/* Until a first look-up has ended every thread that needs one makes its own. */
static bool may_look_up(struct redis_known *known, bool has_some)
{
    int64_t looked = atomic_load(&known->looked), now;

    if (looked == 0)
        return true;
    if (has_some && !atomic_load(&known->doubted))
        return false;
    now = now_ns();
    return now - looked >= REDIS_LOOKUP_MS * INT64_C(1000000) &&
           atomic_compare_exchange_strong(&known->looked, &looked, now);
}

static int find_by_name(struct redis_addresses *out, const struct redis_host *host, struct redis_known *known)
{
    struct redis_addresses fresh = {.n = 0};
    char shown[REDIS_NAME + 8];
    bool has_some = read_known(known, out);

    if (!may_look_up(known, has_some))
        return has_some ? 0
                        : error_set(COUNTER_EDOWN, "cannot connect to %s: its name was not found just now",
                                    redis_host_show(shown, host));
    int r = add(&fresh, host->name, host->port, 0);
    atomic_store(&known->looked, now_ns());
    if (r != 0)
        return has_some ? 0 : fail(host, r);
    *out = fresh;
    publish(known, &fresh);
    atomic_store(&known->doubted, false);
    return 0;
}

/* ---- Hosts ------------------------------------------------------------------------------------------------------ */

static int find_socket(struct redis_addresses *out, const char *path)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&out->address[0].bytes;
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof address->sun_path)
        return error_set(COUNTER_EINVAL, "a Unix socket's path has 1 to %zu bytes, not %zu",
                         sizeof address->sun_path - 1, length);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length + 1);
    out->address[0].length = sizeof *address;
    out->n = 1;
    return 0;
}

int redis_address_find(struct redis_addresses *out, const struct redis_host *host, struct redis_known *known)
{
    int r;

    out->n = 0;
    if (host->port == 0)
        return find_socket(out, host->name);
    if (strcasecmp(host->name, "localhost") == 0) {
        r = add(out, "127.0.0.1", host->port, AI_NUMERICHOST);
        r = r ? r : add(out, "::1", host->port, AI_NUMERICHOST);
        return r ? fail(host, r) : 0;
    }
    r = add(out, host->name, host->port, AI_NUMERICHOST);
    if (r == EAI_NONAME && known)
        return find_by_name(out, host, known);
    if (r == EAI_NONAME)
        r = add(out, host->name, host->port, 0);
    return r ? fail(host, r) : 0;
}
