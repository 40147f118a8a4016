/* wait.h: waiting for what others do, bounded in time: a condition looked at every 10 ms. */
#ifndef TESTS_WAIT_H
#define TESTS_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t wait_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether it came to hold within that time. It is looked at once more when the time is over. */
static inline bool wait_until(bool (*holds)(const void *what), const void *what, unsigned ms)
{
    for (int64_t end = wait_clock_ms() + ms; !holds(what);) {
        if (wait_clock_ms() > end)
            return holds(what);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return true;
}

#endif
