/*
 * names.h: a growing list of site names, told in order.
 */
#ifndef LIBCOUNTER_NAMES_H
#define LIBCOUNTER_NAMES_H

#include <counter.h>

struct names {                  /* zero is empty */
    char (*name)[65];
    size_t count, room;
};

/* A name of at most 64 bytes. */
int names_add(struct names *names, const char *name, size_t length);

/* All that the folder has files of: NAME.counter. */
int names_of_folder(struct names *names, int folder);

/* Tells each, sorted; ends with the first call that returns non-zero, and returns that. */
int names_each(struct names *names, counter_row_fn *each, void *arg);

void names_free(struct names *names);

#endif
