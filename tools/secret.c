/* secret.c: see secret.h. */
#include "secret.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { STARS = 3 }; /* however long the password is */

/* Puts stars in the place of what lies between, moves the rest up behind them, and leaves nothing but zeros there. */
static void overwrite(char *from, const char *to)
{
    size_t hidden = (size_t)(to - from), stars = hidden < STARS ? hidden : STARS, rest = strlen(to);

    memset(from, '*', stars);
    memmove(from + stars, to, rest);
    explicit_bzero(from + stars + rest, hidden - stars);
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && strchr(",/?", text[digits]);
}

void secret_hide(char *text)
{
    char *scheme = strstr(text, "://");

    if (!scheme)
        return;
    char *start = scheme + 3, *colon = strchr(start, ':'), *at = strrchr(start, '@');
    if (at) {
        overwrite(colon && colon < at ? colon + 1 : start, at);
        return;
    }
    while (colon && is_port(colon + 1)) /* without an '@' a password may still stand where a port should */
        colon = strchr(colon + 1, ':');
    if (colon)
        overwrite(colon + 1, colon + strlen(colon));
}

void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
