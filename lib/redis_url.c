/*
 * redis_url.c: the URL taken apart, strictly, and shown without its password.
 *
 *     redis+sentinel://user:password@host1:26379,host2/master-name/0?query
 *     ^ scheme         ^ login       ^ hosts          ^ path         ^ must be empty, but ?db=N of a Unix socket
 *
 * Everything up to the first '/', '?' or '#' is the authority (RFC 3986 section 3.2), and its last '@' ends the login.
 * A password that should have been written with %XX can break that rule at any place: then nobody knows which part is
 * secret. So errors quote nothing of an authority but redis_url_show's text, which takes a broken URL for all secret.
 */
#include "redis_url.h"

#include "error.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { URL_MAX = 8192, RULE = 256, SOCKET_PATH = 107, PORT = 6379, SENTINEL_PORT = 26379, NUMBER_MAX = 65535 };

struct slice {
    const char *at;
    size_t n;
};

struct parts {
    struct slice login, hosts, path, query; /* each without its delimiters; but the path with its first '/' */
    bool has_login, has_query;
};

static const struct scheme {
    const char *text;
    enum redis_kind kind;
    bool tls, is_socket;
    uint16_t port;
} schemes[] = {
    {"redis://", REDIS_SINGLE, false, false, PORT},
    {"rediss://", REDIS_SINGLE, true, false, PORT},
    {"redis+unix://", REDIS_SINGLE, false, true, 0},
    {"redis+sentinel://", REDIS_SENTINEL, false, false, SENTINEL_PORT},
    {"redis+cluster://", REDIS_CLUSTER, false, false, PORT},
};

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(url, schemes[i].text, strlen(schemes[i].text)) == 0)
            return &schemes[i];
    return NULL;
}

bool redis_url_is(const char *url)
{
    return scheme_of(url) != NULL;
}

__attribute__((format(printf, 2, 3))) static int refuse(const char *url, const char *rule, ...)
{
    char shown[URL_MAX], quoted[ERROR_QUOTED], text[RULE];
    va_list arguments;

    va_start(arguments, rule);
    if (vsnprintf(text, sizeof text, rule, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    redis_url_show(shown, sizeof shown, url);
    return error_set(COUNTER_EINVAL, "store \"%s\": %s", error_quote(quoted, shown, strlen(shown)), text);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

/* The slice up to the first of `ends`, which is taken off `rest`; the end itself stays there. */
static struct slice take(struct slice *rest, const char *ends)
{
    size_t n = 0;

    while (n < rest->n && !strchr(ends, rest->at[n]))
        n++;
    struct slice taken = {rest->at, n};
    *rest = (struct slice){rest->at + n, rest->n - n};
    return taken;
}

static struct slice behind_first(struct slice slice)
{
    return (struct slice){slice.at + 1, slice.n - 1};
}

static bool has_byte(struct slice slice, int byte)
{
    return slice.n > 0 && memchr(slice.at, byte, slice.n) != NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A decimal number without leading zeros, 0 to 65535; -1 for anything else. */
static int number(struct slice text)
{
    int value = 0;

    if (text.n == 0 || text.n > 5 || (text.n > 1 && text.at[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        value = value * 10 + (text.at[i] - '0');
    }
    return value <= NUMBER_MAX ? value : -1;
}

/* Puts text into out[size] with %XX decoded; bytes of `reserved` stand only as %XX. NULL, or the rule broken. */
static const char *decode(char *out, size_t size, struct slice text, const char *reserved)
{
    size_t length = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.at[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_digit(text.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "behind % stand two hexadecimal digits";
            c = (char)(high << 4 | low);
            if (c == '\0')
                return "no %00";
            i += 2;
        } else if (c <= ' ' || c > '~' || strchr(reserved, c)) {
            return "blanks, bytes beyond ASCII and / ? # @ [ ] of a name or password are written as %XX";
        }
        if (length + 1 >= size)
            return "too long";
        out[length++] = c;
    }
    out[length] = '\0';
    return NULL;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

static int split(struct parts *out, const char *url, const struct scheme *scheme)
{
    struct slice rest = {url, strlen(url)};

    rest = (struct slice){rest.at + strlen(scheme->text), rest.n - strlen(scheme->text)};
    if (has_byte(rest, '#'))
        return refuse(url, "a URL of Redis has no '#'; one in a user or password is written %%23");
    out->hosts = take(&rest, "/?");
    out->path = take(&rest, "?");
    out->has_query = rest.n > 0;
    if (out->has_query)
        out->query = behind_first(rest);
    if ((has_byte(out->path, '@') && !scheme->is_socket) || has_byte(out->query, '@'))
        return refuse(url, "an '@' behind the hosts: / ? @ in a user or password are written %%2F %%3F %%40");

    const char *at = memrchr(out->hosts.at, '@', out->hosts.n);
    out->has_login = at != NULL;
    if (at) {
        out->login = (struct slice){out->hosts.at, (size_t)(at - out->hosts.at)};
        out->hosts = (struct slice){at + 1, out->hosts.n - out->login.n - 1};
    }
    return 0;
}

static int parse_login(struct redis_url *out, const char *url, struct slice login)
{
    const char *rule;
    struct slice user = take(&login, ":");

    if ((rule = decode(out->user, sizeof out->user, user, "/?#@[]")))
        return refuse(url, "user (at most %d bytes): %s", REDIS_USER - 1, rule);
    if (login.n && (rule = decode(out->password, sizeof out->password, behind_first(login), "/?#@[]")))
        return refuse(url, "password (at most %d bytes): %s", REDIS_PASSWORD - 1, rule);
    return 0;
}

static bool is_name(struct slice text, size_t most)
{
    if (text.n == 0 || text.n > most)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* Digits and dots alone are meant as an IPv4 address, and must be one; getaddrinfo would take "127.1" too. */
static bool is_host(const char *name)
{
    struct in_addr address;

    if (name[0] == '.' || name[0] == '-')
        return false;
    return name[strspn(name, "0123456789.")] != '\0' || inet_pton(AF_INET, name, &address) == 1;
}

static int parse_address(struct redis_host *out, const char *url, struct slice *rest)
{
    struct in6_addr address;
    struct slice inside = behind_first(*rest), text = take(&inside, "]");

    if (inside.n == 0 || text.n >= sizeof out->name)
        return refuse(url, "an IPv6 address stands in brackets: [::1]");
    memcpy(out->name, text.at, text.n);
    if (inet_pton(AF_INET6, out->name, &address) != 1)
        return refuse(url, "what stands in the brackets is no IPv6 address");
    *rest = behind_first(inside);
    return 0;
}

static int parse_host_name(struct redis_host *out, const char *url, struct slice *rest)
{
    struct slice name = take(rest, ":");

    if (name.n == 0)
        name = (struct slice){"127.0.0.1", 9};
    if (!is_name(name, REDIS_NAME - 1))
        return refuse(url,
                      "a host is a name of letters, digits, '.', '-' and '_', or an address, an IPv6 one in brackets");
    memcpy(out->name, name.at, name.n);
    return is_host(out->name) ? 0
                              : refuse(url, "a host of digits and dots is no IPv4 address, or begins with '.' or '-'");
}

static int parse_host(struct redis_host *out, const char *url, struct slice text, uint16_t port)
{
    int r = text.n && text.at[0] == '[' ? parse_address(out, url, &text) : parse_host_name(out, url, &text);

    if (r < 0)
        return r;
    out->port = port;
    if (text.n == 0)
        return 0;
    int given = text.at[0] == ':' ? number(behind_first(text)) : -1;
    if (given < 1)
        return refuse(url, "behind a host stands nothing or ':' and a port from 1 to %d", NUMBER_MAX);
    out->port = (uint16_t)given;
    return 0;
}

static int parse_hosts(struct redis_url *out, const char *url, struct slice hosts, uint16_t port)
{
    bool is_list = has_byte(hosts, ',');

    if (is_list && out->kind == REDIS_SINGLE)
        return refuse(url, "several hosts are for redis+sentinel:// and redis+cluster://");
    do {
        struct slice host = take(&hosts, ",");
        bool is_last = hosts.n == 0;
        if (is_list && host.n == 0)
            return refuse(url, "a host between the commas is empty");
        if (out->hosts == REDIS_HOSTS)
            return refuse(url, "more than %d hosts", REDIS_HOSTS);
        int r = parse_host(&out->host[out->hosts++], url, host, port);
        if (r < 0 || is_last)
            return r;
        hosts = behind_first(hosts);
    } while (1);
}

static int parse_database(struct redis_url *out, const char *url, struct slice text)
{
    int database = number(text);

    if (database < 0)
        return refuse(url, "a database is a number from 0 to %d", NUMBER_MAX);
    if (database && out->kind == REDIS_CLUSTER)
        return refuse(url, "in a cluster there is no database but 0");
    out->database = database;
    return 0;
}

/* "" or "/" or "/DB"; of Sentinels "/MASTER", "/MASTER/" or "/MASTER/DB". */
static int parse_path(struct redis_url *out, const char *url, struct slice path)
{
    if (out->kind == REDIS_SENTINEL) {
        struct slice rest = path.n ? behind_first(path) : path, master = take(&rest, "/");
        if (!is_name(master, REDIS_MASTER - 1))
            return refuse(
                url,
                "behind the Sentinels stands /MASTER, the master's name of letters, digits, '.', '-', '_', at "
                "most %d",
                REDIS_MASTER - 1);
        memcpy(out->master, master.at, master.n);
        path = rest;
    }
    return path.n > 1 ? parse_database(out, url, behind_first(path)) : 0;
}

static int parse_socket(struct redis_url *out, const char *url, const struct parts *parts)
{
    const char *rule;

    if (parts->hosts.n || parts->path.n < 2 || parts->path.at[parts->path.n - 1] == '/')
        return refuse(url, "a Unix socket is redis+unix:///PATH, user:password@ before its path; / ? @ in them are "
                           "written %%2F %%3F %%40");
    if ((rule = decode(out->host[0].name, SOCKET_PATH + 1, parts->path, "")))
        return refuse(url, "a socket's path (at most %d bytes): %s", SOCKET_PATH, rule);
    out->hosts = 1;
    return 0;
}

/* "db=N" of a Unix socket, whose path has no place for it. */
static int parse_query(struct redis_url *out, const char *url, struct slice query, bool is_socket)
{
    char quoted[ERROR_QUOTED];
    bool has_database = false;

    do {
        struct slice value = take(&query, "&"), name = take(&value, "=");
        if (!is_socket || name.n != 2 || memcmp(name.at, "db", 2) != 0)
            return refuse(url, "the parameter \"%s\" is unknown: %s", error_quote(quoted, name.at, name.n),
                          is_socket ? "there is only ?db=N" : "only redis+unix:// has one, ?db=N");
        if (value.n == 0 || has_database)
            return refuse(url, "?db=N stands once and has a value");
        has_database = true;
        int r = parse_database(out, url, behind_first(value));
        if (r < 0 || query.n == 0)
            return r;
        query = behind_first(query);
    } while (1);
}

static int parse(struct redis_url *out, const char *url)
{
    const struct scheme *scheme = scheme_of(url);
    struct parts parts = {0};
    int r;

    if (!scheme)
        return refuse(url, "a URL of Redis begins with redis://, rediss://, redis+unix://, redis+sentinel:// or "
                           "redis+cluster://");
    out->kind = scheme->kind;
    out->tls = scheme->tls;
    if ((r = split(&parts, url, scheme)) < 0)
        return r;
    if ((r = parts.has_login ? parse_login(out, url, parts.login) : 0) < 0)
        return r;
    if (scheme->is_socket)
        r = parse_socket(out, url, &parts);
    else if ((r = parse_hosts(out, url, parts.hosts, scheme->port)) == 0)
        r = parse_path(out, url, parts.path);
    return r < 0 || !parts.has_query ? r : parse_query(out, url, parts.query, scheme->is_socket);
}

int redis_url_parse(struct redis_url *out, const char *url)
{
    *out = (struct redis_url){0};
    if (strnlen(url, URL_MAX) == URL_MAX)
        return error_set(COUNTER_EINVAL, "store: a URL of Redis has at most %d bytes", URL_MAX - 1);
    int r = parse(out, url);
    if (r < 0)
        explicit_bzero(out, sizeof *out);
    return r;
}

/* ---- Shown ------------------------------------------------------------------------------------------------------- */

static size_t scheme_length(const char *url)
{
    return strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-");
}

/* Where the authority begins: behind "SCHEME://", or at once where there is none. */
static size_t authority_of(const char *url)
{
    size_t scheme = scheme_length(url);
    return strncmp(url + scheme, "://", 3) == 0 ? scheme + 3 : 0;
}

/* Without an '@' there may still be a password, of a URL that was cut off or lacks its host: where something other than
 * a port stands behind a ':', it begins there; but "SCHEME:" may lack its slashes. The text's end where all is well. */
static size_t secret_without_login(const char *url)
{
    size_t start = scheme_length(url);

    start = url[start] == ':' ? start + 1 + strspn(url + start + 1, "/") : 0;
    size_t end = start + strcspn(url + start, "/?#");
    bool in_brackets = false;

    for (size_t i = start; i < end; i++) {
        if (url[i] == '[' || url[i] == ']')
            in_brackets = url[i] == '[';
        if (url[i] != ':' || in_brackets)
            continue;
        size_t digits = strspn(url + i + 1, "0123456789");
        if (number((struct slice){url + i + 1, digits}) < 0 || !strchr(",/?", url[i + 1 + digits]))
            return i + 1;
    }
    return strlen(url);
}

/* A query other than "db=N" may hold a password too, as other clients' URLs do. */
static size_t query_secret(const char *url, size_t from)
{
    size_t mark = from + strcspn(url + from, "?#");

    if (strncmp(url + mark, "?db=", 4) == 0 && url[mark + 4 + strspn(url + mark + 4, "0123456789")] == '\0')
        return strlen(url);
    return url[mark] ? mark + 1 : mark;
}

const char *redis_url_show(char *buffer, size_t size, const char *url)
{
    if (strnlen(url, URL_MAX) == URL_MAX) {
        snprintf(buffer, size, "***");
        return buffer;
    }
    size_t start = authority_of(url), length = strlen(url), shown, hidden_to;
    const char *at = memrchr(url + start, '@', length - start);

    if (at) {
        const char *colon = memchr(url + start, ':', (size_t)(at - url) - start);
        shown = colon ? (size_t)(colon + 1 - url) : start;
        hidden_to = (size_t)(at - url);
    } else {
        shown = secret_without_login(url);
        hidden_to = length;
    }
    bool hides_login = shown < length;
    size_t query = query_secret(url, hides_login ? hidden_to : start);
    if (hides_login)
        snprintf(buffer, size, "%.*s***%.*s%s", (int)shown, url, (int)(query - hidden_to), url + hidden_to,
                 query < length ? "***" : "");
    else
        snprintf(buffer, size, "%.*s%s", (int)query, url, query < length ? "***" : "");
    return buffer;
}

const char *redis_host_show(char *buffer, const struct redis_host *host)
{
    bool is_v6 = strchr(host->name, ':') != NULL;

    if (host->port == 0)
        snprintf(buffer, REDIS_NAME + 8, "%s", host->name);
    else
        snprintf(buffer, REDIS_NAME + 8, is_v6 ? "[%s]:%u" : "%s:%u", host->name, host->port);
    return buffer;
}
