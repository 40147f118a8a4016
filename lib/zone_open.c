/*
 * zone_open.c: which zone is meant: by a name, an offset, or by how the machine is set; see zone.h.
 *
 * A name becomes a path under the zone folder only after every byte of it was checked, so it cannot leave the folder;
 * what stands there is opened without waiting and must be a regular file. No process state is touched: not TZ, not
 * tzset, not the locale.
 */
#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#define FOLDER "/usr/share/zoneinfo"

static const char *folder(void)
{
    const char *set = secure_getenv("TZDIR");

    return set && *set ? set : FOLDER;
}

static int refuse(const char *name, const char *rule)
{
    char quoted[ERROR_QUOTED];

    return error_set(COUNTER_EINVAL, "time zone \"%s\": %s", error_quote(quoted, name, strlen(name)), rule);
}

/* "+07:00", "-03:30": from 12 hours west to 14 east, what the world's clocks keep. */
static int open_offset(struct zone **out, const char *name)
{
    static const char rule[] = "an offset is +HH:MM or -HH:MM, from -12:00 to +14:00";
    int32_t digit[6] = {0}, offset;

    if (strlen(name) != 6 || name[3] != ':')
        return refuse(name, rule);
    for (int i = 1; i < 6; i++) {
        digit[i] = name[i] - '0';
        if (i != 3 && (digit[i] < 0 || digit[i] > 9))
            return refuse(name, rule);
    }
    offset = (digit[1] * 10 + digit[2]) * 3600 + (digit[4] * 10 + digit[5]) * 60;
    if (digit[4] > 5 || offset > (name[0] == '+' ? 14 : 12) * 3600)
        return refuse(name, rule);
    if (offset == 0)
        return zone_fixed(out, "+00:00", 0);
    return zone_fixed(out, name, name[0] == '-' ? -offset : offset);
}

/* Letters, digits, '+', '-', '_', in parts between single slashes: such a name cannot leave the folder. */
static int is_name(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= ZONE_NAME || name[0] == '/' || name[length - 1] == '/' || strstr(name, "//"))
        return 0;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_/") == length;
}

/* Opens a zone's file, without waiting for the other end of a pipe. Refuses what is no regular file. */
static int open_file(const char *name, int *out)
{
    char path[PATH_MAX];
    struct stat status;
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", folder(), name) >= (int)sizeof path)
        return refuse(name, "the folder that $TZDIR names has too long a name");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (access(folder(), F_OK) < 0)
            return refuse(name, "this machine has no time zone files (install tzdata, or use an offset like +07:00)");
        return refuse(name, "unknown; a zone is a name like Asia/Ho_Chi_Minh, an offset like +07:00, or UTC");
    }
    if (fd < 0)
        return error_system(errno, "time zone file %s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return refuse(name, "not a zone but a folder or a special file");
    }
    *out = fd;
    return 0;
}

static int open_named(struct zone **out, const char *name)
{
    unsigned char *bytes;
    size_t length = 0;
    ssize_t got = 1;
    int fd = -1, result = open_file(name, &fd);

    if (result < 0)
        return result;
    bytes = malloc(ZONE_FILE_MAX + 1);
    if (!bytes) {
        result = error_set(COUNTER_ENOMEM, "time zone \"%s\": out of memory", name);
        goto close_file;
    }
    while (length <= ZONE_FILE_MAX && got != 0) {
        got = read(fd, bytes + length, ZONE_FILE_MAX + 1 - length);
        if (got < 0 && errno != EINTR) {
            result = error_system(errno, "time zone \"%s\"", name);
            goto free_bytes;
        }
        if (got > 0)
            length += (size_t)got;
    }
    result = zone_parse(out, name, bytes, length);
free_bytes:
    free(bytes);
close_file:
    close(fd);
    return result;
}

/* ---- The machine's zone ----------------------------------------------------------------------------------------- */

/* The name behind the zone folder in a path: ".../zoneinfo/Asia/Ho_Chi_Minh". NULL if there is none. */
static const char *name_in_path(const char *path)
{
    static const char mark[] = "/zoneinfo/";
    const char *found = strstr(path, mark);

    return found && is_name(found + sizeof mark - 1) ? found + sizeof mark - 1 : NULL;
}

/* The first word of a file. 1: there is one. */
static int read_name(const char *path, char name[ZONE_NAME])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got;

    if (fd < 0)
        return 0;
    got = read(fd, name, ZONE_NAME - 1);
    close(fd);
    if (got < 0)
        return 0;
    name[got] = '\0';
    name[strcspn(name, " \t\r\n")] = '\0';
    return name[0] != '\0';
}

/* Opens the zone that the machine is set to; a failure says where the name comes from. */
static int open_from(struct zone **out, const char *source, const char *name)
{
    char text[ERROR_TEXT];
    int result = zone_open(out, name);

    if (result == 0)
        return 0;
    snprintf(text, sizeof text, "%s", counter_error());
    return error_set(result, "%s: %s", source, text);
}

static int open_machine(struct zone **out)
{
    static const char link[] = "/etc/localtime", file[] = "/etc/timezone";
    char target[PATH_MAX], name[ZONE_NAME];
    ssize_t length = readlink(link, target, sizeof target - 1);

    target[length > 0 ? length : 0] = '\0';
    if (name_in_path(target))
        return open_from(out, link, name_in_path(target));
    if (read_name(file, name))
        return open_from(out, file, name);
    if (access(link, F_OK) == 0)
        return refuse(link, "a copy that does not say which zone it is; name the zone in the settings");
    return zone_fixed(out, "UTC", 0);
}

/* $TZ as the C library reads it: a name, perhaps behind a colon, or the path of a file; "" is UTC. But what the C
 * library silently takes for UTC is an error here. */
static int open_environment(struct zone **out, const char *tz)
{
    const char *name = tz[0] == ':' ? tz + 1 : tz;

    if (strcmp(name, "/etc/localtime") == 0)
        return open_machine(out);
    if (name[0] == '\0')
        return zone_fixed(out, "UTC", 0);
    return open_from(out, "$TZ", name[0] == '/' && name_in_path(name) ? name_in_path(name) : name);
}

int zone_open(struct zone **out, const char *name)
{
    const char *tz;

    *out = NULL;
    if (!name || !*name) {
        tz = secure_getenv("TZ");
        return tz ? open_environment(out, tz) : open_machine(out);
    }
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
        return zone_fixed(out, "UTC", 0);
    if (strcmp(name, "Etc/UTC") == 0) /* what machines without tzdata often call their zone */
        return zone_fixed(out, name, 0);
    if (name[0] == '+' || name[0] == '-')
        return open_offset(out, name);
    if (!is_name(name))
        return refuse(name, "a name has at most 64 letters, digits, '+', '-', '_' and single '/' between them");
    return open_named(out, name);
}
