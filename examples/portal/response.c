/* response.c: a CGI header (RFC 3875, section 6.3) with our own words in it only, and the body behind it. */
#include "response.h"

#include <errno.h>
#include <unistd.h>

static void put_header(struct buffer *out, const struct response *response)
{
    buffer_put_format(out, "Status: %s\r\n", response->status);
    if (response->type) {
        buffer_put_format(out, "Content-Type: %s; charset=utf-8\r\n", response->type);
        buffer_put_format(out, "Content-Length: %zu\r\n", response->body.length);
        buffer_put_format(out, "Content-Security-Policy: %s\r\n", response->policy);
    }
    if (response->language)
        buffer_put_format(out, "Content-Language: %s\r\n", response->language);
    if (response->allow)
        buffer_put_format(out, "Allow: %s\r\n", response->allow);
    buffer_put_format(out, "Cache-Control: %s\r\n", response->cache);
    buffer_put_text(out, "X-Content-Type-Options: nosniff\r\n"
                         "Referrer-Policy: strict-origin-when-cross-origin\r\n"
                         "\r\n");
}

static int write_all(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

int response_send(const struct response *response, int file, _Bool header_only)
{
    static const char sorry[] = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                "Cache-Control: no-store\r\n\r\nout of memory\n";
    struct buffer whole = {0};
    int result;

    put_header(&whole, response);
    if (!header_only)
        buffer_put(&whole, response->body.bytes, response->body.length);
    if (whole.failed || response->body.failed)
        result = write_all(file, sorry, sizeof sorry - 1);
    else
        result = write_all(file, whole.bytes, whole.length);
    buffer_free(&whole);
    return result;
}
