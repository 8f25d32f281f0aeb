// A disk that takes its time, for LD_PRELOAD: every sync waits for as long as a control file says, and is counted there.
//
//     cc -shared -fPIC -O1 -o slow_disk.so slow_disk.c
//     SLOW_DISK=FILE LD_PRELOAD=slow_disk.so lockerd ...
//
// FILE holds two 64-bit numbers: milliseconds that a sync takes, and syncs so far. It is mapped, so that a test can change the
// one and read the other while the program runs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("SLOW_DISK");
    if (!path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, 2 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) control = page;
}

static void take_time(void) {
    if (!control) return;
    __atomic_fetch_add(&control[1], 1, __ATOMIC_SEQ_CST);
    int64_t delay = control[0];
    struct timespec left = {.tv_sec = delay / 1000, .tv_nsec = delay % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

int fsync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    take_time();
    return real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    take_time();
    return real(file);
}
