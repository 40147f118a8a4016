/*
 * redis_tls.c: TLS by OpenSSL, or the word that this build has none.
 *
 * OpenSSL's own sockets write() without MSG_NOSIGNAL and would kill the program with SIGPIPE, so it gets a BIO of ours:
 * two functions around send() and recv(). The name in the certificate is checked inside the handshake: no byte of a
 * password leaves before it.
 */
#include "redis_tls.h"

#include "error.h"

#ifdef COUNTER_TLS

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CERTIFICATES = 16 << 20 }; /* bytes of a file of them */

struct redis_trust {
    SSL_CTX *context;
};

struct redis_tls {
    SSL *ssl;
    int fd;
    unsigned long reason;      /* OpenSSL's, of what broke; 0: none was said */
    char name[REDIS_NAME + 8]; /* for errors */
};

/* ---- A socket without SIGPIPE ------------------------------------------------------------------------------------ */

static BIO_METHOD *method;

static int bio_write(BIO *bio, const char *bytes, int n)
{
    const struct redis_tls *tls = BIO_get_data(bio);
    ssize_t done = send(tls->fd, bytes, (size_t)n, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)done;
}

static int bio_read(BIO *bio, char *bytes, int n)
{
    const struct redis_tls *tls = BIO_get_data(bio);
    ssize_t done = recv(tls->fd, bytes, (size_t)n, 0);

    BIO_clear_retry_flags(bio);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int)done;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (method && (!BIO_meth_set_write(method, bio_write) || !BIO_meth_set_read(method, bio_read) ||
                   !BIO_meth_set_ctrl(method, bio_control))) {
        BIO_meth_free(method);
        method = NULL;
    }
}

/* ---- Trust ------------------------------------------------------------------------------------------------------- */

static int no_password(char *buffer, int size, int writes, void *arg)
{
    (void)buffer, (void)size, (void)writes, (void)arg;
    return -1;
}

/* All there are, one at least, up to the file's end. */
static bool add_certificates(X509_STORE *store, FILE *file)
{
    BIO *bio = BIO_new_fp(file, BIO_NOCLOSE);
    X509 *certificate;
    bool good = bio != NULL;
    int n = 0;

    for (; good && (certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL)) != NULL; n++) {
        good = X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    unsigned long end = ERR_peek_last_error();
    BIO_free(bio);
    return good && n > 0 && ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE;
}

/* A FIFO is opened without waiting, and refused. */
static bool load_file(SSL_CTX *context, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool is_good = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= CERTIFICATES;
    FILE *file = is_good ? fdopen(fd, "r") : NULL;

    is_good = file && add_certificates(SSL_CTX_get_cert_store(context), file);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return is_good;
}

static int fill(struct redis_trust *trust, const char *ca)
{
    char quoted[ERROR_QUOTED];

    trust->context = SSL_CTX_new(TLS_client_method());
    if (!trust->context)
        return error_set(COUNTER_ENOMEM, "no memory for TLS");
    SSL_CTX_set_verify(trust->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(trust->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!SSL_CTX_set_min_proto_version(trust->context, TLS1_2_VERSION))
        return error_set(COUNTER_EIO, "TLS 1.2 is not to be had from this OpenSSL");
    if (*ca ? !load_file(trust->context, ca) : !SSL_CTX_set_default_verify_paths(trust->context))
        return error_set(COUNTER_EINVAL, "store_ca \"%s\": no regular file of certificates (PEM) that can be read",
                         error_quote(quoted, ca, strlen(ca)));
    return 0;
}

int redis_trust_open(struct redis_trust **out, const char *ca)
{
    struct redis_trust *trust = calloc(1, sizeof *trust);
    int r = trust ? fill(trust, ca) : error_set(COUNTER_ENOMEM, "no memory for TLS");

    ERR_clear_error();
    if (r < 0) {
        redis_trust_close(trust);
        trust = NULL;
    }
    *out = trust;
    return r;
}

void redis_trust_close(struct redis_trust *trust)
{
    if (trust)
        SSL_CTX_free(trust->context);
    free(trust);
}

/* ---- Handshake --------------------------------------------------------------------------------------------------- */

/* Whose certificate it must be. Names, not addresses, are also said to the server (SNI, RFC 6066 section 3). */
static bool expect(SSL *ssl, const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool connect_bio(struct redis_tls *tls)
{
    BIO *bio = method ? BIO_new(method) : NULL;

    if (!bio)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

int redis_tls_open(struct redis_tls **out, const struct redis_host *host, const struct redis_trust *trust)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct redis_tls *tls = calloc(1, sizeof *tls);

    *out = tls;
    pthread_once(&once, make_method);
    bool is_good = tls && (tls->ssl = SSL_new(trust->context)) && connect_bio(tls) && expect(tls->ssl, host->name);
    ERR_clear_error();
    if (!is_good) {
        redis_tls_close(tls);
        *out = NULL;
        return error_set(COUNTER_ENOMEM, "no memory for TLS");
    }
    redis_host_show(tls->name, host);
    return 0;
}

void redis_tls_close(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

/* OpenSSL 3 calls it an error of the protocol when the other side closes without a word of TLS, as a killed server does;
 * before, it was one of the system without errno. */
static bool is_end(unsigned long reason)
{
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
    return ERR_GET_LIB(reason) == ERR_LIB_SSL && ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
#else
    (void)reason;
    return false;
#endif
}

/* After a failure: -1 and errno EAGAIN and *events, or another errno; 0: the other side closed. */
static int outcome(struct redis_tls *tls, int r, short *events)
{
    switch (SSL_get_error(tls->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return errno ? -1 : 0;
    default:
        if (is_end(ERR_peek_last_error()))
            return 0;
        if (ERR_peek_last_error())
            tls->reason = ERR_peek_last_error();
        errno = EPROTO;
        return -1;
    }
}

static const char *reason_of(const struct redis_tls *tls)
{
    const char *reason = ERR_reason_error_string(tls->reason);
    return reason ? reason : "protocol error";
}

static int refused(const struct redis_tls *tls)
{
    long verified = SSL_get_verify_result(tls->ssl);

    return error_set(COUNTER_EACCESS, "TLS with %s was refused: %s", tls->name,
                     verified != X509_V_OK ? X509_verify_cert_error_string(verified) : reason_of(tls));
}

/* The reason of an alert that came is SSL_AD_REASON_OFFSET and its number in RFC 8446 section 6. */
int redis_tls_failed(const struct redis_tls *tls)
{
    if (ERR_GET_LIB(tls->reason) == ERR_LIB_SSL && ERR_GET_REASON(tls->reason) >= SSL_AD_REASON_OFFSET)
        return refused(tls);
    return error_set(COUNTER_EDOWN, "the connection to %s broke: TLS: %s", tls->name, reason_of(tls));
}

int redis_tls_handshake(struct redis_tls *tls, int fd, redis_deadline deadline)
{
    short events = 0;
    int r;

    tls->fd = fd;
    for (;;) {
        ERR_clear_error();
        errno = 0;
        if ((r = SSL_connect(tls->ssl)) == 1)
            return 0;
        r = outcome(tls, r, &events);
        if (r < 0 && errno == EPROTO)
            return refused(tls);
        if (r == 0 || errno != EAGAIN)
            return error_set(COUNTER_EDOWN, "%s closed the connection during the TLS handshake", tls->name);
        if (!redis_wait(fd, events, deadline))
            return error_set(COUNTER_ETIMEOUT, "no TLS handshake with %s within the deadline", tls->name);
    }
}

ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t n, short *events)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_write(tls->ssl, bytes, n < INT_MAX ? (int)n : INT_MAX);
    if (r > 0)
        return r;
    r = outcome(tls, r, events);
    if (r == 0)
        errno = EPIPE;
    return -1;
}

ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t n, short *events)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_read(tls->ssl, bytes, n < INT_MAX ? (int)n : INT_MAX);
    return r > 0 ? r : outcome(tls, r, events);
}

#else

#include <errno.h>

int redis_trust_open(struct redis_trust **out, const char *ca)
{
    (void)ca;
    *out = NULL;
    return error_set(COUNTER_ENOTBUILT, "the store asks for TLS, which this build of libcounter lacks: make TLS=yes");
}

void redis_trust_close(struct redis_trust *trust)
{
    (void)trust;
}

int redis_tls_open(struct redis_tls **out, const struct redis_host *host, const struct redis_trust *trust)
{
    (void)host, (void)trust;
    *out = NULL;
    return COUNTER_ENOTBUILT;
}

int redis_tls_failed(const struct redis_tls *tls)
{
    (void)tls;
    return COUNTER_ENOTBUILT;
}

void redis_tls_close(struct redis_tls *tls)
{
    (void)tls;
}

int redis_tls_handshake(struct redis_tls *tls, int fd, redis_deadline deadline)
{
    (void)tls, (void)fd, (void)deadline;
    return COUNTER_ENOTBUILT;
}

ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t n, short *events)
{
    (void)tls, (void)bytes, (void)n, (void)events;
    errno = ENOTSUP;
    return -1;
}

ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t n, short *events)
{
    (void)tls, (void)bytes, (void)n, (void)events;
    errno = ENOTSUP;
    return -1;
}

#endif
