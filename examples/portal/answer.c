/* answer.c: which address is what. */
#include "answer.h"

#include <string.h>

#include "page.h"

/* Same-origin styles, images and fonts; no scripts, frames or forms. portal.policy replaces it for the page. */
static const char page_policy[] = "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
                                  "base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
static const char part_policy[] = "default-src 'none'; frame-ancestors 'self'";

static void answer_plainly(struct response *response, const char *status, const char *text)
{
    response->status = status;
    response->type = "text/plain";
    buffer_put_text(&response->body, text);
}

/* Takes "/vi" or "/en" off the path, and gives the language it names, else the default one. */
static enum setup_language language_of(const char **path, enum setup_language language)
{
    for (int i = 0; i < SETUP_LANGUAGES; i++) {
        const char *name = setup_language_name((enum setup_language)i);
        size_t length = strlen(name);
        if ((*path)[0] == '/' && strncmp(*path + 1, name, length) == 0 && (*path)[1 + length] == '/') {
            *path += 1 + length;
            return (enum setup_language)i;
        }
    }
    return language;
}

static void answer_page(const struct setup *setup, struct response *response, const char *language,
                        const struct buffer *box)
{
    response->type = "text/html";
    response->policy = setup->policy ? setup->policy : page_policy;
    page_put(&response->body, setup->pages, language, box);
}

static void answer_part(struct response *response, const char *type, const struct buffer *box)
{
    response->type = type;
    buffer_put(&response->body, box->bytes, box->length);
}

static void answer_path(const struct setup *setup, struct box *store, const struct request *request,
                        struct response *response)
{
    const char *path = request->path ? request->path : "";
    enum setup_language language = language_of(&path, setup->language);
    const char *name = setup_language_name(language);
    _Bool page = strcmp(path, "/") == 0, part = strcmp(path, "/box.html") == 0, json = strcmp(path, "/box.json") == 0;
    _Bool count = request->method == REQUEST_GET && !request->prefetch && !json;
    struct buffer box = {0};

    if (!page && !part && !json) {
        answer_plainly(response, "404 Not Found", "not found\n");
        return;
    }
    if (!json)
        response->language = name;
    else
        response->cache = "public, max-age=5";
    box_put(store, request, count, json ? COUNTER_JSON : COUNTER_HTML, name, setup->rows[language], &box);
    if (page)
        answer_page(setup, response, name, &box);
    else
        answer_part(response, json ? "application/json" : "text/html", &box);
    response->body.failed |= box.failed;
    buffer_free(&box);
}

void answer_request(const struct setup *setup, struct box *box, const struct request *request,
                    struct response *response)
{
    response->status = "200 OK";
    response->cache = "no-store";
    response->policy = part_policy;
    switch (request->method) {
    case REQUEST_GET:
    case REQUEST_HEAD:
        answer_path(setup, box, request, response);
        break;
    case REQUEST_OPTIONS:
        response->status = "204 No Content";
        response->allow = "GET, HEAD";
        break;
    case REQUEST_OTHER:
        answer_plainly(response, "405 Method Not Allowed", "GET and HEAD only\n");
        response->allow = "GET, HEAD";
        break;
    }
}
