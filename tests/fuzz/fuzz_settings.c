/*
 * fuzz_settings.c: the grammar of counter.conf.
 *
 * Input: the file. Held against it: keys and values keep their bounds and characters, lines go up, and what was read
 * can be written between quotation marks and is read as the same.
 */
#include "settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(condition) ((condition) ? (void)0 : broken(#condition))

static void broken(const char *condition)
{
    fprintf(stderr, "does not hold: %s\n", condition);
    abort();
}

struct pair {
    const char *key, *value;
    int calls;
};

static int compare(void *arg, unsigned line, const char *key, const char *value)
{
    struct pair *pair = arg;

    HOLDS(line == 1);
    HOLDS(strcmp(key, pair->key) == 0);
    HOLDS(strcmp(value, pair->value) == 0);
    pair->calls++;
    return 0;
}

static void write_and_read(const char *key, const char *value)
{
    char text[SETTINGS_KEY + 2 * SETTINGS_VALUE + 8];
    struct pair pair = {key, value, 0};
    size_t length = (size_t)snprintf(text, sizeof text, "%s = \"", key);

    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\')
            text[length++] = '\\';
        text[length++] = *c;
    }
    text[length++] = '"';
    HOLDS(settings_parse("again", text, length, compare, &pair) == 0);
    HOLDS(pair.calls == 1);
}

static int check(void *arg, unsigned line, const char *key, const char *value)
{
    unsigned *last = arg;

    HOLDS(line > *last);
    *last = line;
    HOLDS(key[0] && strlen(key) < SETTINGS_KEY);
    HOLDS(key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0');
    HOLDS(strlen(value) < SETTINGS_VALUE);
    for (const char *c = value; *c; c++)
        HOLDS((unsigned char)*c >= ' ' || *c == '\t');
    HOLDS(!strchr(value, 0x7f));
    write_and_read(key, value);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size > 0 ? size : 1);
    unsigned last = 0;

    if (!exact)
        abort();
    if (size > 0)
        memcpy(exact, data, size);
    int r = settings_parse("fuzz.conf", exact, size, check, &last);
    HOLDS(r == 0 || (r == COUNTER_EINVAL && counter_error()[0]));
    free(exact);
    return 0;
}
