/* scratch.c: see scratch.h. */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

/* ---- Folders and files ------------------------------------------------------------------------------------------ */

void scratch_make(char folder[SCRATCH_PATH])
{
    const char *parent = getenv("TMPDIR");
    if (!parent || *parent != '/' || strlen(parent) > SCRATCH_PATH - 24)
        parent = "/tmp";
    snprintf(folder, SCRATCH_PATH, "%s/counter-XXXXXX", parent);
    assert_non_null(mkdtemp(folder));
}

static void remove_inside(int folder)
{
    DIR *list = fdopendir(folder);
    struct dirent *entry;

    while (list && (entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(list), entry->d_name, 0) == 0)
            continue;
        int inner = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0)
            remove_inside(inner);
        unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
    }
    if (list)
        closedir(list);
}

void scratch_remove(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        remove_inside(fd);
    rmdir(folder);
}

const char *scratch_file(char path[SCRATCH_FILE], const char *folder, const char *name)
{
    snprintf(path, SCRATCH_FILE, "%s/%s", folder, name);
    return path;
}

/* As cp does: piece by piece, while others go on writing. */
static void copy_file(const char *from, const char *to)
{
    static char piece[131072];
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0 && errno == ENOENT)
        return; /* a temporary name that has gone since the folder was listed */
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, piece, sizeof piece)) > 0)
        assert_int_equal(write(out, piece, (size_t)n), n);
    assert_int_equal(n, 0);
    close(in);
    close(out);
}

void scratch_copy(const char *from, const char *to)
{
    char source[SCRATCH_FILE], target[SCRATCH_FILE];
    struct dirent *entry;
    DIR *list = opendir(from);

    assert_non_null(list);
    while ((entry = readdir(list)) != NULL)
        if (entry->d_name[0] != '.')
            copy_file(scratch_file(source, from, entry->d_name), scratch_file(target, to, entry->d_name));
    closedir(list);
}

unsigned char *scratch_load(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    unsigned char *bytes = aligned_alloc(4096, ((size_t)st.st_size / 4096 + 1) * 4096);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *size = (size_t)st.st_size;
    return bytes;
}

void scratch_save(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

bool scratch_has(const char *folder, const char *part)
{
    struct dirent *entry;
    bool found = false;
    DIR *list = opendir(folder);

    while (list && !found && (entry = readdir(list)) != NULL)
        found = strstr(entry->d_name, part) != NULL;
    if (list)
        closedir(list);
    return found;
}

void *scratch_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* ---- Stores ------------------------------------------------------------------------------------------------------- */

struct counter *scratch_open(const char *folder, uint32_t sync_ms)
{
    char store[SCRATCH_FILE];
    struct counter_options options = {.size = sizeof options,
                                      .config = "",
                                      .store = store,
                                      .site = "portal",
                                      .timezone = "+07:00",
                                      .sync_ms = sync_ms};
    struct counter *c;
    snprintf(store, sizeof store, "file:%s", folder);
    return counter_open(&c, &options) == 0 ? c : NULL;
}

int scratch_hit(struct counter *c, unsigned visitor, int64_t at)
{
    char name[16];
    int length = snprintf(name, sizeof name, "v%u", visitor);
    struct counter_hit hit = {.size = sizeof hit, .at = at, .visitor = name, .visitor_length = (uint32_t)length};
    return counter_record(c, &hit, NULL);
}

struct counter_stats scratch_read(struct counter *c, int64_t at)
{
    struct counter_stats stats = {.size = sizeof stats, .want = COUNTER_WANT_ALL};
    if (counter_read(c, NULL, at, &stats) < 0)
        stats.at = 0;
    return stats;
}

/* ---- Processes ------------------------------------------------------------------------------------------------------ */

pid_t scratch_start(void (*body)(void *), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
            signal(faults[i], SIG_DFL); /* cmocka's handlers would go on with the parent's tests */
        body(arg);
        _exit(0);
    }
    return pid;
}

int scratch_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void scratch_run(void (*body)(void *), void *arg)
{
    int status = scratch_wait(scratch_start(body, arg));
    if (status == SCRATCH_SKIPPED)
        skip();
    if (status >= 256)
        fail_msg("killed by signal %d (%s)", status - 256, strsignal(status - 256));
    assert_int_equal(status, 0);
}

_Noreturn void scratch_skip(const char *why)
{
    fprintf(stderr, "# skipped: %s\n", why);
    _exit(SCRATCH_SKIPPED);
}

void scratch_sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

bool scratch_is_instrumented(void)
{
#ifdef SANITIZED
    return true;
#else
    const char *preload = getenv("LD_PRELOAD"); /* valgrind puts its own library there */
    return preload && strstr(preload, "vgpreload");
#endif
}
