/* redis_ask.c: the questions of redis_server.h. */
#include "redis_server.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static redisReply *ask(const struct redis_server *server, const char *format, va_list words)
{
    int fd = redis_server_connect(server);
    redisContext *connection = fd < 0 ? NULL : redisConnectFd(fd);
    redisReply *reply = NULL;

    if (connection == NULL) {
        fprintf(stderr, "%s: %s\n", server->socket, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    reply = redisvCommand(connection, format, words);
    if (reply == NULL)
        fprintf(stderr, "%s: %s\n", server->socket, connection->errstr);
    redisFree(connection);
    return reply;
}

redisReply *redis_server_ask(const struct redis_server *server, const char *format, ...)
{
    va_list words;

    va_start(words, format);
    redisReply *reply = ask(server, format, words);
    va_end(words);
    return reply;
}

long long redis_server_number(const struct redis_server *server, const char *format, ...)
{
    long long number = -1;
    va_list words;

    va_start(words, format);
    redisReply *reply = ask(server, format, words);
    va_end(words);
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        number = reply->integer;
    if (reply != NULL && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)) {
        char *end;
        long long read = strtoll(reply->str, &end, 10);
        number = end == reply->str ? -1 : read;
    }
    freeReplyObject(reply);
    return number;
}

bool redis_server_says(const struct redis_server *server, const char *part, const char *format, ...)
{
    va_list words;

    va_start(words, format);
    redisReply *reply = ask(server, format, words);
    va_end(words);
    bool said =
        reply != NULL && reply->type != REDIS_REPLY_ERROR && reply->str != NULL && strstr(reply->str, part) != NULL;
    freeReplyObject(reply);
    return said;
}
