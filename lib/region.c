/* region.c: see region.h. */
#include "region.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

enum { PAGE = 4096 };

_Atomic uint32_t region_forks;

static void count_fork(void)
{
    atomic_fetch_add(&region_forks, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

static int new_guards(struct region *region)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    region->guarded = calloc(region->size / PAGE + 1, sizeof *region->guarded);
    if (!region->guarded)
        return error_set(COUNTER_ENOMEM, "no memory to map %zu bytes", region->size);
    atomic_store(&region->generation, 1);
    return 0;
}

int region_memory(struct region *region, const struct region_plan *plan)
{
    *region = (struct region){.size = plan->size, .writable = true};
    void *base = mmap(NULL, plan->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return error_system(errno, "cannot map %zu bytes of memory", plan->size);
    region->base = base;
    memcpy(base, plan->head, plan->head_size);
    int r = new_guards(region);
    if (r < 0)
        region_close(region);
    return r;
}

static int open_file(int folder, const char *name, bool *writable)
{
    int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = openat(folder, name, O_RDWR | flags);
    *writable = fd >= 0;
    if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM))
        fd = openat(folder, name, O_RDONLY | flags);
    return fd;
}

int region_open(struct region *region, int folder, const char *name, size_t least, bool *missing)
{
    struct stat st;
    int r;

    *region = (struct region){.file = true};
    *missing = false;
    int fd = open_file(folder, name, &region->writable);
    if (fd < 0 && errno == ENOENT) {
        *missing = true;
        return COUNTER_ENOSITE;
    }
    if (fd < 0)
        return error_system(errno, "cannot open %s", name);
    if (fstat(fd, &st) < 0) {
        r = error_system(errno, "cannot examine %s", name);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        r = error_set(COUNTER_EFORMAT, "%s is no regular file", name);
        goto out;
    }
    if (st.st_size < (off_t)least) {
        r = error_set(COUNTER_EFORMAT, "%s is truncated: %lld bytes of at least %zu", name, (long long)st.st_size,
                      least);
        goto out;
    }
    region->size = (size_t)st.st_size;
    region->device = st.st_dev;
    region->inode = st.st_ino;
    region->sparse = st.st_blocks * 512 < st.st_size;
    void *base = mmap(NULL, region->size, PROT_READ | (region->writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        r = error_system(errno, "cannot map %s", name);
        goto out;
    }
    region->base = base;
    r = new_guards(region);
    if (r < 0)
        region_close(region);
out:
    close(fd);
    return r;
}

static int write_all(int fd, const void *bytes, size_t length, off_t at)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, bytes, length, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        bytes = (const char *)bytes + n;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Written zeros rather than only allocated ones: an unwritten extent reads as zeros after a power cut until the journal
 * says otherwise, up to 5 s later than the data. Returns an errno value. */
static int fill(int fd, const struct region_plan *plan)
{
    static const char zero[65536];
    int e = posix_fallocate(fd, 0, (off_t)plan->allocated);

    if (e != 0 && e != EOPNOTSUPP && e != EINVAL)
        return e;
    for (size_t at = 0; at < plan->allocated; at += sizeof zero) {
        size_t n = plan->allocated - at < sizeof zero ? plan->allocated - at : sizeof zero;
        if ((e = write_all(fd, zero, n, (off_t)at)) != 0)
            return e;
    }
    if ((e = write_all(fd, plan->head, plan->head_size, 0)) != 0)
        return e;
    if (ftruncate(fd, (off_t)plan->size) < 0 || fsync(fd) < 0)
        return errno;
    return 0;
}

/* A file-size limit must be an error code (EFBIG), not the host's death by SIGXFSZ: the signal is held back in this
 * thread and, where it came, taken from the queue. */
static int fill_quietly(int fd, const struct region_plan *plan)
{
    sigset_t limit, before, pending;
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    sigpending(&pending);
    bool had = sigismember(&pending, SIGXFSZ) == 1;
    pthread_sigmask(SIG_BLOCK, &limit, &before);
    int e = fill(fd, plan);
    if (!had)
        sigtimedwait(&limit, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

int region_create(int folder, const char *name, const struct region_plan *plan)
{
    char temporary[64];
    struct stat owner;
    uint64_t random;
    int e = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint64_t)getpid();
    snprintf(temporary, sizeof temporary, ".new-%016llx", (unsigned long long)random);
    int fd = openat(folder, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_system(errno, "cannot create %s", name);
    /* The folder's owner is who runs the site; a root shell must not leave files that the site cannot open. */
    if (geteuid() == 0 && fstat(folder, &owner) == 0 && fchown(fd, owner.st_uid, owner.st_gid) < 0)
        e = errno;
    if (e == 0)
        e = fill_quietly(fd, plan);
    if (e == 0 && linkat(folder, temporary, folder, name, 0) < 0 && errno != EEXIST)
        e = errno;
    unlinkat(folder, temporary, 0);
    close(fd);
    if (e == 0 && fsync(folder) < 0 && errno != EINVAL)
        e = errno;
    return e ? error_system(e, "cannot create %s", name) : 0;
}

void region_close(struct region *region)
{
    if (region->base)
        munmap(region->base, region->size);
    free(region->guarded);
    *region = (struct region){0};
}

void region_detach(struct region *region)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    (void)mmap(region->base, region->size, PROT_READ | PROT_WRITE, flags, -1, 0);
}

int region_guard_slow(struct region *region, size_t page, size_t pages)
{
    size_t system = (size_t)sysconf(_SC_PAGESIZE);
    size_t start = page * PAGE / system * system, end = (page + pages) * PAGE;
    uint32_t now = region_generation(region);

    if (!region->writable)
        return error_set(COUNTER_EACCESS, "the store's files may not be written by this user");
    if (end > region->size)
        end = region->size;
    if (region->file && madvise(region->base + start, end - start, MADV_POPULATE_WRITE) < 0 && errno != EINVAL &&
        errno != EAGAIN && errno != EINTR) {
        if (errno == EFAULT)
            return error_set(COUNTER_EFULL, "the store's file cannot take it: disk or quota full, or file truncated");
        return error_system(errno, "the store's file cannot be used");
    }
    for (size_t i = page; i < page + pages; i++)
        atomic_store_explicit(&region->guarded[i], now, memory_order_relaxed);
    return 0;
}

bool region_loads(const struct region *region, const volatile void *at, size_t length)
{
    size_t system = (size_t)sysconf(_SC_PAGESIZE);
    size_t offset = (size_t)((const volatile unsigned char *)at - region->base);
    size_t start = offset / system * system;

    return !region->file || madvise(region->base + start, offset + length - start, MADV_POPULATE_READ) == 0 ||
           errno != EFAULT;
}

int region_fill_holes(struct region *region, int folder, const char *name, size_t length)
{
    bool writable;
    int e = 0;

    if (!region->file || !region->sparse || !region->writable)
        return 0;
    int fd = open_file(folder, name, &writable);
    if (fd < 0)
        return error_system(errno, "cannot open %s", name);
    e = posix_fallocate(fd, 0, (off_t)length);
    close(fd);
    return e && e != EOPNOTSUPP && e != EINVAL ? error_system(e, "%s has holes that cannot be filled", name) : 0;
}

int region_verify(const struct region *region, int folder, const char *name)
{
    struct stat st;

    if (!region->file)
        return 0;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 1 : error_system(errno, "cannot examine %s", name);
    if (st.st_dev != region->device || st.st_ino != region->inode)
        return 1;
    if (st.st_size < (off_t)region->size)
        return error_set(COUNTER_EFORMAT, "%s was truncated to %lld bytes of %zu", name, (long long)st.st_size,
                         region->size);
    return 0;
}

int region_flush(struct region *region, int folder, const char *name, bool wait)
{
    struct stat st;
    bool writable;
    int e = 0;

    if (!region->file || !region->writable)
        return 0;
    int fd = open_file(folder, name, &writable);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_system(errno, "cannot open %s", name);
    if (fstat(fd, &st) == 0 && st.st_ino == region->inode && st.st_dev == region->device) {
        if (wait ? fsync(fd) < 0 : sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
            e = errno == ESPIPE ? 0 : errno;
        atomic_fetch_add(&region->generation, 1);
    }
    close(fd);
    return e ? error_system(e, "cannot write %s to the disk", name) : 0;
}
