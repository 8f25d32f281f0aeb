#define _GNU_SOURCE
#include "lkd_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the child parks its descriptors while it fills 0, 1 and 2. */
enum { FIRST_SPARE = 10, STATUS = 3 };

enum step { STEP_DESCRIPTORS, STEP_PARENT, STEP_CHDIR, STEP_EXEC };

/* Half a second in all. */
enum { BUSY_TRIES = 50, BUSY_PAUSE_MS = 10 };

static const char *const step_names[] = {"descriptors", "parent", "chdir", "exec"};

struct failure {
    int step;
    int error;
};

static _Noreturn void give_up(int status, enum step step) {
    struct failure failure = {.step = step, .error = errno};
    ssize_t written = write(status, &failure, sizeof failure);
    (void)written; /* nobody is left to tell */
    _exit(127);
}

static void close_from(unsigned first) {
    if (syscall(SYS_close_range, first, ~0u, 0) == 0) {
        return;
    }
    struct rlimit limit;
    rlim_t end = 65536;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < end) {
        end = limit.rlim_cur;
    }
    for (rlim_t descriptor = first; descriptor < end; descriptor++) {
        close((int)descriptor);
    }
}

/* Between fork and exec: async-signal-safe calls only, because other threads held locks at the fork. */
static _Noreturn void become_module(const char *directory, const char *executable, char *const environment[],
                                    pid_t parent, int channel, int errors, int status) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &standard, NULL);
    }
    /* The numbers 0 to 3 may be taken by the very descriptors that are to go elsewhere. */
    int spare_status = fcntl(status, F_DUPFD_CLOEXEC, FIRST_SPARE);
    if (spare_status < 0) {
        give_up(status, STEP_DESCRIPTORS);
    }
    int spare_channel = fcntl(channel, F_DUPFD_CLOEXEC, FIRST_SPARE);
    int spare_errors = fcntl(errors, F_DUPFD_CLOEXEC, FIRST_SPARE);
    if (spare_channel < 0 || spare_errors < 0 || dup2(spare_channel, STDIN_FILENO) < 0 ||
        dup2(spare_channel, STDOUT_FILENO) < 0 || dup2(spare_errors, STDERR_FILENO) < 0 ||
        dup3(spare_status, STATUS, O_CLOEXEC) < 0) {
        give_up(spare_status, STEP_DESCRIPTORS);
    }
    close_from(STATUS + 1);
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
        give_up(STATUS, STEP_PARENT);
    }
    /* The parent may have died before the line above; then no signal comes any more. */
    if (getppid() != parent) {
        _exit(127);
    }
    if (chdir(directory) < 0) {
        give_up(STATUS, STEP_CHDIR);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char *const arguments[] = {(char *)(uintptr_t)executable, NULL};
    /* ETXTBSY: somebody has the file open for writing, as an upgrade that is just being copied, or a child of another thread that was
     * forked at that moment and has not executed its own program yet. It passes. */
    for (int tries = 0; tries < BUSY_TRIES; tries++) {
        execve(executable, arguments, environment);
        if (errno != ETXTBSY) break;
        poll(NULL, 0, BUSY_PAUSE_MS);
    }
    give_up(STATUS, STEP_EXEC);
}

static void close_pair(const int pair[2]) {
    close(pair[0]);
    close(pair[1]);
}

static void wait_for(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* With every signal blocked, so that no handler of ours runs in the child. */
static pid_t fork_quietly(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    return fork();
}

/* Our ends stand first, the child's second. */
struct ends {
    int channel[2], errors[2], status[2];
};

static int open_ends(struct ends *ends, const char **step) {
    *step = "socketpair";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->channel) < 0) {
        return errno;
    }
    *step = "pipe";
    if (pipe2(ends->errors, O_CLOEXEC) < 0) {
        int error = errno;
        close_pair(ends->channel);
        return error;
    }
    if (pipe2(ends->status, O_CLOEXEC) < 0) {
        int error = errno;
        close_pair(ends->channel);
        close_pair(ends->errors);
        return error;
    }
    return 0;
}

int lkd_spawn(const char *directory, const char *executable, char *const environment[], lkd_child *child,
              const char **step) {
    struct ends ends;
    int error = open_ends(&ends, step);
    if (error != 0) {
        return error;
    }
    pid_t self = getpid();
    sigset_t before;
    pid_t pid = fork_quietly(&before);
    if (pid == 0) {
        become_module(directory, executable, environment, self, ends.channel[1], ends.errors[1], ends.status[1]);
    }
    error = pid < 0 ? errno : 0;
    *step = "fork";
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends.channel[1]);
    close(ends.errors[1]);
    close(ends.status[1]);
    /* Nobody has waited for the child yet, so the number is still that child's. */
    if (error == 0 && (child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0) {
        error = errno;
        *step = "pidfd_open";
        kill(pid, SIGKILL);
        wait_for(pid);
    }
    if (error != 0) {
        close(ends.channel[0]);
        close(ends.errors[0]);
        close(ends.status[0]);
        return error;
    }
    child->pid = pid;
    child->channel = ends.channel[0];
    child->errors = ends.errors[0];
    child->status = ends.status[0];
    return 0;
}

int lkd_spawn_outcome(int status, const char **step) {
    struct failure failure = {0};
    ssize_t got;
    do {
        got = read(status, &failure, sizeof failure);
    } while (got < 0 && errno == EINTR);
    close(status);
    if (got != (ssize_t)sizeof failure) {
        return 0;
    }
    *step = step_names[failure.step];
    return failure.error;
}

int lkd_wake_pipe(int ends[2]) {
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0;
}

void lkd_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}
