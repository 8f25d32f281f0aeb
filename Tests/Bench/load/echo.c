/* echo PATH: sends back what comes in, on a Unix socket. One thread, epoll, no parsing: the least that any server on
 * such a socket must do, as the floor to compare with. Prints `ready` when it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void add(int poll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) die("echo: epoll_ctl");
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fputs("usage: echo SOCKET-PATH\n", stderr);
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || poll < 0) die("echo: socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) die("echo: bind");
    if (listen(listener, 128) != 0) die("echo: listen");
    add(poll, listener);
    puts("ready");
    fflush(stdout);
    static char buffer[64 * 1024];
    struct epoll_event events[128];
    for (;;) {
        int ready = epoll_wait(poll, events, 128, -1);
        if (ready < 0 && errno != EINTR) die("echo: epoll_wait");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (accepted >= 0) add(poll, accepted);
                continue;
            }
            ssize_t n = recv(fd, buffer, sizeof buffer, 0);
            /* Requests are far smaller than a socket's buffer, so a short send does not happen. */
            if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) close(fd);
        }
    }
}
