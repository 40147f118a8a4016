/* page.c: one read, one search, three pieces. */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static const char place[] = "<!--#box-->";

static const char plain_head[] = "<meta charset=\"utf-8\">\n"
                                 "<meta name=\"viewport\" content=\"width=device-width\">\n"
                                 "<meta name=\"color-scheme\" content=\"light dark\">\n";

/* Reads the open file up to its end or the bound. Returns NULL, or what is wrong with it. */
static const char *read_file(int file, struct buffer *text)
{
    struct stat status;
    ssize_t got;
    char *end;

    if (fstat(file, &status) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "not a regular file";
    if (!(end = buffer_room(text, PAGE_MOST + 1)))
        return "out of memory";
    while (text->length <= PAGE_MOST) {
        got = read(file, end + text->length, PAGE_MOST + 1 - text->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return strerror(errno);
        if (got == 0)
            return NULL;
        text->length += (size_t)got;
    }
    return "larger than 256 KiB";
}

/* Not blocked by a FIFO of that name. */
static const char *read_template(const char *path, struct buffer *text)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *reason;

    if (file < 0)
        return strerror(errno);
    reason = read_file(file, text);
    close(file);
    return reason;
}

static void put_plain(struct buffer *out, const char *language, const struct buffer *box)
{
    buffer_put_format(out, "<!doctype html>\n<html lang=\"%s\">\n<title>%s</title>\n%s", language,
                      strcmp(language, "en") == 0 ? "Visitor statistics" : "Thống kê truy cập", plain_head);
    buffer_put(out, box->bytes, box->length);
    buffer_put_text(out, "</html>\n");
}

static void put_filled(struct buffer *out, const struct buffer *text, const struct buffer *box, const char *path)
{
    const char *found = text->length > 0 ? memmem(text->bytes, text->length, place, sizeof place - 1) : NULL;
    size_t before = found ? (size_t)(found - text->bytes) : text->length;

    buffer_put(out, text->bytes, before);
    if (!found) {
        log_line("%s: holds no %s, so it shows no box", path, place);
        return;
    }
    buffer_put(out, box->bytes, box->length);
    buffer_put(out, found + sizeof place - 1, text->length - before - (sizeof place - 1));
}

void page_put(struct buffer *out, const char *folder, const char *language, const struct buffer *box)
{
    struct buffer text = {0};
    const char *reason = "the path is too long";
    char path[PATH_MAX];
    int length;

    if (!folder) {
        put_plain(out, language, box);
        return;
    }
    length = snprintf(path, sizeof path, "%s/page.%s.html", folder, language);
    if (length > 0 && (size_t)length < sizeof path)
        reason = read_template(path, &text);
    if (reason) {
        log_line("%s: %s", path, reason);
        put_plain(out, language, box);
    } else {
        put_filled(out, &text, box, path);
    }
    buffer_free(&text);
}
