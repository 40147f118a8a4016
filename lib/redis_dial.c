/*
 * redis_dial.c: from a host's addresses to a connected socket.
 *
 * Of several addresses the first that accepts wins. They are tried one after the other, address i of n with 1/(n - i) of
 * the time left: one black hole among four takes a quarter of the deadline, not all of it.
 */
#include "redis_dial.h"

#include "error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REASON = 64, BACKLOG_PAUSE_MS = 2, NS_PER_MS = 1000000 };

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 * NS_PER_MS + time.tv_nsec;
}

redis_deadline redis_deadline_in(uint32_t ms)
{
    return now() + (int64_t)ms * NS_PER_MS;
}

int redis_deadline_left(redis_deadline deadline)
{
    int64_t left = deadline - now();

    if (left <= 0)
        return 0;
    left = (left + NS_PER_MS - 1) / NS_PER_MS;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

int redis_wait(int fd, short events, redis_deadline deadline)
{
    int left;

    while ((left = redis_deadline_left(deadline)) > 0) {
        struct pollfd wanted = {.fd = fd, .events = events};
        int n = poll(&wanted, 1, left);
        if (n > 0)
            return 1;
        if (n < 0 && errno != EINTR) /* no memory in the kernel for now */
            poll(NULL, 0, 1);
    }
    return 0;
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

/* 0 or the errno, ETIMEDOUT for our deadline too. Calling connect() again is how a full backlog is tried again. */
static int connect_before(int fd, const struct sockaddr *address, socklen_t length, redis_deadline deadline)
{
    while (connect(fd, address, length) < 0) {
        if (errno == EINPROGRESS || errno == EINTR) {
            int error = 0;
            socklen_t size = sizeof error;
            if (!redis_wait(fd, POLLOUT, deadline))
                return ETIMEDOUT;
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
        }
        if (errno != EAGAIN || address->sa_family != AF_UNIX)
            return errno;
        if (redis_deadline_left(deadline) == 0)
            return ETIMEDOUT;
        poll(NULL, 0, BACKLOG_PAUSE_MS);
    }
    return 0;
}

/* 0 and the socket, or an errno. */
static int dial(int *out, const struct sockaddr *address, socklen_t length, redis_deadline deadline)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return errno;
    if (address->sa_family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        error = errno;
    else
        error = connect_before(fd, address, length, deadline);
    if (error)
        close(fd);
    else
        *out = fd;
    return error;
}

static int nobody_there(const struct redis_host *host, int error)
{
    char shown[REDIS_NAME + 8], reason[REASON];
    int code = host->port == 0 && error == EACCES ? COUNTER_EACCESS : COUNTER_EDOWN;

    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
        code = COUNTER_ENOMEM; /* this process or machine, not the server */

    return error_set(code, "cannot connect to %s: %s", redis_host_show(shown, host),
                     strerror_r(error, reason, sizeof reason));
}

int redis_dial(int *out, const struct redis_host *host, struct redis_known *known, redis_deadline deadline)
{
    struct redis_addresses found;
    char shown[REDIS_NAME + 8];
    int r = redis_address_find(&found, host, known), first = 0;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < found.n && redis_deadline_left(deadline) > 0; i++) {
        redis_deadline start = now(), share = start + (deadline - start) / (found.n - i);
        int error = dial(out, (struct sockaddr *)&found.address[i].bytes, found.address[i].length, share);
        if (error == 0)
            return 0;
        first = first ? first : error;
    }
    if (redis_deadline_left(deadline) == 0)
        return error_set(COUNTER_ETIMEOUT, "could not connect to %s within the deadline", redis_host_show(shown, host));
    return nobody_there(host, first);
}
