/* redis_reader.c: see redis_reader.h. */
#include "redis_reader.h"

#include <counter.h>
#include <stdlib.h>

/* hiredis' callback got a wider type in 1.0. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct redis_reader {
    redisReader *parser;
    redisReplyObjectFunctions bounded, hiredis; /* the parser's functions are ours, which call its own */
    size_t elements, bytes;                     /* of the call so far */
    const char *refusal;                        /* NULL: none so far */
};

/* The parser takes NULL for "out of memory", frees what it has built and stays in error. */
static void *refuse(const redisReadTask *task, const char *why)
{
    struct redis_reader *reader = task->privdata;

    reader->refusal = why;
    return NULL;
}

static void *refuse_kind(const redisReadTask *task)
{
    return refuse(task, "a reply of a kind that only RESP 3 has");
}

static void *make_array(const redisReadTask *task, element_count elements)
{
    struct redis_reader *reader = task->privdata;
    unsigned depth = 1;

    for (const redisReadTask *at = task->parent; at; at = at->parent)
        depth++;
    if (task->type != REDIS_REPLY_ARRAY)
        return refuse_kind(task);
    if (depth > REDIS_DEPTH)
        return refuse(task, "arrays nested too deeply");
    if ((size_t)elements > REDIS_ELEMENTS - reader->elements)
        return refuse(task, "too many elements");
    reader->elements += (size_t)elements;
    return reader->hiredis.createArray(task, elements);
}

static void *make_string(const redisReadTask *task, char *text, size_t length)
{
    struct redis_reader *reader = task->privdata;

    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_ERROR)
        return refuse_kind(task);
    return reader->hiredis.createString(task, text, length);
}

#if HIREDIS_MAJOR >= 1
static void *make_double(const redisReadTask *task, double value, char *text, size_t length)
{
    (void)value, (void)text, (void)length;
    return refuse_kind(task);
}

static void *make_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse_kind(task);
}
#endif

struct redis_reader *redis_reader_open(void)
{
    struct redis_reader *reader = calloc(1, sizeof *reader);

    if (!reader || !(reader->parser = redisReaderCreate())) {
        free(reader);
        return NULL;
    }
    reader->hiredis = reader->bounded = *reader->parser->fn;
    reader->bounded.createArray = make_array;
    reader->bounded.createString = make_string;
#if HIREDIS_MAJOR >= 1
    reader->bounded.createDouble = make_double;
    reader->bounded.createBool = make_bool;
#endif
    reader->parser->fn = &reader->bounded;
    reader->parser->privdata = reader;
    return reader;
}

void redis_reader_close(struct redis_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->parser);
    free(reader);
}

void redis_reader_begin(struct redis_reader *reader)
{
    reader->elements = reader->bytes = 0;
}

static int failure(const struct redis_reader *reader)
{
    return reader->parser->err == REDIS_ERR_OOM && !reader->refusal ? COUNTER_ENOMEM : COUNTER_EIO;
}

int redis_reader_feed(struct redis_reader *reader, const char *bytes, size_t n)
{
    if (n > REDIS_REPLY - reader->bytes) {
        reader->refusal = "too many bytes";
        return COUNTER_EIO;
    }
    reader->bytes += n;
    return redisReaderFeed(reader->parser, bytes, n) == REDIS_OK ? 0 : failure(reader);
}

int redis_reader_take(struct redis_reader *reader, redisReply **out)
{
    void *reply = NULL;

    if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
        return failure(reader);
    *out = reply;
    return reply != NULL;
}

const char *redis_reader_reason(const struct redis_reader *reader)
{
    return reader->refusal ? reader->refusal : reader->parser->errstr;
}

bool redis_reader_is_empty(const struct redis_reader *reader)
{
    return reader->parser->pos == reader->parser->len;
}
