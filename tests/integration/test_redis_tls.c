/*
 * test_redis_tls.c: over TLS only the server whose certificate we trust, and that names the host, gets a password.
 *
 * A real server speaks TLS on a loopback port, with a certificate for "localhost" that an authority of the test's own
 * has signed. Skipped in builds without TLS, and where redis-server or openssl is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/redis_server.h"
#include "../support/resp_server.h"
#include "../support/scratch.h"
#include "redis_client.h"
#include "redis_link.h"

enum { SHORT_MS = 100, LONG_MS = 20000 };

struct secure {
    char folder[SCRATCH_PATH], ca[SCRATCH_FILE], stranger[SCRATCH_FILE];
    struct redis_server server, other; /* with certificates for localhost and for elsewhere */
    struct redis_server strict;        /* as the first, but wants a certificate of each client too */
    uint16_t port, other_port, strict_port;
};

static const char make_certificates[] =
    "cd '%s' && exec >/dev/null 2>&1 &&"
    "for who in ca stranger; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    " -subj /CN=$who -keyout $who.key -out $who.pem || exit; done;"
    "for who in localhost,IP:127.0.0.1 elsewhere; do openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    " -subj /CN=x -keyout ${who%%%%,*}.key -out request && echo subjectAltName=DNS:$who >names && openssl x509 -req"
    " -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out ${who%%%%,*}.pem || exit; done";

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, length) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        address.sin_port = 0;
    close(fd);
    return ntohs(address.sin_port);
}

static int start_server(struct secure *secure, struct redis_server *server, uint16_t *number, const char *name,
                        const char *wants_certificates)
{
    char port[8], file[32], certificate[SCRATCH_FILE], key[SCRATCH_FILE];

    *number = free_port();
    snprintf(port, sizeof port, "%u", *number);
    snprintf(file, sizeof file, "%s.pem", name);
    scratch_file(certificate, secure->folder, file);
    snprintf(file, sizeof file, "%s.key", name);
    scratch_file(key, secure->folder, file);
    const char *const options[] = {"--tls-port",
                                   port,
                                   "--bind",
                                   "127.0.0.1",
                                   "--tls-cert-file",
                                   certificate,
                                   "--tls-key-file",
                                   key,
                                   "--tls-ca-cert-file",
                                   secure->ca,
                                   "--tls-auth-clients",
                                   wants_certificates,
                                   "--requirepass",
                                   "secret",
                                   NULL};
    return redis_server_start(server, options);
}

static int start_servers(struct secure *secure)
{
    scratch_file(secure->ca, secure->folder, "ca.pem");
    scratch_file(secure->stranger, secure->folder, "stranger.pem");
    int r = start_server(secure, &secure->server, &secure->port, "localhost", "no");
    r = r ? r : start_server(secure, &secure->other, &secure->other_port, "elsewhere", "no");
    return r ? r : start_server(secure, &secure->strict, &secure->strict_port, "localhost", "yes");
}

static int start(void **state)
{
    static struct secure secure;

    *state = NULL;
#ifdef COUNTER_TLS
    char line[sizeof make_certificates + SCRATCH_PATH];
    scratch_make(secure.folder);
    snprintf(line, sizeof line, make_certificates, secure.folder);
    if (system(line) == 0 && start_servers(&secure) == 0)
        *state = &secure;
    else
        scratch_remove(secure.folder);
#else
    (void)secure, (void)make_certificates, (void)start_servers;
#endif
    return 0;
}

static int stop(void **state)
{
    struct secure *secure = *state;

    if (secure) {
        redis_server_stop(&secure->server);
        redis_server_stop(&secure->other);
        redis_server_stop(&secure->strict);
        scratch_remove(secure->folder);
    }
    return 0;
}

static int open_link(struct redis_link **link, const char *name, uint16_t port, const char *ca, uint32_t ms)
{
    struct redis_login login = {.user = "", .password = "secret"};
    struct redis_host host = {.port = port};
    struct redis_trust *trust;

    *link = NULL;
    snprintf(host.name, sizeof host.name, "%s", name);
    int r = redis_trust_open(&trust, ca);
    if (r < 0)
        return r;
    login.trust = trust;
    r = redis_link_open(link, &host, NULL, &login, redis_deadline_in(ms));
    redis_trust_close(trust); /* OpenSSL counts who uses it */
    return r;
}

static const struct secure *secure_or_skip(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void a_trusted_server_is_talked_to(void **state)
{
    enum { LARGE = 3 << 20 };
    static const char *const names[] = {"localhost", "127.0.0.1"};
    const struct secure *secure = secure_or_skip(state);
    char *large = calloc(1, LARGE);
    const char *argv[] = {"ECHO", large};
    const size_t length[] = {4, LARGE};
    const struct redis_command echo = {2, argv, length};

    assert_non_null(large);
    for (int i = 0; i < 2; i++) {
        struct redis_link *link;
        redisReply *reply;
        bool sent;
        if (open_link(&link, names[i], secure->port, secure->ca, LONG_MS) != 0)
            fail_msg("%s", counter_error());
        assert_true(redis_link_is_good(link));
        assert_int_equal(redis_link_call(link, &echo, 1, redis_deadline_in(LONG_MS), &reply, &sent), 0);
        assert_int_equal(reply->len, LARGE);
        assert_memory_equal(reply->str, large, LARGE);
        freeReplyObject(reply);
        assert_true(redis_link_is_good(link));
        redis_link_close(link);
    }
    free(large);
}

static void assert_refused(const char *name, uint16_t port, const char *ca, int code, const char *words)
{
    struct redis_link *link;

    assert_int_equal(open_link(&link, name, port, ca, LONG_MS), code);
    assert_null(link);
    if (!strstr(counter_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", counter_error(), words);
}

static void a_certificate_of_somebody_else_s_authority_is_refused(void **state)
{
    const struct secure *secure = secure_or_skip(state);

    assert_refused("localhost", secure->port, secure->stranger, COUNTER_EACCESS, "certificate");
    assert_refused("localhost", secure->port, "", COUNTER_EACCESS, "certificate");
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    const struct secure *secure = secure_or_skip(state);

    assert_refused("localhost", secure->other_port, secure->ca, COUNTER_EACCESS, "hostname mismatch");
    assert_refused("::ffff:127.0.0.1", secure->port, secure->ca, COUNTER_EACCESS, "IP address mismatch");
}

static void what_is_no_file_of_certificates_is_refused_at_once(void **state)
{
    static const char junk[] = "-----BEGIN CERTIFICATE-----\nnever\n-----END CERTIFICATE-----\n";
    const struct secure *secure = secure_or_skip(state);
    char fifo[SCRATCH_FILE], broken[SCRATCH_FILE], key[SCRATCH_FILE];
    const char *const paths[] = {"/dev/null",
                                 "/nowhere",
                                 secure->folder,
                                 scratch_file(fifo, secure->folder, "fifo"),
                                 scratch_file(broken, secure->folder, "broken.pem"),
                                 scratch_file(key, secure->folder, "localhost.key")};
    struct redis_trust *trust;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    size_t size;
    unsigned char *good = scratch_load(secure->ca, &size);
    FILE *file = fopen(broken, "w");
    assert_non_null(file);
    fwrite(good, 1, size, file);
    fputs(junk, file);
    fclose(file);
    free(good);
    alarm(LONG_MS / 1000);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(redis_trust_open(&trust, paths[i]), COUNTER_EINVAL);
        assert_null(trust);
        assert_non_null(strstr(counter_error(), "store_ca \""));
    }
    alarm(0);
}

static int call_client(struct redis_client *client, redisReply **reply)
{
    const char *argv[] = {"INCR", "a"};
    const size_t length[] = {4, 1};
    const struct redis_command command = {2, argv, length};

    return redis_client_call(client, "a", &command, 1, 0, redis_deadline_in(LONG_MS), reply);
}

static struct redis_client *client_at(uint16_t port, const char *login, const char *ca)
{
    struct redis_url url;
    struct redis_client *client;
    char text[64];

    snprintf(text, sizeof text, "rediss://%slocalhost:%u", login, port);
    assert_int_equal(redis_url_parse(&url, text), 0);
    if (redis_client_open(&client, &url, ca) < 0)
        fail_msg("%s", counter_error());
    return client;
}

static void certificates_are_read_when_a_client_is_opened_and_not_again(void **state)
{
    const struct secure *secure = secure_or_skip(state);
    char copy[SCRATCH_FILE];
    struct redis_url url;
    struct redis_client *client;
    redisReply *reply;
    size_t size;

    assert_int_equal(redis_url_parse(&url, "rediss://localhost"), 0);
    assert_int_equal(redis_client_open(&client, &url, "/nowhere"), COUNTER_EINVAL);
    assert_null(client);

    unsigned char *bytes = scratch_load(secure->ca, &size);
    scratch_save(scratch_file(copy, secure->folder, "copy.pem"), bytes, size);
    free(bytes);
    client = client_at(secure->port, ":secret@", copy);
    assert_int_equal(unlink(copy), 0);
    if (call_client(client, &reply) != 0)
        fail_msg("%s", counter_error());
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    redis_client_close(client);
}

/* In TLS 1.3 the client has ended the handshake when the server refuses it, and has sent its command, or not yet. */
static void a_server_that_wants_a_certificate_says_so_and_nothing_was_sent(void **state)
{
    static const char *const logins[] = {"", ":secret@"};
    const struct secure *secure = secure_or_skip(state);
    redisReply *reply;

    for (int i = 0; i < 40; i++) {
        struct redis_client *client = client_at(secure->strict_port, logins[i % 2], secure->ca);
        assert_int_equal(call_client(client, &reply), COUNTER_EACCESS);
        assert_non_null(strstr(counter_error(), "TLS with localhost:"));
        assert_non_null(strstr(counter_error(), "certificate required"));
        redis_client_close(client);
    }
}

static void a_server_without_tls_gets_no_password(void **state)
{
    static const char *const silent[] = {"hang", NULL}, *const plain[] = {"send -ERR what?\\r\\n", "close", NULL};
    const char *const *const one[] = {silent, NULL}, *const *const two[] = {plain, NULL};
    const struct secure *secure = secure_or_skip(state);
    struct resp_server *server = resp_server_start(1, one);
    struct redis_link *link;

    assert_int_equal(open_link(&link, "localhost", resp_server_port(server), secure->ca, SHORT_MS), COUNTER_ETIMEOUT);
    assert_int_equal(resp_server_commands(server), 0);
    resp_server_stop(server);
    server = resp_server_start(1, two);
    assert_refused("localhost", resp_server_port(server), secure->ca, COUNTER_EACCESS, "TLS with localhost:");
    resp_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_server_is_talked_to),
        cmocka_unit_test(a_certificate_of_somebody_else_s_authority_is_refused),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(what_is_no_file_of_certificates_is_refused_at_once),
        cmocka_unit_test(certificates_are_read_when_a_client_is_opened_and_not_again),
        cmocka_unit_test(a_server_that_wants_a_certificate_says_so_and_nothing_was_sent),
        cmocka_unit_test(a_server_without_tls_gets_no_password),
    };
    return cmocka_run_group_tests_name("redis tls", tests, start, stop);
}
