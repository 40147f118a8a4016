/*
 * resp_server.c: a thread accepts, and each connection's script runs in a thread of its own, as plain blocking code.
 *
 * To stop, every socket is shut down, which wakes whatever waits on it, whoever else was forked and holds a copy; a
 * condition wakes those who sleep.
 */
#include "resp_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { WORD_SHOWN = 64, TEXT = 1024, COMMANDS = 1 << 16, HANG_MS = 3600000 };

struct connection {
    struct resp_server *server;
    struct connection *next;
    pthread_t thread;
    unsigned number;
    FILE *input;
    int fd; /* of input; -1 once closed, changed under the lock */
    const char *const *script;
    char command[TEXT]; /* received and not yet taken; "" if none */
};

struct resp_server {
    char folder[64];
    struct sockaddr_un path;
    uint16_t port;
    int listener;
    pthread_t thread;
    const char *const *const *scripts;
    struct connection *list;
    pthread_mutex_t lock; /* taken to change what follows */
    pthread_cond_t stop;
    bool stopping;
    atomic_uint connections, commands;
    char *command[COMMANDS];
    char complaint[2 * TEXT];
    atomic_bool complained;
};

/* ---- Notes ---- */

__attribute__((format(printf, 2, 3))) static bool complain(struct connection *connection, const char *format, ...)
{
    struct resp_server *server = connection->server;
    va_list arguments;

    va_start(arguments, format);
    pthread_mutex_lock(&server->lock);
    if (!server->complained) {
        int n = snprintf(server->complaint, TEXT, "connection %u: ", connection->number);
        vsnprintf(server->complaint + n, TEXT, format, arguments);
        server->complained = true;
    }
    pthread_mutex_unlock(&server->lock);
    va_end(arguments);
    return false;
}

/* The command received is taken. */
static void take(struct connection *connection)
{
    struct resp_server *server = connection->server;

    pthread_mutex_lock(&server->lock);
    if (server->commands < COMMANDS && (server->command[server->commands] = strdup(connection->command)))
        server->commands++;
    pthread_mutex_unlock(&server->lock);
    connection->command[0] = '\0';
}

/* ---- Commands ---- */

/* A line "<type><number>"; -1 when it is something else, or the input's end. */
static long take_number(FILE *input, char type)
{
    char line[32], *end;

    if (!fgets(line, sizeof line, input) || line[0] != type)
        return -1;
    long number = strtol(line + 1, &end, 10);
    return strcmp(end, "\r\n") == 0 ? number : -1;
}

/* Waits for a command and leaves it in connection->command; false when none comes any more. */
static bool receive(struct connection *connection)
{
    FILE *input = connection->input;
    char *text = connection->command;
    size_t shown = 0;

    if (*text)
        return true;
    long words = take_number(input, '*');
    if (words <= 0 && !feof(input))
        return complain(connection, "what came is no command");
    for (long i = 0; i < words; i++) {
        char word[WORD_SHOWN] = "";
        long length = take_number(input, '$');
        size_t kept = length < WORD_SHOWN ? (size_t)length : WORD_SHOWN;
        if (length < 0 || fread(word, 1, kept, input) < kept)
            return feof(input) ? false : complain(connection, "what came is no command");
        for (long rest = length - (long)kept + 2; rest > 0; rest--) /* of the word, and its line's end */
            getc(input);
        if (shown + kept + 2 < TEXT)
            shown += (size_t)snprintf(text + shown, TEXT - shown, "%s%.*s", i > 0 ? " " : "", (int)kept, word);
    }
    return !feof(input);
}

/* Does the command begin with these words? */
static bool is_like(const struct connection *connection, const char *words)
{
    size_t length = strlen(words);
    char behind = strncasecmp(connection->command, words, length) == 0 ? connection->command[length] : '?';

    return strcmp(words, "*") == 0 || behind == '\0' || behind == ' ';
}

/* ---- Steps ---- */

/* Escapes become bytes: malloc'ed ones. */
static char *bytes_of(const struct connection *connection, const char *text, size_t *length)
{
    char *bytes = malloc(5 * strlen(text) + 1), *to = bytes;

    if (!bytes)
        abort();
    for (; *text; text++) {
        char digits[3] = "";
        bool escape = *text == '\\' && text[1];
        text += escape;
        if (escape && *text == 'p')
            to += sprintf(to, "%u", connection->server->port);
        else if (escape && *text == 'x' && text[1] && text[2])
            *to++ = (char)strtol(memcpy(digits, (text += 2) - 1, 2), NULL, 16);
        else if (escape)
            *to++ = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == '0' ? '\0' : *text;
        else
            *to++ = *text;
    }
    *length = (size_t)(to - bytes);
    return bytes;
}

static bool transmit(const struct connection *connection, const char *bytes, size_t length)
{
    ssize_t n;

    for (; length > 0; bytes += n, length -= (size_t)n)
        if ((n = send(connection->fd, bytes, length, MSG_NOSIGNAL)) < 0)
            return false;
    return true;
}

/* False when the server stops meanwhile. */
static bool wait_ms(const struct connection *connection, long ms)
{
    struct resp_server *server = connection->server;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + ms % 1000 * 1000000) / 1000000000 + ms / 1000;
    until.tv_nsec = (until.tv_nsec + ms % 1000 * 1000000) % 1000000000;
    pthread_mutex_lock(&server->lock);
    while (!server->stopping && pthread_cond_timedwait(&server->stop, &server->lock, &until) == 0)
        ;
    bool stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    return !stopping;
}

static bool send_step(const struct connection *connection, const char *text, long times, int ms)
{
    size_t length;
    char *bytes = bytes_of(connection, text, &length);
    bool good = true;

    for (; good && ms < 0 && times > 0; times--)
        good = transmit(connection, bytes, length);
    for (size_t i = 0; good && ms >= 0 && i < length; i++)
        good = transmit(connection, bytes + i, 1) && wait_ms(connection, ms);
    free(bytes);
    return good;
}

/* Takes such a command; of another one complains, or skips the next step. */
static bool command_step(struct connection *connection, const char *words, bool skip)
{
    if (!receive(connection))
        return false;
    if (is_like(connection, words))
        take(connection);
    else if (!skip)
        return complain(connection, "expected \"%s\", got \"%s\"", words, connection->command);
    else if (*connection->script)
        connection->script++;
    return true;
}

/* Where its text begins, if the step is this one. */
static const char *is(const char *step, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(step, word, length) != 0 || (step[length] != '\0' && step[length] != ' '))
        return NULL;
    return step[length] ? step + length + 1 : step + length;
}

/* False when the connection is to be closed. */
static bool run_step(struct connection *connection, const char *step)
{
    const struct linger at_once = {.l_onoff = 1};
    const char *rest;
    char *behind;

    if ((rest = is(step, "expect")) || (rest = is(step, "when")))
        return command_step(connection, rest, *step == 'w');
    if ((rest = is(step, "send")))
        return send_step(connection, rest, 1, -1);
    if ((rest = is(step, "sleep")))
        return wait_ms(connection, atol(rest));
    if ((rest = is(step, "repeat")) || (rest = is(step, "drip"))) {
        long number = strtol(rest, &behind, 10);
        return send_step(connection, behind + (*behind == ' '), number, *step == 'r' ? -1 : (int)number);
    }
    if (is(step, "hang"))
        return wait_ms(connection, HANG_MS) && false;
    if (is(step, "reset"))
        return setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0;
    return is(step, "close") ? false : complain(connection, "\"%s\" is no step of a script", step);
}

static void run_script(struct connection *connection)
{
    const char *const *first = connection->script;
    bool left = false; /* was a command there at the last "again", and is still? */

    while (*connection->script) {
        const char *step = *connection->script++;
        bool again = is(step, "again");
        if (again && left)
            complain(connection, "the script has nothing for \"%s\"", connection->command);
        if (again ? left : !run_step(connection, step))
            return;
        left = (again || left) && connection->command[0];
        if (again)
            connection->script = first;
    }
    for (; receive(connection); take(connection))
        complain(connection, "\"%s\" came after the script's end", connection->command);
}

/* ---- Threads ---- */

static void *serve(void *arg)
{
    struct connection *connection = arg;

    run_script(connection);
    pthread_mutex_lock(&connection->server->lock);
    connection->fd = -1;
    fclose(connection->input);
    pthread_mutex_unlock(&connection->server->lock);
    return NULL;
}

static void begin(struct resp_server *server, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int yes = 1;

    if (!connection || !(connection->input = fdopen(fd, "r")))
        abort();
    __fsetlocking(connection->input, FSETLOCKING_BYCALLER); /* or fflush(NULL) would wait for who waits for input */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connection->server = server;
    connection->fd = fd;
    connection->number = server->connections++;
    connection->script = *server->scripts;
    if (server->scripts[1])
        server->scripts++;
    connection->next = server->list; /* read by resp_server_stop when this thread has ended */
    server->list = connection;
    if (pthread_create(&connection->thread, NULL, serve, connection) != 0)
        abort();
}

static void *accept_all(void *arg)
{
    struct resp_server *server = arg;

    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            begin(server, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return NULL;
    }
}

/* ---- Start, look and stop ---- */

static bool start_listening(struct resp_server *server, int tcp)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un *path = &server->path;
    struct sockaddr *address = tcp ? (struct sockaddr *)&loopback : (struct sockaddr *)path;
    socklen_t size = tcp ? sizeof loopback : sizeof *path;

    if (!tcp && !mkdtemp(strcpy(server->folder, "/tmp/counter-resp-XXXXXX")))
        return false;
    path->sun_family = AF_UNIX;
    snprintf(path->sun_path, sizeof path->sun_path, "%s/socket", server->folder);
    server->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0 || bind(server->listener, address, size) < 0 ||
        (tcp && getsockname(server->listener, address, &size) < 0))
        return false;
    server->port = ntohs(loopback.sin_port);
    return listen(server->listener, 128) == 0;
}

static void release(struct resp_server *server)
{
    if (server->listener >= 0)
        close(server->listener);
    if (server->folder[0]) {
        unlink(server->path.sun_path);
        rmdir(server->folder);
    }
    for (unsigned i = 0; i < server->commands; i++)
        free(server->command[i]);
    pthread_cond_destroy(&server->stop);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

struct resp_server *resp_server_start(int tcp, const char *const *const *scripts)
{
    struct resp_server *server = calloc(1, sizeof *server);

    if (!server)
        return NULL;
    server->scripts = scripts;
    server->listener = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->stop, NULL);
    if (start_listening(server, tcp) && pthread_create(&server->thread, NULL, accept_all, server) == 0)
        return server;
    perror("resp_server");
    release(server);
    return NULL;
}

void resp_server_stop(struct resp_server *server)
{
    if (!server)
        return;
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->stop);
    for (struct connection *connection = server->list; connection; connection = connection->next)
        if (connection->fd >= 0)
            shutdown(connection->fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    for (struct connection *connection = server->list, *next; connection; connection = next) {
        next = connection->next;
        pthread_join(connection->thread, NULL);
        free(connection);
    }
    release(server);
}

const char *resp_server_path(const struct resp_server *server)
{
    return server->path.sun_path;
}

uint16_t resp_server_port(const struct resp_server *server)
{
    return server->port;
}

unsigned resp_server_connections(const struct resp_server *server)
{
    return server->connections;
}

unsigned resp_server_commands(const struct resp_server *server)
{
    return server->commands;
}

const char *resp_server_command(const struct resp_server *server, unsigned i)
{
    return i < server->commands ? server->command[i] : NULL;
}

const char *resp_server_complaint(const struct resp_server *server)
{
    return server->complained ? server->complaint : "";
}
