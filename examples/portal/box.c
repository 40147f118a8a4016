/*
 * box.c: asks the store, and survives it.
 *
 * The store is a mapped file. Where its disk fails or the file is cut while it is read, the kernel has no error code to
 * give and sends SIGBUS instead. The library leaves signals alone; a program may catch it: we jump out of the call,
 * never touch the store again (a lock or half a change may be left in it) and show dashes. The process must have one
 * thread, since the signal comes to the one that touched the page.
 */
#include "box.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include "log.h"

static sigjmp_buf escape;
static volatile sig_atomic_t guarded;

static void caught(int number)
{
    (void)number;
    if (guarded)
        siglongjmp(escape, 1);
    _exit(1);
}

void box_guard(void)
{
    struct sigaction action = {.sa_handler = caught};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static int count_request(struct box *box, const struct request *request, struct counter_stats *stats)
{
    struct counter_hit hit = {
        .size = sizeof hit,
        .address = request->address,
        .agent = request->agent,
        .agent_length = (uint32_t)request->agent_length,
        .forwarded = request->forwarded.length > 0 ? request->forwarded.bytes : NULL,
        .forwarded_length = (uint32_t)request->forwarded.length,
        .flags = request->privacy ? COUNTER_HIT_PRIVACY : 0,
    };

    return counter_record(box->store, &hit, stats);
}

/* A site that nobody was counted on yet is no failure: it has no visitors. */
static int ask(struct box *box, const struct request *request, _Bool count, struct counter_stats *stats)
{
    int result;

    if (!box->store && (result = counter_open(&box->store, NULL)) < 0)
        return result;
    if (count)
        return count_request(box, request, stats);
    result = counter_read(box->store, NULL, 0, stats);
    return result == COUNTER_ENOSITE ? 0 : result;
}

static int ask_guarded(struct box *box, const struct request *request, _Bool count, struct counter_stats *stats)
{
    int result;

    if (sigsetjmp(escape, 1) != 0) {
        guarded = 0;
        box->broken = 1;
        log_line("the store's file was cut, or its disk failed, while it was in use (SIGBUS)");
        return COUNTER_EIO;
    }
    guarded = 1;
    result = ask(box, request, count, stats);
    guarded = 0;
    if (result < 0)
        log_line("%s", counter_error());
    return result;
}

static int render(const struct counter_stats *stats, enum counter_format format, const char *language, const char *rows,
                  struct buffer *out)
{
    int length = counter_render(stats, format, language, rows, NULL, 0);
    char *end;

    if (length < 0 || !(end = buffer_room(out, (size_t)length + 1)))
        return length;
    counter_render(stats, format, language, rows, end, (size_t)length + 1);
    out->length += (size_t)length;
    return length;
}

void box_put(struct box *box, const struct request *request, _Bool count, enum counter_format format,
             const char *language, const char *rows, struct buffer *out)
{
    struct counter_stats stats = {.size = sizeof stats};
    int result = counter_rows_want(rows, &stats.want);

    if (result == 0)
        result = box->broken ? COUNTER_EIO : ask_guarded(box, request, count, &stats);
    if (render(result < 0 ? NULL : &stats, format, language, rows, out) < 0)
        log_line("%s", counter_error());
}

void box_close(struct box *box)
{
    if (!box->broken)
        counter_close(box->store);
    box->store = NULL;
}
