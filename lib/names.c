/* names.c: see names.h. */
#include "names.h"

#include "error.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int names_add(struct names *names, const char *name, size_t length)
{
    if (names->count == names->room) {
        size_t room = names->room ? 2 * names->room : 64;
        void *more = realloc(names->name, room * sizeof *names->name);
        if (!more)
            return error_set(COUNTER_ENOMEM, "no memory for %zu names of sites", room);
        names->name = more;
        names->room = room;
    }
    memcpy(names->name[names->count], name, length);
    names->name[names->count++][length] = 0;
    return 0;
}

int names_of_folder(struct names *names, int folder)
{
    static const char suffix[] = ".counter";
    const size_t tail = sizeof suffix - 1;
    struct dirent *entry;
    int r = 0;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (!list) {
        r = error_system(errno, "cannot list the store's folder");
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (r == 0 && (entry = readdir(list)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length <= tail || strcmp(entry->d_name + length - tail, suffix) != 0)
            continue;
        entry->d_name[length - tail] = 0;
        if (store_is_site_name(entry->d_name))
            r = names_add(names, entry->d_name, length - tail);
    }
    closedir(list);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int names_each(struct names *names, counter_row_fn *each, void *arg)
{
    int r = 0;

    if (names->count > 0)
        qsort(names->name, names->count, sizeof *names->name, by_name);
    for (size_t i = 0; r == 0 && i < names->count; i++) {
        struct counter_row row = {.name = names->name[i]};
        r = each(arg, &row);
    }
    return r;
}

void names_free(struct names *names)
{
    free(names->name);
    *names = (struct names){0};
}
