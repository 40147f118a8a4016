/*
 * first.c: the shortest program that counts. One hit into a store in memory, and what a page would show.
 *
 *     cc first.c $(pkg-config --cflags --libs libcounter) && ./a.out
 *     online 1, today 1
 */
#include <counter.h>
#include <stdio.h>

int main(void)
{
    struct counter_options options = {.size = sizeof options, .config = "", .store = "memory:"};
    struct counter_hit hit = {
        .size = sizeof hit, .site = "portal", .address = "203.0.113.7", .agent = "Mozilla/5.0 (X11; Linux x86_64)"};
    struct counter_stats now = {.size = sizeof now};
    struct counter *c;
    int result = -1;

    if (counter_open(&c, &options) < 0 || (result = counter_record(c, &hit, &now)) < 0)
        fprintf(stderr, "%s\n", counter_error());
    else
        printf("online %lld, today %lld\n", (long long)now.online, (long long)now.window[COUNTER_TODAY].visitors);
    counter_close(c);
    return result < 0;
}
