/* redis_server.c: see redis_server.h. */
#include "redis_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

enum { OPTIONS_MAX = 32, STEP_MS = 10, START_STEPS = 1000, STOP_STEPS = 500 };

static const char *const own_options[] = {"--port",    "0",  "--daemonize",  "no", "--unixsocketperm", "700",
                                          "--save",    "",   "--appendonly", "no", "--databases",      "1",
                                          "--logfile", "log"};
enum { OWN_OPTIONS = sizeof own_options / sizeof *own_options };

static void pause_step(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
}

static int make_folder(struct redis_server *server)
{
    const char *parent = getenv("TMPDIR");
    int n = -1;

    if (parent != NULL && *parent == '/')
        n = snprintf(server->folder, sizeof server->folder, "%s/redis-XXXXXX", parent);
    if (n < 0 || (size_t)n >= sizeof server->folder)
        snprintf(server->folder, sizeof server->folder, "/tmp/redis-XXXXXX");
    if (mkdtemp(server->folder) == NULL)
        return -1;
    snprintf(server->socket, sizeof server->socket, "%s/socket", server->folder);
    return 0;
}

static void remove_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;

    if (entries == NULL)
        return;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    rmdir(folder);
}

/* In the child: becomes the server, or reports errno and ends. */
static void become_server(const struct redis_server *server, const char *const *options, pid_t parent, int report)
{
    const char *words[1 + 4 + OWN_OPTIONS + OPTIONS_MAX + 1] = {"redis-server", "--dir", server->folder, "--unixsocket",
                                                                server->socket};
    size_t n = 5;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

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

static int wait_until_it_accepts(struct redis_server *server)
{
    for (int i = 0; i < START_STEPS; i++) {
        int fd = redis_server_connect(server);

        if (fd >= 0) {
            close(fd);
            return 0;
        }
        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            server->pid = 0;
            break;
        }
        pause_step();
    }
    fprintf(stderr, "redis-server did not start in %s\n", server->folder);
    return -1;
}

int redis_server_start(struct redis_server *server, const char *const *options)
{
    pid_t parent = getpid();
    int report[2], error;

    memset(server, 0, sizeof *server);
    if (make_folder(server) < 0 || pipe2(report, O_CLOEXEC) < 0 || (server->pid = fork()) < 0) {
        perror("redis-server");
        server->pid = 0;
        return -1;
    }
    if (server->pid == 0)
        become_server(server, options, parent, report[1]);

    close(report[1]);
    if (read(report[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(report[0]);
    if (error == 0 && wait_until_it_accepts(server) == 0)
        return 0;
    redis_server_stop(server);
    if (error == ENOENT)
        return 1;
    if (error != 0)
        fprintf(stderr, "redis-server: %s\n", strerror(error));
    return -1;
}

void redis_server_stop(struct redis_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        for (int i = 0; waitpid(server->pid, NULL, WNOHANG) == 0; i++) {
            if (i == STOP_STEPS)
                kill(server->pid, SIGKILL);
            pause_step();
        }
    }
    if (server->folder[0] != '\0')
        remove_folder(server->folder);
    memset(server, 0, sizeof *server);
}

int redis_server_connect(const struct redis_server *server)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    memcpy(address.sun_path, server->socket, sizeof server->socket);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
