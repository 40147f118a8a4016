/* folder.c: see folder.h. */
#include "folder.h"

#include "error.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define KEY_HEAD "counter key 1\n"
enum { KEY_TEXT = sizeof KEY_HEAD - 1 + 2 * IDENTITY_KEY + 1 };

/* Makes the folder and its missing parents. */
static int make_folder(const char *path)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length >= sizeof part)
        return error_set(COUNTER_EINVAL, "the store's path has %zu bytes, more than %d", length, PATH_MAX - 1);
    memcpy(part, path, length + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST && access(part, F_OK) < 0)
            return error_system(errno, "cannot make folder %s", part);
        *slash = '/';
    }
    if (mkdir(part, 0700) < 0 && errno != EEXIST)
        return error_system(errno, "cannot make folder %s", part);
    return 0;
}

/* Magic numbers of statfs(2): NFS, SMB, CIFS, SMB2, AFS, Coda, Ceph, 9P. */
static _Bool is_network(int folder)
{
    static const unsigned long known[] = {0x6969,     0x517b,     0xff534d42, 0xfe534d42,
                                          0x5346414f, 0x73757245, 0x00c36400, 0x01021997};
    struct statfs fs;
    if (fstatfs(folder, &fs) < 0)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((unsigned long)fs.f_type == known[i])
            return 1;
    return 0;
}

int folder_open(const char *path, _Bool create, _Bool network)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create) {
        int r = make_folder(path);
        if (r < 0)
            return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT)
        return error_set(COUNTER_ENOSITE, "there is no store in %s", path);
    if (fd < 0)
        return error_system(errno, "cannot open folder %s", path);
    if (!network && is_network(fd)) {
        close(fd);
        return error_set(COUNTER_EINVAL,
                         "%s is on a network file system, which cannot keep a store that several machines map; if only "
                         "this one does, write file+network:%s",
                         path, path);
    }
    return fd;
}

/* ---- The key ------------------------------------------------------------------------------------------------------ */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_key(const char *text, ssize_t length, struct identity_key *out)
{
    if (length != KEY_TEXT || memcmp(text, KEY_HEAD, sizeof KEY_HEAD - 1) != 0 || text[KEY_TEXT - 1] != '\n')
        return -1;
    text += sizeof KEY_HEAD - 1;
    for (int i = 0; i < IDENTITY_KEY; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        out->byte[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static int read_key(int folder, const char *name, struct identity_key *out)
{
    char text[KEY_TEXT + 1];
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? COUNTER_ENOSITE : error_system(errno, "cannot open the key file %s", name);
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : -1;
    close(fd);
    if (parse_key(text, n, out) < 0)
        return error_set(COUNTER_EFORMAT, "the key file %s is damaged: put its backup in place", name);
    return 0;
}

/* Unless there is one already: then that one stays. */
static int write_key(int folder, const char *name, const struct identity_key *key)
{
    char text[KEY_TEXT + 1];
    int at = snprintf(text, sizeof text, KEY_HEAD);

    for (int i = 0; i < IDENTITY_KEY; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%02x", key->byte[i]);
    text[at] = '\n';
    struct region_plan plan = {text, KEY_TEXT, KEY_TEXT, KEY_TEXT};
    int r = region_create(folder, name, &plan);
    explicit_bzero(text, sizeof text);
    return r;
}

int folder_key(int folder, const char *name, _Bool create, struct identity_key *out)
{
    int r = read_key(folder, name, out);

    if (r != COUNTER_ENOSITE)
        return r;
    if (!create)
        return error_set(COUNTER_ENOSITE, "the store has no key yet: nothing was ever counted");
    if ((r = identity_new_key(out)) < 0 || (r = write_key(folder, name, out)) < 0)
        return r;
    return read_key(folder, name, out);
}

int folder_put_key(int folder, const char *name, struct identity_key *key)
{
    int r = write_key(folder, name, key);
    return r < 0 ? r : read_key(folder, name, key);
}
