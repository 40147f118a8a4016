/*
 * settings_file.c: which counter.conf is read, and its bytes.
 *
 * A file that was named must exist; of those nobody named, the first that exists is taken, and one that exists but
 * cannot be read is an error: a page that counts into another store than its administrator thinks is worse than none.
 * A set-user-id program trusts neither the environment nor its own folder, which a hard link may have chosen.
 */
#include "settings.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "counter.conf";

/* FOLDER/counter.conf for the folder of the running program; false where it is not known. */
static bool beside_program(char path[PATH_MAX])
{
    if (getauxval(AT_SECURE))
        return false;
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    if (length <= 0 || length >= PATH_MAX)
        return false;

    const char *slash = memrchr(path, '/', (size_t)length);
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    if (folder == 0 || folder + sizeof file_name > PATH_MAX)
        return false;
    memcpy(path + folder, file_name, sizeof file_name);
    return true;
}

/* Reads to the end, or until the buffer is full: with one byte more than settings_parse takes. */
static ssize_t read_all(int fd, char *bytes, size_t room)
{
    size_t length = 0;

    while (length < room) {
        ssize_t got = read(fd, bytes + length, room - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

static int read_open(int fd, const char *quoted, char **bytes, size_t *length)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_system(errno, "config file %s", quoted);
    if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) /* /dev/null is a usual way to say: none */
        return error_set(COUNTER_EINVAL, "config file %s is not a regular file", quoted);
    *bytes = malloc(SETTINGS_FILE_MAX + 1);
    if (!*bytes)
        return error_set(COUNTER_ENOMEM, "config file %s: no memory for its %d bytes", quoted, SETTINGS_FILE_MAX);

    ssize_t got = read_all(fd, *bytes, SETTINGS_FILE_MAX + 1);
    if (got >= 0) {
        *length = (size_t)got;
        return 0;
    }
    int r = error_system(errno, "config file %s", quoted);
    free(*bytes);
    *bytes = NULL;
    return r;
}

/* Reads one candidate. *bytes stays NULL where there is no such file; `named_by` says who wants it to exist, or NULL. */
static int read_file(const char *path, const char *named_by, char **bytes, size_t *length)
{
    char quoted[ERROR_QUOTED];
    int r, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    error_quote(quoted, path, strlen(path));
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return named_by
                   ? error_set(COUNTER_EINVAL, "config file %s does not exist, and is named by %s", quoted, named_by)
                   : 0;
    if (fd < 0)
        return error_system(errno, "config file %s", quoted);
    r = read_open(fd, quoted, bytes, length);
    close(fd);
    return r;
}

static int read_implicit(char beside[PATH_MAX], const char **path, char **bytes, size_t *length)
{
    int r;

    if (beside_program(beside)) {
        *path = beside;
        if ((r = read_file(beside, NULL, bytes, length)) < 0 || *bytes)
            return r;
    }
    *path = "/etc/counter.conf";
    return read_file(*path, NULL, bytes, length);
}

int settings_file_read(const char *option, char **path, const char **found_by, char **bytes, size_t *length)
{
    const char *named = option ? option : secure_getenv("COUNTER_CONFIG"), *chosen = "";
    char beside[PATH_MAX];
    int r = 0;

    *bytes = *path = NULL;
    *length = 0;
    *found_by = option ? "option" : named ? "COUNTER_CONFIG" : "default";
    if (!named)
        r = read_implicit(beside, &chosen, bytes, length);
    else if (*named)
        r = read_file(chosen = named, *found_by, bytes, length);
    if (r < 0)
        return r;
    *path = strdup(*bytes ? chosen : "");
    if (*path)
        return 0;
    free(*bytes);
    *bytes = NULL;
    return error_set(COUNTER_ENOMEM, "no memory for the config file's name");
}
