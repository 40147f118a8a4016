/*
 * settings_password.c: a password that stands alone in a file, in its first line.
 *
 * So a configuration file may be read by everybody, and secrets that a system hands out as files can be used as they
 * are. What others may read is no secret, and is refused rather than believed. The whole line is read at once into a
 * buffer that is overwritten before it is left.
 */
#include "settings.h"

#include "error.h"
#include "redis_url.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE = REDIS_PASSWORD + 2 }; /* the longest password, CR, LF and, to see that it is too long, one byte more */

static int refuse(const char *quoted, const char *rule)
{
    return error_set(COUNTER_EINVAL, "store_password_file %s: %s", quoted, rule);
}

static int check_file(int fd, const char *quoted)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_system(errno, "store_password_file %s", quoted);
    if (!S_ISREG(status.st_mode))
        return refuse(quoted, "not a regular file");
    if (status.st_mode & S_IROTH)
        return error_set(COUNTER_EACCESS, "store_password_file %s: everybody may read it: chmod o-r %s", quoted,
                         quoted);
    return 0;
}

/* The rule that the first of the bytes' lines breaks, or NULL; *length becomes the line's. */
static const char *broken_rule(const char *bytes, size_t *length)
{
    const char *newline = memchr(bytes, '\n', *length);

    if (newline)
        *length = (size_t)(newline - bytes);
    if (*length > 0 && bytes[*length - 1] == '\r')
        --*length;
    if (*length == 0)
        return "the first line is empty";
    if (*length >= REDIS_PASSWORD)
        return "the first line has more than 512 bytes";
    for (size_t i = 0; i < *length; i++)
        if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f)
            return "no control characters are allowed";
    return NULL;
}

static int read_line(int fd, const char *quoted, char **out)
{
    char bytes[LINE];
    size_t length = 0;
    ssize_t got;

    do {
        got = read(fd, bytes + length, sizeof bytes - length);
        length += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && length < sizeof bytes) || (got < 0 && errno == EINTR));

    int r = got < 0 ? error_system(errno, "store_password_file %s", quoted) : 0;
    const char *rule = r == 0 ? broken_rule(bytes, &length) : NULL;
    if (rule)
        r = refuse(quoted, rule);
    else if (r == 0 && !(*out = strndup(bytes, length)))
        r = error_set(COUNTER_ENOMEM, "no memory for the password");
    explicit_bzero(bytes, sizeof bytes);
    return r;
}

int settings_password_read(char **out, const char *path)
{
    char quoted[ERROR_QUOTED];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    *out = NULL;
    error_quote(quoted, path, strlen(path));
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return refuse(quoted, "there is no such file");
    if (fd < 0)
        return error_system(errno, "store_password_file %s", quoted);
    int r = check_file(fd, quoted);
    if (r == 0)
        r = read_line(fd, quoted, out);
    close(fd);
    return r;
}
