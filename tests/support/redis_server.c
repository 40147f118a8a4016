/* redis_server.c: see redis_server.h. */
#include "redis_server.h"

#include "wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPTIONS_MAX = 48, STEP_MS = 10, START_MS = 10000, STOP_STEPS = 500, PORT_TRIES = 3 };

/* Servers take 10000 to 19999, their buses 20000 to 29999: below what Linux gives to clients (32768 and more). */
enum { PORT_FIRST = 10000, PORTS = 10000, BUS = 10000 };

static const char *const own_options[] = {"--daemonize",  "no",       "--unixsocketperm", "700", "--save",    "",
                                          "--appendonly", "no",       "--databases",      "1",   "--logfile", "log",
                                          "--bind",       "127.0.0.1"};
enum { OWN_OPTIONS = sizeof own_options / sizeof *own_options };

static void pause_step(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
}

/* ---- The folder ---- */

static int make_folder(struct redis_server *server)
{
    const char *parent = getenv("TMPDIR");
    int n = -1;

    if (parent != NULL && *parent == '/')
        n = snprintf(server->folder, sizeof server->folder, "%s/redis-XXXXXX", parent);
    if (n < 0 || (size_t)n >= sizeof server->folder)
        snprintf(server->folder, sizeof server->folder, "/tmp/redis-XXXXXX");
    if (mkdtemp(server->folder) == NULL) {
        server->folder[0] = '\0';
        return -1;
    }
    return 0;
}

static int choose_folder(struct redis_server *server, const char *given)
{
    int n;

    if (given == NULL && make_folder(server) < 0)
        return -1;
    if (given != NULL) {
        n = snprintf(server->folder, sizeof server->folder, "%s", given);
        server->keeps_folder = true;
        if (n < 0 || (size_t)n >= sizeof server->folder) {
            errno = ENAMETOOLONG;
            return -1;
        }
    }
    snprintf(server->socket, sizeof server->socket, "%s/socket", server->folder);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    remove(path);
    return 0;
}

/* ---- The port ---- */

static bool is_free(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                 bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;

    if (fd >= 0)
        close(fd);
    return bound;
}

uint16_t redis_server_free_port(void)
{
    static unsigned calls; /* two servers started in turn do not get the same port */
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    unsigned first = (unsigned)getpid() * 7919U + (unsigned)now.tv_nsec / 1000 + calls++;
    for (unsigned i = 0; i < PORTS; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (first + i) % PORTS);
        if (is_free(port) && is_free((uint16_t)(port + BUS)))
            return port;
    }
    return 0;
}

/* ---- Starting ---- */

/* In the child: becomes the server, or reports errno and ends. */
static void become_server(const struct redis_server *server, const char *const *options, pid_t parent, int report)
{
    const char *words[2 + 6 + OWN_OPTIONS + OPTIONS_MAX + 1] = {"redis-server"};
    const char *const places[] = {"--dir", server->folder, "--unixsocket", server->socket, "--port"};
    size_t n = 1;
    char port[8];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

    if (options != NULL && options[0] != NULL && options[0][0] == '/')
        words[n++] = *options++;
    memcpy(words + n, places, sizeof places);
    n += sizeof places / sizeof *places;
    snprintf(port, sizeof port, "%u", (unsigned)server->port);
    words[n++] = port;
    memcpy(words + n, own_options, sizeof own_options);
    n += OWN_OPTIONS;
    for (size_t i = 0; options != NULL && options[i] != NULL && i < OPTIONS_MAX; i++)
        words[n++] = options[i];

    if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
        prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        execvp("redis-server", (char *const *)words);
    error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(2);
    _exit(1);
}

/* Sets the pid. Returns 0, or errno of what kept the child from becoming a server. */
static int start_process(struct redis_server *server, const char *const *options)
{
    pid_t parent = getpid();
    int report[2], error;

    unlink(server->socket); /* one that was killed leaves it behind */
    if (pipe2(report, O_CLOEXEC) < 0)
        return errno;
    pid_t pid = fork(); /* not into *server, which may be memory that the child shares */
    if (pid == 0)
        become_server(server, options, parent, report[1]);
    error = pid < 0 ? errno : 0;

    close(report[1]);
    if (error == 0 && read(report[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(report[0]);
    if (error != 0 && pid > 0)
        waitpid(pid, NULL, 0);
    server->pid = error == 0 ? pid : 0;
    return error;
}

/* While it reads its data a server accepts, and refuses every command or closes. Any other answer will do: it may want
 * a password first. */
static bool answers(const struct redis_server *server)
{
    char reply[16] = "";
    int fd = redis_server_connect(server);
    bool answered = fd >= 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, reply, sizeof reply - 1, 0) > 0;

    if (fd >= 0)
        close(fd);
    return answered && strncmp(reply, "-LOADING", 8) != 0;
}

static int wait_until_it_answers(struct redis_server *server)
{
    for (int64_t end = wait_clock_ms() + START_MS; wait_clock_ms() < end;) {
        if (answers(server))
            return 0;
        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            server->pid = 0;
            return -1;
        }
        pause_step();
    }
    redis_server_kill(server);
    return -1;
}

int redis_server_restart(struct redis_server *server, const char *const *options)
{
    int error = start_process(server, options);

    if (error == ENOENT)
        return 1;
    if (error != 0)
        fprintf(stderr, "redis-server: %s\n", strerror(error));
    else if (wait_until_it_answers(server) == 0)
        return 0;
    else
        fprintf(stderr, "redis-server did not start in %s\n", server->folder);
    return -1;
}

/* A port that was free may be taken by another test before the server has it, hence a few tries. */
int redis_server_start_in(struct redis_server *server, const char *folder, int port, const char *const *options)
{
    int tries = port == REDIS_FREE_PORT ? PORT_TRIES : 1, started = -1;

    memset(server, 0, sizeof *server);
    if (choose_folder(server, folder) < 0) {
        perror("redis-server");
        memset(server, 0, sizeof *server);
        return -1;
    }
    for (; tries > 0 && started < 0; tries--) {
        server->port = port == REDIS_FREE_PORT ? redis_server_free_port() : (uint16_t)port;
        started = redis_server_restart(server, options);
    }
    if (started != 0)
        redis_server_stop(server);
    return started;
}

int redis_server_start(struct redis_server *server, const char *const *options)
{
    return redis_server_start_in(server, NULL, REDIS_NO_PORT, options);
}

/* ---- Ending ---- */

void redis_server_kill(struct redis_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    server->pid = 0;
}

void redis_server_end(struct redis_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGTERM);
    kill(server->pid, SIGCONT); /* it may have been stopped by a test */
    for (int i = 0; waitpid(server->pid, NULL, WNOHANG) == 0; i++) {
        if (i == STOP_STEPS)
            kill(server->pid, SIGKILL);
        pause_step();
    }
    server->pid = 0;
}

void redis_server_stop(struct redis_server *server)
{
    redis_server_end(server);
    if (server->folder[0] != '\0' && !server->keeps_folder)
        nftw(server->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    memset(server, 0, sizeof *server);
}

/* ---- Connecting ---- */

int redis_server_connect(const struct redis_server *server)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    memcpy(address.sun_path, server->socket, sizeof server->socket);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
