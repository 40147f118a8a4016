/*
 * scratch.h: what tests of files and processes share: a temporary folder, a store in it, a body of its own process.
 *
 * Failures here fail the cmocka test that asked. Only what is said to be for children works in a forked child: there
 * cmocka must not be reached, a child that failed an assertion would go on with the tests of its parent.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <counter.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

enum { SCRATCH_PATH = 128, SCRATCH_FILE = 400, SCRATCH_SKIPPED = 77 };

/* ---- Folders and files ------------------------------------------------------------------------------------------ */

void scratch_make(char folder[SCRATCH_PATH]);           /* under $TMPDIR or /tmp */
void scratch_remove(const char *folder);                /* with the files and folders in it */
void scratch_copy(const char *from, const char *to);    /* the files of a folder, read while others may write them */

/* FOLDER/NAME, in a buffer of the caller. */
const char *scratch_file(char path[SCRATCH_FILE], const char *folder, const char *name);

unsigned char *scratch_load(const char *path, size_t *size);    /* to be freed; aligned to a page */
void scratch_save(const char *path, const void *bytes, size_t size);    /* over what is there, same inode */
bool scratch_has(const char *folder, const char *part); /* a name in it holds that part; for children too */

void *scratch_shared(size_t size);                      /* zeroed memory that forked children share */

/* ---- Stores ------------------------------------------------------------------------------------------------------- */

/* A handle on file:FOLDER, site "portal", zone +07:00, no counter.conf; NULL if it fails. For children too. */
struct counter *scratch_open(const char *folder, uint32_t sync_ms);

/* One hit of that visitor; what counter_record returned. For children too. */
int scratch_hit(struct counter *c, unsigned visitor, int64_t at);

/* All windows at that moment; .at is 0 where it failed. For children too. */
struct counter_stats scratch_read(struct counter *c, int64_t at);

/* ---- Processes ------------------------------------------------------------------------------------------------------ */

/* Starts body(arg) in a child that dies with its parent; it ends with status 0 when body returns. */
pid_t scratch_start(void (*body)(void *), void *arg);

/* Waits; the exit status, or 256 + the signal that killed it. */
int scratch_wait(pid_t pid);

/* Both. Fails the test unless the child ends well; skips it where the child ended by scratch_skip. */
void scratch_run(void (*body)(void *), void *arg);

/* In a child: says why what is tested cannot be tried here, and ends it. */
_Noreturn void scratch_skip(const char *why);

/* In a child: an assertion. */
#define scratch_expect(condition)                                                                                      \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold (%s)\n", __FILE__, __LINE__, #condition, counter_error());        \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

void scratch_sleep_ms(unsigned ms);

/* Built with a sanitizer, or run by valgrind: limits of memory, single steps and the like are not ours to use. */
bool scratch_is_instrumented(void);

#endif
