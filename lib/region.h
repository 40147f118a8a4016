/*
 * region.h: a mapped file, or anonymous memory that looks like one.
 *
 * One idea: a store into a mapping must not be able to fail, so what could make it fail is asked first.
 * region_guard makes the pages writable and resident by MADV_POPULATE_WRITE once per page, process and generation: a
 * full disk, a quota, a truncated file are then an error code instead of SIGBUS. A new generation begins after each
 * write-back, since copy-on-write file systems allocate again, and in a forked child, whose page tables are its own.
 * Kernels before 5.14 lack the call; there the preallocation at creation is all the protection. Loads need no guard:
 * holes are filled at opening, and region_verify, once a generation, sees a file that became shorter.
 *
 * Files are created whole or not at all: a temporary file, allocated and zeroed (so that no crash can turn written data
 * back into unwritten extents), fsynced, then linked to its name. Who loses the race uses the winner's.
 *
 * No descriptor stays open: write-back reopens the file by name, and finds then whether it is still the same.
 */
#ifndef LIBCOUNTER_REGION_H
#define LIBCOUNTER_REGION_H

#include <counter.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct region {
    unsigned char *base;
    size_t size;
    bool file, writable;
    bool sparse;                        /* it had less allocated than its size when it was opened */
    _Atomic(bool) written;              /* for the owner: something was stored that nobody else will flush */
    dev_t device;
    ino_t inode;
    _Atomic uint32_t generation;
    _Atomic uint32_t *guarded;          /* per page: the generation it was guarded in */
};

/* What a new file is made from: `head` bytes at its start, zeros up to `allocated`, a hole up to `size`. */
struct region_plan {
    const void *head;
    size_t head_size, allocated, size;
};

/* Anonymous zeroed memory. */
int region_memory(struct region *region, const struct region_plan *plan);

/* Maps an existing file of `least` bytes or more, writable if allowed, else read-only. *missing is set, and
 * COUNTER_ENOSITE returned, where there is none. Never blocks on a fifo, never follows a link, refuses what is no
 * regular file. */
int region_open(struct region *region, int folder, const char *name, size_t least, bool *missing);

/* Creates the file if it is missing; the owner of the folder owns it, mode 0600. Waits for the disk once. */
int region_create(int folder, const char *name, const struct region_plan *plan);

void region_close(struct region *region);

/* Puts zeroed memory in place of a file that is no longer ours, so that threads still inside it do no harm. */
void region_detach(struct region *region);

extern _Atomic uint32_t region_forks;   /* how often this process is a child's child: part of every generation */

static inline uint32_t region_generation(const struct region *region)
{
    return atomic_load_explicit(&region->generation, memory_order_relaxed) +
           (atomic_load_explicit(&region_forks, memory_order_relaxed) << 20);
}

/* 0, or an error code where storing into [at, at + length) could fail. 1 ns when the pages were guarded before. */
int region_guard_slow(struct region *region, size_t page, size_t pages);

static inline int region_guard(struct region *region, const volatile void *at, size_t length)
{
    size_t offset = (size_t)((const volatile unsigned char *)at - region->base);
    size_t first = offset / 4096, last = (offset + length - 1) / 4096;
    uint32_t now = region_generation(region);

    for (size_t page = first; page <= last; page++)
        if (atomic_load_explicit(&region->guarded[page], memory_order_relaxed) != now)
            return region_guard_slow(region, first, last - first + 1);
    return 0;
}

/* Can it be loaded from? A hole of a full tmpfs cannot, loads allocate there too. Costs a system call. */
bool region_loads(const struct region *region, const volatile void *at, size_t length);

/* Allocates the holes of [0, length), where copying left some. */
int region_fill_holes(struct region *region, int folder, const char *name, size_t length);

/* Is the file still there, the same and whole? 0, 1 if another file or none has its name, or an error code. */
int region_verify(const struct region *region, int folder, const char *name);

/* Starts write-back of what changed, or with `wait` waits until it is on disk. */
int region_flush(struct region *region, int folder, const char *name, bool wait);

#endif
