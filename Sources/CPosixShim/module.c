#define _GNU_SOURCE
#include "lkd_module.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t wake_descriptor = -1;

static void wake(int number) {
    (void)number;
    int before = errno;
    char byte = 0;
    ssize_t written = write(wake_descriptor, &byte, 1);
    (void)written; /* a full pipe has woken its reader already */
    errno = before;
}

int lkd_wake_on_termination(int descriptor) {
    wake_descriptor = descriptor;
    struct sigaction action = {.sa_handler = wake, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0) {
        return errno;
    }
    return 0;
}

void lkd_unblock_termination(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

ssize_t lkd_send_now(int descriptor, const void *bytes, size_t count) {
    return send(descriptor, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}
