/*
 * portal.c: the CGI program of a portal: its page, and the box on it.
 *
 *     the web server's variables ─► request ─► answer ─► response ─► standard output
 *                                                │
 *                          setup (counter.conf), box (the store), page (the template)
 *
 * One process serves one request. What it says to the server's log goes to standard error.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "answer.h"

enum { DEADLINE = 30 }; /* seconds; a server does not always end a program that its reader left */

/* Descriptors 0 to 2 must be taken, or the store's file would become one of them and get the log. Returns /dev/null. */
static int hold_standard_files(void)
{
    int null;

    do
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (null >= 0 && null <= STDERR_FILENO);
    return null;
}

/* HTTP_PROXY is a "Proxy:" header here, but a proxy to use for many a library: CVE-2016-5385 and its kin. */
static void prepare_process(void)
{
    unsetenv("HTTP_PROXY");
    signal(SIGPIPE, SIG_IGN);
    box_guard();
    alarm(DEADLINE);
}

int main(void)
{
    struct response response = {0};
    struct request request;
    struct setup setup;
    struct box box = {0};
    int null, result;

    if (!getenv("REQUEST_METHOD")) {
        fputs("portal.cgi is run by a web server, as a CGI program: there is no REQUEST_METHOD\n", stderr);
        return 2;
    }
    null = hold_standard_files();
    prepare_process();
    setup_read(&setup);
    box.broken = setup.failed;
    request_read(&request, environ, setup.forwarded);
    answer_request(&setup, &box, &request, &response);
    result = response_send(&response, STDOUT_FILENO, request.method == REQUEST_HEAD);
    dup2(null, STDOUT_FILENO); /* ends the answer for the server, so that nobody waits for the disk with us */
    box_close(&box);
    buffer_free(&response.body);
    request_free(&request);
    setup_free(&setup);
    return result < 0;
}
