/*
 * remote_talk.c: commands to the server that holds a site, and the scripts they call.
 *
 * The scripts are part of the library: their files stand one behind the other in the read-only data. They are called by
 * their SHA-1, which the build works out; only a server that never saw one is sent the text. NOSCRIPT says that nothing was
 * done, so then is as good a time to send it as before.
 */
#include "error.h"
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef SCRIPT_COUNT
#error "the build gives SCRIPT_COUNT and SCRIPT_KEEP, the SHA-1 of the files below, one behind the other"
#endif

#define FILE(name) "    .incbin \"lib/remote_" name ".lua\"\n"
__asm__(".pushsection .rodata\n"
        "remote_count_text:\n" FILE("state") FILE("count")
            FILE("answer") "remote_count_end:\n"
                           "    .byte 0\n"
                           "remote_keep_text:\n" FILE("state") FILE("keep") FILE("merge") "remote_keep_end:\n"
                                                                                          "    .byte 0\n"
                                                                                          ".popsection\n");
#undef FILE
extern const char remote_count_text[], remote_count_end[], remote_keep_text[], remote_keep_end[];

static const struct script {
    const char *name, *text, *end;
} scripts[] = {
    [REMOTE_COUNT] = {SCRIPT_COUNT, remote_count_text, remote_count_end},
    [REMOTE_KEEP] = {SCRIPT_KEEP, remote_keep_text, remote_keep_end},
};

enum {
    WORDS_MAX = 1 << 20,
    TEXT_MAX = 64 << 20,
    MOVING_MS = 20 /* to wait while the site's slot moves to another server */
};

/* ---- Deadlines --------------------------------------------------------------------------------------------------- */

static _Thread_local struct {
    const struct remote *remote; /* NULL: none was begun */
    redis_deadline deadline;
} begun;

redis_deadline remote_deadline(const struct remote *remote)
{
    return redis_deadline_in(remote->settings->deadline);
}

/* The keys of many hits may be asked for before the first of them is counted. */
redis_deadline remote_deadline_begin(const struct remote *remote)
{
    if (begun.remote != remote || redis_deadline_left(begun.deadline) == 0) {
        begun.remote = remote;
        begun.deadline = remote_deadline(remote);
    }
    return begun.deadline;
}

redis_deadline remote_deadline_go_on(const struct remote *remote)
{
    bool goes_on = begun.remote == remote;

    begun.remote = NULL;
    return goes_on && redis_deadline_left(begun.deadline) > 0 ? begun.deadline : remote_deadline(remote);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

/* It may hold identity keys. */
static void forget_text(struct remote_words *words)
{
    if (words->used > 0)
        explicit_bzero(words->text, words->used);
    free(words->text);
}

static bool make_room(struct remote_words *words, size_t length)
{
    if (words->used + length > words->room) {
        size_t room = (words->used + length) * 2 + 1024;
        char *text = room < TEXT_MAX ? malloc(room) : NULL;
        if (!text)
            return false;
        if (words->used > 0)
            memcpy(text, words->text, words->used);
        forget_text(words);
        words->text = text;
        words->room = room;
    }
    if (words->words == words->slots) {
        size_t slots = words->slots * 2 + 64;
        uint32_t *end = slots < WORDS_MAX ? realloc(words->end, slots * sizeof *end) : NULL;
        if (!end)
            return false;
        words->end = end;
        words->slots = slots;
    }
    return true;
}

void remote_bytes(struct remote_words *words, const void *bytes, size_t length)
{
    if (words->failed || !make_room(words, length)) {
        words->failed = true;
        return;
    }
    if (length > 0)
        memcpy(words->text + words->used, bytes, length);
    words->used += length;
    words->end[words->words++] = (uint32_t)words->used;
}

void remote_word(struct remote_words *words, const char *text)
{
    remote_bytes(words, text, strlen(text));
}

void remote_number(struct remote_words *words, int64_t number)
{
    char text[24];
    remote_bytes(words, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)number));
}

void remote_append(struct remote_words *words, struct remote_words *more)
{
    for (size_t i = 0, from = 0; !more->failed && i < more->words; from = more->end[i++])
        remote_bytes(words, more->text + from, more->end[i] - from);
    words->failed = words->failed || more->failed;
    remote_words_free(more);
}

void remote_words_free(struct remote_words *words)
{
    forget_text(words);
    free(words->end);
    *words = (struct remote_words){0};
}

void remote_name(const struct remote *remote, char *buffer, const char *site, const char *rest)
{
    if (site)
        snprintf(buffer, REMOTE_NAME, "%s:{%s}:%s", remote->settings->prefix, site, rest);
    else
        snprintf(buffer, REMOTE_NAME, "%s:%s", remote->settings->prefix, rest);
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

/* A command's pointers are followed by its lengths, in one piece of memory. */
static size_t *lengths_behind(const char **argv, size_t words)
{
    return (size_t *)(void *)(argv + words);
}

static const char **lay_out(const struct remote_words *words, struct redis_command *out)
{
    const char **argv = words->failed ? NULL : calloc(words->words + 1, sizeof *argv + sizeof *out->length);
    if (!argv)
        return NULL;
    size_t *length = lengths_behind(argv, words->words), from = 0;
    for (size_t i = 0; i < words->words; i++) {
        argv[i] = words->text + from;
        length[i] = words->end[i] - from;
        from = words->end[i];
    }
    *out = (struct redis_command){.argc = (int)words->words, .argv = argv, .length = length};
    return argv;
}

static int no_memory(void)
{
    return error_set(COUNTER_ENOMEM, "no memory for a command to the server");
}

int remote_send_all(struct remote *remote, const char *key, struct remote_words *words, unsigned n, unsigned flags,
                    redis_deadline deadline, redisReply **replies)
{
    struct redis_command *commands = calloc(n, sizeof *commands);
    const char ***memory = calloc(n, sizeof *memory);
    int r = 0;

    for (unsigned i = 0; commands && memory && r == 0 && i < n; i++)
        if (!(memory[i] = lay_out(&words[i], &commands[i])))
            r = no_memory();
    if (!commands || !memory)
        r = no_memory();
    if (r == 0)
        r = redis_client_call(remote->client, key, commands, n, flags, deadline, replies);
    for (unsigned i = 0; i < n; i++) {
        if (memory)
            free(memory[i]);
        remote_words_free(&words[i]);
    }
    free(memory);
    free(commands);
    return r;
}

void remote_free_replies(redisReply **replies, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        freeReplyObject(replies[i]);
}

static int not_an_error(redisReply **reply, const char *what)
{
    if (!*reply)
        return error_set(COUNTER_EIO, "%s: the server gave no answer", what);
    if ((*reply)->type != REDIS_REPLY_ERROR)
        return 0;
    int r = redis_reply_error(*reply, what);
    freeReplyObject(*reply);
    *reply = NULL;
    return r;
}

int remote_send(struct remote *remote, const char *key, struct remote_words *words, unsigned flags, const char *what,
                redis_deadline deadline, redisReply **reply)
{
    *reply = NULL;
    int r = remote_send_all(remote, key, words, 1, flags, deadline, reply);
    return r < 0 ? r : not_an_error(reply, what);
}

void remote_begin(const struct remote *remote, struct remote_words *words, const char *operation,
                  const struct remote_site *site)
{
    remote_word(words, operation);
    remote_word(words, site->id);
    remote_word(words, remote->url.kind == REDIS_CLUSTER ? "1" : "0");
}

/* ---- The script -------------------------------------------------------------------------------------------------- */

static bool is_unknown_script(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

/* Calls it, with its text where the server does not know it. */
static int evaluate(struct remote *remote, const struct script *script, const char *meta, const char **argv,
                    size_t words, unsigned flags, redis_deadline deadline, redisReply **reply)
{
    size_t *length = lengths_behind(argv, words);
    struct redis_command command = {.argc = (int)words, .argv = argv, .length = length};

    *reply = NULL;
    int r = redis_client_call(remote->client, meta, &command, 1, flags, deadline, reply);
    if (r < 0 || !is_unknown_script(*reply))
        return r;
    freeReplyObject(*reply);
    *reply = NULL;
    argv[0] = "EVAL";
    argv[1] = script->text;
    length[0] = 4;
    length[1] = (size_t)(script->end - script->text);
    return redis_client_call(remote->client, meta, &command, 1, flags, deadline, reply);
}

/* False when there is no time left to ask once more. */
static bool wait_a_little(redis_deadline deadline)
{
    if (redis_deadline_left(deadline) <= 2 * MOVING_MS)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = MOVING_MS * 1000000L}, NULL);
    return true;
}

/* The script says so, or the server does of a key that the script met: one outside those that it looked for first, which
 * it only touches before it writes anything. */
static bool is_moving(const redisReply *reply)
{
    return remote_says(reply, "moving") ||
           (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "non local key") != NULL);
}

int remote_script(struct remote *remote, enum remote_script which, const char *meta, struct remote_words *words,
                  unsigned flags, const char *what, redis_deadline deadline, redisReply **reply)
{
    const struct script *script = &scripts[which];
    struct remote_words all = {0};
    struct redis_command command;
    int r;

    *reply = NULL;
    remote_word(&all, "EVALSHA");
    remote_word(&all, script->name);
    remote_word(&all, "1");
    remote_word(&all, meta);
    remote_append(&all, words);
    const char **argv = lay_out(&all, &command);
    if (!argv) {
        remote_words_free(&all);
        return no_memory();
    }
    while ((r = evaluate(remote, script, meta, argv, all.words, flags, deadline, reply)) == 0 && *reply &&
           is_moving(*reply)) {
        freeReplyObject(*reply);
        *reply = NULL;
        r = error_set(COUNTER_EDOWN, "%s: the site is being moved to another server of the cluster", what);
        if (!wait_a_little(deadline))
            break;
    }
    free(argv);
    remote_words_free(&all);
    if (r < 0 || (r = not_an_error(reply, what)) < 0 || !remote_says(*reply, "damaged"))
        return r;
    freeReplyObject(*reply);
    *reply = NULL;
    return error_set(COUNTER_EFORMAT, "%s: the site is damaged: %s holds impossible values", what, meta);
}

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

const redisReply *remote_element(const redisReply *reply, size_t i)
{
    static const redisReply nothing = {.type = REDIS_REPLY_NIL};
    return reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : &nothing;
}

const char *remote_text(const redisReply *reply, size_t i)
{
    const redisReply *element = remote_element(reply, i);
    return (element->type == REDIS_REPLY_STRING || element->type == REDIS_REPLY_STATUS) && element->str ? element->str
                                                                                                        : "";
}

int64_t remote_value(const redisReply *reply, size_t i)
{
    const redisReply *element = remote_element(reply, i);
    return element->type == REDIS_REPLY_INTEGER ? element->integer : strtoll(remote_text(reply, i), NULL, 10);
}

bool remote_says(const redisReply *reply, const char *word)
{
    return strcmp(remote_text(reply, 0), word) == 0;
}
